package storagetest

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
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
	db, list, err := open(target)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.Query(list)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return DumpTables(target, all...)
}

// open opens the database without the code under test. list is a query for its tables.
func open(target string) (db *sql.DB, list string, err error) {
	driver, list := "sqlite", "SELECT name FROM sqlite_master WHERE type = 'table'"
	if strings.HasPrefix(target, "postgres://") {
		driver, list = "pgx", "SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"
	}
	db, err = sql.Open(driver, target)
	return db, list, err
}

// DumpTables is Dump of other tables.
func DumpTables(target string, tables ...string) (map[string]string, error) {
	db, _, err := open(target)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	dump := map[string]string{}
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

// Forget deletes the rows of the tables that an operation on bookings can touch, and the search
// index of guests. It leaves the catalogue. A random history begins with it, so that a look at
// everything after each step does not cost more with every history.
func Forget(target string) (err error) {
	db, _, err := open(target)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	all := append([]string{"guest_terms"}, tables...)
	if strings.HasPrefix(target, "postgres://") {
		_, err = db.Exec("TRUNCATE " + strings.Join(all, ", "))
		return err
	}
	var statements strings.Builder
	statements.WriteString("PRAGMA busy_timeout = 5000; BEGIN IMMEDIATE; PRAGMA defer_foreign_keys = ON;")
	for _, table := range all {
		statements.WriteString("DELETE FROM " + table + ";")
	}
	statements.WriteString("COMMIT")
	_, err = db.Exec(statements.String())
	return err
}
