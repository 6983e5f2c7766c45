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

// Group is what one database transaction was shared by.
type Group struct {
	Size   int           // operations
	Waited time.Duration // by the first of them, for its turn
	Took   time.Duration // from its turn to its answer
}

// settle answers operations that have run together. An operation hears nothing before
// that: what another one of its transaction did may still be undone with it.
//
// A fault of the database that running again does not mend is the fault of one of them:
// then each is run alone. So is one that touched what it did not announce.
func (db *DB) settle(ops []*operation, g *group, err error, deadline time.Time) {
	alone := ops
	switch {
	case err == nil:
		alone = nil
		for _, v := range g.views {
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
		g, err := db.together(one, deadline)
		db.settle(one, g, err, deadline)
	}
}

// aside runs each operation in a transaction of its own, beside the committers:
// one of them waits for a lock that somebody holds for long, an import perhaps,
// and the others must not wait for it.
func (db *DB) aside(ops []*operation, deadline time.Time) {
	for _, op := range ops {
		db.besides.Go(func() {
			db.asides <- struct{}{}
			defer func() { <-db.asides }()
			one := []*operation{op}
			g, err := db.together(one, deadline)
			db.settle(one, g, err, deadline)
		})
	}
}

// errHeldUp: the operations of a group have waited for a lock as long as a group
// may.
var errHeldUp = errors.New("somebody holds a lock for long")

// prepare tells the database how a group wants to be served: without waiting long
// for a lock, if there are others to be served, and by indexes. A plan is made
// when a table has few rows, and kept while it grows.
func (db *DB) prepare(tx *gorm.DB, ops []*operation) error {
	if db.dialect.group == "" {
		return nil
	}
	patience := db.limit * 2 / 3
	if len(ops) > 1 {
		patience = db.limit / 10
	}
	return tx.Exec(db.dialect.group, strconv.FormatInt(patience.Milliseconds(), 10)).Error
}

// errNothing ends a transaction in which nothing is to be written.
var errNothing = errors.New("nothing to write")

// together runs operations in one database transaction, with all that
// [DB.repeat] does when the database fails, and returns what became of them.
//
// Everything they announce is fetched and locked with one statement for each
// table, they run one after the other on that in memory, each seeing what those
// before it did, and what they did is written with one statement for each table.
// One that refuses leaves nothing.
//
// All of it ends at the deadline, but for what repeat does about a COMMIT
// without an answer.
func (db *DB) together(ops []*operation, deadline time.Time) (g *group, err error) {
	defer func() {
		if v := recover(); v != nil { // ours: those of operations are caught in run
			err = &Panic{Value: v, stack: debug.Stack()}
		}
	}()
	// The group of the run before this one, whose COMMIT was perhaps sent and got no
	// answer. Its operations must not simply run again on what it has left: a CreateBooking
	// would find its own visit in its guest's way.
	var last *group
	err = db.repeat(context.Background(), deadline.Sub(now()), func(tx *gorm.DB) error {
		if err := db.prepare(tx, ops); err != nil {
			return err
		}
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
			if done { // the outcomes stand, only what was claimed again is given back
				if err := next.write(tx); err != nil {
					return err
				}
				return db.outlast(tx)
			}
		}
		g, last = next, nil
		for _, v := range g.views {
			g.run(v)
		}
		if !g.dirty {
			return &refusal{errNothing}
		}
		last = g
		return g.write(tx)
	})
	var refused *refusal
	if errors.As(err, &refused) {
		err = refused.err
	}
	if errors.Is(err, errNothing) {
		err = nil
		if slices.ContainsFunc(g.views, (*view).acknowledges) {
			err = db.Settled(context.Background()) // with no lock held
		}
	}
	return g, err
}

