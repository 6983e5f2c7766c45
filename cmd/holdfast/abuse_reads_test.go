//go:build abuse && linux

package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// One clinic reads without end and without measure, while guests book and Google looks for room at another: 100 clients search
// 50,000 charts, 100 sockets ask for 17,856 slots and do not fetch them, 20 clients read a visit whose changes are half a megabyte
// each. On both databases, with HTTP and with HTTPS and HTTP/2.
func TestAbuseReads(t *testing.T) {
	everywhere(t, func(t *testing.T, p program, serve func(...string) *target) {
		const group, zone = "65b000000000000000000001", "65a000000000000000000001"
		zones, lanes := "", "zones: ["
		for i := range 6 {
			zones += fmt.Sprintf("\n      - {id: 65a00000000000000000000%d, name: 베드}", i+1)
			lanes += fmt.Sprintf("{zone_id: 65a00000000000000000000%d, capacity: 10000}, ", i+1)
		}
		p.ok(t, "import", file(t, "c", strings.NewReplacer(
			"\n      - {id: "+zone+", name: 베드}", zones, "zones: [{zone_id: "+zone+", capacity: 2}]", strings.TrimSuffix(lanes, ", ")+"]",
			"capacity: 1}", "capacity: 10000}").Replace(catalogue2)))
		key := strings.TrimSpace(p.ok(t, "key", "create", "--merchant", seoul.id))
		p.charts(t, 50_000)
		for n := 1; p.binary == "" && n > 0; { // what the server would do in its first minute
			var err error
			n, err = p.open(t).IndexGuests(t.Context(), 2000)
			must(t, err)
		}
		s := serve("--trusted-proxies", "127.0.0.1")

		client := s.client(false)
		ask := func(path, body, auth string) (int, string) {
			t.Helper()
			status, answer, err := post(client, s.url()+path, body, auth, "")
			must(t, err)
			return status, answer
		}
		_, answer := ask(tokensPath, `{"key":"`+key+`"}`, "")
		auth := "Bearer " + regexp.MustCompile(`"token":"([^"]+)"`).FindStringSubmatch(answer)[1]
		start := time.Unix(ahead(9), 0).UTC().Format(time.RFC3339)
		_, answer = ask("/schedule/open/v2/commands/reserve", fmt.Sprintf(`{"visitorName":"김환자","visitorPhone":"010","zoneId":%q,"occupiedResources":[{"startDateTimeUtc":%q,"endDateTimeUtc":%q,"reservationGroup":{"reservationGroupId":%q,"zoneId":%q}}]}`,
			zone, start, time.Unix(ahead(9)+1800, 0).UTC().Format(time.RFC3339), group, zone), auth)
		schedule := regexp.MustCompile(`"scheduleId":"([^"]+)"`).FindStringSubmatch(answer)[1]
		p.poison(t, schedule, 150)
		s.memory(t)

		inSeoul, inNewYork := s.visit(t, seoul), s.visit(t, newYork)
		lookup := fmt.Sprintf(`{"merchant_id":"new-york","slot_time":[{"service_id":"visit","start_sec":"%d"}]}`, ahead(9))
		looks := s.steadily(t, http.MethodPost, "/v3/BatchAvailabilityLookup", lookup)
		health := s.steadily(t, http.MethodGet, "/v3/HealthCheck", "")
		var unread sync.WaitGroup
		day := time.Now().UTC().Truncate(24 * time.Hour)
		slots := fmt.Sprintf(`{"reservationGroupIds":[%q],"startDateTimeUtc":%q,"endDateTimeUtc":%q}`, group, day.Format(time.RFC3339), day.AddDate(0, 0, 62).Format(time.RFC3339))
		for i := range 100 {
			unread.Go(func() {
				s.unread(t, i%2 == 0, "/schedule/open/v2/queries/get-reservation-slots-by-groups", slots, auth)
			})
		}
		parts := []string{"수", "th", "Smith", "김민", "smith 4", "nobody"}
		var n atomic.Int64
		s.flood(t, 10*time.Second, map[string]crowd{
			"searches": {100, "/visitor/open/v1/queries/search-visitors", func() string { return fmt.Sprintf(`{"partOfVisitorName":%q}`, parts[n.Add(1)%int64(len(parts))]) }, auth, []int{200, 503}},
			"details":  {20, "/schedule/open/v1/queries/get-schedule-detail", func() string { return `{"scheduleId":"` + schedule + `"}` }, auth, []int{200, 503}},
			"day":      {20, "/schedule/open/v1/queries/get-schedules", func() string { return `{"limit":1,"date":"` + start[:10] + `"}` }, auth, []int{200, 503}},
		})
		unread.Wait()
		looks.end(t, "Google's lookup at another merchant")
		health.end(t, "HealthCheck")
		inSeoul.end(t)
		inNewYork.end(t)
		if made := inNewYork.made(); made <= 2*inNewYork.asked {
			t.Errorf("the guest of %s made %d bookings and was put off %d times", newYork.id, made, inNewYork.asked)
		} else if p99 := inNewYork.took[len(inNewYork.took)*99/100]; p99 > time.Second { // end has sorted them
			t.Errorf("the guest of %s waited %v", newYork.id, p99)
		}
		s.memory(t)

		// What was made long stays readable, page by page.
		pages, changes, next := 0, 0, ""
		for ; pages == 0 || next != ""; pages++ {
			body := `{"scheduleId":"` + schedule + `"`
			if next != "" {
				body += `,"cursor":"` + next + `"`
			}
			status, text := ask("/schedule/open/v1/queries/get-schedule-detail", body+"}", auth)
			var page struct {
				Next string
				Data struct{ Histories []json.RawMessage }
			}
			must(t, json.Unmarshal([]byte(text), &page))
			if status != 200 || len(text) > 4<<20 {
				t.Fatalf("page %d: %d, %d bytes", pages, status, len(text))
			}
			changes, next = changes+len(page.Data.Histories), page.Next
		}
		t.Logf("%d changes on %d pages", changes, pages)
		if changes != 151 {
			t.Errorf("%d changes of 151 could be read", changes)
		}
		s.memory(t)
	})
}

