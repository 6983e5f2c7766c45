package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/storage/storagetest"
)

// A visit over midnight is on both days, and if the clock shows a time twice the tables say which one it is.
func TestBookingsByTheClock(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		db := p.open(t)
		book(t, db, guest("Ann", at(23, 30)))
		book(t, db, guest("Jane", at(24+23, 0))) // until midnight
		times := func(args ...string) []string {
			t.Helper()
			return regexp.MustCompile(`(?m)^20.*?  `).FindAllString(p.ok(t, append([]string{"bookings"}, args...)...), -1)
		}
		for day, want := range map[string]string{
			"2026-03-01": "",
			"2026-03-02": "2026-03-02 23:30–2026-03-03 00:30",
			"2026-03-03": "2026-03-02 23:30–2026-03-03 00:30 2026-03-03 23:00–00:00",
			"2026-03-04": "",
		} {
			if got := strings.Join(strings.Fields(strings.Join(times("--merchant", "seoul", "--day", day), " ")), " "); got != want {
				t.Errorf("%s: got %q, want %q", day, got, want)
			}
		}

		var first string
		for n, s := range []string{"2026-11-01T01:00:00-04:00", "2026-11-01T01:00:00-05:00"} {
			start, err := time.Parse(time.RFC3339, s)
			must(t, err)
			c := guest([]string{"John", "Eve"}[n], start.Unix())
			c.MerchantID, c.ServiceID = "new-york", "visit"
			if b := book(t, db, c); n == 0 {
				first = b.ScheduleID
			}
		}
		got := strings.Join(times("--merchant", "new-york", "--day", "2026-11-01"), "\n")
		if !strings.HasPrefix(got, "2026-11-01 01:00 -04:00–01:00 -05:00 ") || !strings.Contains(got, "\n2026-11-01 01:00 -05:00–02:00 ") {
			t.Errorf("got\n%s", got)
		}
		if history := p.ok(t, "booking", "history", first); !strings.Contains(history, "2026-11-01 01:00 -04:00–01:00 -05:00") || !strings.Contains(history, "2026-11-01 01:00 -05:00\n") {
			t.Errorf("got\n%s", history)
		}
	})
}

// An opening time at which no slot starts loses bookings unnoticed: the import warns, and accepts the catalogue.
func TestImportWarnsOfTimesOffTheGrid(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		const hours = `interval_minutes: 60
        timetable:
          monday: &day {start: "09:30", end: "18:00", breaks: [{start: "12:30", end: "13:45"}, {start: "15:00", end: "16:00"}]}
          friday: *day
          sunday: {start: "10:00", end: "18:00", breaks: [{start: "12:30", end: "13:45"}]}`
		seoul := strings.Replace(catalogue2, "interval_minutes: 30", hours, 1)
		for _, args := range [][]string{{"--dry-run"}, nil} {
			path := file(t, "c.yaml", seoul)
			r := p.run(t, append([]string{"import", path}, args...)...)
			where := path + ": clinic seoul: group 65b000000000000000000001: warning: it opens at "
			want := where + "09:30 (Monday, Friday), but no slot starts before 10:00; with \"grid: opening\" one does\n" +
				where + "13:45 (Monday, Friday, Sunday), but no slot starts before 14:00; with \"grid: opening\" one does\n"
			if r.status != 0 || r.err != want {
				t.Errorf("exit status %d, printed\n%swant\n%s", r.status, r.err, want)
			}
		}
		opening := strings.Replace(seoul, "interval_minutes: 60", "interval_minutes: 60\n        grid: opening", 1)
		if r := p.run(t, "import", file(t, "c.yaml", opening)); r.status != 0 || r.err != "" {
			t.Errorf("exit status %d, printed\n%s", r.status, r.err)
		}
		wrong := strings.Replace(seoul, "interval_minutes: 60", "interval_minutes: 60\n        grid: noon", 1)
		if r := p.run(t, "import", file(t, "c.yaml", wrong)); r.status != 1 || !strings.Contains(r.err, `merchants[0].groups[0].grid: must be "midnight" or "opening"`) {
			t.Errorf("exit status %d, printed\n%s", r.status, r.err)
		}
	})
}

// A clinic of an older release keeps its slots until its catalogue is imported
// again, and then its visits are counted in the new ones.
func TestImportOfAnotherGrid(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		long := strings.Replace(strings.Replace(catalogue2, "interval_minutes: 60", "interval_minutes: 90", 1), "65b300000000000000000001, duration_sec: 3600", "65b300000000000000000001, duration_sec: 5400", 1)
		p.ok(t, "import", file(t, "c.yaml", long))
		db := p.open(t)
		m, err := db.Merchant(t.Context(), "new-york")
		must(t, err)
		before := *m
		before.Groups[0].Grid, before.Groups[0].StepSec = "", 0 // as that release wrote it
		must(t, storagetest.PutClinic(t.Context(), db, before, eight.Unix()))
		c := guest("John", time.Date(2050, 7, 15, 10, 0, 0, 0, m.Location).Unix()) // 9:00 of standard time
		c.MerchantID, c.ServiceID, c.DurationSec = "new-york", "visit", 5400
		book(t, db, c)
		p.ok(t, "verify")
		out := p.ok(t, "import", "--dry-run", file(t, "c.yaml", long))
		for _, want := range []string{"grid: standard time → midnight\n", "counted in steps of: 5400 s → 1800 s\n", "clinic seoul: differences 0,"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is missing in\n%s", want, out)
			}
		}
		p.ok(t, "import", file(t, "c.yaml", long))
		p.ok(t, "verify")
		c = guest("Jane", time.Date(2050, 7, 15, 10, 30, 0, 0, m.Location).Unix())
		c.MerchantID, c.ServiceID, c.DurationSec = "new-york", "visit", 5400
		if _, err := service(db).Create(t.Context(), c); !full(err) {
			t.Errorf("over John's visit: %v", err)
		}
	})
}
