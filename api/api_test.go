package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/api/edge"
	"holdfast/api/google"
	"holdfast/booking"
	"holdfast/inventory"
)

const (
	createPath   = "/v3/CreateBooking"
	updatePath   = "/schedule/open/v2/commands/update-reservation"
	exchangePath = "/open/authorization/commands/exchange-token"
)

// clinicOnly knows one access token and one clinic. It panics if it is asked for more: no test here
// gets as far as a booking.
type clinicOnly struct {
	booking.Store
	err error
}

func (s clinicOnly) TokenMerchant(context.Context, []byte, int64) (string, string, error) {
	return "clinic-1", "", s.err
}

func (s clinicOnly) Merchant(context.Context, string) (*inventory.Merchant, error) {
	return &inventory.Merchant{ID: "clinic-1", Location: time.UTC}, s.err
}

func testConfig(log io.Writer, store booking.Store) Config {
	return Config{
		Bookings:    &booking.Service{Store: store, Now: time.Now},
		Credentials: google.NewCredentials(google.Credential{User: "google", Password: "s3cret"}),
		Log:         slog.New(slog.NewJSONHandler(log, nil)),
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func send(h http.Handler, method, path, body string, header ...string) answer {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

const basic, bearer = "Basic Z29vZ2xlOnMzY3JldA==", "Bearer 7d7a6a3e-5a2e-4d3f-8a53-1a2b3c4d5e6f"

func exceptionBody(status int, class string) string {
	return fmt.Sprintf(`{"status":%d,"message":%q,"className":%q,"errorProperties":[]}`, status, class, class)
}

// refused is the envelope of one property.
func refused(class, key, reason string) string {
	return fmt.Sprintf(`{"status":400,"message":%q,"className":%q,"errorProperties":[{"key":%q,"reason":%q}]}`, class, class, key, reason)
}

// creation is a CreateBooking of somebody.
func creation(name, email string) string {
	return `{"slot":{"merchant_id":"m","service_id":"s","start_sec":"1","duration_sec":"1"},"user_information":{"user_id":"u","given_name":"` +
		name + `","family_name":"B","email":"` + email + `","telephone":"+1 650-253-0000"},"idempotency_token":"t"}`
}

// update is an update-reservation with one more member.
func update(member string) string {
	return `{"scheduleId":"s","zoneId":"z","occupiedResources":[{"startDateTimeUtc":"2026-03-02T01:00:00Z","endDateTimeUtc":"2026-03-02T01:30:00Z",` +
		`"reservationGroup":{"reservationGroupId":"g","zoneId":"z1"}}],` + member + `}`
}

func googleBody(status int, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q}}`, status, message)
}

func TestTransport(t *testing.T) {
	h := New(testConfig(io.Discard, clinicOnly{}))
	long := strings.Repeat(" ", edge.MaxBody+1)
	unauthorized := googleBody(401, "credentials are missing or not valid")
	noPath := googleBody(404, "there is no such path")
	noVerb := googleBody(405, "the path does not know this verb")
	for _, c := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
		wantHeader               []string
	}{
		{"livez needs nobody", "GET", "/livez", "", nil, 200, "", nil},
		{"livez with a slash", "GET", "/livez/", "", nil, 200, "", nil},
		{"livez with another verb", "POST", "/livez", "", nil, 405, noVerb, []string{"Allow", "GET"}},
		{"unknown path", "GET", "/nothing", "", nil, 404, noPath, nil},
		{"root", "GET", "/", "", nil, 404, noPath, nil},
		{"twice the slash", "GET", "/livez//", "", nil, 404, noPath, nil},

		{"health", "GET", "/v3/HealthCheck", "", []string{"Authorization", basic}, 200, `{"status":"SERVING"}`, []string{"Content-Type", "application/json"}},
		{"health with a slash", "GET", "/v3/HealthCheck/", "", []string{"Authorization", basic}, 200, `{"status":"SERVING"}`, nil},
		{"health of nobody", "GET", "/v3/HealthCheck", "", nil, 401, unauthorized, []string{"Www-Authenticate", `Basic realm="holdfast"`}},
		{"health with a wrong password", "GET", "/v3/HealthCheck/", "", []string{"Authorization", "Basic Z29vZ2xlOnNlY3JldA=="}, 401, unauthorized, nil},
		{"a clinic's token is none of Google's", "GET", "/v3/HealthCheck", "", []string{"Authorization", bearer}, 401, unauthorized, nil},
		{"unknown below v3, nobody", "GET", "/v3/Nothing", "", nil, 401, unauthorized, nil},
		{"v3 itself, nobody", "GET", "/v3", "", nil, 401, unauthorized, nil},
		{"v3 in other letters, nobody", "GET", "/%763/HealthCheck", "", nil, 404, noPath, nil},
		{"unknown below v3", "GET", "/v3/Nothing", "", []string{"Authorization", basic}, 404, noPath, nil},
		{"wrong verb, nobody", "GET", createPath, "", nil, 401, unauthorized, nil},
		{"wrong verb", "GET", createPath, "", []string{"Authorization", basic}, 405, noVerb, []string{"Allow", "POST"}},
		{"OPTIONS is a wrong verb", "OPTIONS", createPath, "", []string{"Authorization", basic}, 405, noVerb, []string{"Allow", "POST"}},
		{"a verb that nobody knows", "BREW", createPath + "/", "", []string{"Authorization", basic}, 405, noVerb, []string{"Allow", "POST"}},
		{"create, nobody, too long", "POST", createPath, long, nil, 401, unauthorized, nil},
		{"create, too long", "POST", createPath, long, []string{"Authorization", basic}, 413, googleBody(413, "the body is longer than 262144 bytes"), nil},
		{"create, as long as may be", "POST", createPath, long[1:], []string{"Authorization", basic}, 400, googleBody(400, "the body is empty"), nil},
		{"create, empty", "POST", createPath, "", []string{"Authorization", basic}, 400, googleBody(400, "the body is empty"), nil},
		{"create, compressed", "POST", createPath, "{}", []string{"Authorization", basic, "Content-Encoding", "gzip"}, 415, googleBody(415, "the body must not be compressed"), nil},
		{"create, not compressed", "POST", createPath + "/", "{}", []string{"Authorization", basic, "Content-Encoding", "Identity"}, 400, `{"error":{"code":400,"field":"slot","message":"slot is required"}}`, nil},

		{"update, nobody", "POST", updatePath, "{}", nil, 401, exceptionBody(401, "UnauthorizedException"), []string{"Www-Authenticate", `Bearer realm="holdfast"`}},
		{"update, another scheme", "POST", updatePath, "{}", []string{"Authorization", basic}, 401, exceptionBody(401, "UnauthorizedException"), nil},
		{"update, no token", "POST", updatePath, "{}", []string{"Authorization", "Bearer "}, 401, exceptionBody(401, "UnauthorizedException"), nil},
		{"update, nobody, too long", "POST", updatePath, long, nil, 401, exceptionBody(401, "UnauthorizedException"), nil},
		{"unknown below schedule, nobody", "POST", "/schedule/nothing", "", nil, 401, exceptionBody(401, "UnauthorizedException"), nil},
		{"unknown below schedule", "POST", "/schedule/nothing", "", []string{"Authorization", bearer}, 404, exceptionBody(404, "NotFoundException"), nil},
		{"update, wrong verb", "PUT", updatePath, "", []string{"Authorization", bearer}, 405, exceptionBody(405, "MethodNotAllowedException"), []string{"Allow", "POST"}},
		{"update, too long", "POST", updatePath, long, []string{"Authorization", bearer}, 413, exceptionBody(413, "PayloadTooLargeException"), nil},
		{"update, compressed", "POST", updatePath, "{}", []string{"Authorization", bearer, "Content-Encoding", "br"}, 415, exceptionBody(415, "UnsupportedMediaTypeException"), nil},
		{"update, empty", "POST", updatePath, "", []string{"Authorization", "bearer x"}, 400, refused("InvalidCommandException", "body", "NotAvailable"), nil},
		{"update, an empty command", "POST", updatePath + "/", "{}", []string{"Authorization", bearer}, 400, refused("InvalidCommandException", "scheduleId", "Required"), []string{"Content-Type", "application/json"}},

		{"exchange, empty", "POST", exchangePath, "", nil, 400, refused("InvalidCommandException", "body", "NotAvailable"), nil},
		{"exchange, no key", "POST", exchangePath, "{}", nil, 400, refused("InvalidCommandException", "key", "Required"), nil},
		{"exchange, null", "POST", exchangePath, `{"key":null}`, nil, 400, refused("InvalidCommandException", "key", "Required"), nil},
		{"exchange, empty key", "POST", exchangePath, `{"key":""}`, nil, 400, refused("InvalidCommandException", "key", "Required"), nil},
		{"exchange, wrong type", "POST", exchangePath, `{"key":7}`, nil, 400, refused("InvalidCommandException", "key", "NotAvailable"), nil},
		{"exchange, no uuid", "POST", exchangePath, `{"key":"\u0000"}`, nil, 400, refused("InvalidRequestException", "key", "NotFound"), nil},
		{"exchange, too long", "POST", exchangePath, long, nil, 413, exceptionBody(413, "PayloadTooLargeException"), nil},
		{"exchange, wrong verb", "GET", exchangePath, "", nil, 405, exceptionBody(405, "MethodNotAllowedException"), []string{"Allow", "POST"}},
		{"unknown below open", "GET", "/open/nothing", "", nil, 404, exceptionBody(404, "NotFoundException"), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := send(h, c.method, c.path, c.body, c.header...)
			if got.status != c.status || got.body != c.want {
				t.Errorf("got  %d %s\nwant %d %s", got.status, got.body, c.status, c.want)
			}
			for i := 0; i < len(c.wantHeader); i += 2 {
				if v := got.header.Get(c.wantHeader[i]); v != c.wantHeader[i+1] {
					t.Errorf("%s: got %q, want %q", c.wantHeader[i], v, c.wantHeader[i+1])
				}
			}
			for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
				if v := got.header.Get(name); v != want {
					t.Errorf("%s: got %q, want %q", name, v, want)
				}
			}
			if got.header.Get("X-Request-Id") == "" {
				t.Error("no request id")
			}
		})
	}
}

// Every route except these four requires credentials.
func TestNoRouteWithoutCredentials(t *testing.T) {
	open := map[string]bool{"/livez": true, "/openapi.yaml": true, "/docs": true, exchangePath: true}
	c := testConfig(io.Discard, clinicOnly{})
	c.Credentials = nil
	e := New(c).(*echo.Echo)
	routes := 0
	for _, r := range e.Routes() {
		routes++
		if open[strings.TrimSuffix(r.Path, "/")] {
			continue
		}
		for _, header := range []string{"", "Basic Og=="} {
			if got := send(e, r.Method, r.Path, "{}", "Authorization", header); got.status != 401 {
				t.Errorf("%s %s with Authorization %q: got %d, want 401", r.Method, r.Path, header, got.status)
			}
		}
	}
	if routes != 70 {
		t.Errorf("%d routes, want 35 with and without a slash", routes)
	}
}

// A body of unannounced length is cut off, and the connection with it.
func TestChunkedBodyTooLong(t *testing.T) {
	srv := httptest.NewServer(New(testConfig(io.Discard, clinicOnly{})))
	defer srv.Close()
	for path, auth := range map[string]string{createPath: basic, updatePath: bearer, exchangePath: ""} {
		body := io.MultiReader(strings.NewReader(`{"slot":"`), strings.NewReader(strings.Repeat("x", edge.MaxBody)))
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", auth)
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
			t.Errorf("%s: got %s, connection closed: %v; want 413 and closed", path, resp.Status, resp.Close)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
	}
}

// The server reads no body of a caller without credentials, and none that announces too great a
// length.
func TestRefusedBeforeTheBodyIsRead(t *testing.T) {
	h := New(testConfig(io.Discard, clinicOnly{}))
	for _, c := range []struct {
		path, auth string
		length     int64
		want       int
	}{
		{createPath, "", 100, 401},
		{updatePath, "", 100, 401},
		{createPath, basic, edge.MaxBody + 1, 413},
		{updatePath, bearer, edge.MaxBody + 1, 413},
		{exchangePath, "", edge.MaxBody + 1, 413},
	} {
		r := httptest.NewRequest(http.MethodPost, c.path, unreadable{t})
		r.ContentLength = c.length
		r.Header.Set("Authorization", c.auth)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: got %d, want %d", c.path, w.Code, c.want)
		}
	}
}

