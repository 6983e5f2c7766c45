package conform_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	pb "holdfast/api/mapsbooking"
	"holdfast/conform"
)

var begin = time.Date(2030, 3, 4, 9, 0, 0, 0, time.UTC)

// feedRow is a slot of a made-up feed.
type feedRow struct {
	Merchant  string         `json:"merchant_id"`
	Service   string         `json:"service_id"`
	Start     int64          `json:"start_sec,string"`
	Duration  int64          `json:"duration_sec"`
	Total     int            `json:"spots_total"`
	Open      int            `json:"spots_open"`
	Tag       string         `json:"availability_tag,omitempty"`
	Resources map[string]any `json:"resources,omitempty"`
	Mode      string         `json:"confirmation_mode,omitempty"`
}

// week is a feed of a studio, with lessons for one and classes for three, and of a bistro.
func week() []feedRow {
	var rows []feedRow
	for day := range 8 {
		for hour := range 10 {
			start := begin.AddDate(0, 0, 3+day).Add(time.Duration(hour) * time.Hour).Unix()
			rows = append(rows,
				feedRow{"studio", "lesson", start, 1800, 1, 1, fmt.Sprint("tag-", day, hour), map[string]any{"staff_id": "anna"}, ""},
				feedRow{"bistro", "table", start, 3600, 1, 1, "", map[string]any{"party_size": 2}, ""})
			if hour < 3 {
				rows = append(rows, feedRow{"studio", "class", start, 3600, 5, 3, "", nil, ""})
			}
		}
	}
	return rows
}

