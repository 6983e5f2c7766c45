package inventory

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestDateAt(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		date       Date
		minutes    int
		want       string
	}{
		{"an ordinary day", "Asia/Seoul", Date{2026, 3, 2}, 9 * 60, "2026-03-02T09:00:00+09:00"},
		{"end of the day", "Asia/Seoul", Date{2026, 3, 2}, 24 * 60, "2026-03-03T00:00:00+09:00"},
		{"before clocks go forward", "America/New_York", Date{2026, 3, 8}, 60, "2026-03-08T01:00:00-05:00"},
		{"a time that is skipped is the moment of the change", "America/New_York", Date{2026, 3, 8}, 2*60 + 30, "2026-03-08T03:00:00-04:00"},
		{"the first moment after the gap", "America/New_York", Date{2026, 3, 8}, 3 * 60, "2026-03-08T03:00:00-04:00"},
		{"nine o'clock on the day clocks go forward", "America/New_York", Date{2026, 3, 8}, 9 * 60, "2026-03-08T09:00:00-04:00"},
		{"a time that comes twice is its first coming", "America/New_York", Date{2026, 11, 1}, 60 + 30, "2026-11-01T01:30:00-04:00"},
		{"nine o'clock on the day clocks go back", "America/New_York", Date{2026, 11, 1}, 9 * 60, "2026-11-01T09:00:00-05:00"},
		{"a midnight that is skipped", "Asia/Beirut", Date{2026, 3, 29}, 0, "2026-03-29T01:00:00+03:00"},
		{"the end of the day before a skipped midnight", "Asia/Beirut", Date{2026, 3, 28}, 24 * 60, "2026-03-29T01:00:00+03:00"},
		{"a change of half an hour", "Australia/Lord_Howe", Date{2026, 10, 4}, 2*60 + 15, "2026-10-04T02:30:00+11:00"},
		{"a zone without changes", "UTC", Date{2026, 7, 1}, 0, "2026-07-01T00:00:00Z"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.date.At(c.minutes, zone(t, c.zone)).Format(time.RFC3339); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// group is open on weekdays 9 to 18 with lunch at 13.
func group() *Group {
	d := &Day{Start: 9 * 60, End: 18 * 60, Breaks: []Break{{13 * 60, 14 * 60}}}
	return &Group{
		Timetable:  &Timetable{time.Monday: d, time.Tuesday: d, time.Wednesday: d, time.Thursday: d, time.Friday: d},
		ClosedDays: []Date{{2026, 3, 5}},
		StartDate:  Date{2026, 3, 2},
	}
}

func TestOpen(t *testing.T) {
	always := &Group{ClosedDays: []Date{{2026, 3, 5}}}
	late := &Group{Timetable: &Timetable{
		time.Monday: {Start: 18 * 60, End: 24 * 60}, time.Tuesday: {Start: 0, End: 2 * 60},
	}}
	sundays := &Group{Timetable: &Timetable{time.Sunday: {Start: 9 * 60, End: 18 * 60}}}
	for _, c := range []struct {
		name       string
		g          *Group
		zone       string
		start, end string // local
		want       bool
	}{
		{"within opening times", group(), "Asia/Seoul", "2026-03-02T09:00", "2026-03-02T10:00", true},
		{"until closing", group(), "Asia/Seoul", "2026-03-02T17:00", "2026-03-02T18:00", true},
		{"before opening", group(), "Asia/Seoul", "2026-03-02T08:59", "2026-03-02T10:00", false},
		{"past closing", group(), "Asia/Seoul", "2026-03-02T17:30", "2026-03-02T18:01", false},
		{"until the break", group(), "Asia/Seoul", "2026-03-02T12:00", "2026-03-02T13:00", true},
		{"into the break", group(), "Asia/Seoul", "2026-03-02T12:30", "2026-03-02T13:30", false},
		{"over the break", group(), "Asia/Seoul", "2026-03-02T12:00", "2026-03-02T15:00", false},
		{"a day without times", group(), "Asia/Seoul", "2026-03-01T09:00", "2026-03-01T10:00", false},
		{"a closed day", group(), "Asia/Seoul", "2026-03-05T09:00", "2026-03-05T10:00", false},
		{"a closed day of a group that is always open", always, "Asia/Seoul", "2026-03-05T09:00", "2026-03-05T10:00", false},
		{"into a closed day", always, "Asia/Seoul", "2026-03-04T23:30", "2026-03-05T00:30", false},
		{"across midnight, always open", always, "Asia/Seoul", "2026-03-02T23:30", "2026-03-03T00:30", true},
		{"across midnight, open on both sides", late, "Asia/Seoul", "2026-03-02T23:00", "2026-03-03T02:00", true},
		{"across midnight and then too long", late, "Asia/Seoul", "2026-03-02T23:00", "2026-03-03T02:30", false},
		{"opening time on the day clocks go forward", sundays, "America/New_York", "2026-03-08T09:00", "2026-03-08T10:00", true},
		{"before it", sundays, "America/New_York", "2026-03-08T08:00", "2026-03-08T09:00", false},
		{"closing time on the day clocks go back", sundays, "America/New_York", "2026-11-01T17:00", "2026-11-01T18:00", true},
		{"past it", sundays, "America/New_York", "2026-11-01T17:30", "2026-11-01T18:30", false},
		{"the night clocks go back, always open", always, "America/New_York", "2026-11-01T00:30", "2026-11-01T03:00", true},
		{"a midnight that is skipped, always open", always, "Asia/Beirut", "2026-03-28T23:30", "2026-03-29T01:30", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc := zone(t, c.zone)
			at := func(s string) time.Time {
				x, err := time.ParseInLocation("2006-01-02T15:04", s, loc)
				if err != nil {
					t.Fatal(err)
				}
				return x.UTC()
			}
			if got := c.g.Open(at(c.start), at(c.end), loc); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// A doctor's hours use the same clock as the clinic's, and days off take precedence.
func TestStaffOpen(t *testing.T) {
	nights := &Staff{
		Timetable:  &Timetable{time.Saturday: {Start: 22 * 60, End: 24 * 60}, time.Sunday: {Start: 0, End: 4 * 60, Breaks: []Break{{60, 90}}}},
		ClosedDays: []Date{{2026, 3, 15}},
	}
	for _, c := range []struct {
		name       string
		s          *Staff
		zone       string
		start, end string // with their offset
		want       bool
	}{
		{"without hours, whenever", &Staff{}, "Asia/Seoul", "2026-03-02T03:00:00+09:00", "2026-03-02T04:00:00+09:00", true},
		{"without hours, on a day off", &Staff{ClosedDays: []Date{{2026, 3, 2}}}, "Asia/Seoul", "2026-03-02T03:00:00+09:00", "2026-03-02T04:00:00+09:00", false},
		{"over midnight, at work on both sides", nights, "America/New_York", "2026-02-28T23:30:00-05:00", "2026-03-01T00:30:00-05:00", true},
		{"into a day off", nights, "America/New_York", "2026-03-14T23:30:00-04:00", "2026-03-15T00:30:00-04:00", false},
		{"clocks go forward over two o'clock", nights, "America/New_York", "2026-03-08T01:30:00-05:00", "2026-03-08T04:00:00-04:00", true},
		{"an hour less of work that night", nights, "America/New_York", "2026-03-08T01:30:00-05:00", "2026-03-08T05:00:00-04:00", false},
		{"clocks go back: the break is at its first coming", nights, "America/New_York", "2026-11-01T01:00:00-04:00", "2026-11-01T01:30:00-04:00", false},
		{"and the second coming is work", nights, "America/New_York", "2026-11-01T01:00:00-05:00", "2026-11-01T04:00:00-05:00", true},
		{"half-hour zone, until the end", nights, "Asia/Kolkata", "2026-03-01T03:00:00+05:30", "2026-03-01T04:00:00+05:30", true},
		{"half-hour zone, past it", nights, "Asia/Kolkata", "2026-03-01T03:30:00+05:30", "2026-03-01T04:00:01+05:30", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			at := func(s string) time.Time {
				x, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatal(err)
				}
				return x.UTC()
			}
			if got := c.s.Open(at(c.start), at(c.end), zone(t, c.zone)); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestOpenToGuests(t *testing.T) {
	seoul := zone(t, "Asia/Seoul")
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 3, day, hour, minute, 0, 0, seoul).UTC() }
	g := group()
	g.SameDayCloseBufferSec = 2 * 3600
	for _, c := range []struct {
		name       string
		start, now time.Time
		want       bool
	}{
		{"before the start date", at(1, 23, 30), at(1, 9, 0), false},
		{"on the start date", at(2, 0, 0), at(1, 9, 0), true},
		{"today, within the buffer", at(3, 10, 59), at(3, 9, 0), false},
		{"today, at the end of the buffer", at(3, 11, 0), at(3, 9, 0), true},
		{"tomorrow, shortly after midnight", at(4, 0, 30), at(3, 23, 30), true},
		{"today in Seoul though yesterday in UTC", at(3, 8, 30), at(3, 7, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := g.OpenToGuests(c.start, c.now, seoul); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestGridAnchor(t *testing.T) {
	for _, c := range []struct {
		zone     string
		interval int64
		onGrid   string // a local time in winter that is on the grid
		offGrid  string
	}{
		{"Asia/Seoul", 1800, "2026-01-15T09:30", "2026-01-15T09:15"},
		{"Asia/Kolkata", 3600, "2026-01-15T09:00", "2026-01-15T09:30"}, // +05:30
		{"Asia/Kathmandu", 1800, "2026-01-15T09:30", "2026-01-15T09:45"},
		{"Asia/Seoul", 2400, "2026-01-15T00:40", "2026-01-15T01:00"}, // 40 minutes
		{"America/New_York", 5400, "2026-01-15T01:30", "2026-01-15T01:00"},
		{"Australia/Sydney", 3600 * 6, "2026-07-15T06:00", "2026-07-15T05:00"}, // standard time is in July
	} {
		loc := zone(t, c.zone)
		g := &Group{IntervalSec: c.interval, AnchorSec: GridAnchor(c.interval, loc)}
		for s, want := range map[string]bool{c.onGrid: true, c.offGrid: false} {
			x, err := time.ParseInLocation("2006-01-02T15:04", s, loc)
			if err != nil {
				t.Fatal(err)
			}
			if got := g.OnGrid(x.Unix(), loc); got != want {
				t.Errorf("%s every %d s: %s on the grid is %v, want %v", c.zone, c.interval, s, got, want)
			}
		}
	}
}

func TestAmbiguous(t *testing.T) {
	for _, c := range []struct {
		zone, at string // with its offset
		want     bool
	}{
		{"America/New_York", "2026-11-01T00:59:59-04:00", false},
		{"America/New_York", "2026-11-01T01:00:00-04:00", true},
		{"America/New_York", "2026-11-01T01:59:59-04:00", true},
		{"America/New_York", "2026-11-01T01:00:00-05:00", true},
		{"America/New_York", "2026-11-01T01:59:59-05:00", true},
		{"America/New_York", "2026-11-01T02:00:00-05:00", false},
		{"America/New_York", "2026-03-08T01:59:59-05:00", false},
		{"America/New_York", "2026-03-08T03:00:00-04:00", false},
		{"Australia/Lord_Howe", "2026-04-05T01:29:59+11:00", false},
		{"Australia/Lord_Howe", "2026-04-05T01:30:00+11:00", true},
		{"Australia/Lord_Howe", "2026-04-05T01:59:59+10:30", true},
		{"Europe/Dublin", "2026-10-25T01:30:00Z", true},
		{"Africa/Casablanca", "2026-02-15T02:30:00Z", true},
		{"America/Santiago", "2026-04-04T23:30:00-03:00", true},
		{"Asia/Seoul", "2026-11-01T01:30:00+09:00", false},
		{"UTC", "2026-11-01T01:30:00Z", false},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		if got := Ambiguous(at.In(zone(t, c.zone))); got != c.want {
			t.Errorf("%s: %s: got %v", c.zone, c.at, got)
		}
	}
}
