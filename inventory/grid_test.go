package inventory

import (
	"fmt"
	"slices"
	"strings"
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
		{"slots of two hours keep to standard time, as long as no other grid has been imported", "America/New_York", 120, Group{Timetable: week(8*60, 13*60)}, "2026-03-07T00:00", "2026-03-09T00:00",
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
				got = append(got, time.Unix(s.StartSec, 0).In(loc).Format("02 15:04"))
				if s.EndSec != s.StartSec+c.g.IntervalSec {
					t.Errorf("%v is not %d minutes long", s, c.minutes)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func starts(slots []TimeSlot) []int64 {
	var starts []int64
	for _, s := range slots {
		starts = append(starts, s.StartSec)
	}
	return starts
}

func local(t *testing.T, s string, loc *time.Location) time.Time {
	t.Helper()
	x, err := time.ParseInLocation("2006-01-02T15:04", s, loc)
	if err != nil {
		t.Fatal(err)
	}
	return x.UTC()
}

// A slot is open if and only if a visit of its length may take place then: the list agrees with [Group.Open], even in weeks with a clock change.
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
						if g.OnGrid(s, loc) && g.Open(start, start.Add(time.Duration(g.IntervalSec)*time.Second), loc) && !DateOf(start.In(loc)).Before(g.StartDate) {
							want = append(want, s)
						}
					}
					if got := starts(g.OpenSlots(from, to, loc)); !slices.Equal(got, want) {
						t.Errorf("%s, %s, every %d minutes, %s:\ngot  %d slots %v\nwant %d slots %v", name, around, minutes, what, len(got), got, len(want), want)
					}
				}
			}
		}
	}
}