type unreadable struct{ t *testing.T }

func (u unreadable) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, io.EOF
}

func TestRequestID(t *testing.T) {
	h := New(testConfig(io.Discard, clinicOnly{}))
	made := regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	for _, c := range []struct {
		in   string
		kept bool
	}{
		{"a", true},
		{"Trace_1.2-3", true},
		{strings.Repeat("x", 64), true},
		{strings.Repeat("x", 65), false},
		{"", false},
		{"a b", false},
		{"guest@example.com", false},
		{"é", false},
	} {
		got := send(h, "GET", "/livez", "", "X-Request-Id", c.in).header.Get("X-Request-Id")
		if kept := got == c.in; kept != c.kept || !kept && !made.MatchString(got) {
			t.Errorf("X-Request-Id %q was answered with %q", c.in, got)
		}
	}
}

func TestHealth(t *testing.T) {
	c := testConfig(io.Discard, clinicOnly{})
	c.Healthy = func(context.Context) error { return errors.New("no database") }
	got := send(New(c), "GET", "/v3/HealthCheck", "", "Authorization", basic)
	if got.status != 503 || got.body != `{"status":"NOT_SERVING"}` {
		t.Errorf("got %d %s", got.status, got.body)
	}
	if got := send(New(c), "GET", "/livez", ""); got.status != 200 {
		t.Errorf("livez: got %d", got.status)
	}
}

