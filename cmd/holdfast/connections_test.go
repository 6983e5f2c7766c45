package main

import (
	"crypto/tls"
	"net"
	"net/http"
	"testing"
)

// fakeConn is a connection from an address.
type fakeConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *fakeConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.ParseIP(c.from), Port: 1} }

func (c *fakeConn) Close() error { c.closed = true; return nil }

// incoming hands out connections.
type incoming chan net.Conn

func (l incoming) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (incoming) Close() error   { return nil }
func (incoming) Addr() net.Addr { return nil }

// Each step is one connection that comes in, or something that happens on one.
func TestConnections(t *testing.T) {
	const a, b, c, proxy = "203.0.113.1", "203.0.113.2", "203.0.113.3", "192.0.2.1"
	type step struct {
		from    string // a new one comes in
		of      int    // or something happens on one that has come in, by its number from 1
		state   http.ConnState
		closed  int  // which one has to go for it; 0: none
		refused bool // the new one itself
		secured bool // with TLS
	}
	in := func(from string) step { return step{from: from} }
	active, idle, gone := http.StateActive, http.StateIdle, http.StateClosed
	for _, tt := range []struct {
		name  string
		steps []step // at most 4 connections, and 2 of each address
	}{
		{"room for all", []step{in(a), in(b), in(a), in(b)}},
		{"the one that was idle for the longest time goes", []step{in(a), in(b), in(a), in(b), {from: c, closed: 1}, {from: c, closed: 2}}},
		{"not one that works", []step{in(a), {of: 1, state: active}, in(b), in(a), in(b), {from: c, closed: 2}}},
		{"one that worked has been idle for less long", []step{in(a), {of: 1, state: active}, in(b), in(a), in(b), {of: 1, state: idle}, {from: c, closed: 2}, {from: c, closed: 3}}},
		{"all work", []step{in(a), {of: 1, state: active}, in(b), {of: 2, state: active}, in(a), {of: 3, state: active}, in(b), {of: 4, state: active}, {from: c, refused: true}, {of: 2, state: idle}, {from: c, closed: 2}}},
		{"too many of one address, although there is room", []step{in(a), in(b), in(a), {from: a, closed: 1}, {from: a, closed: 3}, in(c)}},
		{"too many of one address, and all work", []step{in(a), {of: 1, state: active}, in(b), in(a), {of: 3, state: active}, {from: a, refused: true}, in(b)}},
		{"a proxy of ours may have them all", []step{in(proxy), in(proxy), in(proxy), in(proxy), {from: proxy, closed: 1}}},
		{"who goes makes room", []step{in(a), in(b), in(a), in(b), {of: 2, state: gone}, in(c)}},
		{"who goes twice makes room once", []step{in(a), in(b), in(a), in(b), {of: 2, state: gone}, {of: 2, state: gone}, {of: 2, state: idle}, in(c), {from: c, closed: 1}}},
		{"with TLS", []step{{from: a, secured: true}, {of: 1, state: active, secured: true}, in(b), in(a), in(b), {from: c, closed: 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := make(incoming, 1)
			_, network, err := net.ParseCIDR("192.0.2.0/24")
			must(t, err)
			l := newConnections(from, 4, 2, []*net.IPNet{network})
			var raw []*fakeConn
			var accepted []net.Conn // as the server has them
			closed := 0
			for i, s := range tt.steps {
				if s.from == "" {
					conn := accepted[s.of-1]
					if s.state == gone {
						must(t, conn.Close())
					}
					if s.secured {
						conn = tls.Server(conn, nil)
					}
					l.state(conn, s.state)
					continue
				}
				c := &fakeConn{from: s.from}
				raw = append(raw, c)
				from <- c
				if s.refused { // Accept goes on to the next, of which there is none
					close(from)
				}
				conn, err := l.Accept()
				if refused := err != nil; refused != s.refused || c.closed != s.refused {
					t.Fatalf("step %d: refused %v, %v", i+1, refused, err)
				}
				if s.refused {
					closed++
					from = make(incoming, 1)
					l.Listener = from
				}
				accepted = append(accepted, conn)
				if s.closed > 0 {
					closed++
					if !raw[s.closed-1].closed {
						t.Errorf("step %d: connection %d is still open", i+1, s.closed)
					}
				}
			}
			open := 0
			for _, c := range raw {
				if !c.closed {
					open++
				}
			}
			if l.closed != closed || l.open != open {
				t.Errorf("closed %d, counted as open %d; want %d and %d", l.closed, l.open, closed, open)
			}
			counted := 0
			for _, n := range l.peers {
				counted += n
			}
			if counted != open {
				t.Errorf("%d are counted by address, %d are open", counted, open)
			}
		})
	}
}
