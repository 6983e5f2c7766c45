package booking

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/idempotency"
	"holdfast/inventory"
)

// Create is a guest's request for a new booking (Google's CreateBooking).
type Create struct {
	Caller      string // whose idempotency tokens these are
	Token       string
	Fingerprint []byte // of the request, see [idempotency.Fingerprint]

	Slot
	LeaseID *uuid.UUID // nil: none; the zero id: one that cannot exist

	Contact           Contact
	Payment           *Payment
	AdditionalRequest string
	OfferID           string
}

// Outcome is the result of a request under an idempotency token.
type Outcome struct {
	Booking  Booking
	Replay   bool // an earlier request made it; the booking is as it is now
	Mismatch bool // that earlier request was a different one under the same token
}

// Create makes a booking, or returns the one that this token made before, as it is now. It returns
// *Invalid if the request names something that does not exist, and *Failure if it cannot be
// booked. Then nothing is stored, not even the token, and the same request is a new attempt.
func (s *Service) Create(ctx context.Context, c Create) (Outcome, error) {
	now, id, guestID := s.Now(), s.NewID(), s.NewID()
	var leases []uuid.UUID
	if c.LeaseID != nil { // the lease becomes the booking
		id, leases = *c.LeaseID, []uuid.UUID{*c.LeaseID}
	}
	claim := idempotency.Claim{
		Caller: c.Caller, Token: c.Token, Fingerprint: c.Fingerprint, Subject: id, AtSec: now.Unix(),
	}
	var out Outcome
	err := s.run(ctx, c.MerchantID, func(m *inventory.Merchant) (Footprint, func(Tx) error) {
		c := c
		c.Slot = c.Slot.spelled(m)
		p := c.Slot.plan(m, nil, now)
		if c.LeaseID != nil && p.invalid != nil && p.invalid.Field == FieldStart {
			p = plan{} // the lease has its place already, even if the grid has been replaced since
		}
		use, noOffer := c.offer(m, now)
		var keys []GuestKey
		touches := Footprint{Claim: &claim, Bookings: leases, Steady: p.unheld()}
		touches.announce(slices.Concat(p.holds(), use)...)
		if p.invalid == nil && (p.closed == nil || c.LeaseID != nil) {
			keys = guestKeys(c.MerchantID, m.Home(), c.Contact)
			touches.GuestKeys, touches.NewGuest = keys, guestID
			touches.FromSec, touches.ToSec = c.StartSec, c.StartSec+c.DurationSec
			if m.Guests.MaxUpcoming > 0 { // all that is ahead of the guest
				touches.FromSec, touches.ToSec = now.Unix(), math.MaxInt64
			}
		}
		return touches, func(tx Tx) error {
			if first := idempotency.Once(tx, claim); first.Replay {
				b, found := tx.Booking(first.Subject)
				if !found {
					return fmt.Errorf("the token's booking %s is not there", first.Subject)
				}
				out = Outcome{Booking: b, Replay: true, Mismatch: first.Mismatch}
				return nil
			}
			b, err := order{Create: c, m: m, plan: p, use: use, noOffer: noOffer, id: id, keys: keys, newGuest: guestID, now: now}.book(tx)
			out = Outcome{Booking: b}
			return err
		}
	})
	if err != nil {
		return Outcome{}, err
	}
	return out, nil
}

// order is a request for a booking with everything that was prepared before the transaction.
// Besides it, book needs only what the store has fetched.
type order struct {
	Create
	m        *inventory.Merchant
	plan     plan
	use      []inventory.Hold // of the offer
	noOffer  *Failure         // why the guest cannot have the offer
	id       uuid.UUID        // of the booking
	keys     []GuestKey
	newGuest uuid.UUID // the guest's id if nobody has the keys
	now      time.Time
}