// If a token cannot be looked up, the answer does not say that it is wrong.
func TestTokensUnavailable(t *testing.T) {
	var log bytes.Buffer
	got := send(New(testConfig(&log, clinicOnly{err: errors.New("connection refused")})), "POST", updatePath, "{}", "Authorization", bearer)
	if want := exceptionBody(503, "ServiceUnavailableException"); got.status != 503 || got.body != want || got.header.Get("Retry-After") != "1" {
		t.Errorf("got %d %s, Retry-After %q", got.status, got.body, got.header.Get("Retry-After"))
	}
	if n := strings.Count(log.String(), "connection refused"); n != 1 {
		t.Errorf("logged %d times:\n%s", n, &log)
	}
	got = send(New(testConfig(io.Discard, clinicOnly{err: booking.ErrNotFound})), "POST", updatePath, "{}", "Authorization", bearer)
	if want := exceptionBody(401, "UnauthorizedException"); got.status != 401 || got.body != want {
		t.Errorf("unknown token: got %d %s", got.status, got.body)
	}
}

// The answer to an endpoint's error in each channel.
func TestErrors(t *testing.T) {
	const secret = "+82 10-1234-5678"
	failure := func(c booking.Cause, n int) error {
		return fmt.Errorf("run: %w", &booking.Failure{Cause: c, Resource: n, Detail: "why not"})
	}
	invalid := func(f booking.Field, n int) error {
		return fmt.Errorf("run: %w", &booking.Invalid{Field: f, Resource: n, Detail: "what is wrong"})
	}
	busy, internal := googleBody(503, "not possible at the moment: send the same request again"), googleBody(500, "internal error")
	clinicBusy, clinicInternal := exceptionBody(503, "ServiceUnavailableException"), exceptionBody(500, "InternalServerErrorException")
	for _, c := range []struct {
		name                   string
		err                    error
		status                 int // for Google
		google, clinic, logged string
	}{
		{"the slot is gone", failure(booking.SlotUnavailable, 1), 500, internal, refused("InvalidRequestException", "occupiedResources[1].startDateTimeUtc", "NotAvailable"), ""},
		{"another visit", failure(booking.OverlappingReservation, -1), 500, internal, refused("InvalidRequestException", "startDateTime", "NotAvailable"), ""},
		{"not reserved", failure(booking.NotReserved, -1), 500, internal, refused("InvalidRequestException", "status", "NotAvailable"), ""},
		{"a cause of the other channel", failure(booking.LeaseExpired, -1), 500, internal, clinicInternal, "internal error"},
		{"no such merchant", invalid(booking.FieldMerchant, -1), 400, `{"error":{"code":400,"field":"slot.merchant_id","message":"what is wrong"}}`, clinicInternal, ""},
		{"no such room", invalid(booking.FieldRoom, -1), 400, `{"error":{"code":400,"field":"slot.resources.room_id","message":"what is wrong"}}`, clinicInternal, ""},
		{"no such schedule", invalid(booking.FieldSchedule, -1), 500, internal, refused("InvalidRequestException", "scheduleId", "NotFound"), ""},
		{"no such zone", invalid(booking.FieldZone, -1), 500, internal, refused("InvalidRequestException", "zoneId", "NotFound"), ""},
		{"no such group", invalid(booking.FieldResourceGroup, 12), 500, internal, refused("InvalidRequestException", "occupiedResources[12].reservationGroupId", "NotFound"), ""},
		{"no such zone of a group", invalid(booking.FieldResourceZone, 0), 500, internal, refused("InvalidRequestException", "occupiedResources[0].zoneId", "NotFound"), ""},
		{"not known whether", fmt.Errorf("commit: %w", booking.ErrUnavailable), 503, busy, clinicBusy, "unavailable"},
		{"time is up", context.DeadlineExceeded, 503, busy, clinicBusy, "unavailable"},
		{"the caller hung up", context.Canceled, 503, busy, clinicBusy, "unavailable"},
		{"not found by a store", booking.ErrNotFound, 500, internal, clinicInternal, "internal error"},
		{"anything else", errors.New("disk on fire"), 500, internal, clinicInternal, "disk on fire"},
		{"a panic", nil, 500, internal, clinicInternal, "api_test.go"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fail := func(echo.Context) error {
				if c.err == nil {
					panic(secret)
				}
				return c.err
			}
			for path, want := range map[string]string{"/v3/Fail": c.google, "/open/fail": c.clinic} {
				var log bytes.Buffer
				e := New(testConfig(&log, clinicOnly{})).(*echo.Echo)
				e.POST(path, fail)
				got := send(e, "POST", path, "", "Authorization", basic, "X-Request-Id", "r-1")
				if got.body != want || !strings.Contains(want, fmt.Sprint(got.status)) || path == "/v3/Fail" && got.status != c.status {
					t.Errorf("got  %d %s\nwant %s", got.status, got.body, want)
				}
				if retry := got.header.Get("Retry-After"); (got.status == 503) != (retry == "1") {
					t.Errorf("%d with Retry-After %q", got.status, retry)
				}
				lines := strings.Split(strings.TrimSpace(log.String()), "\n")
				if want := map[bool]int{true: 2, false: 1}[got.status >= 500]; len(lines) != want {
					t.Errorf("%d log lines, want %d:\n%s", len(lines), want, &log)
				}
				for _, line := range lines {
					if !strings.Contains(line, `"request_id":"r-1"`) {
						t.Errorf("a log line without the request id: %s", line)
					}
				}
				if !strings.Contains(log.String(), c.logged) || strings.Contains(log.String(), secret) {
					t.Errorf("want %q in the log and %q not:\n%s", c.logged, secret, &log)
				}
			}
		})
	}
}

