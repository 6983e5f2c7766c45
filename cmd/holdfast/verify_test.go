package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

func TestVerify(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		everything(t, p)
		r := p.run(t, "verify")
		if r.status != 0 || r.out != fmt.Sprintln(strings.Count(r.err, "checking that "), "invariants hold") {
			t.Errorf("exit status %d, printed %q and\n%s", r.status, r.out, r.err)
		}
		if out := p.ok(t, "verify", "--json"); out != "[]\n" {
			t.Errorf("printed %q, want an empty array", out)
		}
	})
}

// tamper changes the database around everything that protects it.
func (p program) tamper(t *testing.T, statements ...string) {
	t.Helper()
	free := []string{"ALTER TABLE slots DROP CONSTRAINT IF EXISTS slots_not_oversold"}
	if p.onSQLite() {
		free = []string{"PRAGMA foreign_keys = OFF", "PRAGMA ignore_check_constraints = ON"}
	}
	p.execute(t, append(free, statements...)...)
}

// eachUnprotected runs the test with a database of each kind that has everything, and not
// the constraint that tamper takes away.
func eachUnprotected(t *testing.T, test func(t *testing.T, p program)) {
	t.Helper()
	for _, kind := range storagetest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			db := storagetest.Prepared(t, kind, "unprotected", storage.Options{Limit: time.Minute}, func(db storagetest.Database) {
				p := program{database: db.Target}
				p.fill(t, db.DB)
				p.tamper(t)
			})
			test(t, program{database: db.Target})
		})
	}
}