// Slots by the clock on the wall, even on nights on which it changes, each with its end.
func TestSlotsByTheClock(t *testing.T) {
	day := func(start, end int, breaks ...Break) *Timetable {
		d := &Day{Start: start, End: end, Breaks: breaks}
		return &Timetable{d, d, d, d, d, d, d}
	}
	nights := &Timetable{time.Saturday: {Start: 22 * 60, End: 24 * 60}, time.Sunday: {Start: 0, End: 4 * 60}}
	for _, c := range []struct {
		name, zone string
		minutes    int64
		grid       Grid
		week       *Timetable
		from, to   string // local
		want       string
	}{
		{"90 minutes in winter", "America/New_York", 90, GridMidnight, day(540, 840), "2026-01-15T00:00", "2026-01-16T00:00", "09:00–10:30 10:30–12:00 12:00–13:30"},
		{"and in summer", "America/New_York", 90, GridMidnight, day(540, 840), "2026-07-15T00:00", "2026-07-16T00:00", "09:00–10:30 10:30–12:00 12:00–13:30"},
		{"opening off the grid", "Asia/Seoul", 60, GridMidnight, day(570, 750), "2026-03-02T00:00", "2026-03-03T00:00", "10:00–11:00 11:00–12:00"},
		{"from the opening time", "Asia/Seoul", 60, GridOpening, day(570, 750), "2026-03-02T00:00", "2026-03-03T00:00", "09:30–10:30 10:30–11:30 11:30–12:30"},
		{"and anew after each break", "Asia/Seoul", 60, GridOpening, day(570, 1020, Break{750, 825}, Break{960, 965}), "2026-03-02T00:00", "2026-03-03T00:00",
			"09:30–10:30 10:30–11:30 11:30–12:30 13:45–14:45 14:45–15:45"},
		{"a break that begins with the day", "Asia/Seoul", 60, GridOpening, day(540, 720, Break{540, 585}), "2026-03-02T00:00", "2026-03-03T00:00", "09:45–10:45 10:45–11:45"},
		{"on over midnight", "Asia/Seoul", 90, GridOpening, nights, "2026-03-07T00:00", "2026-03-09T00:00", "22:00–23:30 23:30–01:00 01:00–02:30 02:30–04:00"},
		{"the second day alone", "Asia/Seoul", 90, GridOpening, nights, "2026-03-08T00:00", "2026-03-09T00:00", "01:00–02:30 02:30–04:00"},
		{"always open is from midnight", "Asia/Seoul", 480, GridOpening, nil, "2026-03-07T00:00", "2026-03-08T00:00", "00:00–08:00 08:00–16:00 16:00–00:00"},
		{"every day around the clock too", "Asia/Seoul", 480, GridOpening, day(0, 1440), "2026-03-07T00:00", "2026-03-08T00:00", "00:00–08:00 08:00–16:00 16:00–00:00"},
		{"40 minutes, the night clocks go forward", "America/New_York", 40, GridMidnight, nil, "2026-03-08T00:00", "2026-03-08T04:10", "00:00–00:40 00:40–01:20 01:20–03:00 03:20–04:00 04:00–04:40"},
		{"40 minutes, the night clocks go back", "America/New_York", 40, GridMidnight, nil, "2026-11-01T00:00", "2026-11-01T03:00", "00:00–00:40 00:40–01:20 01:20–01:00 01:20–02:00 02:00–02:40 02:40–03:20"},
		{"45 minutes, cut short by the next", "America/New_York", 45, GridMidnight, nil, "2026-03-08T00:00", "2026-03-08T04:00", "00:00–00:45 00:45–01:30 01:30–03:00 03:00–03:45 03:45–04:30"},
		{"90 minutes, cut short by the next", "America/New_York", 90, GridMidnight, nil, "2026-11-01T00:00", "2026-11-01T04:00", "00:00–01:30 01:30–01:30 01:30–03:00 03:00–04:30"},
		{"two hours, one of them skipped", "America/New_York", 120, GridMidnight, nil, "2026-03-08T00:00", "2026-03-08T06:00", "00:00–03:00 04:00–06:00"},
		{"a day of 23 hours and one of 25", "America/New_York", 1440, GridMidnight, nil, "2026-03-07T00:00", "2026-03-10T00:00", "00:00–00:00 00:00–00:00 00:00–00:00"},
		{"slots of a half-hour change", "Australia/Lord_Howe", 60, GridMidnight, day(0, 240), "2026-10-04T00:00", "2026-10-05T00:00", "00:00–01:00 01:00–02:30 03:00–04:00"},
		{"back by half an hour", "Australia/Lord_Howe", 60, GridMidnight, day(0, 240), "2026-04-05T00:00", "2026-04-06T00:00", "00:00–01:00 01:00–01:30 02:00–03:00 03:00–04:00"},
		{"a midnight that is skipped", "America/Santiago", 90, GridMidnight, day(0, 240), "2026-09-06T00:00", "2026-09-07T00:00", "01:30–03:00"},
		{"an opening time that is skipped", "America/Santiago", 60, GridOpening, day(30, 240), "2026-09-06T00:00", "2026-09-07T00:00", "01:30–02:30 02:30–03:30"},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc := zone(t, c.zone)
			g := Group{IntervalSec: c.minutes * 60, Grid: c.grid, Timetable: c.week}
			var got []string
			for _, s := range g.OpenSlots(local(t, c.from, loc), local(t, c.to, loc), loc) {
				got = append(got, time.Unix(s.StartSec, 0).In(loc).Format("15:04")+"–"+time.Unix(s.EndSec, 0).In(loc).Format("15:04"))
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got  %s\nwant %s", strings.Join(got, " "), c.want)
			}
		})
	}
}

var clocks = []string{
	"America/New_York", "Europe/Dublin", "Africa/Casablanca", "Australia/Lord_Howe", "Asia/Kathmandu", "Asia/Seoul", "America/Santiago", "Antarctica/Troll",
}

