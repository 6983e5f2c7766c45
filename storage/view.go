package storage

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/inventory"
)

// view is what one operation sees of its batch, and what it did. It sees only what it
// announced: anything else may be here for another operation, and would make its outcome
// depend on which operations happen to share the transaction.
type view struct {
	batch   *batch
	op      *operation
	touches booking.Footprint
	prior   *idempotency.Claim
	stale   bool                       // planned with an outdated catalogue
	running bool                       // while it runs, no other operation changes anything
	may     map[inventory.SlotKey]bool // the result of announced, while it runs

	slots    draft[inventory.SlotKey, slot]
	holds    draft[uuid.UUID, []inventory.Hold]
	bookings draft[uuid.UUID, booking.Booking]
	guest    *booking.Guest
	others   []booking.GuestKey // announced, but not to become the guest's
	puts     []put
	subject  uuid.UUID // the booking that its token names, if it is not the announced one

	err      error
	panicked *Panic
	stray    error // it touched something that its batch has not fetched for it
}

func newView(b *batch, op *operation, touches booking.Footprint) *view {
	return &view{
		batch: b, op: op, touches: touches, slots: draft[inventory.SlotKey, slot]{table: &b.slots},
		holds: draft[uuid.UUID, []inventory.Hold]{table: &b.holds}, bookings: draft[uuid.UUID, booking.Booking]{table: &b.bookings},
	}
}

// failed reports whether to drop everything that the operation did.
func (v *view) failed() bool { return v.err != nil || v.panicked != nil || v.stray != nil }

// acknowledges reports whether the operation's answer may reveal what an earlier one did, and
// so must wait until that is durable.
func (v *view) acknowledges() bool {
	if v.panicked != nil || v.stray != nil {
		return false
	}
	return booking.Acknowledges(v.err)
}

// prior returns the claim that is stored under an operation's token before it runs.
func (b *batch) prior(k booking.Footprint) *idempotency.Claim {
	if k.Claim == nil {
		return nil
	}
	r, stands := b.tokens.get(tokenKey{k.Claim.Caller, k.Claim.Token})
	if !stands {
		return nil
	}
	return &idempotency.Claim{Caller: r.Caller, Token: r.Token, Fingerprint: r.Fingerprint, Subject: r.BookingID, AtSec: r.CreatedSec}
}

// ids returns the ids of the announced bookings that exist.
func (v *view) ids() []uuid.UUID {
	ids := v.touches.Bookings
	if id, found := v.batch.schedules[v.touches.Schedule]; found && v.touches.Schedule.ScheduleID != "" {
		ids = append(slices.Clip(ids), id)
	}
	return ids
}

// announced returns the slots that the operation may touch, given the batch's current state.
func (v *view) announced() map[inventory.SlotKey]bool {
	if v.may != nil {
		return v.may
	}
	keys := make(map[inventory.SlotKey]bool, len(v.touches.Slots))
	for _, k := range v.touches.Slots {
		keys[k] = true
	}
	for _, s := range v.touches.Shares {
		for _, k := range s.Locks() {
			keys[k] = true
		}
	}
	for _, id := range v.ids() {
		holds, _ := v.batch.holds.get(id)
		for _, h := range holds {
			for _, k := range h.Keys() {
				keys[k] = true
			}
		}
	}
	if v.running {
		v.may = keys
	}
	return keys
}

// owners returns the guests to whom the announced keys and bookings belong.
func (v *view) owners() map[uuid.UUID]bool {
	owners := map[uuid.UUID]bool{}
	for _, g := range v.Guests() {
		owners[g.ID] = true
	}
	if g, found := v.Visitor(); found {
		owners[g.ID] = true
	}
	for _, id := range v.ids() {
		if b, found := v.batch.bookings.get(id); found {
			owners[b.GuestID] = true
		}
	}
	delete(owners, uuid.Nil) // blocks belong to nobody
	return owners
}

// Claimed implements [idempotency.Tx]; the claim itself was made by fetch.
func (v *view) Claimed(idempotency.Claim) (idempotency.Claim, bool) {
	if v.prior == nil {
		return idempotency.Claim{}, false
	}
	return *v.prior, true
}

// Booking implements [booking.Tx].
func (v *view) Booking(id uuid.UUID) (booking.Booking, bool) {
	if !v.bookings.has(id) && !slices.Contains(v.ids(), id) && (v.prior == nil || v.prior.Subject != id) {
		return booking.Booking{}, false
	}
	return v.bookings.get(id)
}

// Schedule implements [booking.Tx].
func (v *view) Schedule() (booking.Booking, bool) {
	return v.Booking(v.batch.schedules[v.touches.Schedule])
}

// Holds implements [booking.Tx].
func (v *view) Holds(id uuid.UUID) []inventory.Hold {
	if !v.holds.has(id) && !slices.Contains(v.ids(), id) {
		return nil
	}
	holds, _ := v.holds.get(id)
	return holds
}

