package sandbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2/google"

	"holdfast/sandbox"
)

const partner = "20001234"

var tomorrow = time.Now().Truncate(time.Hour).Add(24 * time.Hour).UTC()

type world struct {
	t      *testing.T
	google *sandbox.Server
	url    string
	client *http.Client // of the partner's service account
	server *bookingServer
}

// bookingServer is a partner that books whatever it is asked for.
type bookingServer struct {
	bookings map[string]map[string]any
}

func (s *bookingServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked map[string]any
	user, password, _ := r.BasicAuth()
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || user != "google" || password != "secret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var answer any
	switch strings.TrimPrefix(r.URL.Path, "/v3/") {
	case "CreateBooking":
		id := fmt.Sprintf("b-%d", len(s.bookings)+1)
		slot, _ := asked["slot"].(map[string]any)
		if slot["service_id"] == "full" {
			answer = map[string]any{"booking_failure": map[string]any{"cause": "SLOT_UNAVAILABLE", "description": "full"}}
			break
		}
		s.bookings[id] = map[string]any{"booking_id": id, "slot": slot, "status": "CONFIRMED", "payment_information": map[string]any{"prepayment_status": "PREPAYMENT_NOT_PROVIDED"}}
		answer = map[string]any{"booking": s.bookings[id]}
	case "GetBookingStatus":
		id, _ := asked["booking_id"].(string)
		answer = map[string]any{"booking_id": id, "booking_status": s.bookings[id]["status"], "prepayment_status": "PREPAYMENT_NOT_PROVIDED"}
	case "ListBookings":
		live := []any{}
		for _, b := range s.bookings {
			if b["status"] == "CONFIRMED" {
				live = append(live, b)
			}
		}
		answer = map[string]any{"bookings": live}
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, server: &bookingServer{bookings: map[string]map[string]any{}}}
	theirs := httptest.NewServer(w.server)
	t.Cleanup(theirs.Close)
	p, err := sandbox.NewPartner(theirs.URL, "google:secret")
	w.must(err)
	key, err := sandbox.NewKey()
	w.must(err)
	var handler http.Handler
	ours := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { handler.ServeHTTP(rw, r) }))
	t.Cleanup(ours.Close)
	w.url = ours.URL
	w.google, err = sandbox.New(sandbox.Options{PartnerID: partner, URL: w.url, Key: key, Partner: p, Now: time.Now})
	w.must(err)
	handler = w.google
	file, err := w.google.WriteKey()
	w.must(err)
	again, err := sandbox.ReadKey(file)
	if err != nil || !again.Equal(key) {
		t.Fatalf("the key file has another key: %v", err)
	}
	config, err := google.JWTConfigFromJSON(file, "https://www.googleapis.com/auth/mapsbooking")
	w.must(err)
	w.client = config.Client(context.Background())
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) call(client *http.Client, method, path, body string) (int, string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	w.must(err)
	resp, err := client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	w.must(err)
	return resp.StatusCode, string(answer)
}

func (w *world) booked() string {
	w.t.Helper()
	b, err := w.google.Book(w.t.Context(), sandbox.Wish{MerchantID: "m", ServiceID: "s", StartSec: tomorrow.Unix(), DurationSec: 1800, PartySize: 2}, "token")
	w.must(err)
	return b.ID
}

func patch(id, mask string) string {
	return "/v1alpha/notification/partners/" + partner + "/bookings/" + id + "?updateMask=" + mask
}

func body(id, members string) string {
	return `{"name":"partners/` + partner + `/bookings/` + id + `","merchantId":"m","serviceId":"s"` + members + `}`
}

