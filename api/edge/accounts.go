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

// What requests cost belongs to whoever causes it. Each caller has an account: how
// many requests are served for it, how many of those have arrived and are worked
// on, and how much memory their bodies and answers take. Bytes are charged when
// they are there and not when they are announced. Each kind of caller has bounds of
// its own, so none can take what is another's.
//
// A request that waits for its caller, to send a body or to take an answer, has its
// place only until somebody needs it: then the one that makes the least progress
// loses it. One that we work on keeps it.
//
// Nothing here knows what the requests say.

// Use is what a caller, or all callers of a kind, have at a time, or may have.
type Use struct {
	Places  int   // requests
	Working int   // those that have arrived and are worked on
	Refused int   // besides: those that are being told that there is no place
	Bytes   int64 // of bodies and answers
}

// Kind is a kind of caller. What callers of one kind have takes nothing from another.
type Kind struct {
	Each Use // what one caller may have at a time
	All  Use // what all of them may have together
	// Unread is how many bytes of answers are held for one caller until it has fetched
	// them; the first of them may be longer. Answers over that are refused, while for
	// anything else the caller's slowest request makes room. 0: no more than Bytes.
	Unread int64
	// Connections is how many connections count as one caller's own, and not as a
	// stranger's; 0: all on which it has shown its credentials.
	Connections int
	// Reserved says that a part of all connections is kept for callers of this kind.
	Reserved bool
}

// strangers are those who have not shown who they are, by address.
var strangers = &Kind{
	Each: Use{Places: 64, Working: 8, Refused: 64, Bytes: 1 << 20},
	All:  Use{Places: 512, Working: 64, Refused: 512, Bytes: 4 << 20},
}

// owner is one caller.
type owner struct {
	kind    *Kind
	name    string     // of a caller that has shown who it is
	address netip.Addr // of a stranger, see peerKey
}

// account is what an owner has.
type account struct {
	owner owner
	Use
	unread  int64    // bytes of answers that have not been fetched
	waiting []*place // those that wait for their caller, in no order
}

// accounts are those that are not empty.
type accounts struct {
	mu  sync.Mutex
	of  map[owner]*account
	all map[*Kind]Use // of all callers of a kind, if they have anything
}

func newAccounts() *accounts { return &accounts{of: map[owner]*account{}, all: map[*Kind]Use{}} }

// place is what one request has. Its methods are for the goroutine that serves the
// request; a zero place is accounted for nowhere and has no bounds.
type place struct {
	accounts *accounts
	to       http.ResponseWriter
	line     *connection // nil: not known

	// These need the accounts' lock.
	in        *account // nil: not entered yet, or over
	refused   bool     // it is there only to be told to come again
	aborted   bool     // not even that
	working   bool
	answering bool
	bytes     int64
	unread    int64 // of them, of an answer that has to be fetched
	waits     int   // its index among those that wait, from 1; 0: it does not
	since     time.Time

	moved atomic.Int64 // bytes that have come, or gone, since then

	cutting sync.Mutex
	over    bool // the request is, and what is behind to is no longer ours
}

// free is how many bytes of a body or of an answer need no room besides the place.
const free = 4 << 10

// Nobody loses a place who has waited for the caller for less than fair. Everybody
// has credit bytes of progress ahead, so that who has just begun is not the slowest.
const (
	fair   = 250 * time.Millisecond
	credit = 4 << 10
)

// hurry is how long strangers may take to send their body, and they and who is
// refused to take their answer.
const hurry = 2 * time.Second

// pieces are as long, in bytes, as what is written of an answer before the next look
// at its progress.
const pieces = 64 << 10

// errTooMuch asks for a request again for which there is no place now, or no room.
var errTooMuch = fmt.Errorf("%w: this caller has too much in hand", booking.ErrUnavailable)

// errUnread asks for a request again whose answer would be too much besides those that
// its caller has not fetched.
var errUnread = fmt.Errorf("%w: it has not fetched its answers", errTooMuch)

// errAborted ends a request without an answer: too many are being told to come again
// already.
var errAborted = fmt.Errorf("%w: and no place to be told so", errTooMuch)

// enter takes a place for a request, or moves its place to another account when the
// caller has become known. One that waits can lose its place again. With errTooMuch
// the request has a place to be told that, with errAborted it has none.
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
	e.release(p) // also if it is the same account: then it has its place again at once
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

// read reads a body to its end. length is what was announced, below zero if nothing
// was; it is believed only as far as it is there.
func (p *place) read(r io.Reader, length int64) ([]byte, error) {
	if p.stranger() {
		within := http.NewResponseController(p.to)
		_ = within.SetReadDeadline(time.Now().Add(hurry)) // a test's recorder knows none
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

// work says that the request has arrived, and that so many bytes are held for it
// while it is worked on. From then on it keeps its place.
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

// charge says that so many bytes are held for the request now, and makes room for
// them if it can.
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

// answer says that an answer of so many bytes is there instead of the body, and waits
// for the caller to take it.
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
	if hurried { // also in reading: before it answers the server reads what is left of a body
		soon := time.Now().Add(hurry)
		p.within(soon, soon)
	}
	return err
}

// within sets until when the caller may send and take. A test's recorder knows no
// such limits.
func (p *place) within(read, write time.Time) {
	to := http.NewResponseController(p.to)
	_ = errors.Join(to.SetReadDeadline(read), to.SetWriteDeadline(write))
}

// write writes an answer; with flush it is done only when that has left us.
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

// rest says that the request is not worked on any more, and has no answer yet.
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

// leave gives everything back. It reports whether the request has to end without an
// answer.
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

// stranger reports whether nobody knows whose request it is.
func (p *place) stranger() bool {
	if p.accounts == nil {
		return false
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	return p.in == nil || p.in.owner.kind == strangers
}

// lost is why a request has lost its place; nil if it has not.
func (p *place) lost() error {
	if p.accounts == nil {
		return nil
	}
	p.accounts.mu.Lock()
	defer p.accounts.mu.Unlock()
	return p.state()
}

// What follows needs the accounts' lock.

func (p *place) state() error {
	switch {
	case p.aborted:
		return errAborted
	case p.refused:
		return errTooMuch
	}
	return nil
}

// account finds or makes an owner's.
func (e *accounts) account(o owner) *account {
	a := e.of[o]
	if a == nil {
		a = &account{owner: o}
		e.of[o] = a
	}
	return a
}

// add changes what an account has. One that has nothing is thrown away.
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

// wait makes a request one of those that wait for their caller.
func (p *place) wait() {
	p.in.waiting = append(p.in.waiting, p)
	p.waits = len(p.in.waiting)
	p.since = time.Now()
	p.moved.Store(0)
}

// stay makes it one that does not wait.
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

// idle makes it one that neither waits nor is worked on.
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

// release takes a place, and all that belongs to it, from its account.
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

// hold changes how many bytes are held for a request.
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

// unread notes how long an answer is that is to be fetched.
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

// evict takes the place of the request that makes the least progress for what its
// account has, places or bytes: of all that wait in account a, or, if that is nil, of
// all of p's kind. errTooMuch: there is none.
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
	_ = e.refuse(slowest) // it is told when it asks for its state
	return append(victims, slowest), nil
}

// cut tells requests that have lost their places: what they wait for ends.
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
