//go:build abuse && linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// Attackers that make others wait: announced bodies that do not come, answers that nobody takes, too many connections, guesses.
// Meanwhile Google books from the attacker's own address, once on a persistent connection and once on a new one for each booking,
// and is never refused.

// onEach runs a trial on both databases, with HTTP and with HTTPS.
func onEach(t *testing.T, trial func(t *testing.T, s *target), args ...string) {
	everywhere(t, func(t *testing.T, p program, serve func(...string) *target) {
		p.ok(t, "import", file(t, "c", roomy.Replace(catalogue2)))
		trial(t, serve(args...))
	})
}

// quick halves the trials of everywhere: SQLite has HTTP, and PostgreSQL has HTTPS.
var quick = flag.Bool("quick", false, "try each attack on SQLite over HTTP and on PostgreSQL over HTTPS only")

// onEachSecured is onEach for what there is with HTTPS only.
func onEachSecured(t *testing.T, trial func(t *testing.T, s *target)) {
	each(t, func(t *testing.T, p program) {
		if *quick && p.onSQLite() {
			return
		}
		p.fresh(t)
		p.ok(t, "import", file(t, "c", roomy.Replace(catalogue2)))
		trial(t, serveSecured(t, p))
	})
}

// everywhere runs a trial on both databases, with HTTP and with HTTPS. serve starts the
// server when there is in the database what is to be in it.
func everywhere(t *testing.T, trial func(t *testing.T, p program, serve func(args ...string) *target)) {
	for over, serve := range map[string]func(*testing.T, program, ...string) *target{"HTTP": serveOn, "HTTPS": serveSecured} {
		t.Run(over, func(t *testing.T) {
			each(t, func(t *testing.T, p program) {
				if *quick && p.onSQLite() != (over == "HTTP") {
					return
				}
				p.fresh(t)
				trial(t, p, func(args ...string) *target { return serve(t, p, args...) })
			})
		})
	}
}

// serveSecured is serveOn with a certificate of its own.
func serveSecured(t *testing.T, p program, args ...string) *target {
	t.Helper()
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	pool := certificate(t, cert, key, 1)
	s := serveOn(t, p, append([]string{"--tls-cert", cert, "--tls-key", key}, args...)...)
	s.secure = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	return s
}

// under runs an attack for a while, with a number of attackers, each again and again, and judges the effect on Google and on the
// server's memory.
func (s *target) under(t *testing.T, attackers int, attack func(ctx context.Context, i int) error, also ...func(ctx context.Context)) {
	t.Helper()
	s.memory(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s.dialed.Store(0)
	var all sync.WaitGroup
	var failed atomic.Pointer[error]
	for i := range attackers {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := attack(ctx, i); err != nil && ctx.Err() == nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, io.EOF) {
					failed.Store(&err)
				}
				s.dialed.Add(1)
				pause(ctx, 4*time.Second) // the processor is not what is attacked here
			}
		})
	}
	for started := time.Now(); s.dialed.Load() < int64(attackers) && time.Since(started) < 20*time.Second; { // until all are there
		pause(ctx, 10*time.Millisecond)
	}
	kept, fresh := s.visitWith(t, seoul, false), s.visitWith(t, newYork, true)
	for _, f := range also {
		all.Go(func() { f(ctx) })
	}
	pause(ctx, 6*time.Second)
	for started := time.Now(); min(kept.made(), fresh.made()) < 20 && time.Since(started) < time.Minute; { // on a busy machine
		pause(ctx, 100*time.Millisecond)
	}
	stop()
	kept.end(t)
	fresh.end(t)
	all.Wait()
	s.memory(t)
	if err := failed.Load(); err != nil {
		t.Logf("an attacker: %v", *err)
	}
	within := patient(t)
	for _, g := range []*visitor{kept, fresh} {
		if len(g.took) < 20 || g.asked > 1+len(g.took)/100 {
			t.Errorf("Google booked %d times in %s and was put off %d times", len(g.took), g.at.id, g.asked)
		} else if p99 := g.took[len(g.took)*99/100]; p99 > within { // end has sorted them
			t.Errorf("99 of 100 bookings of Google in %s took up to %v, longer than %v", g.at.id, p99, within)
		}
	}
}

