package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Update is a guest's request to cancel or change a booking (Google's UpdateBooking). Members that
// are nil stay as they are.
type Update struct {
	BookingID uuid.UUID
	Cancel    bool

	MerchantID  string // if given, it must be the booking's, because it cannot change
	ServiceID   string // ditto
	StartSec    *int64
	DurationSec *int64
	PartySize   *int
	StaffID     *string
	RoomID      *string
}

// Update cancels or changes a booking and returns it as it is then. If nothing would change, it
// succeeds and leaves no trace. It returns *Invalid if there is no such booking, or no such time,
// and *Failure if it cannot be changed.
func (s *Service) Update(ctx context.Context, u Update) (Booking, error) {
	now := s.Now()
	var result Booking
	err := s.replan(ctx, func() (Footprint, func(Tx) error, error) {
		seen, err := s.Booking(ctx, u.BookingID)
		if errors.Is(err, ErrNotFound) {
			return Footprint{}, nil, unknown(FieldBooking, "no such booking")
		}
		if err != nil {
			return Footprint{}, nil, fmt.Errorf("read booking: %w", err)
		}
		return s.planned(ctx, seen.MerchantID, func(m *inventory.Merchant) (Footprint, func(Tx) error) {
			wish := u.wish(seen).spelled(m)
			var p plan
			if !u.Cancel {
				p = wish.planMove(m, seen, now)
			}
			touches := Footprint{
				Bookings: []uuid.UUID{seen.ID}, FromSec: wish.StartSec, ToSec: wish.StartSec + wish.DurationSec,
				Steady: p.unheld(),
			}
			touches.announce(p.holds()...)
			return touches, func(tx Tx) error {
				b, found := tx.Booking(seen.ID)
				if !found || b.Version != seen.Version {
					return ErrStale
				}
				result, err = u.apply(tx, b, wish, p, m, now)
				return err
			}
		})
	})
	if err != nil {
		return Booking{}, err
	}
	return result, nil
}

// slot returns the slot that a guest would ask for to get the booking.
func (b Booking) slot() Slot {
	return Slot{
		MerchantID: b.MerchantID, ServiceID: b.ServiceID, StartSec: b.StartSec, DurationSec: b.EndSec - b.StartSec,
		StaffID: b.StaffID, RoomID: b.RoomID, PartySize: b.PartySize,
	}
}

