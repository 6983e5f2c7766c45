package inventory

import (
	"slices"
	"sort"
	"time"
)

// Grid says where the slots of a group begin. Slots keep their times on the clock all year: a slot that
// the clock skips does not exist that night, and one that the clock shows twice exists twice.
type Grid string

// The grids.
const (
	GridMidnight Grid = "midnight" // counted from midnight
	GridOpening  Grid = "opening"  // counted from the opening time, and anew after each break

	// GridStandard is counted from midnight of standard time, so it moves against the clock when
	// summer time begins and ends. Groups that were imported when there was no other grid have it
	// until they are imported again.
	GridStandard Grid = ""
)

// TimeSlot is [StartSec, EndSec) in Unix seconds.
type TimeSlot struct{ StartSec, EndSec int64 }

// OpenSlots returns the group's slots, in order, that begin in [from, to) and throughout which it is
// open, by the clock in loc. None is before the group's start date, and no two overlap: if the clock
// changes within a slot, the next one may cut it short.
func (g *Group) OpenSlots(from, to time.Time, loc *time.Location) []TimeSlot {
	if !g.StartDate.IsZero() {
		if first := g.StartDate.At(0, loc); from.Before(first) {
			from = first
		}
	}
	first := from.Add(time.Second - 1).Unix() // slots start on full seconds
	var slots []TimeSlot
	for _, s := range g.openBetween(from.In(loc), to.Add(time.Duration(g.IntervalSec)*time.Second).In(loc)) {
		for i, start := range s.starts {
			end := start + g.IntervalSec
			if i+1 < len(s.starts) {
				end = min(end, s.starts[i+1])
			}
			if start >= first && start < to.Unix() && end <= s.end.Unix() {
				slots = append(slots, TimeSlot{start, end})
			}
		}
	}
	return slots
}

// opening is a time during which a group is open, with the starts of its slots.
type opening struct {
	span
	starts []int64
}

// openBetween returns the opening times of the days from first to last, which are in the group's
// location. It joins two without a gap between them, as over midnight.
func (g *Group) openBetween(first, last time.Time) []opening {
	var open []opening
	for d := DateOf(first); !DateOf(last).Before(d); d = d.plus(1) {
		for _, s := range openSpans(g.Timetable, g.ClosedDays, d, first.Location()) {
			starts := g.starts(s, g.origin(d, s), first.Location())
			if n := len(open); n > 0 && open[n-1].end.Equal(s.start) {
				open[n-1].end, open[n-1].starts = s.end, append(open[n-1].starts, starts...)
			} else {
				open = append(open, opening{s, starts})
			}
		}
	}
	return open
}

// starts returns the starts of slots in an opening time of a day. While the clock runs evenly, they are
// an interval apart.
func (g *Group) starts(s span, origin int64, loc *time.Location) []int64 {
	var starts []int64
	for t := s.start; t.Before(s.end); {
		end := even(t, s.end, loc)
		for x := t.Unix() + mod(-g.phase(t, origin, loc), g.IntervalSec); x < end.Unix(); x += g.IntervalSec {
			starts = append(starts, x)
		}
		t = end
	}
	return starts
}

// even returns until when the clock in loc runs evenly from t on, at most until. (Time.ZoneBounds ends
// a leap year a day before its last.)
func even(t, until time.Time, loc *time.Location) time.Time {
	_, offset := t.In(loc).Zone()
	runs := func(seconds int) bool {
		_, later := t.Add(time.Duration(seconds) * time.Second).In(loc).Zone()
		return later == offset
	}
	n := int(until.Sub(t) / time.Second)
	if !runs(n - 1) {
		n = sort.Search(n, func(n int) bool { return !runs(n) })
	}
	return t.Add(time.Duration(n) * time.Second)
}

// phase returns how many seconds after the start of a slot of the grid t is, by the clock in loc. origin
// is the origin of the opening time that contains t.
func (g *Group) phase(t time.Time, origin int64, loc *time.Location) int64 {
	if g.Grid == GridStandard {
		return mod(t.Unix()-g.AnchorSec, g.IntervalSec)
	}
	_, offset := t.In(loc).Zone()
	return mod(t.Unix()+int64(offset)-origin, g.IntervalSec) // the interval divides a day
}

// origin returns the time on the clock, in seconds after midnight, from which slots are counted in an
// opening time of day d. If the opening time continues over midnight, so do its slots; if it never ends,
// its slots are counted from midnight.
func (g *Group) origin(d Date, s span) int64 {
	if g.Grid != GridOpening || g.Timetable == nil {
		return 0
	}
	from := s.from
	for range 7 {
		if from != 0 {
			break
		}
		d = d.plus(-1)
		before := openSpans(g.Timetable, g.ClosedDays, d, time.UTC)
		if n := len(before); n == 0 || before[n-1].to != 24*60 || before[n-1].from == 24*60 {
			break
		}
		from = before[len(before)-1].from
	}
	return int64(from) * 60
}

