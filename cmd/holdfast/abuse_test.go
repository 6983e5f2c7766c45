//go:build abuse && linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/storage/storagetest"
)

// Abuse of a real server process while guests book: what a stranger may send, what a partner may send by mistake, and more of it
// than the machine can handle. make abuse runs it, and it prints what it measures.

// maxMemory is how much memory the process may ever use, in MiB.
const maxMemory = 256

// target is the abused process.
type target struct {
	program
	address, internal string
	pid               int
	log               string       // the file that it logs to
	secure            *tls.Config  // nil: plain HTTP
	dialed            atomic.Int64 // how often attackers have connected
}

// startTarget starts a server on a new SQLite file.
func startTarget(t *testing.T, args ...string) *target {
	t.Helper()
	return startOn(t, storagetest.SQLite(t), args...)
}

// fresh puts the program on a new file if ABUSE_BINARY names another build, because an earlier release may not accept today's schema.
// (This does not work on PostgreSQL.)
func (p *program) fresh(t *testing.T) {
	if p.binary = os.Getenv("ABUSE_BINARY"); p.binary != "" && p.onSQLite() {
		p.database = filepath.Join(t.TempDir(), "fresh.db")
	}
}

// startOn builds the program, or takes the build that ABUSE_BINARY names for comparison, and starts a server on an empty database.
// ABUSE_FILES is how many files it may open.
func startOn(t *testing.T, database string, args ...string) *target {
	t.Helper()
	p := program{database: database}
	p.fresh(t)
	p.ok(t, "import", file(t, "c", roomy.Replace(catalogue2)))
	return serveOn(t, p, args...)
}

// roomy makes clinics that are never full.
var roomy = strings.NewReplacer("capacity: 2", "capacity: 10000", "capacity: 1", "capacity: 10000")

// serveOn is startOn for a prepared database.
func serveOn(t *testing.T, p program, args ...string) *target {
	t.Helper()
	dir := t.TempDir()
	binary := os.Getenv("ABUSE_BINARY")
	if binary == "" {
		binary = filepath.Join(dir, "holdfast")
		build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("go build: %v\n%s", err, out)
		}
	}
	serve := exec.Command("sh", append([]string{"-c", `[ -z "$ABUSE_FILES" ] || ulimit -n "$ABUSE_FILES"; exec "$0" "$@"`, binary, "serve", "--address", "127.0.0.1:0", "--internal-address", "127.0.0.1:0", "--database", p.database, "--google-credentials", googleCredentials}, args...)...)
	log, err := os.Create(filepath.Join(dir, "log")) // a pipe would make it wait for this process
	must(t, err)
	defer log.Close()
	serve.Stderr = log
	must(t, serve.Start())
	s := &target{program: p, pid: serve.Process.Pid, log: log.Name()}
	t.Cleanup(func() {
		must(t, serve.Process.Signal(os.Interrupt))
		if err := serve.Wait(); err != nil {
			t.Errorf("the server ended badly: %v", err)
		}
		if found := regexp.MustCompile(`(?m)^.*(level=ERROR|panic).*$`).FindAllString(s.logged(t), 20); found != nil {
			t.Errorf("the log has:\n%s", strings.Join(found, "\n"))
		}
		if r := p.runWith(context.WithoutCancel(t.Context()), "verify"); r.status != 0 {
			t.Errorf("verify: exit status %d\n%s%s", r.status, r.out, r.err)
		}
	})
	s.internal, s.address = s.await(t, `msg="serving metrics" address=(\S+)`), s.await(t, `msg=serving address=(\S+)`)
	return s
}

// logged returns what the server has logged.
func (s *target) logged(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(s.log)
	must(t, err)
	return string(text)
}

// await waits until what was logged matches, and returns the first group.
func (s *target) await(t *testing.T, pattern string) string {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(s.logged(t)); found != nil {
			return found[1]
		}
	}
	t.Fatalf("not in the log: %s", pattern)
	return ""
}

// memory reports the process's peak memory since the last call.
func (s *target) memory(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	must(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	kb, err := strconv.Atoi(string(found[1]))
	must(t, err)
	must(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.pid), []byte("5"), 0)) // begin anew
	t.Logf("memory %d MiB", kb>>10)
	if kb>>10 > maxMemory {
		t.Errorf("the server took %d MiB, at most %d are right", kb>>10, maxMemory)
	}
}

