package api

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/api/edge"
	"holdfast/booking"
)

// from sends a request from an address.
func from(h http.Handler, remote, path, body string, header ...string) answer {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.RemoteAddr = remote
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return answer{w.Code, w.Header(), w.Body.String()}
}

// guarded is a handler behind a proxy in 192.0.2.0/24 that allows only two failed attempts per
// address.
func guarded(t *testing.T, log *bytes.Buffer, store booking.Store) http.Handler {
	t.Helper()
	_, proxies, err := net.ParseCIDR("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(log, store)
	c.Attempts, c.Proxies = edge.NewAttempts(2, time.Hour), []*net.IPNet{proxies}
	return New(c)
}

// Callers who fail too often get 429, on every way in. Valid credentials still work, even from that
// very address.
func TestFailedAttempts(t *testing.T) {
	const wrong, spent, free = "Basic Z29vZ2xlOmd1ZXNz", "203.0.113.7:1234", "203.0.113.8:1234"
	none := clinicOnly{err: booking.ErrNotFound}
	for _, c := range []struct {
		name, path, body, auth string
		status                 int // of the first
	}{
		{"Google's, wrong", createPath, "{}", wrong, 401},
		{"Google's, none", createPath, "{}", "", 401},
		{"a clinic's token", updatePath, "{}", bearer, 401},
		{"a clinic's key", exchangePath, `{"key":"7d7a6a3e-5a2e-4d3f-8a53-1a2b3c4d5e6f"}`, "", 400},
		{"unknown paths", "/v3/Nothing", "", wrong, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			h := guarded(t, &log, none)
			for i, want := range []int{c.status, c.status, 429, 429} {
				got := from(h, spent, c.path, c.body, "Authorization", c.auth)
				if got.status != want || want == 429 && (got.header.Get("Retry-After") != "1" || got.header.Get("WWW-Authenticate") != "") {
					t.Errorf("attempt %d: got %d %s %v, want %d", i+1, got.status, got.body, got.header, want)
				}
			}
			if got := from(h, spent, createPath, "{}", "Authorization", basic); got.status != 400 {
				t.Errorf("good credentials from the same address: got %d %s", got.status, got.body)
			}
			if got := from(h, free, c.path, c.body, "Authorization", c.auth); got.status != c.status {
				t.Errorf("another address: got %d, want %d", got.status, c.status)
			}
			if n := strings.Count(log.String(), `"too many failed attempts","peer":"203.0.113.7"`); n != 1 {
				t.Errorf("told %d times:\n%s", n, &log)
			}
		})
	}
	t.Run("a good token", func(t *testing.T) {
		h := guarded(t, &bytes.Buffer{}, clinicOnly{})
		for range 3 {
			from(h, spent, updatePath, "{}", "Authorization", "")
		}
		if got := from(h, spent, updatePath, "{}", "Authorization", bearer); got.status != 400 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	})
}

// Nobody can shed their failures, or shift them to somebody else, by sending X-Forwarded-For.
func TestForgedForwardedFor(t *testing.T) {
	const proxy, stranger = "192.0.2.1:80", "203.0.113.7:1234"
	for _, c := range []struct {
		name, remote, forwarded string // of the attempts; %d is their number
		other, otherForwarded   string // whose bucket is looked at afterwards
		empty                   bool
	}{
		{"a stranger who names another each time", stranger, "198.51.100.%d", stranger, "198.51.100.99", true},
		{"a stranger who names a victim", stranger, "198.51.100.1", "198.51.100.1:1", "", false},
		{"a stranger who names a victim behind our proxy", stranger, "198.51.100.1", proxy, "198.51.100.1", false},
		{"a stranger who names our proxy", stranger, "192.0.2.1", proxy, "", false},
		{"one behind our proxy", proxy, "203.0.113.7", proxy, "203.0.113.7", true},
		{"its neighbour", proxy, "203.0.113.7", proxy, "203.0.113.8", false},
		{"one behind our proxy who names another each time", proxy, "198.51.100.%d, 203.0.113.7", proxy, "198.51.100.99, 203.0.113.7", true},
		{"one behind our proxy, with the port it comes from", proxy, "203.0.113.7:%d", proxy, "203.0.113.7", true},
		{"its neighbour, with a port", proxy, "203.0.113.7:1", proxy, "203.0.113.8:1", false},
		{"one with IPv6 in brackets and a port", proxy, "[2001:db8::7]:%d", proxy, "2001:db8::8", true},
		{"one with IPv6 in brackets", proxy, "[2001:db8::7]", proxy, "[2001:db8::7]:1", true},
		{"one with IPv4 in IPv6's words", proxy, "[::ffff:203.0.113.7]:%d", proxy, "203.0.113.7", true},
		{"one behind two of our proxies, all with ports", proxy, "198.51.100.%d:1, 203.0.113.7:2, 192.0.2.9:3", proxy, "203.0.113.7", true},
		{"one behind two of our proxies", proxy, "198.51.100.%d, 203.0.113.7, 192.0.2.9", proxy, "203.0.113.7", true},
		{"one behind our proxy who names a victim", proxy, "198.51.100.1, 203.0.113.7", proxy, "198.51.100.1", false},
		{"nonsense through our proxy is the proxy's", proxy, "x%d", proxy, "y", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := guarded(t, &bytes.Buffer{}, clinicOnly{})
			for i := range 4 {
				forwarded := c.forwarded
				if strings.Contains(forwarded, "%d") {
					forwarded = fmt.Sprintf(forwarded, i)
				}
				from(h, c.remote, createPath, "{}", "X-Forwarded-For", forwarded, "X-Real-Ip", fmt.Sprint("198.51.100.", i), "Forwarded", fmt.Sprint("for=198.51.100.", i))
			}
			var header []string
			if c.otherForwarded != "" {
				header = []string{"X-Forwarded-For", c.otherForwarded}
			}
			want := map[bool]int{true: 429, false: 401}[c.empty]
			if got := from(h, c.other, createPath, "{}", header...); got.status != want {
				t.Errorf("got %d, want %d", got.status, want)
			}
		})
	}
}

// PutToken knows no key.
func (clinicOnly) PutToken(context.Context, []byte, []byte, int64, int64, int) error {
	return booking.ErrNotFound
}
