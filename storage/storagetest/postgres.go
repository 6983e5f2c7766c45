package storagetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds every wait for PostgreSQL. It is long because the tests of every package
// start a server of their own, all at once, perhaps on two cores. When it runs out, something
// is broken and not just slow.
const patience = 2 * time.Minute

// server is the one PostgreSQL of this test process. It is a global because it lives as long as
// the process: starting one takes a second, and the tests that share it have nothing else in
// common.
var server struct {
	start sync.Once
	url   string       // of the admin database
	err   error        // why there is no server
	stop  func() error // nil when the server is not ours to stop
}

// templates are the databases that PostgresTemplate has prepared, by the name
// their callers gave them.
var templates = struct {
	sync.Mutex
	made map[string]string
}{made: map[string]string{}}

// copying is held while a database is copied: PostgreSQL refuses to copy a database that has
// connections, and two copies at once gain nothing.
var copying sync.Mutex

// PostgresURL returns the URL of an admin database on a real PostgreSQL, shared
// by all tests of this process: create databases through it, keep nothing in it.
//
// The server is the one that TEST_POSTGRES_URL names (as a role that may create databases), or
// a private one, which starts on first use and ends with the process. A test that cannot get the
// PostgreSQL that it needs fails: if it were skipped, a machine without PostgreSQL would report
// success.
func PostgresURL(t testing.TB) string {
	t.Helper()
	server.start.Do(func() {
		// Its many databases live for seconds, and its statements take milliseconds.
		server.url, server.stop, server.err = openServer("autovacuum=off", "jit=off")
	})
	if server.err != nil {
		t.Fatal(server.err)
	}
	return server.url
}

// PostgresDatabase creates a database as a copy of template, a name that
// PostgresTemplate returned, or an empty one when template is "". It returns the
// new database's URL and drops the database when the test ends, connections or not.
func PostgresDatabase(t testing.TB, template string) string {
	t.Helper()
	admin := PostgresURL(t)
	if template == "" {
		template = "template1"
	}
	name := uniqueName()
	if err := createDatabase(admin, name, template); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dropDatabase(admin, name); err != nil {
			t.Error(err)
		}
	})
	return databaseURL(admin, name)
}

// PostgresTemplate returns the name of a database to copy with PostgresDatabase.
// The first call with a name creates it and has prepare fill it (migrations take
// far longer than a copy); later calls in this process get the same one.
// prepare must close what it opens: a database in use cannot be copied.
func PostgresTemplate(t testing.TB, name string, prepare func(url string) error) string {
	t.Helper()
	admin := PostgresURL(t)
	templates.Lock()
	defer templates.Unlock()
	if made, ok := templates.made[name]; ok {
		return made
	}
	made := uniqueName()
	if err := createDatabase(admin, made, "template1"); err != nil {
		t.Fatal(err)
	}
	// A template is remembered only when it is complete, so that a failed, or
	// even panicking, prepare cannot hand half of one to the next test.
	complete := false
	defer func() {
		if complete {
			templates.made[name] = made
		} else if err := dropDatabase(admin, made); err != nil {
			t.Error(err)
		}
	}()
	if err := prepare(databaseURL(admin, made)); err != nil {
		t.Fatalf("prepare template %s: %v", name, err)
	}
	// From here on nobody can connect to it by mistake and block the copies.
	if err := execute(admin, "ALTER DATABASE "+quote(made)+" ALLOW_CONNECTIONS false"); err != nil {
		t.Fatalf("close template %s: %v", name, err)
	}
	complete = true
	return made
}

// Stop ends the private server and removes its files, or drops this process's
// templates from the server of TEST_POSTGRES_URL. Call it in TestMain after
// m.Run; no test can use PostgreSQL afterwards. Without it a private server
// goes too, a moment after the process; templates on a given server stay.
func Stop() {
	started := true
	server.start.Do(func() { started = false })
	if !started || server.err != nil {
		server.err = errors.New("PostgreSQL asked for after storagetest.Stop")
		return
	}
	if err := endSpares(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	server.err = errors.New("PostgreSQL asked for after storagetest.Stop")
	if server.stop != nil {
		if err := server.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		}
		return
	}
	templates.Lock()
	defer templates.Unlock()
	for _, made := range templates.made {
		if err := dropDatabase(server.url, made); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// openServer finds or starts the server. stop is nil when it is not ours.
func openServer(settings ...string) (admin string, stop func() error, err error) {
	given := os.Getenv("TEST_POSTGRES_URL")
	if given == "" {
		return startServer(settings...)
	}
	u, err := url.Parse(given)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		// The value is not repeated: it may hold a password.
		return "", nil, errors.New("TEST_POSTGRES_URL is not a URL of the form postgres://user:password@host:port/database")
	}
	if err := ping(given); err != nil {
		return "", nil, fmt.Errorf("TEST_POSTGRES_URL: %w", err)
	}
	return given, nil, nil
}

func createDatabase(admin, name, template string) error {
	copying.Lock()
	defer copying.Unlock()
	create := "CREATE DATABASE " + quote(name) + " TEMPLATE " + quote(template)
	// If a checkpoint does not wait for a disk, two of them and a copy of files are less work
	// than writing all pages to the log.
	if _, ok := inMemory(); ok && os.Getenv("TEST_POSTGRES_URL") == "" {
		create += " STRATEGY file_copy"
	}
	err := execute(admin, create)
	if err != nil {
		return fmt.Errorf("create database %s from %s: %w", name, template, err)
	}
	return nil
}

func dropDatabase(admin, name string) error {
	if err := endRaw(databaseURL(admin, name)); err != nil {
		return err
	}
	// FORCE, so that a connection that a test forgot does not fail the next one.
	if err := execute(admin, "DROP DATABASE IF EXISTS "+quote(name)+" WITH (FORCE)"); err != nil {
		return fmt.Errorf("drop database %s: %w", name, err)
	}
	return nil
}

// execute runs one statement on a connection of its own: a pool would leave
// goroutines behind that look like leaks of the code under test. The context is
// not the test's, because databases are dropped after that has ended.
func execute(database, statement string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

func ping(database string) error { return execute(database, "SELECT 1") }

// databaseURL is admin's URL with another database's name in it.
func databaseURL(admin, name string) string {
	u, err := url.Parse(admin)
	if err != nil {
		panic(err) // openServer has parsed or built it
	}
	u.Path = "/" + name
	return u.String()
}

func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// names makes uniqueName's results differ from those of any other process that shares the
// server, on this machine or another. A process id alone would not.
var (
	names     = sync.OnceValue(func() string { return fmt.Sprintf("holdfast_%d_%s", os.Getpid(), randomHex()) })
	nameCount atomic.Int64
)

func uniqueName() string { return fmt.Sprintf("%s_%d", names(), nameCount.Add(1)) }

func randomHex() string {
	b := make([]byte, 4)
	rand.Read(b) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(b)
}

// StartPostgres is PostgresURL for a program that is not a test, such as a benchmark: it returns
// the admin database of the server that TEST_POSTGRES_URL names, or of a private one, which stop
// ends. settings are for the private one, as postgres -c takes them.
func StartPostgres(settings ...string) (admin string, stop func() error, err error) {
	admin, stop, err = openServer(settings...)
	if stop == nil {
		stop = func() error { return nil }
	}
	return admin, stop, err
}

// NewDatabase creates an empty database on the server of admin, for a program that is not a
// test, and returns its URL.
func NewDatabase(admin string) (string, error) {
	name := uniqueName()
	return databaseURL(admin, name), createDatabase(admin, name, "template1")
}
