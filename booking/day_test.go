package booking

import (
	"testing"
	"time"
)

// Days go by the clinic's clock, even when it is put forward or back.
func TestOtherDay(t *testing.T) {
	for _, c := range []struct {
		name, zone string
		times      []string
		want       int
	}{
		{"one time", "Asia/Seoul", []string{"2026-03-02T00:00:00Z"}, -1},
		{"none", "Asia/Seoul", nil, -1},
		{"one day in Seoul and two in UTC", "Asia/Seoul", []string{"2026-03-01T23:30:00Z", "2026-03-02T01:00:00Z"}, -1},
		{"the same in UTC", "UTC", []string{"2026-03-01T23:30:00Z", "2026-03-02T01:00:00Z"}, 1},
		{"the first that is not, and not the last", "Asia/Seoul", []string{"2026-03-02T00:00:00Z", "2026-03-02T01:00:00Z", "2026-03-02T15:00:00Z", "2026-03-03T15:00:00Z"}, 2},
		{"the day before", "Asia/Seoul", []string{"2026-03-02T00:00:00Z", "2026-03-01T14:59:59Z"}, 1},
		{"a day of 25 hours", "America/New_York", []string{"2026-11-01T04:00:00Z", "2026-11-02T04:59:59Z"}, -1},
		{"a day of 23 hours", "America/New_York", []string{"2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			loc, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			var times []time.Time
			for _, s := range c.times {
				at, err := time.Parse(time.RFC3339, s)
				if err != nil {
					t.Fatal(err)
				}
				times = append(times, at)
			}
			if got := otherDay(loc, times); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}
