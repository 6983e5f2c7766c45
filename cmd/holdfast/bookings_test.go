package main

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
	"holdfast/letters"
	"holdfast/storage"
)

// everything fills a database with visits around midnight, one of which has
// every member that there is.
func everything(t *testing.T, p program) *storage.DB {
	t.Helper()
	db := p.open(t)
	p.fill(t, db)
	return db
}

// fill does that with the database open.
func (p program) fill(t *testing.T, db *storage.DB) {
	t.Helper()
	p.ok(t, "import", file(t, "c", catalogue2), file(t, "m", merchantsFeed), file(t, "s", servicesFeed), file(t, "a", slotsFeed))
	john := guest("John", at(9, 0))
	john.StaffID, john.RoomID, john.PartySize, john.AvailabilityTag, john.ConfirmationMode = seoulKim, seoulBed, 2, "tag", booking.Synchronous
	john.AdditionalRequest, john.Payment = "window\nseat", &booking.Payment{PrepaymentStatus: "PREPAYMENT_NOT_PROVIDED"}
	john.Contact.LanguageCode, john.Contact.Address = "ko", &booking.Address{Country: "KR"}
	b := book(t, db, john)
	kim := booking.Person{ID: seoulKim, Name: "김의사"}
	err := service(db).Change(t.Context(), booking.Change{
		By: booking.By{Actor: booking.ByDesk}, MerchantID: "seoul", ScheduleID: b.ScheduleID, ZoneID: seoulBed,
		Items: []booking.Item{
			{GroupID: seoulGroup, ZoneID: seoulBed, Doctor: &kim, StartSec: at(9, 0), EndSec: at(9, 30)},
			{GroupID: seoulGroup, ZoneID: seoulBed, Doctor: &kim, StartSec: at(10, 0), EndSec: at(11, 0)},
		},
		Assignee: booking.Set(booking.Person{ID: "d", Name: "박실장"}), Counselor: booking.Set(kim),
		ConsultationRequired: booking.Set(true), SedationRequired: booking.Set(false),
		Funnel: booking.Set(json.RawMessage(`{"funnelDetail":"blog"}`)), Memo: booking.Set("VIP\t!"),
		RequestedProcedures: booking.Set(json.RawMessage(`[]`)), ConnectedChannel: booking.Set("HOMEPAGE"),
	})
	if err != nil {
		t.Fatal(err)
	}
	book(t, db, guest("Jane", at(24, 0))) // Tuesday in Seoul, Monday in UTC
	book(t, db, guest("Ann", at(22, 30))) // Monday in both
	book(t, db, dinner("Bob", 2))         // Monday, 10:00 in UTC
	eve := guest("Eve", at(24+13, 0))     // Monday 23:00 in New York, Tuesday in UTC
	eve.MerchantID, eve.ServiceID = "new-york", "visit"
	book(t, db, eve)
}

func TestBookingsTable(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		const head = "TIME GUEST PHONE SERVICE ZONE DOCTOR STATE MEMO"
		everything(t, p)
		john1 := "2026-03-02 09:00–09:30 John Smith +82 10-1234-5678 피부 관리 베드 김의사 CONFIRMED window seat VIP !"
		john2 := strings.Replace(john1, "09:00–09:30", "10:00–11:00", 1)
		for _, c := range []struct {
			name string
			args []string
			want []string // the lines, blanks squeezed
		}{
			{"a day", []string{"--merchant", "seoul", "--day", "2026-03-02"}, []string{john1, john2, "2026-03-02 22:30–23:30 Ann Smith +82 10-1234-5678 피부 관리 베드 - CONFIRMED -"}},
			{"the next day", []string{"--merchant", "seoul", "--day", "2026-03-03"}, []string{"2026-03-03 00:00–01:00 Jane Smith +82 10-1234-5678 피부 관리 베드 - CONFIRMED -"}},
			{"the day of New York", []string{"--merchant", "new-york", "--day", "2026-03-02"}, []string{"2026-03-02 23:00–00:00 Eve Smith +82 10-1234-5678 visit Room - CONFIRMED -"}},
			{"not the day of UTC", []string{"--merchant", "new-york", "--day", "2026-03-03"}, nil},
			{"everybody's day, each by their own clock", []string{"--day", "2026-03-02"}, []string{
				"2026-03-02 10:00–11:30 Bob Smith +82 10-1234-5678 Dinner - - CONFIRMED -",
				"2026-03-02 23:00–00:00 Eve Smith +82 10-1234-5678 visit Room - CONFIRMED -",
				john1, john2, "2026-03-02 22:30–23:30 Ann Smith +82 10-1234-5678 피부 관리 베드 - CONFIRMED -",
			}},
			{"a day without visits", []string{"--merchant", "seoul", "--day", "2026-03-04"}, nil},
		} {
			t.Run(c.name, func(t *testing.T) {
				squeeze := func(s string) string {
					lines := strings.Split(strings.TrimSpace(s), "\n")
					for i := range lines {
						lines[i] = strings.Join(strings.Fields(lines[i]), " ")
					}
					return strings.Join(lines, "\n")
				}
				got := squeeze(p.ok(t, append([]string{"bookings"}, c.args...)...))
				if diff := cmp.Diff(strings.Join(append([]string{head}, c.want...), "\n"), got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			})
		}
		if out := p.ok(t, "bookings"); strings.Count(out, "\n") != 7 {
			t.Errorf("everybody's, all days:\n%s", out)
		}
	})
}

