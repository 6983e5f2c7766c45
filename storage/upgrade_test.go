package storage_test

import (
	"context"
	"database/sql"
	"os"
	"testing"
	"time"

	"github.com/pressly/goose/v3"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// old is a PostgreSQL database of the first schema, with a visit, and a
// connection to it.
func old(t *testing.T) (target string, raw *sql.DB) {
	t.Helper()
	target = storagetest.PostgresDatabase(t, "")
	raw, err := sql.Open("pgx", target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
	})
	provider, err := goose.NewProvider(goose.DialectPostgres, raw, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec(first); err != nil {
		t.Fatal(err)
	}
	return target, raw
}

// Migrating a large table may take longer than the limit for other statements.
func TestMigrationTakesItsTime(t *testing.T) {
	target, raw := old(t)
	_, err := raw.Exec(`
		CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(2.5); RETURN NEW; END' LANGUAGE plpgsql;
		CREATE TRIGGER slow BEFORE UPDATE ON guests FOR EACH ROW EXECUTE FUNCTION slow()`)
	if err != nil {
		t.Fatal(err)
	}
	db := storagetest.Open(t, target, storage.Options{Limit: 2 * time.Second})
	pools, err := db.Pools()
	if err != nil {
		t.Fatal(err)
	}
	for range 40 { // all connections of the pool, and more
		conn, err := pools["all"].Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var limit string
		if err := conn.QueryRowContext(t.Context(), "SHOW statement_timeout").Scan(&limit); err != nil || limit != "2s" {
			t.Fatalf("afterwards statement_timeout is %s, %v", limit, err)
		}
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A migration that waits too long for a serving server is undone and tried again.
func TestMigrationWhileServing(t *testing.T) {
	target, raw := old(t)
	serving, err := raw.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := serving.Exec("UPDATE guests SET email = email; UPDATE bookings SET memo = memo"); err != nil {
		t.Fatal(err)
	}
	opened := make(chan error, 1)
	go func() {
		db, err := storage.Open(context.Background(), target, storage.Options{Limit: 300 * time.Millisecond, Wait: time.Minute})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	for _, waits := range []bool{true, false, true} { // so it has been undone once
		for now := !waits; now != waits; {
			select {
			case err := <-opened:
				t.Fatalf("it did not wait: %v", err)
			default:
			}
			err := raw.QueryRow("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'holdfast' AND wait_event_type = 'Lock')").Scan(&now)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := serving.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}
