package storage

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
)

// CopiedTable is what was copied of one table. The digest depends neither on the database
// nor on the order of the rows.
type CopiedTable struct {
	Name   string
	Rows   int64
	Digest string // hexadecimal
}

// Copy copies everything from one database to another. Each is a postgres:// URL or the path
// of an SQLite file. The target must be empty, or hold an unfinished copy of the same source.
//
// Once the copy begins nobody can write to the source. So everything acknowledged before is
// copied, and nothing is acknowledged afterwards. Copy reads all rows in one snapshot and
// writes them in one transaction, which commits after it has read them back and found them
// equal; then it checks every invariant. The last step marks the source as copied, and
// servers on it answer 503 from then on. Copy returns once they have noticed.
//
// If anything fails before the last step, the source takes bookings again, and Copy can be
// called anew. A killed Copy leaves the source closed: call it again with the same databases
// to continue, or call [CancelCopy].
//
// o is as for [Open]. Copy reports to progress, if not nil, what it has done and to how many
// rows.
func Copy(ctx context.Context, from, to string, o Options, progress func(doing string, rows int64)) (done []CopiedTable, err error) {
	if progress == nil {
		progress = func(string, int64) {}
	}
	if err := mustExist(from); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	o.copying = true
	source, err := Open(ctx, from, o)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	defer func() { err = errors.Join(err, source.Close()) }()
	target, err := Open(ctx, to, o)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	defer func() { err = errors.Join(err, target.Close()) }()
	c := &copying{source: source, target: target, progress: progress}
	left, err := latestCopy(source.read.WithContext(ctx), copySource)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	arrived, err := c.arrived(ctx, left)
	if err != nil {
		return nil, err
	}
	if c.tables, err = c.plan(ctx); err != nil {
		return nil, err
	}
	if !arrived {
		if err := c.empty(ctx); err != nil {
			return nil, err
		}
	}
	if left == nil { // before anybody has to wait for it
		if err := sound(ctx, "source", source, progress); err != nil {
			return nil, err
		}
	}
	c.id, err = source.putUpFence(ctx, tableNames(c.tables), described(to))
	var already *CopiedError
	if errors.As(err, &already) && arrived {
		c.id, err = left.ID, nil // it was killed after the source was marked
	}
	if err == nil {
		done, err = c.run(ctx, arrived, described(from))
	}
	if err != nil {
		return nil, c.giveUp(ctx, err)
	}
	select { // until servers have noticed
	case <-time.After(2 * CopiedEvery):
	case <-ctx.Done():
	}
	return done, nil
}

// giveUp reopens the source for writes after err, unless it is marked as copied.
func (c *copying) giveUp(ctx context.Context, err error) error {
	reopened, err2 := c.source.takeDownFence(context.WithoutCancel(ctx))
	switch {
	case err2 != nil:
		return errors.Join(err, fmt.Errorf("the source takes no changes until holdfast copy --cancel: %w", err2))
	case reopened:
		return fmt.Errorf("%w; the source takes bookings again", err)
	}
	return err
}

// CancelCopy reopens a database for writes whose copy was broken off. It returns an error
// if there is no such copy, or if it is finished.
func CancelCopy(ctx context.Context, from string, o Options) (err error) {
	if err := mustExist(from); err != nil {
		return err
	}
	o.copying = true
	db, err := Open(ctx, from, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Copied(ctx); err != nil {
		return err
	}
	there, err := db.takeDownFence(ctx)
	if err == nil && !there {
		err = errors.New("this database is not being copied")
	}
	return err
}

// mustExist refuses an SQLite file that does not exist: opening it would make one.
func mustExist(target string) error {
	if isPostgres(target) {
		return nil
	}
	path, _, err := sqliteFile(target)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s", path)
	}
	return nil
}

// described names a database to people, without user and password.
func described(target string) string {
	if isPostgres(target) {
		u, err := url.Parse(target)
		if err != nil {
			return "a PostgreSQL database"
		}
		name := "postgres://" + u.Host + u.Path
		if schema := u.Query().Get("search_path"); schema != "" {
			name += "?search_path=" + schema
		}
		return name
	}
	path, _, err := sqliteFile(target)
	if err != nil {
		return "a file"
	}
	if full, err := filepath.Abs(path); err == nil {
		path = full
	}
	return path
}

