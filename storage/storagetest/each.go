// Package storagetest gives tests real databases: an empty SQLite file and an empty PostgreSQL
// database, both with the current schema, for the same test. There are no fakes, because it is
// the database that keeps a booking system's promises.
package storagetest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
)

// Database is an open, empty database of one test.
type Database struct {
	*storage.DB
	Target string // to open it again, as holdfast --database takes it
}

// PutClinic imports a clinic's catalogue at nowSec.
func (d Database) PutClinic(ctx context.Context, m inventory.Merchant, nowSec int64) error {
	return PutClinic(ctx, d.DB, m, nowSec)
}

// PutClinic is [Database.PutClinic] of any database.
func PutClinic(ctx context.Context, db *storage.DB, m inventory.Merchant, nowSec int64) error {
	s := &booking.Service{Store: db, Now: func() time.Time { return time.Unix(nowSec, 0) }}
	_, err := s.ReplaceClinic(ctx, booking.By{Actor: booking.ByOperator}, m)
	return err
}

// Main runs a package's tests, ends their PostgreSQL and returns the exit status, for TestMain.
// Leaked goroutines fail the run.
func Main(m *testing.M) int {
	code := m.Run()
	Stop()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

// Kind is a kind of database.
type Kind struct {
	Name string
	New  func(testing.TB) string // the target of an empty one
}

// Kinds are the kinds that tests run on: both, or with -short only SQLite.
func Kinds() []Kind {
	kinds := []Kind{{"SQLite", SQLite}, {"Postgres", Postgres}}
	if testing.Short() {
		return kinds[:1]
	}
	return kinds
}

// Each runs the test on each kind of database, as a subtest of that name.
func Each(t *testing.T, test func(t *testing.T, db Database)) {
	t.Helper()
	EachWith(t, storage.Options{}, test)
}

// EachWith is Each with options of the test's choice.
func EachWith(t *testing.T, o storage.Options, test func(t *testing.T, db Database)) {
	t.Helper()
	for _, kind := range Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			test(t, Prepared(t, kind, "", o, func(Database) {}))
		})
	}
}

// completed fills in what the test left open. TEST_BATCH bounds how many operations share a
// transaction.
func completed(o storage.Options) storage.Options {
	if n, err := strconv.Atoi(os.Getenv("TEST_BATCH")); err == nil && o.Batch == 0 {
		o.Batch = n
	}
	if o.Wait == 0 {
		o.Wait = patience // the machine may be busy
	}
	return o
}

// Open opens a database and closes it when the test ends.
func Open(t testing.TB, target string, o storage.Options) *storage.DB {
	t.Helper()
	db, err := storage.Open(context.Background(), target, completed(o))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Postgres returns the URL of an empty database with the current schema, which
// is dropped when the test ends.
func Postgres(t testing.TB) string {
	t.Helper()
	return PostgresDatabase(t, PostgresTemplate(t, "holdfast", create))
}

// sqliteTemplate is an empty database file with the current schema. Copying it is much faster
// than migrating.
var sqliteTemplate struct {
	sync.Once
	file []byte
	err  error
}

// SQLite returns the path of an empty database file with the current schema,
// which is removed when the test ends.
func SQLite(t testing.TB) string {
	t.Helper()
	path := filepath.Join(sqliteDir(t), "holdfast.db")
	sqliteTemplate.Do(func() {
		if sqliteTemplate.err = create(path); sqliteTemplate.err == nil {
			sqliteTemplate.file, sqliteTemplate.err = os.ReadFile(path)
		}
	})
	if sqliteTemplate.err != nil {
		t.Fatal(sqliteTemplate.err)
	}
	if err := os.WriteFile(path, sqliteTemplate.file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sqlitePrefix, followed by the process id and a random part, names the directory of
// a SQLite file in memory.
const sqlitePrefix = "holdfast-sqlite-"

// sqliteDir is an empty directory, in memory if there is room.
func sqliteDir(t testing.TB) string {
	t.Helper()
	memory, ok := inMemory()
	if !ok {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(memory, fmt.Sprintf("%s%d-", sqlitePrefix, os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// create makes the schema and closes the database again.
func create(target string) error {
	db, err := storage.Open(context.Background(), target, storage.Options{})
	if err != nil {
		return err
	}
	return db.Close()
}
