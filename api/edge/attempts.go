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

// Attempts limits how often somebody may show credentials that are wrong: a
// bucket of tokens for each address, from which a failed attempt takes one.
//
// Good credentials are let in whatever the bucket says. Behind one address there
// may be a whole city, or a proxy and with it a partner: whoever could empty the
// bucket of that address could else lock them all out. So the limit does not make
// a secret that can be guessed safe, its length does. What it does: failures stop
// being worth anything (429, nothing looked up that costs), they are told to the
// operator, and where looking a secret up needs the database, an address whose
// bucket is empty has a few places there and no more. After a thousand of them the
// address waits a second for each "no", and only a few requests of it wait at a time:
// the connections of the rest are closed.
type Attempts struct {
	burst   float64
	refill  time.Duration // for one token, and until one failure is forgotten
	penalty time.Duration // how long who has failed too often waits for an answer
	places  chan struct{} // in the database, for all whose buckets are empty

	mu      sync.Mutex
	buckets map[netip.Addr]bucket
	swept   time.Time          // when those that are full again were last thrown away
	waiting map[netip.Addr]int // attempts that wait for their answer
	waits   int                // all of them
}

// slowAfter is how many failures of an address are answered without a penalty; and of
// those that wait for theirs, how many there are at most of one address and in all.
const (
	slowAfter   = 1000
	waitingEach = 32
	waitingAll  = 256
)

// bucket was this full at that time. One that is full again, and has no failure that
// is not forgotten, is as good as none.
type bucket struct {
	tokens float64
	failed float64
	at     time.Time
}

// NewAttempts returns a limit of burst failed attempts at once and one more with
// every refill.
func NewAttempts(burst int, refill time.Duration) *Attempts {
	return &Attempts{
		burst: float64(burst), refill: refill, penalty: time.Second, places: make(chan struct{}, 4),
		buckets: map[netip.Addr]bucket{}, waiting: map[netip.Addr]int{},
	}
}

// maxPeers is how many addresses are kept apart. When more fail at a time, the
// rest share one bucket: memory is bounded, and an attack from so many places
// is one attack.
const maxPeers = 10_000

// everybodyElse is the name of that bucket.
var everybodyElse = netip.Addr{}

// peerKey is the address that a bucket is for.
func peerKey(peer string) netip.Addr {
	addr, err := netip.ParseAddr(peer)
	if err != nil {
		return everybodyElse
	}
	return network(addr)
}

// network is what one customer has of addresses: with IPv6 at least 2^64, so there it
// is the network of 64 bits.
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

// left returns the bucket of a peer as it is at that time. It needs the lock.
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

// take takes one token of a peer's. It reports whether there was one, whether it was
// the last, and whether the peer has failed so often that it has to wait.
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

// room returns the bucket that a peer has or gets: its own if there is room for
// that. It needs the lock.
func (a *Attempts) room(key netip.Addr, now time.Time) netip.Addr {
	if _, known := a.buckets[key]; known || len(a.buckets) < maxPeers {
		return key
	}
	if now.Sub(a.swept) >= a.refill { // it takes time, and in less than that none gets full
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

// errTooMany is told instead of what was wrong.
var errTooMany = &Refusal{http.StatusTooManyRequests, "too many failed attempts"}

// wait makes a peer wait that has failed too often. It is false if too many of its
// attempts wait already. Who hangs up meanwhile has not waited any less.
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

// Failed notes a failed attempt of the peer whose request ctx belongs to, and
// returns what to answer: refused, or a 429 if there were too many. It may take its
// time. Without Attempts nothing is limited.
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

// Enter asks for a place in the database for looking up a secret, and returns how
// to give it back; the error wraps booking.ErrUnavailable. Only a peer that has failed too often has to wait for one, and
// not for long: then it is told to come again, not that it is wrong.
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

// peerOf says which address a request comes from: the one that is connected to
// us, and what X-Forwarded-For says only if that is one of our proxies. The header
// is read from the right, up to the first address that is not a proxy's: what stands
// before it, the caller may have written. What is no address there counts as the
// proxy's that passed it on.
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

// forwardedAddr reads an entry of X-Forwarded-For: an address, in brackets or not,
// with a port or without.
func forwardedAddr(text string) (string, bool) {
	if withPort, err := netip.ParseAddrPort(text); err == nil {
		return withPort.Addr().Unmap().String(), true
	}
	text = strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	addr, err := netip.ParseAddr(text)
	return addr.Unmap().String(), err == nil
}