// Neither guests' data nor credentials get into the log or into the answer to a refused request.
func TestNothingPersonalIsTold(t *testing.T) {
	const canary = "Canary"
	var log bytes.Buffer
	h := New(testConfig(&log, clinicOnly{}))
	var answers strings.Builder
	tell := func(method, path, body, auth string) {
		got := send(h, method, path, body, "Authorization", auth, "X-Request-Id", canary+" ", "User-Agent", canary, "X-Forwarded-For", canary)
		answers.WriteString(got.body)
		fmt.Fprint(&answers, got.header)
	}
	for _, body := range []string{
		`{"slot":"Canary"}`,
		`{"slot":{"start_sec":"Canary"}}`,
		`{"slot":{"confirmation_mode":"Canary"}}`,
		`{"Canary":{"Canary":"Canary"}}`,
		`{"payment_processing_parameters":{"tokenization_config":{"tokenization_parameter":{"Canary":1}}}}`,
		`{"user_information":{"given_name":"Canary","given_name":"Canary"}}`,
		`{"user_information":{"given_name":"Canary","givenName":"Canary"}}`,
		`{"user_information":{"given_name":"\ud800Canary"}}`,
		`Canary`, `{"Canary`, `{} Canary`, "{\"Canary\": \"\xff\"}",
		creation("Canary"+strings.Repeat("y", 40), "a@example.com"),
		creation("A", `Canary\u0000`),
	} {
		tell("POST", createPath+"?q=Canary", body, basic)
		tell("POST", updatePath, body, bearer)
		tell("POST", exchangePath, body, "")
	}
	for _, body := range []string{
		`{"scheduleId":"s","zoneId":"z","occupiedResources":"Canary"}`,
		`{"requestedProcedures":[{"optionConfiguration":{"medicalService":{"translsMap":{"Canary":"Canary"}}}}]}`,
		update(`"connectedChannel":"Canary"`),
		update(`"requestedProcedures":[{"type":"TICKET","ticketConfiguration":{"ticketId":"1","ticketTitle":"2","optionTitle":"3","medicalService":{"translsMap":{"Canary\u0000":{}}}}}]`),
		update(`"reservationMemo":"Canary\u0000"`),
		`{"key":"Canary"}`,
	} {
		tell("POST", updatePath, body, bearer)
		tell("POST", exchangePath, body, "")
	}
	tell("GET", "/Canary", "", "")
	tell("GET", "/v3/Canary", "", "Bearer Canary")
	tell("CANARY", "/v3/HealthCheck", "", basic)
	for what, text := range map[string]string{"log": log.String(), "answers": answers.String()} {
		for _, word := range []string{canary, strings.ToUpper(canary), "s3cret", strings.Fields(basic)[1], strings.Fields(bearer)[1]} {
			if strings.Contains(text, word) {
				t.Errorf("%q in the %s:\n%s", word, what, text)
			}
		}
	}
}

