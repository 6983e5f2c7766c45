package storage

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// Batch says of one transaction how many operations shared it, and how long it took.
type Batch struct {
	Size   int           // operations
	Waited time.Duration // how long the first of them waited for its turn
	Took   time.Duration // from that turn to the answer, with what was run again
}

// settle answers operations that have run together. None is answered before the COMMIT:
// until then a fault of any of them undoes all, also what the others have seen.
//
// If the database fails in a way that running again does not mend, one of them is to
// blame, and nobody knows which: each is run alone, so that only that one fails. So is an
// operation that touched what it had not announced: that was not locked.
func (db *DB) settle(ops []*operation, b *batch, err error, deadline time.Time) {
	alone := ops
	switch {
	case err == nil:
		alone = nil
		for _, v := range b.views {
			if v.stray != nil {
				alone = append(alone, v.op)
				continue
			}
			v.op.panicked = v.panicked
			v.op.answer(v.err)
		}
	case errors.Is(err, errHeldUp):
		db.retried(err)
		db.aside(ops, deadline)
		return
	case len(ops) == 1 || errors.Is(err, booking.ErrUnavailable):
		alone = nil
		for _, op := range ops {
			errors.As(err, &op.panicked)
			op.answer(err)
		}
	default:
		db.retried(err)
	}
	for _, op := range alone {
		one := []*operation{op}
		b, err := db.together(one, deadline)
		db.settle(one, b, err, deadline)
	}
}

// aside runs each operation in a transaction of its own, beside the committers. One of
// them needs a lock that somebody, an import perhaps, holds for long; nobody knows which,
// and the others, and the batches behind this one, must not wait for it.
func (db *DB) aside(ops []*operation, deadline time.Time) {
	for _, op := range ops {
		db.asides.Go(func() {
			db.asideAtOnce <- struct{}{}
			defer func() { <-db.asideAtOnce }()
			one := []*operation{op}
			b, err := db.together(one, deadline)
			db.settle(one, b, err, deadline)
		})
	}
}

// errHeldUp: a batch has waited for a lock as long as it may.
var errHeldUp = errors.New("somebody holds a lock for long")

// prepare sets how long the transaction waits for a lock: briefly if operations share it,
// because they all wait. It also has every statement go by indexes, since PostgreSQL
// keeps a plan that it made when a table was small, and goes on reading all of it.
func (db *DB) prepare(tx *gorm.DB, ops []*operation) error {
	if db.dialect.batch == "" {
		return nil
	}
	patience := db.limit * 2 / 3
	if len(ops) > 1 {
		patience = db.limit / 10
	}
	return tx.Exec(db.dialect.batch, strconv.FormatInt(patience.Milliseconds(), 10)).Error
}

// errNothing ends a transaction in which nothing is to be written.
var errNothing = errors.New("nothing to write")

// together runs operations in one database transaction, with all that
// [DB.repeat] does when the database fails, and returns what became of them.
//
// Everything they announce is fetched and locked with one statement for each
// table. They run one after the other on that, in memory, and each sees what those
// before it did. What they did is written with one statement for each table. One that
// refuses leaves nothing.
//
// So a lock is held for the time of a few statements, however many operations want it,
// and no rule waits for the database while others wait for its locks.
//
// All of it ends at the deadline, except that repeat gives a fresh limit to what it runs
// again after a COMMIT without an answer.
func (db *DB) together(ops []*operation, deadline time.Time) (b *batch, err error) {
	ctx, notes := db.noting(context.Background(), ops)
	defer func() {
		notes.share(ops)
		if v := recover(); v != nil { // our own panic: run catches those of operations
			err = &Panic{Value: v, stack: debug.Stack()}
		}
	}()
	// The batch of the run before this one, if that may have been committed: COMMIT was
	// sent, and its answer got lost. Then its operations must not run again on what it has
	// left: a CreateBooking would find its own visit in its guest's way. When fetch
	// returns, the locks are ours and that transaction has ended, so what it has stored
	// can be seen.
	var last *batch
	err = db.repeat(ctx, deadline.Sub(now()), func(tx *gorm.DB) error {
		if err := db.prepare(tx, ops); err != nil {
			return err
		}
		notes.step("fetch")
		next, err := db.fetch(tx, ops)
		if len(ops) > 1 && lockTimeout(err) {
			return &refusal{errHeldUp}
		}
		if err != nil {
			return err
		}
		if last != nil {
			done, err := last.stored(tx)
			if err != nil {
				return err
			}
			if done { // the outcomes stand; only what fetch has just inserted has to go
				notes.step("write")
				if err := next.write(tx); err != nil {
					return err
				}
				return db.outlast(tx)
			}
		}
		b, last = next, nil
		notes.step("decide")
		for _, v := range b.views {
			b.run(v)
		}
		if !b.changed() {
			return &refusal{errNothing}
		}
		last = b
		notes.step("write")
		return b.write(tx)
	})
	var refused *refusal
	if errors.As(err, &refused) {
		err = refused.err
	}
	if errors.Is(err, errNothing) {
		err = nil
		if slices.ContainsFunc(b.views, (*view).acknowledges) {
			notes.step("settle")
			err = db.Settled(context.Background()) // after the rollback, so that nobody waits for our locks
			notes.settled(err)
		}
	}
	return b, err
}