// What a partner may tell about a booking, and what it may not.
func TestNotifications(t *testing.T) {
	w := newWorld(t)
	id := w.booked()
	for _, c := range []struct {
		what, path, body string
		status           int
		want             string // in the answer
	}{
		{"a cancellation", patch(id, "status"), body(id, `,"status":"CANCELED"`), 200, `"status":"CANCELED"`},
		{"a move", patch(id, "startTime,duration"), body(id, `,"startTime":"2026-01-05T09:30:00+01:00","duration":"3600s"`), 200, `"startTime":"2026-01-05T08:30:00Z","duration":"3600s"`},
		{"a party", patch(id, "partySize"), body(id, `,"partySize":"3"`), 200, `"partySize":"3"`},
		{"a refund", patch(id, "paymentInformation.prepaymentStatus"), body(id, `,"paymentInformation":{"prepaymentStatus":"PREPAYMENT_REFUNDED","paymentTransactionId":"t"}`), 200, "PREPAYMENT_REFUNDED"},
		{"a failure", patch(id, "status") + "&bookingFailure.cause=SLOT_UNAVAILABLE", body(id, `,"status":"FAILED"`), 200, `"status":"FAILED"`},
		{"what is not masked", patch(id, "status"), body(id, `,"status":"NO_SHOW","partySize":"9"`), 200, `"partySize":"3"`},
		{"a booking that Google did not make", patch("b-77", "status"), body("b-77", `,"status":"CANCELED"`), 404, "NOT_FOUND"},
		{"another partner's", strings.Replace(patch(id, "status"), partner, "7", 1), body(id, `,"status":"CANCELED"`), 403, "PERMISSION_DENIED"},
		{"no mask", strings.TrimSuffix(patch(id, ""), "?updateMask="), body(id, `,"status":"CANCELED"`), 400, "updateMask: required"},
		{"a mask of what cannot change", patch(id, "merchantId"), body(id, ""), 400, `\"merchantId\" cannot be changed`},
		{"a masked member that is missing", patch(id, "startTime"), body(id, ""), 400, "startTime: must be a time"},
		{"a masked party that is missing", patch(id, "partySize"), body(id, ""), 400, "partySize: must be"},
		{"a state that is not supported", patch(id, "status"), body(id, `,"status":"PENDING_MERCHANT_CONFIRMATION"`), 400, "is not supported"},
		{"a state that is none", patch(id, "status"), body(id, `,"status":"CANCELLED"`), 400, "must be one of CONFIRMED"},
		{"a length that is none", patch(id, "duration"), body(id, `,"duration":"3600"`), 400, "like 1800s"},
		{"a length of a week", patch(id, "duration"), body(id, `,"duration":"604800s"`), 400, "below 168 hours"},
		{"no service", patch(id, "status"), `{"name":"partners/` + partner + `/bookings/` + id + `","merchantId":"m","status":"CANCELED"}`, 400, "serviceId: required"},
		{"another service", patch(id, "status"), strings.Replace(body(id, `,"status":"CANCELED"`), `"s"`, `"z"`, 1), 400, "the booking is of"},
		{"another name", patch(id, "status"), body("b-2", `,"status":"CANCELED"`), 400, "name: must be"},
		{"snake case", patch(id, "status"), body(id, `,"status":"CANCELED","party_size":2`), 400, "party_size"},
		{"no JSON", patch(id, "status"), `status=CANCELED`, 400, "Invalid JSON"},
		{"two objects", patch(id, "status"), body(id, `,"status":"CANCELED"`) + "{}", 400, "something follows"},
	} {
		before := w.google.Bookings()
		status, answer := w.call(w.client, http.MethodPatch, c.path, c.body)
		if status != c.status || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %s, want %d and %s", c.what, status, answer, c.status, c.want)
		}
		if c.status != 200 && fmt.Sprint(before) != fmt.Sprint(w.google.Bookings()) {
			t.Errorf("%s was refused and changed the booking", c.what)
		}
	}
	if status, answer := w.call(http.DefaultClient, http.MethodPatch, patch(id, "status"), body(id, `,"status":"CANCELED"`)); status != 401 {
		t.Errorf("without a token: %d %s", status, answer)
	}
}

