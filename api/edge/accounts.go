package edge

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"holdfast/booking"
)

// Requests are charged to whoever causes them. Each caller has an account: how many requests we
// serve for it, how many of those have arrived and are being worked on, and how much memory their
// bodies and answers take. We charge bytes once they are there, not when they are announced. Each
// kind of caller has bounds of its own, so no kind can take what belongs to another.
//
// A request that waits for its caller, who sends a body or takes an answer, has its place only until
// somebody else needs one: then the request that makes the least progress loses its place. A request
// that we work on keeps it.
//
// Nothing here knows what the requests say.

// Use is what a caller, or all callers of a kind, have at a time, or may have.
type Use struct {
	Places  int   // requests
	Working int   // those that have arrived and are being worked on
	Refused int   // besides these: requests being told that there is no place
	Bytes   int64 // of bodies and answers
}

// Kind is a kind of caller. What callers of one kind use takes nothing from another kind.
type Kind struct {
	Each Use // what one caller may have at a time
	All  Use // what all of them may have together
	// Unread is how many bytes of answers we hold for one caller until it has fetched them;
	// the first answer may be longer. We refuse answers beyond that, while for anything else
	// the caller's slowest request makes room. 0: no limit besides Bytes.
	Unread int64
	// Connections is how many connections count as one caller's own, and not as a stranger's;
	// 0: all on which it has authenticated.
	Connections int
	// Reserved says that a part of all connections is reserved for callers of this kind.
	Reserved bool
}

// strangers are callers who have not authenticated, by address.
var strangers = &Kind{
	Each: Use{Places: 64, Working: 8, Refused: 64, Bytes: 1 << 20},
	All:  Use{Places: 512, Working: 64, Refused: 512, Bytes: 4 << 20},
}

// owner is one caller.
type owner struct {
	kind    *Kind
	name    string     // of a caller who has authenticated
	address netip.Addr // of a stranger, see peerKey
}

// account is what an owner uses.
type account struct {
	owner owner
	Use
	unread  int64    // bytes of answers that the owner has not fetched
	waiting []*place // those waiting for their caller, in no order
}

// accounts are the accounts that are not empty.
type accounts struct {
	mu  sync.Mutex
	of  map[owner]*account
	all map[*Kind]Use // of all callers of a kind, if they use anything
}

func newAccounts() *accounts { return &accounts{of: map[owner]*account{}, all: map[*Kind]Use{}} }

// place is what one request uses. Only the goroutine that serves the request calls its methods. A
// zero place belongs to no account and has no bounds.
type place struct {
	accounts *accounts
	to       http.ResponseWriter
	line     *connection // nil: not known

	// These need the accounts' lock.
	in        *account // nil: not entered yet, or over
	refused   bool     // it has the place only to be told to come again
	aborted   bool     // not even that
	working   bool
	answering bool
	bytes     int64
	unread    int64 // of them, those of an answer that is not fetched yet
	waits     int   // its index among those waiting, from 1; 0: it does not wait
	since     time.Time

	moved atomic.Int64 // bytes received or sent since then

	cutting sync.Mutex
	over    bool // the request is over, and we must not use to any longer
}

// free is how many bytes of a body or an answer the place itself pays for.
const free = 4 << 10

// A request that has waited for its caller for less than fair does not lose its place. Every request
// starts with credit bytes of progress, so that one that has just begun is not the slowest.
const (
	fair   = 250 * time.Millisecond
	credit = 4 << 10
)

// hurry is how long strangers may take to send a body, and strangers and refused callers to take an
// answer.
const hurry = 2 * time.Second

// pieces is how many bytes of an answer we write before we look at its progress again.
const pieces = 64 << 10

// errTooMuch asks the caller to repeat a request for which there is no place or no room now.
var errTooMuch = fmt.Errorf("%w: this caller has too much in hand", booking.ErrUnavailable)

// errUnread asks the caller to repeat a request whose answer is too much while the caller has not
// fetched earlier ones.
var errUnread = fmt.Errorf("%w: it has not fetched its answers", errTooMuch)

// errAborted ends a request without an answer, because too many are already being told to come
// again.
var errAborted = fmt.Errorf("%w: and no place to be told so", errTooMuch)

// enter takes a place for a request, or moves its place to another account once the caller is known.
// A waiting request can lose its place again. After errTooMuch the request has a place in which to
// hear that, after errAborted it has none.
func (p *place) enter(o owner, waits bool) error {
	if p.accounts == nil {
		return nil
	}
	if p.line != nil && o.kind != strangers {
		p.line.prove(o)
	}
	e := p.accounts
	e.mu.Lock()
	var victims []*place
	e.release(p) // also from the same account, where it gets its place back at once
	a := e.account(o)
	p.in = a
	e.add(a, Use{Places: 1})
	var err error
	for err == nil && a.Places > o.kind.Each.Places {
		victims, err = e.evict(victims, p, a, Use.ofPlaces)
	}
	for err == nil && e.all[o.kind].Places > o.kind.All.Places {
		victims, err = e.evict(victims, p, nil, Use.ofPlaces)
	}
	switch {
	case err != nil:
		err = e.refuse(p)
	case waits:
		p.wait()
	}
	e.mu.Unlock()
	cut(victims)
	return err
}

