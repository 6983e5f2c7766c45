package main

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"holdfast/booking"
	"holdfast/storage/storagetest"
)

func TestRetainCommand(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		book(t, db, guest("John", at(9, 0))) // in March 2026: past, by the real time
		book(t, db, guest("Jane", ahead(9))) // to come
		if out := p.ok(t, "retain", "--after", "876000h"); out != "erased: visits 0, guests 0, preferences 0\n" {
			t.Errorf("after a hundred years: %s", out)
		}
		if out := p.ok(t, "retain", "--after", "0"); out != "erased: visits 1, guests 1, preferences 0\n" {
			t.Errorf("got %s", out)
		}
		if out := p.ok(t, "bookings"); strings.Contains(out, "John") || !strings.Contains(out, "Jane") {
			t.Errorf("got\n%s", out)
		}
		if r := p.run(t, "retain", "--after=-1h"); r.status != 1 || !strings.Contains(r.err, "--after") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
		p.ok(t, "verify")
	})
}

func TestPruneCommand(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		john := book(t, db, guest("John", at(9, 0))) // in March 2026: past, by the real time
		if out := p.ok(t, "prune"); out != "deleted: slots 0\n" {
			t.Errorf("of a visit: %s", out)
		}
		p.ok(t, "booking", "cancel", john.ID.String())
		if out := p.ok(t, "prune", "--keep", "876000h"); out != "deleted: slots 0\n" {
			t.Errorf("after a hundred years: %s", out)
		}
		if out := p.ok(t, "prune"); out != "deleted: slots 2\n" {
			t.Errorf("got %s", out)
		}
		if r := p.run(t, "prune", "--keep=-1h"); r.status != 1 || !strings.Contains(r.err, "--keep") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
		p.ok(t, "verify")
	})
}

func TestEraseCommand(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		jane := book(t, db, guest("Jane", ahead(9)))
		r := p.run(t, "erase", "--email", "jane@example.com")
		if r.status != 1 || !strings.Contains(r.err, jane.ScheduleID) || !strings.Contains(r.err, "--cancel") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
		if out := p.ok(t, "erase", "--email", "jane@example.com", "--cancel"); out != "erased: guests 1, visits 1, of them canceled 1\n" {
			t.Errorf("got %s", out)
		}
		for table, rows := range p.everything(t) {
			if strings.Contains(strings.ToLower(rows), "jane") && table != "idempotency_tokens" { // the test names its tokens so
				t.Errorf("Jane is in %s", table)
			}
		}
		for _, args := range [][]string{{"erase", "--email", "jane@example.com"}, {"erase", "--merchant", "seoul"}} {
			if r := p.run(t, args...); r.status != 1 || r.out != "" || strings.Contains(r.err, "jane") {
				t.Errorf("%v: exit status %d\n%s", args, r.status, r.err)
			}
		}
		p.ok(t, "verify")
	})
}

// sings counts a canary in each file of an SQLite database, byte by byte: whoever gets the disk can read what no query shows.
func (p program) sings(t *testing.T, canary string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		text, err := os.ReadFile(p.database + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		if n := strings.Count(strings.ToLower(string(text)), canary); n > 0 {
			found[suffix] = n
		}
	}
	return found
}

// An erased person is in no file of an SQLite database, neither while it is open nor afterwards: not in -wal, not in free pages, and not
// where a row was before it moved or grew.
func TestNothingErasedStaysInTheFile(t *testing.T) {
	const canary = "kanarienvogel"
	for name, erase := range map[string][]string{
		"erase": {"erase", "--google-user-id", canary, "--cancel"}, "retain": {"retain", "--after", "0"},
		"erase and rewrite": {"erase", "--email", canary + "@example.com", "--cancel", "--vacuum"},
	} {
		t.Run(name, func(t *testing.T) {
			p := program{database: storagetest.SQLite(t)}
			p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 10000", 1)))
			db := p.open(t)
			s := service(db)
			// Rows are made between others and change their length, so that pages are
			// full, are split and are given back.
			for i := range 120 {
				c := guest(fmt.Sprint("guest", i), at(9, 0))
				if i%3 == 0 {
					c = guest(canary, at(9, 0)+int64(i)*86400*7)
					c.Token = fmt.Sprint("other", i)
					if name == "retain" {
						c.StartSec = at(9, 0) - int64(i)*86400*7 // all past, by the real time
						s.Now = func() time.Time { return time.Unix(c.StartSec-3600, 0) }
					}
				}
				c.AdditionalRequest = strings.Repeat(c.Contact.GivenName+" ", i%40)
				out, err := s.Create(t.Context(), c)
				must(t, err)
				b := out.Booking
				for n := range i % 4 {
					must(t, s.Change(t.Context(), booking.Change{
						By: booking.By{Actor: booking.ByDesk}, MerchantID: "seoul", ScheduleID: b.ScheduleID, ZoneID: seoulBed, Memo: booking.Set(strings.Repeat(c.Contact.GivenName, 30*(3-n))),
						Items: []booking.Item{{GroupID: seoulGroup, ZoneID: seoulBed, StartSec: b.StartSec, EndSec: b.EndSec}},
					}))
				}
			}
			must(t, s.SetMarketing(t.Context(), canary, true))
			if found := p.sings(t, canary); found["-wal"] == 0 {
				t.Fatalf("it sings in %v: the test tests nothing", found)
			}
			p.ok(t, erase...)
			if found := p.sings(t, canary); len(found) > 0 {
				t.Errorf("while it is open it sings in %v", found)
			}
			must(t, db.Close())
			if found := p.sings(t, canary); len(found) > 0 {
				t.Errorf("when it was closed it sings in %v", found)
			}
			p.ok(t, "verify")
		})
	}
}