// sound checks every invariant.
func sound(ctx context.Context, which string, db *DB, progress func(string, int64)) error {
	broken, err := db.Verify(ctx, func(invariant string) { progress(which+": checking that "+invariant, 0) })
	if err != nil {
		return fmt.Errorf("verify the %s: %w", which, err)
	}
	if len(broken) > 0 {
		return fmt.Errorf("the %s is not sound: %d rows break an invariant, the first that %s; holdfast verify lists them", which, len(broken), broken[0].Invariant)
	}
	return nil
}

// copying is one call of Copy.
type copying struct {
	source, target *DB
	tables         []copyTable // in an order in which their foreign keys allow it
	id             uuid.UUID
	progress       func(doing string, rows int64)
}

// copyTable is a table as both databases have it.
type copyTable struct {
	name    string
	columns []column // in the order in which they are read
}

func tableNames(tables []copyTable) []string {
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.name
	}
	return names
}

// list is the columns' names in SQL.
func (t copyTable) list() string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = `"` + c.name + `"`
	}
	return strings.Join(names, ", ")
}

// ownTables are what each database keeps for itself.
var ownTables = []string{"copies", "goose_db_version", "schema_compatibility"}

// copyKinds are the types of columns that can be copied, as either database names them.
var copyKinds = map[string]kind{
	"uuid": kindUUID, "text": kindText, "bigint": kindInt, "integer": kindInt, "boolean": kindBool, "bytea": kindBytes,
}

