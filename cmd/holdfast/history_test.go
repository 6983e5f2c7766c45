package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
)

// The history of a booking says who did what (the guest, the desk with its key, the operator, the clock), and the members before and after
// without personal data.
func TestBookingHistory(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		john := guest("John", at(9, 0))
		john.AdditionalRequest, john.ConfirmationMode = "Kanarienvogel", booking.Asynchronous
		b := book(t, db, john)
		p.ok(t, "key", "create", "--merchant", "seoul", "--name", "front desk")
		keys, err := service(db).Keys(t.Context(), "seoul")
		if err != nil || len(keys) != 1 {
			t.Fatalf("%v, %v", keys, err)
		}
		command := booking.Change{
			By: booking.By{Actor: booking.ByDesk, KeyID: keys[0].ID}, MerchantID: "seoul", ScheduleID: b.ScheduleID, ZoneID: seoulBed, Memo: booking.Set("Kanarienvogel memo"),
			Items: []booking.Item{{GroupID: seoulGroup, ZoneID: seoulBed, Doctor: &booking.Person{ID: seoulKim, Name: "김의사"}, StartSec: at(10, 0), EndSec: at(11, 0)}},
		}
		must(t, service(db).Change(t.Context(), command))
		command.KeyID = ""
		command.Memo = booking.Set("Kanarienvogel again")
		must(t, service(db).Change(t.Context(), command))
		p.ok(t, "booking", "confirm", b.ID.String())
		p.ok(t, "booking", "cancel", b.ID.String())

		blanks := regexp.MustCompile(` +`)
		got := p.ok(t, "booking", "history", b.ScheduleID)
		if byID := p.ok(t, "booking", "history", b.ID.String()); byID != got {
			t.Errorf("by the booking_id:\n%s", byID)
		}
		if strings.Contains(got, "Kanarienvogel") || strings.Contains(got, "John") {
			t.Errorf("something personal:\n%s", got)
		}
		for _, want := range []string{
			"2026-03-02 08:00:00 guest (Google) CREATED additional_request - withheld\n",
			" state - PENDING\n",
			" occupied_resources - 2026-03-02 09:00–10:00 zone 65a000000000000000000001\n",
			"2026-03-02 08:00:00 desk (key " + keys[0].ID + " front desk) CHANGED end_sec 2026-03-02 10:00 2026-03-02 11:00\n",
			" occupied_resources 2026-03-02 09:00–10:00 zone 65a000000000000000000001 2026-03-02 10:00–11:00 zone 65a000000000000000000001 김의사 (held)\n",
			" reservation_memo - withheld\n",
			"2026-03-02 08:00:00 desk CHANGED reservation_memo withheld withheld\n",
			" operator CONFIRMED state PENDING CONFIRMED\n",
			" operator CANCELED state CONFIRMED CANCELED\n",
		} {
			if !strings.Contains(blanks.ReplaceAllString(got, " "), want) {
				t.Errorf("%q is missing in\n%s", want, got)
			}
		}

		var changes []change
		must(t, json.Unmarshal([]byte(p.ok(t, "booking", "history", b.ScheduleID, "--json")), &changes))
		if len(changes) != 5 || changes[1].KeyID != keys[0].ID || changes[1].KeyName != "front desk" || changes[4].Version != 5 || !changes[0].At.Equal(eight) {
			t.Errorf("got %+v", changes)
		}
		if diff := cmp.Diff(`{"state":"CONFIRMED"}`, inOneLine(t, changes[4].Before)); diff != "" {
			t.Errorf("before (-want +got):\n%s", diff)
		}
		for _, nobody := range []string{"65ffffffffffffffffffffff", "x", "01a2015b-466c-7165-bd12-a19d7ae308f6"} {
			if r := p.run(t, "booking", "history", nobody); r.status != 1 || !strings.Contains(r.err, "there is no booking") {
				t.Errorf("%s: exit status %d\n%s", nobody, r.status, r.err)
			}
		}
	})
}

func inOneLine(t *testing.T, text json.RawMessage) string {
	t.Helper()
	var v any
	must(t, json.Unmarshal(text, &v))
	out, err := json.Marshal(v)
	must(t, err)
	return string(out)
}

// Keys are listed by their ids, replaced and revoked; the list never shows a key itself.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		old := strings.TrimSpace(p.ok(t, "key", "create", "--merchant", "seoul", "--name", "kiosk"))
		p.ok(t, "key", "create", "--merchant", "new-york")
		list := func(args ...string) (keys []booking.Key) {
			t.Helper()
			out := p.ok(t, append([]string{"key", "list", "--json"}, args...)...)
			must(t, json.Unmarshal([]byte(out), &keys))
			if table := p.ok(t, append([]string{"key", "list"}, args...)...); strings.Contains(out+table, old) || strings.Count(table, "\n") != len(keys)+1 {
				t.Errorf("got\n%s\n%s", out, table)
			}
			return keys
		}
		if all := list(); len(all) != 2 || all[0].MerchantID != "new-york" || all[1].Name != "kiosk" || all[1].UsedSec != 0 || all[1].CreatedSec == 0 {
			t.Fatalf("got %+v", all)
		}
		s := service(p.open(t))
		s.Now = time.Now
		if _, err := s.ExchangeKey(t.Context(), old); err != nil {
			t.Fatal(err)
		}
		seouls := list("--merchant", "seoul")
		if len(seouls) != 1 || seouls[0].UsedSec == 0 {
			t.Fatalf("got %+v", seouls)
		}
		fresh := strings.TrimSpace(p.ok(t, "key", "rotate", seouls[0].ID, "--overlap", "1h"))
		seouls = list("--merchant", "seoul")
		if len(seouls) != 2 || fresh == old || seouls[0].Name != "kiosk" || seouls[1].Name != "kiosk" {
			t.Fatalf("got %+v", seouls)
		}
		ends := 0
		for _, k := range seouls {
			if k.ExpiresSec != 0 {
				ends++
			}
		}
		if ends != 1 {
			t.Errorf("%d keys end", ends)
		}
		for _, key := range []string{old, fresh} {
			if _, err := s.ExchangeKey(t.Context(), key); err != nil {
				t.Errorf("within the overlap: %v", err)
			}
		}
		for _, k := range seouls {
			p.ok(t, "key", "revoke", k.ID[:8])
		}
		for _, key := range []string{old, fresh} {
			if _, err := s.ExchangeKey(t.Context(), key); err == nil {
				t.Error("a revoked key can be exchanged")
			}
		}
		if table := p.ok(t, "key", "list"); strings.Count(table, "revoked 20") != 2 {
			t.Errorf("got\n%s", table)
		}
		for _, command := range []string{"rotate", "revoke"} {
			if r := p.run(t, "key", command, "ffffffffffff"); r.status != 1 || !strings.Contains(r.err, "there is no key") {
				t.Errorf("%s of nobody's: exit status %d\n%s", command, r.status, r.err)
			}
		}
	})
}
