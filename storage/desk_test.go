package storage_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// traced runs a query of the desk and returns the statements that it took.
func traced(t *testing.T, queries *[]traceOf, run func() error) []traceOf {
	t.Helper()
	*queries = nil
	if err := run(); err != nil {
		t.Fatal(err)
	}
	return *queries
}

type traceOf struct {
	query string
	args  []any
}

// results matches lines of a plan that scan the input or intermediate results.
var results = regexp.MustCompile(`(?m)^SCAN ([fhp]|\d+-ROW VALUES CLAUSE)$`)

// The desk's queries cost a fixed number of statements for each table, however long the range, and none of them reads a whole
// table.
func TestDeskQueries(t *testing.T) {
	const clinicID, group, zone, doctor = "clinic", "65b000000000000000000001", "65a000000000000000000001", "65c000000000000000000001"
	seoul, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	m := inventory.Merchant{
		ID: clinicID, Name: "C", Kind: inventory.MerchantClinic, TimeZone: "Asia/Seoul", Location: seoul,
		Zones: []inventory.Zone{{ID: zone, Name: "Z"}},
		Groups: []inventory.Group{{
			ID: group, Title: "G", IntervalSec: 1800, AnchorSec: inventory.GridAnchor(1800, seoul),
			Zones: []inventory.GroupZone{{ZoneID: zone, Capacity: 3, Enabled: true}},
		}},
		Staff:    []inventory.Staff{{ID: doctor, Name: "D", Exclusive: true}},
		Services: []inventory.Service{{ID: "s", GroupID: group, DurationSec: 1800}},
	}
	start := time.Date(2026, 3, 2, 0, 0, 0, 0, seoul)
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		ctx := context.Background()
		if err := db.PutClinic(ctx, m, 0); err != nil {
			t.Fatal(err)
		}
		s := &booking.Service{Store: db, Now: func() time.Time { return start }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
		var visits []booking.Booking
		for i := range 30 {
			out, err := s.Create(ctx, booking.Create{
				Caller: "google", Token: fmt.Sprint(i), Fingerprint: []byte("f"),
				Slot:    booking.Slot{MerchantID: clinicID, ServiceID: "s", StartSec: start.AddDate(0, 0, i).Add(9 * time.Hour).Unix(), DurationSec: 1800, StaffID: doctor},
				Contact: booking.Contact{UserID: fmt.Sprint("u", i), GivenName: "John", FamilyName: "Smith", Telephone: fmt.Sprintf("+82 10-0000-%04d", i), Email: fmt.Sprintf("u%d@example.com", i)},
			})
			if err != nil {
				t.Fatal(err)
			}
			visits = append(visits, out.Booking)
		}
		if _, err := s.Block(ctx, booking.Block{By: booking.By{Actor: booking.ByDesk}, MerchantID: clinicID, Item: booking.Item{GroupID: group, ZoneID: zone, StartSec: start.AddDate(0, 0, 30).Unix(), EndSec: start.AddDate(0, 0, 30).Unix() + 1800}}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.IndexGuests(ctx); err != nil || n != 30 {
			t.Fatal(n, err)
		}
		var queries []traceOf
		if err := db.Trace(func(query string, args []any) { queries = append(queries, traceOf{query, args}) }); err != nil {
			t.Fatal(err)
		}
		key := booking.ScheduleKey{MerchantID: clinicID, ScheduleID: visits[3].ScheduleID}
		month := start.AddDate(0, 0, 30).Unix()
		for _, c := range []struct {
			name string
			want map[string]int // table → queries
			run  func() error
		}{
			{"slots of a group over 30 days", map[string]int{"merchants": 1, "bookings": 1, "holds": 1, "slots": 1}, func() error {
				slots, err := s.GroupSlots(ctx, booking.SlotsQuery{MerchantID: clinicID, GroupIDs: []string{group}, DoctorID: doctor, FromSec: start.Unix(), ToSec: month})
				taken := 0
				for _, sl := range slots {
					taken += sl.Taken
				}
				if len(slots) != 30*48 || taken != 30*3 { // the doctor is busy: full
					t.Errorf("%d slots with %d taken", len(slots), taken)
				}
				return err
			}},
			{"slots of a group over a minute", map[string]int{"merchants": 1, "bookings": 1, "holds": 1, "slots": 1}, func() error {
				_, err := s.GroupSlots(ctx, booking.SlotsQuery{MerchantID: clinicID, GroupIDs: []string{group}, FromSec: start.Unix(), ToSec: start.Unix() + 60})
				return err
			}},
			{"slots for a visit over 30 days", map[string]int{"bookings": 2, "occupied_resources": 1, "guests": 1, "merchants": 1, "holds": 1, "slots": 1}, func() error {
				_, err := s.ScheduleSlots(ctx, key, start.Unix(), month)
				return err
			}},
			{"a visit", map[string]int{"bookings": 1, "occupied_resources": 1, "guests": 1, "booking_events": 2}, func() error {
				v, more, err := s.Schedule(ctx, key, booking.HistoryPage{Limit: 10})
				if more || v.Booking.ID != visits[3].ID || v.Guest.ID != visits[3].GuestID || len(v.Events) != 1 {
					t.Errorf("got %+v", v)
				}
				return err
			}},
			{"a day", map[string]int{"merchants": 1, "bookings": 3, "occupied_resources": 3, "guests": 1}, func() error {
				all, more, err := s.Schedules(ctx, booking.SchedulesQuery{MerchantID: clinicID, Day: inventory.DateOf(start), Limit: 10})
				if len(all) != 1 || more {
					t.Errorf("%d visits, more: %t", len(all), more)
				}
				return err
			}},
			{"the waiting visits of a day", map[string]int{"merchants": 1, "bookings": 3, "occupied_resources": 3, "guests": 1}, func() error {
				all, _, err := s.Schedules(ctx, booking.SchedulesQuery{MerchantID: clinicID, Day: inventory.DateOf(start), Waiting: new(false), Limit: 10})
				if len(all) != 1 {
					t.Errorf("%d visits", len(all))
				}
				return err
			}},
			{"blocked times of 30 days", map[string]int{"bookings": 1, "occupied_resources": 1}, func() error {
				all, more, err := s.Blocks(ctx, booking.BlocksQuery{MerchantID: clinicID, FromSec: start.Unix(), ToSec: month + 1, Limit: 10, AfterSec: 1, AfterID: uuid.Max})
				if len(all) != 1 || more {
					t.Errorf("%d blocks, more %v", len(all), more)
				}
				return err
			}},
			{"what has changed", map[string]int{"booking_events": 2, "bookings": 1, "occupied_resources": 1, "guests": 1}, func() error {
				all, next, more, err := s.Changes(ctx, booking.ChangesQuery{MerchantID: clinicID, Limit: 10, Cursor: booking.ChangesCursor{SettledSec: 1, After: booking.ChangeAt{AtSec: 1, BookingID: uuid.Max}}})
				if len(all) != 10 || !more || next.After.BookingID != all[9].Booking.ID {
					t.Errorf("%d visits, more %v, %+v", len(all), more, next)
				}
				return err
			}},
			{"visitors by number", map[string]int{"guests": 2, "guest_keys": 1, "f": 1}, func() error {
				all, _, err := s.Guests(ctx, booking.GuestSearch{MerchantID: clinicID, Phones: booking.PhoneSpellings("82", "1000000007"), Limit: 10})
				if len(all) != 1 {
					t.Errorf("%d visitors", len(all))
				}
				return err
			}},
			{"visitors by name", map[string]int{"guests": 2, "guest_terms": 4}, func() error {
				all, _, err := s.Guests(ctx, booking.GuestSearch{MerchantID: clinicID, NamePart: "smith", Limit: 10})
				if len(all) != 10 {
					t.Errorf("%d visitors", len(all))
				}
				return err
			}},
		} {
			got := map[string]int{}
			for _, q := range traced(t, &queries, c.run) {
				for _, table := range regexp.MustCompile(`(?:FROM|JOIN) "?(\w+)`).FindAllStringSubmatch(strings.ReplaceAll(q.query, "`", `"`), -1) {
					if table[1] != "unnest" {
						got[table[1]]++
					}
				}
				plan, err := db.Explain(ctx, q.query, q.args)
				if err != nil {
					t.Fatalf("%s: %v\n%s", c.name, err, q.query)
				}
				plan = results.ReplaceAllString(plan, "")
				if full := regexp.MustCompile(`(?m)^SCAN|Seq Scan`).FindString(plan); full != "" {
					t.Errorf("%s: reads from end to end:\n%s\n%s", c.name, q.query, plan)
				}
				for _, x := range []struct{ name, table, index string }{
					{"visitors by number", "guests", "guests_phone"}, {"blocked times of 30 days", "bookings", "bookings_blocks"},
					{"what has changed", "booking_events", "booking_events_merchant"}, {"what has changed", "bookings", "bookings_pkey|sqlite_autoindex_bookings"},
				} {
					if c.name == x.name && regexp.MustCompile(`FROM .?`+x.table+`\b`).MatchString(q.query) && !regexp.MustCompile(x.index).MatchString(plan) {
						t.Errorf("%s: does not use its index:\n%s", c.name, plan)
					}
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s: got %v, want %v", c.name, got, c.want)
			}
		}
	})
}

// A page has as many visits or changes as requested, but at most a megabyte of them unless a single one is longer. All pages
// together have everything once, and no more rows are read than a page has.
func TestPages(t *testing.T) {
	const group, zone = "65b000000000000000000001", "65a000000000000000000001"
	m := inventory.Merchant{
		ID: "c", Name: "C", Kind: inventory.MerchantClinic, TimeZone: "UTC", Location: time.UTC, Zones: []inventory.Zone{{ID: zone}},
		Groups: []inventory.Group{{ID: group, IntervalSec: 1800, Zones: []inventory.GroupZone{{ZoneID: zone, Capacity: 100, Enabled: true}}}},
	}
	start := time.Date(1969, 3, 2, 9, 0, 0, 0, time.UTC) // the desk may book whenever it likes
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		ctx := t.Context()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(db.PutClinic(ctx, m, 0))
		s := &booking.Service{Store: db, Now: func() time.Time { return start }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
		change := func(size int) booking.Change { // as long as nobody can make it any more
			c := booking.Change{By: booking.By{Actor: booking.ByDesk}, MerchantID: "c", ZoneID: zone, Memo: booking.Set(strings.Repeat("m", size))}
			doctor := &booking.Person{ID: "d", Name: strings.Repeat("김", size/30)}
			for range 10 {
				c.Items = append(c.Items, booking.Item{GroupID: group, ZoneID: zone, Doctor: doctor, StartSec: start.Unix(), EndSec: start.Unix() + 1800})
			}
			return c
		}
		var ids []string
		for i, size := range []int{10, 600_000, 300_000, 1_500_000, 10, 10, 10} {
			out, err := s.Reserve(ctx, booking.Reserve{Change: change(size), Name: "n", Phone: fmt.Sprint(i)})
			must(err)
			ids = append(ids, out.Booking.ScheduleID)
		}
		out, err := s.Block(ctx, booking.Block{By: booking.By{Actor: booking.ByDesk}, MerchantID: "c", Item: booking.Item{GroupID: group, ZoneID: zone, StartSec: start.Unix() + 1800, EndSec: start.Unix() + 3600}})
		must(err)
		if out.Booking.State != booking.Blocked {
			t.Fatal(out.Booking.State)
		}

		for _, c := range []struct {
			limit int
			want  []int // visits of each page
		}{{500, []int{1, 1, 1, 1, 3}}, {2, []int{1, 1, 1, 1, 2, 1}}, {1, []int{1, 1, 1, 1, 1, 1, 1}}} {
			q := booking.SchedulesQuery{MerchantID: "c", Day: inventory.DateOf(start), GroupID: group, ZoneID: zone, Limit: c.limit}
			var sizes []int
			var got []string
			for more := true; more; {
				var page []booking.Schedule
				page, more, err = s.Schedules(ctx, q)
				must(err)
				for _, v := range page {
					got = append(got, v.Booking.ScheduleID)
				}
				last := page[len(page)-1].Booking
				q.After, sizes = booking.Position{StartSec: last.StartSec, ID: last.ID}, append(sizes, len(page))
			}
			if fmt.Sprint(sizes, got) != fmt.Sprint(c.want, ids) {
				t.Errorf("limit %d: got pages of %v with %v, want %v with %v", c.limit, sizes, got, c.want, ids)
			}
		}
		for _, q := range []booking.SchedulesQuery{{GroupID: group, Offset: 6}, {ZoneID: zone, Offset: 7}} {
			q.MerchantID, q.Day, q.Limit = "c", inventory.DateOf(start), 10
			page, more, err := s.Schedules(ctx, q)
			must(err)
			if len(page) != 7-q.Offset || more {
				t.Errorf("from %d on there are %d visits, more: %t", q.Offset, len(page), more)
			}
		}
		var queries []traceOf
		must(db.Trace(func(query string, args []any) { queries = append(queries, traceOf{query, args}) }))
		_, _, err = s.Schedules(ctx, booking.SchedulesQuery{MerchantID: "c", Day: inventory.DateOf(start), Limit: 1})
		must(err)
		if !slices.ContainsFunc(queries, func(q traceOf) bool { return strings.Contains(q.query, "LIMIT") && slices.Contains(q.args, any(2)) }) {
			t.Error("the database was not told how many are wanted")
		}

		// The history: one that is long, then short ones.
		for _, size := range []int{900_000, 900_030, 9, 30, 9} {
			c := change(size)
			c.ScheduleID = ids[0]
			must(s.Change(ctx, c))
		}
		for _, c := range []struct {
			limit int
			want  []int // changes of each page
		}{{500, []int{2, 1, 3}}, {1, []int{1, 1, 1, 1, 1, 1}}, {0, []int{0}}} {
			var sizes []int
			var got int64
			for more := true; more; {
				var v booking.Schedule
				v, more, err = s.Schedule(ctx, booking.ScheduleKey{MerchantID: "c", ScheduleID: ids[0]}, booking.HistoryPage{After: got, Limit: c.limit})
				must(err)
				sizes, got = append(sizes, len(v.Events)), got+int64(len(v.Events))
			}
			if fmt.Sprint(sizes) != fmt.Sprint(c.want) {
				t.Errorf("limit %d: got pages of %v changes, want %v", c.limit, sizes, c.want)
			}
		}
	})
}

