package edge

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// Each step is one connection that comes in, or something that happens on one.
func TestConnections(t *testing.T) {
	const a, b, c, d, proxy = "203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4", "192.0.2.1"
	const net1, net1b, net2 = "2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"
	type step struct {
		from    string // a new one comes in
		of      int    // or something happens on one that has come in, by its number from 1
		does    string
		closed  int           // which one has to go for it; 0: none
		refused bool          // the new one itself
		later   time.Duration // since the step before
		overTLS bool
	}
	in := func(from string) step { return step{from: from} }
	on := func(n int, does string) step { return step{of: n, does: does} }
	for _, tt := range []struct {
		name  string
		steps []step // at most 6 connections, 4 without the partner's credentials, and 2 of each address
	}{
		{"room for all", []step{in(a), in(b), in(a), in(b)}},
		{"the one that was idle for the longest time goes", []step{in(a), in(b), in(a), in(b), {from: c, closed: 1}, {from: c, closed: 2}}},
		{"not one on which we work", []step{in(a), on(1, "work"), in(b), in(a), in(b), {from: c, closed: 2}}},
		{"one that we worked on has waited for less long", []step{in(a), on(1, "work"), in(b), in(a), in(b), on(1, "worked"), {from: c, closed: 2}, {from: c, closed: 3}}},
		{"one that began a request, and goes no further, goes in its turn", []step{in(a), in(b), on(1, "active"), in(a), in(b), {from: c, closed: 2}, {from: d, closed: 1}}},
		{"we work on all", []step{in(a), on(1, "work"), in(b), on(2, "work"), in(a), on(3, "work"), in(b), on(4, "work"), {from: c, refused: true}, on(2, "worked"), {from: c, closed: 2}}},
		{"two requests on one", []step{in(a), on(1, "work"), on(1, "work"), on(1, "worked"), in(b), in(a), in(b), {from: c, closed: 2}}},
		{"too many of one address, although there is room", []step{in(a), in(b), in(a), {from: a, later: time.Second, closed: 1}, {from: a, later: time.Second, closed: 3}, in(c)}},
		{"too many of one address for a moment", []step{in(a), in(a), in(a), in(a)}},
		{"too many in all: of an address that has too many", []step{in(b), in(a), in(a), in(a), {from: c, closed: 2}, {from: c, closed: 1}}},
		{"too many of one network of IPv6", []step{in(net1), in(net1b), {from: net1, later: time.Second, closed: 1}, in(net2)}},
		{"too many of one address, and we work on them", []step{in(a), on(1, "work"), in(b), in(a), on(3, "work"), {from: a, later: time.Second}, {from: b, closed: 4}, {from: b, closed: 2}}},
		{"a proxy of ours may have them all", []step{in(proxy), in(proxy), in(proxy), in(proxy), {from: proxy, closed: 1}}},
		{"who goes makes room", []step{in(a), in(b), in(a), in(b), on(2, "close"), in(c)}},
		{"who goes twice makes room once", []step{in(a), in(b), in(a), in(b), on(2, "close"), on(2, "close"), on(2, "idle"), in(c), {from: c, closed: 1}}},
		{"who is told to leave goes first, whoever was told first", []step{in(a), in(b), in(a), in(b), on(2, "leave"), on(1, "leave"), {from: c, closed: 2}, {from: c, closed: 1}, {from: proxy, closed: 3}}},
		{"who is told to leave, of the same address", []step{in(a), in(b), on(2, "leave"), in(a), on(1, "leave"), {from: a, closed: 1}}},
		{"who is told to leave and is gone", []step{in(a), on(1, "leave"), on(1, "close"), on(1, "leave"), in(b), in(a), in(b), in(c), {from: c, closed: 2}}},
		{"with TLS", []step{{from: a, overTLS: true}, on(1, "active"), in(b), in(a), in(b), {from: c, closed: 1}}},
		{"a partner's go last, and do not count as the address's", []step{in(a), on(1, "partner"), in(a), on(2, "partner"), in(a), in(a), in(b), in(b), {from: c, closed: 3}}},
		{"the partner has them all", []step{in(a), on(1, "partner"), in(a), on(2, "partner"), in(a), on(3, "partner"), in(a), on(4, "partner"), in(a), on(5, "partner"), in(a), on(6, "partner"), {from: a, closed: 1}}},
		{"a tenant's go after a stranger's", []step{in(a), on(1, "tenant"), in(b), in(a), in(b), {from: c, closed: 2}, {from: c, closed: 3}, {from: c, closed: 4}}},
		{"a tenant's go before a partner's", []step{in(a), on(1, "partner"), in(a), on(2, "tenant"), in(a), on(3, "tenant"), in(b), on(4, "tenant"), in(b), on(5, "tenant"), {from: c, closed: 2}}},
		{"what was a partner's stays so", []step{in(a), on(1, "partner"), on(1, "tenant"), in(a), in(b), in(b), in(c), {from: d, closed: 2}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, network, err := net.ParseCIDR("192.0.2.0/24")
			must(t, err)
			l := Listen(nil, Limits{Most: 6, Reserved: 2, Each: 2, Trusted: []*net.IPNet{network}}, slog.New(slog.DiscardHandler))
			var raw []*fakeConn
			var all []*connection
			closed, now := 0, time.Now()
			for i, s := range tt.steps {
				now = now.Add(s.later)
				if s.from != "" {
					f := &fakeConn{from: s.from}
					c := &connection{Conn: f, of: l}
					c.peer = l.peerOf(f)
					raw, all = append(raw, f), append(all, c)
					victim := l.admit(c, now)
					want := (*connection)(nil)
					if s.closed > 0 {
						want = all[s.closed-1]
					}
					if s.refused {
						want = c
					}
					if victim != want {
						t.Fatalf("step %d: connection %d is closed, want %d", i+1, slices.Index(all, victim)+1, slices.Index(all, want)+1)
					}
					if victim != nil {
						closed++
						must(t, victim.Conn.Close())
					}
					continue
				}
				c := all[s.of-1]
				var conn net.Conn = c
				if s.overTLS {
					conn = tls.Server(c, nil)
				}
				switch s.does {
				case "work", "worked":
					c.work(s.does == "work")
				case "partner":
					c.prove(owner{kind: partner, name: "partner"})
				case "tenant":
					c.prove(owner{kind: tenants, name: "seoul"})
				case "close":
					must(t, c.Close())
				case "leave":
					must(t, c.CloseWrite())
				case "active":
					l.ConnState(conn, http.StateActive)
				case "idle":
					l.ConnState(conn, http.StateIdle)
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
			for _, n := range l.proven {
				counted += n
			}
			if counted != open {
				t.Errorf("%d are counted by owner, %d are open", counted, open)
			}
		})
	}
}

// failing is a listener that has no more files.
type failing struct{ net.Listener }

func (failing) Accept() (net.Conn, error) { return nil, syscall.EMFILE }

// Failures to accept connections are logged, but not as often as they occur.
func TestAcceptFails(t *testing.T) {
	var log bytes.Buffer
	l := Listen(failing{}, Limits{Most: 6, Reserved: 2, Each: 2}, slog.New(slog.NewTextHandler(&log, nil)))
	for range 3 {
		if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("told %d times:\n%s", n, &log)
	}
}

// A refused caller, whom the server gives half a second to read the refusal, makes room for the next connection
// before an idle one does.
func TestRefusedMakesRoom(t *testing.T) {
	for name, secured := range map[string]bool{"HTTP": false, "HTTPS": true} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			l := Listen(raw, Limits{Most: 2, Each: 2}, slog.New(slog.DiscardHandler))
			var open sync.WaitGroup
			srv := &http.Server{
				Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.ContentLength > 0 {
						w.WriteHeader(413)
					}
				}),
				ConnState: func(conn net.Conn, s http.ConnState) {
					l.ConnState(conn, s)
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
				other := httptest.NewTLSServer(nil) // for its certificate
				defer other.Close()
				pool := x509.NewCertPool()
				pool.AddCert(other.Certificate())
				srv.TLSConfig = &tls.Config{Certificates: other.TLS.Certificates, MinVersion: tls.VersionTLS12}
				serve = func() error { return srv.ServeTLS(l, "", "") }
				dial = func() (net.Conn, error) {
					return tls.Dial("tcp", raw.Addr().String(), &tls.Config{RootCAs: pool, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12})
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

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
