package storage

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Servers of the previous release keep working while a migration runs, and afterwards until they are replaced. So migrations
// only expand the schema, which this test checks, and a later release contracts it, when nobody uses the old parts any more.
func TestMigrationsExpand(t *testing.T) {
	released := releasedSchema(t)
	for _, m := range postgresMigrations(t) {
		if m.version <= released {
			continue
		}
		for _, problem := range m.problems(released) {
			t.Errorf("migration %d: %s", m.version, problem)
		}
	}
}

// releasedSchema is the newest schema that the previous release knows.
func releasedSchema(t *testing.T) int64 {
	t.Helper()
	text, err := os.ReadFile("../.ci/previous-release")
	if err != nil {
		t.Fatalf("the previous release, its commit and its schema, has to stand in .ci/previous-release: %v", err)
	}
	_, schema, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, err := strconv.ParseInt(schema, 10, 64)
	if err != nil {
		t.Fatalf(".ci/previous-release is %q and should be a commit and the number of its schema", text)
	}
	return n
}

// step is one migration of PostgreSQL.
type step struct {
	version    int64
	statements []string
	online     bool // outside of a transaction
}

func postgresMigrations(t *testing.T) []step {
	t.Helper()
	var all []step
	for version, statements := range postgresMigration.own {
		all = append(all, step{version, statements, false})
	}
	for version, statements := range postgresMigration.online {
		all = append(all, step{version, statements, true})
	}
	files, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := fs.ReadFile(migrations, file)
		if err != nil {
			t.Fatal(err)
		}
		number, _, _ := strings.Cut(path.Base(file), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, step{version, strings.Split(sqlComment.ReplaceAllString(string(text), ""), ";\n"), false})
	}
	return all
}

var (
	sqlComment  = regexp.MustCompile(`--[^\n]*`)
	newTable    = regexp.MustCompile(`^CREATE TABLE (?:IF NOT EXISTS )?(\w+) \(`)
	newColumn   = regexp.MustCompile(`^ALTER TABLE (\w+) ADD COLUMN (?:IF NOT EXISTS )?(\w+) (.*)$`)
	newIndex    = regexp.MustCompile(`^CREATE (UNIQUE )?INDEX (CONCURRENTLY )?(?:IF NOT EXISTS )?(\w+) ON (\w+)`)
	newRows     = regexp.MustCompile(`^INSERT INTO (\w+)`)
	lostIndex   = regexp.MustCompile(`^DROP INDEX (?:CONCURRENTLY )?(?:IF EXISTS )?(\w+)$`)
	lostThing   = regexp.MustCompile(`^(DROP TABLE (?:IF EXISTS )?\w+|ALTER TABLE \w+ DROP (?:COLUMN|CONSTRAINT) (?:IF EXISTS )?\w+)$`)
	oldestKnown = regexp.MustCompile(`^UPDATE schema_compatibility SET oldest = (\d+)$`)
	badColumn   = regexp.MustCompile(`\b(CHECK|REFERENCES|UNIQUE|PRIMARY|GENERATED)\b`)
	nowDefault  = regexp.MustCompile(`\bDEFAULT\b[^,]*\(`)
)

