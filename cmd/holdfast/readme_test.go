package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/inventory/catalogue"
	"holdfast/storage/storagetest"
)

// The documents are tested, so that they cannot become outdated: the sessions run as a reader would run them, and whatever a document names
// must exist.

// root is the top of the source tree.
const root = "../.."

// sessionAddress is where the documents say that their servers listen.
const sessionAddress = "127.0.0.1:8080"

// sessions are the documents that are run on each database.
var sessions = []string{"docs/session.md", "docs/clinic.md"}

// demoStarts is what comes before the README's blocks: its demo, once the story is over.
const demoStarts = "bin/holdfast demo >bin/holdfast.log &\nuntil grep -q 'Still serving' bin/holdfast.log; do sleep 0.1; done\n"

var update = flag.Bool("update", false, "write the answers of the documents' sessions anew, those on SQLite")

// TestReadmeSession runs the blocks marked console of the README, beside its demo, and of the
// sessions on each database, those of each document in one shell, and compares what each command
// prints. It does not run blocks marked sh.
func TestReadmeSession(t *testing.T) {
	t.Parallel() // it waits for its servers
	for _, program := range []string{"bash", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatalf("the documents' sessions need %s: install it (Debian: apt-get install %s)", program, program)
		}
	}
	binary := filepath.Join(t.TempDir(), "holdfast")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	play := func(t *testing.T, name, before, database string) {
		steps := readSession(t, name)
		answers := hold(t, before, steps, binary, database)
		got, want := plainer{}, plainer{}
		clinic := document(t, "docs/examples/clinic.yaml")
		same := true
		for i, s := range steps {
			if g, w := got.plain(answers[i], clinic), want.plain(s.want, clinic); g != w {
				same = false
				t.Errorf("%s:%d: $ %s\ngot:\n%s\nwant:\n%s", name, s.line, s.command, g, w)
			}
		}
		if *update && !same && database == onSQLite {
			writeSession(t, name, answers)
		}
	}
	t.Run("README.md", func(t *testing.T) { play(t, "README.md", demoStarts, onSQLite) })
	for _, on := range []struct {
		name     string
		database func(*testing.T) string
	}{
		{"SQLite", func(*testing.T) string { return onSQLite }},
		{"Postgres", func(t *testing.T) string { return storagetest.Postgres(t) }},
		{"Postgres behind PgBouncer", func(t *testing.T) string { // as docs/operations.md says
			target := storagetest.Postgres(t)
			if strings.Contains(target, "?") {
				return target + "&default_query_exec_mode=exec"
			}
			return target + "?default_query_exec_mode=exec"
		}},
	} {
		for _, name := range sessions {
			t.Run(on.name+"/"+name, func(t *testing.T) { play(t, name, "", on.database(t)) })
		}
	}
}

// onSQLite is the database that the sessions have unless another is set.
const onSQLite = "holdfast.db"

// step is one command of the session and what it prints.
type step struct {
	line          int
	command, want string
}

func readSession(t *testing.T, name string) []step {
	t.Helper()
	var steps []step
	inside := false
	for i, line := range strings.Split(document(t, name), "\n") {
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case isCommand:
			steps = append(steps, step{line: i + 1, command: command})
		case continues(steps[len(steps)-1].command):
			steps[len(steps)-1].command += "\n" + line
		default:
			steps[len(steps)-1].want += line + "\n"
		}
	}
	if least := map[bool]int{true: 1, false: 10}[name == "README.md"]; len(steps) < least {
		t.Fatalf("the session of %s has %d commands", name, len(steps))
	}
	return steps
}

// continues reports whether a command goes on in the next line: a quote is open.
func continues(command string) bool { return strings.Count(command, "'")%2 == 1 }

// writeSession puts other answers behind the commands of a document.
func writeSession(t *testing.T, name string, answers []string) {
	t.Helper()
	var lines []string
	inside, n, command := false, 0, ""
	for _, line := range strings.Split(document(t, name), "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case continues(command):
			command += "\n" + line
		case strings.HasPrefix(line, "$ "):
			command = line
		default:
			continue // an answer
		}
		if inside && command != "" && !continues(command) {
			line = strings.TrimSuffix(line+"\n"+answers[n], "\n")
			n, command = n+1, ""
		}
		lines = append(lines, line)
	}
	must(t, os.WriteFile(filepath.Join(root, name), []byte(strings.Join(lines, "\n")), 0o600))
}

