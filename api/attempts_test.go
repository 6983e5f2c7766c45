package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/booking"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// A peer has so many failed attempts at once, and one more with every refill.
func TestAttempts(t *testing.T) {
	a := NewAttempts(3, time.Second)
	for _, c := range []struct {
		after       time.Duration // since noon
		peer        string
		taken, last bool
	}{
		{0, "192.0.2.1", true, false},
		{0, "192.0.2.1", true, false},
		{0, "192.0.2.1", true, true},
		{0, "192.0.2.1", false, false},
		{0, "192.0.2.2", true, false}, // another
		{500 * time.Millisecond, "192.0.2.1", false, false},
		{time.Second, "192.0.2.1", true, true},
		{time.Second, "::ffff:192.0.2.1", false, false}, // the same, in IPv6's words
		{time.Hour, "192.0.2.1", true, false},           // full, and no fuller
		{time.Hour, "192.0.2.1", true, false},
		{time.Hour, "192.0.2.1", true, true},
		{time.Hour, "192.0.2.1", false, false},
		{0, "2001:db8::1", true, false},
		{0, "2001:db8::2", true, false}, // the same network
		{0, "2001:db8:0:0:ffff::3%eth0", true, true},
		{0, "2001:db8::4", false, false},
		{0, "2001:db8:0:1::1", true, false}, // the next one
		{0, "nonsense", true, false},
		{0, "", true, false}, // all that are none are one
		{0, "@", true, true},
	} {
		taken, last, _ := a.take(c.peer, noon.Add(c.after))
		if taken != c.taken || last != c.last {
			t.Errorf("%s at %v: taken %v, last %v; want %v, %v", c.peer, c.after, taken, last, c.taken, c.last)
		}
	}
	if !a.empty("2001:db8::5", noon) || a.empty("2001:db8::5", noon.Add(time.Second)) || a.empty("192.0.2.9", noon) {
		t.Error("empty does not say what take does")
	}
}

// However many fail, memory is bounded: the rest share a bucket until the others
// are full again.
func TestAttemptsOfMany(t *testing.T) {
	a := NewAttempts(2, time.Second)
	peer := func(i int) string { return fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255) }
	taken := func(i int, now time.Time) bool { ok, _, _ := a.take(peer(i), now); return ok }
	for i := range 2 * maxPeers {
		taken(i, noon)
	}
	if len(a.buckets) > maxPeers+1 {
		t.Errorf("%d buckets are kept", len(a.buckets))
	}
	if !taken(1, noon) || taken(2*maxPeers, noon) {
		t.Error("one of the first has a bucket of its own, one of the last has none")
	}
	later := noon.Add(time.Hour)
	if !taken(2*maxPeers, later) || len(a.buckets) != 1 {
		t.Errorf("%d buckets are kept after a quiet hour, want 1", len(a.buckets))
	}
}