// patient is how long a booking may take under attack: a second, and proportionally longer if the processors have other work.
func patient(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/loadavg")
	must(t, err)
	var load float64
	_, err = fmt.Sscan(string(text), &load)
	must(t, err)
	return time.Duration(max(1, load/float64(runtime.NumCPU())) * float64(time.Second))
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// dialFrom connects from one of this machine's addresses, with a small window.
func (s *target) dialFrom(ctx context.Context, from string, protocols ...string) (net.Conn, error) {
	d := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096) })
	}}
	conn, err := d.DialContext(ctx, "tcp", s.address)
	if err != nil || s.secure == nil {
		s.dialed.Add(1)
		return conn, err
	}
	defer s.dialed.Add(1)
	config := s.secure.Clone()
	config.NextProtos = protocols
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return secured, nil
}

// hang sends a request and waits, without reading, until it is cut off. With trickle it sends a byte now and then.
func hang(ctx context.Context, conn net.Conn, request string, trickle bool) error {
	defer conn.Close()
	over := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer over()
	if _, err := io.WriteString(conn, request); err != nil {
		return err
	}
	for started := time.Now(); ctx.Err() == nil && time.Since(started) < 12*time.Second; {
		pause(ctx, 500*time.Millisecond)
		if !trickle {
			if gone(conn) {
				return nil
			}
			continue
		}
		if _, err := io.WriteString(conn, " "); err != nil {
			return err
		}
	}
	return nil
}

// gone reports whether the other side has closed a connection that is not read.
func gone(conn net.Conn) bool {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return true
	}
	state := 0
	err = raw.Control(func(fd uintptr) {
		if info, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_INFO); err == nil {
			state = info & 255 // the first member
		}
	})
	const established = 1
	return err != nil || state != established
}

// token is an access token of a clinic's.
func (s *target) token(t *testing.T, merchant string) string {
	t.Helper()
	key := strings.TrimSpace(s.program.ok(t, "key", "create", "--merchant", merchant))
	status, answer, err := post(s.client(true), s.url()+tokensPath, `{"key":"`+key+`"}`, "", "")
	must(t, err)
	parts := strings.Split(answer, `"`)
	if status != 200 || len(parts) < 4 {
		t.Fatalf("exchange-token: %d %s", status, answer)
	}
	return "Bearer " + parts[3]
}

func (s *target) client(fresh bool) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{TLSClientConfig: s.secure.Clone(), ForceAttemptHTTP2: true, DisableKeepAlives: fresh, MaxIdleConnsPerHost: 200}}
}

// often asks again and again until the context ends, and fails if more than one answer in a hundred is wrong, or one in ten at the
// attacker's own address, whose places it shares.
func (s *target) often(t *testing.T, what string, from string, ask func(client *http.Client) (int, string, error), want int) func(context.Context) {
	return func(ctx context.Context) {
		client := s.client(true)
		client.Transport.(*http.Transport).DialContext = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).DialContext
		var took []time.Duration
		bad, last := 0, ""
		for ctx.Err() == nil {
			started := time.Now()
			if status, answer, err := ask(client); err != nil || status != want {
				bad, last = bad+1, fmt.Sprintf("%d %.100s %v", status, answer, err)
			}
			took = append(took, time.Since(started))
			pause(ctx, 10*time.Millisecond)
		}
		t.Logf("%s: %d times, %d refused (%s); %s", what, len(took), bad, last, spread(took))
		few := 1 + len(took)/100
		if from == attacker {
			few = 1 + len(took)/10
		}
		if len(took) == 0 || bad > few {
			t.Errorf("%s: %d of %d were refused: %s", what, bad, len(took), last)
		}
	}
}

func (s *target) exchanges(t *testing.T, from string) func(context.Context) {
	key := strings.TrimSpace(s.program.ok(t, "key", "create", "--merchant", "new-york"))
	return s.often(t, "exchange-token from "+from, from, func(client *http.Client) (int, string, error) {
		return post(client, s.url()+tokensPath, `{"key":"`+key+`"}`, "", "")
	}, 200)
}

