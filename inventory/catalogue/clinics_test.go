package catalogue_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/inventory"
	"holdfast/inventory/catalogue"
)

func location(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestClinics(t *testing.T) {
	weekday := &inventory.Day{Start: 9 * 60, End: 18 * 60, Breaks: []inventory.Break{{Start: 13 * 60, End: 14 * 60}}}
	want := []inventory.Merchant{{
		ID: "clinic-1", Name: "홀드패스트 의원", Kind: inventory.MerchantClinic,
		TimeZone: "Asia/Seoul", Location: location(t, "Asia/Seoul"),
		Zones: []inventory.Zone{
			{ID: "65a000000000000000000001", Name: "Treatment room"},
			{ID: "000000000000000000000002", Name: "Laser room"},
		},
		Groups: []inventory.Group{{
			ID: "65b000000000000000000001", Title: "Skin care", IntervalSec: 1800, Grid: inventory.GridMidnight, StepSec: 1800,
			StartDate: inventory.Date{Year: 2026, Month: 1, Day: 1}, SameDayCloseBufferSec: 3600,
			Zones: []inventory.GroupZone{
				{ZoneID: "65a000000000000000000001", Capacity: 2, Enabled: true},
				{ZoneID: "000000000000000000000002", Capacity: 0, Enabled: false},
			},
			Timetable:  &inventory.Timetable{time.Monday: weekday, time.Tuesday: weekday, time.Saturday: {Start: 9 * 60, End: 24 * 60}},
			ClosedDays: []inventory.Date{{Year: 2026, Month: 12, Day: 25}, {Year: 2027, Month: 1, Day: 1}},
		}, {
			// Seoul is 9 hours ahead, and 9 hours are no multiple of 40 minutes.
			ID: "65b000000000000000000002", Title: "Telephone advice", IntervalSec: 2400, Grid: inventory.GridOpening, AnchorSec: 1200, StepSec: 2400,
			Zones: []inventory.GroupZone{{ZoneID: "65a000000000000000000001", Capacity: 1, Enabled: true}},
		}},
		Staff: []inventory.Staff{
			{
				ID: "65c000000000000000000001", Name: "Dr. Kim", Role: "DOCTOR", Exclusive: true,
				Timetable:  &inventory.Timetable{time.Friday: {Start: 10 * 60, End: 16 * 60}},
				ClosedDays: []inventory.Date{{Year: 2026, Month: 12, Day: 31}},
			},
			{ID: "65C000000000000000000002", Name: "Lee"},
		},
		Services: []inventory.Service{
			{ID: "skin-care", Name: "Skin care", GroupID: "65b000000000000000000001", DurationSec: 3600, MinAdvanceBookingSec: 1800, MinAdvanceOnlineCancelingSec: 86400},
			{ID: "advice", GroupID: "65b000000000000000000002", DurationSec: 2400},
		},
	}, {
		ID: "clinic-2", Name: "Pune clinic", Kind: inventory.MerchantClinic,
		TimeZone: "Asia/Kolkata", Location: location(t, "Asia/Kolkata"),
		Groups: []inventory.Group{{
			ID: "65b000000000000000000001", Title: "Closed for now", IntervalSec: 3600,
			Grid: inventory.GridMidnight, AnchorSec: 1800, StepSec: 3600, Timetable: &inventory.Timetable{},
		}},
	}}
	for _, path := range []string{"testdata/clinics.yaml", "testdata/clinics.json"} {
		got, err := mustOpen(t, path).Clinics(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if diff := cmp.Diff(want, got, byName); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

func TestClinicsTakesYAMLApart(t *testing.T) {
	f := mustFrom(t, "x", `
defaults: &x {name: Base, zones: [{id: 65a000000000000000000001, name: !!str 12}]}
merchants:
  - {<<: *x, id: 7, name: Mine}
`)
	_, err := f.Clinics(t.Context())
	wantProblems(t, err, "defaults: unknown key; known are merchants, feed_merchants")
	f = mustFrom(t, "x", `
merchants:
  - &x {id: 7, name: Base, zones: [{id: 65a000000000000000000001, name: !!str 12}]}
  - <<: *x
    id: "8"
    name: |
      Two
      lines
`)
	got, err := f.Clinics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []inventory.Merchant{{ID: "7", Name: "Base"}, {ID: "8", Name: "Two\nlines\n"}}
	for i := range want {
		want[i].Kind, want[i].TimeZone, want[i].Location = inventory.MerchantClinic, "Asia/Seoul", location(t, "Asia/Seoul")
		want[i].Zones = []inventory.Zone{{ID: "65a000000000000000000001", Name: "12"}}
	}
	if diff := cmp.Diff(want, got, byName); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// clinic is a clinic that is right, with one part replaced.
func clinic(old, new string) string {
	const whole = `
merchants:
  - id: clinic-1
    name: One
    time_zone: Asia/Seoul
    zones: [{id: 65a000000000000000000001, name: A}, {id: 65a000000000000000000002, name: B}]
    groups:
      - id: 65b000000000000000000001
        title: Skin
        interval_minutes: 30
        start_date: 2026-01-01
        same_day_close_buffer_minutes: 0
        zones: [{zone_id: 65a000000000000000000001, capacity: 2, enabled: true}]
        timetable: {monday: {start: "09:00", end: "18:00", breaks: [{start: "13:00", end: "14:00"}]}}
        closed_days: ["2026-12-25"]
    staff: [{id: 65c000000000000000000001, name: Kim, role: DOCTOR, exclusive: true, closed_days: ["2026-12-31"]}]
    services: [{id: skin-care, name: Skin, group_id: 65b000000000000000000001, duration_sec: 3600}]
`
	if !strings.Contains(whole, old) {
		panic("no " + old)
	}
	return strings.Replace(whole, old, new, 1)
}

func TestClinicsProblems(t *testing.T) {
	const group = "merchants[0].groups[0]"
	const monday = group + ".timetable.monday"
	tests := []struct {
		name, old, new string
		want           []string
	}{
		{"an unknown top-level key", "merchants:", "shops: []\nmerchants:", []string{"shops: unknown key; known are merchants, feed_merchants"}},
		{"a clinic without id", "id: clinic-1", "id: ''", []string{"merchants[0].id: required"}},
		{"a clinic's id over two lines", "id: clinic-1", `id: "a\nb"`, []string{"merchants[0].id: must not contain control characters"}},
		{"a clinic's id that fits no index", "clinic-1", strings.Repeat("x", 256), []string{"merchants[0].id: longer than 255 bytes"}},
		{"a clinic without name", "    name: One\n", "", []string{"merchants[0].name: required"}},
		{"a name with a zero", "name: One", `name: "O\0ne"`, []string{"merchants[0].name: must not contain a zero character"}},
		{"a country of no code", "time_zone: Asia/Seoul", "time_zone: Asia/Seoul\n    country: Korea", []string{`merchants[0].country: must be a code of ISO 3166-1 such as KR, not "Korea"`}},
		{"a country in small letters", "time_zone: Asia/Seoul", "time_zone: Asia/Seoul\n    country: kr", []string{`merchants[0].country: must be a code of ISO 3166-1 such as KR, not "kr"`}},
		{"a name that turns", "name: One", `name: "O\u202ene"`, []string{"merchants[0].name: must not contain what cannot be seen, like U+202E here"}},
		{"a name with an escape", "name: One", `name: "O\u001b[2Jne"`, []string{"merchants[0].name: must not contain what cannot be seen, like U+001B here"}},
		{"an id with a C1 control", "id: clinic-1", `id: "a\u009bb"`, []string{"merchants[0].id: must not contain control characters"}},
		{"a name that is a list", "name: One", "name: [One]", []string{"merchants[0].name: must be text, not a list"}},
		{"an unknown key", "name: One", "name: One\n    nmae: Two", []string{
			"merchants[0].nmae: unknown key; known are id, name, country, time_zone, zones, groups, staff, services, offers, guests"}},
		{"offers that cannot be", "name: One", "name: One\n    offers: [{id: a, service_ids: [x], first_date: 2026-02-01, last_date: 2026-01-31, uses: -1}, {id: a}]", []string{
			"merchants[0].offers[0].service_ids[0]: no such service",
			"merchants[0].offers[0].last_date: must not be before first_date",
			"merchants[0].offers[0].uses: must be 0 to 1000000000, not -1",
			`merchants[0].offers[1].id: "a" is also merchants[0].offers[0].id`,
		}},
		{"charges that cannot be", "duration_sec: 3600", "duration_sec: 3600, price: {price_micros: -1, currency_code: won}, tax_rate: {micro_percent: 100000001}, deposit: {deposit_type: EACH}, no_show_fee: {}", []string{
			"merchants[0].services[0].price.price_micros: must be 0 to 9000000000000000, not -1",
			`merchants[0].services[0].price.currency_code: must be a code of ISO 4217 such as KRW, not "won"`,
			"merchants[0].services[0].tax_rate.micro_percent: must be 0 to 100000000, not 100000001",
			"merchants[0].services[0].deposit.deposit: required",
			`merchants[0].services[0].deposit.deposit_type: must be FIXED_RATE_DEFAULT or PER_PERSON, not "EACH"`,
			"merchants[0].services[0].no_show_fee.fee: required",
		}},
		{"a feed's merchant with more than guests and offers", "merchants:", "feed_merchants: [{id: d, zones: []}, {id: clinic-1}]\nmerchants:", []string{
			"feed_merchants[0].zones: unknown key; known are id, country, guests, offers, rows",
			`feed_merchants[1].id: "clinic-1" is also merchants[0].id`,
		}},
		{"guest rules that cannot be", "name: One", "name: One\n    guests: {max_upcoming: -1, banned: [''], name_pattern: '(', phones: x}", []string{
			"merchants[0].guests.phones: unknown key; known are max_upcoming, max_own_leases, max_leases, banned, name_pattern, phone_pattern, prepayment_required",
			"merchants[0].guests.max_upcoming: must be 0 to 10000, not -1",
			"merchants[0].guests.banned[0]: required",
			"merchants[0].guests.name_pattern: is not a regular expression: error parsing regexp: missing closing ): `(`"}},
		{"no such time zone", "Asia/Seoul", "Asia/Soul", []string{`merchants[0].time_zone: no such time zone: "Asia/Soul"`}},
		{"the machine's time zone", "Asia/Seoul", "Local", []string{`merchants[0].time_zone: no such time zone: "Local"`}},
		{"the same clinic twice", "merchants:", "merchants:\n  - {id: clinic-1, name: Zero}", []string{
			`merchants[1].id: "clinic-1" is also merchants[0].id`}},
		{"a clinic that is nothing", "merchants:", "merchants:\n  -", []string{"merchants[0]: required"}},
		{"a clinic that is text", "merchants:", "merchants:\n  - clinic-1", []string{"merchants[0]: must be an object, not text"}},

		{"a zone's id too short", "{id: 65a000000000000000000002", "{id: 65a", []string{
			`merchants[0].zones[1].id: must be 24 hex digits, not "65a"`}},
		{"the same zone twice", "{id: 65a000000000000000000002", "{id: 65A000000000000000000001", []string{
			`merchants[0].zones[1].id: "65a000000000000000000001" is also merchants[0].zones[0].id`}},
		{"a zone without name", "name: A", "name: null", []string{"merchants[0].zones[0].name: required"}},
		{"zones that are no list", "zones: [{id: 65a000000000000000000001, name: A}, {id: 65a000000000000000000002, name: B}]", "zones: {}", []string{
			"merchants[0].zones: must be a list, not an object",
			group + ".zones[0].zone_id: no such zone"}},

		{"a group without title", "title: Skin", "title:", []string{group + ".title: required"}},
		{"a group's unknown key", "title: Skin", "title: Skin\n        capacity: 3", []string{
			group + ".capacity: unknown key; known are id, title, interval_minutes, grid, start_date, same_day_close_buffer_minutes, zones, timetable, closed_days"}},
		{"no interval", "interval_minutes: 30", "", []string{group + ".interval_minutes: required"}},
		{"an interval of nothing", "interval_minutes: 30", "interval_minutes: 0", []string{group + ".interval_minutes: must be 1 to 1440, not 0"}},
		{"an uneven interval", "interval_minutes: 30", "interval_minutes: 7", []string{
			group + ".interval_minutes: must divide a day of 1440 minutes, and 7 does not"}},
		{"an interval that is no number", "interval_minutes: 30", "interval_minutes: 0x1E", []string{
			group + ".interval_minutes: must be a whole number, not 0x1E"}},
		{"no day", "2026-01-01", "2026-02-30", []string{group + `.start_date: "2026-02-30" is not a date like 2026-12-25`}},
		{"a negative buffer", "buffer_minutes: 0", "buffer_minutes: -1", []string{
			group + ".same_day_close_buffer_minutes: must be 0 to 1440, not -1"}},
		{"a zone that is not there", "zone_id: 65a000000000000000000001", "zone_id: 65a000000000000000000003", []string{
			group + ".zones[0].zone_id: no such zone"}},
		{"a zone without id", "zone_id: 65a000000000000000000001, ", "", []string{group + ".zones[0].zone_id: required"}},
		{"a zone of the group twice", "enabled: true}", "enabled: true}, {zone_id: 65a000000000000000000001, capacity: 1}", []string{
			group + `.zones[1].zone_id: "65a000000000000000000001" is also ` + group + ".zones[0].zone_id"}},
		{"no capacity", "capacity: 2, ", "", []string{group + ".zones[0].capacity: required"}},
		{"a negative capacity", "capacity: 2", "capacity: -2", []string{group + ".zones[0].capacity: must be 0 to 10000, not -2"}},
		{"a stadium", "capacity: 2", "capacity: 10001", []string{group + ".zones[0].capacity: must be 0 to 10000, not 10001"}},
		{"enabled, but not a boolean", "enabled: true", "enabled: yes", []string{group + `.zones[0].enabled: must be true or false, not "yes"`}},
		{"no closed day", `["2026-12-25"]`, `["2026-12-25", 25.12.2026, null]`, []string{
			group + `.closed_days[1]: "25.12.2026" is not a date like 2026-12-25`,
			group + ".closed_days[2]: required"}},

		{"no such weekday", "{monday:", "{mon:", []string{
			group + ".timetable.mon: unknown key; known are sunday, monday, tuesday, wednesday, thursday, friday, saturday"}},
		{"a timetable that is text", `{monday: {start: "09:00", end: "18:00", breaks: [{start: "13:00", end: "14:00"}]}}`, "always", []string{
			group + ".timetable: must be an object, not text"}},
		{"a day without start", `start: "09:00", `, "", []string{monday + ".start: required"}},
		{"a time without a leading zero", "09:00", "9:00", []string{monday + `.start: "9:00" is not a time from 00:00 to 24:00`}},
		{"a time after midnight", "18:00", "24:01", []string{monday + `.end: "24:01" is not a time from 00:00 to 24:00`}},
		{"a time with 60 minutes", "18:00", "17:60", []string{monday + `.end: "17:60" is not a time from 00:00 to 24:00`}},
		{"a time like no other", "18:00", "1:::0", []string{monday + `.end: "1:::0" is not a time from 00:00 to 24:00`}},
		{"a day that ends before it starts", "18:00", "08:00", []string{monday + ".end: must be after start"}},
		{"a break before the opening", `"13:00"`, `"08:00"`, []string{monday + ".breaks[0]: not within the opening time"}},
		{"a break over the closing", `"14:00"`, `"18:30"`, []string{monday + ".breaks[0]: not within the opening time"}},
		{"a break of nothing", `"14:00"`, `"13:00"`, []string{monday + ".breaks[0].end: must be after start"}},
		{"breaks that overlap", `end: "14:00"}`, `end: "14:00"}, {start: "14:00", end: "14:30"}, {start: "13:30", end: "14:10"}`, []string{
			monday + ".breaks[2]: overlaps another break"}},
		{"a break's unknown key", `end: "14:00"`, `end: "14:00", why: lunch`, []string{monday + ".breaks[0].why: unknown key; known are start, end"}},

		{"a doctor's id that is a name", "id: 65c000000000000000000001", "id: kim", []string{
			`merchants[0].staff[0].id: must be 24 hex digits, not "kim"`}},
		{"exclusive, but how?", "exclusive: true", "exclusive: [1]", []string{
			"merchants[0].staff[0].exclusive: must be true or false, not a list"}},
		{"staff[0].closed_days", `closed_days: ["2026-12-31"]`, `closed_days: [tomorrow]`, []string{
			`merchants[0].staff[0].closed_days[0]: "tomorrow" is not a date like 2026-12-25`}},
		{"staff[0].timetable", `closed_days: ["2026-12-31"]`, `timetable: {friday: {start: "10:00", end: "09:00"}}`, []string{
			"merchants[0].staff[0].timetable.friday.end: must be after start"}},
		{"a group that is not there", "group_id: 65b000000000000000000001", "group_id: 65b", []string{"merchants[0].services[0].group_id: no such group"}},
		{"a service without group", "group_id: 65b000000000000000000001, ", "", []string{"merchants[0].services[0].group_id: required"}},
		{"a service longer than a day", "duration_sec: 3600", "duration_sec: 86401", []string{
			"merchants[0].services[0].duration_sec: must be 1 to 86400, not 86401"}},
		{"a negative notice", "duration_sec: 3600", "duration_sec: 3600, min_advance_booking_sec: -1", []string{
			"merchants[0].services[0].min_advance_booking_sec: must be 0 to 316224000, not -1"}},
		{"the same service twice", "services: [", "services: [{id: skin-care, group_id: 65b000000000000000000001, duration_sec: 60}, ", []string{
			`merchants[0].services[1].id: "skin-care" is also merchants[0].services[0].id`}},

		{"a key twice", "name: One", "name: One\n    name: Two", []string{
			`line 5, column 5: mapping key "name" already defined at [4:5]`}},
		{"not YAML", "name: One", "name: [One", []string{"line 5, column 5: ',' or ']' must be specified"}},
		{"an alias of nothing", "name: One", "name: *one", []string{"line 4, column 11: no such anchor before this alias"}},
		{"two documents", "merchants:", "merchants: []\n---\nmerchants:", []string{"line 3, column 1: one file is one document"}},
	}
	if _, err := mustFrom(t, "x", clinic("", "")).Clinics(t.Context()); err != nil {
		t.Fatalf("the clinic that is right: %v", err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := mustFrom(t, "x", clinic(tt.old, tt.new)).Clinics(t.Context())
			wantProblems(t, err, tt.want...)
			if got != nil {
				t.Errorf("got %d clinics with the problems, want none", len(got))
			}
		})
	}
}

func TestClinicsProblemsAllAtOnce(t *testing.T) {
	_, err := mustFrom(t, "x", `{"merchants": [
		{"name": "A", "groups": [{}, {"id": "65b000000000000000000001", "title": "T", "interval_minutes": "30", "zones": [{"zone_id": "?"}]}]},
		{"id": "b", "services": [{"duration_sec": 0}]}
	]}`).Clinics(t.Context())
	wantProblems(t, err,
		"merchants[0].id: required",
		"merchants[0].groups[0].id: required",
		"merchants[0].groups[0].title: required",
		"merchants[0].groups[0].interval_minutes: required",
		"merchants[0].groups[1].zones[0].zone_id: no such zone",
		"merchants[0].groups[1].zones[0].capacity: required",
		"merchants[1].name: required",
		"merchants[1].services[0].id: required",
		"merchants[1].services[0].group_id: required",
		"merchants[1].services[0].duration_sec: must be 1 to 86400, not 0",
	)
}

func TestClinicsBrokenJSON(t *testing.T) {
	deep := strings.Repeat("[", 100_000)
	tests := []struct{ name, content, want string }{
		{"a trailing comma", "{\n  \"merchants\": [],\n}", "line 3, column 1: invalid character '}'"},
		{"a key twice", `{"merchants": [{"id": "a", "id": "b"}]}`, `line 1, column 32: key "id" comes twice in an object`},
		{"half a file", `{"merchants": [{"id": "é"`, "line 1, column 26: the file ends in the middle"},
		{"something after it", "{\"merchants\": []}\n{}", "line 2, column 2: something follows the document"},
		{"a mountain", `{"merchants": ` + deep, "nested too deeply"},
		{"a mountain in YAML", "merchants: " + deep[:1000] + strings.Repeat("]", 1000), "nested too deeply"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := mustFrom(t, "x", tt.content).Clinics(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestClinicsOfAFeed(t *testing.T) {
	if _, err := mustOpen(t, "testdata/reservations.merchants_feed.json").Clinics(t.Context()); err == nil {
		t.Error("got clinics out of a merchants feed")
	}
}

func FuzzClinics(f *testing.F) {
	f.Add([]byte(clinic("", "")))
	f.Add([]byte("merchants:\n - &a {id: 1, name: x}\n - <<: [*a]\n   ? id\n   : !!str 2\n"))
	f.Add([]byte(`{"merchants": [{"id": "a", "name": "b", "groups": [{"timetable": {"monday": {}}}]}]}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := from("x", content)
		if err != nil || file.Kind != catalogue.Clinics {
			return
		}
		clinics, err := file.Clinics(t.Context())
		if err != nil {
			return
		}
		for _, m := range clinics {
			if m.ID == "" || m.Location == nil {
				t.Errorf("a clinic without id or location: %+v", m)
			}
			for i := range m.Groups {
				if (24*60*60)%m.Groups[i].IntervalSec != 0 {
					t.Errorf("an interval of %d s", m.Groups[i].IntervalSec)
				}
				for _, z := range m.Groups[i].Zones {
					if m.Zone(z.ZoneID) == nil {
						t.Errorf("no zone %q", z.ZoneID)
					}
				}
			}
			for _, s := range m.Services {
				if m.Group(s.GroupID) == nil {
					t.Errorf("no group %q", s.GroupID)
				}
			}
		}
	})
}

func TestGuestRules(t *testing.T) {
	f := mustFrom(t, "clinics.json", `{"merchants": [{"id": "a", "name": "A", "guests": {"max_upcoming": "2", "banned": ["u", "+82 10"], "name_pattern": "^a", "phone_pattern": "^\\+82"}}]}`)
	clinics, err := f.Clinics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := inventory.GuestRules{MaxUpcoming: 2, Banned: []string{"u", "+82 10"}, NamePattern: "^a", PhonePattern: `^\+82`}
	if diff := cmp.Diff(want, clinics[0].Guests); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOffersAndCharges(t *testing.T) {
	got, err := mustFrom(t, "x", clinic("duration_sec: 3600}]", `duration_sec: 3600,
        price: {price_micros: "50000000", currency_code: KRW}, tax_rate: {micro_percent: 10000000},
        deposit: {deposit: {price_micros: 1, currency_code: KRW}, min_advance_cancellation_sec: 86400, deposit_type: PER_PERSON},
        no_show_fee: {fee: {price_micros: 2, currency_code: KRW}, fee_type: FIXED_RATE_DEFAULT}, prepayment_type: REQUIRED}]
    offers: [{id: summer, service_ids: [skin-care], first_date: 2026-06-01, last_date: 2026-08-31, uses: 0}, {id: any}]
    guests: {max_own_leases: 2, max_leases: 30, prepayment_required: true}
feed_merchants: [{id: dining-1, guests: {max_leases: 5}, offers: [{id: wine, service_ids: [reservation], uses: 9}]}]
`)).Clinics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	krw := func(micros int64) *inventory.Price { return &inventory.Price{Micros: micros, Currency: "KRW"} }
	charges := inventory.Charges{
		Price: krw(50_000_000), TaxMicroPercent: 10_000_000,
		Deposit:   &inventory.Deposit{Deposit: krw(1), MinAdvanceCancellationSec: 86400, Type: "PER_PERSON"},
		NoShowFee: &inventory.Fee{Fee: krw(2), Type: "FIXED_RATE_DEFAULT"}, Prepaid: true,
	}
	offers := []inventory.Offer{{
		ID: "summer", ServiceIDs: []string{"skin-care"}, Uses: new(0),
		First: inventory.Date{Year: 2026, Month: 6, Day: 1}, Last: inventory.Date{Year: 2026, Month: 8, Day: 31},
	}, {ID: "any"}}
	if diff := cmp.Diff(charges, got[0].Services[0].Charges); diff != "" {
		t.Errorf("charges (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(offers, got[0].Offers); diff != "" {
		t.Errorf("offers (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(inventory.GuestRules{MaxOwnLeases: 2, MaxLeases: 30, PrepaymentRequired: true}, got[0].Guests); diff != "" {
		t.Errorf("guests (-want +got):\n%s", diff)
	}
	feed := inventory.Merchant{
		ID: "dining-1", Kind: inventory.MerchantFeed, Guests: inventory.GuestRules{MaxLeases: 5},
		Offers: []inventory.Offer{{ID: "wine", ServiceIDs: []string{"reservation"}, Uses: new(9)}},
	}
	if diff := cmp.Diff(feed, got[1]); diff != "" {
		t.Errorf("feed's merchant (-want +got):\n%s", diff)
	}
}
