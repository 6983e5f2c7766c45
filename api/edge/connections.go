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

// patience is how long one address may have too many connections before we close those that keep us
// waiting: a partner that starts may open many at once.
const patience = 500 * time.Millisecond

// Listener bounds how many connections are open. When there are too many, it closes one for each new
// one, but never one with a request that we work on. It first closes the connection whose client has
// known for longest that it will be closed. After these it closes the one that has kept us waiting
// longest, be it idle, sending a request or taking an answer, in this order: connections without
// credentials, those of addresses with more than their share first; then connections with
// credentials; and last those of callers for whom a part is reserved. So whoever opens many
// connections and does little with them shuts nobody out, not even others behind the same address.
type Listener struct {
	net.Listener
	limits Limits
	log    *slog.Logger

	mu      sync.Mutex
	open    int
	kept    int                // of them, those of callers for whom a part is reserved
	peers   map[netip.Addr]int // strangers' connections by address
	proven  map[owner]int      // connections of each caller who has authenticated
	leaving *list.List         // of *connection: those on which we have finished writing, longest ago first
	waiting [ranks]*list.List  // of *connection, by rank: those waiting for the client, the longest first
	closed  int                // how many we have closed so far because there were too many
	warned  time.Time
}

// Limits are how many connections a [Listener] has at most.
type Limits struct {
	Most     int          // in all
	Reserved int          // of them, only for callers of kinds with [Kind.Reserved]
	Each     int          // of one address, without credentials
	Trusted  []*net.IPNet // proxies, which may have all of them
}

// rank says whose connections are closed first: those of a lower rank.
type rank int

const (
	unproven rank = iota // no credentials yet
	proven
	reserved // proven, and of a kind for which a part of all connections is reserved
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
	peer netip.Addr // the address to whose bound it counts; the zero address has none

	// These need the lock.
	owner   owner         // its kind is nil before authentication
	working int           // requests on it that we work on
	in      *list.List    // leaving or waiting; nil while we work on a request
	at      *list.Element // its element in that list
	since   time.Time
	gone    bool
}

// Listen limits the connections of a listener. Its server must use [Listener.ConnState], and
// [Listener.ConnContext] if it serves channels.
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
			_ = victim.Conn.Close() // it may have closed already
		}
		if victim != c {
			return c, nil
		}
	}
}

// warn logs an error of Accept, at most once a second; the server then tries again.
func (l *Listener) warn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !errors.Is(err, net.ErrClosed) && now.Sub(l.warned) >= time.Second {
		l.warned = now
		l.log.Warn("cannot accept connections", "error", err.Error(), "open", l.open)
	}
}

// peerOf returns the address to whose bound a connection counts. An IPv6 customer has at least 2^64
// addresses, so there it is the network.
func (l *Listener) peerOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || slices.ContainsFunc(l.limits.Trusted, func(n *net.IPNet) bool { return n.Contains(tcp.IP) }) {
		return netip.Addr{}
	}
	return network(tcp.AddrPort().Addr())
}

// admit counts a connection and returns the one to close for it, if any. That may be the new one.
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

// overdrawn reports whether a connection's address has more than its share of connections.
func (l *Listener) overdrawn(c *connection) bool {
	return c.peer.IsValid() && l.peers[c.peer] > l.limits.Each
}

// first returns the first connection in the list that of accepts.
func first(list *list.List, of func(*connection) bool) *connection {
	for e := list.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*connection); of(c) {
			return c
		}
	}
	return nil
}

// count adds n to the number of its owner's connections. It needs the lock.
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

// leave ends counting the connection. It needs the lock.
func (c *connection) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.of.open--
	c.of.count(c, -1)
	c.stay()
}

// stay protects it from being closed for another. It needs the lock.
func (c *connection) stay() {
	if c.in != nil {
		c.in.Remove(c.at)
		c.in, c.at = nil, nil
	}
}

// wait makes it wait for the client from now on, unless we work on a request of it or are about to
// close it. It needs the lock.
func (c *connection) wait(now time.Time) {
	if c.gone || c.working > 0 || c.in == c.of.leaving {
		return
	}
	c.stay()
	c.in, c.since = c.of.waiting[rankOf(c.owner.kind)], now
	c.at = c.in.PushBack(c)
}

// prove records that a caller has authenticated on it. A connection that once belonged to a caller
// with a reserved part, perhaps through a proxy, keeps that.
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

// work records that we begin (is) or end working on a request of it.
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

// CloseWrite is called when the server has refused a request without reading all of it. The server
// then gives the caller half a second to read the answer, and closes the connection.
func (c *connection) CloseWrite() error {
	c.leaves()
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// SetWriteDeadline implements net.Conn. The CloseWrite of a [tls.Conn] does not call ours, but ends
// by setting a deadline in the past.
func (c *connection) SetWriteDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		c.leaves()
	}
	return c.Conn.SetWriteDeadline(t)
}

// leaves makes it one of the first to be closed.
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

// connectionOf returns our connection inside the server's; nil if there is none.
func connectionOf(conn net.Conn) *connection {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c, _ := conn.(*connection)
	return c
}

// ConnState is for [http.Server]: a connection begins to keep us waiting when it begins a request,
// and when it has finished one.
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

// ConnContext is for [http.Server]: it lets requests know their connection.
func (l *Listener) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	if c := connectionOf(conn); c != nil {
		return context.WithValue(ctx, lineKey{}, c)
	}
	return ctx
}

// Counts returns how many connections are open, and how many we have closed so far because there
// were too many.
func (l *Listener) Counts() (open, closed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open, l.closed
}
