package api

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// accounts is an edge to try things on.
type accounts struct {
	*edge
	t *testing.T
}

func (a accounts) place() *place { return &place{edge: a.edge, to: httptest.NewRecorder()} }

// justNow is since when somebody waits who has only begun, however slow this machine
// is.
const justNow = -time.Hour

// enter is a request of o's that waits for its caller since so long, and has sent so
// many bytes meanwhile.
func (a accounts) enter(o owner, since time.Duration, moved int64) *place {
	a.t.Helper()
	p := a.place()
	if err := p.enter(o, true); err != nil {
		a.t.Fatal(err)
	}
	p.since = time.Now().Add(-since)
	p.moved.Store(moved)
	return p
}

// fill takes all places of o's, for requests that are worked on.
func (a accounts) fill(o owner) (all []*place) {
	a.t.Helper()
	for a.accounts[o] == nil || a.accounts[o].places < bounds[o.kind].each.places {
		all = append(all, a.enter(o, 0, 0))
		a.edge.mu.Lock()
		a.stay(all[len(all)-1])
		a.edge.mu.Unlock()
	}
	return all
}

func leave(all ...*place) {
	for _, p := range all {
		p.leave()
	}
}

func address(i int) owner {
	return owner{kind: strangers, address: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})}
}

func clinicOf(i int) owner { return owner{kind: clinics, merchant: fmt.Sprint("clinic-", i)} }

// Whose place goes: the one with the least progress for what its account has, and not
// the newest; never one that is worked on, or that has only begun to wait. What one
// caller has is nothing to others.
func TestWhoLosesItsPlace(t *testing.T) {
	for _, o := range []owner{address(1), clinicOf(1), {kind: google}} {
		t.Run(fmt.Sprint("kind ", o.kind), func(t *testing.T) {
			a := accounts{newEdge(), t}
			slow, fast, fresh := a.enter(o, 2*time.Second, 10), a.enter(o, 3*time.Second, 1<<20), a.enter(o, justNow, 0)
			busy := a.fill(o)
			newcomer := a.enter(o, justNow, 0)
			if slow.lost() == nil || fast.lost() != nil || fresh.lost() != nil || newcomer.lost() != nil {
				t.Errorf("slow %v, fast %v, fresh %v, new %v", slow.lost(), fast.lost(), fresh.lost(), newcomer.lost())
			}
			next := a.enter(o, justNow, 0)
			if fast.lost() == nil || fresh.lost() != nil {
				t.Error("the slow one is gone, and then not the fast one")
			}
			if err := a.place().enter(o, true); !errors.Is(err, errTooMuch) {
				t.Errorf("nobody waits for long enough: got %v", err)
			}
			others := []*place{a.enter(address(2), 0, 0), a.enter(clinicOf(2), 0, 0)}
			if o.kind != google {
				others = append(others, a.enter(owner{kind: google}, 0, 0))
			}
			leave(others...)
			leave(busy...)
			leave(slow, fast, fresh, newcomer, next)
			if n := a.accounts[o].use; n != (use{refused: 1}) {
				t.Errorf("left over: %+v", n)
			}
		})
	}
}

// When all of a kind have too much together, those with the most lose first.
func TestWhoHasTheMostLosesFirst(t *testing.T) {
	a := accounts{newEdge(), t}
	modest := a.enter(clinicOf(0), 5*time.Second, 100) // the slowest
	var greedy []*place
	for c := 1; a.all[clinics].places < bounds[clinics].all.places; c++ {
		for range min(bounds[clinics].each.places, bounds[clinics].all.places-a.all[clinics].places) {
			greedy = append(greedy, a.enter(clinicOf(c), 4*time.Second, 100))
		}
	}
	newcomer := a.enter(clinicOf(99), 0, 0)
	if modest.lost() != nil || newcomer.lost() != nil {
		t.Error("who has one place has lost it")
	}
	leave(greedy...)
	leave(modest, newcomer)
	if len(a.accounts) > 0 || a.all != newEdge().all {
		t.Errorf("left over: %d accounts, %+v", len(a.accounts), a.all)
	}
}