// A replacement deletes what its restricts cover, and nothing else.
func TestAvailabilityReplace(t *testing.T) {
	w := newWorld(t)
	slot := func(hour int, staff string, open int) string {
		resources := ""
		if staff != "" {
			resources = fmt.Sprintf(`,"resources":{"staffId":%q,"staffName":"Dr %s"}`, staff, staff)
		}
		return fmt.Sprintf(`{"startTime":%q,"duration":"1800s","spotsTotal":"4","spotsOpen":"%d"%s}`, tomorrow.Add(time.Duration(hour)*time.Hour).Format(time.RFC3339), open, resources)
	}
	between := func(from, to int) string {
		at := func(hour int) string { return tomorrow.Add(time.Duration(hour) * time.Hour).Format(time.RFC3339) }
		return fmt.Sprintf(`,"startTimeRestrict":%q,"endTimeRestrict":%q`, at(from), at(to))
	}
	entry := func(service, restricts string, slots ...string) string {
		return fmt.Sprintf(`{"merchantId":"m","serviceId":%q%s,"availability":[%s]}`, service, restricts, strings.Join(slots, ","))
	}
	replace := func(entries ...string) (int, string) {
		return w.call(w.client, http.MethodPost, "/v1alpha/inventory/partners/"+partner+"/availability:replace", `{"extendedServiceAvailability":[`+strings.Join(entries, ",")+`]}`)
	}
	has := func(want string) {
		t.Helper()
		var got []string
		for _, s := range w.google.Slots() {
			got = append(got, fmt.Sprintf("%s%d%s:%d", s.ServiceID, (s.StartSec-tomorrow.Unix())/3600, s.StaffID, s.SpotsOpen))
		}
		if strings.Join(got, " ") != want {
			t.Errorf("slots %v, want %s", got, want)
		}
	}
	if status, answer := replace(entry("a", "", slot(1, "", 4), slot(2, "", 4), slot(2, "kim", 1)), entry("b", "", slot(2, "", 4))); status != 200 {
		t.Fatal(status, answer)
	}
	has("a1:4 a2:4 a2kim:1 b2:4")
	replace(entry("a", between(2, 3)+`,"resourcesRestrict":{"staffId":"kim"}`))
	has("a1:4 a2:4 b2:4")
	replace(entry("a", between(2, 3), slot(2, "", 0)))
	has("a1:4 a2:0 b2:4")
	status, answer := replace(entry("a", between(1, 2), slot(3, "", 1)), entry("b", "", slot(5, "", 1)))
	if status != 200 || strings.Count(answer, "merchantId") != 1 {
		t.Errorf("one of two entries is wrong: %d %s", status, answer)
	}
	has("a1:4 a2:0 b5:1")
	for what, c := range map[string]struct{ entry, want string }{
		"a slot outside":       {entry("a", between(1, 2), slot(3, "", 1)), "RECORD_OUT_OF_RESTRICTION"},
		"more open than there": {entry("a", "", slot(3, "", 5)), "SPOT_COUNT_OUT_OF_RANGE"},
		"a slot in the past":   {entry("a", "", slot(-48, "", 1)), "TIMESTAMP_OUT_OF_RANGE"},
		"a staff id alone":     {entry("a", "", strings.Replace(slot(1, "kim", 1), `,"staffName":"Dr kim"`, "", 1)), "MISSING_RESOURCES"},
		"no service":           {entry("", ""), "MISSING_ID"},
		"a window of nothing":  {entry("a", between(3, 3)), "INVALID_TIME_RANGE"},
	} {
		if status, answer := replace(c.entry); status != 400 || !strings.Contains(answer, c.want) {
			t.Errorf("%s: %d %s, want %s", what, status, answer, c.want)
		}
	}
	has("a1:4 a2:0 b5:1")
	one := "/v1alpha/inventory/partners/" + partner + "/merchants/m/services/b/availability:replace"
	if status, answer := w.call(w.client, http.MethodPost, one, `{"serviceAvailability":{"name":"partners/`+partner+`/merchants/m/services/b","availability":[]}}`); status != 200 {
		t.Error(status, answer)
	}
	has("a1:4 a2:0")
}

// Guests book through the sandbox, and it finds where they and the partner disagree.
func TestCompare(t *testing.T) {
	w := newWorld(t)
	id := w.booked()
	differ := func(want string) {
		t.Helper()
		found, err := w.google.Compare(t.Context())
		if err != nil || fmt.Sprint(found) != want {
			t.Errorf("%v %v, want %s", found, err, want)
		}
	}
	differ("[]")
	w.server.bookings[id]["status"] = "CANCELED" // and nobody told
	differ("[{b-1 status CONFIRMED CANCELED}]")
	w.call(w.client, http.MethodPatch, patch(id, "status"), body(id, `,"status":"CANCELED"`))
	differ("[]")
	if _, err := w.google.Book(t.Context(), sandbox.Wish{MerchantID: "m", ServiceID: "full", StartSec: 1, DurationSec: 1}, "other"); err == nil || !strings.Contains(err.Error(), "SLOT_UNAVAILABLE") {
		t.Errorf("a refusal: %v", err)
	}
	for path, want := range map[string]string{"/": "The guests see what the partner says.", "/sandbox/state": `"differences":[]`} {
		if status, page := w.call(http.DefaultClient, http.MethodGet, path, ""); status != 200 || !strings.Contains(page, want) {
			t.Errorf("%s: %d %s", path, status, page)
		}
	}
	w.server.bookings[id]["status"] = "CONFIRMED"
	if _, page := w.call(http.DefaultClient, http.MethodGet, "/", ""); !strings.Contains(page, "disagree about 1 thing.") {
		t.Errorf("the page does not tell:\n%s", page)
	}
}