// metric reads one of the server's metrics.
func (s *target) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := http.Get("http://" + s.internal + "/metrics")
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		t.Fatalf("there is no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	must(t, err)
	return value
}

func (s *target) url() string {
	if s.secure != nil {
		return "https://" + s.address
	}
	return "http://" + s.address
}

func (s *target) dial() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", s.address, 10*time.Second)
	if err != nil || s.secure == nil {
		return conn, err
	}
	secured := tls.Client(conn, s.secure)
	return secured, secured.Handshake()
}

// visitor books all the time, one booking after the other, and repeats requests when it is asked to.
type visitor struct {
	at   clinic
	stop context.CancelFunc
	done sync.WaitGroup

	mu      sync.Mutex
	took    []time.Duration // until there was a booking
	asked   int             // again
	refused []string        // what else was answered
}

// clinic is where somebody books.
type clinic struct{ id, service string }

// A crowd books in Seoul; in New York it is quiet.
var (
	seoul   = clinic{"seoul", "skin-care"}
	newYork = clinic{"new-york", "visit"}
)

func (s *target) visit(t *testing.T, at clinic) *visitor { return s.visitWith(t, at, false) }

// visitWith is a visitor who may come on a new connection for each booking.
func (s *target) visitWith(t *testing.T, at clinic, fresh bool) *visitor {
	ctx, stop := context.WithCancel(t.Context())
	g := &visitor{at: at, stop: stop}
	client := s.client(fresh)
	g.done.Go(func() {
		defer client.CloseIdleConnections()
		for ctx.Err() == nil {
			body, started := strings.NewReplacer(seoul.id, at.id, seoul.service, at.service).Replace(randomBooking()), time.Now()
			for {
				status, answer, err := post(client, s.url()+"/v3/CreateBooking", body, googleHeader, "guest-"+at.id)
				g.mu.Lock()
				switch {
				case ctx.Err() != nil:
				case err == nil && status == 503 || err != nil && s.overrun(err):
					g.asked++
					g.mu.Unlock()
					<-time.After(again)
					continue
				case err != nil || status != 200 || !strings.Contains(answer, `"status":"CONFIRMED"`):
					g.refused = append(g.refused, fmt.Sprint(status, answer, err))
				default:
					g.took = append(g.took, time.Since(started))
				}
				g.mu.Unlock()
				break
			}
		}
	})
	return g
}

// again is after what time clients repeat a request here. The server tells them to wait a second; if they repeated it at once, they
// would measure themselves.
const again = 100 * time.Millisecond

// overrun reports whether a connection or stream was closed for lack of room, without an answer: a partner asks again on another.
func (*target) overrun(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "broken pipe") ||
		strings.Contains(err.Error(), "server closed idle connection") || strings.Contains(err.Error(), "stream error: ")
}

// made is how many bookings there are by now.
func (g *visitor) made() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.took)
}

// end stops the guest and reports.
func (g *visitor) end(t *testing.T) {
	t.Helper()
	g.stop()
	g.done.Wait()
	if len(g.refused) > 0 {
		t.Errorf("the guest of %s was refused %d times: %.3q", g.at.id, len(g.refused), g.refused)
	}
	t.Logf("the guest of %s made %d bookings, asked again %d times; %s", g.at.id, len(g.took), g.asked, spread(g.took))
}

