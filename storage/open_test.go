package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

func TestMain(m *testing.M) {
	os.Exit(storagetest.Main(m))
}

// with adds a query to a target.
func with(target, query string) string {
	if strings.Contains(target, "?") {
		return target + "&" + query
	}
	return target + "?" + query
}

func TestRefusesUnsafeSettings(t *testing.T) {
	exec := func(t *testing.T, target, statement string) {
		t.Helper()
		db, err := sql.Open("pgx", target)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name   string
		target func(t *testing.T) string
		want   string // in the error
	}{
		{"SQLite synchronous NORMAL", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_pragma=synchronous(NORMAL)")
		}, "synchronous is 1"},
		{"SQLite synchronous OFF by the short spelling", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_synchronous=OFF")
		}, "synchronous"},
		{"SQLite without WAL", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_pragma=journal_mode(DELETE)")
		}, "journal_mode is delete"},
		{"SQLite without foreign keys", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_pragma=foreign_keys(OFF)")
		}, "foreign_keys is 0"},
		{"SQLite that keeps what is deleted", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_pragma=secure_delete(FAST)")
		}, "secure_delete is 2"},
		{"SQLite without patience", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_pragma=busy_timeout(0)")
		}, "busy_timeout is 0 ms"},
		{"SQLite with deferred transactions", func(t *testing.T) string {
			return with(storagetest.SQLite(t), "_txlock=deferred")
		}, "_txlock"},
		{"SQLite in memory", func(*testing.T) string { return ":memory:" }, "must be a file"},
		{"Postgres synchronous_commit off for the database", func(t *testing.T) string {
			target := storagetest.Postgres(t)
			exec(t, target, fmt.Sprintf("ALTER DATABASE %s SET synchronous_commit = off", database(t, target)))
			return target
		}, "synchronous_commit is off"},
		{"Postgres synchronous_commit off in the URL", func(t *testing.T) string {
			return with(storagetest.Postgres(t), "synchronous_commit=off")
		}, "synchronous_commit is off"},
		{"Postgres that would log parameters of statements that fail", func(t *testing.T) string {
			return with(storagetest.Postgres(t), "log_parameter_max_length_on_error=-1")
		}, "log_parameter_max_length_on_error is -1"},
		{"Postgres with parameters in statements", func(t *testing.T) string {
			return with(storagetest.Postgres(t), "default_query_exec_mode=simple_protocol")
		}, "default_query_exec_mode is simple_protocol"},
		{"Postgres that is not there", func(*testing.T) string { return "postgres://127.0.0.1:1/none?connect_timeout=2" }, "failed to connect"},
		{"Postgres URL that is none", func(*testing.T) string { return "postgres://u:secret@[::1/x" }, "cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := storage.Open(t.Context(), c.target(t), storage.Options{})
			if err == nil {
				_ = db.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to say %q", err, c.want)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("the error repeats a password: %v", err)
			}
		})
	}
}