// The sandbox errs as often as it was told to, and then no more.
func TestFaults(t *testing.T) {
	w := newWorld(t)
	id := w.booked()
	tell := func() (int, string) {
		return w.call(w.client, http.MethodPatch, patch(id, "status"), body(id, `,"status":"CANCELED"`))
	}
	if status, answer := w.call(http.DefaultClient, http.MethodPost, "/sandbox/faults", `[{"status":429,"times":2},{"lost":true,"times":1},{"status":403,"times":1,"seconds":0.01}]`); status != 200 {
		t.Fatal(status, answer)
	}
	for _, want := range []int{429, 429, 0, 403, 200} {
		if status, answer := tell(); status != want {
			t.Errorf("%d %s, want %d", status, answer, want)
		}
		if told := w.google.Bookings()[0].Told; want == 0 && told != 1 {
			t.Errorf("an answer was lost, and the booking was told %d times, want 1", told)
		}
	}
	for _, wrong := range []string{`[{"times":0}]`, `[{"status":200,"times":1}]`, `[{"seconds":-1,"times":1}]`, `{}`, `[{"sometimes":1}]`} {
		if status, answer := w.call(http.DefaultClient, http.MethodPost, "/sandbox/faults", wrong); status != 400 {
			t.Errorf("%s: %d %s", wrong, status, answer)
		}
	}
}

// Only what the service account has signed, for us and for a short time, gives a token.
func TestToken(t *testing.T) {
	w := newWorld(t)
	ask := func(assertion string) string {
		resp, err := http.PostForm(w.url+"/token", map[string][]string{"grant_type": {"urn:ietf:params:oauth:grant-type:jwt-bearer"}, "assertion": {assertion}})
		w.must(err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		w.must(err)
		return string(answer)
	}
	for _, assertion := range []string{"", "a.b.c", "e30.e30.e30"} {
		if answer := ask(assertion); !strings.Contains(answer, "invalid_grant") {
			t.Errorf("%q: %s", assertion, answer)
		}
	}
	other, err := sandbox.NewKey()
	w.must(err)
	stranger, err := sandbox.New(sandbox.Options{PartnerID: partner, URL: w.url, Key: other, Now: time.Now})
	w.must(err)
	file, err := stranger.WriteKey()
	w.must(err)
	config, err := google.JWTConfigFromJSON(file, "https://www.googleapis.com/auth/mapsbooking")
	w.must(err)
	if _, err := config.TokenSource(t.Context()).Token(); err == nil || !strings.Contains(err.Error(), "the signature is wrong") {
		t.Errorf("another key: %v", err)
	}
	file, err = w.google.WriteKey()
	w.must(err)
	config, err = google.JWTConfigFromJSON(file, "https://www.googleapis.com/auth/maps")
	w.must(err)
	if _, err := config.TokenSource(t.Context()).Token(); err == nil || !strings.Contains(err.Error(), "invalid_scope") {
		t.Errorf("another scope: %v", err)
	}
}

// Callers without a token cannot fill the memory: of calls the newest are kept, and no long bodies.
func TestCallsAreBounded(t *testing.T) {
	w := newWorld(t)
	long := body("b-1", `,"status":"`+strings.Repeat("x", 1<<20)+`"`)
	for range 150 {
		w.call(http.DefaultClient, http.MethodPatch, patch("b-1", "status"), long)
	}
	calls, kept := w.google.Calls(), 0
	for _, c := range calls {
		kept += len(c.Body)
	}
	if len(calls) != 100 || kept != 0 {
		t.Errorf("%d calls with %d bytes are kept, want 100 with none", len(calls), kept)
	}
}
