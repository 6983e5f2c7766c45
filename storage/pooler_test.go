//go:build ha

package storage_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// Behind a default PgBouncer, in both modes, holdfast starts, even three times at once and on an empty database, and no operation
// fails.
func TestPgBouncer(t *testing.T) {
	server := storagetest.Alone(t)
	for _, mode := range []string{"transaction", "session"} {
		t.Run(mode, func(t *testing.T) {
			database, err := server.NewDatabase("in_" + mode)
			if err != nil {
				t.Fatal(err)
			}
			target := server.Pooler(t, database, mode, 120)
			for round := range 10 {
				atOnce(3, func(int) {
					db, err := storage.Open(context.Background(), target, storage.Options{})
					if err == nil {
						err = db.Close()
					}
					if err != nil {
						t.Errorf("start, round %d: %v", round, err)
					}
				})
			}
			var said []string
			db := storagetest.Open(t, target, storage.Options{Batch: 1, Committers: 8, Warn: func(message string) { said = append(said, message) }})
			if len(said) != 1 || !strings.HasPrefix(said[0], "lock_timeout, statement_timeout, idle_in_transaction_session_timeout:") {
				t.Errorf("said %q", said)
			}
			atOnce(32, func(i int) {
				for n := range 20 {
					if err := write(db, fmt.Sprint(i, " ", n)); err != nil {
						t.Error(err)
					}
					if _, err := db.ClinicKeys(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
			if _, err := db.Verify(t.Context(), nil); err != nil {
				t.Error(err)
			}
			slow(t, db)
			if _, err := storage.Open(t.Context(), target+"&default_query_exec_mode=cache_statement", storage.Options{}); err == nil || !strings.Contains(err.Error(), "take it out of --database, or say exec") {
				t.Errorf("with prepared statements: %v", err)
			}
		})
	}
}

// slow makes sure that an operation's transaction has its limits.
func slow(t *testing.T, db *storage.DB) {
	t.Helper()
	got, err := storage.Timeouts(t.Context(), db)
	if err != nil || got != "2s 3s 9s" {
		t.Errorf("the limits of a transaction are %s, %v", got, err)
	}
}

// atOnce runs f n times at the same time.
func atOnce(n int, f func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { f(i) })
	}
	all.Wait()
}
