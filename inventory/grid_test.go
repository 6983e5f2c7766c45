package inventory

import (
	"slices"
	"testing"
	"time"
)

func TestOpenSlots(t *testing.T) {
	week := func(start, end int, breaks ...Break) *Timetable {
		var tt Timetable
		for i := range tt {
			tt[i] = &Day{Start: start, End: end, Breaks: breaks}
		}
		return &tt
	}
	nights := &Timetable{time.Monday: {Start: 23 * 60, End: 24 * 60}, time.Tuesday: {Start: 0, End: 90}}
	for _, c := range []struct {
		name, zone string
		minutes    int64
		g          Group
		from, to   string // local
		want       []string
	}{
		{"a day with its lunch break", "Asia/Seoul", 60, Group{Timetable: week(10*60, 16*60, Break{13 * 60, 14 * 60})}, "2026-03-02T00:00", "2026-03-03T00:00",
			[]string{"02 10:00", "02 11:00", "02 12:00", "02 14:00", "02 15:00"}},
		{"a slot that reaches into the break is none", "Asia/Seoul", 60, Group{Timetable: week(10*60, 14*60, Break{11*60 + 30, 12 * 60})}, "2026-03-02T00:00", "2026-03-03T00:00",
			[]string{"02 10:00", "02 12:00", "02 13:00"}},
		{"opening off the grid", "Asia/Seoul", 30, Group{Timetable: week(9*60+15, 10*60+45)}, "2026-03-02T00:00", "2026-03-03T00:00",
			[]string{"02 09:30", "02 10:00"}},
		{"from and to count by the start", "Asia/Seoul", 30, Group{Timetable: week(9*60, 18*60)}, "2026-03-02T09:01", "2026-03-02T10:01",
			[]string{"02 09:30", "02 10:00"}},
		{"to itself is not in it", "Asia/Seoul", 30, Group{Timetable: week(9*60, 18*60)}, "2026-03-02T09:00", "2026-03-02T10:00",
			[]string{"02 09:00", "02 09:30"}},
		{"a closed day", "Asia/Seoul", 60, Group{Timetable: week(9*60, 11*60), ClosedDays: []Date{{2026, 3, 3}}}, "2026-03-02T00:00", "2026-03-05T00:00",
			[]string{"02 09:00", "02 10:00", "04 09:00", "04 10:00"}},
		{"before the start date", "Asia/Seoul", 60, Group{Timetable: week(9*60, 11*60), StartDate: Date{2026, 3, 3}}, "2026-03-02T00:00", "2026-03-04T00:00",
			[]string{"03 09:00", "03 10:00"}},
		{"a range before the start date", "Asia/Seoul", 60, Group{StartDate: Date{2027, 3, 3}}, "2026-03-02T00:00", "2026-03-04T00:00", nil},
		{"a day in Seoul is two in UTC", "Asia/Seoul", 60, Group{Timetable: week(8*60, 10*60)}, "2026-03-02T00:00", "2026-03-03T00:00",
			[]string{"02 08:00", "02 09:00"}},
		{"over midnight, open on both sides", "Asia/Seoul", 90, Group{Timetable: nights}, "2026-03-02T00:00", "2026-03-04T00:00",
			[]string{"03 00:00"}}, // 22:30 to 24:00 is not open all the time
		{"over midnight, a slot across it", "Asia/Seoul", 60, Group{Timetable: nights, AnchorSec: 1800}, "2026-03-02T23:00", "2026-03-03T02:00",
			[]string{"02 23:30", "03 00:30"}},
		{"a slot across midnight into a closed day", "Asia/Seoul", 60, Group{AnchorSec: 1800, ClosedDays: []Date{{2026, 3, 3}}}, "2026-03-02T22:00", "2026-03-03T02:00",
			[]string{"02 22:30"}},
		{"always open, the night clocks go forward", "America/New_York", 30, Group{}, "2026-03-08T01:00", "2026-03-08T04:00",
			[]string{"08 01:00", "08 01:30", "08 03:00", "08 03:30"}},
		{"always open, the night clocks go back", "America/New_York", 30, Group{}, "2026-11-01T00:30", "2026-11-01T02:30",
			[]string{"01 00:30", "01 01:00", "01 01:30", "01 01:00", "01 01:30", "01 02:00"}},
		{"opening time the day after clocks went forward", "America/New_York", 60, Group{Timetable: week(9*60, 11*60)}, "2026-03-07T00:00", "2026-03-09T00:00",
			[]string{"07 09:00", "07 10:00", "08 09:00", "08 10:00"}},
		{"slots of two hours keep to standard time", "America/New_York", 120, Group{Timetable: week(8*60, 13*60)}, "2026-03-07T00:00", "2026-03-09T00:00",
			[]string{"07 08:00", "07 10:00", "08 09:00", "08 11:00"}},
		{"an opening time that the change skips", "America/New_York", 30, Group{Timetable: week(2*60, 4*60)}, "2026-03-08T00:00", "2026-03-09T00:00",
			[]string{"08 03:00", "08 03:30"}},
		{"half an hour off", "Asia/Kolkata", 60, Group{Timetable: week(9*60, 11*60)}, "2026-03-02T00:00", "2026-03-03T00:00",
			[]string{"02 09:00", "02 10:00"}},
		{"clocks go by half an hour", "Australia/Lord_Howe", 30, Group{}, "2026-10-04T01:00", "2026-10-04T03:30",
			[]string{"04 01:00", "04 01:30", "04 02:30", "04 03:00"}},
		{"a midnight that is skipped", "Asia/Beirut", 60, Group{}, "2026-03-28T22:00", "2026-03-29T03:00",
			[]string{"28 22:00", "28 23:00", "29 01:00", "29 02:00"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc := zone(t, c.zone)
			c.g.IntervalSec = c.minutes * 60
			c.g.AnchorSec += GridAnchor(c.g.IntervalSec, loc)
			var got []string
			for _, s := range c.g.OpenSlots(local(t, c.from, loc), local(t, c.to, loc), loc) {
				got = append(got, time.Unix(s, 0).In(loc).Format("02 15:04"))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func local(t *testing.T, s string, loc *time.Location) time.Time {
	t.Helper()
	x, err := time.ParseInLocation("2006-01-02T15:04", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return x.UTC()
}

// A slot is open if and only if a visit as long as it may take place then: the
// list agrees with [Group.Open], in weeks in which clocks change too.
func TestOpenSlotsAreOpen(t *testing.T) {
	day := &Day{Start: 60, End: 23 * 60, Breaks: []Break{{12*60 + 20, 13 * 60}, {2*60 + 30, 3 * 60}}}
	timetables := map[string]*Timetable{"always": nil, "some": {time.Saturday: day, time.Sunday: day, time.Monday: {Start: 0, End: 24 * 60}, time.Tuesday: {Start: 0, End: 24 * 60}}}
	for _, name := range []string{"Asia/Seoul", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Asia/Beirut"} {
		loc := zone(t, name)
		for _, around := range []string{"2026-03-29T00:00", "2026-03-08T00:00", "2026-04-05T00:00", "2026-10-04T00:00", "2026-11-01T00:00"} {
			from, to := local(t, around, loc).Add(-49*time.Hour), local(t, around, loc).Add(71*time.Hour)
			for _, minutes := range []int64{5, 30, 45, 240, 1440} {
				for what, tt := range timetables {
					g := Group{IntervalSec: minutes * 60, AnchorSec: GridAnchor(minutes*60, loc), Timetable: tt, StartDate: DateOf(from.In(loc).Add(24 * time.Hour)), ClosedDays: []Date{DateOf(to.In(loc))}}
					var want []int64
					for s := from.Unix(); s < to.Unix(); s += 60 {
						start := time.Unix(s, 0)
						if g.OnGrid(s) && g.Open(start, start.Add(time.Duration(g.IntervalSec)*time.Second), loc) && !DateOf(start.In(loc)).Before(g.StartDate) {
							want = append(want, s)
						}
					}
					if got := g.OpenSlots(from, to, loc); !slices.Equal(got, want) {
						t.Errorf("%s, %s, every %d minutes, %s:\ngot  %d slots %v\nwant %d slots %v", name, around, minutes, what, len(got), got, len(want), want)
					}
				}
			}
		}
	}
}
