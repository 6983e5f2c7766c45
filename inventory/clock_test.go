package inventory_test

import (
	"testing"
	"time"

	"holdfast/inventory"
)

func TestPeriod(t *testing.T) {
	for _, c := range []struct{ zone, start, end, want string }{
		{"Asia/Seoul", "2026-03-02T09:00:00+09:00", "2026-03-02T10:00:00+09:00", "2026-03-02 09:00–10:00"},
		{"Asia/Seoul", "2026-03-02T23:30:00+09:00", "2026-03-03T00:00:00+09:00", "2026-03-02 23:30–00:00"},
		{"Asia/Seoul", "2026-03-02T23:30:00+09:00", "2026-03-03T00:30:00+09:00", "2026-03-02 23:30–2026-03-03 00:30"},
		{"Asia/Seoul", "2026-03-02T00:00:00+09:00", "2026-03-04T00:00:00+09:00", "2026-03-02 00:00–2026-03-04 00:00"},
		{"America/New_York", "2026-11-01T00:30:00-04:00", "2026-11-01T01:30:00-04:00", "2026-11-01 00:30–01:30 -04:00"},
		{"America/New_York", "2026-11-01T01:30:00-04:00", "2026-11-01T01:30:00-05:00", "2026-11-01 01:30 -04:00–01:30 -05:00"},
		{"America/New_York", "2026-11-01T01:30:00-05:00", "2026-11-01T02:30:00-05:00", "2026-11-01 01:30 -05:00–02:30"},
		{"Europe/Dublin", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z", "2026-10-25 01:30 +00:00–02:30"},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at := func(s string) int64 {
			x, err := time.Parse(time.RFC3339, s)
			if err != nil {
				t.Fatal(err)
			}
			return x.Unix()
		}
		if got := inventory.Period(at(c.start), at(c.end), loc); got != c.want {
			t.Errorf("%s to %s: got %q, want %q", c.start, c.end, got, c.want)
		}
	}
}
