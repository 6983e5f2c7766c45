package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const later = "later"

// serving answers every request with what answer says of its body, and returns
// where. The text later is sent with Retry-After.
func serving(t *testing.T, answer func(path, body string) (int, string)) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		status, text := answer(r.URL.Path, string(body))
		if text == later {
			w.Header().Set("Retry-After", "0")
		}
		w.WriteHeader(status)
		fmt.Fprint(w, text)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// booking answers a CreateBooking as our server does.
func booking(body string) string {
	return fmt.Sprintf(`{"booking":{"booking_id":"booking-of-%s","slot":{"start_sec":"%s"},"user_information":{"user_id":"%s"},"status":"CONFIRMED"}}`,
		between([]byte(body), `"idempotency_token":"`, `"`), between([]byte(body), `"start_sec":"`, `"`), between([]byte(body), `"user_id":"`, `"`))
}

func someStock(loaded bool) stock { return newStock(10_000, loaded, time.Unix(1_700_000_000, 0)) }

func TestLoadCountsOnlyBookings(t *testing.T) {
	c := newCaller(someStock(true))
	var requests, replays, refusals atomic.Int64
	var seen sync.Map
	address := serving(t, func(_, body string) (int, string) {
		requests.Add(1)
		if _, again := seen.LoadOrStore(body, true); again {
			replays.Add(1)
		}
		var start int64
		if _, err := fmt.Sscan(between([]byte(body), `"start_sec":"`, `"`), &start); err != nil {
			t.Error(err)
		}
		if c.full(int((start - c.baseSec) / slotSec)) {
			refusals.Add(1)
			return 200, `{"booking_failure":{"cause":"SLOT_UNAVAILABLE","description":"full"}}`
		}
		return 200, booking(body)
	})
	sent, err := load{clients: 4, length: time.Minute, limit: 2000, next: c.creates(4, c.anywhere)}.run(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	if requests.Load() != 2000 || replays.Load() == 0 || refusals.Load() == 0 || sent.took <= 0 {
		t.Errorf("got %d requests, %d replays, %d refusals in %v, want 2000, some, some", requests.Load(), replays.Load(), refusals.Load(), sent.took)
	}
	want := requests.Load() - replays.Load() - refusals.Load()
	if int64(len(sent.each)) != want || c.booked.Load() != want {
		t.Errorf("got %d counted and %d booked, want %d", len(sent.each), c.booked.Load(), want)
	}
}

func TestWrongAnswersFailTheLoad(t *testing.T) {
	var serial atomic.Int64
	c := newCaller(someStock(true))
	c.desk = make([]string, lanes/lanesPerMerchant)
	right := func(free func(i int) bool) func(string, string) (int, string) {
		return func(_, body string) (int, string) {
			var s strings.Builder
			for i, slot := range strings.Split(body, `"start_sec":"`)[1:] {
				start, _, _ := strings.Cut(slot, `"`)
				fmt.Fprintf(&s, `{"slot_time":{"start_sec":"%s"},"available":%t}`, start, free(i))
			}
			return 200, `{"slot_time_availability":[` + s.String() + `]}`
		}
	}
	for _, w := range []struct {
		name   string
		next   maker
		answer func(path, body string) (int, string)
	}{
		{"a refusal instead of a booking", c.creates(2, c.anywhere), func(string, string) (int, string) {
			return 200, `{"booking_failure":{"cause":"SLOT_UNAVAILABLE"}}`
		}},
		{"a booking of a full slot", c.creates(2, c.anywhere), func(_, body string) (int, string) { return 200, booking(body) }},
		{"another booking for a replay", newCaller(someStock(false)).creates(2, c.anywhere), func(_, body string) (int, string) {
			return 200, strings.Replace(booking(body), "booking-of-", fmt.Sprintf("%d-", serial.Add(1)), 1)
		}},
		{"another guest's booking", c.creates(2, c.anywhere), func(_, body string) (int, string) {
			return 200, strings.ReplaceAll(booking(body), "user-", "someone-")
		}},
		{"a booking that waits for the merchant", c.creates(2, c.anywhere), func(_, body string) (int, string) {
			return 200, strings.ReplaceAll(booking(body), "CONFIRMED", "PENDING_MERCHANT_CONFIRMATION")
		}},
		{"an error", c.creates(2, c.anywhere), func(_, body string) (int, string) { return 503, booking(body) }},
		{"unavailable for good", c.creates(2, c.anywhere), func(string, string) (int, string) { return 503, later }},
		{"a full slot that is available", c.lookups, right(func(int) bool { return true })},
		{"a free slot that is not", c.lookups, right(func(int) bool { return false })},
		{"fewer slots than were asked for", c.lookups, func(_, body string) (int, string) {
			status, text := right(func(int) bool { return true })("", body)
			return status, strings.Replace(text, `"available"`, `"occupied"`, 1)
		}},
		{"a move that is refused", c.moves(2), func(string, string) (int, string) { return 400, `{"status":400}` }},
		{"a move that did nothing", c.moves(2), func(path, _ string) (int, string) {
			if strings.HasSuffix(path, "ListBookings") {
				return 200, `{"bookings":[{"booking_id":"1","slot":{"start_sec":"1"}}]}`
			}
			return 200, `{}`
		}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := load{clients: 2, length: time.Minute, limit: 100_000, next: w.next}.run(t.Context(), serving(t, w.answer))
			if !errors.Is(err, errWrong) {
				t.Errorf("got %v, want a wrong answer", err)
			}
		})
	}
}

