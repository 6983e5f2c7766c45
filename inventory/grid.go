package inventory

import "time"

// OpenSlots are the starts (Unix seconds), in order, of those of the group's
// slots that begin in [from, to) and during which it is open all the time, by
// the clock in loc. None is before the group's start date.
func (g *Group) OpenSlots(from, to time.Time, loc *time.Location) []int64 {
	if !g.StartDate.IsZero() {
		if first := g.StartDate.At(0, loc); from.Before(first) {
			from = first
		}
	}
	interval := time.Duration(g.IntervalSec) * time.Second
	var starts []int64
	for _, s := range g.openBetween(from.In(loc), to.Add(interval).In(loc)) {
		first := s.start
		if first.Before(from) {
			first = from
		}
		for t := g.ceil(first); t < to.Unix() && t+g.IntervalSec <= s.end.Unix(); t += g.IntervalSec {
			starts = append(starts, t)
		}
	}
	return starts
}

// openBetween are the opening times of the days from first to last, which are in
// the group's location. Two that follow one another without a gap, as over
// midnight, are one.
func (g *Group) openBetween(first, last time.Time) []span {
	var open []span
	for d := DateOf(first); !DateOf(last).Before(d); d = d.next() {
		for _, s := range openSpans(g.Timetable, g.ClosedDays, d, first.Location()) {
			if n := len(open); n > 0 && open[n-1].end.Equal(s.start) {
				open[n-1].end = s.end
			} else {
				open = append(open, s)
			}
		}
	}
	return open
}

func (d Date) next() Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+1, 12, 0, 0, 0, time.UTC))
}

// ceil is the first start of a slot that is not before t, in Unix seconds.
func (g *Group) ceil(t time.Time) int64 {
	sec := t.Add(time.Second - 1).Unix()
	off := (sec - g.AnchorSec) % g.IntervalSec
	if off < 0 {
		off += g.IntervalSec
	}
	if off == 0 {
		return sec
	}
	return sec + g.IntervalSec - off
}