// What was meant as a server's address is not taken for the name of a file, which would contain the password, and errors do not
// repeat it.
func TestRefusesAddressesAsFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, target := range []string{
		"host=db.example.com user=holdfast password=s3cret dbname=holdfast", "password=s3cret", "HOST = db PASSWORD = s3cret", "'host=db password=s3cret'",
		"Server=db;Database=holdfast;User Id=holdfast;Password=s3cret", "service=s3cret", "\tsslmode=disable password=s3cret",
		"holdfast:s3cret@db.example.com/holdfast", "holdfast:s3/cret@db.example.com:5432/holdfast", "//holdfast:s3cret@db/holdfast",
		"holdfast:s3cret@tcp(db:3306)/holdfast", "holdfast/s3cret@db:1521/holdfast", "holdfast/s3cret@db", "holdfast:s3cret", "db:5432/s3cret", "[::1]:5432/s3cret",
		"postgresql ://holdfast:s3cret@db/holdfast", " postgres://holdfast:s3cret@db/holdfast", "POSTGRES://holdfast:s3cret@db/holdfast", "postgres:/holdfast:s3cret@db",
		"\"postgres://holdfast:s3cret@db/holdfast\"", "jdbc:postgresql://db/holdfast?user=holdfast&password=s3cret", "mysql://holdfast:s3cret@db/holdfast",
		"holdfast?host=/run/postgresql&user=holdfast&password=s3cret", "./holdfast.db?password=s3cret", "file:host=db password=s3cret", "./x host=db password=s3cret",
	} {
		db, err := storage.Open(t.Context(), target, storage.Options{})
		if err == nil {
			t.Errorf("%s: opened", target)
			_ = db.Close()
		} else if !strings.Contains(err.Error(), "looks like the address of a server") || strings.Contains(err.Error(), "s3") {
			t.Errorf("%s: %v", target, err)
		}
		if err := storage.Backup(t.Context(), target, "copy.db"); err == nil || strings.Contains(err.Error(), "s3") {
			t.Errorf("%s: backup: %v", target, err)
		}
	}
	if made, err := os.ReadDir("."); err != nil || len(made) > 0 {
		t.Errorf("files were made: %v %v", made, err)
	}
	for _, target := range []string{"holdfast.db", "./a=b@c.db", "file:x.db", "x y.db?_pragma=cache_size(-1000)", "x.db?mode=rwc", t.TempDir() + "/a=b.db"} {
		db, err := storage.Open(t.Context(), target, storage.Options{})
		if err != nil {
			t.Errorf("%s: %v", target, err)
			continue
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
}

// holdfast also looks at what a server logs of statements. These are settings of a superuser, so the test has a server of its
// own.
func TestRefusesLoggedParameters(t *testing.T) {
	admin, _ := storagetest.PostgresWithLog(t)
	for _, c := range []struct{ settings, want string }{
		{"", ""},
		{"log_statement=ddl", ""},
		{"log_statement=all", "log_parameter_max_length is -1 with log_statement = all"},
		{"log_statement=mod", "log_parameter_max_length is -1 with log_statement = mod"},
		{"log_min_duration_statement=0", "log_parameter_max_length is -1 with log_min_duration_statement = 0"},
		{"log_min_duration_statement=1min&log_parameter_max_length=64", "log_parameter_max_length is 64B with log_min_duration_statement = 1min"},
		{"log_min_duration_sample=500", "log_parameter_max_length is -1 with log_min_duration_sample = 500ms"},
		{"log_transaction_sample_rate=0.5", "log_parameter_max_length is -1 with log_transaction_sample_rate = 0.5"},
		{"log_statement=all&log_min_duration_statement=0&log_parameter_max_length=0", ""},
		{"log_statement=all&log_parameter_max_length_on_error=-1&log_error_verbosity=terse", ""},
		{"log_parameter_max_length_on_error=1kB", "log_parameter_max_length_on_error is 1kB"},
		{"session_preload_libraries=auto_explain&auto_explain.log_min_duration=0", "auto_explain.log_min_duration = 0"},
		{"session_preload_libraries=auto_explain", ""},
		{"pgaudit.log_parameter=on", "pgaudit.log_parameter = on"},
	} {
		db, err := storage.Open(t.Context(), with(admin, c.settings), storage.Options{})
		got := ""
		if err != nil {
			got = err.Error()
		} else if err := db.Close(); err != nil {
			t.Error(err)
		}
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want it to say %q", c.settings, got, c.want)
		}
	}
}

func database(t *testing.T, target string) string {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	return `"` + strings.TrimPrefix(u.Path, "/") + `"`
}

// Several servers that start at once on an empty database all come up.
func TestMigrateAtOnce(t *testing.T) {
	for _, c := range []struct {
		name   string
		target func(t *testing.T) string
	}{
		{"SQLite", func(t *testing.T) string { return filepath.Join(t.TempDir(), "new.db") }},
		{"Postgres", func(t *testing.T) string { return storagetest.PostgresDatabase(t, "") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			target := c.target(t)
			var done sync.WaitGroup
			for range 6 {
				done.Go(func() {
					db, err := storage.Open(context.Background(), target, storage.Options{})
					if err != nil {
						t.Error(err)
						return
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				})
			}
			done.Wait()
		})
	}
}

// A server of this release starts on the next one's schema during an upgrade, unless that schema says that the server is too old
// for it.
func TestNewerSchema(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		driver := "sqlite"
		if strings.HasPrefix(db.Target, "postgres") {
			driver = "pgx"
		}
		raw, err := sql.Open(driver, db.Target)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if _, err := raw.Exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, TRUE)"); err != nil {
			t.Fatal(err)
		}
		if err := storagetest.Open(t, db.Target, storage.Options{}).Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := raw.Exec("UPDATE schema_compatibility SET oldest = 99998"); err != nil {
			t.Fatal(err)
		}
		again, err := storage.Open(t.Context(), db.Target, storage.Options{})
		if err == nil {
			_ = again.Close()
			t.Fatal("opened")
		}
		if !strings.Contains(err.Error(), "run a newer holdfast") {
			t.Errorf("got %v", err)
		}
	})
}

// PgBouncer in transaction mode needs pgx not to prepare statements.
func TestWithoutPreparedStatements(t *testing.T) {
	db := storagetest.Open(t, with(storagetest.Postgres(t), "default_query_exec_mode=exec"), storage.Options{})
	if _, err := db.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