// spread is how long something took.
func spread(took []time.Duration) string {
	if len(took) == 0 {
		return "never"
	}
	slices.Sort(took)
	at := func(i int) time.Duration { return took[i].Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, longest %v", at(len(took)/2), at(len(took)*99/100), at(len(took)-1))
}

var googleHeader = func() string {
	r := http.Request{Header: http.Header{}}
	user, password, _ := strings.Cut(googleCredentials, ":")
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}()

// randomBooking is a CreateBooking of somebody new.
func randomBooking() string {
	return createBody("g"+strings.ReplaceAll(uuid.NewString(), "-", ""), 9+24*rand.IntN(300))
}

func post(client *http.Client, url, body, authorization, id string) (status int, answer string, err error) {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", authorization)
	r.Header.Set("X-Request-Id", id)
	resp, err := client.Do(r)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == 503 && resp.Header.Get("Retry-After") == "" {
		err = errors.New("a 503 without Retry-After")
	}
	return resp.StatusCode, string(text), errors.Join(err, resp.Body.Close())
}

// head is the beginning of a request.
func head(path, authorization, more string) string {
	return "POST " + path + " HTTP/1.1\r\nHost: holdfast\r\nAuthorization: " + authorization + "\r\n" + more
}

const (
	bookPath   = "/v3/CreateBooking"
	tokensPath = "/open/authorization/commands/exchange-token"
	movePath   = "/schedule/open/v2/commands/update-reservation"
)

func TestAbuse(t *testing.T) {
	s := startTarget(t, "--trusted-proxies", "127.0.0.1")
	run := func(name string, attack func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			inSeoul, inNewYork := s.visit(t, seoul), s.visit(t, newYork)
			for started := time.Now(); ; { // until it has lasted long enough to be felt
				attack(t)
				if t.Failed() || inNewYork.made() >= 20 || time.Since(started) > 15*time.Second {
					break
				}
			}
			inSeoul.end(t)
			inNewYork.end(t)
			s.memory(t)
			// The quiet merchant does not wait behind anybody.
			if made := inNewYork.made(); !t.Failed() && made <= 2*inNewYork.asked {
				t.Errorf("the guest of %s made %d bookings and was put off %d times", newYork.id, made, inNewYork.asked)
			}
		})
	}

	// 300 sockets that send a byte now and then are cut off.
	run("slow", func(t *testing.T) {
		var slow sync.WaitGroup
		var longest atomic.Int64
		for _, begin := range []string{
			"POST /v3/CreateBooking HTTP/1.1\r\nHost: holdfast\r\nX-Slow: ",
			head(bookPath, googleHeader, "Content-Length: 10000\r\n\r\n{"),
			head(tokensPath, "", "Content-Length: 1000\r\n\r\n{"),
			head(tokensPath, "", "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"),
		} {
			for range 300 {
				slow.Go(func() {
					started := time.Now()
					conn, err := s.dial()
					if err != nil {
						t.Error(err)
						return
					}
					defer conn.Close()
					if _, err := io.WriteString(conn, begin); err != nil {
						return
					}
					if err := conn.SetReadDeadline(started.Add(30 * time.Second)); err != nil {
						t.Error(err)
					}
					ended := make(chan struct{})
					go func() { // until it is told, or cut off
						defer close(ended)
						_, err := io.Copy(io.Discard, conn)
						if errors.Is(err, os.ErrDeadlineExceeded) {
							t.Errorf("still open after 30 s: %.60q", begin)
						}
					}()
					for {
						select {
						case <-ended:
							longest.Store(max(longest.Load(), int64(time.Since(started))))
							return
						case <-time.After(250 * time.Millisecond):
							_, _ = io.WriteString(conn, "a") // it may be closed
						}
					}
				})
			}
		}
		slow.Wait()
		t.Logf("the last of 1,200 was cut off after %v", time.Duration(longest.Load()).Round(100*time.Millisecond))
	})

	// Bodies that are too long are refused before they are sent.
	run("20 MB", func(t *testing.T) {
		s.each(t, 200, func(i int) error {
			path, auth, want := bookPath, googleHeader, 413
			switch i % 4 {
			case 1:
				path, auth = tokensPath, ""
			case 2:
				auth, want = "", 401
			case 3:
				path, auth, want = movePath, "Bearer x", 401
			}
			if want == 401 { // guesses: slow after many, and then without an answer
				return s.tell(head(path, auth, "Content-Length: 20971520\r\n\r\n"), nil, 401, 429, 503, closed)
			}
			return s.tell(head(path, auth, "Content-Length: 20971520\r\n\r\n"), nil, want, closed)
		})
	})

	// Bodies without an end are cut off.
	run("endless", func(t *testing.T) {
		var sent atomic.Int64
		s.each(t, 200, func(i int) error {
			path, auth, want := bookPath, googleHeader, 413
			if i%2 == 1 {
				path, auth = tokensPath, ""
			}
			chunk := []byte("4000\r\n" + strings.Repeat(" ", 0x4000) + "\r\n")
			return s.tell(head(path, auth, "Transfer-Encoding: chunked\r\n\r\n"), func(w io.Writer) {
				for range 2000 { // 32 MB, if it lets us
					n, err := w.Write(chunk)
					sent.Add(int64(n))
					if err != nil {
						return
					}
				}
			}, want)
		})
		t.Logf("%d KiB of each were sent before it was over, most of that into the sockets' buffers", sent.Load()/200>>10)
	})

	// Compressed bodies are not read, and what is no request or no JSON is refused.
	run("garbage", func(t *testing.T) {
		nested := strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000)
		numbers := `{"x":[` + strings.Repeat("0,", 120_000) + `0]}`
		objects := `{"x":[` + strings.Repeat("{},", 80_000) + `{}]}`
		names := func() string {
			var b bytes.Buffer
			b.WriteString(`{"x":0`)
			for i := range 20_000 {
				fmt.Fprintf(&b, `,"%d":0`, i)
			}
			return b.String() + "}"
		}()
		s.each(t, 200, func(i int) error {
			send := func(body, more string, want int) error {
				return s.tell(head(bookPath, googleHeader, fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", more, len(body), body)), nil, want, 503)
			}
			switch i % 10 {
			case 0:
				return send("\x1f\x8b\x08"+strings.Repeat("\x00", 10_000), "Content-Encoding: gzip\r\n", 415)
			case 1:
				return send(`{"slot":`+nested+`}`, "", 400)
			case 2:
				return send(numbers, "", 400)
			case 3:
				return send(objects, "", 400)
			case 4:
				return send(names, "", 400)
			case 5:
				return send(strings.Repeat("[", 250_000), "", 400)
			case 6:
				return send(`{"slot":{},"slot":{}}`, "", 400)
			case 7:
				return send("{\"x\":\"\xff\"} and more", "", 400)
			case 8:
				return s.tell(head(bookPath, googleHeader, "X-Long: "+strings.Repeat("a", 64<<10)+"\r\n\r\n"), nil, 431, closed)
			}
			return s.tell("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", nil, 400)
		})
	})

	// More sockets than allowed, half of which have been served once.
	run("idle", func(t *testing.T) {
		most := min(10_000, maxFiles()-2000)
		var open []net.Conn
		defer func() {
			for _, conn := range open {
				_ = conn.Close() // most are closed from the other side
			}
		}()
		for i := range most {
			conn, err := s.dial()
			must(t, err)
			open = append(open, conn)
			if i%2 == 0 {
				_, _ = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: holdfast\r\n\r\n") // it may be closed already
			}
		}
		have := s.metric(t, "holdfast_connections")
		t.Logf("of %d sockets the server has kept %.0f", most, have)
		if have > maxConnections {
			t.Errorf("the server has %.0f connections open", have)
		}
	})

	// More bookings than the machine can handle, and strangers who guess.
	run("flood", func(t *testing.T) {
		before := len(s.logged(t))
		s.flood(t, 10*time.Second, map[string]crowd{
			"bookings":     {1300, "/v3/CreateBooking", randomBooking, googleHeader, []int{200, 503}},
			"guesses":      {100, "/v3/CreateBooking", func() string { return "{}" }, "Basic eDp5", []int{401, 429, 503}},
			"wrong tokens": {100, movePath, func() string { return "{}" }, "Bearer x", []int{401, 429, 503}},
			"wrong keys":   {100, tokensPath, func() string { return `{"key":"` + uuid.NewString() + `"}` }, "", []int{400, 429, 503}},
		})
		// The clients wait for the processor too; this is what the server takes.
		took := map[string][]time.Duration{}
		for _, m := range regexp.MustCompile(`route=/v3/CreateBooking status=(\d+) duration_ms=(\S+) request_id=(guest-new-york )?`).FindAllStringSubmatch(s.logged(t)[before:], -1) {
			ms, err := time.ParseDuration(m[2] + "ms")
			must(t, err)
			took[m[3]+m[1]] = append(took[m[3]+m[1]], ms)
		}
		for status, list := range took {
			t.Logf("inside the server: %d answers %s; %s", len(list), status, spread(list))
		}
		if len(took["200"]) == 0 {
			t.Error("nobody in the crowd has got a booking")
		}
	})
}

