package main

import (
	"cmp"
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How many connections are open at most, in all and from one address that is not
// one of our proxies. Each costs some 20 kB, or 50 kB with TLS.
const (
	maxConnections     = 2048
	maxConnectionsEach = 1024
)

// connections accepts no more connections than we can bear. When there are too
// many, one is closed for the new one: the one that has been told for the longest
// time that we close it; if there is none, the one on which nothing has happened
// for the longest time; and if there is none either, the new one. So whoever opens
// many and leaves them idle, or is refused and comes again, keeps nobody out.
type connections struct {
	net.Listener
	most, each int
	trusted    []*net.IPNet // proxies, which may have them all

	mu      sync.Mutex
	open    int
	peers   map[netip.Addr]int // open ones of each address
	leaving *list.List         // of *connection: we have said all we had to say, for longest on the first
	idle    *list.List         // of *connection, the longest idle first
	closed  int                // by us so far, because there were too many
}

// connection is one of them.
type connection struct {
	net.Conn
	of    *connections
	peer  netip.Addr
	spare *list.Element // of leaving or idle; nil while a request is served
	gone  bool
}

func newConnections(l net.Listener, most, each int, trusted []*net.IPNet) *connections {
	return &connections{Listener: l, most: most, each: each, trusted: trusted, peers: map[netip.Addr]int{}, leaving: list.New(), idle: list.New()}
}

// Accept implements net.Listener.
func (l *connections) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		c := &connection{Conn: raw, of: l, peer: l.peerOf(raw)}
		victim := l.admit(c)
		if victim != nil {
			_ = victim.Close() // it may be gone by itself
		}
		if victim != c {
			return c, nil
		}
	}
}

// peerOf is whose bound a connection counts for; the zero address has none.
func (l *connections) peerOf(c net.Conn) netip.Addr {
	addr, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	for _, network := range l.trusted {
		if network.Contains(addr.IP) {
			return netip.Addr{}
		}
	}
	return addr.AddrPort().Addr().Unmap()
}

// admit counts a connection and returns the one that has to go for it, if one
// has to; that may be the new one.
func (l *connections) admit(c *connection) (victim *connection) {
	l.mu.Lock()
	defer l.mu.Unlock()
	tooMany := c.peer.IsValid() && l.peers[c.peer] >= l.each
	if tooMany || l.open >= l.most {
		from := c.peer
		if !tooMany {
			from = netip.Addr{}
		}
		victim = cmp.Or(first(l.leaving, from), first(l.idle, from), c)
	}
	l.open++
	l.peers[c.peer]++
	c.spare = l.idle.PushBack(c)
	if victim != nil {
		l.closed++
		victim.leave()
	}
	return victim
}

// first is the first one of that address, if there is one; of the zero address
// all are.
func first(list *list.List, from netip.Addr) *connection {
	for e := list.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*connection); !from.IsValid() || c.peer == from {
			return c
		}
	}
	return nil
}

// leave is no longer counted. It needs the lock.
func (c *connection) leave() {
	if c.gone {
		return
	}
	c.gone = true
	c.of.open--
	if c.of.peers[c.peer]--; c.of.peers[c.peer] == 0 {
		delete(c.of.peers, c.peer)
	}
	c.busy()
}

// busy takes it from those that can be spared. It needs the lock.
func (c *connection) busy() {
	if c.spare != nil {
		c.of.leaving.Remove(c.spare) // it is in one of the two
		c.of.idle.Remove(c.spare)
		c.spare = nil
	}
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
		c.busy()
		c.spare = c.of.leaving.PushBack(c)
	}
}

// Close implements net.Conn.
func (c *connection) Close() error {
	c.of.mu.Lock()
	c.leave()
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// state is told by the server what happens on a connection.
func (l *connections) state(conn net.Conn, s http.ConnState) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	c, ok := conn.(*connection)
	if !ok {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case c.gone:
	case s == http.StateActive:
		c.busy()
	case s == http.StateIdle && c.spare == nil:
		c.spare = l.idle.PushBack(c)
	}
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