// copyTables are the database's tables, each after those that its foreign keys refer to. The
// database names them, so there is no list to keep up to date.
func (db *DB) copyTables(ctx context.Context) ([]copyTable, error) {
	var tables []copyTable
	refers := map[string][]string{}
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		tables = nil
		var columns []struct{ Name, Col, Type string }
		if err := tx.Raw(db.dialect.columns).Scan(&columns).Error; err != nil {
			return fmt.Errorf("look for tables: %w", err)
		}
		for _, c := range columns {
			if slices.Contains(ownTables, c.Name) {
				continue
			}
			kind, known := copyKinds[strings.ToLower(c.Type)]
			if !known {
				return fmt.Errorf("column %s of %s has the type %s, which cannot be copied", c.Col, c.Name, c.Type)
			}
			if len(tables) == 0 || tables[len(tables)-1].name != c.Name {
				tables = append(tables, copyTable{name: c.Name})
			}
			last := &tables[len(tables)-1]
			last.columns = append(last.columns, column{name: c.Col, kind: kind})
		}
		var keys []struct{ Name, Refers string }
		if err := tx.Raw(db.dialect.foreign).Scan(&keys).Error; err != nil {
			return fmt.Errorf("look for foreign keys: %w", err)
		}
		for _, k := range keys {
			refers[k.Name] = append(refers[k.Name], k.Refers)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return byReference(tables, refers)
}

// byReference puts each table behind those that it refers to.
func byReference(tables []copyTable, refers map[string][]string) (ordered []copyTable, err error) {
	placed := map[string]bool{}
	for len(ordered) < len(tables) {
		before := len(ordered)
		for _, t := range tables {
			waits := slices.ContainsFunc(refers[t.name], func(other string) bool { return other != t.name && !placed[other] })
			if !placed[t.name] && !waits {
				placed[t.name] = true
				ordered = append(ordered, t)
			}
		}
		if len(ordered) == before {
			return nil, errors.New("the tables refer to each other in a circle")
		}
	}
	return ordered, nil
}

// plan returns the tables, or an error unless both databases have the same.
func (c *copying) plan(ctx context.Context) ([]copyTable, error) {
	tables, err := c.source.copyTables(ctx)
	if err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	others, err := c.target.copyTables(ctx)
	if err != nil {
		return nil, fmt.Errorf("target: %w", err)
	}
	if a, b := spell(tables), spell(others); a != b {
		return nil, fmt.Errorf("the two databases do not have the same tables and columns: use the newest holdfast that either was opened with")
	}
	return tables, nil
}

// spell writes tables and columns as text, for comparing.
func spell(tables []copyTable) string {
	var lines []string
	for _, t := range tables {
		for _, c := range t.columns {
			lines = append(lines, t.name+"."+c.name+" "+string(c.kind))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// arrived reports whether the target already has all rows of the copy that was left
// unfinished. It returns an error if these two databases must not be copied.
func (c *copying) arrived(ctx context.Context, left *copyRow) (arrived bool, err error) {
	tx := c.target.read.WithContext(ctx)
	away, err := latestCopy(tx, copySource)
	if err != nil {
		return false, fmt.Errorf("target: %w", err)
	}
	if away != nil {
		return false, errors.New("the target is, or was, copied itself: choose an empty database")
	}
	to, err := latestCopy(tx, copyTarget)
	if err != nil {
		return false, fmt.Errorf("target: %w", err)
	}
	if to != nil && left != nil && to.ID == left.ID {
		return true, nil
	}
	if left != nil && left.FinishedSec != nil {
		return false, fmt.Errorf("source: %w", &CopiedError{left.Other, time.Unix(*left.FinishedSec, 0)})
	}
	return false, nil
}

// empty refuses a target that has any rows.
func (c *copying) empty(ctx context.Context) error {
	tx := c.target.read.WithContext(ctx)
	for _, t := range c.tables {
		var some bool
		if err := tx.Raw(`SELECT EXISTS (SELECT 1 FROM "` + t.name + `")`).Scan(&some).Error; err != nil {
			return fmt.Errorf("target: look into %s: %w", t.name, err)
		}
		if some {
			return fmt.Errorf("the target is not empty, it has %s: choose an empty database", t.name)
		}
	}
	return nil
}

// run does all that happens behind the fence.
func (c *copying) run(ctx context.Context, arrived bool, from string) ([]CopiedTable, error) {
	sent, err := c.transfer(ctx, arrived, from)
	if err != nil {
		return nil, err
	}
	if err := sound(ctx, "target", c.target, c.progress); err != nil {
		return nil, fmt.Errorf("%w; drop the target", err)
	}
	if err := c.source.finishCopy(ctx, c.id, copySource); err != nil {
		return nil, fmt.Errorf("mark the source as copied: %w", err)
	}
	if err := c.target.finishCopy(context.WithoutCancel(ctx), c.id, copyTarget); err != nil {
		return nil, fmt.Errorf("the copy is complete, but not marked so, give the same command again: %w", err)
	}
	return sent, nil
}

// transfer copies all tables, or (arrived) reads the copy, and checks that both databases
// have the same rows.
func (c *copying) transfer(ctx context.Context, arrived bool, from string) (sent []CopiedTable, err error) {
	pool, err := c.source.read.DB()
	if err != nil {
		return nil, err
	}
	out, err := pool.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("read the source: %w", err)
	}
	defer func() { err = errors.Join(err, ended(out.Rollback())) }()
	// Nobody may change a table between our look at its columns and at its rows.
	for _, s := range c.source.dialect.reading(tableNames(c.tables)) {
		if _, err := out.ExecContext(ctx, s); err != nil {
			return nil, fmt.Errorf("read the source: %w", err)
		}
	}
	again, err := c.plan(ctx)
	if err != nil {
		return nil, err
	}
	if spell(again) != spell(c.tables) {
		return nil, errors.New("the source has just been upgraded: give the command again")
	}
	if pool, err = c.target.write.DB(); err != nil {
		return nil, err
	}
	err = withConn(ctx, pool, func(conn *sql.Conn) (err error) {
		statements := append([]string{c.target.dialect.begin}, c.target.dialect.reading(nil)...)
		defer func() {
			if err != nil {
				_, err2 := conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
				err = errors.Join(err, ended(err2))
			}
		}()
		for _, s := range statements {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("write to the target: %w", err)
			}
		}
		if !arrived {
			// Another copy to the same database waits for this row, and then finds it.
			_, err := conn.ExecContext(ctx, "INSERT INTO copies (id, role, other, started_sec) VALUES ($1, $2, $3, $4)",
				c.id.String(), copyTarget, from, now().Unix())
			if err != nil {
				return fmt.Errorf("write to the target: %w", err)
			}
		}
		for _, t := range c.tables {
			// Without ErrTxDone from out, this is what its snapshot has.
			reader := &copyReader{table: t, doing: "copied: " + t.name, progress: c.progress}
			if err := reader.open(ctx, out); err != nil {
				return err
			}
			write := c.target.dialect.copyIn
			if arrived {
				reader.doing, write = "read: "+t.name, passOver
			}
			if err := errors.Join(write(ctx, conn, reader), reader.close()); err != nil {
				return fmt.Errorf("copy %s: %w", t.name, err)
			}
			sent = append(sent, reader.result())
		}
		for i, t := range c.tables {
			reader := &copyReader{table: t, doing: "read again: " + t.name, progress: c.progress}
			if err := reader.open(ctx, conn); err != nil {
				return err
			}
			if err := errors.Join(passOver(ctx, conn, reader), reader.close()); err != nil {
				return fmt.Errorf("read again %s: %w", t.name, err)
			}
			if got := reader.result(); got != sent[i] {
				return fmt.Errorf("%s is not what was copied: %d rows with digest %s instead of %d with %s", t.name, got.Rows, got.Digest, sent[i].Rows, sent[i].Digest)
			}
		}
		for _, s := range append(c.target.dialect.copied, "COMMIT") {
			if _, err := conn.ExecContext(ctx, s); err != nil {
				return fmt.Errorf("write to the target: %w", err)
			}
		}
		return nil
	})
	return sent, err
}

// ended ignores that a transaction has been undone already.
func ended(err error) error {
	if err != nil && classify(err) != broken {
		return nil
	}
	return err
}

// copyReader reads a table row by row, and counts and digests the rows.
type copyReader struct {
	table    copyTable
	doing    string
	progress func(doing string, rows int64)

	rows   *sql.Rows
	cells  []any // pointers to values
	values []any // the current row: uuid.UUID, string, int64, bool, []byte or nil
	text   []byte
	count  int64
	sum    [4]uint64 // of the rows' SHA-256, so that their order does not matter
}

func (r *copyReader) open(ctx context.Context, from interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}) (err error) {
	r.values = make([]any, len(r.table.columns))
	r.cells = make([]any, len(r.values))
	for i := range r.cells {
		r.cells[i] = new(any)
	}
	//nolint:rowserrcheck // close does
	r.rows, err = from.QueryContext(ctx, "SELECT "+r.table.list()+` FROM "`+r.table.name+`"`)
	if err != nil {
		return fmt.Errorf("read %s: %w", r.table.name, err)
	}
	return nil
}

func (r *copyReader) close() error { return errors.Join(r.rows.Err(), r.rows.Close()) }

// next reads a row into values. It returns false at the end.
func (r *copyReader) next() (bool, error) {
	if !r.rows.Next() {
		return false, r.rows.Err()
	}
	if err := r.rows.Scan(r.cells...); err != nil {
		return false, err
	}
	r.text = r.text[:0]
	for i, c := range r.table.columns {
		v, err := c.plain(*(r.cells[i].(*any)))
		if err != nil {
			return false, fmt.Errorf("column %s: %w", c.name, err)
		}
		r.values[i] = v
		r.text = appendCell(r.text, v)
	}
	digest := sha256.Sum256(r.text)
	for i := range r.sum {
		r.sum[i] += binary.BigEndian.Uint64(digest[8*i:])
	}
	r.count++
	if r.count%1000 == 0 {
		r.progress(r.doing, r.count)
	}
	return true, nil
}

func (r *copyReader) result() CopiedTable {
	var digest []byte
	for _, s := range r.sum {
		digest = binary.BigEndian.AppendUint64(digest, s)
	}
	return CopiedTable{Name: r.table.name, Rows: r.count, Digest: fmt.Sprintf("%x", digest[:16])}
}

// plain converts a value to a form that does not depend on the database. Errors do not
// repeat the value.
func (c column) plain(v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	switch v := v.(type) {
	case string:
		switch c.kind {
		case kindText:
			return v, nil
		case kindBytes: // migration 12 wrote '' into an SQLite file
			return []byte(v), nil
		case kindUUID:
			id, err := uuid.Parse(v)
			if err != nil {
				return nil, errors.New("not a UUID")
			}
			return id, nil
		}
	case []byte:
		if c.kind == kindBytes {
			return append([]byte{}, v...), nil // never nil, which would be NULL
		}
	case int64:
		switch {
		case c.kind == kindInt:
			return v, nil
		case c.kind == kindBool && (v == 0 || v == 1):
			return v == 1, nil
		}
	case bool:
		if c.kind == kindBool {
			return v, nil
		}
	}
	return nil, fmt.Errorf("a value of type %T where %s should be", v, c.kind)
}

// appendCell writes a value so that rows with different values never give the same text.
func appendCell(text []byte, v any) []byte {
	var cell []byte
	switch v := v.(type) {
	case nil:
		return append(text, 0)
	case uuid.UUID:
		cell = v[:]
	case string:
		text = binary.AppendUvarint(append(text, 1), uint64(len(v)))
		return append(text, v...)
	case int64:
		cell = binary.BigEndian.AppendUint64(nil, uint64(v)) //nolint:gosec // its bits
	case bool:
		cell = []byte{0}
		if v {
			cell[0] = 1
		}
	case []byte:
		cell = v
	}
	text = binary.AppendUvarint(append(text, 1), uint64(len(cell)))
	return append(text, cell...)
}

// passOver reads all rows, for their digest alone.
func passOver(_ context.Context, _ *sql.Conn, r *copyReader) error {
	for {
		if more, err := r.next(); err != nil || !more {
			return err
		}
	}
}

// copyBatch is how many rows one statement writes: enough that the statement itself costs
// little beside its rows, and few enough that foreign keys are checked before long.
const copyBatch = 20_000

// copyPostgres writes rows with COPY.
func copyPostgres(ctx context.Context, conn *sql.Conn, r *copyReader) error {
	columns := make([]string, len(r.table.columns))
	for i, c := range r.table.columns {
		columns[i] = c.name
	}
	return conn.Raw(func(driver any) error {
		raw := driver.(*stdlib.Conn).Conn()
		for ended := false; !ended; {
			n := 0
			_, err := raw.CopyFrom(ctx, pgx.Identifier{r.table.name}, columns, pgx.CopyFromFunc(func() ([]any, error) {
				if n == copyBatch {
					return nil, nil
				}
				n++
				more, err := r.next()
				if err != nil || !more {
					ended = true
					return nil, err
				}
				for i, v := range r.values {
					if id, ok := v.(uuid.UUID); ok {
						r.values[i] = pgtype.UUID{Bytes: id, Valid: true}
					}
				}
				return r.values, nil
			}))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// copySQLite writes rows with INSERT, many at a time.
func copySQLite(ctx context.Context, conn *sql.Conn, r *copyReader) error {
	width := len(r.table.columns)
	row := "(?" + strings.Repeat(", ?", width-1) + ")"
	into := `INSERT INTO "` + r.table.name + `" (` + r.table.list() + ") VALUES "
	most := min(200, 32766/width)
	args := make([]any, 0, most*width)
	for ended := false; !ended; {
		args = args[:0]
		for len(args) < most*width {
			more, err := r.next()
			if err != nil {
				return err
			}
			if !more {
				ended = true
				break
			}
			for _, v := range r.values {
				if id, ok := v.(uuid.UUID); ok {
					v = id.String()
				}
				args = append(args, v)
			}
		}
		if n := len(args) / width; n > 0 {
			if _, err := conn.ExecContext(ctx, into+row+strings.Repeat(", "+row, n-1), args...); err != nil {
				return err
			}
		}
	}
	return nil
}

// What the two databases know about their own tables.
const (
	columnsPostgres = `SELECT c.relname AS name, a.attname AS col, format_type(a.atttypid, a.atttypmod) AS type
		FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
		ORDER BY c.relname COLLATE "C", a.attnum`
	foreignPostgres = `SELECT c.relname AS name, r.relname AS refers
		FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = k.confrelid
		WHERE k.contype = 'f' AND c.relnamespace = current_schema()::regnamespace`
	columnsSQLite = `SELECT m.name AS name, c.name AS col, c.type AS type FROM sqlite_master m JOIN pragma_table_info(m.name) c
		WHERE m.type = 'table' AND substr(m.name, 1, 7) <> 'sqlite_' ORDER BY m.name, c.cid`
	foreignSQLite = `SELECT m.name AS name, f."table" AS refers FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table'`
)

// readingPostgres are the first statements of a transaction that reads or writes for long.
func readingPostgres(tables []string) []string {
	statements := []string{"SET LOCAL statement_timeout = 0", "SET LOCAL idle_in_transaction_session_timeout = 0"}
	if len(tables) > 0 {
		statements = append(statements, `LOCK TABLE "`+strings.Join(tables, `", "`)+`" IN ACCESS SHARE MODE`)
	}
	return statements
}

func readingSQLite([]string) []string { return nil }