// read reads a body to its end. length is the announced length, below zero if there is none; it is
// trusted only as far as bytes arrive.
func (p *place) read(r io.Reader, length int64) ([]byte, error) {
	if p.stranger() {
		within := http.NewResponseController(p.to)
		_ = within.SetReadDeadline(time.Now().Add(hurry)) // a test's recorder has no deadlines
		defer func() { _ = within.SetReadDeadline(time.Time{}) }()
	}
	size := int64(free)
	if length >= 0 {
		size = min(size, length+1) // one more, to see the end
	}
	body := make([]byte, 0, size)
	for {
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		p.moved.Add(int64(n))
		switch {
		case errors.Is(err, io.EOF):
			return body, nil
		case err != nil:
			return nil, errors.Join(p.lost(), err)
		case len(body) == cap(body):
			if err := p.charge(2 * int64(cap(body))); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, 2*cap(body)), body...)
		}
	}
}

// work says that the request has arrived, and how many bytes we hold for it while we work on it. From
// then on it keeps its place.
func (p *place) work(bytes int64) error {
	if p.accounts == nil {
		return nil
	}
	if err := p.charge(bytes); err != nil {
		return err
	}
	e := p.accounts
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := p.state(); err != nil || p.working {
		return err
	}
	kind := p.in.owner.kind
	if p.in.Working >= kind.Each.Working || e.all[kind].Working >= kind.All.Working {
		return errTooMuch
	}
	e.stay(p)
	p.working = true
	e.add(p.in, Use{Working: 1})
	if p.line != nil {
		p.line.work(true)
	}
	return nil
}

// charge says how many bytes we hold for the request now, and makes room for them if it can.
func (p *place) charge(bytes int64) error {
	if p.accounts == nil {
		return nil
	}
	e := p.accounts
	e.mu.Lock()
	victims, err := e.hold(p, bytes)
	e.mu.Unlock()
	cut(victims)
	return err
}

// answer says that an answer of that many bytes has replaced the body, and waits for the caller to
// take it.
func (p *place) answer(bytes int64) error {
	if p.accounts == nil {
		return nil
	}
	e := p.accounts
	e.mu.Lock()
	var victims []*place
	err := e.unread(p, bytes)
	if err == nil {
		victims, err = e.hold(p, bytes)
	}
	hurried := false
	if err == nil {
		e.idle(p)
		p.answering = true
		hurried = p.refused || p.in.owner.kind == strangers
		if !p.refused {
			p.wait()
		}
	}
	e.mu.Unlock()
	cut(victims)
	if hurried { // reading too, because the server reads the rest of a body before it answers
		soon := time.Now().Add(hurry)
		p.within(soon, soon)
	}
	return err
}

// within sets the deadlines for the caller to send and to take. A test's recorder has none.
func (p *place) within(read, write time.Time) {
	to := http.NewResponseController(p.to)
	_ = errors.Join(to.SetReadDeadline(read), to.SetWriteDeadline(write))
}

// write writes an answer; with flush it returns only when the answer has left us.
func (p *place) write(w io.Writer, text []byte, flush bool) error {
	for len(text) > 0 {
		n, err := w.Write(text[:min(pieces, len(text))])
		p.moved.Add(int64(n))
		if err != nil {
			return err
		}
		text = text[n:]
	}
	if flush {
		return http.NewResponseController(p.to).Flush()
	}
	return nil
}

