package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Rows B11 and O6 use the clinic's current time zone: an import that corrects it counts at once, even in a
// server that has read the old one.
func TestDayAfterTheTimeZoneChanged(t *testing.T) {
	each(t, func(w *world) {
		b := w.parked(1)
		// 08:30 and 10:00 in Seoul are one day there, and two in UTC.
		command := moveJSON(b.ScheduleID, b.Resources[0].GroupID, b.Resources[0].ZoneID, at(8+15*24, 30))
		second := moveJSON(b.ScheduleID, b.Resources[0].GroupID, b.Resources[0].ZoneID, at(10+15*24, 0))
		item := func(s string) string { return s[strings.Index(s, "[")+1 : strings.LastIndex(s, "]")] }
		command = strings.Replace(command, item(command), item(command)+","+item(second), 1)

		setZone := func(name string) {
			m, err := w.db.Merchant(t.Context(), clinic1)
			w.must(err)
			changed := *m
			changed.TimeZone = name
			changed.Location, err = time.LoadLocation(name)
			w.must(err)
			w.must(w.db.PutClinic(t.Context(), changed, at(0, 0)))
		}
		answers := func(body string) {
			w.t.Helper()
			if a, err := w.move(command); err != nil || a.body != body {
				w.t.Errorf("got %s, %v, want %s", a.body, err, body)
			}
		}
		const otherDay = `{"status":400,"message":"InvalidCommandException","className":"InvalidCommandException","errorProperties":[{"key":"occupiedResources[1].startDateTimeUtc","reason":"NotAvailable"}]}`
		answers(movedBody)
		setZone("UTC")
		// The running server may accept once by the old zone; after any operation it knows the new one.
		w.parked(2)
		answers(otherDay)
		block := fmt.Sprintf(`{"reservationGroupId":%q,"zoneId":%q,"startDateTimeUtc":"2026-03-01T23:30:00Z","endDateTimeUtc":"2026-03-02T01:00:00Z"}`, always, attic)
		blocked := func(want int) {
			w.t.Helper()
			if a, err := w.send("POST", "/schedule/open/v1/commands/create-occupied-time", block, "Authorization", clinic1); err != nil || a.status != want {
				w.t.Errorf("block: got %d %s, %v, want %d", a.status, a.body, err, want)
			}
		}
		blocked(400)
		setZone("Asia/Seoul")
		blocked(200)
		answers(movedBody)
	})
}
