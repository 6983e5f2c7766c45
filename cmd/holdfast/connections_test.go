package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"
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
		leaves  bool // the server has said all it had to say
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
		{"who is told to leave goes first, whoever was told first", []step{in(a), {of: 1, state: active}, in(b), {of: 2, state: active}, in(a), in(b), {of: 2, leaves: true}, {of: 1, leaves: true}, {from: c, closed: 2}, {from: c, closed: 1}, {from: proxy, closed: 3}}},
		{"who is told to leave, of the same address", []step{in(a), {of: 1, state: active}, in(b), {of: 2, state: active}, {of: 2, leaves: true}, in(a), {of: 1, leaves: true}, {from: a, closed: 1}}},
		{"who is told to leave and is gone", []step{in(a), {of: 1, state: active}, {of: 1, leaves: true}, {of: 1, state: gone}, {of: 1, leaves: true}, in(b), in(a), in(b), in(c), {from: c, closed: 2}}},
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
					if s.leaves {
						must(t, conn.(*connection).CloseWrite())
						continue
					}
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

// A caller whose body was not read, and whom the server gives half a second to
// find that out, makes room for the next before one that is idle does.
func TestRefusedMakesRoom(t *testing.T) {
	for name, secured := range map[string]bool{"HTTP": false, "HTTPS": true} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			l := newConnections(raw, 2, 2, nil)
			var open sync.WaitGroup
			srv := &http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.ContentLength > 0 {
						w.WriteHeader(413)
					}
				}),
				ConnState: func(conn net.Conn, s http.ConnState) {
					l.state(conn, s)
					switch s {
					case http.StateNew:
						open.Add(1)
					case http.StateClosed:
						open.Done()
					}
				},
			}
			serve := func() error { return srv.Serve(l) }
			dial := func() (net.Conn, error) { return net.Dial("tcp", raw.Addr().String()) }
			if secured {
				cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
				pool := certificate(t, cert, key, 1)
				serve = func() error { return srv.ServeTLS(l, cert, key) }
				dial = func() (net.Conn, error) {
					return tls.Dial("tcp", raw.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"})
				}
			}
			go func() { _ = serve() }() // until it is closed
			defer func() { must(t, srv.Close()); open.Wait() }()

			// ask announces a body so long, sends none, and wants that status.
			ask := func(conn net.Conn, length, want int) {
				t.Helper()
				must(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
				_, err := fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: holdfast\r\nContent-Length: %d\r\n\r\n", length)
				must(t, err)
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				must(t, err)
				must(t, resp.Body.Close())
				if resp.StatusCode != want {
					t.Errorf("got %d, want %d", resp.StatusCode, want)
				}
			}
			caller := func() net.Conn {
				t.Helper()
				conn, err := dial()
				must(t, err)
				t.Cleanup(func() { _ = conn.Close() }) // one is closed from the other side
				return conn
			}
			// count is how many are open, and how many of them are about to go.
			count := func() (open, leaving int) {
				l.mu.Lock()
				defer l.mu.Unlock()
				return l.open, l.leaving.Len()
			}
			idle := caller()
			ask(idle, 0, 200)
			for range 10 { // a slow machine needs more than half a second
				ask(caller(), 20<<20, 413)
				open, leaving := count()
				for ; open == 2 && leaving == 0; open, leaving = count() {
					time.Sleep(time.Millisecond)
				}
				if leaving > 0 {
					ask(caller(), 0, 200)
					ask(idle, 0, 200)
					return
				}
			}
			t.Error("nobody was about to go")
		})
	}
}