// The test breaks each invariant by hand, and verify must report only that one, with the row.
func TestVerifyFindsTampering(t *testing.T) {
	const (
		// The visits that everything makes.
		john = "(SELECT id FROM bookings WHERE merchant_id = 'seoul' AND version = 2)"
		jane = "(SELECT id FROM bookings WHERE merchant_id = 'seoul' AND contact LIKE '%Jane%')"
		bob  = "(SELECT id FROM bookings WHERE merchant_id = 'bistro')"
		none = "'00000000-0000-4000-8000-000000000000'"
	)
	ofJane := "resource_id = (SELECT resource_id FROM holds WHERE booking_id = " + jane + ") AND start_sec = (SELECT start_sec FROM holds WHERE booking_id = " + jane + ")"
	allOfJane := "EXISTS (SELECT 1 FROM holds h WHERE h.booking_id = " + jane + " AND h.resource_id = slots.resource_id AND slots.start_sec >= h.start_sec AND slots.start_sec < h.end_sec)"
	ofBob := strings.ReplaceAll(ofJane, jane, bob)
	_, ofZone := inventory.ZoneShare("seoul", inventory.Zone{ID: seoulBed})
	type row struct {
		invariant string
		by        []string
		row       string // part of it
	}
	tampering := []row{
		{"a slot's taken is the sum of the holds that cover it", []string{"UPDATE slots SET taken = taken + 1 WHERE " + ofJane}, "taken 2, held 1"},
		{"a slot's taken is the sum of the holds that cover it", []string{"UPDATE slots SET taken = 0 WHERE " + ofJane}, "taken 0, held 1"},
		{"a published slot's taken is the sum of its holds", []string{"UPDATE slots SET taken = 0 WHERE " + ofBob}, "taken 0, held 1"},
		{"a slot's blocked is the number of blocks that cover it", []string{"UPDATE slots SET blocked = blocked + 1 WHERE " + ofJane}, "blocked 1, blocks 0"},
		{"a slot's blocked is the number of blocks that cover it", []string{
			"UPDATE slots SET taken = 0 WHERE " + allOfJane, "UPDATE holds SET block = TRUE WHERE booking_id = " + jane,
			"UPDATE bookings SET state = 'BLOCKED', guest_id = '00000000-0000-0000-0000-000000000000' WHERE id = " + jane,
		}, "blocked 0, blocks 1"},
		{"a slot's taken is between 0 and its capacity", []string{"UPDATE slots SET capacity = 0, offered = 0 WHERE " + ofJane}, "taken 1 of 0"},
		{"a slot lies on the grid of its resource", []string{"INSERT INTO slots (resource_id, start_sec, offered, capacity) SELECT resource_id, start_sec - 60, 1, 1 FROM slots WHERE " + ofJane}, ": not a multiple of 1800 from 0"},
		{"a hold has all its slots", []string{"DELETE FROM slots WHERE " + ofJane}, " holds "},
		{"only live bookings hold room", []string{"UPDATE bookings SET state = 'CANCELED' WHERE id = " + jane}, " is CANCELED"},
		{"a token names a booking", []string{"INSERT INTO idempotency_tokens SELECT caller, 'stray', fingerprint, " + none + ", created_sec FROM idempotency_tokens WHERE booking_id = " + jane}, "google token of 00000000-0000-4000-8000-000000000000"},
		{"a booking has one token at most", []string{"INSERT INTO idempotency_tokens SELECT caller, 'second', fingerprint, booking_id, created_sec FROM idempotency_tokens WHERE booking_id = " + jane}, " has 2 tokens"},
		{"the token of an erased booking says nothing of the request", []string{"UPDATE bookings SET erased_sec = 1 WHERE id = " + jane}, "google token of "},
		{"a booking's events are its versions without a gap", []string{"UPDATE bookings SET version = version + 1 WHERE id = " + jane}, "version 2 has 1 events"},
		{"a booking's events are its versions without a gap", []string{"DELETE FROM outbox WHERE version = 1 AND booking_id = " + john, "DELETE FROM booking_events WHERE version = 1 AND booking_id = " + john}, "version 2 has 1 events"},
		{"a change has its outbox row", []string{"DELETE FROM outbox WHERE version = 2"}, " version 2"},
		{"an outbox row has its change", []string{"INSERT INTO outbox (booking_id, version, topic, due_sec) SELECT id, 7, 'booking', 0 FROM bookings WHERE id = " + jane}, " version 7"},
		{"a booking's times are the envelope of what it occupies", []string{"UPDATE bookings SET end_sec = end_sec + 60 WHERE id = " + jane}, "-"},
		{"a booking has its guest, a block none", []string{"UPDATE bookings SET guest_id = " + none + " WHERE id = " + jane}, " of guest 00000000-0000-4000-8000-000000000000"},
		{"a guest's key names a guest", []string{"INSERT INTO guest_keys (merchant_id, key, guest_id) VALUES ('seoul', 'user:stray', " + none + ")"}, "a key of 00000000-0000-4000-8000-000000000000"},
		{"what guests are searched by is of a guest of whom it is known", []string{"INSERT INTO guest_terms (merchant_id, term, guest_id) VALUES ('seoul', 'n', " + none + ")"}, "terms of 00000000-0000-4000-8000-000000000000"},
		{"a chart that is joined to another has no key, and that one is joined to none", []string{"UPDATE guests SET joined_to = " + none + " WHERE id = (SELECT guest_id FROM bookings WHERE id = " + jane + ")"}, " joined to 00000000-0000-4000-8000-000000000000"},
		{"a telephone number leads to one chart, however it is written", []string{"INSERT INTO guest_keys (merchant_id, key, guest_id, normalized) SELECT 'seoul', 'phone:01012345678', guest_id, TRUE FROM bookings WHERE id = " + jane}, "a number of seoul leads to "},
		{"what rows share is not sold twice at any moment", []string{"UPDATE slots SET spots_total = 0 WHERE " + ofBob}, ": 1 at once of its area "},
		{"a zone is not filled beyond its capacity at any moment", []string{
			"INSERT INTO resources (id, merchant_id, kind, ref, slot_seconds, anchor_sec, default_capacity) VALUES ('" + ofZone.ID.String() + "', 'seoul', 'share', 'zone', 86400, 0, 0)",
			"INSERT INTO resource_shares SELECT '" + ofZone.ID.String() + "', resource_id, 'zone', 1800, 0 FROM holds WHERE booking_id = " + jane,
			"UPDATE zones SET capacity = 0 WHERE merchant_id = 'seoul'",
		}, " at once of 0"},
		{"a live booking holds what it occupies", []string{"UPDATE slots SET taken = 0 WHERE " + ofBob, "DELETE FROM holds WHERE booking_id = " + bob}, "(0 holds)"},
		{"a live booking holds what it occupies", []string{"UPDATE slots SET taken = 0, blocked = 1 WHERE " + allOfJane, "UPDATE holds SET block = TRUE WHERE booking_id = " + jane}, "(1 holds)"},
		{"a live booking holds what it occupies", []string{"UPDATE occupied_resources SET doctor_resource_id = NULL WHERE booking_id = " + john}, "(4 holds)"},
	}

	// All invariants that there are.
	var named []string
	each(t, func(t *testing.T, p program) {
		for line := range strings.Lines(p.run(t, "verify").err) {
			named = append(named, strings.TrimSpace(strings.TrimPrefix(line, "checking that ")))
		}
	})
	for _, invariant := range named {
		if !slices.ContainsFunc(tampering, func(c row) bool { return c.invariant == invariant }) {
			t.Errorf("nobody breaks that %s", invariant)
		}
	}

	for _, c := range tampering {
		t.Run(c.invariant, func(t *testing.T) {
			eachUnprotected(t, func(t *testing.T, p program) {
				p.tamper(t, c.by...)
				r := p.run(t, "verify", "--json")
				var broken []storage.Violation
				if err := json.Unmarshal([]byte(r.out), &broken); err != nil {
					t.Fatalf("%v in\n%s%s", err, r.out, r.err)
				}
				if r.status != 1 || len(broken) != 1 || broken[0].Invariant != c.invariant || !strings.Contains(broken[0].Row, c.row) {
					t.Errorf("exit status %d and %+v, want that %s and %q", r.status, broken, c.invariant, c.row)
				}
				if !p.onSQLite() {
					return // the same is printed in the same words
				}
				r = p.run(t, "verify")
				if want := fmt.Sprintf("BROKEN: %s: %s\n", broken[0].Invariant, broken[0].Row); r.status != 1 || r.out != want {
					t.Errorf("exit status %d, printed\n%swant\n%s", r.status, r.out, want)
				}
			})
		})
	}
}