// stored reports whether the batch's transaction has happened after all. A booking
// whose id only this batch can have used proves that. Its absence proves nothing: a
// batch need not make one.
func (b *batch) stored(tx *gorm.DB) (bool, error) {
	for _, p := range b.puts {
		if p.booking.Version == 1 {
			var n int64
			err := tx.Raw("SELECT COUNT(*) FROM bookings WHERE id = ?", p.booking.ID).Scan(&n).Error
			if err != nil {
				return false, fmt.Errorf("look for a booking: %w", err)
			}
			return n > 0, nil
		}
	}
	return false, nil
}

// batch is what the operations of one transaction see of the database, and what
// those that succeeded did. fetch fills it, run changes it in memory, and write
// stores it. For a kind of row there is a table here, a step of fetch, a line in
// keep and a step of write.
type batch struct {
	dialect dialect
	views   []*view

	tokens   table[tokenKey, tokenRow]
	bookings table[uuid.UUID, booking.Booking]
	holds    table[uuid.UUID, []inventory.Hold] // by booking
	keys     table[booking.GuestKey, guestKeyRow]
	guests   table[uuid.UUID, booking.Guest]
	slots    table[inventory.SlotKey, slot]
	puts     []put // every version of every booking, in the order in which they came about

	schedules map[booking.ScheduleKey]uuid.UUID // bookings by the clinic's name
	visitors  map[booking.VisitorKey]uuid.UUID  // charts by the clinic's name
	agendas   map[uuid.UUID]agenda              // by guest
	locked    map[inventory.SlotKey]bool        // also keys that have no row: nobody publishes one meanwhile
	shares    map[inventory.SlotKey]sharedSpan  // by the keys of their spans
}

type tokenKey struct{ Caller, Token string }

func newBatch(d dialect, ops []*operation) *batch {
	b := &batch{
		dialect: d, schedules: map[booking.ScheduleKey]uuid.UUID{}, visitors: map[booking.VisitorKey]uuid.UUID{},
		agendas: map[uuid.UUID]agenda{}, locked: map[inventory.SlotKey]bool{}, shares: map[inventory.SlotKey]sharedSpan{},
	}
	for _, op := range ops {
		b.views = append(b.views, newView(b, op, op.touches))
	}
	return b
}

// slot is a slot as the database has it: offered decides how far a capacity
// shrinks when room is given back.
type slot struct {
	inventory.Slot
	offered int
}

// take adds spots to what is taken. Room that is given back shrinks a capacity
// that was kept above the offer only because it was taken.
func (s *slot) take(spots int) {
	s.Taken += spots
	if spots < 0 {
		s.Capacity = max(s.offered, s.Taken)
	}
}

// agenda is what a batch knows of a guest's live visits.
type agenda struct {
	known  span                        // for this time all of them are here
	visits map[uuid.UUID]booking.Visit // by booking
}

// span is a time, [from, to) in Unix seconds.
type span struct{ from, to int64 }

var always = span{-1 << 63, 1<<63 - 1}

func (s span) covers(o span) bool { return s.from <= o.from && o.to <= s.to }

// sharedSpan is a time of a share, with the rows that count in it, as they were.
type sharedSpan struct {
	inventory.Span
	rows []inventory.Row
}

