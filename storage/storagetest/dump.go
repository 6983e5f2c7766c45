package storagetest

import (
	"database/sql"
	"fmt"
	"strings"

	_ "github.com/jackc/pgx/v5/stdlib" // registers the driver "pgx"
)

// tables are those that an operation on bookings can touch.
var tables = []string{
	"idempotency_tokens", "bookings", "occupied_resources", "holds", "slots", "guests", "guest_keys", "booking_events", "outbox",
}

// Dump returns all rows of the tables that an operation on bookings can touch,
// as text, by table: compare two to see whether something left a trace. It
// reads the database past the code under test.
func Dump(target string) (map[string]string, error) { return DumpTables(target, tables...) }

// DumpTables is Dump of other tables.
func DumpTables(target string, tables ...string) (map[string]string, error) {
	driver := "sqlite"
	if strings.HasPrefix(target, "postgres://") {
		driver = "pgx"
	}
	db, err := sql.Open(driver, target)
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
	rows, err := db.Query("SELECT * FROM " + table + " ORDER BY 1, 2, 3")
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	var text strings.Builder
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(any)
		}
		if err := rows.Scan(values...); err != nil {
			return "", err
		}
		for i, v := range values {
			fmt.Fprintf(&text, "%s=%v ", columns[i], *(v.(*any)))
		}
		text.WriteByte('\n')
	}
	return text.String(), rows.Err()
}
