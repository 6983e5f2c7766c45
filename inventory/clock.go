package inventory

import "time"

// OnClock returns a moment as the clock on the wall shows it, with the offset if it shows that twice.
func OnClock(t time.Time, layout string) string {
	if Ambiguous(t) {
		layout += " -07:00"
	}
	return t.Format(layout)
}

// Period returns [startSec, endSec) by the clock in loc, with the end's day if it differs. Midnight is
// the end of a day.
func Period(startSec, endSec int64, loc *time.Location) string {
	start, end := time.Unix(startSec, 0).In(loc), time.Unix(endSec, 0).In(loc)
	layout := "2006-01-02 15:04"
	if last := end.Add(-time.Second); DateOf(start) == DateOf(last) {
		layout = "15:04"
	}
	return OnClock(start, "2006-01-02 15:04") + "–" + OnClock(end, layout)
}