// put is a booking that an operation wrote, with its event.
type put struct {
	booking booking.Booking
	event   booking.Event
}

// changed reports whether there is anything to write. Rows that fetch inserted do not
// count: without anything else they go when the transaction is rolled back.
func (b *batch) changed() bool {
	return len(b.tokens.now)+len(b.slots.now)+len(b.holds.now)+len(b.guests.now)+len(b.puts) > 0
}

// run runs an operation on its view and keeps what it did, if it succeeded.
func (b *batch) run(v *view) {
	defer func() {
		if p := recover(); p != nil {
			v.panicked = &Panic{Value: p, stack: debug.Stack()}
		}
	}()
	if v.prior = b.prior(v.touches); v.prior == nil && v.stale {
		v.err = booking.ErrStale
		return
	}
	v.running = true
	v.err = v.op.f(v)
	if len(b.views) == 1 {
		v.stray = nil // to run it alone once more would change nothing
	}
	if !v.failed() {
		b.keep(v)
	}
}

// keep makes what an operation did part of what those after it see and of what
// is written.
func (b *batch) keep(v *view) {
	if c := v.touches.Claim; c != nil && v.prior == nil {
		row := rowOfClaim(*c)
		if v.subject != uuid.Nil {
			row.BookingID = v.subject
			if one, _ := b.bookings.get(v.subject); one.ErasedSec != 0 { // its tokens say nothing
				row.Fingerprint = []byte{}
			}
		}
		b.tokens.set(row.key(), row)
	}
	if len(v.slots.rows) > 0 {
		for k := range v.announced() {
			b.slots.need(k)
		}
	}
	v.slots.keep()
	v.holds.keep()
	if v.guest != nil {
		b.keepGuest(*v.guest, v.touches.GuestKeys, v.others)
	}
	for _, one := range v.bookings.rows {
		b.keepBooking(one)
	}
	b.puts = append(b.puts, v.puts...)
}

func (b *batch) keepGuest(guest booking.Guest, keys, others []booking.GuestKey) {
	if _, there := b.guests.get(guest.ID); !there {
		a := b.agendas[guest.ID]
		a.known = always // who is new has no visits but those of this batch
		b.agendas[guest.ID] = a
	}
	b.guests.set(guest.ID, guest)
	b.nameVisitor(guest)
	for _, k := range keys {
		if _, owned := b.keys.get(k); !owned && !slices.Contains(others, k) {
			b.keys.set(k, guestKeyRow{MerchantID: k.MerchantID, Key: k.Key, GuestID: guest.ID})
		}
	}
}

// nameVisitor has the clinic's name of a guest lead to the guest's chart.
func (b *batch) nameVisitor(guest booking.Guest) {
	chart := guest.ID
	if guest.JoinedTo != nil {
		chart = *guest.JoinedTo
	}
	b.visitors[booking.VisitorKey{MerchantID: guest.MerchantID, VisitorID: guest.VisitorID}] = chart
}

func (b *batch) keepBooking(after booking.Booking) {
	if before, there := b.bookings.get(after.ID); there {
		delete(b.agendas[before.GuestID].visits, after.ID)
	}
	b.bookings.set(after.ID, after)
	b.nameSchedule(after)
	if slices.Contains(booking.Live, after.State) {
		b.setVisit(visitOf(after))
	}
}

// nameSchedule has the clinic's name of a booking lead to the booking.
func (b *batch) nameSchedule(one booking.Booking) {
	b.schedules[booking.ScheduleKey{MerchantID: one.MerchantID, ScheduleID: one.ScheduleID}] = one.ID
}

func (b *batch) setVisit(v booking.Visit) {
	a := b.agendas[v.GuestID]
	a.visits = with(a.visits, v.BookingID, v)
	b.agendas[v.GuestID] = a
}

func visitOf(b booking.Booking) booking.Visit {
	return booking.Visit{
		BookingID: b.ID, GuestID: b.GuestID, State: b.State, ServiceID: b.ServiceID, StaffID: b.StaffID, RoomID: b.RoomID,
		PartySize: b.PartySize, StartSec: b.StartSec, EndSec: b.EndSec, ExpiresSec: b.ExpiresSec,
		UserID: b.Contact.UserID, Email: b.Contact.Email,
	}
}
