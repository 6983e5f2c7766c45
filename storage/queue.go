package storage

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/booking"
)

// operation is one call of InTx.
type operation struct {
	touches booking.Footprint
	f       func(booking.Tx) error
	since   time.Time
	begun   bool // a committer has taken it, so it can no longer be withdrawn
	done    chan struct{}

	course       *Course // nil: nobody watches
	turn         time.Time
	transactions []*Transaction // if somebody watches

	err      error
	panicked *Panic
}

// Panic is a panic of an operation. It continues in the goroutine of the operation's caller,
// with the stack on which it happened.
type Panic struct {
	Value any
	stack []byte
}

// Error does not contain the value, which may be a guest's data.
func (p *Panic) Error() string { return "panic with " + p.Kind() }

// Kind is the type of the value.
func (p *Panic) Kind() string { return fmt.Sprintf("%T", p.Value) }

// Stack is where it happened.
func (p *Panic) Stack() []byte { return p.stack }

// InTx implements [booking.Store]. Operations that wait at the same time share
// one database transaction, see [DB.together].
//
// The end of the caller's context does not end it: what was accepted is run even if the
// caller hangs up, so that its outcome is known.
func (db *DB) InTx(ctx context.Context, touches booking.Footprint, f func(booking.Tx) error) (err error) {
	op := &operation{touches: touches, f: f, since: now(), done: make(chan struct{}), course: courseOf(ctx)}
	defer func() { op.course.answered(op, err) }()
	if err := db.queue.accept(op, db.commit); err != nil {
		return err
	}
	defer db.queue.answered(op)
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

// now is for limits and measurements only: no rule depends on it.
func now() time.Time { return time.Now() } //nolint:forbidigo // see above

// commit is a committer: it runs waiting operations, batch by batch, until none are left. It
// never waits for a batch to fill. While one batch commits, the next one gathers. So batches
// grow with the load by themselves, and an idle server commits each operation at once.
func (db *DB) commit() {
	for {
		ops := db.queue.next(db.batch)
		if ops == nil {
			return
		}
		started := now()
		for _, op := range ops {
			op.turn = started
		}
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

// queue holds the operations that wait for a committer. Each merchant has a list of its own.
// The lists take turns, and each may have half of what the queue accepts, so a merchant in
// great demand can neither starve the others nor shut them out.
type queue struct {
	sync.Mutex
	accepted      int            // operations waiting or running
	acceptedOf    map[string]int // the same for each list
	maxAccepted   int
	lists         map[string][]*operation // waiting operations
	turns         []string                // the non-empty lists, the next one first
	waiting       int
	committers    int // at work
	maxCommitters int
	gather        func(waiting int) bool // see Options.Gather; may be nil
	gathering     bool                   // a test wants more operations before any of them runs
	closed        bool
	idle          *sync.Cond // no committer is at work
}

func newQueue(maxAccepted, maxCommitters int, gather func(waiting int) bool) *queue {
	q := &queue{
		acceptedOf: map[string]int{}, maxAccepted: maxAccepted, lists: map[string][]*operation{},
		maxCommitters: maxCommitters, gather: gather,
	}
	q.idle = sync.NewCond(&q.Mutex)
	return q
}

// list names the list in which an operation waits: its merchant's, or its booking's own if
// the operation names no merchant.
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

// accept puts an operation into the queue, unless that is full, and starts another committer
// if one may run. The caller of an accepted operation must call answered in the end.
//
// Refusing early is cheap. In a longer queue operations would still get their transactions
// after their callers have given up, while the next callers wait behind them.
func (q *queue) accept(op *operation, commit func()) error {
	q.Lock()
	defer q.Unlock()
	name := op.list()
	switch {
	case q.closed:
		return fmt.Errorf("%w: the database is being closed", booking.ErrUnavailable)
	case q.accepted == q.maxAccepted:
		return fmt.Errorf("%w: %d operations are waiting", booking.ErrUnavailable, q.accepted)
	case q.acceptedOf[name] == (q.maxAccepted+1)/2:
		return fmt.Errorf("%w: %d operations of one merchant are waiting", booking.ErrUnavailable, q.acceptedOf[name])
	}
	q.accepted++
	q.acceptedOf[name]++
	if len(q.lists[name]) == 0 {
		q.turns = append(q.turns, name)
	}
	q.lists[name] = append(q.lists[name], op)
	q.waiting++
	q.gathering = q.gather != nil && q.gather(q.waiting)
	if q.committers < q.maxCommitters && !q.gathering {
		q.committers++
		go commit()
	}
	return nil
}

// answered makes room for another operation.
func (q *queue) answered(op *operation) {
	q.Lock()
	defer q.Unlock()
	q.accepted--
	name := op.list()
	if q.acceptedOf[name]--; q.acceptedOf[name] == 0 {
		delete(q.acceptedOf, name)
	}
}

// slotsAtOnce bounds how many slots the operations of a batch announce together, unless it is
// only one operation: all of them are locked, and in memory, until the batch is committed.
const slotsAtOnce = 4000

// next returns up to n operations, one from each list in turn. It returns nil if none wait,
// and then the committer stops.
func (q *queue) next(n int) []*operation {
	q.Lock()
	defer q.Unlock()
	var ops []*operation
	for slots := 0; len(ops) < n && len(q.turns) > 0 && !q.gathering; {
		name := q.turns[0]
		op := q.lists[name][0]
		slots += len(op.touches.Slots)
		if len(ops) > 0 && slots > slotsAtOnce {
			break
		}
		ops = append(ops, op)
		op.begun = true
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

// withdraw removes an operation that still waits. It returns false if a committer has taken
// it already.
func (q *queue) withdraw(op *operation) bool {
	q.Lock()
	defer q.Unlock()
	if op.begun {
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

// close refuses further operations and waits until all accepted ones have run.
func (q *queue) close(commit func()) {
	q.Lock()
	defer q.Unlock()
	q.closed, q.gathering = true, false
	if q.waiting > 0 && q.committers == 0 {
		q.committers++
		go commit()
	}
	for q.committers > 0 {
		q.idle.Wait()
	}
}

// Queued returns how many operations wait or run, and how many may.
func (db *DB) Queued() (operations, places int) {
	db.queue.Lock()
	defer db.queue.Unlock()
	return db.queue.accepted, db.queue.maxAccepted
}