// stored reports whether the group's transaction has happened after all. It has
// if a booking is there that only this group could make; that there is none
// proves nothing.
func (g *group) stored(tx *gorm.DB) (bool, error) {
	for _, p := range g.puts {
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

// group is what the operations of one transaction see of the database, and what
// those did that succeeded: it is filled by fetch, changed in memory as they
// run, and stored by write.
type group struct {
	dialect dialect
	views   []*view

	tokens    map[tokenKey]tokenRow // that stand, before this group or by it
	claimed   map[tokenKey]tokenRow // the rows that this group has made
	bookings  map[uuid.UUID]booking.Booking
	was       map[uuid.UUID]booking.Booking // as they were
	schedules map[booking.ScheduleKey]uuid.UUID
	holds     map[uuid.UUID][]inventory.Hold
	held      map[uuid.UUID][]inventory.Hold // as they were
	keys      map[booking.GuestKey]uuid.UUID // whose they are
	newKeys   map[booking.GuestKey]uuid.UUID // the rows that this group has made, and whose they say they are
	guests    map[uuid.UUID]booking.Guest
	visitors  map[booking.VisitorKey]uuid.UUID
	visits    map[uuid.UUID]map[uuid.UUID]booking.Visit // by guest and booking
	known     map[uuid.UUID]span                        // for what time a guest's visits are known
	slots     map[inventory.SlotKey]slot
	locked    map[inventory.SlotKey]bool
	spans     map[inventory.SlotKey]inventory.Span  // of shares, by their keys
	rows      map[inventory.SlotKey][]inventory.Row // of the spans, as they were
	newSlots  map[inventory.SlotKey]bool            // the rows that this group has made, false once they are of use

	dirty     bool // there is something to write
	taken     []inventory.Change
	puts      []put
	putGuests map[uuid.UUID]bool
}

type tokenKey struct{ caller, token string }

func newGroup(d dialect, ops []*operation) *group {
	g := &group{
		dialect: d,
		tokens:  map[tokenKey]tokenRow{}, claimed: map[tokenKey]tokenRow{},
		bookings: map[uuid.UUID]booking.Booking{}, was: map[uuid.UUID]booking.Booking{}, schedules: map[booking.ScheduleKey]uuid.UUID{},
		holds: map[uuid.UUID][]inventory.Hold{}, held: map[uuid.UUID][]inventory.Hold{},
		keys: map[booking.GuestKey]uuid.UUID{}, newKeys: map[booking.GuestKey]uuid.UUID{},
		guests: map[uuid.UUID]booking.Guest{}, visitors: map[booking.VisitorKey]uuid.UUID{}, putGuests: map[uuid.UUID]bool{},
		visits: map[uuid.UUID]map[uuid.UUID]booking.Visit{}, known: map[uuid.UUID]span{},
		slots: map[inventory.SlotKey]slot{}, locked: map[inventory.SlotKey]bool{}, newSlots: map[inventory.SlotKey]bool{},
		spans: map[inventory.SlotKey]inventory.Span{}, rows: map[inventory.SlotKey][]inventory.Row{},
	}
	for _, op := range ops {
		g.views = append(g.views, newView(g, op, op.touches))
	}
	return g
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

// span is a time, [from, to) in Unix seconds.
type span struct{ from, to int64 }

var always = span{-1 << 63, 1<<63 - 1}

func (s span) covers(o span) bool { return s.from <= o.from && o.to <= s.to }

// put is a booking that an operation wrote, with its event.
type put struct {
	booking booking.Booking
	event   booking.Event
}

// run runs an operation on its view and keeps what it did, if it succeeded.
func (g *group) run(v *view) {
	defer func() {
		if p := recover(); p != nil {
			v.panicked = &Panic{Value: p, stack: debug.Stack()}
		}
	}()
	if v.prior = g.prior(v.touches); v.prior == nil && v.stale {
		v.err = booking.ErrStale
		return
	}
	v.running = true
	v.err = v.op.f(v)
	if len(g.views) == 1 {
		v.stray = nil // it is alone already
	}
	if !v.failed() {
		g.keep(v)
	}
}

// keep makes what an operation did part of what those after it see and of what
// is written.
func (g *group) keep(v *view) {
	if c := v.touches.Claim; c != nil && v.prior == nil {
		row := rowOfClaim(*c)
		if v.subject != uuid.Nil {
			row.BookingID = v.subject
		}
		g.tokens[row.key()] = row
		g.dirty = true
	}
	if len(v.taken) > 0 {
		for k := range v.announced() {
			if g.newSlots[k] {
				g.newSlots[k] = false
			}
		}
	}
	for k, s := range v.slots {
		g.slots[k] = s
	}
	for id, holds := range v.holds {
		g.holds[id] = holds
	}
	g.taken = append(g.taken, v.taken...)
	if v.guest != nil {
		g.keepGuest(*v.guest, v.touches.GuestKeys, v.others)
	}
	for _, p := range v.puts {
		g.keepBooking(p.booking)
	}
	g.puts = append(g.puts, v.puts...)
	if len(v.taken)+len(v.holds)+len(v.puts) > 0 || v.guest != nil {
		g.dirty = true
	}
}

func (g *group) keepGuest(guest booking.Guest, keys, others []booking.GuestKey) {
	if _, there := g.guests[guest.ID]; !there {
		g.known[guest.ID] = always
	}
	g.setGuest(guest)
	g.putGuests[guest.ID] = true
	for _, k := range keys {
		if _, owned := g.keys[k]; !owned && !slices.Contains(others, k) {
			g.keys[k] = guest.ID
		}
	}
}

func (g *group) setGuest(guest booking.Guest) {
	g.guests[guest.ID] = guest
	chart := guest.ID
	if guest.JoinedTo != nil {
		chart = *guest.JoinedTo
	}
	g.visitors[booking.VisitorKey{MerchantID: guest.MerchantID, VisitorID: guest.VisitorID}] = chart
}

func (g *group) keepBooking(b booking.Booking) {
	if before, there := g.bookings[b.ID]; there {
		delete(g.visits[before.GuestID], b.ID)
	}
	g.setBooking(b)
	if slices.Contains(booking.Live, b.State) {
		g.setVisit(visitOf(b))
	}
}

func (g *group) setBooking(b booking.Booking) {
	g.bookings[b.ID] = b
	g.schedules[booking.ScheduleKey{MerchantID: b.MerchantID, ScheduleID: b.ScheduleID}] = b.ID
}

func (g *group) setVisit(v booking.Visit) {
	if g.visits[v.GuestID] == nil {
		g.visits[v.GuestID] = map[uuid.UUID]booking.Visit{}
	}
	g.visits[v.GuestID][v.BookingID] = v
}

func visitOf(b booking.Booking) booking.Visit {
	return booking.Visit{
		BookingID: b.ID, GuestID: b.GuestID, State: b.State, ServiceID: b.ServiceID, StaffID: b.StaffID, RoomID: b.RoomID,
		PartySize: b.PartySize, StartSec: b.StartSec, EndSec: b.EndSec, ExpiresSec: b.ExpiresSec,
		UserID: b.Contact.UserID, Email: b.Contact.Email,
	}
}
