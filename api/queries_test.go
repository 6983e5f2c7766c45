package api

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"holdfast/booking"
)

// slowSearch is a database in which a search takes until the test ends it.
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

// queriesEach is how many queries of one clinic run at a time.
const queriesEach = 2

// A clinic that asks without end is put off, and does not keep other clinics from asking.
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

// unread is a client that does not fetch a long answer until the test lets it.
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

// Unfetched answers of a clinic are held up to a bound; another clinic has its own.
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