// The same with TLS, which costs more memory for each connection: as many as allowed, each served once.
func TestAbuseWithTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := certificate(t, cert, key, 1)
	s := startTarget(t, "--trusted-proxies", "127.0.0.1", "--tls-cert", cert, "--tls-key", key)
	s.secure = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	g := s.visit(t, seoul)
	var mu sync.Mutex
	var open []net.Conn
	defer func() {
		for _, conn := range open {
			_ = conn.Close() // some are closed from the other side
		}
	}()
	for range 30 {
		s.each(t, 100, func(int) error {
			conn, err := s.dial()
			if err != nil {
				return err
			}
			mu.Lock()
			open = append(open, conn)
			mu.Unlock()
			_, err = io.WriteString(conn, "GET /livez HTTP/1.1\r\nHost: holdfast\r\n\r\n")
			return errors.Join(err, s.answered(conn))
		})
	}
	t.Logf("of %d sockets the server has kept %.0f", len(open), s.metric(t, "holdfast_connections"))
	g.end(t)
	s.memory(t)
	if g.made() == 0 {
		t.Error("the guest made no booking")
	}
}

// answered waits for the beginning of an answer.
func (*target) answered(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	_, err := io.ReadFull(conn, make([]byte, 12))
	return err
}

// closed stands for no answer: the connection was closed while the request was being sent.
const closed = 0