func (s *target) asks(t *testing.T, from string) func(context.Context) {
	token := s.token(t, "new-york")
	return s.often(t, "another clinic", from, func(client *http.Client) (int, string, error) {
		return post(client, s.url()+"/schedule/open/v1/queries/get-reservation-groups", "{}", token, "")
	}, 200)
}

const attacker, neighbour, third = "127.0.0.1", "127.0.0.2", "127.0.0.3"

// Bodies that are announced, and of which one byte comes.
func TestAbuseAnnouncedBodies(t *testing.T) {
	onEach(t, func(t *testing.T, s *target) {
		request := head(movePath, s.token(t, "seoul"), "Content-Length: 262144\r\n\r\n{")
		s.under(t, 480, func(ctx context.Context, i int) error {
			conn, err := s.dialFrom(ctx, attacker)
			if err != nil {
				return err
			}
			return hang(ctx, conn, request, i%2 == 0)
		}, s.asks(t, attacker))
	})
}

// Bodies that are there but for their last byte.
func TestAbuseNearlyWholeBodies(t *testing.T) {
	onEach(t, func(t *testing.T, s *target) {
		request := head(movePath, s.token(t, "seoul"), "Content-Length: 262144\r\n\r\n{"+strings.Repeat(" ", 262000))
		s.under(t, 480, func(ctx context.Context, i int) error {
			conn, err := s.dialFrom(ctx, attacker)
			if err != nil {
				return err
			}
			return hang(ctx, conn, request, false)
		}, s.asks(t, attacker))
	})
}

// Bodies of exchange-token, which needs no credentials.
func TestAbuseExchangeToken(t *testing.T) {
	onEach(t, func(t *testing.T, s *target) {
		also := []func(context.Context){s.exchanges(t, neighbour), s.exchanges(t, attacker)}
		s.under(t, 80, func(ctx context.Context, i int) error {
			if s.secure != nil && i > 0 { // one connection with HTTP/2 does it too
				return nil
			}
			conn, err := s.dialFrom(ctx, attacker, "h2")
			if err != nil {
				return err
			}
			if s.secure == nil {
				return hang(ctx, conn, head(tokensPath, "", "Content-Length: 4000\r\n\r\n{"+strings.Repeat(" ", 3000)), i%2 == 0)
			}
			return hang(ctx, conn, streams(100, "POST", tokensPath, "", "{"), false)
		}, also...)
	})
}

// One token that would take all places of the clinics.
func TestAbuseOneToken(t *testing.T) {
	onEach(t, func(t *testing.T, s *target) {
		token := s.token(t, "seoul")
		s.under(t, 2000, func(ctx context.Context, i int) error {
			conn, err := s.dialFrom(ctx, attacker)
			if err != nil {
				return err
			}
			return hang(ctx, conn, head(movePath, token, "Content-Length: 100\r\n\r\n{"), i%2 == 0)
		}, s.asks(t, neighbour))
	})
}

// Connections with many HTTP/2 streams from which nobody ever reads.
func TestAbuseStreams(t *testing.T) {
	onEachSecured(t, func(t *testing.T, s *target) {
		for name, request := range map[string]string{
			"openapi.yaml": streams(250, "GET", "/openapi.yaml", "", ""),
			"docs":         streams(250, "GET", "/docs?part="+s.renderer(t), "", ""),
			"no such path": streams(250, "GET", "/"+strings.Repeat("x", 4000), "", ""),
			"bodies":       streams(250, "POST", tokensPath, "", strings.Repeat(" ", 3000)),
			"of a clinic":  streams(250, "POST", "/schedule/open/v1/queries/get-reservation-groups", s.token(t, "seoul"), "{}"),
		} {
			t.Run(name, func(t *testing.T) {
				s.under(t, 150, func(ctx context.Context, i int) error {
					conn, err := s.dialFrom(ctx, attacker, "h2")
					if err != nil {
						return err
					}
					return hang(ctx, conn, request, false)
				}, s.asks(t, neighbour))
			})
		}
	})
}

