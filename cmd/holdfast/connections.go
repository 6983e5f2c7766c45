package main

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

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/api"
)

// How many connections are open at most: in all, of which an eighth is for Google
// alone, and of one address without anybody's credentials on them. Each costs some
// 20 kB, or 50 kB with TLS.
const (
	maxConnections     = 2048
	maxConnectionsEach = 256
	maxConnectionsOf   = 128 // of one clinic that count as its own and not as a stranger's
)

// patience is how long one address may have more connections than it should, before
// those go that have kept us waiting: so many are opened at once when a partner starts.
const patience = 500 * time.Millisecond

// connections accepts no more connections than we can bear. When there are too many,
// one is closed for the new one, and that is never one on which a request is worked
// on. First goes who has been told for the longest time that we close it; then who has
// kept us waiting for the longest time, be it idle, or for a request, or in taking an
// answer: first of those on which nobody has shown credentials, and among them of an
// address that has more than its share; then of the clinics'; Google's last. So
// whoever opens many and does little with them keeps nobody out, also not who is
// behind the same address.
type connections struct {
	net.Listener
	most     int          // in all
	reserved int          // of them for Google
	each     int          // strangers' of one address
	trusted  []*net.IPNet // proxies, which may have them all
	log      *slog.Logger

	mu      sync.Mutex
	open    int
	google  int                // of them, those that Google has shown its credentials on
	peers   map[netip.Addr]int // strangers' of each address
	clinics map[string]int     // those of each clinic
	leaving *list.List         // of *connection: we have said all we had to say, for longest on the first
	waiting [3]*list.List      // of *connection, by owner: those that wait for the other side, longest the first
	closed  int                // by us so far, because there were too many
	warned  time.Time
}

// owner is who has shown credentials on a connection.
type owner int

const (
	nobody owner = iota
	aClinic
	isGoogle
)

// connection is one of them.
type connection struct {
	net.Conn
	of   *connections
	peer netip.Addr // whose bound it counts for; the zero address has none

	// These need the lock.
	owner   owner
	clinic  string
	working int           // requests on it that are worked on
	in      *list.List    // leaving or waiting; nil while a request is worked on
	at      *list.Element // in there
	since   time.Time
	gone    bool
}

func newConnections(l net.Listener, most, reserved, each int, trusted []*net.IPNet, log *slog.Logger) *connections {
	return &connections{
		Listener: l, most: most, reserved: reserved, each: each, trusted: trusted, log: log,
		peers: map[netip.Addr]int{}, clinics: map[string]int{}, leaving: list.New(), waiting: [3]*list.List{list.New(), list.New(), list.New()},
	}
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
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
func (l *connections) warn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); !errors.Is(err, net.ErrClosed) && now.Sub(l.warned) >= time.Second {
		l.warned = now
		l.log.Warn("cannot accept connections", "error", err.Error(), "open", l.open)
	}
}

// peerOf is whose bound a connection counts for. A customer with IPv6 has at least
// 2^64 addresses, so there it is the network.
func (l *connections) peerOf(c net.Conn) netip.Addr {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok || slices.ContainsFunc(l.trusted, func(n *net.IPNet) bool { return n.Contains(tcp.IP) }) {
		return netip.Addr{}
	}
	return api.Network(tcp.AddrPort().Addr())
}

// admit counts a connection and returns the one that has to go for it, if one
// has to; that may be the new one.
func (l *connections) admit(c *connection, now time.Time) (victim *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open-l.google >= l.most-l.reserved, l.open >= l.most:
		any := func(*connection) bool { return true }
		victim = cmp.Or(first(l.leaving, any), first(l.waiting[nobody], l.overdrawn), first(l.waiting[nobody], any), first(l.waiting[aClinic], any))
		if l.open >= l.most {
			victim = cmp.Or(victim, first(l.waiting[isGoogle], any))
		}
		victim = cmp.Or(victim, c)
	case c.peer.IsValid() && l.peers[c.peer] >= l.each:
		its := func(o *connection) bool { return o.peer == c.peer && o.owner == nobody }
		victim = first(l.leaving, its)
		if w := first(l.waiting[nobody], its); victim == nil && w != nil && now.Sub(w.since) >= patience {
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
func (l *connections) overdrawn(c *connection) bool {
	return c.peer.IsValid() && l.peers[c.peer] > l.each
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
func (l *connections) count(c *connection, n int) {
	switch c.owner {
	case nobody:
		if l.peers[c.peer] += n; l.peers[c.peer] == 0 {
			delete(l.peers, c.peer)
		}
	case aClinic:
		if l.clinics[c.clinic] += n; l.clinics[c.clinic] == 0 {
			delete(l.clinics, c.clinic)
		}
	case isGoogle:
		l.google += n
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
	c.in, c.since = c.of.waiting[c.owner], now
	c.at = c.in.PushBack(c)
}

// Proven implements [api.Line]: credentials were shown on it. What has once been
// Google's, through a proxy perhaps, stays so.
func (c *connection) Proven(byGoogle bool, merchant string) {
	l := c.of
	l.mu.Lock()
	defer l.mu.Unlock()
	to := aClinic
	if byGoogle {
		to = isGoogle
	}
	if c.gone || c.owner >= to || to == aClinic && l.clinics[merchant] >= maxConnectionsOf {
		return
	}
	l.count(c, -1)
	c.owner, c.clinic = to, merchant
	l.count(c, 1)
	c.wait(time.Now())
}

// Working implements [api.Line]: a request on it is worked on, or no longer.
func (c *connection) Working(is bool) {
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

// state is told by the server what happens on a connection: one that begins a request,
// or has ended its last, has from then on kept us waiting.
func (l *connections) state(conn net.Conn, s http.ConnState) {
	c := connectionOf(conn)
	if c == nil || s != http.StateActive && s != http.StateIdle {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	c.wait(time.Now())
}

// context tells the requests on a connection about it.
func (l *connections) context(ctx context.Context, conn net.Conn) context.Context {
	if c := connectionOf(conn); c != nil {
		return api.WithLine(ctx, c)
	}
	return ctx
}

var (
	openConnections   = prometheus.NewDesc("holdfast_connections", "Connections that are open.", nil, nil)
	closedConnections = prometheus.NewDesc("holdfast_connections_closed_total", "Connections that were closed because there were too many.", nil, nil)
)

// Describe implements prometheus.Collector.
func (l *connections) Describe(out chan<- *prometheus.Desc) {
	out <- openConnections
	out <- closedConnections
}

// Collect implements prometheus.Collector.
func (l *connections) Collect(out chan<- prometheus.Metric) {
	l.mu.Lock()
	defer l.mu.Unlock()
	out <- prometheus.MustNewConstMetric(openConnections, prometheus.GaugeValue, float64(l.open))
	out <- prometheus.MustNewConstMetric(closedConnections, prometheus.CounterValue, float64(l.closed))
}
