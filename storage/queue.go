package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/booking"
)

// operation is one call of InTx on its way.
type operation struct {
	touches booking.Footprint
	f       func(booking.Tx) error
	since   time.Time
	taken   bool // by a committer
	done    chan struct{}

	err      error
	panicked *Panic
}

// Panic is what an operation panicked with. It goes on in the goroutine of its
// caller, with the stack on which it happened.
type Panic struct {
	Value any
	stack []byte
}

// Error does not tell the value: that may be a guest's data.
func (p *Panic) Error() string { return "panic with " + p.Kind() }

// Kind is the type of what it panicked with.
func (p *Panic) Kind() string { return fmt.Sprintf("%T", p.Value) }

// Stack is where it happened.
func (p *Panic) Stack() []byte { return p.stack }

// InTx implements [booking.Store]. Operations that wait at the same time share
// one database transaction, see [DB.together].
//
// A caller who hangs up is not waited for any less: what was accepted is run, and
// its outcome is known.
func (db *DB) InTx(_ context.Context, touches booking.Footprint, f func(booking.Tx) error) error {
	op := &operation{touches: touches, f: f, since: now(), done: make(chan struct{})}
	if err := db.queue.put(op, db.commit); err != nil {
		return err
	}
	defer db.queue.leave(op)
	patience := time.NewTimer(db.limit / 2)
	defer patience.Stop()
	select {
	case <-op.done:
	case <-patience.C:
		if db.queue.withdraw(op) {
			return fmt.Errorf("%w: waited %s for a turn", booking.ErrUnavailable, db.limit/2)
		}
		<-op.done
	}
	if op.panicked != nil {
		panic(op.panicked)
	}
	return op.err
}

// now is for limits and measurements: nothing is decided by it.
func now() time.Time { return time.Now() } //nolint:forbidigo // see above

// commit runs what waits, batch by batch, until nothing does.
func (db *DB) commit() {
	for {
		ops := db.queue.take(db.batch)
		if ops == nil {
			return
		}
		started := now()
		first := slices.MinFunc(ops, func(a, b *operation) int { return a.since.Compare(b.since) }).since
		deadline := first.Add(db.limit)
		b, err := db.together(ops, deadline)
		db.observed(Batch{Size: len(ops), Waited: started.Sub(first), Took: now().Sub(started)})
		db.settle(ops, b, err, deadline)
	}
}

// answer gives an operation its outcome.
func (op *operation) answer(err error) {
	op.err = err
	close(op.done)
}

// queue holds operations until a committer takes them. Each merchant has a list
// of its own and they take turns, and at most half of the places, so that one in
// demand can neither starve the others nor shut them out.
type queue struct {
	sync.Mutex
	places     int            // for operations that wait or run
	accepted   int            // operations that have one
	acceptedBy map[string]int // the same of each list
	lists      map[string][]*operation
	turns      []string // the lists that are not empty, the next one first
	waiting    int
	committers int // at work
	most       int // committers at work at once
	hold       func(waiting int) bool
	held       bool // by a test, until another operation comes
	closed     bool
	idle       *sync.Cond // no committer is at work
}

func newQueue(places, committers int, hold func(waiting int) bool) *queue {
	q := &queue{places: places, acceptedBy: map[string]int{}, lists: map[string][]*operation{}, most: committers, hold: hold}
	q.idle = sync.NewCond(&q.Mutex)
	return q
}

// list is whose turn an operation waits for.
func (op *operation) list() string {
	switch k := op.touches; {
	case k.MerchantID != "":
		return k.MerchantID
	case k.Schedule.MerchantID != "":
		return k.Schedule.MerchantID
	case len(k.Bookings) > 0:
		return k.Bookings[0].String()
	}
	return ""
}

// put adds an operation, if there is a place for it, and starts a committer if one
// is free. Whoever is given a place leaves it.
func (q *queue) put(op *operation, commit func()) error {
	q.Lock()
	defer q.Unlock()
	name := op.list()
	switch {
	case q.closed:
		return fmt.Errorf("%w: the database is being closed", booking.ErrUnavailable)
	case q.accepted == q.places:
		return fmt.Errorf("%w: %d operations are waiting", booking.ErrUnavailable, q.accepted)
	case q.acceptedBy[name] == (q.places+1)/2:
		return fmt.Errorf("%w: %d operations of one merchant are waiting", booking.ErrUnavailable, q.acceptedBy[name])
	}
	q.accepted++
	q.acceptedBy[name]++
	if len(q.lists[name]) == 0 {
		q.turns = append(q.turns, name)
	}
	q.lists[name] = append(q.lists[name], op)
	q.waiting++
	q.held = q.hold != nil && q.hold(q.waiting)
	if q.committers < q.most && !q.held {
		q.committers++
		go commit()
	}
	return nil
}

// leave gives the place of an operation that was answered to another.
func (q *queue) leave(op *operation) {
	q.Lock()
	defer q.Unlock()
	q.accepted--
	name := op.list()
	if q.acceptedBy[name]--; q.acceptedBy[name] == 0 {
		delete(q.acceptedBy, name)
	}
}

// slotsAtOnce bounds how many slots the operations of one batch announce.
const slotsAtOnce = 4000

// take returns up to n operations, one of each list in turn; nil, and the
// committer is free again, if there are none.
func (q *queue) take(n int) []*operation {
	q.Lock()
	defer q.Unlock()
	var ops []*operation
	for slots := 0; len(ops) < n && len(q.turns) > 0 && !q.held; {
		name := q.turns[0]
		op := q.lists[name][0]
		slots += len(op.touches.Slots)
		if len(ops) > 0 && slots > slotsAtOnce {
			break
		}
		ops = append(ops, op)
		op.taken = true
		q.turns = q.turns[1:]
		if q.lists[name] = q.lists[name][1:]; len(q.lists[name]) > 0 {
			q.turns = append(q.turns, name)
		} else {
			delete(q.lists, name)
		}
	}
	q.waiting -= len(ops)
	if ops == nil {
		q.committers--
		if q.committers == 0 {
			q.idle.Broadcast()
		}
	}
	return ops
}

// withdraw removes an operation that nobody has taken yet. It is false if
// somebody has.
func (q *queue) withdraw(op *operation) bool {
	q.Lock()
	defer q.Unlock()
	if op.taken {
		return false
	}
	name := op.list()
	q.lists[name] = slices.DeleteFunc(q.lists[name], func(o *operation) bool { return o == op })
	if len(q.lists[name]) == 0 {
		delete(q.lists, name)
		q.turns = slices.DeleteFunc(q.turns, func(t string) bool { return t == name })
	}
	q.waiting--
	return true
}

// close refuses more operations and waits until those accepted are answered.
func (q *queue) close(commit func()) {
	q.Lock()
	defer q.Unlock()
	q.closed, q.held = true, false
	if q.waiting > 0 && q.committers == 0 {
		q.committers++
		go commit()
	}
	for q.committers > 0 {
		q.idle.Wait()
	}
}
