package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/storage/storagetest"
)

// eachWay runs the test for a copy from each kind of database to the other.
func eachWay(t *testing.T, test func(t *testing.T, from, to program)) {
	t.Helper()
	kinds := storagetest.Kinds()
	for i, kind := range kinds {
		other := kinds[len(kinds)-1-i]
		t.Run(kind.Name+" to "+other.Name, func(t *testing.T) { test(t, program{database: kind.New(t)}, program{database: other.New(t)}) })
	}
}

// copyTo copies the program's database.
func (p program) copyTo(t *testing.T, to program) result {
	t.Helper()
	return p.run(t, "copy", "--from", p.database, "--to", to.database)
}

// driver is what opens the program's database past the program.
func (p program) driver() string {
	if p.onSQLite() {
		return "sqlite"
	}
	return "pgx"
}

// execute runs statements past the program.
func (p program) execute(t *testing.T, statements ...string) {
	t.Helper()
	db, err := sql.Open(p.driver(), p.database)
	must(t, err)
	defer db.Close()
	db.SetMaxOpenConns(1) // a pragma is the connection's
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
}

// data is all rows of all tables but those that each database keeps for itself.
func (p program) data(t *testing.T) map[string]string {
	t.Helper()
	dump := p.everything(t)
	for name := range dump {
		if name == "copies" || strings.HasPrefix(name, "goose_") || strings.HasPrefix(name, "sqlite_") {
			delete(dump, name)
		}
	}
	// Erasure leaves '' in an SQLite file, and a copy x'', which is the same.
	dump["idempotency_tokens"] = strings.ReplaceAll(dump["idempotency_tokens"], "fingerprint= ", `fingerprint="" `)
	return dump
}

