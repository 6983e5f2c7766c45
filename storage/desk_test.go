package storage_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
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

// What the desk asks costs one query for each table, however long the range, and
// none of them reads a table from end to end.
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
		if _, err := s.Block(ctx, booking.Block{MerchantID: clinicID, Item: booking.Item{GroupID: group, ZoneID: zone, StartSec: start.AddDate(0, 0, 30).Unix(), EndSec: start.AddDate(0, 0, 30).Unix() + 1800}}); err != nil {
			t.Fatal(err)
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
			{"slots for a visit over 30 days", map[string]int{"bookings": 2, "occupied_resources": 1, "guests": 1, "booking_events": 1, "merchants": 1, "holds": 1, "slots": 1}, func() error {
				_, err := s.ScheduleSlots(ctx, key, start.Unix(), month)
				return err
			}},
			{"a visit", map[string]int{"bookings": 1, "occupied_resources": 1, "guests": 1, "booking_events": 1}, func() error {
				v, err := s.Schedule(ctx, key)
				if v.Booking.ID != visits[3].ID || v.Guest.ID != visits[3].GuestID || len(v.Events) != 1 {
					t.Errorf("got %+v", v)
				}
				return err
			}},
			{"a day", map[string]int{"merchants": 1, "bookings": 1, "occupied_resources": 1, "guests": 1}, func() error {
				all, err := s.Schedules(ctx, booking.SchedulesQuery{MerchantID: clinicID, Day: inventory.DateOf(start), Limit: 10})
				if len(all) != 1 {
					t.Errorf("%d visits", len(all))
				}
				return err
			}},
			{"the waiting visits of a day", map[string]int{"merchants": 1, "bookings": 1, "occupied_resources": 1, "guests": 1}, func() error {
				all, err := s.Schedules(ctx, booking.SchedulesQuery{MerchantID: clinicID, Day: inventory.DateOf(start), Waiting: new(false), Limit: 10})
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
			{"visitors by number", map[string]int{"guests": 1}, func() error {
				all, err := s.Guests(ctx, booking.GuestSearch{MerchantID: clinicID, Phones: booking.PhoneSpellings("82", "1000000007"), Limit: 10})
				if len(all) != 1 {
					t.Errorf("%d visitors", len(all))
				}
				return err
			}},
			{"visitors by name", map[string]int{"guests": 1}, func() error {
				all, err := s.Guests(ctx, booking.GuestSearch{MerchantID: clinicID, NamePart: "smith", Limit: 10})
				if len(all) != 10 {
					t.Errorf("%d visitors", len(all))
				}
				return err
			}},
		} {
			got := map[string]int{}
			for _, q := range traced(t, &queries, c.run) {
				for _, table := range regexp.MustCompile(`(?:FROM|JOIN) "?(\w+)`).FindAllStringSubmatch(strings.ReplaceAll(q.query, "`", `"`), -1) {
					got[table[1]]++
				}
				plan, err := db.Explain(ctx, q.query, q.args)
				if err != nil {
					t.Fatalf("%s: %v\n%s", c.name, err, q.query)
				}
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

// Both databases fold A to Z and nothing else, and take a pattern's letters as
// they are.
func TestSearchGuests(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		ctx := context.Background()
		if err := db.PutClinic(ctx, inventory.Merchant{ID: "c", Name: "C", Kind: inventory.MerchantClinic, TimeZone: "UTC", Location: time.UTC}, 0); err != nil {
			t.Fatal(err)
		}
		for i, g := range []booking.Guest{
			{GivenName: "Zoë", FamilyName: "ÉMILE", Phone: "+33 (0)1.23/45", Email: " Zoe@Example.com "},
			{GivenName: "100%", FamilyName: `back\slash_`, Phone: "02-123-4567"},
			{GivenName: "길동", FamilyName: "홍"},
		} {
			g.ID, g.MerchantID, g.VisitorID = uuid.Must(uuid.NewV7()), "c", fmt.Sprint("v", i)
			if err := db.InTx(ctx, booking.Keys{}, func(tx booking.Tx) error { tx.PutGuest(g); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range []struct {
			name string
			q    booking.GuestSearch
			want string
		}{
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
			{"everybody", booking.GuestSearch{}, "v0 v1 v2"},
			{"the second", booking.GuestSearch{Offset: 1, Limit: 1}, "v1"},
		} {
			if c.q.MerchantID == "" {
				c.q.MerchantID = "c"
			}
			if c.q.Limit == 0 {
				c.q.Limit = 10
			}
			found, err := db.SearchGuests(ctx, c.q)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			var ids []string
			for _, g := range found {
				ids = append(ids, g.VisitorID)
			}
			if got := strings.Join(ids, " "); got != c.want {
				t.Errorf("%s: got %q, want %q", c.name, got, c.want)
			}
		}
	})
}
