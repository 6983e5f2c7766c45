package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/booking"
	"holdfast/storage/storagetest"
)

// A restore drill: guests book while a backup is taken, the backup is restored into a new database, and a server starts on that. Every
// booking acknowledged before the backup began is there, everything is consistent, and a guest who repeats a request with the same
// token gets the same booking.
func TestRestore(t *testing.T) {
	for _, on := range []struct {
		name     string
		database func(testing.TB) string
		// backup takes one of p, and returns how to restore it into an empty database.
		backup func(t *testing.T, p program) (restore func(t *testing.T) program)
	}{
		{"SQLite", storagetest.SQLite, func(t *testing.T, p program) func(*testing.T) program {
			copied := filepath.Join(t.TempDir(), "backup.db")
			if out := p.ok(t, "backup", copied); !strings.HasPrefix(out, copied+": ") {
				t.Errorf("printed %q", out)
			}
			return func(t *testing.T) program {
				restored := filepath.Join(t.TempDir(), "holdfast.db")
				text, err := os.ReadFile(copied)
				must(t, err)
				must(t, os.WriteFile(restored, text, 0o600))
				return program{database: restored}
			}
		}},
		{"Postgres", storagetest.Postgres, func(t *testing.T, p program) func(*testing.T) program {
			dump := filepath.Join(t.TempDir(), "backup.dump")
			postgresTool(t, "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file="+dump, "--dbname="+p.database)
			return func(t *testing.T) program {
				empty := storagetest.PostgresDatabase(t, "")
				postgresTool(t, "pg_restore", "--exit-on-error", "--single-transaction", "--no-owner", "--no-privileges", "--dbname="+empty, dump)
				return program{database: empty}
			}
		}},
	} {
		t.Run(on.name, func(t *testing.T) {
			p := program{database: on.database(t)}
			p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 10000", 1)))
			s := p.serve(t, "--google-credentials", googleCredentials)

			// Guests book all the time, and the test records their answers.
			var mu sync.Mutex
			told := map[string]string{} // guest → booking id
			var stop atomic.Bool
			var guests sync.WaitGroup
			enough := make(chan struct{}) // there are some already
			for g := range 4 {
				guests.Go(func() {
					for n := 0; !stop.Load(); n++ {
						name := fmt.Sprintf("guest%dx%d", g, n)
						status, answer, err := s.post("/v3/CreateBooking", createBody(name, 9+n%200))
						if err != nil || status != 200 || !strings.Contains(answer, `"status":"CONFIRMED"`) {
							t.Errorf("%s: %d %s, %v", name, status, answer, err)
							return
						}
						mu.Lock()
						told[name] = strings.Split(answer, `"`)[5]
						if len(told) == 20 {
							close(enough)
						}
						mu.Unlock()
					}
				})
			}
			<-enough
			mu.Lock()
			before := make(map[string]string, len(told))
			for name, id := range told {
				before[name] = id
			}
			mu.Unlock()
			restore := on.backup(t, p)
			stop.Store(true)
			guests.Wait()
			s.stop(t)

			restored := restore(t)
			restored.ok(t, "verify")
			var kept []booking.Booking
			must(t, json.Unmarshal([]byte(restored.ok(t, "bookings", "--json")), &kept))
			for name, id := range before {
				if !slices.ContainsFunc(kept, func(b booking.Booking) bool { return b.ID.String() == id }) {
					t.Errorf("the booking of %s, %s, is not in the backup", name, id)
				}
			}
			for _, b := range kept { // and nothing that was not acknowledged
				if told[b.Contact.GivenName] != b.ID.String() {
					t.Errorf("the backup has booking %s of %s, who was told %q", b.ID, b.Contact.GivenName, told[b.Contact.GivenName])
				}
			}
			t.Logf("%d acknowledged before, %d in the backup, %d in the end", len(before), len(kept), len(told))

			// Life goes on: the same token gets the same booking, a new one a new one.
			s = restored.serve(t, "--google-credentials", googleCredentials)
			asked := 0
			for name, id := range before {
				var n int
				_, err := fmt.Sscanf(name[strings.Index(name, "x"):], "x%d", &n)
				must(t, err)
				s.want(t, createBody(name, 9+n%200), 200, `"booking_id":"`+id+`"`)
				if asked++; asked == 5 {
					break
				}
			}
			s.want(t, createBody("somebody", 9), 200, `"status":"CONFIRMED"`)
			s.stop(t)
			restored.ok(t, "verify")
		})
	}
}

// postgresTool runs one of PostgreSQL's programs.
func postgresTool(t *testing.T, name string, args ...string) {
	t.Helper()
	path := name
	if installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name); err == nil && len(installed) > 0 {
		path = slices.Max(installed)
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func TestBackupRefuses(t *testing.T) {
	dir := t.TempDir()
	there, other := file(t, "there", "precious"), file(t, "other", "no database, but long enough to be read as the header of one")
	must(t, os.Mkdir(filepath.Join(dir, "sub"), 0o700))
	lite := program{database: storagetest.SQLite(t)}
	for _, c := range []struct {
		name string
		p    program
		file string
		want string
	}{
		{"a file that exists", lite, there, "exists: a backup is a new file"},
		{"a directory that does not", lite, filepath.Join(dir, "none", "b"), "no such file"},
		{"no database", program{database: filepath.Join(dir, "none.db")}, filepath.Join(dir, "b1"), "back up: "},
		{"a file that is none", program{database: other}, filepath.Join(dir, "b2"), "is no database of holdfast"},
		{"PostgreSQL", program{database: "postgres://127.0.0.1:1/x"}, filepath.Join(dir, "b3"), "pg_dump"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := c.p.run(t, "backup", c.file)
			if r.status != 1 || r.out != "" || !strings.Contains(r.err, c.want) {
				t.Errorf("exit status %d, printed %q and %q", r.status, r.out, r.err)
			}
		})
	}
	if text, err := os.ReadFile(there); err != nil || string(text) != "precious" {
		t.Errorf("the file that existed has now %q, %v", text, err)
	}
	left, err := os.ReadDir(dir)
	must(t, err)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}

	// Only the owner can read a good one.
	good := filepath.Join(dir, "good.db")
	lite.ok(t, "backup", good)
	if info, err := os.Stat(good); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	program{database: good}.ok(t, "verify")
}
