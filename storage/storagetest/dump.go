package storagetest

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib" // and registers the driver "pgx"
)

// tables are those that an operation on bookings can touch.
var tables = []string{
	"idempotency_tokens", "bookings", "occupied_resources", "holds", "slots", "guests", "guest_keys", "booking_events", "outbox",
}

// Dump returns all rows of the tables that an operation on bookings can touch, as text, by
// table: compare two to see whether something left a trace. It reads the database without
// the code under test.
func Dump(target string) (map[string]string, error) { return DumpTables(target, tables...) }

// DumpAll is Dump of every table.
func DumpAll(target string) (map[string]string, error) {
	list := "SELECT name FROM sqlite_master WHERE type = 'table'"
	if isPostgres(target) {
		list = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
	}
	all, err := column(target, list)
	if err != nil {
		return nil, err
	}
	return DumpTables(target, all...)
}

// Raw opens a database past the code under test. done takes it back: on PostgreSQL it
// stays open for the next who asks, because a connection costs as much as a test.
func Raw(target string) (db *sql.DB, done func() error, err error) {
	if !isPostgres(target) {
		db, err = sql.Open("sqlite", target)
		if err != nil {
			return nil, nil, err
		}
		return db, db.Close, nil
	}
	raws.Lock()
	defer raws.Unlock()
	if raws.of[target] == nil {
		config, err := pgx.ParseConfig(target)
		if err != nil {
			return nil, nil, errors.New("the URL of a test's database cannot be read")
		}
		config.DefaultQueryExecMode = pgx.QueryExecModeExec // tests change the schema
		raws.of[target] = stdlib.OpenDB(*config)
	}
	return raws.of[target], func() error { return nil }, nil
}

func isPostgres(target string) bool { return strings.HasPrefix(target, "postgres") }

// raws are what Raw has opened, by target.
var raws = struct {
	sync.Mutex
	of map[string]*sql.DB
}{of: map[string]*sql.DB{}}

// endRaw closes what Raw has opened of a target.
func endRaw(target string) error {
	raws.Lock()
	defer raws.Unlock()
	db := raws.of[target]
	if db == nil {
		return nil
	}
	delete(raws.of, target)
	return db.Close()
}

// column is what a query for one column of text finds.
func column(target, query string) (all []string, err error) {
	db, done, err := Raw(target)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	rows, err := db.Query(query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

// DumpTables is Dump of other tables.
func DumpTables(target string, tables ...string) (dump map[string]string, err error) {
	db, done, err := Raw(target)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, done()) }()
	dump = map[string]string{}
	for _, table := range tables {
		if dump[table], err = dumpTable(db, table); err != nil {
			return nil, fmt.Errorf("dump %s: %w", table, err)
		}
	}
	return dump, nil
}

func dumpTable(db *sql.DB, table string) (string, error) {
	rows, err := db.Query("SELECT * FROM " + table)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var lines []string
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return "", err
		}
		var text strings.Builder
		for i, v := range values {
			value := *(v.(*any))
			if b, binary := value.([]byte); binary {
				value = strconv.Quote(string(b))
			}
			fmt.Fprintf(&text, "%s=%v ", columns[i], value)
		}
		lines = append(lines, text.String()+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, ""), rows.Err()
}

// Forget deletes the rows of the tables that an operation on bookings can touch, and the
// index of guests; the catalogue stays. A random history begins with it, so that looking
// at everything after each of its steps costs no more in the last than in the first.
func Forget(target string) error {
	statements := []string{"DELETE FROM guest_terms"}
	for _, table := range tables {
		statements = append(statements, "DELETE FROM "+table)
	}
	return Exec(target, statements...)
}

// Exec runs statements past the code under test, in one transaction that may break
// references between tables on its way.
func Exec(target string, statements ...string) (err error) {
	db, done, err := Raw(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, done()) }()
	begin := "PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON; "
	if isPostgres(target) {
		begin = "BEGIN; SET LOCAL session_replication_role = replica; "
	}
	_, err = db.Exec(begin + strings.Join(statements, "; ") + "; COMMIT")
	return err
}
