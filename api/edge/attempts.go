package edge

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/booking"
)

// Attempts limits how often somebody may show wrong credentials. Each address has a bucket of
// tokens, and a failed attempt takes one.
//
// Valid credentials work whatever the bucket says. Behind one address there may be a whole city, or
// a proxy with a partner, and otherwise whoever emptied the bucket of that address could lock them
// all out. So the limit does not protect a secret that can be guessed; only the secret's length
// does. What the limit does: further failures achieve nothing (429, without any costly lookup), the
// operator hears of them, and where a secret is looked up in the database, an address with an empty
// bucket has only a few places there. After a thousand failures the address waits a second for each
// "no", and only a few of its requests may wait at a time: the edge closes the connections of the
// others.
type Attempts struct {
	burst   float64
	refill  time.Duration // time for one token, and until one failure is forgotten
	penalty time.Duration // how long a peer that has failed too often waits for an answer
	places  chan struct{} // in the database, for all whose buckets are empty

	mu      sync.Mutex
	buckets map[netip.Addr]bucket
	swept   time.Time          // when those that are full again were last thrown away
	waiting map[netip.Addr]int // attempts waiting for their answer
	waits   int                // all of them
}

// slowAfter is after how many failures an address waits for its answers. The others bound how many
// attempts may wait, of one address and in all.
const (
	slowAfter   = 1000
	waitingEach = 32
	waitingAll  = 256
)

// bucket was this full at that time. A bucket that is full again, with all failures forgotten, need
// not be kept.
type bucket struct {
	tokens float64
	failed float64
	at     time.Time
}

// NewAttempts returns a limit of burst failed attempts at once, and one more with every refill.
func NewAttempts(burst int, refill time.Duration) *Attempts {
	return &Attempts{
		burst: float64(burst), refill: refill, penalty: time.Second, places: make(chan struct{}, 4),
		buckets: map[netip.Addr]bucket{}, waiting: map[netip.Addr]int{},
	}
}

// maxPeers is how many addresses have buckets of their own. If more fail at a time, the rest share
// one bucket: that bounds memory, and an attack from that many places is one attack.
const maxPeers = 10_000

// everybodyElse is the key of the shared bucket.
var everybodyElse = netip.Addr{}

// peerKey is the address that a bucket is for.
func peerKey(peer string) netip.Addr {
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return everybodyElse
	}
	return network(addr)
}

// network returns the addresses that one customer has: with IPv6 at least 2^64, so there it is the
// /64.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if addr.Is6() {
		prefix, err := addr.Prefix(64)
		if err != nil {
			return everybodyElse
		}
		return prefix.Addr()
	}
	return addr
}

// left returns a peer's bucket as of now. It needs the lock.
func (a *Attempts) left(key netip.Addr, now time.Time) bucket {
	b, known := a.buckets[key]
	if !known {
		return bucket{a.burst, 0, now}
	}
	refilled := float64(now.Sub(b.at)) / float64(a.refill)
	return bucket{min(a.burst, b.tokens+refilled), max(0, b.failed-refilled), now}
}

// empty reports whether a peer has failed too often.
func (a *Attempts) empty(peer string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.left(a.room(peerKey(peer), now), now).tokens < 1
}

// take takes a token from a peer's bucket. It reports whether there was one, whether it was the last,
// and whether the peer has failed so often that it must wait.
func (a *Attempts) take(peer string, now time.Time) (taken, last, slow bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	key := a.room(peerKey(peer), now)
	b := a.left(key, now)
	if b.tokens >= 1 {
		taken = true
		b.tokens--
	}
	b.failed = min(b.failed+1, slowAfter+1)
	a.buckets[key] = b
	return taken, taken && b.tokens < 1, b.failed > slowAfter
}