// renderer names the longest part of the page at /docs.
func (s *target) renderer(t *testing.T) string {
	t.Helper()
	resp, err := s.client(false).Get(s.url() + "/docs")
	must(t, err)
	page, err := io.ReadAll(resp.Body)
	must(t, errors.Join(err, resp.Body.Close()))
	name := string(regexp.MustCompile(`renderer-[0-9a-f]+\.js`).Find(page))
	if name == "" {
		t.Fatalf("the page names no renderer: %s", page)
	}
	return name
}

// Readers who do not read, from two addresses.
func TestAbuseReaders(t *testing.T) {
	onEach(t, func(t *testing.T, s *target) {
		request := strings.Repeat("GET /openapi.yaml HTTP/1.1\r\nHost: holdfast\r\n\r\n", 2)
		s.under(t, 3000, func(ctx context.Context, i int) error {
			conn, err := s.dialFrom(ctx, []string{neighbour, third}[i%2])
			if err != nil {
				return err
			}
			return hang(ctx, conn, request, false)
		}, s.asks(t, "127.0.0.4"), s.often(t, "livez", "127.0.0.5", func(client *http.Client) (int, string, error) {
			resp, err := client.Get(s.url() + "/livez")
			if err != nil {
				return 0, "", err
			}
			return resp.StatusCode, "", resp.Body.Close()
		}, 200))
	})
}

// The longest answers to a clinic that does not take them. A query for a longer one is refused.
func TestAbuseUnreadAnswers(t *testing.T) {
	everywhere(t, func(t *testing.T, p program, serve func(...string) *target) {
		// 69 zones with names that are twice as long in JSON: 19,872 slots in six days.
		zones, lanes := "", ""
		for i := range 69 {
			zones += fmt.Sprintf("      - {id: 65a0000000000000000001%02d, name: %q}\n", i, strings.Repeat(`"`, 78))
			lanes += fmt.Sprintf("{zone_id: 65a0000000000000000001%02d, capacity: 10000}, ", i)
		}
		p.ok(t, "import", file(t, "c", strings.NewReplacer(
			"    zones:\n", "    zones:\n"+zones, "zones: [{zone_id: 65a000000000000000000001, capacity: 2}]", "zones: ["+strings.TrimSuffix(lanes, ", ")+"]",
			"capacity: 1}", "capacity: 10000}").Replace(catalogue2)))
		s := serve()
		token := s.token(t, "seoul")
		ask := func(days int) string {
			from := time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC)
			return fmt.Sprintf(`{"startDateTimeUtc":%q,"endDateTimeUtc":%q,"reservationGroupIds":["65b000000000000000000001"]}`,
				from.Format(time.RFC3339), from.AddDate(0, 0, days).Format(time.RFC3339))
		}
		const path = "/schedule/open/v2/queries/get-reservation-slots-by-groups"
		days := 0
		for length := 0; ; days++ { // as many as it gives
			status, answer, err := post(s.client(false), s.url()+path, ask(days+1), token, "")
			must(t, err)
			if status != 200 {
				t.Logf("%d days are %d bytes; of %d days: %d %s", days, length, days+1, status, answer)
				if status != 400 || !strings.Contains(answer, `{"key":"endDateTimeUtc","reason":"InvalidTimeRange"}`) {
					t.Error("that is not what to do about it")
				}
				break
			}
			length = len(answer)
		}
		s.memory(t)
		request := head(path, token, fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(ask(days)), ask(days)))
		s.under(t, 100, func(ctx context.Context, i int) error {
			if s.secure != nil && i%2 == 0 {
				conn, err := s.dialFrom(ctx, attacker, "h2")
				if err != nil {
					return err
				}
				return hang(ctx, conn, streams(1, "POST", path, token, ask(days)), false)
			}
			conn, err := s.dialFrom(ctx, attacker)
			if err != nil {
				return err
			}
			return hang(ctx, conn, request, false)
		}, s.asks(t, neighbour))
	})
}