func readFeed(t *testing.T, rows []feedRow) *conform.Feed {
	t.Helper()
	text, err := json.Marshal(map[string]any{
		"metadata":             map[string]any{"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": begin.Unix()},
		"service_availability": []any{map[string]any{"availability": rows}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "availability.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	feed, err := conform.ReadFeed(t.Context(), []string{path}, begin)
	if err != nil {
		t.Fatal(err)
	}
	return feed
}

// rehearse runs a server and rehearses with it.
func rehearse(t *testing.T, s *server, rows []feedRow, change func(*conform.Options)) *conform.Report {
	t.Helper()
	report, err := try(t, t.Context(), s, rows, change)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func try(t *testing.T, ctx context.Context, s *server, rows []feedRow, change func(*conform.Options)) (*conform.Report, error) {
	t.Helper()
	s.clock = &clock{now: begin}
	s.spots, s.bookings, s.tokens, s.failed = map[string]int{}, map[string]*pb.Booking{}, map[string]string{}, map[string]bool{}
	s.services = map[string]bool{}
	for _, r := range rows {
		s.services[r.Merchant+"/"+r.Service] = true
		party, _ := r.Resources["party_size"].(int)
		staff, _ := r.Resources["staff_id"].(string)
		size := int32(party)
		s.spots[slotName(r.Merchant, r.Service, r.Start, &pb.ResourceIds{StaffId: staff, PartySize: &size})] = r.Open
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	o := conform.Options{
		URL: srv.URL + "/google", Credentials: user + ":" + password, Feed: readFeed(t, rows),
		Now: s.clock.Now, Sleep: func(context.Context, time.Duration) {}, Progress: func(line string) { t.Log(line) },
	}
	if change != nil {
		change(&o)
	}
	return conform.Run(ctx, o)
}

// verdicts returns the groups with this verdict.
func verdicts(r *conform.Report, v conform.Verdict) string {
	var ids []string
	for _, g := range r.Groups {
		if g.Verdict == v {
			ids = append(ids, g.ID)
		}
	}
	return strings.Join(ids, " ")
}

// standing are the bookings that nobody cancelled.
func (s *server) standing() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, b := range s.bookings {
		if b.Status != pb.BookingStatus_CANCELED {
			n++
		}
	}
	return n
}

func TestRightServerPasses(t *testing.T) {
	for name, s := range map[string]*server{"ids are numbers": {}, "ids are UUIDs": {uuids: true}} {
		t.Run(name, func(t *testing.T) { wantAll(t, s) })
	}
}

func wantAll(t *testing.T, s *server) {
	t.Helper()
	r := rehearse(t, s, week(), nil)
	if got, want := verdicts(r, conform.Passed), strings.Join(conform.GroupIDs(), " "); got != want {
		t.Errorf("passed:\n%s\nwant\n%s\n%s", got, want, r.Text())
	}
	if n := s.standing(); n != 0 || len(r.Cleanup.Left) != 0 || r.Cleanup.Made < 25 || r.Cleanup.Cancelled != r.Cleanup.Made {
		t.Errorf("%d bookings stand; %+v", n, r.Cleanup)
	}
	if r.Requests < 200 || r.Requests > 500 {
		t.Errorf("%d requests", r.Requests)
	}
}

// Each fault is found, and only by its own group.
func TestFaultsAreFound(t *testing.T) {
	for _, test := range []struct {
		fault string
		s     *server
		group string
		check string
	}{
		{"oversells when many ask at once", &server{oversells: true}, "race", "race.exact"},
		{"answers a full slot with 409", &server{conflicts: true}, "race", "race.refusals"},
		{"keeps a failure under its token", &server{sticky: true}, "retry", "retry.anew"},
		{"spells CANCELED with two Ls", &server{misspellsCanceled: true}, "cancel", "cancel.canceled"},
		{"does not free what is cancelled", &server{keepsCancelled: true}, "cancel", "cancel.free"},
		{"gives a moved booking another id", &server{renames: true}, "reschedule", "reschedule.same-id"},
		{"leaves available: false out", &server{omitsFalse: true}, "availability", "availability.written"},
		{"answers one slot less than asked", &server{dropsOne: true}, "availability", "availability.count"},
		{"answers in another order", &server{reverses: true}, "availability", "availability.order"},
		{"books again for a known token", &server{forgetsTokens: true}, "replay", "replay.same-booking"},
		{"breaks on unknown fields", &server{choosy: true}, "formats", "formats.unknown-fields"},
		{"lets everybody check its health", &server{openHealth: true}, "auth", "auth.none"},
		{"does not know paths with a slash", &server{noSlash: true}, "formats", "formats.slash"},
		{"writes names in camel case", &server{camelCase: true}, "formats", "formats.names"},
		{"is slow", &server{slow: true}, "latency", "latency.lookup"},
		{"lists what is cancelled", &server{listsCancelled: true}, "list", "list.cancelled"},
	} {
		t.Run(test.fault, func(t *testing.T) {
			r := rehearse(t, test.s, week(), nil)
			if got := verdicts(r, conform.Failed); got != test.group {
				t.Errorf("failed: %q, want %q\n%s", got, test.group, r.Text())
			}
			if c := find(t, r, test.check); c.Verdict != conform.Failed || c.Came == "" || c.Expected == "" || c.Repair == "" || c.Source == "" {
				t.Errorf("got %+v", c)
			}
			if n := test.s.standing(); n != 0 || len(r.Cleanup.Left) != 0 {
				t.Errorf("%d bookings stand; %+v", n, r.Cleanup.Left)
			}
		})
	}
}

func find(t *testing.T, r *conform.Report, id string) conform.Check {
	t.Helper()
	for _, g := range r.Groups {
		for _, c := range g.Checks {
			if c.ID == id {
				return c
			}
		}
	}
	t.Fatalf("there is no check %s", id)
	return conform.Check{}
}

// Without the group to which a fault belongs, the group that meets it reports it.
func TestFaultIsToldByWhoMeetsIt(t *testing.T) {
	for _, test := range []struct {
		s     *server
		group string
	}{{&server{conflicts: true}, "retry"}, {&server{inventsCause: true}, "formats cancel"}} {
		r := rehearse(t, test.s, week(), func(o *conform.Options) { o.Groups = strings.Fields("formats cancel retry") })
		for _, g := range strings.Fields(test.group) {
			if got := verdicts(r, conform.Failed); !strings.Contains(got, g) {
				t.Errorf("failed: %q, want %q too\n%s", got, g, r.Text())
			}
		}
	}
}

func TestNotTested(t *testing.T) {
	t.Run("without slots", func(t *testing.T) {
		rows := week()
		for i := range rows {
			if rows[i].Start = begin.Unix() - 3600; i%2 == 0 {
				rows[i].Start, rows[i].Open = begin.Unix()+86400*int64(i+1), 0
			}
		}
		r := rehearse(t, &server{}, rows, nil)
		if got, want := verdicts(r, conform.NotTested), "availability create replay tokens race retry list status reschedule cancel readiness formats"; !strings.HasPrefix(want, got) || len(got) < 60 {
			t.Errorf("not tested: %s\n%s", got, r.Text())
		}
		if reason := r.Groups[3].Reason; !strings.Contains(reason, "92 are past") || !strings.Contains(reason, "92 are sold out") {
			t.Errorf("reason: %s", reason)
		}
		if r.Count(conform.Failed) != 0 {
			t.Error(r.Text())
		}
	})
	t.Run("one slot, of one spot", func(t *testing.T) {
		s := &server{}
		r := rehearse(t, s, week()[:1], nil)
		if got := verdicts(r, conform.Failed); got != "" {
			t.Errorf("failed: %s\n%s", got, r.Text())
		}
		if got := verdicts(r, conform.NotTested); got != "race reschedule" {
			t.Errorf("not tested: %s\n%s", got, r.Text())
		}
		if got := verdicts(r, conform.Partly); got != "availability" {
			t.Errorf("partly tested: %s\n%s", got, r.Text())
		}
	})
	t.Run("legacy methods not offered", func(t *testing.T) {
		r := rehearse(t, &server{noLegacy: true}, week(), nil)
		if failed, not, partly := verdicts(r, conform.Failed), verdicts(r, conform.NotTested), verdicts(r, conform.Partly); failed != "" || not != "list status" || partly != "create cancel" {
			t.Errorf("failed: %q, not tested: %q, partly: %q\n%s", failed, not, partly, r.Text())
		}
	})
}

// Only classes: bookings show in no lookup until a slot is filled.
func TestOnlySlotsWithSeveralSpots(t *testing.T) {
	var rows []feedRow
	for _, r := range week() {
		if r.Service == "class" {
			rows = append(rows, r)
		}
	}
	s := &server{}
	r := rehearse(t, s, rows, nil)
	if failed, partly := verdicts(r, conform.Failed), verdicts(r, conform.Partly); failed != "" || partly != "availability create" {
		t.Errorf("failed: %q, partly tested: %q\n%s", failed, partly, r.Text())
	}
	r = rehearse(t, &server{keepsCancelled: true}, rows, nil)
	if failed := verdicts(r, conform.Failed); failed != "cancel" {
		t.Errorf("failed: %q\n%s", failed, r.Text())
	}
}

// Bookings that wait for the merchant cannot be moved by guests.
func TestAsynchronousSlots(t *testing.T) {
	rows := week()
	for i := range rows {
		rows[i].Mode = "CONFIRMATION_MODE_ASYNCHRONOUS"
	}
	s := &server{}
	r := rehearse(t, s, rows, nil)
	if failed, not := verdicts(r, conform.Failed), verdicts(r, conform.NotTested); failed != "" || not != "reschedule" || s.standing() != 0 {
		t.Errorf("failed: %q, not tested: %q\n%s", failed, not, r.Text())
	}
	rows[0].Mode, rows[2].Mode = "", ""
	rows[3].Mode = "" // a pair of tables, or lessons, is enough
	r = rehearse(t, s, rows, func(o *conform.Options) { o.Groups = []string{"reschedule"} })
	if got := verdicts(r, conform.Passed); got != "reschedule" {
		t.Errorf("passed: %q\n%s", got, r.Text())
	}
}

func TestLeftoversAreReported(t *testing.T) {
	s := &server{cannotCancel: true}
	r := rehearse(t, s, week(), nil)
	if n := s.standing(); n == 0 || len(r.Cleanup.Left) != n {
		t.Errorf("%d bookings stand, %d are reported", n, len(r.Cleanup.Left))
	}
	if n := s.standing(); n > 10 {
		t.Errorf("%d bookings were made, although none can be cancelled", n)
	}
	if got := verdicts(r, conform.Failed); got != "cancel" {
		t.Errorf("failed: %s\n%s", got, r.Text())
	}
	if text := r.Text(); !strings.Contains(text, "OUTSIDE_CANCELLATION_WINDOW") {
		t.Error(text)
	}
}

// A lost answer may hide a booking: repeating the request shows it, and then it is cancelled.
func TestLostAnswersAreSettled(t *testing.T) {
	s := &server{losesAnswers: 2}
	r := rehearse(t, s, week(), nil)
	if n := s.standing(); n != 0 || len(r.Cleanup.Left) != 0 {
		t.Errorf("%d bookings stand; %+v", n, r.Cleanup.Left)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, interrupt := context.WithCancel(t.Context())
	s := &server{onCreate: func(n int) {
		if n == 12 {
			interrupt()
		}
	}}
	r, err := try(t, ctx, s, week(), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock() // a request that was cut off may still be with the server
	creates := s.creates
	s.mu.Unlock()
	if n := s.standing(); n != 0 || len(r.Cleanup.Left) != 0 || creates < 12 {
		t.Errorf("%d bookings stand of %d; %+v", n, creates, r.Cleanup)
	}
	if !r.Interrupted || verdicts(r, conform.Failed) != "" || find(t, r, "cancel.canceled").Verdict != conform.NotTested {
		t.Error(r.Text())
	}
}

func TestCannotBegin(t *testing.T) {
	for name, change := range map[string]func(*conform.Options){
		"refuses the credentials":                  func(o *conform.Options) { o.Credentials = "google:other" },
		"must be user:password":                    func(o *conform.Options) { o.Credentials = "google" },
		"does not answer":                          func(o *conform.Options) { o.URL = "http://127.0.0.1:1" },
		"without /v3":                              func(o *conform.Options) { o.URL += "/v3/" },
		"must not have credentials in it":          func(o *conform.Options) { o.URL = "https://google:secret@example.com" },
		"must begin with https:// or http://":      func(o *conform.Options) { o.URL = "example.com" },
		"must not have a query or a fragment":      func(o *conform.Options) { o.URL += "?a=b" },
		`there is no group "creat"`:                func(o *conform.Options) { o.Groups = []string{"creat"} },
		"guests' prefix: up to 32 letters, digits": func(o *conform.Options) { o.GuestsPrefix = "a b" },
	} {
		r, err := try(t, t.Context(), &server{}, week(), change)
		if err == nil || !strings.Contains(err.Error(), name) || r != nil {
			t.Errorf("got %v, want … %s …", err, name)
		}
		if err != nil && (strings.Contains(err.Error(), password) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("the error has the password in it: %v", err)
		}
	}
}

// Credentials are in no report, even if the server repeats them.
func TestCredentialsAreRedacted(t *testing.T) {
	s := &server{}
	leaks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "CreateBooking") {
			http.Error(w, "you are "+user+":"+password+", "+r.Header.Get("Authorization"), http.StatusInternalServerError)
			return
		}
		s.ServeHTTP(w, r)
	})
	srv := httptest.NewServer(leaks)
	defer srv.Close()
	var said strings.Builder
	r := rehearse(t, s, week(), func(o *conform.Options) {
		o.URL = srv.URL + "/google"
		o.Progress = func(line string) { said.WriteString(line) }
	})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{string(text), r.Text(), said.String()} {
		if strings.Contains(out, password) || strings.Contains(out, "Z29vZ2xlOnMzY3JldC13b3Jk") {
			t.Errorf("the credentials are in it:\n%s", out)
		}
	}
	if c := find(t, r, "create.booked"); !strings.Contains(c.Answered, "[redacted]") {
		t.Errorf("got %+v", c)
	}
}

// A redirect is not followed: another host might get credentials and bookings.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var others atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others.Add(1) }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	r := rehearse(t, &server{}, week(), func(o *conform.Options) { o.URL = srv.URL })
	if n := others.Load(); n != 0 {
		t.Errorf("the other host got %d requests", n)
	}
	if c := find(t, r, "health.serving"); !strings.Contains(c.Came, "HTTP 307 to "+other.URL+", which is not followed") {
		t.Errorf("got %+v", c)
	}
}

// Guests are made up, and differ in each run.
func TestGuestsAreMadeUp(t *testing.T) {
	s := &server{}
	first := rehearse(t, s, week(), func(o *conform.Options) { o.GuestsPrefix, o.Groups = "acme", []string{"create", "list"} })
	if len(s.bookings) < 5 {
		t.Fatalf("%d bookings", len(s.bookings))
	}
	for _, b := range s.bookings {
		u := b.UserInformation
		if !strings.HasPrefix(u.UserId, first.Run+"-") || u.Email != u.UserId+"@example.com" || !strings.HasPrefix(u.UserId, "acme-") {
			t.Errorf("guest %v", u)
		}
	}
	if second := rehearse(t, s, week(), func(o *conform.Options) { o.Groups = []string{"health"} }); second.Run == first.Run {
		t.Errorf("both runs are %s", first.Run)
	}
	if got := len(first.Groups); got != 2 {
		t.Errorf("%d groups ran, want 2", got)
	}
}

func TestLatencyTable(t *testing.T) {
	r := rehearse(t, &server{slow: true}, week(), func(o *conform.Options) { o.Groups = []string{"health", "latency"} })
	for _, l := range r.Latency {
		want := map[string]float64{"HealthCheck": 0, "BatchAvailabilityLookup": 2000}[l.Method]
		if l.P50 < want || l.P99 < l.P50 || l.Most < l.P99 || l.Slower != map[bool]int{true: l.Calls}[want > 0] {
			t.Errorf("got %+v", l)
		}
	}
	if len(r.Latency) != 2 {
		t.Errorf("got %+v", r.Latency)
	}
}

// Whatever a server answers, the rehearsal ends and finds faults.
func TestNonsense(t *testing.T) {
	answers := map[string]int{"not there": 404, "broken": 500}
	for _, body := range []string{
		``, `{}`, `null`, `[]`, `<html>`, `{"slot_time_availability": [{}]}`, `{"slot_time_availability": [{"available": true}]}`,
		`{"booking": {}}`, `{"booking": {"booking_id": "1"}}`, `{"booking": {"booking_id": 1}}`, `{"booking_failure": {}}`, `{"bookings": [{}, null]}`,
		`{"booking": {"booking_id": "1", "status": "CANCELED", "slot": {"start_sec": "x"}}}`, `{"booking_failure": {"cause": 99}}`,
	} {
		answers[body] = 200
	}
	for body, status := range answers {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if _, err := w.Write([]byte(body)); err != nil {
				t.Error(err)
			}
		}))
		r := rehearse(t, &server{}, week(), func(o *conform.Options) { o.URL, o.Progress = srv.URL, nil })
		srv.Close()
		if r.Count(conform.Failed) < 2 || r.Requests > 1100 {
			t.Errorf("%d %s: %d failed, %d requests", status, body, r.Count(conform.Failed), r.Requests)
		}
	}
}
