package catalogue_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/inventory"
	"holdfast/inventory/catalogue"
)

// slotsOf checks a feed and walks it.
func slotsOf(t *testing.T, feed catalogue.Feed) (slots []inventory.Published, skipped int) {
	t.Helper()
	r, err := feed.CheckAvailability(t.Context(), known{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	skipped, err = feed.Availability(t.Context(), known{}, func(p inventory.Published) error {
		slots = append(slots, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Rows != len(slots) || r.Skipped != skipped {
		t.Errorf("checked %d slots and %d skipped, walked %d and %d", r.Rows, r.Skipped, len(slots), skipped)
	}
	return slots, skipped
}

func TestAvailabilityOfGooglesSamples(t *testing.T) {
	table := func(seats int) inventory.Published {
		return inventory.Published{MerchantID: "dining-1", ServiceID: "reservation", StartSec: 1535853600, DurationSec: 3600, SpotsTotal: 1, SpotsOpen: 1, PartySize: seats,
			Terms: inventory.Terms{ConfirmationMode: "SYNCHRONOUS"}}
	}
	session := func(merchantID, n string) inventory.Published {
		return inventory.Published{MerchantID: merchantID, ServiceID: "2000-0", StartSec: 1470672000, DurationSec: 1800, SpotsTotal: 1, SpotsOpen: 1, StaffID: "staff_" + n, RoomID: "room_" + n}
	}
	tests := []struct {
		path string
		want []inventory.Published
	}{
		{"reservations.availability_feed.json", []inventory.Published{table(6), table(5), table(4)}},
		{"legacy.availability_feed.daily_incremental.json", []inventory.Published{session("1000-0", "0"), session("1000-0", "1"), session("1000-1", "0")}},
		{"payments.availability_feed.json", []inventory.Published{{MerchantID: "dining-A", ServiceID: "reservation", StartSec: 1535853600, DurationSec: 2700, SpotsTotal: 2, SpotsOpen: 2, RoomID: "A-dining-room", PartySize: 2,
			Terms: inventory.Terms{Charges: &inventory.Charges{Price: &inventory.Price{Micros: 200000000, Currency: "USD"}, PriceType: "PER_PERSON", Prepaid: true}}}}},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			got, _ := slotsOf(t, oneFeed(t, mustOpen(t, "testdata/"+tt.path)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// slot is a row that is right, with more fields.
func slot(more string) string {
	return fmt.Sprintf(`{"merchant_id": "a", "service_id": "s", "start_sec": %d, "duration_sec": 1200, %s}`, startSec, more)
}

// availability is a feed of one file with the rows in one element.
func availability(rows ...string) string {
	return `{` + metadata + `, "service_availability": [{"availability": [` + strings.Join(rows, ", ") + `]}]}`
}

func TestAvailabilityReads(t *testing.T) {
	base := inventory.Published{MerchantID: "a", ServiceID: "s", StartSec: startSec, DurationSec: 1200, SpotsTotal: 5, SpotsOpen: 2}
	with := func(change func(*inventory.Published)) []inventory.Published {
		p := base
		change(&p)
		return []inventory.Published{p}
	}
	tests := []struct {
		name, row string
		want      []inventory.Published
	}{
		{"spots", slot(`"spots_total": 5, "spots_open": 2`), []inventory.Published{base}},
		{"numbers as text", slot(`"spots_total": "5", "spots_open": "2"`), []inventory.Published{base}},
		{"numbers with an exponent", slot(`"spots_total": 5.0, "spots_open": 0.2e1`), []inventory.Published{base}},
		{"camel case", `{"merchantId": "a", "serviceId": "s", "startSec": "1770000000", "durationSec": "1200", "spotsTotal": "5", "spotsOpen": "2"}`, []inventory.Published{base}},
		{"sold out", slot(`"spots_total": 5, "spots_open": 0`), with(func(p *inventory.Published) { p.SpotsOpen = 0 })},
		{"resources", slot(`"spots_total": 5, "spots_open": 2, "resources": {"staff_id": 7, "room_id": "r", "party_size": "4", "room_name": "R"}`),
			with(func(p *inventory.Published) { p.StaffID, p.RoomID, p.PartySize = "7", "r", 4 })},
		{"fields that are there and say nothing", slot(`"spots_total": 5, "spots_open": 2, "resources": {"staff_id": "", "room_id": null, "party_size": 0}, "recurrence": null, "schedule_exception": []`),
			[]inventory.Published{base}},
		{"the merchant's word and windows of its own", slot(`"spots_total": 5, "spots_open": 2, "confirmation_mode": "CONFIRMATION_MODE_ASYNCHRONOUS", "scheduling_rule_overrides": {"first_bookable_sec": "1769000000", "last_bookable_sec": 1769999999, "last_online_cancellable_sec": 1769990000}`),
			with(func(p *inventory.Published) {
				p.Terms = inventory.Terms{FirstBookableSec: 1769000000, LastBookableSec: 1769999999, LastCancellableSec: 1769990000, ConfirmationMode: "ASYNCHRONOUS"}
			})},
		{"fields we do not know", slot(`"spots_total": 5, "spots_open": 2, "availability_tag": "x", "later": [{"start_sec": 1}]`), []inventory.Published{base}},
		{"a clinic's row, whatever is in it", `{"merchant_id": "clinic-1", "start_sec": []}`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, skipped := slotsOf(t, feedOf(t, availability(tt.row)))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if want := 1 - len(tt.want); skipped != want {
				t.Errorf("got %d skipped, want %d", skipped, want)
			}
		})
	}
}

// The example in Google's documentation: a slot of 20 minutes every 30 minutes
// from 9:00 until 11:00 is at 9:00, 9:30, 10:00, 10:30 and 11:00.
func TestAvailabilityRecurrence(t *testing.T) {
	const nine = 1_770_022_800
	row := func(more string) string {
		return fmt.Sprintf(`{"merchant_id": "a", "service_id": "s", "start_sec": %d, "duration_sec": 1200, %s}`, nine, more)
	}
	every := func(sec, until int64) string {
		return fmt.Sprintf(`"recurrence": {"repeat_every_sec": %d, "repeat_until_sec": "%d"}`, sec, until)
	}
	except := func(begin, end int64) string {
		return fmt.Sprintf(`{"time_range": {"begin_sec": %d, "end_sec": %d}}`, nine+60*begin, nine+60*end)
	}
	tests := []struct {
		name, row string
		want      string // minutes after nine, and ! if taken
	}{
		{"until is included", row(every(1800, nine+2*3600)), "0 30 60 90 120"},
		{"until is never reached", row(every(1800, nine+2*3600-1)), "0 30 60 90"},
		{"only once", row(every(1800, nine)), "0"},
		{"at an interval of years", row(every(1<<62, nine+3600)), "0"},
		{"a whole day", row(every(12*3600, nine+24*3600)), "0 720 1440"},
		{"spots are 1 or nothing", row(every(1800, nine+1800) + `, "spots_total": 1, "spots_open": "1"`), "0 30"},
		{"spots 0 are nothing said", row(every(1800, nine+1800) + `, "spots_total": "0", "spots_open": "0"`), "0 30"},
		{"an exception that touches takes nothing", row(every(1800, nine+2*3600) + `, "schedule_exception": [` + except(50, 60) + `]`), "0 30 60 90 120"},
		{"an exception of a minute", row(every(1800, nine+2*3600) + `, "schedule_exception": [` + except(49, 50) + `]`), "0 30! 60 90 120"},
		{"exceptions before, within, after", row(every(1800, nine+2*3600) + `, "schedule_exception": [` + except(-30, 1) + `, ` + except(35, 61) + `, ` + except(139, 500) + `]`), "0! 30! 60! 90 120!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			slots, _ := slotsOf(t, feedOf(t, availability(tt.row)))
			var got []string
			for _, s := range slots {
				mark := ""
				if s.SpotsOpen == 0 {
					mark = "!"
				}
				got = append(got, fmt.Sprintf("%d%s", (s.StartSec-nine)/60, mark))
				if s.SpotsTotal != 1 || s.DurationSec != 1200 || s.MerchantID != "a" || s.ServiceID != "s" {
					t.Errorf("got %+v", s)
				}
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAvailabilityProblems(t *testing.T) {
	const row = "service_availability[0].availability[0]"
	const spots = `"spots_total": 1, "spots_open": 1`
	replace := func(old, new string) string { return strings.Replace(slot(spots), old, new, 1) }
	recurrence := func(r, more string) string { return slot(`"recurrence": ` + r + more) }
	const daily = `{"repeat_every_sec": 3600, "repeat_until_sec": 1770003600}`
	tests := []struct {
		name, row string
		want      []string
	}{
		{"nothing in it", `{}`, []string{
			row + ".merchant_id: required", row + ".service_id: required", row + ".start_sec: required",
			row + ".duration_sec: required", row + ".spots_total: required"}},
		{"no row", `"x"`, []string{row + ": must be an object, not text"}},
		{"no such merchant", replace(`"a"`, `"nobody"`), []string{row + ".merchant_id: no such merchant"}},
		{"no such service", replace(`"s"`, `"nothing"`), []string{row + ".service_id: no such service"}},
		{"milliseconds", replace("1770000000", "1770000000000"), []string{row + ".start_sec: must be in seconds, and 1770000000000 looks like milliseconds"}},
		{"microseconds", replace("1770000000", `"1770000000000000"`), []string{row + ".start_sec: must be in seconds, and 1770000000000000 looks like microseconds"}},
		{"before all time", replace("1770000000", "-1"), []string{row + ".start_sec: must be at least 1, not -1"}},
		{"a date", replace("1770000000", `"2026-02-02T09:00:00Z"`), []string{row + `.start_sec: must be a whole number, not "2026-02-02T09:00:00Z"`}},
		{"more than 64 bits", replace("1770000000", "99999999999999999999"), []string{row + ".start_sec: must be a whole number, not 99999999999999999999"}},
		{"no duration", replace("1200", "0"), []string{row + ".duration_sec: must be 1 to 31622400, not 0"}},
		{"over a year", replace("1200", "31622401"), []string{row + ".duration_sec: must be 1 to 31622400, not 31622401"}},
		{"negative spots", slot(`"spots_total": -1, "spots_open": -2`), []string{
			row + ".spots_total: must be 0 to 1000000, not -1", row + ".spots_open: must be 0 to 1000000, not -2"}},
		{"more open than there are", slot(`"spots_total": 1, "spots_open": 2`), []string{row + ".spots_open: must not be above spots_total, and 2 is above 1"}},
		{"an unknown mode", slot(spots + `, "confirmation_mode": "SYNC"`), []string{
			row + ".confirmation_mode: must be CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS"}},
		{"bookable when it has begun", slot(spots + `, "scheduling_rule_overrides": {"last_bookable_sec": 1770000000}`), []string{
			row + ".scheduling_rule_overrides.last_bookable_sec: must be before start_sec"}},
		{"a negative party", slot(spots + `, "resources": {"party_size": -2, "staff_id": {}}`), []string{
			row + ".resources.staff_id: must be text, not an object", row + ".resources.party_size: must be 0 to 1000000, not -2"}},
		{"an exception without a recurrence", slot(spots + `, "schedule_exception": [{}]`), []string{
			row + ".schedule_exception: only a recurrence has exceptions; spots_open says what a slot has left"}},

		{"an empty recurrence", recurrence(`{}`, ""), []string{
			row + ".recurrence.repeat_every_sec: required", row + ".recurrence.repeat_until_sec: required"}},
		{"a recurrence that is text", recurrence(`"daily"`, ""), []string{row + ".recurrence: must be an object, not text"}},
		{"every second", recurrence(`{"repeat_every_sec": 1, "repeat_until_sec": 1770003600}`, ""), []string{
			row + ".recurrence.repeat_every_sec: must be at least 60, not 1"}},
		{"until before the start", recurrence(`{"repeat_every_sec": 3600, "repeat_until_sec": 1769999999}`, ""), []string{
			row + ".recurrence.repeat_until_sec: must not be before start_sec"}},
		{"over a day", recurrence(`{"repeat_every_sec": 3600, "repeat_until_sec": 1770086401}`, ""), []string{
			row + ".recurrence.repeat_until_sec: a recurrence lasts at most 24 hours"}},
		{"more spots than one", recurrence(daily, `, "spots_total": 2, "spots_open": 1`), []string{row + ".spots_total: must be 0 to 1, not 2"}},
		{"sold out as a whole", recurrence(daily, `, "spots_total": 1, "spots_open": 0`), []string{
			row + ".spots_open: every slot of a recurrence has 1 spot; what is taken is a schedule_exception"}},
		{"exceptions", recurrence(daily, `, "schedule_exception": [{}, {"time_range": {"begin_sec": 1770000000, "end_sec": 1770000000}}, {"time_range": {}}, null]`), []string{
			row + ".schedule_exception[0].time_range: required",
			row + ".schedule_exception[1].time_range.end_sec: must be after begin_sec",
			row + ".schedule_exception[2].time_range.begin_sec: required",
			row + ".schedule_exception[2].time_range.end_sec: required",
			row + ".schedule_exception[3]: required"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			feed := feedOf(t, availability(tt.row))
			_, err := feed.CheckAvailability(t.Context(), known{}, nil)
			wantProblems(t, err, tt.want...)

			// The walk does not trust that somebody has checked.
			_, err = feed.Availability(t.Context(), known{}, func(p inventory.Published) error {
				t.Errorf("got %+v", p)
				return nil
			})
			wantProblems(t, err, tt.want[0])
		})
	}
}

func TestAvailabilityProblemsAreFoundEverywhere(t *testing.T) {
	const spots = `"spots_total": 1, "spots_open": 1`
	good := func(start int) string {
		return strings.Replace(slot(spots), "1770000000", fmt.Sprint(startSec+start), 1)
	}
	group := func(more string, rows ...string) string {
		return `{"availability": [` + strings.Join(rows, ", ") + `]` + more + `}`
	}
	tests := []struct {
		name  string
		files []string
		want  []string
	}{
		{"twice, also by a recurrence", []string{`{` + metadata + `, "service_availability": [` +
			group("", good(0), `{}`, `{"merchant_id": "clinic-1"}`, good(3600), good(0)) + `, ` +
			group("", slot(`"recurrence": {"repeat_every_sec": 1800, "repeat_until_sec": 1770007200}`)) + `]}`}, []string{
			"service_availability[0].availability[1].merchant_id: required",
			"service_availability[0].availability[1].service_id: required",
			"service_availability[0].availability[1].start_sec: required",
			"service_availability[0].availability[1].duration_sec: required",
			"service_availability[0].availability[1].spots_total: required",
			"service_availability[0].availability[4]: the same slot as service_availability[0].availability[0] (merchant, service, start, duration and resources)",
			"service_availability[1].availability[0]: the same slot as service_availability[0].availability[0] (merchant, service, start, duration and resources)",
			"service_availability[1].availability[0]: the same slot as service_availability[0].availability[3] (merchant, service, start, duration and resources)"}},
		{"over shards", []string{
			`{` + shard(0, 2) + `, "service_availability": [` + group("", good(0), good(60)) + `]}`,
			`{"service_availability": [` + group("", good(120)) + `], ` + shard(1, 2) + `, "service_availability": [` + group("", good(180), good(60), `7`) + `]}`}, []string{
			"b.json: service_availability[1].availability[2]: must be an object, not a number",
			"b.json: service_availability[1].availability[1]: the same slot as a.json: service_availability[0].availability[1] (merchant, service, start, duration and resources)"}},
		{"restricted", []string{`{` + metadata + `, "service_availability": [` +
			group(`, "start_timestamp_restrict": 1770000000, "merchant_id_restrict": "", "end_timestamp_restrict": "0", "service_id_restrict": null`, good(0)) + `, ` +
			group(`, "resourcesRestrict": {}, "durationRestrictSec": 60`) + `]}`}, []string{
			"service_availability[0].start_timestamp_restrict: a daily feed must not restrict what it replaces; leave this out",
			"service_availability[1].resources_restrict: a daily feed must not restrict what it replaces; leave this out",
			"service_availability[1].duration_restrict_sec: a daily feed must not restrict what it replaces; leave this out"}},
		{"no lists", []string{`{` + metadata + `, "service_availability": [7, {"availability": {"a": []}}, null, {"availability": null}], "service_availability": "x"}`}, []string{
			"service_availability[0]: must be an object",
			"service_availability[1].availability: must be a list",
			"service_availability[2]: required",
			"service_availability[3].availability: required",
			"service_availability: must be a list"}},
		{"half a file", []string{`{` + metadata + `, "service_availability": [` + "\n" + group("", good(0), `7`)}, []string{
			"service_availability[0].availability[1]: must be an object, not a number",
			"line 2, column 145: the file ends in the middle"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := feedOf(t, tt.files...).CheckAvailability(t.Context(), known{}, nil)
			wantProblems(t, err, tt.want...)
		})
	}
}

func TestAvailabilityStopsWithTheCaller(t *testing.T) {
	full := errors.New("disk full")
	row := slot(`"recurrence": {"repeat_every_sec": 60, "repeat_until_sec": 1770003600}`)
	calls := 0
	_, err := feedOf(t,
		`{`+shard(0, 2)+`, "service_availability": [{"availability": [`+row+`]}]}`,
		`{`+shard(1, 2)+`, "service_availability": [{"availability": [`+row+`]}]}`,
	).Availability(t.Context(), known{}, func(inventory.Published) error {
		calls++
		if calls == 3 {
			return full
		}
		return nil
	})
	if !errors.Is(err, full) || calls != 3 {
		t.Errorf("got %v after %d calls, want %v after 3", err, calls, full)
	}
}

func FuzzAvailability(f *testing.F) {
	f.Add([]byte(availability(slot(`"spots_total": 1, "spots_open": "1", "resources": {"party_size": 2}`))))
	f.Add([]byte(availability(slot(`"recurrence": {"repeat_every_sec": 600, "repeat_until_sec": 1770003600}, "schedule_exception": [{"time_range": {"begin_sec": 1770000000, "end_sec": 1770001000}}]`))))
	f.Add([]byte(`{"serviceAvailability": [{"start_timestamp_restrict": 1}], ` + metadata + `}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		file, err := from("x", content)
		if err != nil || file.Kind != catalogue.AvailabilityFeed || file.Meta.TotalShards > 1 {
			return
		}
		feed := oneFeed(t, file)
		r, err := feed.CheckAvailability(t.Context(), known{}, nil)
		if err != nil {
			return
		}
		walked := 0
		walkSkipped, err := feed.Availability(t.Context(), known{}, func(p inventory.Published) error {
			walked++
			if p.MerchantID == "" || p.ServiceID == "" || p.StartSec <= 0 || p.DurationSec <= 0 || p.SpotsOpen < 0 || p.SpotsOpen > p.SpotsTotal {
				t.Errorf("got %+v", p)
			}
			return nil
		})
		if err != nil || walked != r.Rows || walkSkipped != r.Skipped {
			t.Errorf("checked %d slots, %d skipped, walked %d, %d: %v", r.Rows, r.Skipped, walked, walkSkipped, err)
		}
	})
}
