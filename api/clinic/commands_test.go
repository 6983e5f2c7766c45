package clinic

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"holdfast/api/edge"
	"holdfast/booking"
)

// checked returns "key reason" if a body is refused, or "".
func checked[T any](t *testing.T, body string, check func(*T) error) string {
	t.Helper()
	req, err := decode[T]([]byte(body))
	if err == nil {
		err = check(&req)
	}
	var r *refusal
	switch {
	case err == nil:
		return ""
	case !errors.As(err, &r) || r.class != "InvalidCommandException":
		t.Fatalf("%s: %v", body, err)
	}
	return r.key + " " + r.reason
}

// Rows R1, R2 and V1, and after them the rows of update-reservation.
func TestReserveTable(t *testing.T) {
	visit := `"zoneId":"z","occupiedResources":[` + morning + `]`
	reserve1 := func(members string) string {
		return checked(t, "{"+members+"}", func(c *reserve) error { return c.check(dayIn(time.UTC)) })
	}
	for _, c := range []struct{ name, members, want string }{
		{"all there", `"visitorName":"김환자","visitorPhone":"1",` + visit, ""},
		{"name absent", visit, "visitorName Required"},
		{"name null", `"visitorName":null`, "visitorName Required"},
		{"name empty", `"visitorName":""`, "visitorName NotAvailable"},
		{"name blank", `"visitorName":"\u3000 \n"`, "visitorName NotAvailable"},
		{"name of 201 characters", `"visitorName":"` + strings.Repeat("김", 201) + `"`, "visitorName NotAvailable"},
		{"name of 200", `"visitorName":"` + strings.Repeat("김", 200) + `"`, "visitorPhone Required"},
		{"phone of 65 characters", `"visitorName":"n","visitorPhone":"` + strings.Repeat("1", 65) + `"`, "visitorPhone NotAvailable"},
		{"phone of 64", `"visitorName":"n","visitorPhone":"` + strings.Repeat("1", 64) + `"`, "zoneId Required"},
		{"name a number", `"visitorName":1`, "visitorName NotAvailable"},
		{"name before phone", `"visitorName":"","visitorPhone":""`, "visitorName NotAvailable"},
		{"phone absent", `"visitorName":"n",` + visit, "visitorPhone Required"},
		{"phone null", `"visitorName":"n","visitorPhone":null`, "visitorPhone Required"},
		{"phone empty", `"visitorName":"n","visitorPhone":""`, "visitorPhone NotAvailable"},
		{"phone without a digit", `"visitorName":"n","visitorPhone":"+-"`, "visitorPhone NotAvailable"},
		{"phone of other digits", `"visitorName":"n","visitorPhone":"٠١٠"`, "zoneId Required"},
		{"then B2", `"visitorName":"n","visitorPhone":"1"`, "zoneId Required"},
		{"then B3", `"visitorName":"n","visitorPhone":"1","zoneId":"z"`, "occupiedResources Required"},
		{"B16, in the order of the schema", `"visitorName":"n\u0000","visitorPhone":"1\u0000","reservationMemo":"\u0000",` + visit, "visitorName NotAvailable"},
		{"a doctor's id no object id", `"visitorName":"n","visitorPhone":"1","zoneId":"z","occupiedResources":[` + strings.Replace(morning, `"zoneId"`, `"doctor":{"id":"d","name":"n"},"zoneId"`, 1) + `]`, "occupiedResources[0].doctor.id NotAvailable"},
		{"a name with underscores", `"visitor_name":"n","visitorPhone":"1",` + visit, "visitorName NotAvailable"},
		{"version is an unknown member", `"version":"x","visitorName":"n","visitorPhone":"1",` + visit, ""},
		{"scheduleId is an unknown member", `"scheduleId":7,"visitorName":"n","visitorPhone":"1",` + visit, ""},
	} {
		if got := reserve1(c.members); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	for _, c := range []struct{ name, body, want string }{
		{"all there", `{"visitorId":"v",` + visit + `}`, ""},
		{"absent", `{` + visit + `}`, "visitorId Required"},
		{"null", `{"visitorId":null}`, "visitorId Required"},
		{"empty", `{"visitorId":""}`, "visitorId Required"},
		{"then B2", `{"visitorId":"v"}`, "zoneId Required"},
		{"B16", `{"visitorId":"v","connectedChannel":"X",` + visit + `}`, "connectedChannel NotAvailable"},
	} {
		got := checked(t, c.body, func(c *reserveByVisitorID) error { return c.check(dayIn(time.UTC)) })
		if got != c.want {
			t.Errorf("visitorId %s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Every row of update-reservation's table from B2 on is a row of these commands.
func TestReserveHasTheMembers(t *testing.T) {
	members := func(typ reflect.Type, first int) (names []string) {
		for _, f := range fields(reflect.New(typ).Elem(), "")[first:] {
			names = append(names, f.name)
		}
		return names
	}
	want := members(reflect.TypeFor[updateReservation](), 1)
	want = want[:len(want)-1] // version: there is none yet
	for _, got := range [][]string{members(reflect.TypeFor[reserve](), 2), members(reflect.TypeFor[reserveByVisitorID](), 1)} {
		if len(want) != 10 || !reflect.DeepEqual(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

// Rows O1 to O8: which times can be blocked, by the clocks of three places.
func TestOccupiedTimeTable(t *testing.T) {
	const utc, seoul, newYork, kolkata = "UTC", "Asia/Seoul", "America/New_York", "Asia/Kolkata"
	const badRange = "endDateTimeUtc InvalidTimeRange"
	group := `"reservationGroupId":"g","zoneId":"z"`
	times := func(start, end string) string {
		return group + `,"startDateTimeUtc":"` + start + `","endDateTimeUtc":"` + end + `"`
	}
	noon := times("2026-03-02T03:00:00Z", "2026-03-02T04:00:00Z")
	for _, c := range []struct{ name, zone, members, want string }{
		{"all there", seoul, noon, ""},
		{"group absent", seoul, `"zoneId":"z"`, "reservationGroupId Required"},
		{"zone empty", seoul, `"reservationGroupId":"g","zoneId":""`, "zoneId Required"},
		{"start absent", seoul, group, "startDateTimeUtc Required"},
		{"end null", seoul, group + `,"startDateTimeUtc":"x","endDateTimeUtc":null`, "endDateTimeUtc Required"},
		{"start unreadable", seoul, times("2026-03-02", "x"), "startDateTimeUtc NotAvailable"},
		{"end unreadable", seoul, times("2026-03-02T03:00:00Z", "x"), "endDateTimeUtc NotAvailable"},
		{"start after end", seoul, times("2026-03-02T04:00:00Z", "2026-03-02T03:00:00Z"), badRange},
		{"start is end", seoul, times("2026-03-02T04:00:00Z", "2026-03-02T13:00:00+09:00"), badRange},
		{"a fraction long", seoul, times("2026-03-02T04:00:00Z", "2026-03-02T04:00:00.1Z"), ""},
		{"24 hours", utc, times("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z"), badRange},
		{"a day but for a second", utc, times("2026-03-02T00:00:00Z", "2026-03-02T23:59:59Z"), ""},
		{"until midnight", utc, times("2026-03-02T12:00:00Z", "2026-03-03T00:00:00Z"), badRange},
		{"doctor without id", seoul, noon + `,"doctor":{}`, "doctor.id Required"},
		{"doctor without name", seoul, noon + `,"doctor":{"id":"d"}`, "doctor.name Required"},
		{"doctor's id no object id", seoul, noon + `,"doctor":{"id":"d","name":"n"}`, "doctor.id NotAvailable"},
		{"doctor", seoul, noon + `,"doctor":{"id":"` + kim + `","name":"n"}`, ""},
		{"a name with underscores", seoul, noon + `,"reservation_group_id":"g"`, "reservationGroupId NotAvailable"},
		{"doctor null", seoul, noon + `,"doctor":null`, ""},
		{"NUL", seoul, noon + `,"memo":"\u0000"`, "memo NotAvailable"},
		{"the range before the doctor", seoul, times("2026-03-02T04:00:00Z", "2026-03-02T04:00:00Z") + `,"doctor":{}`, badRange},

		{"one day in Seoul, two in UTC", seoul, times("2026-03-01T23:30:00Z", "2026-03-02T01:00:00Z"), ""},
		{"two days in Seoul, one in UTC", seoul, times("2026-03-02T14:30:00Z", "2026-03-02T15:30:00Z"), badRange},
		{"one evening in New York, two dates in UTC", newYork, times("2026-03-02T23:30:00Z", "2026-03-03T00:30:00Z"), ""},
		{"over midnight in New York", newYork, times("2026-03-03T04:30:00Z", "2026-03-03T05:30:00Z"), badRange},
		{"the same after the clocks went forward", newYork, times("2026-03-09T03:30:00Z", "2026-03-09T04:30:00Z"), badRange},
		{"half an hour earlier it is one day", newYork, times("2026-03-09T03:00:00Z", "2026-03-09T03:59:59Z"), ""},
		{"the whole short day", newYork, times("2026-03-08T05:00:00Z", "2026-03-09T03:59:59Z"), ""},
		{"over the hour that is skipped", newYork, times("2026-03-08T06:59:00Z", "2026-03-08T07:01:00Z"), ""},
		{"over the hour that comes twice", newYork, times("2026-11-01T05:30:00Z", "2026-11-01T06:30:00Z"), ""},
		{"24 hours of the long day are too long, on one date", newYork, times("2026-11-01T04:00:00Z", "2026-11-02T04:00:00Z"), badRange},
		{"the last 23 hours 59 of it", newYork, times("2026-11-01T05:00:00Z", "2026-11-02T04:59:59Z"), ""},
		{"a whole day in Pune", kolkata, times("2026-03-02T18:30:00Z", "2026-03-03T18:29:59Z"), ""},
		{"over midnight in Pune, at half past in UTC", kolkata, times("2026-03-02T18:29:00Z", "2026-03-02T18:31:00Z"), badRange},
		{"a full hour in UTC over it", kolkata, times("2026-03-02T18:00:00Z", "2026-03-02T19:00:00Z"), badRange},
	} {
		got := checked(t, "{"+c.members+"}", func(o *createOccupiedTime) error { return o.check(dayIn(location(t, c.zone))) })
		if got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Row K1, and what tells two commands apart.
func TestIdempotencyKey(t *testing.T) {
	once := func(caller, command string, req any, keys ...string) (*booking.Once, error) {
		return onceOf(edge.WithCall(context.Background(), &edge.Call{Caller: caller, Header: http.Header{"Idempotency-Key": keys}}), command, req)
	}
	for _, c := range []struct {
		name string
		keys []string
		ok   bool
	}{
		{"absent", nil, true},
		{"one character", []string{"x"}, true},
		{"all that is printable", []string{" ~!\"'/"}, true},
		{"255", []string{strings.Repeat("x", 255)}, true},
		{"256", []string{strings.Repeat("x", 256)}, false},
		{"empty", []string{""}, false},
		{"a tab", []string{"a\tb"}, false},
		{"not ASCII", []string{"é"}, false},
		{"not UTF-8", []string{"\xff"}, false},
		{"two", []string{"a", "a"}, false},
	} {
		o, err := once("clinic-1", "reserve", &reserve{}, c.keys...)
		var r *refusal
		switch {
		case c.ok && (err != nil || (o == nil) != (c.keys == nil)):
			t.Errorf("%s: %+v, %v", c.name, o, err)
		case !c.ok && (!errors.As(err, &r) || r.key != "Idempotency-Key" || r.reason != notAvailable):
			t.Errorf("%s: %v", c.name, err)
		}
	}

	parsed := func(body string) *reserve {
		req, err := decode[reserve]([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		return &req
	}
	first, err := once("clinic-1", "reserve", parsed(`{"visitorName":"a","zoneId":"z"}`), "k")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, caller, command, body string
		same, sameCaller            bool
	}{
		{"members in another order, null for absent, unknown ones", "clinic-1", "reserve", ` { "zoneId":"z", "x":1, "visitorName":"a","counselor":null}`, true, true},
		{"another value", "clinic-1", "reserve", `{"visitorName":"b","zoneId":"z"}`, false, true},
		{"another command", "clinic-1", "reserve-by-visitor-id", `{"visitorName":"a","zoneId":"z"}`, false, true},
		{"another clinic", "clinic-2", "reserve", `{"visitorName":"a","zoneId":"z"}`, true, false},
		{"a clinic called google", "google", "reserve", `{"visitorName":"a","zoneId":"z"}`, true, false},
	} {
		o, err := once(c.caller, c.command, parsed(c.body), "k")
		if err != nil {
			t.Fatal(err)
		}
		if (string(o.Fingerprint) == string(first.Fingerprint)) != c.same || (o.Caller == first.Caller) != c.sameCaller || o.Caller == "google" {
			t.Errorf("%s: caller %q, same fingerprint %v", c.name, o.Caller, string(o.Fingerprint) == string(first.Fingerprint))
		}
	}
}
