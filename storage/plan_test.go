package storage_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
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

// The tables that grow with every booking: no statement of an operation may read one of them completely.
var growing = []string{"slots", "holds", "bookings", "idempotency_tokens", "occupied_resources", "guests", "guest_keys", "booking_events", "outbox", "guest_terms"}

// Every statement of every operation finds its rows by an index, on tables of 20,000 rows with statistics, and on PostgreSQL also
// with a generic plan.
func TestPlans(t *testing.T) {
	storagetest.EachWith(t, storage.Options{Limit: time.Minute}, func(t *testing.T, db storagetest.Database) {
		ctx := t.Context()
		now := time.Unix(1_800_000_000/86400*86400, 0)
		clinic := inventory.Merchant{
			ID: "clinic", Kind: inventory.MerchantClinic, TimeZone: "UTC", Location: time.UTC, Zones: []inventory.Zone{{ID: "z"}},
			Groups:   []inventory.Group{{ID: "g", IntervalSec: 1800, Zones: []inventory.GroupZone{{ZoneID: "z", Capacity: 2, Enabled: true}}}},
			Services: []inventory.Service{{ID: "s", GroupID: "g", DurationSec: 1800}},
		}
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(db.PutClinic(ctx, clinic, now.Unix()))
		lane := inventory.LaneResource("clinic", &clinic.Groups[0], clinic.Groups[0].Zones[0])
		feed := storage.Feed{GenerationSec: 1}
		must(ignore(db.PutFeedMerchants(ctx, func(each func(inventory.Merchant) error) error {
			return each(inventory.Merchant{ID: "feed", Kind: inventory.MerchantFeed, TimeZone: "UTC"})
		}, feed, 1)))
		must(db.PutFeedServices(ctx, func(each func(string, []inventory.Service) error) error {
			return each("feed", []inventory.Service{{ID: "s"}})
		}, feed, 1))
		row := inventory.Published{MerchantID: "feed", ServiceID: "s", StartSec: now.Unix() + 1800, DurationSec: 1800, SpotsTotal: 1, SpotsOpen: 1, StaffID: "kim", RoomID: "z"}
		_, err := db.PutPublished(ctx, []inventory.Published{row}, now.Unix())
		must(err)
		raw := fill20000(t, db.Target, lane.ID, now.Unix())

		var mu sync.Mutex
		seen := map[string][]any{}
		must(db.Trace(func(text string, args []any) {
			mu.Lock()
			defer mu.Unlock()
			seen[text] = slices.Clone(args)
		}))
		s := &booking.Service{Store: db, Now: func() time.Time { return now }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
		slot := booking.Slot{MerchantID: "clinic", ServiceID: "s", StartSec: now.Unix() + 1800, DurationSec: 1800}
		create := booking.Create{Caller: "google", Token: "new", Slot: slot, Fingerprint: []byte("f"), Contact: booking.Contact{UserID: "u", Email: "a@b"}}
		out, err := s.Create(ctx, create)
		must(err)
		_, err = s.Create(ctx, create)
		must(err)
		again := create // a known guest, on slots that nobody has touched
		again.Token, again.StartSec = "other", now.Unix()+86400*3650
		_, err = s.Create(ctx, again)
		must(err)
		b := out.Booking
		must(s.Change(ctx, booking.Change{By: booking.By{Actor: booking.ByDesk}, MerchantID: "clinic", ScheduleID: b.ScheduleID, ZoneID: "z", Items: []booking.Item{
			{GroupID: "g", ZoneID: "z", StartSec: slot.StartSec + 3600, EndSec: slot.StartSec + 5400},
		}}))
		_, err = s.Update(ctx, booking.Update{BookingID: b.ID, Cancel: true})
		must(err)
		_, err = s.Lease(ctx, booking.Lease{Slot: slot})
		must(err)
		_, err = s.Available(ctx, "clinic", []booking.Slot{slot})
		must(err)
		_, err = s.Booking(ctx, b.ID)
		must(err)
		_, err = db.GuestBookings(ctx, "u", booking.Live, now.Unix())
		must(err)
		_, err = db.LapsedLeases(ctx, []inventory.SlotKey{{Resource: lane.ID, StartSec: slot.StartSec}}, now.Unix())
		must(err)
		_, err = s.Sweep(ctx)
		must(err)
		_, err = s.DeclineOverdue(ctx, time.Hour)
		must(err)
		_, err = db.Events(ctx, b.ID)
		must(err)
		_, err = db.Bookings(ctx, "clinic", now.Unix(), now.Unix()+86400)
		must(err)
		_, err = s.Erase(ctx, booking.By{Actor: booking.ByOperator}, booking.Subject{UserID: "u"}, true)
		must(err)

		all := booking.Archival{UntilSec: slot.StartSec + 7200, TokensUntilSec: 1 << 40, Undelivered: true}
		over, err := db.Over(ctx, "clinic", all.UntilSec, booking.Over{}, 10)
		must(err)
		must(db.ReadOver(ctx, over, silent{}))
		if n, err := db.RemoveOver(ctx, all, over); n != len(over) || n == 0 || err != nil {
			t.Errorf("removed %d of %d bookings: %v", n, len(over), err)
		}
		_, err = db.CountUnerased(ctx, all.UntilSec)
		must(err)

		of := booking.Slot{MerchantID: "feed", ServiceID: "s", StartSec: row.StartSec, DurationSec: 1800, StaffID: "kim", RoomID: "z"}
		_, err = s.Available(ctx, "feed", []booking.Slot{of})
		must(err)
		_, err = s.Create(ctx, booking.Create{Caller: "google", Token: "shared", Slot: of, Fingerprint: []byte("f"), Contact: booking.Contact{UserID: "v"}})
		must(err)

		if len(seen) < 30 {
			t.Errorf("%d statements: too few to be all", len(seen))
		}
		for _, text := range slices.Sorted(maps.Keys(seen)) {
			if strings.HasPrefix(text, "SET ") {
				continue
			}
			plans := explain(t, raw, text, seen[text])
			for _, plan := range plans {
				if table := scanned(text, plan); table != "" {
					t.Errorf("reads all of %s:\n%s\n%s", table, text, plan)
				}
			}
		}
	})
}

// silent is an archiver that keeps nothing.
type silent struct{}

func (silent) Booking(booking.Booking, []inventory.Hold) error           { return nil }
func (silent) Token(uuid.UUID, string, int64) error                      { return nil }
func (silent) Event(uuid.UUID, int64, booking.Event, storage.Owed) error { return nil }

// ignore is the error of a call whose result is not wanted.
func ignore[T any](_ T, err error) error { return err }

// fill20000 writes that many rows into each table that grows, and lets the
// planner see them.
func fill20000(t *testing.T, target string, lane uuid.UUID, nowSec int64) *sql.DB {
	t.Helper()
	driver, id := "sqlite", "'00000000-0000-7000-8000-' || substr('000000000000' || i, -12)"
	if strings.HasPrefix(target, "postgres") {
		driver, id = "pgx", "('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid"
	}
	raw, err := sql.Open(driver, target)
	if err != nil {
		t.Fatal(err)
	}
	raw.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
	})
	start := fmt.Sprintf("%d + 1800 * i", nowSec)
	for _, insert := range []string{
		"slots (resource_id, start_sec, offered, capacity, taken) SELECT '" + lane.String() + "', " + start + ", 2, 2, 1",
		"guests (id, merchant_id, google_user_id, email, phone, given_name, family_name, created_sec, visitor_id) SELECT " + id + ", 'clinic', '', '', '', '', '', 1, i",
		"guest_keys (merchant_id, key, guest_id) SELECT 'clinic', 'user:' || i, " + id,
		`bookings (id, schedule_id, merchant_id, service_id, guest_id, state, version, start_sec, end_sec, expires_sec, party_size, staff_id,
			room_id, availability_tag, confirmation_mode, contact, additional_request, zone_id, created_by, created_sec) SELECT ` + id + ", i, 'clinic', 's', " + id + ", 'CONFIRMED', 1, " + start + ", " + start + " + 1800, 0, 1, '', '', '', '', '{}', '', 'z', 'guest', 1",
		"occupied_resources (booking_id, seq, resource_id, group_id, zone_id, start_sec, end_sec, spots) SELECT " + id + ", 0, '" + lane.String() + "', 'g', 'z', " + start + ", " + start + " + 1800, 1",
		"holds (booking_id, resource_id, start_sec, end_sec, spots, since_sec) SELECT " + id + ", '" + lane.String() + "', " + start + ", " + start + " + 1800, 1, 1",
		"idempotency_tokens (caller, token, fingerprint, booking_id, created_sec) SELECT 'google', 'token-' || i, CAST('x' AS BYTEA), " + id + ", 1",
		"booking_events (booking_id, version, at_sec, actor, action, before, after) SELECT " + id + ", 1, 1, 'guest', 'CREATED', '{}', '{}'",
		"outbox (booking_id, version, topic, due_sec) SELECT " + id + ", 1, 'booking', 1",
	} {
		insert = strings.ReplaceAll(insert, "SELECT '"+lane.String()+"'", "SELECT CAST('"+lane.String()+"' AS UUID)")
		insert = strings.ReplaceAll(insert, ", '"+lane.String()+"'", ", CAST('"+lane.String()+"' AS UUID)")
		if driver == "sqlite" {
			insert = strings.NewReplacer("CAST('"+lane.String()+"' AS UUID)", "'"+lane.String()+"'", "AS BYTEA", "AS BLOB").Replace(insert)
		}
		into, rest, _ := strings.Cut(insert, " SELECT ")
		text := "INSERT INTO " + into + " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT " + rest + " FROM n"
		if _, err := raw.ExecContext(t.Context(), text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	if _, err := raw.ExecContext(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	return raw
}

// explain returns the plans of a statement: on PostgreSQL with these arguments
// and without looking at any.
func explain(t *testing.T, raw *sql.DB, text string, args []any) []string {
	t.Helper()
	read := func(query string, args ...any) string {
		rows, err := raw.QueryContext(context.Background(), query, args...)
		if err != nil {
			t.Fatalf("%v\n%s", err, query)
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		var plan strings.Builder
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintln(&plan, *values[len(values)-1].(*any))
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		return plan.String()
	}
	if !strings.Contains(fmt.Sprintf("%T", raw.Driver()), "stdlib") {
		return []string{read("EXPLAIN QUERY PLAN "+text, args...)}
	}
	plans := []string{read("EXPLAIN "+text, args...)}
	if !strings.Contains(text, "::") { // the types of its arguments are unknown
		return plans
	}
	for _, setup := range []string{"SET plan_cache_mode = force_generic_plan", "PREPARE p AS " + text} {
		if _, err := raw.ExecContext(context.Background(), setup); err != nil {
			t.Fatalf("%v\n%s", err, setup)
		}
	}
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(args)), ", ")
	plans = append(plans, read("EXPLAIN EXECUTE p ("+nulls+")"))
	if _, err := raw.ExecContext(context.Background(), "DEALLOCATE p"); err != nil {
		t.Fatal(err)
	}
	return plans
}

var (
	postgresScan = regexp.MustCompile(`Seq Scan on (\w+)`)
	sqliteScan   = regexp.MustCompile(`SCAN (\w+)`)
	// Reading all of these partial indexes is fine: they have only the few rows in question.
	partial = regexp.MustCompile(`SCAN \w+ USING INDEX (bookings_pending|bookings_leases|outbox_due)`)
	aliased = regexp.MustCompile(`(?i)(?:FROM|JOIN)\s+"?(\w+)"? (\w)\b`)
)

// scanned is the growing table that a plan reads as a whole, or nothing.
func scanned(text, plan string) string {
	plan = partial.ReplaceAllString(plan, "")
	names := map[string]string{}
	for _, a := range aliased.FindAllStringSubmatch(text, -1) {
		names[a[2]] = a[1]
	}
	for _, pattern := range []*regexp.Regexp{postgresScan, sqliteScan} {
		for _, m := range pattern.FindAllStringSubmatch(plan, -1) {
			name := m[1]
			if full, ok := names[name]; ok {
				name = full
			}
			if slices.Contains(growing, name) {
				return name
			}
		}
	}
	return ""
}