// A ban that a new catalogue lifts is not in the file either.
func TestNoBanStaysInTheFile(t *testing.T) {
	p := program{database: storagetest.SQLite(t)}
	p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "name: Upper West", "name: Upper West\n    guests: {banned: [kanarienvogel@example.com]}", 1)))
	p.open(t)
	if found := p.sings(t, "kanarienvogel"); len(found) == 0 {
		t.Fatal("the test tests nothing")
	}
	p.ok(t, "import", file(t, "c", catalogue2))
	if found := p.sings(t, "kanarienvogel"); len(found) > 0 {
		t.Errorf("it sings in %v", found)
	}
}

// Somebody who reads an old state keeps the -wal from being emptied: the command says so, and has erased all the same.
func TestEraseBehindAReader(t *testing.T) {
	t.Parallel() // it waits for the reader
	p := program{database: storagetest.SQLite(t)}
	p.ok(t, "import", file(t, "c", catalogue2))
	c := guest("Jane", ahead(9))
	c.Token = "other" // tokens stay
	book(t, p.open(t), c)
	raw, err := sql.Open("sqlite", p.database)
	must(t, err)
	defer raw.Close()
	reading, err := raw.BeginTx(t.Context(), nil)
	must(t, err)
	defer reading.Rollback()
	var n int
	must(t, reading.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM guests").Scan(&n))
	r := p.run(t, "erase", "--google-user-id", "Jane", "--cancel")
	if r.status != 1 || !strings.HasPrefix(r.out, "erased: guests 1") || !strings.Contains(r.err, "still in the database's files") {
		t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
	}
	must(t, reading.Rollback())
	p.ok(t, "retain")
	if found := p.sings(t, "jane"); len(found) > 0 {
		t.Errorf("it sings in %v", found)
	}
}

// With --vacuum PostgreSQL's dead rows make room at once.
func TestEraseVacuums(t *testing.T) {
	p := program{database: storagetest.Postgres(t)}
	p.ok(t, "import", file(t, "c", catalogue2))
	book(t, p.open(t), guest("Jane", ahead(9)))
	p.ok(t, "erase", "--google-user-id", "Jane", "--cancel", "--vacuum")
	raw, err := sql.Open("pgx", p.database)
	must(t, err)
	defer raw.Close()
	for done := 0; done < 7; {
		must(t, raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL").Scan(&done))
	}
}

// The command finds a number however it is written; it reports others who share it, and leaves them alone.
func TestEraseByNumber(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		book(t, db, guest("John", at(9, 0))) // in March 2026: past, by the real time
		book(t, db, guest("Jane", at(10, 0)))
		janes, err := db.GuestsNamed(t.Context(), "seoul", []string{"email:jane@example.com"}, "")
		if err != nil || len(janes) != 1 {
			t.Fatal(janes, err)
		}
		want := "erased: guests 1, visits 1, of them canceled 0\nleft: visitor " + janes[0].VisitorID + " of seoul, who shares the number\n"
		if out := p.ok(t, "erase", "--phone", "010-1234-5678"); out != want {
			t.Errorf("printed %q, want %q", out, want)
		}
		if r := p.run(t, "erase", "--phone", "0082 10 1234 5678"); r.status != 1 { // it leads to nobody
			t.Errorf("exit status %d\n%s%s", r.status, r.out, r.err)
		}
		p.ok(t, "verify")
	})
}
