package storage

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gorm.io/gorm"
)

// minPostgres is the oldest PostgreSQL that the schema and the tests support.
const minPostgres = 150000

// checkPostgres refuses a server that could lose an acknowledged booking.
func checkPostgres(ctx context.Context, db *DB) error {
	var s struct {
		Version           int
		Fsync             string
		FullPageWrites    string
		SynchronousCommit string
		ReadOnly          bool
	}
	err := db.write.WithContext(ctx).Raw(`SELECT current_setting('server_version_num')::int AS version,
		current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
		current_setting('synchronous_commit') AS synchronous_commit, current_setting('transaction_read_only') = 'on' AS read_only`).Scan(&s).Error
	switch {
	case err != nil:
		return fmt.Errorf("reach the database: %w", err)
	case s.Version < minPostgres:
		return fmt.Errorf("PostgreSQL %d is too old: upgrade to 15 or newer", s.Version/10000)
	case s.ReadOnly:
		return fmt.Errorf("refusing to start: %w", errReadOnly)
	}
	var unsafe []error
	if s.Fsync != "on" {
		unsafe = append(unsafe, unsafeSetting("fsync", s.Fsync, "and a crash could destroy bookings", "set fsync = on in postgresql.conf and restart PostgreSQL"))
	}
	if s.FullPageWrites != "on" {
		unsafe = append(unsafe, unsafeSetting("full_page_writes", s.FullPageWrites, "and a crash could destroy bookings", "set full_page_writes = on in postgresql.conf"))
	}
	if s.SynchronousCommit == "off" {
		unsafe = append(unsafe, unsafeSetting("synchronous_commit", s.SynchronousCommit, "and a crash would lose acknowledged bookings",
			"set synchronous_commit = on for the server, this database and this role (ALTER DATABASE … RESET, ALTER ROLE … RESET)"))
	}
	return errors.Join(append(unsafe, checkLogging(ctx, db))...)
}

// Unsafe is a setting that would break a promise.
type Unsafe struct {
	Name, Value string
	Why         string // begins with "and"
	Remedy      string
}

func (u *Unsafe) Error() string {
	return fmt.Sprintf("refusing to start: %s is %s, %s; %s", u.Name, u.Value, u.Why, u.Remedy)
}

func unsafeSetting(name, value, why, remedy string) error {
	return &Unsafe{name, value, why, remedy}
}

// checkSQLite reads back the settings in effect, because the driver silently ignores options
// that it does not know.
func checkSQLite(ctx context.Context, db *DB) error {
	var unsafe []error
	for _, pool := range []*gorm.DB{db.write, db.read} {
		for _, want := range []struct{ pragma, value, shown, why string }{
			{"journal_mode", "wal", "WAL", "readers would block the writer"},
			{"synchronous", "2", "FULL", "a power cut would lose acknowledged bookings"},
			{"foreign_keys", "1", "ON", "bookings could lose their parts"},
			{"secure_delete", "1", "ON", "what was erased would stay in the file"},
		} {
			var got string
			if err := pool.WithContext(ctx).Raw("PRAGMA " + want.pragma).Scan(&got).Error; err != nil {
				return fmt.Errorf("open the database file: %w", err)
			}
			if !strings.EqualFold(got, want.value) {
				unsafe = append(unsafe, unsafeSetting(want.pragma, got, "and "+want.why, "take it out of --database, it must be "+want.shown))
			}
		}
		var busy int
		if err := pool.WithContext(ctx).Raw("PRAGMA busy_timeout").Scan(&busy).Error; err != nil {
			return fmt.Errorf("read busy_timeout: %w", err)
		}
		if busy < 1000 {
			unsafe = append(unsafe, unsafeSetting("busy_timeout", fmt.Sprint(busy, " ms"), "and writers would fail instead of waiting", "take it out of --database, it must be 1000 ms or more"))
		}
		if unsafe != nil { // the other pool has the same
			break
		}
	}
	return errors.Join(append(unsafe, checkImmediate(ctx, db))...)
}

// checkImmediate makes sure that a write transaction takes the write lock when it begins. One
// that reads before it writes decides on rows that it has not locked, and if somebody else
// writes meanwhile it fails at once, whatever the busy timeout.
func checkImmediate(ctx context.Context, db *DB) (err error) {
	pool, err := db.read.DB()
	if err != nil {
		return err
	}
	other, err := pool.Conn(ctx)
	if err != nil {
		return fmt.Errorf("open the database file: %w", err)
	}
	defer func() { err = errors.Join(err, other.Close()) }()
	exec := func(statement string) error {
		_, err := other.ExecContext(ctx, statement)
		return err
	}
	if err := exec("PRAGMA busy_timeout = 0"); err != nil {
		return err
	}
	err = db.write.WithContext(ctx).Transaction(func(*gorm.DB) error { return exec("BEGIN IMMEDIATE") })
	switch {
	case err == nil:
		return errors.Join(exec("ROLLBACK"),
			unsafeSetting("_txlock", "not immediate", "and two writers could decide on the same rows", "take _txlock out of --database"))
	case classify(err) != rolledBack:
		return fmt.Errorf("try the write lock: %w", err)
	}
	return exec("PRAGMA busy_timeout = 5000")
}
