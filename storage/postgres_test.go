package storage_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// write is an operation that writes.
func write(db *storage.DB, token string) error {
	claim := &idempotency.Claim{Caller: "google", Token: token, Fingerprint: []byte{1}}
	return db.InTx(context.Background(), booking.Footprint{Claim: claim}, func(booking.Tx) error { return nil })
}

// We do not keep connections to a server that takes no writes: writers are told to come again, health says so, and as soon as the
// server takes writes again we write.
func TestReadOnlyServer(t *testing.T) {
	target := storagetest.Postgres(t)
	db := storagetest.Open(t, target, storage.Options{})
	readOnly := func(value string) {
		t.Helper()
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(u.Path, "/")
		admin := storagetest.PostgresURL(t)
		for _, statement := range []string{
			"ALTER DATABASE " + name + " SET default_transaction_read_only = " + value,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + name + "' AND " + value,
		} {
			if err := storagetest.Execute(admin, statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(db.Ping(t.Context()), write(db, "before")); err != nil {
		t.Fatal(err)
	}
	readOnly("true") // and all sessions end, so that ours are new ones
	for _, token := range []string{"a", "b"} {
		if err := write(db, token); !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("a write: %v", err)
		}
	}
	if err := db.Ping(t.Context()); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("health: %v", err)
	}
	if again, err := storage.Open(t.Context(), target, storage.Options{}); err == nil || !strings.Contains(err.Error(), "connect to the primary") {
		t.Errorf("opened: %v, %v", again, err)
	}
	readOnly("false") // sessions that are there stay read-only
	if err := write(db, "after"); err != nil {
		t.Errorf("a write afterwards: %v", err)
	}
	if err := db.Ping(t.Context()); err != nil {
		t.Errorf("health afterwards: %v", err)
	}
}

// With several hosts we find the primary wherever it is, and wait for it if there is none.
func TestSeveralHosts(t *testing.T) {
	primary, standby := storagetest.Pair(t)
	target, err := primary.NewDatabase("holdfast")
	if err != nil {
		t.Fatal(err)
	}
	if err := storagetest.Open(t, target, storage.Options{}).Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	alone, err := standby.As(target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Open(t.Context(), alone, storage.Options{}); err == nil || !strings.Contains(err.Error(), "is a standby") {
		t.Errorf("the standby: %v", err)
	}
	hosts := func(urls ...string) string {
		var all, ports []string
		for _, text := range urls {
			u, err := url.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			all, ports = append(all, u.Query().Get("host")), append(ports, u.Query().Get("port"))
		}
		u, _ := url.Parse(target)
		u.RawQuery = url.Values{"host": {strings.Join(all, ",")}, "port": {strings.Join(ports, ",")}}.Encode()
		return u.String()
	}
	both := storagetest.Open(t, hosts(alone, target), storage.Options{})
	if err := write(both, "before"); err != nil {
		t.Fatal(err)
	}

	if err := primary.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := write(both, "between"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("without a primary: %v", err)
	}
	var said []string
	waiting := make(chan error, 1)
	warned := make(chan string, 9)
	go func() {
		db, err := storage.Open(context.Background(), hosts(target, alone), storage.Options{
			Wait: time.Minute, Warn: func(message string) { warned <- message },
		})
		if err == nil {
			err = db.Close()
		}
		waiting <- err
	}()
	said = append(said, <-warned)
	if _, err := storage.Open(t.Context(), hosts(target, alone), storage.Options{Wait: 100 * time.Millisecond}); err == nil || !strings.Contains(err.Error(), "waited 100ms") {
		t.Errorf("a short wait: %v", err)
	}
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err != nil || !strings.Contains(said[0], "waiting for one, up to 1m0s") {
		t.Errorf("said %q, then %v", said, err)
	}
	if err := write(both, "after"); err != nil {
		t.Errorf("after the failover: %v", err)
	}
}

// If somebody else, such as an administrator, ends the wait for the standby, that is no acknowledgement.
func TestCanceledWait(t *testing.T) {
	primary, standby := storagetest.Pair(t)
	target, err := primary.NewDatabase("holdfast")
	if err != nil {
		t.Fatal(err)
	}
	db := storagetest.Open(t, target, storage.Options{})
	if err := write(db, "before"); err != nil {
		t.Fatal(err)
	}
	if err := standby.Deafen(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- write(db, "canceled") }()
	for canceled := int64(0); canceled == 0; {
		canceled, err = storagetest.Count(primary.Admin(), "SELECT COUNT(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := <-ended; !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Opening an up-to-date database does not take the lock for migrations.
func TestNothingToMigrate(t *testing.T) {
	target := storagetest.Postgres(t)
	undo, err := storagetest.During(target, "SELECT pg_advisory_xact_lock(4097083626)")
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	db, err := storage.Open(t.Context(), target, storage.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
