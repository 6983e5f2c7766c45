// Command bench measures the real server: it builds holdfast, starts it as a
// process of its own on an empty database, books over HTTP, checks every
// answer, and lets `holdfast verify` look at the result. A refusal is no
// booking, and a broken invariant fails the run.
//
//	go run ./bench              # SQLite and PostgreSQL, 1, 16 and 64 clients, and the race
//	go run ./bench -requests 500
//
// It starts a PostgreSQL of its own, with fsync on, unless TEST_POSTGRES_URL
// names one.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/storage/storagetest"
)

func main() {
	requests := flag.Int("requests", 3000, "bookings measured for each number of clients")
	race := flag.Int("race", 10000, "requests of the race for places")
	flag.Parse()
	if err := run(context.Background(), *requests, *race); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, requests, race int) (err error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	fmt.Fprintln(os.Stderr, "building holdfast")
	binary := filepath.Join(dir, "holdfast")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/holdfast")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build: %w", err)
	}
	fmt.Fprintln(os.Stderr, "starting PostgreSQL")
	admin, stop, err := storagetest.StartPostgres()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	postgres, err := storagetest.NewDatabase(admin)
	if err != nil {
		return err
	}
	fmt.Printf("%s, %d processors, %s\n\n", runtime.Version(), runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly))
	fmt.Println("| database | clients | bookings | requests/s | p50 ms | p99 ms |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, d := range []struct{ name, target string }{
		{"SQLite", filepath.Join(dir, "bench.db")}, {"PostgreSQL", postgres},
	} {
		b := bench{binary: binary, target: d.target, name: d.name, dir: dir}
		if err := b.run(ctx, requests, race); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	return nil
}

// bench is one server on one database.
type bench struct {
	binary, target, name, dir string
	base                      string
	client                    *http.Client
	tokens                    atomic.Int64
}

// groups and zones of the bench clinic: each group is one lane with room for
// capacity visits in a half hour.
const (
	lanes    = 100
	capacity = 4
	slotSec  = 1800
)

func (b *bench) run(ctx context.Context, requests, race int) (err error) {
	catalogue := filepath.Join(b.dir, "bench.yaml")
	if err := os.WriteFile(catalogue, []byte(clinic()), 0o600); err != nil {
		return err
	}
	if out, err := b.holdfast(ctx, "import", catalogue).CombinedOutput(); err != nil {
		return fmt.Errorf("import: %w\n%s", err, out)
	}
	stop, err := b.serve(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()

	// Warm up: connections, caches, the first slots.
	if _, err := b.load(ctx, 16, 300, b.spread); err != nil {
		return err
	}
	for _, clients := range []int{1, 16, 64} {
		r, err := b.load(ctx, clients, requests, b.spread)
		if err != nil {
			return err
		}
		if r.booked != requests {
			return fmt.Errorf("%d of %d were booked: %s", r.booked, requests, r.odd)
		}
		fmt.Printf("| %s | %d | %d | %.0f | %.1f | %.1f |\n", b.name, clients, r.booked, r.rate(), r.percentile(50), r.percentile(99))
	}

	// The race: every place of ten lanes on one day is asked for many times.
	places := 10 * capacity * 48
	r, err := b.load(ctx, 64, race, func(n int) []byte {
		return b.request(n%10, b.day(400)+int64(n/10%48)*slotSec)
	})
	if err != nil {
		return err
	}
	want := min(places, race)
	fmt.Printf("| %s, race for %d places | 64 | %d | %.0f | %.1f | %.1f |\n", b.name, places, r.booked, r.rate(), r.percentile(50), r.percentile(99))
	if r.booked != want || r.refused != race-want {
		return fmt.Errorf("the race: %d booked and %d refused, want %d and %d: %s", r.booked, r.refused, want, race-want, r.odd)
	}
	fmt.Fprintln(os.Stderr, "verifying", b.name)
	if out, err := b.holdfast(ctx, "verify").CombinedOutput(); err != nil {
		return fmt.Errorf("verify: %w\n%s", err, out)
	}
	return nil
}

func (b *bench) holdfast(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, b.binary, args...)
	cmd.Env = append(os.Environ(), "HOLDFAST_DATABASE="+b.target, "HOLDFAST_GOOGLE_CREDENTIALS=google:bench")
	return cmd
}

