package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/api/edge"
	"holdfast/api/google"
	"holdfast/inventory"
)

// waiting is a store that does not answer requests for the merchant m until it is released.
type waiting struct {
	clinicOnly
	asked, answer chan struct{}
}

func (s waiting) Merchant(ctx context.Context, id string) (*inventory.Merchant, error) {
	if id != "m" {
		return s.clinicOnly.Merchant(ctx, id)
	}
	s.asked <- struct{}{}
	<-s.answer
	return nil, errors.New("served so far")
}

// partner is the kind of caller that Google is.
func partner() *edge.Kind { return google.Routes(google.Config{})[0].Kind }

const (
	free       = 4 << 10 // bytes that need no room besides the place
	maxKeyBody = 4 << 10 // bytes of the body of exchange-token
)

// The number of Google's concurrent requests, and of their bodies' bytes, is bounded. One more is told at once to come
// again, but callers of other kinds are not.
func TestServedAtATime(t *testing.T) {
	small := `{"slot":{"merchant_id":"m","service_id":"s","start_sec":"1","duration_sec":"1"},"user_information":{"user_id":"u","given_name":"A","family_name":"B","email":"a@example.com","telephone":"+1 650-253-0000"},"idempotency_token":"t"}`
	large := strings.Replace(small, "{", "{"+strings.Repeat(" ", edge.MaxBody-len(small)), 1)
	most := partner().Each
	for _, c := range []struct {
		name, body string
		most       int
	}{
		{"requests", small, most.Places},
		{"bytes", large, int(most.Bytes / (edge.Expansion*edge.MaxBody - free))},
	} {
		t.Run(c.name, func(t *testing.T) {
			store := waiting{clinicOnly{}, make(chan struct{}), make(chan struct{})}
			config := testConfig(io.Discard, store)
			config.Bookings.NewID = uuid.New
			h := New(config)
			ask := func() int { return send(h, "POST", createPath, c.body, "Authorization", basic).status }
			answers := make(chan int, c.most)
			for range c.most {
				go func() { answers <- ask() }()
				select {
				case <-store.asked:
				case got := <-answers:
					t.Fatalf("answered %d without asking the store", got)
				}
			}
			more := make(chan answer, 1)
			go func() { more <- send(h, "POST", createPath, c.body, "Authorization", basic) }()
			select {
			case got := <-more:
				if got.status != 503 || got.header.Get("Retry-After") != "1" {
					t.Errorf("one more: got %d %s", got.status, got.body)
				}
			case <-store.asked:
				t.Fatal("one more is served")
			}
			if got := send(h, "POST", createPath, "{}", "Authorization", "Basic eDp4").status; got != 401 {
				t.Errorf("a stranger: got %d, want 401", got)
			}
			for path, auth := range map[string]string{updatePath: bearer, exchangePath: ""} {
				if got := send(h, "POST", path, "{}", "Authorization", auth).status; got != 400 {
					t.Errorf("%s: got %d, want 400", path, got)
				}
			}
			close(store.answer)
			for range c.most {
				if got := <-answers; got != 500 {
					t.Errorf("one of those that were served: got %d, want 500", got)
				}
			}
			go func() { <-store.asked }()
			if got := ask(); got != 500 {
				t.Errorf("afterwards: got %d, want 500", got)
			}
		})
	}
}

// endless is a body without an end that counts what was read of it.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	e.read += len(b)
	return len(b), nil
}

// The server reads no more of a body of unannounced length than it may, and much less of a stranger's. What it took is
// given back.
func TestEndlessBody(t *testing.T) {
	h := New(testConfig(io.Discard, clinicOnly{}))
	for range 2 * partner().All.Bytes / edge.MaxBody {
		for _, c := range []struct {
			path, auth string
			most       int
		}{{createPath, basic, edge.MaxBody}, {updatePath, bearer, edge.MaxBody}, {exchangePath, "", maxKeyBody}, {createPath, "", 0}, {updatePath, "", 0}} {
			body := &endless{}
			r := httptest.NewRequest(http.MethodPost, c.path, body)
			r.Header.Set("Authorization", c.auth)
			r.ContentLength = -1
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if want := map[bool]int{true: 413, false: 401}[c.most > 0]; w.Code != want || body.read > 2*c.most {
				t.Fatalf("%s: got %d after %d bytes, want %d", c.path, w.Code, body.read, want)
			}
		}
	}
}