// charts makes n visitors of Seoul without the program.
func (p program) charts(t *testing.T, n int) {
	t.Helper()
	id := "'00000000-0000-7000-8000-' || substr('000000000000' || i, -12)"
	if !p.onSQLite() {
		id = "('00000000-0000-7000-8000-' || lpad(i::text, 12, '0'))::uuid"
	}
	p.raw(t, `INSERT INTO guests (id, merchant_id, google_user_id, email, phone, given_name, family_name, created_sec, visitor_id)
		WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < `+fmt.Sprint(n)+`)
		SELECT `+id+`, 'seoul', '', '', '010-' || i, CASE WHEN i % 2 = 0 THEN '김민수' ELSE 'John ' || i END, CASE WHEN i % 2 = 0 THEN '' ELSE 'Smith' END, 1, 'v' || i FROM n`)
}

// poison gives a visit changes of half a megabyte each, which were once possible.
func (p program) poison(t *testing.T, schedule string, changes int) {
	t.Helper()
	doctor := map[string]string{"id": "d", "name": strings.Repeat("d", 4700)}
	var stretches []any
	for range 50 {
		stretches = append(stretches, map[string]any{"start_sec": 1, "end_sec": 2, "spots": 1, "doctor": doctor})
	}
	text, err := json.Marshal(map[string]any{"occupied_resources": stretches})
	must(t, err)
	more := fmt.Sprintf("WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT b.id, n.i, ", changes+1)
	const of = " FROM n CROSS JOIN bookings b WHERE b.schedule_id = $1"
	p.raw(t, "INSERT INTO booking_events (booking_id, version, at_sec, actor, action, before, after) "+more+"1, 'desk', 'CHANGED', $2, $2"+of, schedule, string(text))
	p.raw(t, "INSERT INTO outbox (booking_id, version, topic, due_sec) "+more+"'booking', 1"+of, schedule)
	p.raw(t, fmt.Sprintf("UPDATE bookings SET version = %d WHERE schedule_id = $1", changes+1), schedule)
}

// raw runs a statement without the program.
func (p program) raw(t *testing.T, text string, args ...any) {
	t.Helper()
	driver := "sqlite"
	if !p.onSQLite() {
		driver = "pgx"
	}
	db, err := sql.Open(driver, p.database)
	must(t, err)
	defer db.Close()
	_, err = db.Exec(text, args...)
	must(t, err)
}

// steady is a call that Google makes all the time.
type steady struct {
	stop context.CancelFunc
	done sync.WaitGroup
	took []time.Duration
	bad  []string
}

// steadily calls about thirty times a second: often enough that the 99th percentile is not simply the slowest call.
func (s *target) steadily(t *testing.T, method, path, body string) *steady {
	ctx, stop := context.WithCancel(t.Context())
	w := &steady{stop: stop}
	client := s.client(false)
	w.done.Go(func() {
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			started := time.Now()
			r, err := http.NewRequest(method, s.url()+path, strings.NewReader(body))
			if err != nil {
				w.bad = append(w.bad, err.Error())
				return
			}
			r.Header.Set("Authorization", googleHeader)
			resp, err := client.Do(r)
			if err != nil {
				w.bad = append(w.bad, err.Error())
				continue
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != 200 {
				w.bad = append(w.bad, fmt.Sprint(resp.StatusCode, err))
			}
			_ = resp.Body.Close() // read to its end
			w.took = append(w.took, time.Since(started))
			<-time.After(30 * time.Millisecond)
		}
	})
	return w
}

// end stops the calls and reports.
func (w *steady) end(t *testing.T, what string) {
	t.Helper()
	w.stop()
	w.done.Wait()
	t.Logf("%s: %d times; %s", what, len(w.took), spread(w.took))
	if len(w.bad) > 0 {
		t.Errorf("%s: %d times not 200: %.3q", what, len(w.bad), w.bad)
	}
	if len(w.took) == 0 || w.took[len(w.took)*99/100] > time.Second { // spread has sorted them
		t.Errorf("%s took too long", what)
	}
}

// unread asks with a small window, over HTTP/2 if wanted and available, and fetches nothing for eight seconds.
func (s *target) unread(t *testing.T, streamed bool, path, body, auth string) {
	ctx, stop := context.WithTimeout(t.Context(), 8*time.Second)
	defer stop()
	request, protocols := head(path, auth, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)), []string(nil)
	if streamed && s.secure != nil {
		request, protocols = streams(1, http.MethodPost, path, auth, body), []string{"h2"}
	}
	conn, err := s.dialFrom(ctx, attacker, protocols...)
	if err != nil {
		t.Error(err)
		return
	}
	if err := hang(ctx, conn, request, false); err != nil {
		t.Error(err)
	}
	<-ctx.Done()
}
