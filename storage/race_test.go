//go:build race

package storage_test

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// The race detector is off for SQLite's translated C (see the Makefile), and must be on for everything else. So this test runs
// itself with races in it: in our package, and in SQLite's driver, which is Go.
func TestRaceDetectorWatches(t *testing.T) {
	const victim = "STORAGE_RACE"
	for _, c := range []struct {
		name, seen string
		race       func(t *testing.T) (one, other func())
	}{
		{"in our package", "storage.(*DB).Untrace", func(t *testing.T) (one, other func()) {
			db := storagetest.Open(t, storagetest.SQLite(t), storage.Options{})
			return db.Untrace, db.Untrace
		}},
		{"in the driver", "sqlite.(*conn).bindBlob", func(t *testing.T) (one, other func()) {
			db, err := sql.Open("sqlite", ":memory:")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			argument := []byte("read by the driver")
			query := func() {
				if _, err := db.ExecContext(context.Background(), "SELECT length(?)", argument); err != nil {
					t.Error(err)
				}
			}
			return query, func() { argument[0]++ }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if os.Getenv(victim) != "" {
				one, other := c.race(t)
				var both sync.WaitGroup
				both.Go(one)
				both.Go(other)
				both.Wait()
				return
			}
			run := exec.Command(os.Args[0], "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$") //nolint:gosec // this program
			run.Env = append(os.Environ(), victim+"=1")
			output, err := run.CombinedOutput()
			if text := string(output); err == nil || !strings.Contains(text, "WARNING: DATA RACE") || !strings.Contains(text, c.seen) {
				t.Errorf("the race was not seen (%v):\n%s", err, text)
			}
		})
	}
}
