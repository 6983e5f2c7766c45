package edge

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// A peer has a number of failed attempts at once, and one more with every refill.
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

// However many peers fail, memory is bounded: the rest share a bucket until the others are full again.
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

// After many failures each further one waits, and only a bounded number at a time. Valid credentials from the
// same address do not wait.
func TestManyFailuresAreSlow(t *testing.T) {
	const guesser = "203.0.113.7:1"
	attempts := NewAttempts(2, time.Hour)
	attempts.penalty = 300 * time.Millisecond
	h := New(Config{Attempts: attempts}, nil, bakery(nil))
	for range slowAfter {
		from(h, guesser, "wrong")
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
			if got := from(h, guesser, "wrong"); got.Code != 429 || time.Since(started) < attempts.penalty {
				t.Errorf("got %d after %v", got.Code, time.Since(started))
			}
			slow.Add(1)
		})
	}
	for end := time.Now().Add(10 * time.Second); attempts.slowed() == 0 && time.Now().Before(end); { // it may have missed them
		time.Sleep(time.Millisecond)
	}
	started := time.Now()
	if got := from(h, guesser, "flour"); got.Code != 200 || attempts.slowed() == 0 && time.Since(started) > attempts.penalty {
		t.Errorf("good credentials: got %d after %v", got.Code, time.Since(started))
	}
	guesses.Wait()
	if slow.Load() < waitingEach || slow.Load()+ended.Load() != 2*waitingEach {
		t.Errorf("%d were slow, %d ended", slow.Load(), ended.Load())
	}
	if n := attempts.slowed(); n != 0 || len(attempts.waiting) != 0 {
		t.Errorf("%d still wait", n)
	}
	started = time.Now()
	if got := from(h, "203.0.113.8:1", "wrong"); got.Code != 401 {
		t.Errorf("another address: got %d after %v", got.Code, time.Since(started))
	}
}

func (a *Attempts) slowed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.waits
}

// A flood of wrong tokens from one address gets only a few places in the database. Requests without one are told
// to come again, and others do not notice.
func TestLookupsOfWhoFails(t *testing.T) {
	attempts := NewAttempts(1, time.Hour)
	asked, answer := make(chan struct{}), make(chan struct{})
	b := bakery(func(r *http.Request) (Caller, error) { // looks a secret up until it is let go
		leave, err := attempts.Enter(r.Context())
		if err != nil {
			return Caller{}, err
		}
		defer leave()
		asked <- struct{}{}
		<-answer
		return Caller{}, ErrUnauthorized
	})
	attempts.take("203.0.113.7", time.Now()) // the one that it has
	h := New(Config{Attempts: attempts}, nil, b)
	const flood = 20
	answers := make(chan int, flood)
	for range flood {
		go func() { answers <- from(h, "203.0.113.7:1", "wrong").Code }()
	}
	for range cap(attempts.places) {
		<-asked
	}
	for range flood - cap(attempts.places) {
		if got := <-answers; got != 503 {
			t.Errorf("got %d, want 503", got)
		}
	}
	other := make(chan int)
	go func() { other <- from(h, "203.0.113.8:1", "wrong").Code }()
	<-asked // although all places are taken
	close(answer)
	if got := <-other; got != 401 {
		t.Errorf("another address: got %d, want 401", got)
	}
	for range cap(attempts.places) {
		if got := <-answers; got != 429 {
			t.Errorf("one that had a place: got %d, want 429", got)
		}
	}
}
