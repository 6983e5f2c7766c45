package booking

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// leaseLife is how long a lease may last unless [Service.LeaseLife] says otherwise.
const leaseLife = 10 * time.Minute

// Lease is a request to hold a slot for a while (Google's CreateLease).
type Lease struct {
	Slot
	UserID     string // Google's user_reference; "": nobody in particular
	ExpiresSec int64  // 0: as long as we give
}

// Lease holds a slot until the lease expires by the clock: at the time asked for, but no later than
// [Service.LeaseLife] from now. CreateBooking with its id, whoever sends that, turns it into a
// booking. Lease returns *Invalid and *Failure like Create.
func (s *Service) Lease(ctx context.Context, l Lease) (Booking, error) {
	now, id, guestID := s.Now(), s.NewID(), s.NewID()
	life := s.LeaseLife
	if life == 0 {
		life = leaseLife
	}
	expires := now.Add(life).Unix()
	if l.ExpiresSec > 0 {
		expires = min(expires, l.ExpiresSec)
	}
	if expires <= now.Unix() {
		return Booking{}, refuse(LeaseExpired, "the lease would have expired already")
	}
	var result Booking
	err := s.run(ctx, l.MerchantID, func(m *inventory.Merchant) (Footprint, func(Tx) error) {
		c := Create{Slot: l.Slot.spelled(m), Contact: Contact{UserID: l.UserID}}
		p := c.Slot.plan(m, nil, now)
		var use []inventory.Hold
		var keys []GuestKey
		var most int
		touches := Footprint{Steady: p.unheld()}
		if p.invalid == nil && p.closed == nil {
			use = m.LeaseUse(now.Unix())
			most = cmp.Or(m.Guests.MaxOwnLeases, s.MaxLeases, MaxLeases)
			keys = guestKeys(l.MerchantID, m.Home(), c.Contact)
			if l.UserID == "" {
				most = cmp.Or(s.MaxAnonymousLeases, MaxAnonymousLeases)
				keys = []GuestKey{{MerchantID: l.MerchantID, Key: nobodyKey}}
			}
			touches.GuestKeys, touches.NewGuest = keys, guestID
			touches.FromSec, touches.ToSec = now.Unix(), math.MaxInt64 // all that the guest holds
		}
		touches.announce(slices.Concat(p.holds(), use)...)
		return touches, func(tx Tx) error {
			if p.invalid != nil {
				return p.invalid
			}
			b := c.booking(id, now)
			b.State, b.ExpiresSec = Held, expires
			_, at, err := c.place(tx, p, b, now)
			if err != nil {
				return err
			}
			if f := tooManyLeases(l.UserID, most, tx.Visits(), now); f != nil {
				return f
			}
			var full *inventory.Full
			if err := inventory.Move(tx, id, nil, slices.Concat(at.holds, use)); errors.As(err, &full) { // full is the quota of leases: the place has room
				f := refuse(SlotUnavailable, "the merchant has as many leases as it allows")
				f.full = inventory.Keys(use...)
				return f
			} else if err != nil {
				return fmt.Errorf("take a slot that had room: %w", err)
			}
			guest, changed, _ := identify(l.MerchantID, keys, c.Contact, tx.Guests(), guestID, now.Unix())
			if changed || guest.ID == guestID {
				tx.PutGuest(guest)
			}
			if at.mode != "" {
				b.ConfirmationMode = at.mode
			}
			b.GuestID, b.ZoneID, b.Resources = guest.ID, at.items[0].ZoneID, at.items
			result, err = putNext(tx, Booking{}, b, Event{By: aGuest, Action: Leased, AtSec: now.Unix()})
			return err
		}
	})
	return result, err
}

// nobodyKey is the key of the chart that all of a merchant's leases without a user share, so that
// they can be counted together.
const nobodyKey = "nobody"

// tooManyLeases refuses a user who already holds most leases, and a lease without a user if there
// are already most of those.
func tooManyLeases(userID string, most int, visits []Visit, now time.Time) *Failure {
	held := 0
	for _, v := range visits {
		if v.State == Held && v.UserID == userID && v.ExpiresSec > now.Unix() {
			held++
		}
	}
	switch {
	case held < most:
		return nil
	case userID == "":
		return refuse(SlotUnavailable, fmt.Sprintf("the merchant has %d leases without a user already", held))
	}
	return refuse(UserOverBookingLimit, fmt.Sprintf("the guest holds %d leases already", held))
}

// lease finds the lease that the request names. It must still be held, and be for the requested
// slot.
func (c Create) lease(tx Tx, now time.Time) (Booking, error) {
	l, found := tx.Booking(*c.LeaseID)
	if !found || l.State != Held || l.lapsed(now) {
		return Booking{}, refuse(LeaseExpired, "the lease is not, or no longer, held")
	}
	asked := c.Slot
	asked.AvailabilityTag, asked.ConfirmationMode = "", ""
	if asked != l.slot() {
		return Booking{}, unknown(FieldLease, "the slot is not the one that the lease holds")
	}
	return l, nil
}

// leasesOf returns the user's leases among the visits. They never stand in the user's own way.
func leasesOf(userID string, visits []Visit) []uuid.UUID {
	var own []uuid.UUID
	for _, v := range visits {
		if v.State == Held && userID != "" && v.UserID == userID {
			own = append(own, v.BookingID)
		}
	}
	return own
}

// giveUp ends a lease that has lapsed, or (own) that its own guest no longer needs, and gives back
// its room. It leaves a lease alone that was used or has ended meanwhile.
func giveUp(tx Tx, id uuid.UUID, own bool, now time.Time) error {
	b, found := tx.Booking(id)
	if !found || b.State != Held || !own && !b.lapsed(now) {
		return nil
	}
	_, err := vacate(tx, b, Expired, Event{By: theClock, Action: Lapsed, AtSec: now.Unix()})
	return err
}

// Sweep ends lapsed leases, and returns how many. It only tidies up: nothing depends on it.
func (s *Service) Sweep(ctx context.Context) (ended int, err error) {
	lapsed, err := s.Store.LapsedLeases(ctx, nil, s.Now().Unix())
	if err != nil {
		return 0, fmt.Errorf("look for lapsed leases: %w", err)
	}
	for _, id := range lapsed {
		err := s.Store.InTx(ctx, Footprint{Bookings: []uuid.UUID{id}}, func(tx Tx) error { return giveUp(tx, id, false, s.Now()) })
		if err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}
