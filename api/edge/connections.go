package edge

import (
	"cmp"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// patience is how long one address may have more connections than it should, before
// those go that have kept us waiting: so many are opened at once when a partner starts.
const patience = 500 * time.Millisecond

// Listener accepts no more connections than we can bear. When there are too many,
// one is closed for the new one, and that is never one on which a request is worked
// on. First goes who has been told for the longest time that we close it; then who has
// kept us waiting for the longest time, be it idle, or for a request, or in taking an
// answer: first of those on which nobody has shown credentials, and among them of an
// address that has more than its share; then those on which somebody has; last those
// of callers for whom a part is kept. So whoever opens many and does little with them
// keeps nobody out, also not who is behind the same address.
type Listener struct {
	net.Listener
	limits Limits
	log    *slog.Logger

	mu      sync.Mutex
	open    int
	kept    int                // of them, those of callers for whom a part is kept
	peers   map[netip.Addr]int // strangers' of each address
	proven  map[owner]int      // those of each caller that has shown who it is
	leaving *list.List         // of *connection: we have said all we had to say, for longest on the first
	waiting [ranks]*list.List  // of *connection, by rank: those that wait for the other side, longest the first
	closed  int                // by us so far, because there were too many
	warned  time.Time
}

// Limits are how many connections a [Listener] has at most.
type Limits struct {
	Most     int          // in all
	Reserved int          // of them for callers of kinds with [Kind.Reserved] alone
	Each     int          // of one address, without anybody's credentials on them
	Trusted  []*net.IPNet // proxies, which may have them all
}

// rank is whose connections go first: those of a lower rank.
type rank int

const (
	unproven rank = iota // nobody has shown credentials
	proven
	reserved // proven, and a part of all connections is kept for such
	ranks
)

func rankOf(k *Kind) rank {
	switch {
	case k == nil:
		return unproven
	case k.Reserved:
		return reserved
	}
	return proven
}

// connection is one of them.
type connection struct {
	net.Conn
	of   *Listener
	peer netip.Addr // whose bound it counts for; the zero address has none

	// These need the lock.
	owner   owner         // its kind is nil while nobody has shown credentials
	working int           // requests on it that are worked on
	in      *list.List    // leaving or waiting; nil while a request is worked on
	at      *list.Element // in there
	since   time.Time
	gone    bool
}

// Listen limits the connections of a listener. The server that serves them has to be
// told of [Listener.ConnState], and of [Listener.ConnContext] if it serves channels.
func Listen(l net.Listener, limits Limits, log *slog.Logger) *Listener {
	return &Listener{
		Listener: l, limits: limits, log: log, peers: map[netip.Addr]int{}, proven: map[owner]int{},
		leaving: list.New(), waiting: [ranks]*list.List{list.New(), list.New(), list.New()},
	}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			l.warn(err)
			return nil, err
		}
		c := &connection{Conn: raw, of: l, peer: l.peerOf(raw)}
		victim := l.admit(c, time.Now())
		if victim != nil {
			_ = victim.Conn.Close() // it may be gone by itself
		}
		if victim != c {
			return c, nil
		}
	}
}

// warn tells an error of Accept, after which the server tries again, once a second.
func (l *Listener) warn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !errors.Is(err, net.ErrClosed) && now.Sub(l.warned) >= time.Second {
		l.warned = now
		l.log.Warn("cannot accept connections", "error", err.Error(), "open", l.open)
	}
}

// peerOf is whose bound a connection counts for. A customer with IPv6 has at least
// 2^64 addresses, so there it is the network.
func (l *Listener) peerOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || slices.ContainsFunc(l.limits.Trusted, func(n *net.IPNet) bool { return n.Contains(tcp.IP) }) {
		return netip.Addr{}
	}
	return network(tcp.AddrPort().Addr())
}

