package storage_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// If the database fails before every COMMIT, the caller is told to come again, unless the fault is ours.
func TestFaultsBeforeCommit(t *testing.T) {
	for _, c := range []struct {
		name        string
		err         error
		unavailable bool
	}{
		{"serialization failure", &pgconn.PgError{Code: "40001"}, true},
		{"lock timeout", &pgconn.PgError{Code: "55P03"}, true},
		{"disk full", &pgconn.PgError{Code: "53100"}, true},
		{"out of memory", &pgconn.PgError{Code: "53200"}, true},
		{"too many connections", &pgconn.PgError{Code: "53300"}, true},
		{"connection closed by the driver", fmt.Errorf("begin: %w", pgconn.ErrConnClosed), true},
		{"time is up", context.DeadlineExceeded, true},
		{"a check fails", &pgconn.PgError{Code: "23514"}, false},
		{"a statement is wrong", &pgconn.PgError{Code: "42601"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fault := func(point string) error {
				if point == "before COMMIT" {
					return c.err
				}
				return nil
			}
			db := storagetest.Open(t, storagetest.SQLite(t), storage.Options{Fault: fault})
			claim := &idempotency.Claim{Caller: "google", Token: "t", Fingerprint: []byte{1}} // so that there is something to commit
			err := db.InTx(t.Context(), booking.Footprint{Claim: claim}, func(booking.Tx) error { return nil })
			if got := errors.Is(err, booking.ErrUnavailable); err == nil || got != c.unavailable {
				t.Errorf("got %v; unavailable: %t, want %t", err, got, c.unavailable)
			}
		})
	}
}