// Anything instead of JSON is a 400, however deep, long or broken.
func TestGarbage(t *testing.T) {
	deep := func(n int, open, end string) string { return strings.Repeat(open, n) + strings.Repeat(end, n) }
	h := New(testConfig(io.Discard, clinicOnly{}))
	for name, body := range map[string]string{
		"10,000 arrays":             `{"slot":` + deep(10_000, "[", "]") + "}",
		"10,000 objects":            deep(10_000, `{"slot":`, "") + "1" + strings.Repeat("}", 10_000),
		"an unknown member as deep": `{"x":` + deep(9_990, "[", "]") + "}",
		"deeper than the limit":     deep(edge.MaxBody/2, "[", "]"),
		"only beginnings":           strings.Repeat("[", edge.MaxBody),
		"objects without end":       strings.Repeat(`{"a":`, edge.MaxBody/5),
		"a member twice":            `{"slot":{},"slot":{}}`,
		"a member twice, deep down": `{"x":[{"y":{"z":1,"\u007a":2}}]}`,
		"two documents":             `{}{}`,
		"something behind":          `{} x`,
		"a NUL behind":              "{}\x00",
		"bytes that are no UTF-8":   "{\"x\":\"\xc3\x28\"}",
		"overlong UTF-8":            "{\"x\":\"\xc0\xaf\"}",
		"half a surrogate":          "{\"x\":\"\xed\xa0\x80\"}",
		"a byte order mark":         "\ufeff{}",
		"UTF-16":                    "{\x00}\x00",
		"a long number":             `{"slot":{"start_sec":` + strings.Repeat("9", 200_000) + `}}`,
		"a large exponent":          `{"slot":{"start_sec":1e999999999}}`,
		"a long name":               `{"` + strings.Repeat("a", 200_000) + `":1}`,
		"many members": "{" + strings.TrimSuffix(func() string {
			var b bytes.Buffer
			for i := range 20_000 {
				b.WriteString(`"` + strings.Repeat("k", i%5) + string(rune('a'+i%26)) + `":1,`)
			}
			return b.String()
		}(), ",") + "}",
		"many empty objects": `{"x":[` + strings.TrimSuffix(strings.Repeat("{},", 80_000), ",") + `]}`,
		"gzip":               "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
		"a form":             "slot=1&user=2",
		"NaN":                `{"slot":NaN}`,
		"a comment":          `{/**/}`,
	} {
		for path, auth := range map[string]string{createPath: basic, updatePath: bearer, exchangePath: ""} {
			got := send(h, "POST", path, body, "Authorization", auth)
			if got.status != 400 && !(path == exchangePath && got.status == 413) {
				t.Errorf("%s to %s: got %d %.200s", name, path, got.status, got.body)
			}
			if len(got.body) > 1000 {
				t.Errorf("%s to %s: an answer of %d bytes", name, path, len(got.body))
			}
		}
	}
}

// Nothing that a caller makes up gets into a header of an answer.
func TestHeaderInjection(t *testing.T) {
	h := New(testConfig(io.Discard, clinicOnly{}))
	for _, evil := range []string{"a\r\nSet-Cookie: b=1", "a\nSet-Cookie: b=1", "a\rSet-Cookie: b", "a\x00b", "\u2028Set-Cookie: b", "%0d%0aSet-Cookie:%20b=1", "<script>"} {
		r := httptest.NewRequest(http.MethodPost, "/v3/x", strings.NewReader(`{"slot":"`+evil+`"}`))
		r.URL.Path, r.URL.RawQuery = createPath, evil
		r.Method = "POST"
		r.Header = http.Header{"Authorization": {basic}, "X-Request-Id": {evil}, "Origin": {evil}, "Accept": {evil}, "Host": {evil}, "X-Forwarded-For": {evil}, "X-Forwarded-Proto": {evil}}
		r.Host = evil
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		for name, values := range w.Header() {
			if joined := name + strings.Join(values, "\n"); strings.Contains(joined, "Cookie") || strings.Contains(joined, "script") || strings.ContainsAny(joined, "\r\n\x00") {
				t.Errorf("%q: header %s: %q", evil, name, values)
			}
		}
		if w.Code != 400 || strings.Contains(w.Body.String(), "Cookie") {
			t.Errorf("%q: got %d %s", evil, w.Code, w.Body)
		}
	}
}

// A body that breaks off is a 400, and its place is free again.
func TestBodyBreaksOff(t *testing.T) {
	h := New(testConfig(io.Discard, clinicOnly{}))
	for range 100 {
		r := httptest.NewRequest(http.MethodPost, createPath, io.MultiReader(strings.NewReader(`{"slot":`), broken{}))
		r.ContentLength = edge.MaxBody
		r.Header.Set("Authorization", basic)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != 400 {
			t.Fatalf("got %d %s", w.Code, w.Body)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("reset by peer") }

// After a request of unannounced length the server reads nothing more from the connection, because a proxy may have seen
// the body's end elsewhere.
func TestChunkedEndsItsConnection(t *testing.T) {
	srv := httptest.NewServer(New(testConfig(io.Discard, clinicOnly{})))
	defer srv.Close()
	for _, c := range []struct {
		name, length string
		ends         bool
	}{
		{"announced", "Content-Length: 2\r\n\r\n{}", false},
		{"chunked", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true},
		{"both", "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", true},
	} {
		for path, auth := range map[string]string{createPath: basic, updatePath: bearer, exchangePath: "", "/nowhere": "", "/v3/x": "wrong"} {
			conn, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			request := "POST " + path + " HTTP/1.1\r\nHost: h\r\nAuthorization: " + auth + "\r\n" + c.length
			if _, err := io.WriteString(conn, request+"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			answers, err := io.ReadAll(conn)
			if err != nil {
				t.Fatal(err)
			}
			if n := bytes.Count(answers, []byte("HTTP/1.1 ")); (n == 1) != c.ends {
				t.Errorf("%s to %s: %d answers\n%s", c.name, path, n, answers)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}