// rest says that we no longer work on the request, and that it has no answer yet.
func (p *place) rest() {
	if p.accounts == nil {
		return
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	p.accounts.idle(p)
}

// abort makes the request end without an answer.
func (p *place) abort() error {
	if p.accounts == nil {
		return errAborted
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	p.accounts.release(p)
	p.aborted = true
	return errAborted
}

// leave gives everything back. It reports whether the request must end without an answer.
func (p *place) leave() (aborted bool) {
	if p.accounts == nil {
		return false
	}
	p.accounts.mu.Lock()
	p.accounts.release(p)
	aborted = p.aborted
	p.accounts.mu.Unlock()
	p.cutting.Lock()
	p.over = true
	p.cutting.Unlock()
	return aborted
}

// stranger reports whether we do not know whose request it is.
func (p *place) stranger() bool {
	if p.accounts == nil {
		return false
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	return p.in == nil || p.in.owner.kind == strangers
}

// lost returns why a request has lost its place; nil if it has not.
func (p *place) lost() error {
	if p.accounts == nil {
		return nil
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	return p.state()
}

// The methods below need the accounts' lock.

func (p *place) state() error {
	switch {
	case p.aborted:
		return errAborted
	case p.refused:
		return errTooMuch
	}
	return nil
}

// account finds or makes an owner's account.
func (e *accounts) account(o owner) *account {
	a := e.of[o]
	if a == nil {
		a = &account{owner: o}
		e.of[o] = a
	}
	return a
}

// add changes what an account uses, and removes an account that uses nothing.
func (e *accounts) add(a *account, u Use) {
	plus := func(have Use) Use {
		return Use{have.Places + u.Places, have.Working + u.Working, have.Refused + u.Refused, have.Bytes + u.Bytes}
	}
	kind := a.owner.kind
	a.Use, e.all[kind] = plus(a.Use), plus(e.all[kind])
	if e.all[kind] == (Use{}) {
		delete(e.all, kind)
	}
	if e.of[a.owner] = a; a.Use == (Use{}) {
		delete(e.of, a.owner)
	}
}

// wait adds a request to those that wait for their caller.
func (p *place) wait() {
	p.in.waiting = append(p.in.waiting, p)
	p.waits = len(p.in.waiting)
	p.since = time.Now()
	p.moved.Store(0)
}

// stay removes it from those that wait.
func (e *accounts) stay(p *place) {
	if p.waits == 0 {
		return
	}
	list := p.in.waiting
	last := list[len(list)-1]
	list[p.waits-1], last.waits = last, p.waits
	list[len(list)-1] = nil
	p.in.waiting, p.waits = list[:len(list)-1], 0
}

// idle makes it neither wait nor count as worked on.
func (e *accounts) idle(p *place) {
	e.stay(p)
	if p.working {
		p.working = false
		e.add(p.in, Use{Working: -1})
		if p.line != nil {
			p.line.work(false)
		}
	}
}

// release takes a place, and everything that belongs to it, from its account.
func (e *accounts) release(p *place) {
	if p.in == nil {
		return
	}
	e.idle(p)
	gone := Use{Places: -1, Bytes: -p.bytes}
	if p.refused {
		gone.Places, gone.Refused = 0, -1
	}
	p.in.unread -= p.unread
	e.add(p.in, gone)
	p.in, p.bytes, p.unread, p.refused = nil, 0, 0, false
}

// refuse leaves a request in its account only to be told to come again.
func (e *accounts) refuse(p *place) error {
	a, kind := p.in, p.in.owner.kind
	e.release(p)
	if a.Refused >= kind.Each.Refused || e.all[kind].Refused >= kind.All.Refused {
		p.aborted = true
		return errAborted
	}
	p.in, p.refused = a, true
	e.add(a, Use{Refused: 1})
	return errTooMuch
}

// hold changes how many bytes we hold for a request.
func (e *accounts) hold(p *place, bytes int64) (victims []*place, err error) {
	more := max(0, bytes-free) - p.bytes
	if more > 0 || p.in == nil {
		err = p.state()
	}
	if err != nil || p.in == nil {
		return nil, err
	}
	a, kind := p.in, p.in.owner.kind
	for err == nil && more > 0 && a.Bytes+more > kind.Each.Bytes {
		victims, err = e.evict(victims, p, a, Use.ofBytes)
	}
	for err == nil && more > 0 && e.all[kind].Bytes+more > kind.All.Bytes {
		victims, err = e.evict(victims, p, nil, Use.ofBytes)
	}
	if err == nil {
		p.bytes += more
		e.add(a, Use{Bytes: more})
	}
	return victims, err
}

// unread records the length of an answer that the caller has yet to fetch.
func (e *accounts) unread(p *place, bytes int64) error {
	more := max(0, bytes-free)
	if more == 0 || p.in == nil || p.refused {
		return nil
	}
	most := p.in.owner.kind.Unread
	if most > 0 && p.in.unread > 0 && p.in.unread+more > most {
		return errUnread
	}
	p.in.unread += more
	p.unread += more
	return nil
}

func (u Use) ofPlaces() int64 { return int64(u.Places) }
func (u Use) ofBytes() int64  { return u.Bytes }

// evict takes the place of the waiting request that makes the least progress relative to what its
// account uses, places or bytes: among those in account a or, if that is nil, in all accounts of p's
// kind. errTooMuch: there is none.
func (e *accounts) evict(victims []*place, p *place, a *account, has func(Use) int64) ([]*place, error) {
	now, least := time.Now(), math.Inf(1)
	var slowest *place
	consider := func(a *account) {
		for _, w := range a.waiting {
			own := Use{Places: 1, Bytes: w.bytes}
			waited := now.Sub(w.since)
			if w == p || waited < fair || has(own) == 0 {
				continue
			}
			if rate := float64(w.moved.Load()+credit) / waited.Seconds() / float64(has(a.Use)); rate < least {
				slowest, least = w, rate
			}
		}
	}
	if a != nil {
		consider(a)
	} else {
		for _, other := range e.of {
			if other.owner.kind == p.in.owner.kind {
				consider(other)
			}
		}
	}
	if slowest == nil {
		return victims, errTooMuch
	}
	_ = e.refuse(slowest) // it finds out when it asks for its state
	return append(victims, slowest), nil
}

// cut ends what requests wait for that have lost their places, so that they notice.
func cut(victims []*place) {
	for _, p := range victims {
		p.cutting.Lock()
		if !p.over {
			now := time.Now()
			end := now.Add(hurry) // to be told so
			p.accounts.mu.Lock()
			if p.answering || p.aborted {
				end = now.Add(-time.Second)
			}
			p.accounts.mu.Unlock()
			p.within(now.Add(-time.Second), end)
		}
		p.cutting.Unlock()
	}
}
