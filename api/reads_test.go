package api

import (
	"context"
	"errors"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/booking"
)

// Turns go round the callers, each has so many and all have so many; who waits too
// long, or in too long a line, is told so and is forgotten.
func TestTurns(t *testing.T) {
	turns := newTurns()
	turns.all, turns.each, turns.line, turns.patience = 3, 2, 2, time.Hour
	ctx := t.Context()
	enter := func(who string) func() {
		t.Helper()
		leave, err := turns.enter(ctx, who)
		if err != nil {
			t.Fatal(err)
		}
		return leave
	}
	wait := func(who string) chan func() { // stands in line when it returns
		t.Helper()
		before := func() int { turns.mu.Lock(); defer turns.mu.Unlock(); return len(turns.by[who].waiting) }
		n, let := before(), make(chan func(), 1)
		go func() { let <- enter(who) }()
		for before() == n {
			time.Sleep(time.Millisecond)
		}
		return let
	}
	one, two, other := enter("a"), enter("a"), enter("b")
	third, fourth := wait("a"), wait("a")
	if _, err := turns.enter(ctx, "a"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("the line is full: %v", err)
	}
	second := wait("b")
	other()
	(<-second)() // of a two run
	select {
	case <-third:
		t.Error("three of a run")
	default:
	}
	enter("c")()
	one()
	three := <-third
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := turns.enter(canceled, "a"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("hung up: %v", err)
	}
	two()
	(<-fourth)()
	three()
	if turns.running != 0 || len(turns.by) != 0 || len(turns.waiting) != 0 {
		t.Errorf("left: %d run, %v, %v", turns.running, turns.by, turns.waiting)
	}
}

