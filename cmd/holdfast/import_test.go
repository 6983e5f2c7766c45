package main

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage/storagetest"
)

func TestImportCatalogue(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		path := file(t, "clinics.yaml", catalogue2)
		want := path + ": clinic seoul: zones 1, groups 1, staff 1, services 1, offers 0\n" + path + ": clinic new-york: zones 1, groups 1, staff 0, services 1, offers 0\n"
		if got := p.ok(t, "import", path); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		b := book(t, p.open(t), guest("John", at(9, 0)))
		if b.ZoneID != seoulBed {
			t.Errorf("booked %+v", b)
		}
	})
}

// The import reports everything that is wrong at once, each with its path, and writes nothing, not even from other files.
func TestImportOfWrongFiles(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		wrong := file(t, "wrong.yaml", `
merchants:
  - id: pune
    name: Pune
    time_zone: Asia/Atlantis
    zones:
      - {id: 65a400000000000000000001, name: Room, colour: blue}
    groups:
      - id: 65b400000000000000000001
        title: Visits
        interval_minutes: 7
        zones: [{zone_id: 65a4000000000000000000ff, capacity: -1}]
        timetable: {monday: {start: "09:00", end: "08:00"}}
    services:
      - {id: visit, group_id: nobody, duration_sec: soon}
`)
		feed := file(t, "feed.json", `{`+feedMeta+`, "service_availability": [{"availability": [{"merchant_id": "nobody", "spots_total": 1, "spots_open": 2}]}]}`)
		letter := file(t, "letter.txt", "Dear Sir or Madam")
		missing := filepath.Join(t.TempDir(), "missing.yaml")
		good := file(t, "good.yaml", catalogue2)

		r := p.run(t, "import", good, wrong, feed)
		if r.status != 1 || r.out != "" {
			t.Errorf("exit status %d, printed\n%s", r.status, r.out)
		}
		for _, want := range []string{
			wrong + `: merchants[0].time_zone: no such time zone: "Asia/Atlantis"`,
			wrong + `: merchants[0].zones[0].colour: unknown key`,
			wrong + `: merchants[0].groups[0].interval_minutes: must divide a day`,
			wrong + `: merchants[0].groups[0].zones[0].zone_id: no such zone`,
			wrong + `: merchants[0].groups[0].zones[0].capacity: must be`,
			wrong + `: merchants[0].groups[0].timetable.monday.end: must be after start`,
			wrong + `: merchants[0].services[0].group_id: no such group`,
			wrong + `: merchants[0].services[0].duration_sec: must be a whole number`,
			feed + `: service_availability[0].availability[0].merchant_id: no such merchant`,
			feed + `: service_availability[0].availability[0].start_sec: required`,
			feed + `: service_availability[0].availability[0].spots_open: must not be above spots_total`,
			"holdfast: nothing was written",
		} {
			if !strings.Contains(r.err, want) {
				t.Errorf("%q is missing in\n%s", want, r.err)
			}
		}

		r = p.run(t, "import", good, letter, missing)
		if r.status != 1 || r.out != "" {
			t.Errorf("exit status %d, printed\n%s", r.status, r.out)
		}
		for _, want := range []string{letter + ": not a file that can be imported", missing + ": ", "holdfast: nothing was written"} {
			if !strings.Contains(r.err, want) {
				t.Errorf("%q is missing in\n%s", want, r.err)
			}
		}

		if merchants, err := p.open(t).MerchantIDs(t.Context()); err != nil || len(merchants) > 0 {
			t.Errorf("written: %v, %v", merchants, err)
		}
	})
}

// A feed in two files wants both of them.
func TestImportOfHalfAFeed(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		half := file(t, "merchants-0.json", strings.Replace(merchantsFeed, `"total_shards": 1`, `"total_shards": 2, "shard_number": 0, "nonce": "7"`, 1))
		r := p.run(t, "import", half)
		if r.status != 1 || !strings.Contains(r.err, "shard 2 of 2 is missing") || !strings.Contains(r.err, "nothing was written") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
	})
}

// Feeds may be named in any order, with a catalogue or without.
func TestImportInAnyOrder(t *testing.T) {
	feeds := map[string]string{"m": merchantsFeed, "s": servicesFeed, "a": slotsFeed, "c": catalogue2}
	for _, order := range []string{"msa", "ams", "sam", "acsm", "casm"} {
		t.Run(order, func(t *testing.T) {
			each(t, func(t *testing.T, p program) {
				args := []string{"import"}
				for _, name := range order {
					args = append(args, file(t, string(name), feeds[string(name)]))
				}
				out := p.ok(t, args...)
				for _, want := range []string{"merchants 1\n", "services 1\n", "slots 2, withdrawn 0\n"} {
					if !strings.Contains(out, want) {
						t.Errorf("%q is missing in\n%s", want, out)
					}
				}
				book(t, p.open(t), dinner("John", 2))
			})
		})
	}
	// One file at a time too, as long as each finds what it names.
	each(t, func(t *testing.T, p program) {
		for _, name := range []string{"m", "s", "a"} {
			p.ok(t, "import", file(t, name, feeds[name]))
		}
		book(t, p.open(t), dinner("John", 2))
	})
}