// tell sends a request and, at the same time, what body writes, and wants an answer with one of these statuses.
func (s *target) tell(request string, body func(io.Writer), want ...int) error {
	conn, err := s.dial()
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		if _, err := io.WriteString(conn, request); err == nil && body != nil {
			body(conn)
		}
	}()
	answer := make([]byte, 16)
	_, err = io.ReadFull(conn, answer)
	if body == nil {
		<-written
	}
	_ = conn.Close() // which ends what is still being written
	<-written
	text, _, _ := strings.Cut(strings.TrimPrefix(string(answer), "HTTP/1.1 "), " ")
	status, _ := strconv.Atoi(text) // 0: there was none
	if status == closed && slices.Contains(want, closed) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%.60q: want %d: %w", request, want, err)
	}
	if !slices.Contains(want, status) {
		return fmt.Errorf("%.60q: got %q, want %d", request, answer, want)
	}
	return nil
}

// each runs f n times at once.
func (s *target) each(t *testing.T, n int, f func(i int) error) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			if err := f(i); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// crowd is a number of clients that ask without a pause.
type crowd struct {
	clients int
	path    string
	body    func() string
	auth    string
	allowed []int
}

// flood runs crowds for a while, and reports their answers.
func (s *target) flood(t *testing.T, length time.Duration, crowds map[string]crowd) {
	t.Helper()
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for name, c := range crowds {
		var mu sync.Mutex
		took := map[int][]time.Duration{}
		closed := 0
		client := s.client(false)
		client.Transport.(*http.Transport).MaxIdleConnsPerHost = c.clients
		var these sync.WaitGroup
		for range c.clients {
			these.Go(func() {
				for time.Now().Before(end) {
					started := time.Now()
					status, answer, err := post(client, s.url()+c.path, c.body(), c.auth, "")
					mu.Lock()
					switch {
					case err != nil && s.overrun(err):
						closed++
					case err != nil || !slices.Contains(c.allowed, status):
						t.Errorf("%s: got %d %.200s, %v", name, status, answer, err)
					default:
						took[status] = append(took[status], time.Since(started))
					}
					mu.Unlock()
					if status == 503 || status == 429 || err != nil { // or was cut off
						<-time.After(again)
					}
				}
			})
		}
		all.Go(func() {
			these.Wait()
			client.CloseIdleConnections()
			for status, list := range took {
				t.Logf("%s: %d answers %d; %s", name, len(list), status, spread(list))
			}
			if closed > 0 {
				t.Logf("%s: %d connections closed", name, closed)
			}
		})
	}
	all.Wait()
}