func TestUnavailableIsSentAgain(t *testing.T) {
	c := newCaller(someStock(false))
	var seen sync.Map
	address := serving(t, func(_, body string) (int, string) {
		if _, again := seen.LoadOrStore(body, true); !again {
			return 503, later
		}
		return 200, booking(body)
	})
	next := func(_ int, r *rand.Rand) call { return c.create(0, r.IntN(9), nil) }
	sent, err := load{clients: 2, length: time.Minute, limit: 50, next: next}.run(t.Context(), address)
	if err != nil || len(sent.each) != 50 || sent.again != 50 || c.booked.Load() != 50 {
		t.Errorf("got %d counted, %d sent again, %d booked, %v, want 50 each", len(sent.each), sent.again, c.booked.Load(), err)
	}
}

// A request that was due while the server stalled has waited since then.
func TestPacedLoadCountsTheWait(t *testing.T) {
	const stall = 200 * time.Millisecond
	var requests atomic.Int64
	address := serving(t, func(string, string) (int, string) {
		if requests.Add(1) == 1 {
			<-time.After(stall)
		}
		return 200, ""
	})
	next := func(int, *rand.Rand) call { return call{path: "/", body: []byte("{}"), check: has()} }
	sent, err := load{clients: 1, length: time.Minute, limit: 20, rate: 1000, next: next}.run(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range sent.each {
		if want := stall - due(i, 1000); d < want {
			t.Errorf("request %d, due %v after the start of a stall of %v: got %v, want %v at least", i, due(i, 1000), stall, d, want)
		}
	}
	if len(sent.each) != 20 {
		t.Errorf("got %d requests, want 20", len(sent.each))
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := serving(t, func(string, string) (int, string) { cancel(); return 200, "" })
	next := func(int, *rand.Rand) call { return call{path: "/", check: has()} }
	if _, err := (load{clients: 2, length: time.Hour, rate: 1000, next: next}).run(ctx, address); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

// impostor is a program that does as little of holdfast as a test needs.
func impostor(t *testing.T, script string) program {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "holdfast")
	if err := os.WriteFile(binary, []byte("#!/bin/sh\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	return program{binary: binary, dir: t.TempDir(), target: "none"}
}

const servesOn = `echo '{"msg":"serving","address":"127.0.0.1:1"}' >&2; exec sleep 60; fi
`

// The database at the end must pass verify, and have the acknowledged bookings.
func TestClosingJudgesTheDatabase(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
	}{
		{"a broken invariant", `if [ $1 = verify ]; then echo 'BROKEN: a slot is oversold'; exit 1; fi`, "BROKEN: a slot is oversold"},
		{"a lost booking", `if [ $1 = bookings ]; then echo TIME GUEST; echo one; fi`, "1 bookings are there, 2 were answered"},
		{"all well", `if [ $1 = bookings ]; then echo TIME GUEST; echo one; echo two; fi`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := impostor(t, "trap 'exit 0' INT\nif [ $1 = serve ]; then "+strings.Replace(servesOn, "exec sleep 60", "while :; do sleep 0.01; done", 1)+c.script+"\n")
			srv, err := p.serve(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			s := &site{server: srv, name: sqlite, call: newCaller(someStock(false))}
			s.call.booked.Store(2)
			err = new(bench).close(t.Context(), s)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestServerThatDoesNotStart(t *testing.T) {
	p := impostor(t, "echo the disk is full >&2; exit 1\n")
	if _, err := p.serve(t.Context()); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("got %v, want what the server said", err)
	}
}

func TestInterruptEndsTheServer(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv, err := impostor(t, "if [ $1 = serve ]; then "+servesOn).serve(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := srv.stop(); err == nil {
		t.Error("stop of an interrupted server: got no error, want how it ended")
	}
	if srv.cmd.ProcessState == nil {
		t.Error("the server still runs")
	}
}