// However they come and go, no more run than may, and each who may is let in.
func TestTurnsOfMany(t *testing.T) {
	turns := newTurns()
	turns.patience = time.Minute
	var mu sync.Mutex
	running, most := map[string]int{}, 0
	var all sync.WaitGroup
	for i := range 500 {
		who := string(rune('a' + i%10))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
			defer cancel()
			leave, err := turns.enter(ctx, who)
			if err != nil {
				if !errors.Is(err, booking.ErrUnavailable) {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			running[who]++
			total := 0
			for _, n := range running {
				total += n
			}
			if most = max(most, total); running[who] > queriesEach || total > queriesAll {
				t.Errorf("%d of %s run, %d of all", running[who], who, total)
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			running[who]--
			mu.Unlock()
			leave()
		})
	}
	all.Wait()
	if most != queriesAll || turns.running != 0 || len(turns.by) != 0 || len(turns.waiting) != 0 {
		t.Errorf("%d ran at once; left: %d run, %v, %v", most, turns.running, turns.by, turns.waiting)
	}
}

func TestHoldings(t *testing.T) {
	h := &holdings{all: 100, each: 40, by: map[string]int64{}}
	for i, c := range []struct {
		who   string
		bytes int64
		want  bool
	}{
		{"a", 30, true},
		{"a", 11, false},
		{"a", 10, true},
		{"b", 61, false},
		{"b", 50, true}, // one may be long
		{"b", 1, false},
		{"c", 10, true},
		{"d", 1, false},
		{"b", -50, true},
		{"d", 50, true},
	} {
		if c.bytes < 0 {
			h.drop(c.who, -c.bytes)
		} else if got := h.hold(c.who, c.bytes); got != c.want {
			t.Errorf("%d: %s and %d: %t", i, c.who, c.bytes, got)
		}
	}
	h.drop("a", 30)
	h.drop("a", 10)
	h.drop("c", 10)
	h.drop("d", 50)
	if h.held != 0 || len(h.by) != 0 {
		t.Errorf("left: %+v", h)
	}
}

// The longest answer with slots fits into what one clinic may leave unread: it is never
// put off for good.
func TestLongestSlotsAnswer(t *testing.T) {
	const most = 10_000 // of a capacity
	slot := booking.GroupSlot{GroupID: strings.Repeat("f", 24), StartSec: 1_800_000_000, EndSec: 1_800_000_060, Capacity: most, Taken: most}
	slot.Zone.ID, slot.Zone.Name = slot.GroupID, strings.Repeat(`"`, booking.MostZoneNames/booking.MostSlots) // nothing is longer in JSON
	slots := reservationSlots(slices.Repeat([]booking.GroupSlot{slot}, booking.MostSlots))
	for _, answer := range []interface{ text() ([]byte, error) }{
		list[reservationSlot]{Data: slots},
		list[resourceSlots]{Data: []resourceSlots{{OccupiedResourceID: "49", ReservationGroupID: slot.GroupID, ZoneID: slot.Zone.ID, Slots: slots}}},
	} {
		text, err := answer.text()
		if err != nil || len(text) > answersEach || int64(len(text)) > bounds[clinics].each.bytes {
			t.Errorf("%T: %d bytes, %v", answer, len(text), err)
		}
	}
}

// slowSearch is a database in which a search takes until it is told to end.
type slowSearch struct {
	clinicOnly
	end chan struct{}
}

func (s slowSearch) TokenMerchant(_ context.Context, hash []byte, _ int64) (string, string, error) {
	return string(hash[:1]), "", nil // a clinic for each token
}

func (s slowSearch) SearchGuests(context.Context, booking.GuestSearch) ([]booking.Guest, bool, error) {
	<-s.end
	return []booking.Guest{{GivenName: "x"}}, true, nil
}

// A clinic that asks without end is put off, and keeps no other clinic from asking.
func TestOneClinicsQueries(t *testing.T) {
	store := slowSearch{end: make(chan struct{})}
	h := New(testConfig(io.Discard, store))
	const path, body = "/visitor/open/v1/queries/search-visitors", `{"partOfVisitorName":"x"}`
	answers := make(chan answer, 100)
	for range 100 {
		go func() { answers <- send(h, "POST", path, body, "Authorization", bearer) }()
	}
	for range 100 - queriesEach { // the others wait, or have not even a place in line
		if got := <-answers; got.status != 503 || got.header.Get("Retry-After") != "1" || got.body != exceptionBody(503, "ServiceUnavailableException") {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	other := make(chan answer, 1)
	go func() { other <- send(h, "POST", path, body, "Authorization", "Bearer other") }()
	store.end <- struct{}{}
	store.end <- struct{}{}
	store.end <- struct{}{}
	for range queriesEach {
		if got := <-answers; got.status != 200 {
			t.Errorf("got %d %s", got.status, got.body)
		}
	}
	if got := <-other; got.status != 200 || !strings.Contains(got.body, `"next":"00000000-`) {
		t.Errorf("another clinic got %d %s", got.status, got.body)
	}
}

// unread is a client who does not fetch a long answer until it is told to.
type unread struct {
	*httptest.ResponseRecorder
	fetch chan struct{}
}

func (u unread) Write(b []byte) (int, error) {
	if u.Body.Len()+len(b) > 1<<20 {
		<-u.fetch
	}
	return u.ResponseRecorder.Write(b)
}

// longSearch is a database in which every search finds 3 MiB.
type longSearch struct{ slowSearch }

func (s longSearch) SearchGuests(context.Context, booking.GuestSearch) ([]booking.Guest, bool, error) {
	return []booking.Guest{{GivenName: strings.Repeat("x", 3<<20)}}, false, nil
}

// Answers that a clinic does not fetch are held up to a bound; another has its own.
func TestUnreadAnswers(t *testing.T) {
	h := New(testConfig(io.Discard, longSearch{}))
	fetch, statuses := make(chan struct{}), make(chan int, 21)
	ask := func(token string) {
		r := httptest.NewRequest("POST", "/visitor/open/v1/queries/search-visitors", strings.NewReader(`{"partOfVisitorName":"x"}`))
		r.Header.Set("Authorization", "Bearer "+token)
		w := unread{httptest.NewRecorder(), fetch}
		h.ServeHTTP(w, r)
		statuses <- w.Code
	}
	for range 20 {
		go ask("a")
	}
	for range 18 { // two fit, if not one
		if status := <-statuses; status != 503 {
			t.Fatalf("got %d before it was fetched", status)
		}
	}
	go ask("b")
	close(fetch)
	got := 0
	for range 3 {
		if <-statuses == 200 {
			got++
		}
	}
	if got < 2 {
		t.Errorf("%d were answered", got)
	}
}