// wish returns the slot that the guest wants for the booking.
func (u Update) wish(b Booking) Slot {
	w := b.slot()
	set(&w.StartSec, u.StartSec)
	set(&w.DurationSec, u.DurationSec)
	set(&w.PartySize, u.PartySize)
	set(&w.StaffID, u.StaffID)
	set(&w.RoomID, u.RoomID)
	return w
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// apply applies the update to the locked booking.
func (u Update) apply(tx Tx, b Booking, wish Slot, p plan, m *inventory.Merchant, now time.Time) (Booking, error) {
	switch {
	case u.MerchantID != "" && u.MerchantID != b.MerchantID:
		return b, unknown(FieldMerchant, "the booking is at another merchant")
	case u.ServiceID != "" && u.ServiceID != b.ServiceID:
		return b, unknown(FieldService, "the booking is of another service")
	case u.Cancel && b.State == Canceled:
		return b, nil // asked again
	case b.State == Canceled:
		return b, refuse(AlreadyCanceled, "the booking has been canceled")
	case !u.Cancel && wish == b.slot():
		return b, nil
	case !b.State.Reserved(), b.State == Pending && !u.Cancel:
		return b, refuse(NotReserved, "the booking is "+string(b.State))
	}
	held, err := tx.Slots(inventory.Keys(tx.Holds(b.ID)...))
	if err != nil {
		return b, err
	}
	if now.After(lastChange(b, m, held)) {
		return b, refuse(OutsideCancellationWindow, "too late to cancel or change it online")
	}
	if u.Cancel {
		return vacate(tx, b, Canceled, Event{By: aGuest, Action: Action(CallOff), AtSec: now.Unix()})
	}
	return wish.move(tx, b, m, p, now)
}

// lastChange is the last moment at which the guest may cancel or change a booking online: the one
// published with its slot, or else the service's notice before the start, or else the start.
// (scheduling_rule_overrides.last_online_cancellable_sec,
// SchedulingRules.min_advance_online_canceling)
func lastChange(b Booking, m *inventory.Merchant, held map[inventory.SlotKey]inventory.Slot) time.Time {
	for _, s := range held {
		if s.Terms.LastCancellableSec != 0 {
			return time.Unix(s.Terms.LastCancellableSec, 0)
		}
	}
	start := time.Unix(b.StartSec, 0)
	if m != nil {
		if svc := m.Service(b.ServiceID); svc != nil {
			return start.Add(-time.Duration(svc.MinAdvanceOnlineCancelingSec) * time.Second)
		}
	}
	return start
}

// planMove finds the places for moving a booking to s. A visit of several stretches can only be
// shifted as a whole.
func (s Slot) planMove(m *inventory.Merchant, b Booking, now time.Time) plan {
	if len(b.Resources) == 1 {
		return s.plan(m, &b.Resources[0], now)
	}
	sameShape := s
	sameShape.StartSec = b.StartSec
	if m == nil || sameShape != b.slot() {
		return plan{closed: refuse(SlotUnavailable, "a visit of several stretches can only be shifted")}
	}
	return b.planShift(m, s.StartSec-b.StartSec, now)
}

// planShift plans all stretches of a visit, offset seconds later.
func (b Booking) planShift(m *inventory.Merchant, offset int64, now time.Time) plan {
	var pl place
	for _, r := range b.Resources {
		start, end := r.StartSec+offset, r.EndSec+offset
		g := m.Group(r.GroupID)
		if g == nil || g.Zone(r.ZoneID) == nil || !g.Zone(r.ZoneID).Enabled {
			return plan{closed: refuse(SlotUnavailable, "a stretch of the visit is in a zone that is no longer open")}
		}
		if !sameStep(g, r.StartSec, start, m.Location) {
			return plan{invalid: unknown(FieldStart, fmt.Sprintf("visits of this kind move by %d seconds, and not by so much", g.IntervalSec))}
		}
		from := time.Unix(start, 0)
		item := Item{GroupID: r.GroupID, ZoneID: r.ZoneID, Doctor: r.Doctor, StartSec: start, EndSec: end, Spots: r.Spots}
		if !item.open(m, nil) || !g.OpenToGuests(from, now, m.Location) || from.Before(now) {
			return plan{closed: refuse(SlotUnavailable, "closed at that time")}
		}
		occupied, holds := item.occupy(m, g, *g.Zone(r.ZoneID), now)
		pl.items, pl.holds = append(pl.items, occupied), append(pl.holds, holds...)
	}
	return plan{places: []place{pl}, soon: tooSoon(m.Service(b.ServiceID), time.Unix(b.StartSec+offset, 0), now)}
}

// sameStep reports whether two times are equally long after a start of one of the group's slots, as
// far as there are slots at those times.
func sameStep(g *inventory.Group, oneSec, otherSec int64, loc *time.Location) bool {
	one, known := g.Phase(oneSec, loc)
	other, knownToo := g.Phase(otherSec, loc)
	return one == other || !known || !knownToo
}

// move makes b occupy the first of the planned places that has room.
func (s Slot) move(tx Tx, b Booking, m *inventory.Merchant, p plan, now time.Time) (Booking, error) {
	if p.invalid != nil {
		return b, p.invalid
	}
	have := inventory.Places(tx.Holds(b.ID))
	slots, err := tx.Slots(inventory.Keys(slices.Concat(have, p.holds())...))
	if err != nil {
		return b, err
	}
	next := b
	next.StartSec, next.EndSec, next.PartySize = s.StartSec, s.StartSec+s.DurationSec, s.PartySize
	next.StaffID, next.RoomID = s.StaffID, s.RoomID
	f := overlap(next, tx.Visits())
	pl, fits := p.choose(slots, have)
	switch {
	case p.unpublished(slots):
		return b, unknown(FieldStart, neverPublished)
	case p.closed != nil:
		return b, p.closed
	case f != nil:
		return b, f
	case !fits:
		return b, p.full(slots, leasesOf(b.Contact.UserID, tx.Visits()))
	}
	if f := p.notNow(pl, slots, now); f != nil && s.StartSec != b.StartSec {
		return b, f
	}
	if f := keepsOffer(next, m); f != nil {
		return b, f
	}
	if m != nil && s.StartSec != b.StartSec {
		if f := unpaid(b.Payment, onSale(m, b.ServiceID, charges(pl.terms(slots))), s.PartySize, m.Guests); f != nil {
			return b, f
		}
	}
	if err := inventory.Move(tx, b.ID, have, pl.holds); err != nil {
		return b, fmt.Errorf("take a slot that had room: %w", err)
	}
	if inventory.SameID(b.ZoneID, b.Resources[0].ZoneID) { // the visitor checks in where the visit is
		next.ZoneID = pl.items[0].ZoneID
	}
	next.Resources = pl.items
	return putNext(tx, b, next, Event{By: aGuest, Action: Changed, AtSec: now.Unix()})
}