// room returns the key of a peer's bucket: its own if there is room for that. It needs the lock.
func (a *Attempts) room(key netip.Addr, now time.Time) netip.Addr {
	if _, known := a.buckets[key]; known || len(a.buckets) < maxPeers {
		return key
	}
	if now.Sub(a.swept) >= a.refill { // sweeping takes time, and sooner no bucket would be full again
		a.swept = now
		for k := range a.buckets {
			if b := a.left(k, now); b.tokens >= a.burst && b.failed == 0 {
				delete(a.buckets, k)
			}
		}
	}
	if len(a.buckets) < maxPeers {
		return key
	}
	return everybodyElse
}

// errTooMany replaces the actual refusal.
var errTooMany = &Refusal{http.StatusTooManyRequests, "too many failed attempts"}

// wait delays a peer that has failed too often. It returns false if too many attempts wait already.
// Hanging up does not shorten the wait.
func (a *Attempts) wait(key netip.Addr) bool {
	a.mu.Lock()
	if a.waiting[key] >= waitingEach || a.waits >= waitingAll {
		a.mu.Unlock()
		return false
	}
	a.waiting[key]++
	a.waits++
	a.mu.Unlock()
	time.Sleep(a.penalty)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waits--
	if a.waiting[key]--; a.waiting[key] == 0 {
		delete(a.waiting, key)
	}
	return true
}

// Failed records a failed attempt of the peer to whose request ctx belongs, and returns the error to
// answer with: refused, or a 429 if there were too many. It may block for a while. Nil Attempts
// limit nothing.
func (a *Attempts) Failed(ctx context.Context, refused error, log *slog.Logger) error {
	if a == nil {
		return refused
	}
	k := CallOf(ctx)
	taken, last, slow := a.take(k.peer, time.Now())
	if slow {
		k.place.rest()
		if !a.wait(peerKey(k.peer)) {
			return k.place.abort()
		}
	}
	if last {
		log.WarnContext(ctx, "too many failed attempts", "peer", peerKey(k.peer).String(), "request_id", k.ID)
	}
	if !taken {
		return errTooMany
	}
	return refused
}

// Enter takes a place in the database for looking up a secret; leave gives it back. The error wraps
// booking.ErrUnavailable. Only a peer that has failed too often must wait for a place, and not for
// long: then the answer is to come again, not that the secret is wrong.
func (a *Attempts) Enter(ctx context.Context) (leave func(), err error) {
	if a == nil || !a.empty(CallOf(ctx).peer, time.Now()) {
		return func() {}, nil
	}
	soon := time.NewTimer(100 * time.Millisecond)
	defer soon.Stop()
	select {
	case a.places <- struct{}{}:
		return func() { <-a.places }, nil
	case <-ctx.Done():
	case <-soon.C:
	}
	return nil, fmt.Errorf("%w: too many failed attempts are being looked up", booking.ErrUnavailable)
}

// peerOf returns the address from which a request comes: the one that is connected to us or, if that
// is one of our proxies, the one in X-Forwarded-For. It reads that header from the right, up to the
// first address that is not a proxy's, because the caller may have written what precedes it. If an
// entry is not an address, the proxy that passed it on counts.
func peerOf(proxies []*net.IPNet) echo.IPExtractor {
	direct := echo.ExtractIPDirect()
	if len(proxies) == 0 {
		return direct
	}
	trusted := func(ip string) bool {
		parsed := net.ParseIP(ip)
		return slices.ContainsFunc(proxies, func(n *net.IPNet) bool { return n.Contains(parsed) })
	}
	return func(r *http.Request) string {
		peer := direct(r)
		forwarded := strings.Split(strings.Join(r.Header.Values(echo.HeaderXForwardedFor), ","), ",")
		for i := len(forwarded) - 1; i >= 0 && trusted(peer); i-- {
			addr, ok := forwardedAddr(strings.TrimSpace(forwarded[i]))
			if !ok {
				break
			}
			peer = addr
		}
		return peer
	}
}

// forwardedAddr reads an entry of X-Forwarded-For: an address with or without brackets, with or
// without a port.
func forwardedAddr(text string) (string, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().String(), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().String(), err == nil
}