// problems says what is wrong with a migration, if the previous release knows
// schemas up to released.
func (m step) problems(released int64) (all []string) {
	wrong := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	made := map[string]bool{}
	contracts := false
	for _, s := range m.statements {
		s = strings.TrimSuffix(strings.Join(strings.Fields(s), " "), ";")
		if s == "" {
			continue
		}
		if strings.Contains(s, ";") {
			wrong("one statement each: %s", s)
			continue
		}
		if strings.Contains(s, "public.") {
			wrong("it runs inside whatever schema the URL names: %s", s)
			continue
		}
		if match := oldestKnown.FindStringSubmatch(s); match != nil {
			contracts = true
			if oldest, err := strconv.ParseInt(match[1], 10, 64); err != nil || oldest > released {
				wrong("the previous release knows schema %d and could not start: %s", released, s)
			}
		} else if match := newTable.FindStringSubmatch(s); match != nil {
			made[match[1]] = true
			if !strings.Contains(s, "PRIMARY KEY") {
				wrong("a table without a primary key: %s", s)
			}
		} else if match := newColumn.FindStringSubmatch(s); match != nil {
			rest := match[3]
			if badColumn.MatchString(rest) {
				wrong("checks all rows under a lock: %s", s)
			}
			if nowDefault.MatchString(rest) {
				wrong("writes all rows under a lock: %s", s)
			}
			if strings.Contains(rest, "NOT NULL") && !strings.Contains(rest, "DEFAULT") {
				wrong("a server of the previous release cannot insert rows: %s", s)
			}
		} else if match := newIndex.FindStringSubmatch(s); match != nil {
			unique, concurrently, table := match[1] != "", match[2] != "", match[4]
			if !made[table] && (!m.online || !concurrently) {
				wrong("nobody can write while this index is made, make it online and CONCURRENTLY: %s", s)
			}
			if !made[table] && unique {
				wrong("a rule that servers of the previous release do not know: %s", s)
			}
		} else if match := newRows.FindStringSubmatch(s); match != nil && made[match[1]] {
			continue
		} else if match := lostIndex.FindStringSubmatch(s); match != nil && m.online && slices.ContainsFunc(m.statements, func(other string) bool {
			return strings.Contains(other, "INDEX CONCURRENTLY "+match[1]+" ON ")
		}) {
			continue // an index that a run before this has left unfinished
		} else if lostThing.MatchString(s) || lostIndex.MatchString(s) {
			if !contracts {
				wrong("says not, with UPDATE schema_compatibility, which programs can do without: %s", s)
			}
		} else {
			wrong("neither expands the schema nor is it known to be harmless; backfill in batches, from the program: %s", s)
		}
	}
	return all
}

func TestExpansions(t *testing.T) {
	for _, c := range []struct {
		online     bool
		statements string // ; between them
		want       string // "" is nothing
	}{
		{false, "CREATE TABLE t (id UUID PRIMARY KEY);CREATE UNIQUE INDEX i ON t (id);INSERT INTO t (id) VALUES ('x')", ""},
		{false, "ALTER TABLE bookings ADD COLUMN note TEXT", ""},
		{false, "ALTER TABLE bookings ADD COLUMN note TEXT NOT NULL DEFAULT ''", ""},
		{true, "DROP INDEX IF EXISTS i;CREATE INDEX CONCURRENTLY i ON bookings (note)", ""},
		{false, "UPDATE schema_compatibility SET oldest = 15;ALTER TABLE bookings DROP COLUMN note", ""},

		{false, "CREATE TABLE t (id UUID)", "primary key"},
		{false, "CREATE TABLE public.t (id UUID PRIMARY KEY)", "inside whatever schema"},
		{false, "ALTER TABLE bookings ADD COLUMN n INTEGER CHECK (n > 0)", "checks all rows"},
		{false, "ALTER TABLE bookings ADD COLUMN t TIMESTAMPTZ DEFAULT clock_timestamp()", "writes all rows"},
		{false, "ALTER TABLE bookings ADD COLUMN n INTEGER NOT NULL", "cannot insert"},
		{false, "CREATE INDEX i ON bookings (note)", "nobody can write"},
		{true, "CREATE UNIQUE INDEX CONCURRENTLY i ON bookings (note)", "do not know"},
		{false, "INSERT INTO bookings SELECT * FROM bookings", "neither expands"},
		{false, "UPDATE bookings SET note = ''", "neither expands"},
		{false, "ALTER TABLE bookings ALTER COLUMN note SET NOT NULL", "neither expands"},
		{false, "ALTER TABLE bookings RENAME COLUMN note TO memo", "neither expands"},
		{false, "ALTER TABLE bookings ADD CONSTRAINT c CHECK (note <> '')", "neither expands"},
		{false, "ALTER TABLE bookings DROP COLUMN note", "says not"},
		{true, "DROP INDEX i", "says not"},
		{false, "UPDATE schema_compatibility SET oldest = 16;ALTER TABLE bookings DROP COLUMN note", "could not start"},
	} {
		got := step{99, strings.Split(c.statements, ";"), c.online}.problems(15)
		if c.want == "" && len(got) > 0 || c.want != "" && (len(got) != 1 || !strings.Contains(got[0], c.want)) {
			t.Errorf("%s: %q, want %q", c.statements, got, c.want)
		}
	}
	if got := (step{99, []string{"CREATE TABLE t (id UUID PRIMARY KEY); DROP TABLE t"}, false}).problems(15); len(got) != 1 {
		t.Errorf("two statements in one: %q", got)
	}
}
