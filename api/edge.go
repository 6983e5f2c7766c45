package api

import (
	"context"
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

// kind is a kind of caller.
type kind int

const (
	strangers kind = iota // who has not shown who they are, by address
	clinics               // by merchant
	google
)

// use is what a caller, or all of a kind, have at a time.
type use struct {
	places  int   // requests
	working int   // those that have arrived and are worked on
	refused int   // besides: those that are being told that there is no place
	bytes   int64 // of bodies and answers
}

// bounds are how much that may be: for one caller, and for all of its kind.
var bounds = [...]struct{ each, all use }{
	strangers: {
		each: use{places: 64, working: 8, refused: 64, bytes: 1 << 20},
		all:  use{places: 512, working: 64, refused: 512, bytes: 4 << 20},
	},
	clinics: {
		each: use{places: 128, working: 128, refused: 128, bytes: 12 << 20},
		all:  use{places: 1024, working: 1024, refused: 512, bytes: 24 << 20},
	},
	google: {
		each: use{places: 2048, working: 2048, refused: 2048, bytes: 32 << 20},
		all:  use{places: 2048, working: 2048, refused: 2048, bytes: 32 << 20},
	},
}

// owner is one caller.
type owner struct {
	kind     kind
	merchant string     // of a clinic
	address  netip.Addr // of a stranger, see peerKey
}

// account is what an owner has.
type account struct {
	owner owner
	use
	waiting []*place // those that wait for their caller, in no order
}

// edge has all accounts that are not empty.
type edge struct {
	mu       sync.Mutex
	accounts map[owner]*account
	all      [len(bounds)]use
}

func newEdge() *edge { return &edge{accounts: map[owner]*account{}} }

// Line is the connection that a request comes on, as its listener knows it.
type Line interface {
	// Proven says that credentials were shown on it: Google's, or those of the
	// clinic with that merchant id.
	Proven(byGoogle bool, merchant string)
	// Working says that a request on it has arrived and is worked on, or no longer.
	Working(is bool)
}

type lineKey struct{}

// WithLine returns a context for the requests of a connection.
func WithLine(ctx context.Context, l Line) context.Context {
	return context.WithValue(ctx, lineKey{}, l)
}

// place is what one request has. Its methods are for the goroutine that serves the
// request; a zero place is accounted for nowhere and has no bounds.
type place struct {
	edge *edge
	to   http.ResponseWriter
	line Line // nil: not known

	// These need the edge's lock.
	in        *account // nil: not entered yet, or over
	refused   bool     // it is there only to be told to come again
	aborted   bool     // not even that
	working   bool
	answering bool
	bytes     int64
	waits     int // its index among those that wait, from 1; 0: it does not
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

// errAborted ends a request without an answer: too many are being told to come again
// already.
var errAborted = fmt.Errorf("%w: and no place to be told so", errTooMuch)

// enter takes a place for a request, or moves its place to another account when the
// caller has become known. One that waits can lose its place again. With errTooMuch
// the request has a place to be told that, with errAborted it has none.
func (p *place) enter(o owner, waits bool) error {
	if p.edge == nil {
		return nil
	}
	if p.line != nil && o.kind != strangers {
		p.line.Proven(o.kind == google, o.merchant)
	}
	e := p.edge
	e.mu.Lock()
	var victims []*place
	e.release(p) // also if it is the same account: then it has its place again at once
	a, most := e.account(o), bounds[o.kind]
	p.in = a
	e.add(a, use{places: 1})
	var err error
	for err == nil && a.places > most.each.places {
		victims, err = e.evict(victims, p, a, use.ofPlaces)
	}
	for err == nil && e.all[o.kind].places > most.all.places {
		victims, err = e.evict(victims, p, nil, use.ofPlaces)
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
	if p.edge == nil {
		return nil
	}
	if err := p.charge(bytes); err != nil {
		return err
	}
	e := p.edge
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := p.state(); err != nil || p.working {
		return err
	}
	most, kind := bounds[p.in.owner.kind], p.in.owner.kind
	if p.in.working >= most.each.working || e.all[kind].working >= most.all.working {
		return errTooMuch
	}
	e.stay(p)
	p.working = true
	e.add(p.in, use{working: 1})
	if p.line != nil {
		p.line.Working(true)
	}
	return nil
}

// charge says that so many bytes are held for the request now, and makes room for
// them if it can.
func (p *place) charge(bytes int64) error {
	if p.edge == nil {
		return nil
	}
	e := p.edge
	e.mu.Lock()
	victims, err := e.hold(p, bytes)
	e.mu.Unlock()
	cut(victims)
	return err
}

// answer says that an answer of so many bytes is there instead of the body, and waits
// for the caller to take it.
func (p *place) answer(bytes int64) error {
	if p.edge == nil {
		return nil
	}
	e := p.edge
	e.mu.Lock()
	victims, err := e.hold(p, bytes)
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
	if p.edge == nil {
		return
	}
	p.edge.mu.Lock()
	defer p.edge.mu.Unlock()
	p.edge.idle(p)
}

// abort makes the request end without an answer.
func (p *place) abort() error {
	if p.edge == nil {
		return errAborted
	}
	p.edge.mu.Lock()
	defer p.edge.mu.Unlock()
	p.edge.release(p)
	p.aborted = true
	return errAborted
}

// leave gives everything back. It reports whether the request has to end without an
// answer.
func (p *place) leave() (aborted bool) {
	if p.edge == nil {
		return false
	}
	p.edge.mu.Lock()
	p.edge.release(p)
	aborted = p.aborted
	p.edge.mu.Unlock()
	p.cutting.Lock()
	p.over = true
	p.cutting.Unlock()
	return aborted
}

// stranger reports whether nobody knows whose request it is.
func (p *place) stranger() bool {
	if p.edge == nil {
		return false
	}
	p.edge.mu.Lock()
	defer p.edge.mu.Unlock()
	return p.in == nil || p.in.owner.kind == strangers
}

// lost is why a request has lost its place; nil if it has not.
func (p *place) lost() error {
	if p.edge == nil {
		return nil
	}
	p.edge.mu.Lock()
	defer p.edge.mu.Unlock()
	return p.state()
}

// What follows needs the edge's lock.

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
func (e *edge) account(o owner) *account {
	a := e.accounts[o]
	if a == nil {
		a = &account{owner: o}
		e.accounts[o] = a
	}
	return a
}

// add changes what an account has. One that has nothing is thrown away.
func (e *edge) add(a *account, u use) {
	for _, of := range []*use{&a.use, &e.all[a.owner.kind]} {
		of.places += u.places
		of.working += u.working
		of.refused += u.refused
		of.bytes += u.bytes
	}
	if e.accounts[a.owner] = a; a.use == (use{}) {
		delete(e.accounts, a.owner)
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
func (e *edge) stay(p *place) {
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
func (e *edge) idle(p *place) {
	e.stay(p)
	if p.working {
		p.working = false
		e.add(p.in, use{working: -1})
		if p.line != nil {
			p.line.Working(false)
		}
	}
}

// release takes a place, and all that belongs to it, from its account.
func (e *edge) release(p *place) {
	if p.in == nil {
		return
	}
	e.idle(p)
	gone := use{places: -1, bytes: -p.bytes}
	if p.refused {
		gone.places, gone.refused = 0, -1
	}
	e.add(p.in, gone)
	p.in, p.bytes, p.refused = nil, 0, false
}

// refuse leaves a request in its account only to be told to come again.
func (e *edge) refuse(p *place) error {
	a, most := p.in, bounds[p.in.owner.kind]
	e.release(p)
	if a.refused >= most.each.refused || e.all[a.owner.kind].refused >= most.all.refused {
		p.aborted = true
		return errAborted
	}
	p.in, p.refused = a, true
	e.add(a, use{refused: 1})
	return errTooMuch
}

// hold changes how many bytes are held for a request.
func (e *edge) hold(p *place, bytes int64) (victims []*place, err error) {
	more := max(0, bytes-free) - p.bytes
	if more > 0 || p.in == nil {
		err = p.state()
	}
	if err != nil || p.in == nil {
		return nil, err
	}
	a, most := p.in, bounds[p.in.owner.kind]
	for err == nil && more > 0 && a.bytes+more > most.each.bytes {
		victims, err = e.evict(victims, p, a, use.ofBytes)
	}
	for err == nil && more > 0 && e.all[a.owner.kind].bytes+more > most.all.bytes {
		victims, err = e.evict(victims, p, nil, use.ofBytes)
	}
	if err == nil {
		p.bytes += more
		e.add(a, use{bytes: more})
	}
	return victims, err
}

func (u use) ofPlaces() int64 { return int64(u.places) }
func (u use) ofBytes() int64  { return u.bytes }

// evict takes the place of the request that makes the least progress for what its
// account has, places or bytes: of all that wait in account a, or, if that is nil, of
// all of p's kind. errTooMuch: there is none.
func (e *edge) evict(victims []*place, p *place, a *account, has func(use) int64) ([]*place, error) {
	now, least := time.Now(), math.Inf(1)
	var slowest *place
	consider := func(a *account) {
		for _, w := range a.waiting {
			own := use{places: 1, bytes: w.bytes}
			waited := now.Sub(w.since)
			if w == p || waited < fair || has(own) == 0 {
				continue
			}
			if rate := float64(w.moved.Load()+credit) / waited.Seconds() / float64(has(a.use)); rate < least {
				slowest, least = w, rate
			}
		}
	}
	if a != nil {
		consider(a)
	} else {
		for _, other := range e.accounts {
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
			p.edge.mu.Lock()
			if p.answering || p.aborted {
				end = now.Add(-time.Second)
			}
			p.edge.mu.Unlock()
			p.within(now.Add(-time.Second), end)
		}
		p.cutting.Unlock()
	}
}