// Guests implements [booking.Tx].
func (v *view) Guests() map[booking.GuestKey]booking.Guest {
	guests := map[booking.GuestKey]booking.Guest{}
	for _, k := range v.touches.GuestKeys {
		owner, _ := v.batch.keys.get(k)
		if g, found := v.batch.guests.get(owner.GuestID); found {
			guests[k] = g
		}
	}
	return guests
}

// Visitor implements [booking.Tx].
func (v *view) Visitor() (booking.Guest, bool) {
	if v.touches.Visitor.VisitorID == "" {
		return booking.Guest{}, false
	}
	return v.batch.guests.get(v.batch.visitors[v.touches.Visitor])
}

// Visits implements [booking.Tx]. An earlier operation of the batch may have given an announced
// booking to another guest. Then fetch has not read that guest's visits, and the operation must
// run alone.
func (v *view) Visits() []booking.Visit {
	asked := span{v.touches.FromSec, v.touches.ToSec}
	if asked.from >= asked.to {
		return nil
	}
	var visits []booking.Visit
	for id := range v.owners() {
		agenda := v.batch.agendas[id]
		if !agenda.known.covers(asked) {
			v.stray = fmt.Errorf("visits of guest %s were not announced", id)
		}
		for _, visit := range agenda.visits {
			if visit.EndSec > asked.from && visit.StartSec < asked.to {
				visits = append(visits, visit)
			}
		}
	}
	slices.SortFunc(visits, func(a, b booking.Visit) int { return bytes.Compare(a.BookingID[:], b.BookingID[:]) })
	return visits
}

// Slots implements [inventory.Tx]. A slot that the operation did not announce may not be
// locked, so asking for one is our bug.
func (v *view) Slots(keys []inventory.SlotKey) (map[inventory.SlotKey]inventory.Slot, error) {
	announced := v.announced()
	found := make(map[inventory.SlotKey]inventory.Slot, len(keys))
	for _, key := range keys {
		if slices.ContainsFunc(v.touches.Shares, func(s inventory.Span) bool { return s.Key() == key }) {
			found[key] = inventory.Slot{SlotKey: key, Rows: v.rows(key)}
			continue
		}
		if !announced[key] || !v.batch.locked[key] {
			v.stray = fmt.Errorf("slot %s at %d was not announced", key.Resource, key.StartSec)
			return nil, v.stray
		}
		if s, ok := v.slots.get(key); ok {
			found[key] = s.Slot
		}
	}
	return found, nil
}

// rows returns the rows of a share's span, with what the batch has taken of them so far.
func (v *view) rows(span inventory.SlotKey) []inventory.Row {
	rows := slices.Clone(v.batch.shares[span].rows)
	for i, r := range rows {
		if s, locked := v.slots.get(r.SlotKey); locked {
			rows[i].Taken = s.Taken
		}
	}
	return rows
}

// Take implements [inventory.Tx].
func (v *view) Take(changes []inventory.Change) {
	for _, c := range changes {
		s, _ := v.slots.get(c.SlotKey)
		s.take(c.Spots)
		s.Blocked += c.Blocks
		v.slots.set(c.SlotKey, s)
	}
}

// SetHolds implements [inventory.Tx].
func (v *view) SetHolds(owner uuid.UUID, gone, made []inventory.Hold) {
	stay := slices.DeleteFunc(slices.Clone(v.Holds(owner)), func(h inventory.Hold) bool {
		return slices.ContainsFunc(gone, func(g inventory.Hold) bool {
			return g.Resource.ID == h.Resource.ID && g.StartSec == h.StartSec
		})
	})
	v.holds.set(owner, append(stay, made...))
}

// Blocks implements [booking.Tx], including blocks that the batch has made.
func (v *view) Blocks() []booking.Booking {
	var found []booking.Booking
	for _, b := range v.batch.bookings.all() {
		if b.State == booking.Blocked && v.touches.Blocks == (booking.BlockKey{MerchantID: b.MerchantID, StartSec: b.StartSec, EndSec: b.EndSec}) {
			found = append(found, b)
		}
	}
	slices.SortFunc(found, func(a, b booking.Booking) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return found
}

// Name implements [booking.Tx].
func (v *view) Name(id uuid.UUID) { v.subject = id }

// PutGuest implements [booking.Tx].
func (v *view) PutGuest(g booking.Guest, others ...booking.GuestKey) { v.guest, v.others = &g, others }

// PutBooking implements [booking.Tx].
func (v *view) PutBooking(b booking.Booking, e booking.Event) {
	v.puts = append(v.puts, put{booking: b, event: e})
	v.bookings.set(b.ID, b)
}

var _ booking.Tx = (*view)(nil)