// book carries out a new request. It checks in the order in which a guest should hear about it:
// what does not exist, what is closed, what the guest has already, what is full, which offer is
// gone, what cannot be paid.
func (o order) book(tx Tx) (Booking, error) {
	if o.plan.invalid != nil {
		return Booking{}, o.plan.invalid
	}
	b := o.booking(o.id, o.now)
	lease, pl, err := o.place(tx, o.plan, b, o.now)
	if err != nil {
		return Booking{}, err
	}
	if f := welcome(o.Contact, o.m, tx.Visits(), o.now); f != nil {
		return Booking{}, f
	}
	if o.noOffer != nil {
		return Booking{}, o.noOffer
	}
	var full *inventory.Full
	err = inventory.Move(tx, o.id, tx.Holds(o.id), slices.Concat(pl.holds, o.use))
	switch {
	case errors.As(err, &full) && len(o.use) > 0: // the place has room, so it is the offer
		return Booking{}, refuse(OfferUnavailable, "the offer is used up")
	case err != nil:
		return Booking{}, fmt.Errorf("take a slot that had room: %w", err)
	}
	sale := onSale(o.m, o.ServiceID, pl.charges)
	if f := o.Payment.refused(sale, o.PartySize); f != nil {
		return Booking{}, f
	}
	if f := unpaid(o.Payment, sale, o.PartySize, o.m.Guests); f != nil {
		return Booking{}, f
	}

	guest, changed, others := identify(o.MerchantID, o.keys, o.Contact, tx.Guests(), o.newGuest, o.now.Unix())
	if changed {
		tx.PutGuest(guest, others...)
	}
	if pl.mode != "" { // the merchant decides who confirms a slot, not the request
		b.State = stateFor(pl.mode)
	}
	b.GuestID = guest.ID
	b.ZoneID, b.Resources = pl.items[0].ZoneID, pl.items
	b.Payment = agreed(o.Payment, sale, o.PartySize)
	if o.LeaseID != nil {
		b.ScheduleID, b.Version = lease.ScheduleID, lease.Version
	}
	return putNext(tx, lease, b, Event{By: aGuest, Action: Created, AtSec: o.now.Unix()})
}

// place finds where to book: at the lease's place if the request names a lease, else at the first
// that has room. It refuses in the order of book; a guest's own visits come before a full slot.
func (c Create) place(tx Tx, p plan, b Booking, now time.Time) (lease Booking, at place, err error) {
	slots, err := tx.Slots(p.slots())
	if err != nil {
		return Booking{}, place{}, err
	}
	if p.unpublished(slots) {
		return Booking{}, place{}, unknown(FieldStart, neverPublished)
	}
	if c.LeaseID != nil {
		if lease, err = c.lease(tx, now); err != nil {
			return Booking{}, place{}, err
		}
		if f := overlap(b, tx.Visits()); f != nil {
			return Booking{}, place{}, f
		}
		held := inventory.Places(tx.Holds(lease.ID))
		slots, err := tx.Slots(inventory.Keys(held...))
		if err != nil {
			return Booking{}, place{}, err
		}
		at := place{items: lease.Resources, holds: held, mode: lease.ConfirmationMode}
		at.charges = charges(at.terms(slots))
		return lease, at, nil
	}
	if p.closed != nil {
		return Booking{}, place{}, p.closed
	}
	if f := overlap(b, tx.Visits()); f != nil {
		return Booking{}, place{}, f
	}
	at, ok := p.choose(slots, nil)
	if !ok {
		return Booking{}, place{}, p.full(slots, leasesOf(c.Contact.UserID, tx.Visits()))
	}
	if f := p.notNow(at, slots, now); f != nil {
		return Booking{}, place{}, f
	}
	at.mode, at.charges = ConfirmationMode(at.terms(slots).ConfirmationMode), charges(at.terms(slots))
	return Booking{}, at, nil
}

// booking returns the request as a booking that has no place yet.
func (c Create) booking(id uuid.UUID, now time.Time) Booking {
	return Booking{
		ID: id, ScheduleID: objectID(now, id), MerchantID: c.MerchantID, ServiceID: c.ServiceID,
		State: stateFor(c.ConfirmationMode), StartSec: c.StartSec, EndSec: c.StartSec + c.DurationSec,
		PartySize: c.PartySize, StaffID: c.StaffID, RoomID: c.RoomID,
		AvailabilityTag: c.AvailabilityTag, ConfirmationMode: c.ConfirmationMode,
		Contact: c.Contact, AdditionalRequest: c.AdditionalRequest, OfferID: c.OfferID,
		CreatedBy: ByGuest, CreatedSec: now.Unix(),
	}
}

func stateFor(mode ConfirmationMode) State {
	if mode == Asynchronous {
		return Pending
	}
	return Confirmed
}
