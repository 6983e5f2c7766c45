package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

func TestMain(m *testing.M) {
	for _, setting := range os.Environ() { // ignore this machine's settings
		if name, _, _ := strings.Cut(setting, "="); strings.HasPrefix(name, "HOLDFAST_") || strings.HasPrefix(name, "OTEL_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(storagetest.Main(m))
}

// each runs the test with an empty database of each kind.
func each(t *testing.T, test func(t *testing.T, p program)) {
	t.Helper()
	for _, kind := range storagetest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) { test(t, program{database: kind.New(t)}) })
	}
}

// program is holdfast on one database.
type program struct {
	database string
	binary   string // another build of it, to compare; "": this one
}

func (p program) onSQLite() bool { return !strings.HasPrefix(p.database, "postgres") }

// result is the result of a run of the program.
type result struct {
	status   int
	out, err string
}

// run runs a command to its end.
func (p program) run(t *testing.T, args ...string) result {
	t.Helper()
	return p.runWith(t.Context(), args...)
}

func (p program) runWith(ctx context.Context, args ...string) result {
	var out, err bytes.Buffer
	args = append(args, "--database", p.database)
	if p.binary == "" {
		status := run(ctx, args, &out, &err)
		return result{status, out.String(), err.String()}
	}
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Stdout, cmd.Stderr = &out, &err
	_ = cmd.Run() // the status says it
	return result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

// ok runs a command that must succeed and returns what it printed.
func (p program) ok(t *testing.T, args ...string) string {
	t.Helper()
	r := p.run(t, args...)
	if r.status != 0 {
		t.Fatalf("holdfast %s: exit status %d\n%s%s", strings.Join(args, " "), r.status, r.out, r.err)
	}
	return r.out
}

// open opens the program's database without the program.
func (p program) open(t *testing.T) *storage.DB {
	t.Helper()
	return storagetest.Open(t, p.database, storage.Options{Limit: time.Minute})
}

// file writes a file of this name.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The catalogue of these tests: a clinic in Seoul and one in New York.
const (
	seoulBed   = "65a000000000000000000001" // room for 2
	seoulGroup = "65b000000000000000000001"
	seoulKim   = "65c000000000000000000001" // exclusive
	catalogue2 = `
merchants:
  - id: seoul
    name: 서울 피부과
    zones:
      - {id: 65a000000000000000000001, name: 베드}
    groups:
      - id: 65b000000000000000000001
        title: 피부
        interval_minutes: 30
        zones: [{zone_id: 65a000000000000000000001, capacity: 2}]
    staff:
      - {id: 65c000000000000000000001, name: 김의사, role: DOCTOR, exclusive: true}
    services:
      - {id: skin-care, name: 피부 관리, group_id: 65b000000000000000000001, duration_sec: 3600}
  - id: new-york
    name: Upper West
    time_zone: America/New_York
    zones:
      - {id: 65a300000000000000000001, name: Room}
    groups:
      - id: 65b300000000000000000001
        title: Visits
        interval_minutes: 60
        zones: [{zone_id: 65a300000000000000000001, capacity: 1}]
    services:
      - {id: visit, group_id: 65b300000000000000000001, duration_sec: 3600}
`
)

// The feeds of a restaurant with two tables for two and three seats in a bar,
// at 19:00 in Seoul.
const (
	dinnerSec     = 1772445600
	feedMeta      = `"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": 1772000000}`
	merchantsFeed = `{` + feedMeta + `, "merchant": [{"merchant_id": "bistro", "name": "Mapo Bistro"}]}`
	servicesFeed  = `{` + feedMeta + `, "service": [{"merchant_id": "bistro", "service_id": "dinner", "localized_service_name": {"value": "Dinner"}}]}`
	slotsFeed     = `{` + feedMeta + `, "service_availability": [{"availability": [
		{"merchant_id": "bistro", "service_id": "dinner", "start_sec": 1772445600, "duration_sec": 5400, "spots_total": 2, "spots_open": 2, "resources": {"party_size": 2}},
		{"merchant_id": "bistro", "service_id": "dinner", "start_sec": 1772445600, "duration_sec": 3600, "spots_total": 9, "spots_open": 3}]}]}`
)

// The time in these tests unless the program uses the real one: 08:00 in Seoul on Monday, 2 March 2026.
var eight = time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)

// at is hh:mm of that day in Seoul, in Unix seconds.
func at(hh, mm int) int64 {
	return eight.Add(time.Duration(hh-8)*time.Hour + time.Duration(mm)*time.Minute).Unix()
}

// ahead is that hour in Seoul, a month from now, because a server uses the real time.
func ahead(hour int) int64 {
	day := time.Now().Truncate(24 * time.Hour) // 09:00 in Seoul
	return day.Add(30*24*time.Hour + time.Duration(hour-9)*time.Hour).Unix()
}

// day is the day in Seoul of a time in Unix seconds.
func day(sec int64) string {
	return time.Unix(sec, 0).In(time.FixedZone("Seoul", 9*3600)).Format(time.DateOnly)
}

// service is the booking service on a database, at that time.
func service(db *storage.DB) *booking.Service {
	return &booking.Service{Store: db, Now: func() time.Time { return eight }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
}

// guest is a request of a guest for an hour at the clinic in Seoul.
func guest(name string, startSec int64) booking.Create {
	return booking.Create{
		Caller: "google", Token: "token-of-" + name, Fingerprint: []byte(name),
		Slot: booking.Slot{MerchantID: "seoul", ServiceID: "skin-care", StartSec: startSec, DurationSec: 3600},
		Contact: booking.Contact{
			UserID: name, GivenName: name, FamilyName: "Smith", Telephone: "+82 10-1234-5678", Email: strings.ToLower(name) + "@example.com",
		},
	}
}

// book makes a booking that must succeed.
func book(t *testing.T, db *storage.DB, c booking.Create) booking.Booking {
	t.Helper()
	made, err := service(db).Create(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return made.Booking
}

// watched is what a running program prints.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and made anew with every write
}

func newWatched() *watched { return &watched{more: make(chan struct{})} }

func (w *watched) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.more)
	w.more = make(chan struct{})
	return w.text.Write(b)
}