// Bytes are charged when they are there. Room is made by who holds some and makes no
// progress; who asks for more than there is gets none.
func TestBytesAreCharged(t *testing.T) {
	a := accounts{newEdge(), t}
	o := clinicOf(1)
	most := bounds[clinics].each.bytes
	stalled, idle := a.enter(o, time.Second, 0), a.enter(o, time.Second, 0)
	if err := stalled.charge(most/2 + free); err != nil {
		t.Fatal(err)
	}
	if err := idle.charge(free); err != nil {
		t.Fatal(err)
	}
	p := a.enter(o, 0, 0)
	if err := p.charge(most/2 + free); err != nil || stalled.lost() != nil {
		t.Errorf("half of it: %v, %v", err, stalled.lost())
	}
	if err := p.work(most/2 + free + 1); err != nil || stalled.lost() == nil || idle.lost() != nil {
		t.Errorf("more: %v, %v, %v", err, stalled.lost(), idle.lost())
	}
	if err := p.answer(most + free + 1); !errors.Is(err, errTooMuch) {
		t.Errorf("more than there is: %v", err)
	}
	if err := p.answer(100); err != nil { // to say so
		t.Error(err)
	}
	if err := stalled.answer(100); err != nil {
		t.Error(err)
	}
	leave(stalled, idle, p)
	if a.all != newEdge().all {
		t.Errorf("left over: %+v", a.all)
	}
}

// Who is only told to come again has a bound too.
func TestRefusedAreBounded(t *testing.T) {
	a := accounts{newEdge(), t}
	o := address(1)
	all := a.fill(o)
	for range bounds[strangers].each.refused {
		p := a.place()
		if err := p.enter(o, true); !errors.Is(err, errTooMuch) || errors.Is(err, errAborted) {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	p := a.place()
	if err := p.enter(o, true); !errors.Is(err, errAborted) || !errors.Is(p.answer(1), errAborted) || !p.leave() {
		t.Errorf("got %v", err)
	}
	leave(all...)
	if len(a.accounts) > 0 || a.all != newEdge().all {
		t.Errorf("left over: %d accounts, %+v", len(a.accounts), a.all)
	}
}

// Few of an address are worked on at a time, and a place moves with its caller.
func TestFewOfAnAddressWork(t *testing.T) {
	a := accounts{newEdge(), t}
	var all []*place
	for range bounds[strangers].each.working {
		p := a.enter(address(1), 0, 0)
		if err := p.work(10); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	p, other := a.enter(address(1), 0, 0), a.enter(address(2), 0, 0)
	if err := p.work(10); !errors.Is(err, errTooMuch) {
		t.Errorf("one more: got %v", err)
	}
	if err := other.work(10); err != nil {
		t.Errorf("another address: got %v", err)
	}
	if err := p.enter(clinicOf(1), true); err != nil {
		t.Error(err)
	}
	if err := p.work(10); err != nil || a.accounts[clinicOf(1)].use != (use{places: 1, working: 1}) {
		t.Errorf("a clinic there: %v, %+v", err, a.accounts[clinicOf(1)])
	}
	leave(all...)
	leave(p, other)
	if len(a.accounts) > 0 || a.all != newEdge().all {
		t.Errorf("left over: %d accounts, %+v", len(a.accounts), a.all)
	}
}

// However a body comes, it is read whole; what it took is charged by what is there.
func TestReadBody(t *testing.T) {
	for _, n := range []int{0, 1, free - 1, free, free + 1, 100_000} {
		text := strings.Repeat("x", n)
		for name, from := range map[string]func() (io.Reader, int64){
			"announced":   func() (io.Reader, int64) { return strings.NewReader(text), int64(n) },
			"unannounced": func() (io.Reader, int64) { return strings.NewReader(text), -1 },
			"in bytes":    func() (io.Reader, int64) { return oneByte{strings.NewReader(text)}, int64(n) },
			"lied about":  func() (io.Reader, int64) { return strings.NewReader(text), maxBody },
		} {
			p := accounts{newEdge(), t}.enter(clinicOf(1), 0, 0)
			r, length := from()
			body, err := p.read(r, length)
			if err != nil || string(body) != text || p.bytes > int64(2*n) {
				t.Errorf("%d bytes %s: got %d, %v; charged %d", n, name, len(body), err, p.bytes)
			}
		}
	}
}

type oneByte struct{ io.Reader }

func (r oneByte) Read(b []byte) (int, error) { return r.Reader.Read(b[:min(1, len(b))]) }