func TestAccessLog(t *testing.T) {
	var log bytes.Buffer
	c := testConfig(&log, clinicOnly{})
	send(New(c), "POST", createPath+"/?x=1", `{"slot":7}`, "Authorization", basic, "X-Request-Id", "r-1")
	send(New(c), "POST", updatePath, `{"scheduleId":7}`, "Authorization", bearer, "X-Request-Id", "r-2")
	send(New(c), "GET", "/nothing", "", "X-Request-Id", "r-3")
	duration := regexp.MustCompile(`"time":"[^"]*",|"duration_ms":[0-9.]+,`)
	want := `{"level":"INFO","msg":"request","method":"POST","route":"/v3/CreateBooking","status":400,"request_id":"r-1","caller":"google","field":"slot"}
{"level":"INFO","msg":"request","method":"POST","route":"/schedule/open/v2/commands/update-reservation","status":400,"request_id":"r-2","caller":"clinic-1","field":"scheduleId","cause":"NotAvailable"}
{"level":"INFO","msg":"request","method":"GET","route":"unmatched","status":404,"request_id":"r-3"}
`
	if got := duration.ReplaceAllString(log.String(), ""); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Every field that only stored state can show to be wrong has a spelling in some channel.
func TestEveryFieldIsSpelled(t *testing.T) {
	for _, f := range booking.Fields() {
		spelled := false
		for _, path := range []string{"/v3/Fail", "/open/fail"} {
			e := New(testConfig(io.Discard, clinicOnly{})).(*echo.Echo)
			e.POST(path, func(echo.Context) error { return &booking.Invalid{Field: f, Resource: -1, Detail: "what is wrong"} })
			spelled = spelled || send(e, "POST", path, "", "Authorization", basic).status == 400
		}
		if !spelled {
			t.Errorf("field %d is spelled in no channel", f)
		}
	}
}