// Both databases fold only A to Z, and take a pattern's letters literally.
func TestSearchGuests(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		ctx := context.Background()
		if err := db.PutClinic(ctx, inventory.Merchant{ID: "c", Name: "C", Kind: inventory.MerchantClinic, TimeZone: "UTC", Location: time.UTC}, 0); err != nil {
			t.Fatal(err)
		}
		var ids []uuid.UUID
		for i, g := range []booking.Guest{
			{GivenName: "Zoë", FamilyName: "ÉMILE", Phone: "+33 (0)1.23/45", Email: " Zoe@Example.com "},
			{GivenName: "100%", FamilyName: `back\slash_`, Phone: "02-123-4567"},
			{GivenName: "길동", FamilyName: "홍"},
		} {
			g.ID, g.MerchantID, g.VisitorID = uuid.Must(uuid.NewV7()), "c", fmt.Sprint("v", i)
			ids = append(ids, g.ID)
			if err := db.InTx(ctx, booking.Footprint{}, func(tx booking.Tx) error { tx.PutGuest(g); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		type search struct {
			name string
			q    booking.GuestSearch
			want string // followed by … if there are more
		}
		cases := []search{
			{"ASCII in either case", booking.GuestSearch{NamePart: "ZO"}, "v0"},
			{"other letters as they are", booking.GuestSearch{NamePart: "émile"}, ""},
			{"other letters, the same", booking.GuestSearch{NamePart: "Émile"}, "v0"},
			{"family name first", booking.GuestSearch{NamePart: "홍길동"}, "v2"},
			{"given name first", booking.GuestSearch{NamePart: "길동 홍"}, "v2"},
			{"a percent sign", booking.GuestSearch{NamePart: "0%"}, "v1"},
			{"an underscore", booking.GuestSearch{NamePart: "h_"}, "v1"},
			{"a backslash", booking.GuestSearch{NamePart: `k\s`}, "v1"},
			{"an email with space around it", booking.GuestSearch{Email: "zoe@example.com"}, "v0"},
			{"a number", booking.GuestSearch{Phones: []string{"021234567", "7"}}, "v1"},
			{"a visitor", booking.GuestSearch{VisitorID: "v2"}, "v2"},
			{"all of it", booking.GuestSearch{VisitorID: "v2", NamePart: "zo"}, ""},
			{"of another clinic", booking.GuestSearch{MerchantID: "d", VisitorID: "v2"}, ""},
			{"one character", booking.GuestSearch{NamePart: "동"}, "v2"},
			{"the middle of a word", booking.GuestSearch{NamePart: "길동홍"}, ""},
			{"an order that a name has not", booking.GuestSearch{NamePart: "zo z"}, ""},
			{"across both names", booking.GuestSearch{NamePart: "ë É"}, "v0"},
			{"several", booking.GuestSearch{NamePart: "l"}, "v0 v1"},
			{"a page", booking.GuestSearch{NamePart: "l", Limit: 1}, "v0 …"},
			{"the second", booking.GuestSearch{NamePart: "l", Offset: 1, Limit: 1}, "v1"},
			{"behind the first", booking.GuestSearch{NamePart: "l", After: ids[0]}, "v1"},
			{"a number behind its guest", booking.GuestSearch{Phones: []string{"021234567"}, After: ids[1]}, ""},
			{"an address and a name", booking.GuestSearch{Email: "zoe@example.com", NamePart: "smi"}, ""},
			{"an address and its name", booking.GuestSearch{Email: "zoe@example.com", NamePart: "MIL"}, "v0"},
			{"a part of an address", booking.GuestSearch{Email: "zoe@example.co"}, ""},
			{"nothing", booking.GuestSearch{}, ""},
		}
		check := func(when string) {
			t.Helper()
			for _, c := range cases {
				if c.q.MerchantID == "" {
					c.q.MerchantID = "c"
				}
				if c.q.Limit == 0 {
					c.q.Limit = 10
				}
				found, more, err := db.SearchGuests(ctx, c.q)
				if err != nil {
					t.Fatalf("%s, %s: %v", c.name, when, err)
				}
				var ids []string
				for _, g := range found {
					ids = append(ids, g.VisitorID)
				}
				if more {
					ids = append(ids, "…")
				}
				if got := strings.Join(ids, " "); got != c.want {
					t.Errorf("%s, %s: got %q, want %q", c.name, when, got, c.want)
				}
			}
		}
		index := func(limit, want int) {
			t.Helper()
			if n, err := db.IndexGuests(ctx, limit); err != nil || n != want {
				t.Fatalf("indexed %d, want %d: %v", n, want, err)
			}
		}
		check("not indexed")
		index(1, 1)
		check("one indexed")
		index(10, 2)
		index(10, 0)
		check("indexed")

		// Somebody with a new name is found only by that.
		renamed := booking.Guest{ID: ids[2], MerchantID: "c", VisitorID: "v2", GivenName: "길순", FamilyName: "홍"}
		if err := db.InTx(ctx, booking.Footprint{}, func(tx booking.Tx) error { tx.PutGuest(renamed); return nil }); err != nil {
			t.Fatal(err)
		}
		cases = append(cases[:0], cases[0], search{"the new name", booking.GuestSearch{NamePart: "길순"}, "v2"}, search{"the old one", booking.GuestSearch{NamePart: "길동"}, ""})
		check("renamed")
		index(10, 1)
		check("renamed and indexed")

		// Nothing is left of a forgotten guest, indexed or not.
		if n, err := db.ForgetGuests(ctx, ids); err != nil || n != 3 {
			t.Fatalf("forgot %d: %v", n, err)
		}
		index(10, 0)
		all, err := storagetest.DumpAll(db.Target)
		if err != nil {
			t.Fatal(err)
		}
		if all["guest_terms"] != "" || strings.Contains(all["guests"], "Zo") {
			t.Errorf("left:\n%s\n%s", all["guest_terms"], all["guests"])
		}
	})
}

// However many charts a clinic has, a search looks at few of them.
func TestSearchIsBounded(t *testing.T) {
	storagetest.EachWith(t, storage.Options{Limit: time.Minute}, func(t *testing.T, db storagetest.Database) {
		ctx := t.Context()
		now := time.Unix(1_800_000_000, 0)
		clinic := inventory.Merchant{
			ID: "clinic", Kind: inventory.MerchantClinic, TimeZone: "UTC", Location: time.UTC, Zones: []inventory.Zone{{ID: "z"}},
			Groups: []inventory.Group{{ID: "g", IntervalSec: 1800, Zones: []inventory.GroupZone{{ZoneID: "z", Capacity: 2, Enabled: true}}}},
		}
		if err := db.PutClinic(ctx, clinic, now.Unix()); err != nil {
			t.Fatal(err)
		}
		raw := fill20000(t, db.Target, inventory.LaneResource("clinic", &clinic.Groups[0], clinic.Groups[0].Zones[0]).ID, now.Unix())
		for _, text := range []string{
			// Everybody has the terms of "aab" but one of them only the text.
			"UPDATE guests SET phone = visitor_id, email = visitor_id",
			"UPDATE guests SET given_name = 'aa', family_name = 'ab ' || visitor_id WHERE length(visitor_id) < 4 OR visitor_id = '19999'",
			"UPDATE guests SET given_name = 'xaab' WHERE visitor_id = '777'",
			"ANALYZE",
		} {
			if _, err := raw.ExecContext(ctx, text); err != nil {
				t.Fatal(err)
			}
		}
		for n := 1; n > 0; {
			var err error
			if n, err = db.IndexGuests(ctx, 2000); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex
		statements := map[string][]any{}
		if err := db.Trace(func(text string, args []any) {
			mu.Lock()
			defer mu.Unlock()
			statements[text] = slices.Clone(args)
		}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			q    booking.GuestSearch
			want string
		}{
			{booking.GuestSearch{NamePart: "aab"}, "777"},
			{booking.GuestSearch{NamePart: "a"}, "1 2 …"},
			{booking.GuestSearch{NamePart: "b 19999"}, "19999"},
			{booking.GuestSearch{NamePart: "zz"}, ""},
			{booking.GuestSearch{Email: "nobody@example.com"}, ""},
			{booking.GuestSearch{VisitorID: "5"}, "5"},
			{booking.GuestSearch{Phones: []string{"5"}}, "5"},
			{booking.GuestSearch{Email: "5", NamePart: "a"}, "5"},
		} {
			c.q.MerchantID, c.q.Limit = "clinic", 2
			found, more, err := db.SearchGuests(ctx, c.q)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, g := range found {
				ids = append(ids, g.VisitorID)
			}
			if more {
				ids = append(ids, "…")
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
			}
		}
		for text, args := range statements {
			if strings.Contains(text, "set_config") {
				continue
			}
			for _, plan := range explain(t, raw, text, args) {
				if table := scanned(text, plan); table != "" {
					t.Errorf("reads all of %s:\n%s\n%s", table, text, plan)
				}
				for _, whole := range []string{"USING INDEX guests_visitor (merchant_id=?)", "(merchant_id=? AND id>?)\n"} {
					if strings.Contains(plan, whole) && !strings.Contains(plan, "guests_unsearched") {
						t.Errorf("reads all guests of the merchant:\n%s\n%s", text, plan)
					}
				}
			}
		}
	})
}