// There and back again: every table has exactly the same rows, and none was empty to begin with.
func TestCopyThereAndBack(t *testing.T) {
	t.Parallel() // like the next ones: each copy waits for servers to notice
	eachWay(t, func(t *testing.T, from, to program) {
		db := everything(t, from)
		book(t, db, guest("Zoë", ahead(9))) // whom retain leaves
		if _, err := service(db).IndexGuests(t.Context()); err != nil {
			t.Fatal(err)
		}
		from.ok(t, "key", "create", "--merchant", "seoul", "--name", "desk")
		from.ok(t, "retain", "--after", "0")
		from.execute(t,
			"INSERT INTO marketing_preferences (google_user_id, wanted, since_sec) VALUES ('Zoë', TRUE, 1)",
			"INSERT INTO clinic_tokens (digest, merchant_id, created_sec, expires_sec, key_digest) SELECT digest, merchant_id, 1, 2, digest FROM clinic_keys",
			"INSERT INTO former_catalogue (merchant_id, kind, service_id, value, removed_sec) VALUES ('seoul', 'service', '', '', 9223372036854775807)",
			"INSERT INTO offers (merchant_id, id, position, service_ids, first_date, last_date) VALUES ('seoul', 'o', 1, '[]', '', '')",
		)
		want := from.data(t)
		for name, rows := range want {
			if rows == "" {
				t.Errorf("%s is empty", name)
			}
		}
		r := from.copyTo(t, to)
		if r.status != 0 || !strings.Contains(r.out, "\nbookings ") || !strings.HasSuffix(r.out, "the source is closed\n") {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		to.ok(t, "verify")
		back := program{database: storagetest.SQLite(t)}
		if strings.HasPrefix(from.database, "postgres://") {
			back.database = storagetest.Postgres(t)
		}
		if again := to.copyTo(t, back); again.status != 0 || again.out != r.out {
			t.Fatalf("exit status %d, and other digests on the way back:\n%s%s\nthere:\n%s", again.status, again.out, again.err, r.out)
		}
		if diff := cmp.Diff(want, back.data(t)); diff != "" {
			t.Errorf("(-before +after):\n%s", diff)
		}
		back.ok(t, "verify")
	})
}

// Guests book while the database is copied. The copy has exactly what was acknowledged, under the same tokens and ids. During the copy
// and afterwards the old server refuses only with 503.
func TestCopyWhileServing(t *testing.T) {
	eachWay(t, func(t *testing.T, from, to program) {
		from.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 10000", 1)))
		s := from.serve(t, "--google-credentials", googleCredentials)
		var mu sync.Mutex
		told := map[string]string{} // guest → booking id
		hours := map[string]int{}
		var stop atomic.Bool
		var refused atomic.Int64
		var guests sync.WaitGroup
		enough := make(chan struct{})
		for g := range 6 {
			guests.Go(func() {
				for n := 0; !stop.Load(); n++ {
					time.Sleep(10 * time.Millisecond) // or they make more than can be asked for again
					name, hour := fmt.Sprintf("guest%dx%d", g, n), 9+n%200
					status, answer, err := s.post("/v3/CreateBooking", createBody(name, hour))
					if err == nil && status == http.StatusServiceUnavailable {
						refused.Add(1)
						continue
					}
					if err != nil || status != 200 || !strings.Contains(answer, `"status":"CONFIRMED"`) {
						t.Errorf("%s: %d %s, %v", name, status, answer, err)
						return
					}
					mu.Lock()
					told[name], hours[name] = strings.Split(answer, `"`)[5], hour
					if len(told) == 50 {
						close(enough)
					}
					mu.Unlock()
				}
			})
		}
		<-enough
		r := from.copyTo(t, to)
		if r.status != 0 {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		stop.Store(true)
		guests.Wait()
		if refused.Load() == 0 {
			t.Error("nobody was refused while the database was copied")
		}
		for path, body := range map[string]string{
			"/v3/CreateBooking": createBody("late", 9), "/v3/ListBookings": `{"user_id":"guest0x0"}`,
			"/v3/GetBookingStatus": `{"booking_id":"` + told["guest0x0"] + `"}`,
		} {
			if status, answer, err := s.post(path, body); err != nil || status != 503 {
				t.Errorf("%s on the old server: %d %s, %v", path, status, answer, err)
			}
		}
		s.stop(t)
		if log := s.log.String(); !strings.Contains(log, "serving nothing any more") {
			t.Errorf("the log does not say why:\n%.2000s", log)
		}

		s = to.serve(t, "--google-credentials", googleCredentials)
		for name, id := range told {
			s.want(t, createBody(name, hours[name]), 200, `"booking_id":"`+id+`"`)
		}
		if out := to.ok(t, "bookings"); strings.Count(out, "\n") != len(told)+1 {
			t.Errorf("%d were told, the copy lists %d", len(told), strings.Count(out, "\n")-1)
		}
		s.want(t, createBody("new", 9), 200, `"status":"CONFIRMED"`)
		s.stop(t)
		to.ok(t, "verify")
		t.Logf("%d acknowledged, %d refused", len(told), refused.Load())
	})
}

// A copy that was broken off at any point can be finished or given up.
func TestCopyBrokenOff(t *testing.T) {
	t.Parallel()
	const unfinish = "UPDATE copies SET finished_sec = NULL"
	eachWay(t, func(t *testing.T, from, to program) {
		everything(t, from)
		if r := from.copyTo(t, to); r.status != 0 {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		want := to.data(t)

		// After the source was marked, and before the target was.
		to.execute(t, unfinish)
		if r := to.run(t, "bookings"); r.status != 1 || !strings.Contains(r.err, "is not finished") {
			t.Errorf("a copy that is not finished: exit status %d\n%s%s", r.status, r.out, r.err)
		}
		from.ok(t, "copy", "--from", from.database, "--to", to.database)
		to.ok(t, "bookings")

		// After the target was written, and before the source was marked.
		to.execute(t, unfinish)
		from.execute(t, unfinish)
		from.ok(t, "copy", "--from", from.database, "--to", to.database)
		to.ok(t, "verify")
		if diff := cmp.Diff(want, to.data(t)); diff != "" {
			t.Errorf("copied again (-want +got):\n%s", diff)
		}

		// The same, but somebody has changed the target.
		to.execute(t, unfinish, "UPDATE bookings SET memo = 'x' WHERE version = 2")
		from.execute(t, unfinish)
		if r := from.copyTo(t, to); r.status != 1 || !strings.Contains(r.err, "bookings is not what was copied") || !strings.Contains(r.err, "takes bookings again") {
			t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		book(t, from.open(t), guest("Zoe", at(14, 0)))

		// While the target was written: it is empty. What has been closed goes on.
		from.execute(t, "DELETE FROM copies")
		third := program{database: storagetest.SQLite(t)}
		if r := from.copyTo(t, third); r.status != 0 {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		from.execute(t, unfinish)
		from.ok(t, "bookings") // reading goes on
		if r := from.run(t, "retain", "--after", "0"); r.status != 1 || !strings.Contains(r.err, "is being copied") {
			t.Errorf("a command that writes: exit status %d\n%s%s", r.status, r.out, r.err)
		}
		fourth := program{database: storagetest.SQLite(t)}
		from.ok(t, "copy", "--from", from.database, "--to", fourth.database)
		if diff := cmp.Diff(third.data(t), fourth.data(t)); diff != "" {
			t.Errorf("copied anew (-want +got):\n%s", diff)
		}

		// Given up.
		from.execute(t, unfinish)
		from.ok(t, "copy", "--from", from.database, "--cancel")
		book(t, from.open(t), guest("Yves", at(15, 0)))
		if r := from.run(t, "copy", "--from", from.database, "--cancel"); r.status != 1 || !strings.Contains(r.err, "is not being copied") {
			t.Errorf("nothing to cancel: exit status %d\n%s%s", r.status, r.out, r.err)
		}
	})
}

// A copy is killed (kill -9) at several moments. The source answers queries, and says 503
// to what changes something, until the same command finishes the copy or it is given up.
// Nothing is lost, whatever the victim left in the target.
func TestCopyKilled(t *testing.T) {
	if from := os.Getenv("COPY_FROM"); from != "" { // the victim
		os.Exit(run(t.Context(), []string{"copy", "--from", from, "--to", os.Getenv("COPY_TO")}, os.Stdout, os.Stderr))
	}
	eachWay(t, func(t *testing.T, from, to program) {
		from.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 10000", 1)))
		db := from.open(t)
		var guests sync.WaitGroup
		for g := range 20 {
			guests.Go(func() {
				for n := range 20 {
					if _, err := service(db).Create(t.Context(), guest(fmt.Sprintf("guest%dx%d", g, n), ahead(9))); err != nil {
						t.Error(err)
					}
				}
			})
		}
		guests.Wait()
		fenced := func() (n int) {
			raw, err := sql.Open(from.driver(), from.database)
			must(t, err)
			defer raw.Close()
			must(t, raw.QueryRow("SELECT COUNT(*) FROM copies WHERE finished_sec IS NULL").Scan(&n))
			return n
		}
		var want string
		complete := false
		for i, delay := range []time.Duration{0, 10 * time.Millisecond, 50 * time.Millisecond} {
			want = from.ok(t, "bookings", "--json")
			victim := exec.Command(os.Args[0], "-test.run=^TestCopyKilled$")
			victim.Env = append(os.Environ(), "COPY_FROM="+from.database, "COPY_TO="+to.database)
			must(t, victim.Start())
			for end := time.Now().Add(time.Minute); fenced() == 0; {
				if time.Sleep(2 * time.Millisecond); time.Now().After(end) {
					t.Fatal("the victim does not begin")
				}
			}
			time.Sleep(delay)
			must(t, victim.Process.Kill())
			if err := victim.Wait(); err == nil {
				t.Fatal("the victim was not killed")
			}
			if complete = fenced() == 0; complete {
				t.Logf("after %s the copy was complete", delay)
				break
			}
			s := from.serve(t, "--google-credentials", googleCredentials)
			s.want(t, createBody("late", 9), 503, "")
			if status, answer, err := s.post("/v3/ListBookings", `{"user_id":"guest0x0"}`); err != nil || status != 200 || !strings.Contains(answer, "CONFIRMED") {
				t.Errorf("a query: %d %s, %v", status, answer, err)
			}
			s.stop(t)
			if r := from.run(t, "key", "create", "--merchant", "seoul"); r.status != 1 || !strings.Contains(r.err, "holdfast copy --help says what to do") {
				t.Errorf("a command: exit status %d\n%s%s", r.status, r.out, r.err)
			}
			if i < 2 {
				from.ok(t, "copy", "--from", from.database, "--cancel")
				book(t, from.open(t), guest(fmt.Sprint("between", i), ahead(12)))
			}
		}
		if r := from.copyTo(t, to); !complete && r.status != 0 {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		to.ok(t, "verify")
		if got := to.ok(t, "bookings", "--json"); got != want {
			t.Errorf("the copy has other bookings (-source +copy):\n%.3000s", cmp.Diff(want, got))
		}
	})
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, from, to program) {
		everything(t, from)
		refused := func(what string, from, to program, want string) {
			t.Helper()
			if r := from.copyTo(t, to); r.status != 1 || !strings.Contains(r.err, want) || strings.Contains(r.err, "s3cret") {
				t.Errorf("%s: exit status %d\n%s%s", what, r.status, r.out, r.err)
			}
		}
		none := program{database: filepath.Join(t.TempDir(), "none.db")}
		refused("a source that is not there", none, to, "there is no file")
		if _, err := os.Stat(none.database); err == nil {
			t.Error("it made the source")
		}
		refused("the same database", from, from, "the target is not empty")

		full := program{database: storagetest.SQLite(t)}
		full.ok(t, "import", file(t, "c", catalogue2))
		refused("a target with something in it", from, full, "the target is not empty, it has ")

		broken := program{database: storagetest.SQLite(t)}
		everything(t, broken)
		broken.tamper(t, "UPDATE slots SET taken = 0 WHERE taken = 1")
		refused("a source that is not sound", broken, to, "the source is not sound")
		book(t, broken.open(t), guest("Zoe", at(14, 0))) // and it goes on

		from.execute(t, "ALTER TABLE bookings ADD COLUMN strange TIMESTAMP")
		refused("a type that nobody knows", from, to, "column strange of bookings has the type ")
		from.execute(t, "ALTER TABLE bookings DROP COLUMN strange", "ALTER TABLE bookings ADD COLUMN newer TEXT")
		refused("a column that the target does not have", from, to, "do not have the same tables and columns")
		to.execute(t, "ALTER TABLE bookings ADD COLUMN newer TEXT", "CREATE TABLE added (id UUID PRIMARY KEY, flag BOOLEAN)")
		from.execute(t, "UPDATE bookings SET newer = 'than we know'", "CREATE TABLE added (id UUID PRIMARY KEY, flag BOOLEAN)",
			"INSERT INTO added VALUES ('00000000-0000-4000-8000-000000000000', TRUE)")

		// A new table is copied without anybody listing it.
		if r := from.copyTo(t, to); r.status != 0 || !strings.Contains(r.out, "\nadded ") {
			t.Fatalf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		if dump := to.everything(t); !strings.Contains(dump["bookings"], "newer=than we know") || !strings.Contains(dump["added"], "00000000") {
			t.Error("what was added is not in the copy")
		}

		// Nothing uses what has been copied.
		for _, args := range [][]string{{"bookings"}, {"verify"}, {"retain"}, {"serve", "--address", "127.0.0.1:0"}} {
			if r := from.run(t, args...); r.status != 1 || !strings.Contains(r.err, "this database was copied to ") || strings.Contains(r.err, "@") {
				t.Errorf("%s on what was copied: exit status %d\n%s%s", args[0], r.status, r.out, r.err)
			}
		}
		refused("what was copied", from, program{database: storagetest.SQLite(t)}, "this database was copied to ")
		refused("to what was copied", to, from, "the target is, or was, copied itself")
		to.ok(t, "bookings") // still
	})
}