// hold runs the session after before, in a copy of the part of the source tree that it needs, on a free port. It returns what each command
// printed, including standard error.
func hold(t *testing.T, before string, steps []step, binary, database string) []string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.CopyFS(filepath.Join(dir, "docs", "examples"), os.DirFS(filepath.Join(root, "docs", "examples"))))
	must(t, os.Mkdir(filepath.Join(dir, "bin"), 0o700))
	must(t, os.Symlink(binary, filepath.Join(dir, "bin", "holdfast")))

	address := freeAddress(t)
	const mark = "-- end of an answer --"
	// However the session ends, its server ends with it.
	script := "exec 2>&1\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n" + before
	for _, s := range steps {
		script += strings.ReplaceAll(s.command, sessionAddress, address) + "\nprintf '%s\\n' '" + mark + "'\n"
	}
	must(t, os.WriteFile(filepath.Join(dir, "session"), []byte(script), 0o600))

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	bash := exec.CommandContext(ctx, "bash", "session")
	bash.Cancel = func() error { return bash.Process.Signal(os.Interrupt) }
	bash.WaitDelay = 20 * time.Second
	bash.Dir = dir
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "HOLDFAST_") {
			bash.Env = append(bash.Env, setting)
		}
	}
	bash.Env = append(bash.Env, "HOME="+dir, "LC_ALL=C", "no_proxy=*", "HOLDFAST_DATABASE="+database, "HOLDFAST_ADDRESS="+address)
	out, err := bash.CombinedOutput()
	answers := strings.Split(strings.ReplaceAll(string(out), address, sessionAddress), mark+"\n")
	if err != nil || len(answers) != len(steps)+1 {
		log, _ := os.ReadFile(filepath.Join(dir, "bin", "holdfast.log"))
		t.Fatalf("the session broke off: %v\n%s\nthe server's log:\n%s", err, out, log)
	}
	return answers
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}

var (
	anyUUID   = regexp.MustCompile(`\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`)
	objectID  = regexp.MustCompile(`\b[0-9a-f]{24}\b`)
	logStamps = regexp.MustCompile(`\b(time|duration_ms)=\S+`)
	expiry    = regexp.MustCompile(`("lease_expiration_time_sec"):"\d+"`)
	moments   = regexp.MustCompile(`\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?`)
	keyID     = regexp.MustCompile(`\bkey [0-9a-f]{12}\b`)
)

// plainer removes from answers what naturally differs between runs, and numbers ids in the order in which they occur, so that equal ones still
// show. Ids of the catalogue stay.
type plainer map[string]string

func (p plainer) plain(answer, catalogue string) string {
	number := func(kind string) func(string) string {
		return func(id string) string {
			if strings.Contains(catalogue, id) {
				return id
			}
			if p[id] == "" {
				p[id] = fmt.Sprintf("<%s %d>", kind, len(p)+1)
			}
			return p[id]
		}
	}
	answer = logStamps.ReplaceAllString(strings.TrimRight(answer, "\n"), "$1=<$1>")
	answer = expiry.ReplaceAllString(answer, `$1:"<time>"`)
	answer = keyID.ReplaceAllString(answer, "key <key>")
	answer = moments.ReplaceAllStringFunc(answer, func(at string) string {
		if strings.HasPrefix(at, "2035") { // the sessions' visits
			return at
		}
		return "<moment>"
	})
	answer = anyUUID.ReplaceAllStringFunc(answer, number("uuid"))
	return objectID.ReplaceAllStringFunc(answer, number("schedule id"))
}

// Every command and every setting that --help shows is in the tables of docs/settings.md.
func TestReadmeHasEverySetting(t *testing.T) {
	settings := document(t, "docs/settings.md")
	variable := regexp.MustCompile(`\$((?:HOLDFAST|OTEL)_[A-Z_]+)`)
	seen := map[string]bool{}
	for _, command := range commandsOf(t) {
		help := helpOf(t, strings.Fields(command)...)
		if name, _, _ := strings.Cut(command, " "); !strings.Contains(settings, "| `"+name+" ") && !strings.Contains(settings, "| `"+name+"`") {
			t.Errorf("docs/settings.md does not have the command %q", name)
		}
		for _, found := range variable.FindAllStringSubmatch(help, -1) {
			seen[found[1]] = true
		}
	}
	for name := range seen {
		given := strings.TrimPrefix(strings.TrimPrefix(strings.TrimPrefix(name, "HOLDFAST_"), "OTEL_"), "EXPORTER_")
		flag := "--" + strings.ReplaceAll(strings.ToLower(given), "_", "-")
		if !strings.Contains(settings, "`"+name+"`") || !strings.Contains(settings, "`"+flag+"`") {
			t.Errorf("docs/settings.md does not have %s and %s", flag, name)
		}
	}
	if len(seen) < 10 {
		t.Errorf("--help shows %d settings only", len(seen))
	}
}