// Over twenty years, in zones with every kind of clock change: a group that is always open has the same slots every day, except at times that the
// clock skips or shows twice; no two slots overlap; and each consists of whole steps of the lane, which never move against real time.
func TestSlotsOfManyYears(t *testing.T) {
	for _, name := range clocks {
		loc := zone(t, name)
		for d := (Date{2026, 1, 1}); d.Year < 2046; d = d.plus(1) {
			from, to := d.At(0, loc), d.At(24*60, loc)
			if changes := d.plus(2).At(0, loc).Sub(d.plus(-1).At(0, loc)) != 72*time.Hour; !changes && (d.Day != 15 || d.Month%4 != 0) {
				continue
			}
			for _, minutes := range []int64{30, 40, 45, 90, 480, 1440} {
				g := Group{IntervalSec: minutes * 60, Grid: GridMidnight}
				g.Align(loc)
				lane := LaneResource("m", &g, GroupZone{ZoneID: "z"})
				slots := g.OpenSlots(from, to, loc)
				if got, want := starts(slots), wallStarts(d, minutes, loc); !slices.Equal(got, want) {
					t.Fatalf("%s, %d minutes, %s:\ngot  %v\nwant %v", name, minutes, d, got, want)
				}
				for i, s := range slots {
					if s.EndSec <= s.StartSec || s.EndSec > s.StartSec+g.IntervalSec || i+1 < len(slots) && s.EndSec > slots[i+1].StartSec {
						t.Fatalf("%s, %d minutes: %v is too long or overlaps the next", name, minutes, s)
					}
					if h := lane.Hold(s.StartSec, s.EndSec, 1, 0); h.StartSec != s.StartSec || h.EndSec != s.EndSec {
						t.Fatalf("%s, %d minutes: %v is not made of steps of %d s", name, minutes, s, lane.SlotSeconds)
					}
				}
			}
		}
	}
}

// wallStarts are the moments of a day at which the clock shows a multiple of so
// many minutes, found the slow way.
func wallStarts(d Date, minutes int64, loc *time.Location) []int64 {
	var starts []int64
	start, end := d.At(0, loc).Unix(), d.plus(1).At(0, loc).Unix()
	step := int64(60)
	if end-start == 24*60*60 {
		step = minutes * 60 // such a day begins at 00:00 and runs evenly
	}
	for s := start; s < end; s += step {
		if w := time.Unix(s, 0).In(loc); int64(w.Hour()*60+w.Minute())%minutes == 0 {
			starts = append(starts, s)
		}
	}
	return starts
}

// A group that opens at nine has a slot at nine all year, and one at the end of each break. OnGrid agrees with the list of slots, minute by minute.
func TestOpeningTimesAllYear(t *testing.T) {
	day := &Day{Start: 9*60 + 10, End: 18 * 60, Breaks: []Break{{13 * 60, 14*60 + 5}}}
	short := &Day{Start: 0, End: 3 * 60, Breaks: []Break{{95, 100}}}
	for _, name := range clocks {
		loc := zone(t, name)
		for _, grid := range []Grid{GridMidnight, GridOpening} {
			for _, minutes := range []int64{40, 90} {
				g := Group{IntervalSec: minutes * 60, Grid: grid, Timetable: &Timetable{short, day, day, day, day, day, day}}
				g.Align(loc)
				lane := LaneResource("m", &g, GroupZone{ZoneID: "z"})
				byWeekday := map[time.Weekday]string{}
				for d := (Date{2026, 1, 1}); d.Year < 2027; d = d.plus(1) {
					from, to := d.At(0, loc), d.At(24*60, loc)
					slots := g.OpenSlots(from, to, loc)
					var text strings.Builder
					for _, s := range slots {
						fmt.Fprint(&text, time.Unix(s.StartSec, 0).In(loc).Format("15:04 "))
						if h := lane.Hold(s.StartSec, s.EndSec, 1, 0); h.StartSec != s.StartSec || h.EndSec != s.EndSec {
							t.Fatalf("%s, %d minutes: %v is not made of steps of %d s", name, minutes, s, lane.SlotSeconds)
						}
					}
					weekday := from.Add(12 * time.Hour).In(loc).Weekday()
					usual, seen := byWeekday[weekday]
					switch {
					case !seen:
						byWeekday[weekday] = text.String()
					case usual != text.String() && to.Sub(from) == 24*time.Hour:
						t.Fatalf("%s, %s, %d minutes, %s: slots at %s, another time %s", name, grid, minutes, d, text.String(), usual)
					}
					if grid == GridOpening && weekday != time.Sunday && (!strings.HasPrefix(text.String(), "09:10 ") || !strings.Contains(text.String(), " 14:05 ")) {
						t.Fatalf("%s, %d minutes, %s: slots at %s", name, minutes, d, text.String())
					}
					if to.Sub(from) == 24*time.Hour && d.Day != 1 {
						continue
					}
					for s := from.Unix(); s < to.Unix(); s += 60 {
						told := slices.ContainsFunc(slots, func(x TimeSlot) bool { return x.StartSec == s })
						open := g.Open(time.Unix(s, 0), time.Unix(s+g.IntervalSec, 0), loc)
						if on := g.OnGrid(s, loc); told && !on || on && open && !told {
							t.Fatalf("%s, %s, %d minutes: at %s told is %v, on the grid %v, open %v", name, grid, minutes, time.Unix(s, 0).In(loc), told, on, open)
						}
					}
				}
			}
		}
	}
}