// Idle sockets at the internal address of a process that may have only a few files.
func TestAbuseInternalListener(t *testing.T) {
	t.Setenv("ABUSE_FILES", "300")
	onEach(t, func(t *testing.T, s *target) {
		s.under(t, 320, func(ctx context.Context, i int) error {
			conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.internal)
			s.dialed.Add(1)
			if err != nil {
				return err
			}
			return hang(ctx, conn, "GET /metrics HTTP/1.1\r\nHost: holdfast\r\n\r\n"[:10+i%30], false)
		})
		for _, path := range []string{"trace", "profile", "heap"} {
			resp, err := http.Get("http://" + s.internal + "/debug/pprof/" + path + "?seconds=86400")
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != 400 {
				t.Errorf("%s for a day: %d", path, resp.StatusCode)
			}
		}
	})
}

// Endless guesses: after a thousand they become slow, and Google's own requests do not.
func TestAbuseGuesses(t *testing.T) {
	onEach(t, func(t *testing.T, s *target) {
		var wrong, answered atomic.Int64
		client, began := s.client(false), time.Now()
		s.under(t, 100, func(ctx context.Context, i int) error {
			path, auth, body := bookPath, fmt.Sprintf("Basic %d", i), "{}"
			switch i % 3 {
			case 1:
				path, auth = movePath, "Bearer x"
			case 2:
				path, auth, body = tokensPath, "", `{"key":"7d7a6a3e-5a2e-4d3f-8a53-1a2b3c4d5e6f"}`
			}
			for ctx.Err() == nil {
				status, _, err := post(client, s.url()+path, body, auth, "")
				if wrong.Add(1) > 2000 && err == nil && status != 503 {
					answered.Add(1)
				}
			}
			return nil
		})
		took := time.Since(began)
		t.Logf("%d guesses in %s, %d of those after the first 2,000 were answered", wrong.Load(), took.Round(time.Second), answered.Load())
		if wrong.Load() < 2000 || answered.Load() > int64(40*took.Seconds()) { // 32 at a time wait a second each
			t.Error("guesses are not slowed")
		}
	})
}

// streams is the beginning of an HTTP/2 connection with n requests, and a window that allows no answers. Bodies do not end.
func streams(n int, method, path, authorization, body string) string {
	var b bytes.Buffer
	frame := func(kind, flags byte, stream int, payload []byte) {
		var h [9]byte
		binary.BigEndian.PutUint32(h[:4], uint32(len(payload))<<8|uint32(kind))
		h[4] = flags
		binary.BigEndian.PutUint32(h[5:], uint32(stream))
		b.Write(h[:])
		b.Write(payload)
	}
	const data, headers, settings, endStream, endHeaders = 0, 1, 4, 1, 4
	b.WriteString("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	frame(settings, 0, 0, []byte{0, 4, 0, 0, 0, 0}) // INITIAL_WINDOW_SIZE 0
	text := func(s string) []byte {                 // a string of HPACK, without Huffman's code
		if len(s) < 127 {
			return append([]byte{byte(len(s))}, s...)
		}
		return append(append([]byte{127}, binary.AppendUvarint(nil, uint64(len(s)-127))...), s...)
	}
	header := []byte{0x83, 0x87} // POST, https
	if method == "GET" {
		header[0] = 0x82
	}
	header = append(append(header, 0x04), text(path)...)
	header = append(append(header, 0x01), text("holdfast")...)
	if authorization != "" {
		header = append(append(append(header, 0), text("authorization")...), text(authorization)...)
	}
	flags := byte(endHeaders)
	if body == "" || strings.HasSuffix(body, "}") {
		if body == "" {
			flags |= endStream
		}
	} else {
		header = append(append(append(header, 0), text("content-length")...), text("4000")...)
	}
	for i := range n {
		frame(headers, flags, 2*i+1, header)
		if body != "" {
			end := byte(0)
			if strings.HasSuffix(body, "}") {
				end = endStream
			}
			frame(data, end, 2*i+1, []byte(body))
		}
	}
	return b.String()
}
