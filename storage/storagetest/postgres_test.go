package storagetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}

// connect returns a connection that the test closes.
func connect(t *testing.T, database string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return conn
}

func query[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var answer T
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return answer
}

func colours(t *testing.T) string {
	t.Helper()
	return PostgresTemplate(t, "colours", func(database string) error {
		return errors.Join(
			execute(database, "CREATE TABLE colours (name text PRIMARY KEY)"),
			execute(database, "INSERT INTO colours VALUES ('blue')"),
		)
	})
}

func TestPostgresDatabasesAreSeparateCopies(t *testing.T) {
	template := colours(t)
	first := connect(t, PostgresDatabase(t, template))
	second := connect(t, PostgresDatabase(t, template))

	if _, err := first.Exec(t.Context(), "INSERT INTO colours VALUES ('green')"); err != nil {
		t.Fatal(err)
	}
	if got := query[int](t, first, "SELECT count(*) FROM colours"); got != 2 {
		t.Errorf("rows in the changed database: got %d, want 2", got)
	}
	if got := query[int](t, second, "SELECT count(*) FROM colours"); got != 1 {
		t.Errorf("rows in the other database: got %d, want the template's 1", got)
	}
	if got := query[bool](t, connect(t, PostgresDatabase(t, "")), "SELECT to_regclass('colours') IS NULL"); !got {
		t.Error("the table of a template is in an empty database too")
	}
}

func TestPostgresDatabasesInParallel(t *testing.T) {
	for range 8 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			conn := connect(t, PostgresDatabase(t, colours(t)))
			if got := query[int](t, conn, "SELECT count(*) FROM colours"); got != 1 {
				t.Errorf("rows: got %d, want the template's 1", got)
			}
		})
	}
}

func TestPostgresTemplateIsPreparedOnce(t *testing.T) {
	times := 0
	prepare := func(string) error { times++; return nil }
	name := uniqueName() // new with -count too
	first := PostgresTemplate(t, name, prepare)
	if second := PostgresTemplate(t, name, prepare); second != first {
		t.Errorf("the same name twice: got %s, want %s", second, first)
	}
	if times != 1 {
		t.Errorf("prepared %d times, want once", times)
	}
}

func TestPostgresDatabaseIsDroppedWithConnectionsOpen(t *testing.T) {
	var database string
	t.Run("forgets a connection", func(t *testing.T) {
		database = PostgresDatabase(t, "")
		conn, err := pgx.Connect(t.Context(), database)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn // never closed
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	sql := fmt.Sprintf("SELECT count(*) FROM pg_database WHERE datname = '%s'", u.Path[1:])
	if got := query[int](t, connect(t, PostgresURL(t)), sql); got != 0 {
		t.Errorf("databases called %s after its test: got %d, want 0", u.Path[1:], got)
	}
}

// The service refuses a database that may lose commits, so the tests' must not be one.
func TestPostgresIsDurable(t *testing.T) {
	conn := connect(t, PostgresDatabase(t, ""))
	for _, setting := range []string{"fsync", "synchronous_commit", "full_page_writes"} {
		if got := query[string](t, conn, "SHOW "+setting); got != "on" {
			t.Errorf("%s: got %s, want on", setting, got)
		}
	}
}

// TestPostgresEndsWithItsProcess kills a process like this one, which cannot
// tidy up, and expects its server and its files to go.
func TestPostgresEndsWithItsProcess(t *testing.T) {
	if os.Getenv("STORAGETEST_VICTIM") != "" {
		fmt.Println("\nserver:", PostgresURL(t))
		time.Sleep(patience) // until killed; select {} would be a deadlock, without cgo
	}
	if os.Getenv("TEST_POSTGRES_URL") != "" {
		t.Skip("TEST_POSTGRES_URL is set: there is no private server to end")
	}
	victim := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$")
	victim.Env = append(os.Environ(), "STORAGETEST_VICTIM=1")
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	var database string
	for lines := bufio.NewScanner(output); database == "" && lines.Scan(); {
		database, _ = strings.CutPrefix(lines.Text(), "server: ")
		if database == lines.Text() {
			database = ""
		}
	}
	if err := ping(database); err != nil {
		t.Errorf("before the kill: %v", err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := victim.Wait(); err == nil {
		t.Error("the process ended by itself")
	}

	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	dir := u.Query().Get("host")
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		_, err := os.Stat(dir)
		if errors.Is(err, os.ErrNotExist) {
			break // the supervisor removes it after the server's end
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still there: %v", dir, err)
		}
	}
	if err := ping(database); err == nil {
		t.Error("the server still answers")
	}
}