func (w *watched) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// await waits until what was printed matches, and returns the first group.
func (w *watched) await(ctx context.Context, pattern string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	re := regexp.MustCompile(pattern)
	for {
		w.mu.Lock()
		m, more := re.FindStringSubmatch(w.text.String()), w.more
		w.mu.Unlock()
		if m != nil {
			return m[len(m)-1], nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return "", errors.New("never printed " + pattern + " but\n" + w.String())
		}
	}
}

func TestUsage(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		status int
		out    []string // on standard output
		err    []string // on standard error
	}{
		{"help", []string{"--help"}, 0, []string{"serve", "import", "key", "bookings", "verify", "demo", "--database", "HOLDFAST_DATABASE"}, nil},
		{"help of a command", []string{"import", "--help"}, 0, []string{"<file>", "nothing else"}, nil},
		{"no command", nil, 2, nil, []string{"holdfast: ", "serve", "Try holdfast --help."}},
		{"unknown command", []string{"frobnicate"}, 2, nil, []string{"frobnicate", "Try holdfast --help."}},
		{"unknown flag", []string{"verify", "--frobnicate"}, 2, nil, []string{"--frobnicate", "Try holdfast --help."}},
		{"unknown subcommand", []string{"key", "destroy"}, 2, nil, []string{"destroy"}},
		{"import of nothing", []string{"import"}, 2, nil, []string{"<file>"}},
		{"key for nobody", []string{"key", "create"}, 2, nil, []string{"--merchant"}},
		{"unknown log format", []string{"verify", "--log-format", "xml"}, 2, nil, []string{"--log-format"}},
		{"half a certificate", []string{"serve", "--tls-cert", "cert.pem"}, 2, nil, []string{"--tls-key"}},
		{"a database that is none", []string{"verify", "--database", ":memory:"}, 1, nil, []string{"holdfast: ", "must be a file"}},
		{"bad credentials", []string{"serve", "--google-credentials", "hunter2"}, 1, nil, []string{"--google-credentials: ", "no colon"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // the default database is a file right here
			var out, err bytes.Buffer
			if status := run(t.Context(), c.args, &out, &err); status != c.status {
				t.Errorf("exit status %d, want %d", status, c.status)
			}
			for what, words := range map[*bytes.Buffer][]string{&out: c.out, &err: c.err} {
				for _, word := range words {
					if !strings.Contains(what.String(), word) {
						t.Errorf("%q is missing in\n%s", word, what)
					}
				}
				if words == nil && what.Len() > 0 {
					t.Errorf("printed where nothing should be:\n%s", what)
				}
			}
			if strings.Contains(err.String(), "hunter2") {
				t.Errorf("a password is repeated:\n%s", &err)
			}
		})
	}
}

// Settings come from the environment too.
func TestEnvironment(t *testing.T) {
	t.Setenv("HOLDFAST_DATABASE", filepath.Join(t.TempDir(), "not", "there.db"))
	var out, err bytes.Buffer
	if status := run(t.Context(), []string{"verify"}, &out, &err); status != 1 || !strings.Contains(err.String(), "open") {
		t.Errorf("exit status %d\n%s%s", status, &out, &err)
	}
	path := storagetest.SQLite(t)
	t.Setenv("HOLDFAST_DATABASE", path)
	err.Reset()
	if status := run(t.Context(), []string{"verify"}, &out, &err); status != 0 {
		t.Errorf("exit status %d\n%s%s", status, &out, &err)
	}
}

// The demo runs and leaves nothing behind.
func TestDemo(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Chdir(dir)
	var out, err bytes.Buffer
	if status := run(t.Context(), []string{"demo", "--exit", "--address", "127.0.0.1:0"}, &out, &err); status != 0 {
		t.Fatalf("exit status %d\n%s%s", status, &out, &err)
	}
	for _, word := range []string{"exactly one got it, 39 got booking_failure", "byte for byte", `"cause":"SLOT_UNAVAILABLE"`, "John Smith", "all hold"} {
		if !strings.Contains(out.String(), word) {
			t.Errorf("%q is missing in\n%s", word, &out)
		}
	}
	if err.Len() > 0 {
		t.Errorf("complaints:\n%s", &err)
	}
	left, e := os.ReadDir(dir)
	if e != nil {
		t.Fatal(e)
	}
	for _, f := range left {
		t.Errorf("%s is left behind", f.Name())
	}
}

// A demo that keeps serving does so until it is stopped.
func TestDemoServesOn(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out, err := newWatched(), newWatched()
	status := make(chan int)
	go func() { status <- run(ctx, []string{"demo", "--address", "127.0.0.1:0"}, out, err) }()
	if _, e := out.await(t.Context(), `Still serving on (http://\S+)`); e != nil {
		t.Error(e)
	}
	stop()
	if got := <-status; got != 0 {
		t.Errorf("exit status %d\n%s%s", got, out, err)
	}
}

// The error for a port in use says so.
func TestAddressTaken(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		s := p.serve(t)
		defer s.stop(t)
		r := p.run(t, "serve", "--address", strings.TrimPrefix(s.url, "http://"))
		if r.status != 1 || !strings.Contains(r.err, "--address: ") {
			t.Errorf("exit status %d\n%s", r.status, r.err)
		}
	})
}
