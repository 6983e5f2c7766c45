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

// Batch says how many operations shared a transaction, and how long it took.
type Batch struct {
	Size   int           // operations
	Waited time.Duration // how long the first of them waited for its turn
	Took   time.Duration // from that turn to the answer, reruns included
}

// settle answers operations that have run together. It answers nobody before the COMMIT:
// until then a fault in any of them undoes all of them, including what the others have seen.
//
// If the database fails in a way that a rerun does not mend, one of them is to blame, and
// nobody knows which. So settle runs each alone, and only that one fails. It also runs an
// operation alone that touched rows it had not announced, because those were not locked.
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

// aside runs each operation in a transaction of its own, beside the committers. One of them
// needs a lock that somebody, perhaps an import, holds for long. Nobody knows which one it
// is, and neither the others nor the next batches must wait for that lock.
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

// errHeldUp: a batch has waited for a lock for as long as a batch may.
var errHeldUp = errors.New("somebody holds a lock for long")

// prepare sets how long the transaction waits for a lock: only briefly if operations share
// it, because all of them wait. It also makes every statement use indexes: PostgreSQL caches
// plans, and one made while a table was small would go on reading the whole table.
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

// errNothing ends a transaction that has nothing to write.
var errNothing = errors.New("nothing to write")

// together runs operations in one database transaction, which [DB.repeat] runs again when
// the database fails, and returns their outcomes.
//
// It fetches and locks everything they announce, with one statement for each table. Then
// they run in memory, one after the other, and each sees what the ones before it did. A
// refused operation leaves nothing behind. At the end one statement for each table writes
// what is left.
//
// So locks are held for a few statements, however many operations want them, and no rule
// waits for the database while others wait for its locks. One COMMIT, and one fsync, serves
// them all.
//
// All of it ends at the deadline, except that repeat gives a fresh limit to a rerun after a
// COMMIT without an answer.
func (db *DB) together(ops []*operation, deadline time.Time) (b *batch, err error) {
	ctx, notes := db.noting(context.Background(), ops)
	defer func() {
		notes.share(ops)
		if v := recover(); v != nil { // our own panic: run catches panics of operations
			err = &Panic{Value: v, stack: debug.Stack()}
		}
	}()
	// last is the batch of the previous run if that run sent COMMIT and got no answer. It may
	// have been committed, and then its operations must not run again on what it has stored:
	// a CreateBooking would find its own visit in its guest's way. By the time fetch returns,
	// the locks are ours, so that transaction has ended and we can see what it stored.
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
			if done { // the outcomes stand; write only deletes the rows that fetch has just inserted
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
			err = db.Settled(context.Background()) // after the rollback, which has released our locks
			notes.settled(err)
		}
	}
	return b, err
}

// stored reports whether the batch's transaction was committed after all. A booking whose
// id only this batch can have used proves that it was. Its absence proves nothing, because a
// batch need not make a booking: then the operations run again, and their tokens, or their
// bookings' versions, show them what the first run did.
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

// batch is what the operations of one transaction see of the database, and what the
// successful ones did. fetch fills it, run changes it in memory, and write stores it. Each
// kind of row has a table here, a step of fetch, a line in keep and a step of write.
type batch struct {
	dialect dialect
	views   []*view

	tokens   table[tokenKey, tokenRow]
	bookings table[uuid.UUID, booking.Booking]
	holds    table[uuid.UUID, []inventory.Hold] // by booking
	keys     table[booking.GuestKey, guestKeyRow]
	guests   table[uuid.UUID, booking.Guest]
	slots    table[inventory.SlotKey, slot]
	puts     []put // every version of every booking, oldest first

	schedules map[booking.ScheduleKey]uuid.UUID // bookings by the clinic's name
	visitors  map[booking.VisitorKey]uuid.UUID  // charts by the clinic's name
	agendas   map[uuid.UUID]agenda              // by guest
	locked    map[inventory.SlotKey]bool        // includes keys without a row, which nobody can publish meanwhile
	shares    map[inventory.SlotKey]sharedSpan  // by their spans' keys
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

// take adds spots to what is taken. A capacity above the offer was kept only for what is
// taken, so it shrinks when spots are given back.
func (s *slot) take(spots int) {
	s.Taken += spots
	if spots < 0 {
		s.Capacity = max(s.offered, s.Taken)
	}
}

// agenda is what a batch knows of a guest's live visits.
type agenda struct {
	known  span                        // visits has all of them in this time
	visits map[uuid.UUID]booking.Visit // by booking
}

// span is a time, [from, to) in Unix seconds.
type span struct{ from, to int64 }

var always = span{-1 << 63, 1<<63 - 1}

func (s span) covers(o span) bool { return s.from <= o.from && o.to <= s.to }

// sharedSpan is a time of a share, with the rows that count in it as fetch found them.
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
// count: if there is nothing else, a rollback removes them.
func (b *batch) changed() bool {
	return len(b.tokens.now)+len(b.slots.now)+len(b.holds.now)+len(b.guests.now)+len(b.puts) > 0
}

// run runs an operation on its view, and keeps what it did if it succeeded.
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
		v.stray = nil // it is alone already, so another run would change nothing
	}
	if !v.failed() {
		b.keep(v)
	}
}

// keep makes what an operation did part of what later ones see and of what write stores.
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
		a.known = always // a new guest has no visits except this batch's
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

// nameVisitor makes the clinic's name of a guest lead to the guest's chart.
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

// nameSchedule makes the clinic's name of a booking lead to the booking.
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