// After many failures each one more waits, and only so many at a time; good
// credentials from the same address do not.
func TestManyFailuresAreSlow(t *testing.T) {
	const guesser, wrong = "203.0.113.7:1", "Basic Z29vZ2xlOmd1ZXNz"
	c := testConfig(io.Discard, clinicOnly{})
	c.Attempts = NewAttempts(2, time.Hour)
	c.Attempts.penalty = 300 * time.Millisecond
	h := New(c)
	for range slowAfter {
		from(h, guesser, createPath, "{}", "Authorization", wrong)
	}
	var slow, ended atomic.Int64
	var guesses sync.WaitGroup
	for range 2 * waitingEach {
		guesses.Go(func() {
			defer func() {
				if recover() != nil { // http.ErrAbortHandler
					ended.Add(1)
				}
			}()
			started := time.Now()
			if got := from(h, guesser, createPath, "{}", "Authorization", wrong); got.status != 429 || time.Since(started) < c.Attempts.penalty {
				t.Errorf("got %d after %v", got.status, time.Since(started))
			}
			slow.Add(1)
		})
	}
	for end := time.Now().Add(10 * time.Second); c.Attempts.slowed() == 0 && time.Now().Before(end); { // it may have missed them
		time.Sleep(time.Millisecond)
	}
	started := time.Now()
	if got := from(h, guesser, createPath, "{}", "Authorization", basic); got.status != 400 || c.Attempts.slowed() == 0 && time.Since(started) > c.Attempts.penalty {
		t.Errorf("good credentials: got %d after %v", got.status, time.Since(started))
	}
	guesses.Wait()
	if slow.Load() < waitingEach || slow.Load()+ended.Load() != 2*waitingEach {
		t.Errorf("%d were slow, %d ended", slow.Load(), ended.Load())
	}
	if n := c.Attempts.slowed(); n != 0 || len(c.Attempts.waiting) != 0 {
		t.Errorf("%d still wait", n)
	}
	started = time.Now()
	if got := from(h, "203.0.113.8:1", createPath, "{}", "Authorization", wrong); got.status != 401 {
		t.Errorf("another address: got %d after %v", got.status, time.Since(started))
	}
}

func (a *Attempts) slowed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waits
}

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

// guarded is a handler behind a proxy of 192.0.2.0/24 that takes two failed
// attempts of each address and no more.
func guarded(t *testing.T, log *bytes.Buffer, store booking.Store) http.Handler {
	t.Helper()
	_, proxies, err := net.ParseCIDR("192.0.2.0/24")
	if err != nil {
		t.Fatal(err)
	}
	c := testConfig(log, store)
	c.Attempts, c.Proxies = NewAttempts(2, time.Hour), []*net.IPNet{proxies}
	return New(c)
}

// Who fails too often is told 429, on every way in. Good credentials are good
// all the same, also from that very address.
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

// Nobody gets rid of their failures, or puts them on somebody else, by writing
// X-Forwarded-For.
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

// slowTokens is a store in which looking up a token takes until it is let go.
type slowTokens struct {
	clinicOnly
	asked, answer chan struct{}
}

func (s slowTokens) TokenMerchant(ctx context.Context, digest []byte, now int64) (string, string, error) {
	s.asked <- struct{}{}
	<-s.answer
	return s.clinicOnly.TokenMerchant(ctx, digest, now)
}

// A flood of wrong tokens from one address has a few places in the database. Who
// finds none is told to come again, others do not notice.
func TestLookupsOfWhoFails(t *testing.T) {
	s := slowTokens{clinicOnly{err: booking.ErrNotFound}, make(chan struct{}), make(chan struct{})}
	c := testConfig(&bytes.Buffer{}, s)
	c.Attempts, c.Log = NewAttempts(1, time.Hour), slog.New(slog.DiscardHandler)
	h := New(c)
	from(h, "203.0.113.7:1", createPath, "{}") // the one that it has
	const flood = 20
	answers := make(chan int, flood)
	for range flood {
		go func() { answers <- from(h, "203.0.113.7:1", updatePath, "{}", "Authorization", bearer).status }()
	}
	for range cap(c.Attempts.places) {
		<-s.asked
	}
	for range flood - cap(c.Attempts.places) {
		if got := <-answers; got != 503 {
			t.Errorf("got %d, want 503", got)
		}
	}
	other := make(chan int)
	go func() { other <- from(h, "203.0.113.8:1", updatePath, "{}", "Authorization", bearer).status }()
	<-s.asked // although all places are taken
	close(s.answer)
	if got := <-other; got != 401 {
		t.Errorf("another address: got %d, want 401", got)
	}
	for range cap(c.Attempts.places) {
		if got := <-answers; got != 429 {
			t.Errorf("one that had a place: got %d, want 429", got)
		}
	}
}

// PutToken knows no key.
func (clinicOnly) PutToken(context.Context, []byte, []byte, int64, int64, int) error {
	return booking.ErrNotFound
}