// admit counts a connection and returns the one that has to go for it, if one
// has to; that may be the new one.
func (l *Listener) admit(c *connection, now time.Time) (victim *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open-l.kept >= l.limits.Most-l.limits.Reserved, l.open >= l.limits.Most:
		any := func(*connection) bool { return true }
		victim = cmp.Or(first(l.leaving, any), first(l.waiting[unproven], l.overdrawn), first(l.waiting[unproven], any), first(l.waiting[proven], any))
		if l.open >= l.limits.Most {
			victim = cmp.Or(victim, first(l.waiting[reserved], any))
		}
		victim = cmp.Or(victim, c)
	case c.peer.IsValid() && l.peers[c.peer] >= l.limits.Each:
		its := func(o *connection) bool { return o.peer == c.peer && o.owner.kind == nil }
		victim = first(l.leaving, its)
		if w := first(l.waiting[unproven], its); victim == nil && w != nil && now.Sub(w.since) >= patience {
			victim = w
		}
	}
	l.open++
	l.count(c, 1)
	c.wait(now)
	if victim != nil {
		l.closed++
		victim.leave()
	}
	return victim
}

// overdrawn reports whether a connection's address has more than its share.
func (l *Listener) overdrawn(c *connection) bool {
	return c.peer.IsValid() && l.peers[c.peer] > l.limits.Each
}

// first is the first one of those.
func first(list *list.List, of func(*connection) bool) *connection {
	for e := list.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*connection); of(c) {
			return c
		}
	}
	return nil
}

// count adds a connection to what its owner has, or takes it away. It needs the lock.
func (l *Listener) count(c *connection, n int) {
	if c.owner.kind == nil {
		if l.peers[c.peer] += n; l.peers[c.peer] == 0 {
			delete(l.peers, c.peer)
		}
		return
	}
	if l.proven[c.owner] += n; l.proven[c.owner] == 0 {
		delete(l.proven, c.owner)
	}
	if c.owner.kind.Reserved {
		l.kept += n
	}
}

// leave is no longer counted. It needs the lock.
func (c *connection) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.of.open--
	c.of.count(c, -1)
	c.stay()
}

// stay takes it from those that can be spared. It needs the lock.
func (c *connection) stay() {
	if c.in != nil {
		c.in.Remove(c.at)
		c.in, c.at = nil, nil
	}
}

// wait makes it one that waits for the other side from now on, unless we work on a
// request of it or it is about to go. It needs the lock.
func (c *connection) wait(now time.Time) {
	if c.gone || c.working > 0 || c.in == c.of.leaving {
		return
	}
	c.stay()
	c.in, c.since = c.of.waiting[rankOf(c.owner.kind)], now
	c.at = c.in.PushBack(c)
}

// prove notes that a caller has shown credentials on it. What has once been one's with
// a reserved part, through a proxy perhaps, stays so.
func (c *connection) prove(o owner) {
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.gone || rankOf(c.owner.kind) >= rankOf(o.kind) || o.kind.Connections > 0 && l.proven[o] >= o.kind.Connections {
		return
	}
	l.count(c, -1)
	c.owner = o
	l.count(c, 1)
	c.wait(time.Now())
}

// work notes that a request on it is worked on, or no longer.
func (c *connection) work(is bool) {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if is {
		c.working++
		c.stay()
		return
	}
	c.working--
	c.wait(time.Now())
}

// CloseWrite is what the server does when it has refused a request without reading
// it to its end. Then it waits half a second for the caller to read that, and
// closes.
func (c *connection) CloseWrite() error {
	c.leaves()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetWriteDeadline implements net.Conn. The CloseWrite of a [tls.Conn] does not
// reach ours, but ends with a deadline that has passed.
func (c *connection) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		c.leaves()
	}
	return c.Conn.SetWriteDeadline(t)
}

// leaves makes it one of the first that go.
func (c *connection) leaves() {
	c.of.mu.Lock()
	defer c.of.mu.Unlock()
	if !c.gone {
		c.stay()
		c.in = c.of.leaving
		c.at = c.in.PushBack(c)
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// connectionOf is ours of the server's; nil if it is none.
func connectionOf(conn net.Conn) *connection {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c, _ := conn.(*connection)
	return c
}

// ConnState is for [http.Server]: a connection that begins a request, or has ended its
// last, has from then on kept us waiting.
func (l *Listener) ConnState(conn net.Conn, s http.ConnState) {
	c := connectionOf(conn)
	if c == nil || s != http.StateActive && s != http.StateIdle {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.wait(time.Now())
}

type lineKey struct{}

// ConnContext is for [http.Server]: with it the requests on a connection know it.
func (l *Listener) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c := connectionOf(conn); c != nil {
		return context.WithValue(ctx, lineKey{}, c)
	}
	return ctx
}

// Counts returns how many connections are open, and how many have been closed so far
// because there were too many.
func (l *Listener) Counts() (open, closed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.closed
}
