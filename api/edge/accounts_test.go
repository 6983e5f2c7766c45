package edge

import (
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/booking"
)

// ledger is accounts to try things on.
type ledger struct {
	*accounts
	t *testing.T
}

func newLedger(t *testing.T) ledger { return ledger{newAccounts(), t} }

// Kinds of callers as channels bring them: one large partner, and many tenants.
var (
	partner = &Kind{
		Each:     Use{Places: 2048, Working: 2048, Refused: 2048, Bytes: 32 << 20},
		All:      Use{Places: 2048, Working: 2048, Refused: 2048, Bytes: 32 << 20},
		Reserved: true,
	}
	tenants = &Kind{
		Each:        Use{Places: 128, Working: 128, Refused: 128, Bytes: 12 << 20},
		All:         Use{Places: 1024, Working: 1024, Refused: 512, Bytes: 24 << 20},
		Unread:      8 << 20,
		Connections: 128,
	}
)

func (a ledger) place() *place { return &place{accounts: a.accounts, to: httptest.NewRecorder()} }

// justNow is the waiting time of somebody who has only begun, however slow this machine is.
const justNow = -time.Hour

// enter returns a request of o that has waited for its caller for since, and moved that many bytes.
func (a ledger) enter(o owner, since time.Duration, moved int64) *place {
	a.t.Helper()
	p := a.place()
	if err := p.enter(o, true); err != nil {
		a.t.Fatal(err)
	}
	p.since = time.Now().Add(-since)
	p.moved.Store(moved)
	return p
}

// fill takes all of o's places, for requests that are worked on.
func (a ledger) fill(o owner) (all []*place) {
	a.t.Helper()
	for a.of[o] == nil || a.of[o].Places < o.kind.Each.Places {
		all = append(all, a.enter(o, 0, 0))
		a.accounts.mu.Lock()
		a.stay(all[len(all)-1])
		a.accounts.mu.Unlock()
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

func tenant(i int) owner { return owner{kind: tenants, name: fmt.Sprint("tenant-", i)} }

// Who loses a place: the request with the least progress relative to what its account uses, and not the newest;
// never one that is worked on or has only begun to wait. What one caller uses does not affect others.
func TestWhoLosesItsPlace(t *testing.T) {
	for _, o := range []owner{address(1), tenant(1), {kind: partner}} {
		t.Run(fmt.Sprintf("%d places", o.kind.Each.Places), func(t *testing.T) {
			a := newLedger(t)
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
			others := []*place{a.enter(address(2), 0, 0), a.enter(tenant(2), 0, 0)}
			if o.kind != partner {
				others = append(others, a.enter(owner{kind: partner}, 0, 0))
			}
			leave(others...)
			leave(busy...)
			leave(slow, fast, fresh, newcomer, next)
			if n := a.of[o].Use; n != (Use{Refused: 1}) {
				t.Errorf("left over: %+v", n)
			}
		})
	}
}

// If all callers of a kind together have too much, those with the most lose first.
func TestWhoHasTheMostLosesFirst(t *testing.T) {
	a := newLedger(t)
	modest := a.enter(tenant(0), 5*time.Second, 100) // the slowest
	var greedy []*place
	for c := 1; a.all[tenants].Places < tenants.All.Places; c++ {
		for range min(tenants.Each.Places, tenants.All.Places-a.all[tenants].Places) {
			greedy = append(greedy, a.enter(tenant(c), 4*time.Second, 100))
		}
	}
	newcomer := a.enter(tenant(99), 0, 0)
	if modest.lost() != nil || newcomer.lost() != nil {
		t.Error("who has one place has lost it")
	}
	leave(greedy...)
	leave(modest, newcomer)
	if len(a.of) > 0 || len(a.all) > 0 {
		t.Errorf("left over: %d accounts, %+v", len(a.of), a.all)
	}
}

// Bytes are charged once they are there. Requests that hold bytes and make no progress make room; a request for
// more than there is gets nothing.
func TestBytesAreCharged(t *testing.T) {
	a := newLedger(t)
	o := tenant(1)
	most := tenants.Each.Bytes
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
	if len(a.all) > 0 {
		t.Errorf("left over: %+v", a.all)
	}
}

// Unfetched answers of one caller are bounded, and its slowest request does not make room for more of them. The
// first may be long, short ones always fit, and fetched ones are given back.
func TestUnreadAnswersAreCharged(t *testing.T) {
	a := newLedger(t)
	var all []*place
	for i, c := range []struct {
		of    owner
		bytes int64
		want  bool
	}{
		{tenant(1), 6<<20 + free, true},
		{tenant(1), 3 << 20, false},
		{tenant(1), free, true},
		{tenant(1), 2<<20 + free, true},
		{tenant(1), free + 1, false},
		{tenant(2), tenants.Unread + 1<<20, true},
		{tenant(2), free + 1, false},
		{owner{kind: partner}, 20 << 20, true},
		{owner{kind: partner}, 10 << 20, true},
	} {
		p := a.enter(c.of, time.Minute, 0)
		if err := p.answer(c.bytes); (err == nil) != c.want || err != nil && !errors.Is(err, booking.ErrUnavailable) {
			t.Errorf("%d: %d bytes: got %v", i, c.bytes, err)
		}
		p.since = time.Now().Add(-time.Minute) // it makes no progress, and is not what has to go
		all = append(all, p)
	}
	for i, p := range all {
		if p.lost() != nil {
			t.Errorf("%d has lost its place", i)
		}
	}
	leave(all[0])
	if err := a.enter(tenant(1), 0, 0).answer(6 << 20); err != nil {
		t.Errorf("after the first has been fetched: %v", err)
	}
	leave(all[1:]...)
	if len(a.of) != 1 {
		t.Errorf("left over: %d accounts", len(a.of))
	}
}

// Requests that are only told to come again are bounded, too.
func TestRefusedAreBounded(t *testing.T) {
	a := newLedger(t)
	o := address(1)
	all := a.fill(o)
	for range strangers.Each.Refused {
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
	if len(a.of) > 0 || len(a.all) > 0 {
		t.Errorf("left over: %d accounts, %+v", len(a.of), a.all)
	}
}

// Only a few requests of an address are worked on at a time, and a place moves with its caller.
func TestFewOfAnAddressWork(t *testing.T) {
	a := newLedger(t)
	var all []*place
	for range strangers.Each.Working {
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
	if err := p.enter(tenant(1), true); err != nil {
		t.Error(err)
	}
	if err := p.work(10); err != nil || a.of[tenant(1)].Use != (Use{Places: 1, Working: 1}) {
		t.Errorf("a tenant there: %v, %+v", err, a.of[tenant(1)])
	}
	leave(all...)
	leave(p, other)
	if len(a.of) > 0 || len(a.all) > 0 {
		t.Errorf("left over: %d accounts, %+v", len(a.of), a.all)
	}
}

// However a body arrives, it is read completely, and charged by what is there.
func TestReadBody(t *testing.T) {
	for _, n := range []int{0, 1, free - 1, free, free + 1, 100_000} {
		text := strings.Repeat("x", n)
		for name, from := range map[string]func() (io.Reader, int64){
			"announced":   func() (io.Reader, int64) { return strings.NewReader(text), int64(n) },
			"unannounced": func() (io.Reader, int64) { return strings.NewReader(text), -1 },
			"in bytes":    func() (io.Reader, int64) { return oneByte{strings.NewReader(text)}, int64(n) },
			"lied about":  func() (io.Reader, int64) { return strings.NewReader(text), MaxBody },
		} {
			p := newLedger(t).enter(tenant(1), 0, 0)
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