// dinner is a request for a table, or with a party of 0 for a seat in the bar.
func dinner(name string, party int) booking.Create {
	c := guest(name, dinnerSec)
	c.MerchantID, c.ServiceID, c.DurationSec, c.PartySize = "bistro", "dinner", 5400, party
	if party == 0 {
		c.DurationSec = 3600
	}
	return c
}

// The same import again changes nothing, bookings in between included.
func TestImportAgain(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		args := []string{"import"}
		contents := map[string]string{"c": catalogue2, "m": merchantsFeed, "s": servicesFeed, "a": slotsFeed}
		for _, name := range slices.Sorted(maps.Keys(contents)) {
			args = append(args, file(t, name, contents[name]))
		}
		first := p.ok(t, args...)
		db := p.open(t)
		book(t, db, guest("John", at(9, 0)))
		book(t, db, dinner("Jane", 2))
		book(t, db, dinner("Ann", 0))
		before := p.dump(t)
		if again := p.ok(t, args...); again != first {
			t.Errorf("told differently:\n%s\nthe first time:\n%s", again, first)
		}
		if diff := cmp.Diff(before, p.dump(t)); diff != "" {
			t.Errorf("it changed something (-before +after):\n%s", diff)
		}
		// What was sold stays sold, and what was left is.
		book(t, db, dinner("Bob", 2))
		if _, err := service(db).Create(t.Context(), dinner("Eve", 2)); !full(err) {
			t.Errorf("a third table of two: %v", err)
		}
		p.ok(t, "verify")
	})
}

func full(err error) bool {
	var f *booking.Failure
	return errors.As(err, &f) && f.Cause == booking.SlotUnavailable
}

func (p program) dump(t *testing.T) map[string]string {
	t.Helper()
	dump, err := storagetest.Dump(p.database)
	if err != nil {
		t.Fatal(err)
	}
	return dump
}

// A newer complete feed withdraws what it leaves out; an older one is refused.
func TestImportOfNewerAndOlderFeeds(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		slots := strings.ReplaceAll(slotsFeed, fmt.Sprint(dinnerSec), fmt.Sprint(ahead(19))) // what is past is not withdrawn
		p.ok(t, "import", file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", slots))
		db := p.open(t)
		table, seat := dinner("John", 2), dinner("Ann", 0)
		table.StartSec, seat.StartSec = ahead(19), ahead(19)
		john := book(t, db, table)
		tables, _, _ := strings.Cut(slots, ",\n\t\t{\"merchant_id\": \"bistro\", \"service_id\": \"dinner\", \"start_sec\": "+fmt.Sprint(ahead(19))+", \"duration_sec\": 3600")
		newer := strings.Replace(tables, "1772000000", "1772400000", 1) + `]}]}`
		if out := p.ok(t, "import", file(t, "newer", newer)); !strings.Contains(out, "slots 1, withdrawn 1\n") {
			t.Errorf("printed\n%s", out)
		}
		if _, err := service(db).Create(t.Context(), seat); !full(err) {
			t.Errorf("a seat in the bar that was withdrawn: %v", err)
		}
		r := p.run(t, "import", file(t, "older", slots))
		if r.status != 1 || !strings.Contains(r.err, "a newer feed has been loaded already") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
		if out := p.ok(t, "bookings", "--merchant", "bistro", "--json"); !strings.Contains(out, john.ID.String()) {
			t.Errorf("John's booking is gone:\n%s", out)
		}
		p.ok(t, "verify")
	})
}

// A clinic's interval cannot change while it has future visits, which the import names.
func TestImportOfAnotherInterval(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		b := book(t, db, guest("John", ahead(9)))
		r := p.run(t, "import", file(t, "c", strings.Replace(catalogue2, "interval_minutes: 30", "interval_minutes: 20", 1)))
		if r.status != 1 || !strings.Contains(r.err, b.ScheduleID) {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
		if b := book(t, db, guest("Jane", at(9, 30))); b.ZoneID != seoulBed {
			t.Errorf("half hours are no more: %+v", b)
		}
	})
}

func TestKeyCreate(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		r := p.run(t, "key", "create", "--merchant", "seoul")
		key := strings.TrimSuffix(r.out, "\n")
		if _, err := uuid.Parse(key); r.status != 0 || err != nil || len(key) != 36 || r.err != "" {
			t.Errorf("exit status %d, printed %q and %q", r.status, r.out, r.err)
		}
		s := service(p.open(t))
		token, err := s.ExchangeKey(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if merchant, _, err := s.Clinic(t.Context(), token); merchant != "seoul" || err != nil {
			t.Errorf("the key is of %q, %v", merchant, err)
		}
		if again := p.ok(t, "key", "create", "--merchant", "seoul"); again == r.out {
			t.Error("the same key twice")
		}

		r = p.run(t, "key", "create", "--merchant", "nobody")
		if r.status != 1 || r.out != "" || !strings.Contains(r.err, fmt.Sprintf("--merchant: there is no merchant %q", "nobody")) {
			t.Errorf("exit status %d, printed %q and %q", r.status, r.out, r.err)
		}
	})
}