// serve starts the server and waits until it says where it listens.
func (b *bench) serve(ctx context.Context) (stop func() error, err error) {
	cmd := b.holdfast(ctx, "serve", "--address", "127.0.0.1:0", "--log-format", "json")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if err := json.Unmarshal(lines.Bytes(), &line); err == nil && line.Msg == "serving" {
			b.base = "http://" + line.Address
			break
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	if b.base == "" {
		return nil, errors.Join(errors.New("the server did not start"), cmd.Wait())
	}
	drained := make(chan error, 1)
	go func() { _, err := io.Copy(io.Discard, stderr); drained <- err }()
	b.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 128}}
	return func() error {
		b.client.CloseIdleConnections()
		err := cmd.Process.Signal(os.Interrupt)
		return errors.Join(err, <-drained, cmd.Wait())
	}, nil
}

// result is what a load brought.
type result struct {
	booked, refused int
	odd             string // an answer that was neither
	took            time.Duration
	each            []time.Duration
}

func (r result) rate() float64 { return float64(len(r.each)) / r.took.Seconds() }

func (r result) percentile(p int) float64 {
	return float64(r.each[min(len(r.each)-1, len(r.each)*p/100)].Microseconds()) / 1000
}

// load sends requests 0 to n-1 from so many clients.
func (b *bench) load(ctx context.Context, clients, n int, body func(n int) []byte) (result, error) {
	var r result
	var mu sync.Mutex
	var next atomic.Int64
	var done sync.WaitGroup
	errs := make([]error, clients)
	start := time.Now()
	for c := range clients {
		done.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				sent := time.Now()
				answer, err := b.post(ctx, body(i))
				took := time.Since(sent)
				if err != nil {
					errs[c] = err
					return
				}
				mu.Lock()
				r.each = append(r.each, took)
				switch {
				case bytes.Contains(answer, []byte(`"status":"CONFIRMED"`)):
					r.booked++
				case bytes.Contains(answer, []byte(`"cause":"SLOT_UNAVAILABLE"`)):
					r.refused++
				default:
					r.odd = string(answer)
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	r.took = time.Since(start)
	slices.Sort(r.each)
	return r, errors.Join(errs...)
}

func (b *bench) post(ctx context.Context, body []byte) (answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.base+"/v3/CreateBooking", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth("google", "bench")
	resp, err := b.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	return io.ReadAll(resp.Body)
}

// day is the start of a day well ahead, in Unix seconds.
func (b *bench) day(n int) int64 {
	return (time.Now().Unix()/86400 + int64(10+n)) * 86400
}

// spread asks for a place that nobody else asks for, all over the slots.
func (b *bench) spread(int) []byte {
	n := int(b.tokens.Load())
	return b.request(n%lanes, b.day(n/lanes/48%365)+int64(n/lanes%48)*slotSec)
}

func (b *bench) request(lane int, startSec int64) []byte {
	n := b.tokens.Add(1)
	return fmt.Appendf(nil, `{"slot":{"merchant_id":"bench","service_id":"service-%d","start_sec":"%d","duration_sec":"%d"},`+
		`"user_information":{"user_id":"user-%d","given_name":"John","family_name":"Smith","telephone":"+82 10 %d","email":"john%d@example.com"},`+
		`"idempotency_token":"token-%d"}`, lane, startSec, slotSec, n, n, n, n)
}

// clinic is a catalogue with one lane for each service.
func clinic() string {
	var y strings.Builder
	y.WriteString("merchants:\n- id: bench\n  name: bench\n  time_zone: UTC\n  zones: [{id: 65a000000000000000000001, name: zone}]\n  groups:\n")
	for i := range lanes {
		fmt.Fprintf(&y, "  - {id: 65b%021d, title: group, interval_minutes: 30, zones: [{zone_id: 65a000000000000000000001, capacity: %d}]}\n", i, capacity)
	}
	y.WriteString("  services:\n")
	for i := range lanes {
		fmt.Fprintf(&y, "  - {id: service-%d, group_id: 65b%021d, duration_sec: %d}\n", i, i, slotSec)
	}
	return y.String()
}