// Phase returns how many seconds after the start of one of the group's slots startSec is, by the clock in
// loc; 0 is a start. While a group with [GridOpening] is closed it has no slots, and known is false.
func (g *Group) Phase(startSec int64, loc *time.Location) (sec int64, known bool) {
	t := time.Unix(startSec, 0)
	if g.Grid != GridOpening {
		return g.phase(t, 0, loc), true
	}
	d := DateOf(t.In(loc))
	spans := openSpans(g.Timetable, g.ClosedDays, d, loc)
	i := slices.IndexFunc(spans, func(s span) bool { return s.holds(t) })
	if i < 0 {
		return 0, false
	}
	return g.phase(t, g.origin(d, spans[i]), loc), true
}

// OnGrid reports whether one of the group's slots could start at startSec (Unix seconds), by the clock in
// loc. Whether the group is open then is up to [Group.Open].
func (g *Group) OnGrid(startSec int64, loc *time.Location) bool {
	sec, _ := g.Phase(startSec, loc)
	return sec == 0
}

// Align derives the steps in which the group's lanes are counted from its interval, grid and timetable. A
// step never moves against real time, whatever clocks do, so the lanes' slots form an absolute grid, and
// every slot of the group consists of whole steps. If the clock never changes and slots begin at multiples
// of the interval, the step is the interval.
func (g *Group) Align(loc *time.Location) {
	g.AnchorSec = GridAnchor(g.IntervalSec, loc)
	g.StepSec = g.IntervalSec
	for _, shift := range shifts(loc) {
		g.StepSec = gcd(g.StepSec, shift)
	}
	if g.Grid == GridOpening && g.Timetable != nil {
		for _, day := range g.Timetable {
			for _, from := range day.opens() {
				g.StepSec = gcd(g.StepSec, int64(from)*60)
			}
		}
	}
}

// Settle gives a group that was imported when there was only one grid the midnight grid, if that changes
// neither its slots nor how they are counted.
func (g *Group) Settle(loc *time.Location) {
	aligned := *g
	aligned.Grid = GridMidnight
	aligned.Align(loc)
	if g.Grid == GridStandard && g.StepSec == 0 && aligned.StepSec == g.IntervalSec && aligned.AnchorSec == g.AnchorSec {
		*g = aligned
	}
}

// OffGrid returns the times, in minutes after midnight, at which a day opens, in the morning or after a
// break, but no slot starts.
func (g *Group) OffGrid(d *Day) []int {
	if g.Grid == GridOpening {
		return nil
	}
	return slices.DeleteFunc(d.opens(), func(minutes int) bool { return int64(minutes)*60%g.IntervalSec == 0 })
}

// NextSlot returns the first start of a slot at or after a time on the clock, in minutes after midnight, on
// a day without a clock change.
func (g *Group) NextSlot(minutes int) int {
	interval := int(g.IntervalSec / 60)
	return (minutes + interval - 1) / interval * interval
}

// step returns the length of a slot of the group's lanes, in seconds.
func (g *Group) step() int64 {
	if g.StepSec == 0 { // imported before there were steps
		return g.IntervalSec
	}
	return g.StepSec
}

// shifts returns by how many seconds the clock in loc is put forward and back in the twenty years from 2026
// on. Earlier shifts do not matter, and later ones, as far as they are known, repeat these.
func shifts(loc *time.Location) []int64 {
	var all []int64
	const week = 7 * 24 * time.Hour // the clock does not change twice within a week
	_, before := time.Date(2026, time.January, 1, 0, 0, 0, 0, loc).Zone()
	for t := time.Date(2026, time.January, 1, 0, 0, 0, 0, loc); t.Year() < 2046; t = t.Add(week) {
		_, after := t.Zone()
		if after != before {
			all = append(all, int64(after-before))
		}
		before = after
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// GridAnchor returns the offset of a grid of slots of intervalSec that is counted from midnight of standard
// time in loc.
func GridAnchor(intervalSec int64, loc *time.Location) int64 {
	// Standard time is the smaller of the year's two offsets, in both hemispheres.
	_, january := time.Date(2026, time.January, 1, 0, 0, 0, 0, loc).Zone()
	_, july := time.Date(2026, time.July, 1, 0, 0, 0, 0, loc).Zone()
	return mod(-int64(min(january, july)), intervalSec)
}

// mod returns the non-negative remainder of a divided by n.
func mod(a, n int64) int64 { return (a%n + n) % n }

// gcd returns the greatest common divisor, which is not negative.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return max(a, -a)
}
