package main

import (
	"strings"
	"testing"
)

func TestRetainCommand(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		book(t, db, guest("John", at(9, 0))) // in March 2026: past, by the real time
		book(t, db, guest("Jane", ahead(9))) // to come
		if out := p.ok(t, "retain", "--after", "876000h"); out != "erased: visits 0, guests 0\n" {
			t.Errorf("after a hundred years: %s", out)
		}
		if out := p.ok(t, "retain", "--after", "0"); out != "erased: visits 1, guests 1\n" {
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

// However the number is written, it is found, and who shares it is told and left.
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
