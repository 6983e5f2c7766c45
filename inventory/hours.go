package inventory

import (
	"fmt"
	"slices"
	"time"
)

// Date is a day of the calendar, in its owner's time zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads "2026-12-25". There is no year 0.
func ParseDate(s string) (Date, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1 {
		return Date{}, fmt.Errorf("%q is not a date like 2026-12-25", s)
	}
	return DateOf(t), nil
}

// DateOf returns the day of t in t's location.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{y, m, d}
}

func (d Date) String() string { return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day) }

func (d Date) plus(days int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+days, 12, 0, 0, 0, time.UTC))
}

// IsZero reports whether d is no day.
func (d Date) IsZero() bool { return d == Date{} }

// Before reports whether d is an earlier day than o.
func (d Date) Before(o Date) bool {
	if d.Year != o.Year {
		return d.Year < o.Year
	}
	if d.Month != o.Month {
		return d.Month < o.Month
	}
	return d.Day < o.Day
}

// At returns the first moment of the day in loc at which the clock on the wall has reached this many
// minutes after midnight. It is right even on days on which the clock changes: a time that the change
// skips is the moment of the change, and a time that comes twice is the first one. 24*60 is the end of the
// day.
func (d Date) At(minutes int, loc *time.Location) time.Time {
	t := time.Date(d.Year, d.Month, d.Day, 0, minutes, 0, 0, loc)
	asked := time.Date(d.Year, d.Month, d.Day, 0, minutes, 0, 0, time.UTC)
	start, end := t.ZoneBounds()
	switch shown := wall(t); {
	case shown.After(asked): // skipped, and t lies after the change
		return start
	case shown.Before(asked): // skipped, and t lies before the change
		return end
	}
	if !start.IsZero() {
		_, offset := t.Zone()
		_, before := start.Add(-time.Second).Zone()
		if first := t.Add(-time.Duration(before-offset) * time.Second); first.Before(start) && wall(first).Equal(asked) {
			return first
		}
	}
	return t
}

// Ambiguous reports whether the clock on the wall, in t's location, shows the time of t at another moment,
// too, because it is put back in between.
func Ambiguous(t time.Time) bool {
	start, end := t.ZoneBounds()
	_, offset := t.Zone()
	twice := func(at time.Time) bool { // with the offset at another time
		_, other := at.Zone()
		again := t.Add(time.Duration(offset-other) * time.Second)
		return !again.Equal(t) && wall(again).Equal(wall(t))
	}
	return !start.IsZero() && twice(start.Add(-time.Second)) || !end.IsZero() && twice(end)
}

// wall returns what the clock on the wall shows at t, as if it were UTC.
func wall(t time.Time) time.Time {
	y, m, d := t.Date()
	return time.Date(y, m, d, t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

// Timetable is a week's opening times; nil is a closed day.
type Timetable [7]*Day // by time.Weekday

// Day is a day's opening time in minutes after midnight, with its breaks.
type Day struct {
	Start, End int
	Breaks     []Break
}

// Break is a pause in minutes after midnight.
type Break struct {
	Start, End int
}

// opens returns the times, in minutes after midnight, at which the day opens: in the morning, and after each
// break. A nil day never opens.
func (d *Day) opens() []int {
	if d == nil {
		return nil
	}
	var all []int
	for _, o := range d.openings() {
		if o.Start < o.End {
			all = append(all, o.Start)
		}
	}
	return all
}

// openings returns what the breaks leave of the day's opening time, in order.
func (d *Day) openings() []Break {
	var open []Break
	from := d.Start
	breaks := slices.Clone(d.Breaks)
	slices.SortFunc(breaks, func(a, b Break) int { return a.Start - b.Start })
	for _, b := range breaks {
		open = append(open, Break{from, b.Start})
		from = max(from, b.End)
	}
	return append(open, Break{from, d.End})
}

// span is [start, end) in real time; from and to are the timetable's times for it, in minutes after
// midnight.
type span struct {
	start, end time.Time
	from, to   int
}

func (s span) holds(t time.Time) bool { return !t.Before(s.start) && t.Before(s.end) }

// openSpans returns the times on day d that a timetable (nil: always open) and closed days leave for
// visits.
func openSpans(week *Timetable, closed []Date, d Date, loc *time.Location) []span {
	if slices.Contains(closed, d) {
		return nil
	}
	day := &Day{End: 24 * 60}
	if week != nil {
		day = week[time.Date(d.Year, d.Month, d.Day, 12, 0, 0, 0, time.UTC).Weekday()]
	}
	if day == nil {
		return nil
	}
	var open []span
	for _, o := range day.openings() {
		open = append(open, span{d.At(o.Start, loc), d.At(o.End, loc), o.Start, o.End})
	}
	return open
}

// Open reports whether the group's timetable allows a visit in [start, end): all of it within opening times,
// none of it in a break or on a closed day, by the clock in loc. It binds guests and the desk alike.
func (g *Group) Open(start, end time.Time, loc *time.Location) bool {
	return open(g.Timetable, g.ClosedDays, start, end, loc)
}

// Open reports whether the doctor works throughout [start, end), by the clock in
// loc. It binds guests and the desk alike.
func (s *Staff) Open(start, end time.Time, loc *time.Location) bool {
	return open(s.Timetable, s.ClosedDays, start, end, loc)
}

func open(week *Timetable, closed []Date, start, end time.Time, loc *time.Location) bool {
	for t := start.In(loc); t.Before(end); {
		spans := openSpans(week, closed, DateOf(t), loc)
		i := slices.IndexFunc(spans, func(s span) bool { return s.holds(t) })
		if i < 0 {
			return false
		}
		t = spans[i].end
	}
	return true
}

// OpenToGuests reports whether a guest may book a visit that starts at start: not before the group's start
// date, and not once the same-day buffer has closed today's slot. Neither binds the desk.
func (g *Group) OpenToGuests(start, now time.Time, loc *time.Location) bool {
	start, now = start.In(loc), now.In(loc)
	if DateOf(start).Before(g.StartDate) {
		return false
	}
	buffer := time.Duration(g.SameDayCloseBufferSec) * time.Second
	return DateOf(start) != DateOf(now) || !start.Before(now.Add(buffer))
}