func TestBookingsJSON(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		if out := p.ok(t, "bookings", "--json"); out != "[]\n" {
			t.Errorf("of nobody: %q, want an empty array", out)
		}
		db := everything(t, p)
		want, err := db.Bookings(t.Context(), "seoul", at(0, 0), at(24, 0))
		if err != nil {
			t.Fatal(err)
		}
		out := p.ok(t, "bookings", "--json", "--merchant", "seoul", "--day", "2026-03-02")
		var got []booking.Booking
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			t.Fatal(err)
		}
		for _, list := range [][]booking.Booking{want, got} { // white space is the array's
			for i := range list {
				list[i].Funnel, list[i].RequestedProcedures = compact(t, list[i].Funnel), compact(t, list[i].RequestedProcedures)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(got) != 2 {
			t.Errorf("(-stored +printed):\n%s", diff)
		}

		// The first has every member that a booking has, under its own name.
		var members []map[string]any
		if err := json.Unmarshal([]byte(out), &members); err != nil {
			t.Fatal(err)
		}
		for typ, i := reflect.TypeFor[booking.Booking](), 0; i < typ.NumField(); i++ {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			switch name {
			case "expires_sec", "erased_sec", "offer_id": // of a lease, of one that was erased, of one with an offer
				continue
			}
			if _, there := members[0][name]; !there || name == "" {
				t.Errorf("%s (%q) is not printed", typ.Field(i).Name, name)
			}
		}
	})
}

func compact(t *testing.T, raw json.RawMessage) json.RawMessage {
	t.Helper()
	if raw == nil {
		return nil
	}
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBookingsRefuses(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"--merchant", "nobody"}, `--merchant: there is no merchant "nobody"`},
			{[]string{"--day", "tomorrow"}, `--day: "tomorrow" is not a date like 2026-12-25`},
			{[]string{"--day", "2026-02-30"}, `--day: "2026-02-30" is not a date`},
		} {
			r := p.run(t, append([]string{"bookings"}, c.args...)...)
			if r.status != 1 || r.out != "" || !strings.Contains(r.err, c.want) {
				t.Errorf("%v: exit status %d, printed %q and %q", c.args, r.status, r.out, r.err)
			}
		}
	})
}

// Names stored before names were checked are harmless to a terminal, and Korean letters stay aligned.
func TestPrintedTextIsHarmless(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		john := guest("Jo\u202ehn\u009b31m", at(9, 0))
		john.AdditionalRequest = "\x1b[2J\u200bwindow\u2066"
		book(t, db, john)
		book(t, db, guest("\u1100\u1175\u11b7민수", at(10, 0))) // macOS takes 김 apart

		out := p.ok(t, "bookings")
		lines := strings.Split(out, "\n")
		column := letters.Width(lines[0][:strings.Index(lines[0], "PHONE")])
		for _, line := range lines[1:3] {
			if got := letters.Width(line[:strings.Index(line, "+82")]); got != column {
				t.Errorf("the number is in column %d, not %d:\n%s", got, column, out)
			}
		}
		for _, want := range []string{"John 31m Smith ", "김민수 Smith ", " [2Jwindow\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing from:\n%s", want, out)
			}
		}
		json := p.ok(t, "bookings", "--json")
		for _, want := range []string{`"Jo\u202ehn\u009b31m"`, `"\u001b[2J\u200bwindow\u2066"`} {
			if !strings.Contains(json, want) {
				t.Errorf("%s is missing from:\n%s", want, json)
			}
		}
		for _, printed := range []string{out, json} {
			if i := strings.IndexFunc(printed, func(r rune) bool { return r != '\n' && !letters.Seen(string(r)) }); i >= 0 {
				t.Errorf("%+q is printed", printed[i:i+4])
			}
		}
	})
}