// Every route is in the README's table of calls, and in a session.
func TestReadmeHasEveryCall(t *testing.T) {
	readme := document(t, "README.md")
	var run string
	for _, name := range sessions {
		for _, s := range readSession(t, name) {
			run += s.command + "\n"
		}
	}
	var routes [][]string
	for _, file := range []string{"api/api.go", "api/google/google.go", "api/clinic/clinic.go"} {
		found := regexp.MustCompile(`edge\.(Get|Post)\("([^"]+)"`).FindAllStringSubmatch(document(t, file), -1)
		if len(found) < 2 {
			t.Fatalf("found %d routes in %s", len(found), file)
		}
		routes = append(routes, found...)
	}
	for _, r := range routes {
		method, path := strings.ToUpper(r[1]), r[2]
		if !strings.Contains(readme, "| `"+method+" "+path+"` |") || !regexp.MustCompile(`(http://`+sessionAddress+`|desk )`+path+`[\s|)]`).MatchString(run) {
			t.Errorf("%s %s is not in the README's table, or in no session", method, path)
		}
	}
}

// commandsOf are the commands that --help lists.
func commandsOf(t *testing.T) []string {
	t.Helper()
	_, list, _ := strings.Cut(helpOf(t), "\nCommands:\n")
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^  ([a-z-]+( [a-z-]+)*)`).FindAllStringSubmatch(list, -1) {
		names = append(names, found[1])
	}
	if len(names) < 6 {
		t.Fatalf("--help lists %q", names)
	}
	return names
}

func helpOf(t *testing.T, command ...string) string {
	t.Helper()
	var out, stderr bytes.Buffer
	if status := run(t.Context(), append(command, "--help"), &out, &stderr); status != 0 {
		t.Fatalf("%s --help: exit status %d\n%s", command, status, &stderr)
	}
	return out.String()
}

// Links of the documents lead somewhere, and the tests and files that they name
// are there.
func TestDocumentsNameWhatExists(t *testing.T) {
	tests := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range declared.FindAllStringSubmatch(string(text), -1) {
			tests[found[1]] = true
		}
		return err
	})
	must(t, err)
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	test := regexp.MustCompile(`\bTest[A-Z]\w+`)
	file := regexp.MustCompile("`([a-z./]+/)?[a-z_-]+\\.(go|sql|yaml|json|md|proto)`")
	for _, name := range documents(t) {
		text := document(t, name)
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			wantFile(t, name, filepath.Join(filepath.Dir(name), found[1]))
		}
		for _, found := range test.FindAllString(text, -1) {
			if !tests[found] {
				t.Errorf("%s: there is no test %s", name, found)
			}
		}
		for _, found := range file.FindAllString(text, -1) {
			if path := strings.Trim(found, "`"); strings.Contains(path, "/") {
				wantFile(t, name, path)
			}
		}
	}
}

func wantFile(t *testing.T, document, path string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, path)); err != nil {
		t.Errorf("%s: %v", document, err)
	}
}

// Every direct dependency is explained, in the version that go.mod has.
func TestDependenciesAreExplained(t *testing.T) {
	explained := document(t, "docs/dependencies.md")
	direct := regexp.MustCompile(`(?m)^\t(\S+) (v\S+)$`) // an indirect one has a comment behind it
	found := direct.FindAllStringSubmatch(document(t, "go.mod"), -1)
	if len(found) < 10 {
		t.Fatalf("found %d direct dependencies in go.mod", len(found))
	}
	for _, d := range found {
		if !strings.Contains(explained, "`"+d[1]+"` "+d[2]+" ") {
			t.Errorf("docs/dependencies.md does not have `%s` %s", d[1], d[2])
		}
	}
}

// The catalogues that docs/catalogue.md shows can be imported.
func TestCatalogueExamples(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(merchants:.*?)```")
	examples := block.FindAllStringSubmatch(document(t, "docs/catalogue.md"), -1)
	if len(examples) == 0 {
		t.Fatal("docs/catalogue.md shows no catalogue")
	}
	for i, example := range examples {
		path := filepath.Join(t.TempDir(), fmt.Sprintf("%d.yaml", i))
		must(t, os.WriteFile(path, []byte(example[1]), 0o600))
		file, err := catalogue.Open(t.Context(), path)
		must(t, err)
		if _, err := file.Clinics(t.Context()); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
	}
}

// documents are the names of all documents, from the top of the source tree.
func documents(t *testing.T) []string {
	t.Helper()
	names := []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md"}
	more, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	must(t, err)
	for _, path := range more {
		names = append(names, "docs/"+filepath.Base(path))
	}
	return slices.Clip(names)
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("there is no %s", name)
	}
	must(t, err)
	return string(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