// Lanes are counted in whole slots wherever possible, so that lanes of clinics without clock changes stay the same lanes.
func TestAlign(t *testing.T) {
	opens := func(starts ...int) *Timetable {
		var week Timetable
		for i, s := range starts {
			week[i] = &Day{Start: s, End: 1440, Breaks: []Break{{s, s + 60}}}
		}
		return &week
	}
	for _, c := range []struct {
		zone      string
		minutes   int64
		grid      Grid
		week      *Timetable
		wantSteps int64 // minutes
	}{
		{"Asia/Seoul", 90, GridMidnight, nil, 90},
		{"Asia/Seoul", 90, GridMidnight, opens(575), 90},
		{"Asia/Kathmandu", 120, GridMidnight, nil, 120},
		{"America/New_York", 30, GridMidnight, nil, 30},
		{"America/New_York", 60, GridMidnight, nil, 60},
		{"America/New_York", 90, GridMidnight, nil, 30},
		{"America/New_York", 40, GridMidnight, nil, 20},
		{"Europe/Dublin", 45, GridMidnight, nil, 15},
		{"Africa/Casablanca", 120, GridMidnight, nil, 60},
		{"Australia/Lord_Howe", 60, GridMidnight, nil, 30},
		{"Asia/Seoul", 60, GridOpening, opens(540, 600), 60},
		{"Asia/Seoul", 60, GridOpening, opens(540, 570), 30},
		{"Asia/Seoul", 60, GridOpening, opens(545), 5},
		{"America/New_York", 120, GridOpening, opens(480), 60},
	} {
		loc := zone(t, c.zone)
		g := Group{ID: "g", IntervalSec: c.minutes * 60, Grid: c.grid, Timetable: c.week}
		g.Align(loc)
		if g.StepSec != c.wantSteps*60 {
			t.Errorf("%s, %d minutes, %s: steps of %d s, want %d minutes", c.zone, c.minutes, c.grid, g.StepSec, c.wantSteps)
		}
		before := Group{ID: "g", IntervalSec: g.IntervalSec, AnchorSec: GridAnchor(g.IntervalSec, loc)}
		now, was := LaneResource("m", &g, GroupZone{ZoneID: "z"}), LaneResource("m", &before, GroupZone{ZoneID: "z"})
		if same := c.wantSteps == c.minutes; same != (now == was) {
			t.Errorf("%s, %d minutes, %s: the lane is the one of before: %v", c.zone, c.minutes, c.grid, !same)
		}
	}
}

func TestOffGrid(t *testing.T) {
	d := &Day{Start: 9*60 + 30, End: 18 * 60, Breaks: []Break{{15 * 60, 15*60 + 10}, {12 * 60, 13 * 60}, {17 * 60, 18 * 60}}}
	g := Group{IntervalSec: 3600, Grid: GridMidnight}
	if got := g.OffGrid(d); !slices.Equal(got, []int{570, 910}) {
		t.Errorf("got %v", got)
	}
	if got := g.NextSlot(570); got != 600 {
		t.Errorf("then the first slot is at %d", got)
	}
	g.Grid = GridOpening
	if got := g.OffGrid(d); len(got) > 0 {
		t.Errorf("from the opening time: %v", got)
	}
	if got := g.OffGrid(nil); got != nil {
		t.Errorf("of a closed day: %v", got)
	}
}
