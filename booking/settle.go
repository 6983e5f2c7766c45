package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Settlement is what a merchant can say about a booking, or a clinic about a
// visit.
type Settlement string

// The settlements, as events name them.
const (
	Confirm Settlement = "CONFIRMED" // a booking that waits for the merchant's word
	Decline Settlement = "DECLINED"  // ditto
	CallOff Settlement = "CANCELED"  // a booking that is still to come
	Missed  Settlement = "NO_SHOW"   // a booking whose guest did not come
	Arrive  Settlement = "IN_PROGRESS"
	Finish  Settlement = "COMPLETED"
)

// settlements say from which states a booking can be settled, and into which.
var settlements = map[Settlement]struct {
	from []State
	to   State
}{
	Confirm: {[]State{Pending}, Confirmed},
	Decline: {[]State{Pending}, Declined},
	CallOff: {[]State{Pending, Confirmed}, Canceled},
	Missed:  {[]State{Confirmed}, NoShow},
	Arrive:  {[]State{Pending, Confirmed}, InProgress}, // who is seen has been accepted
	Finish:  {[]State{InProgress}, Completed},
}

// Settle confirms, declines, cancels a booking for the merchant, or notes that
// nobody came; and gives its room back unless somebody comes. Saying so again succeeds
// and leaves no trace. It returns *Invalid if there is no such booking and
// *Failure{NotReserved} if it is in no state for it.
func (s *Service) Settle(ctx context.Context, by By, id uuid.UUID, as Settlement) (Booking, error) {
	now := s.Now()
	var result Booking
	err := s.Store.InTx(ctx, Footprint{Bookings: []uuid.UUID{id}}, func(tx Tx) error {
		b, found := tx.Booking(id)
		if !found || !b.IsVisit() {
			return unknown(FieldBooking, "no such booking")
		}
		var err error
		result, err = as.settle(tx, b, by, now)
		return err
	})
	return result, err
}

// SettleVisit is Settle by the clinic's name of the visit, and strict: a visit
// that is so already is in no state for it. seen is the version of the visit that the
// caller knows; nil: whichever it has. It returns *Invalid{FieldVersion} if the visit
// has another.
func (s *Service) SettleVisit(ctx context.Context, by By, key ScheduleKey, as Settlement, seen *int64) error {
	now := s.Now()
	var done Booking
	return s.Store.InTx(ctx, Footprint{Schedule: key}, func(tx Tx) (err error) {
		b, found := tx.Schedule()
		switch {
		case !found || !b.IsVisit():
			return unknown(FieldSchedule, "no such schedule of this clinic")
		case b.isVersion(done):
			return nil
		case b.State == settlements[as].to:
			return refuse(NotReserved, "the visit is "+string(b.State)+" already")
		}
		if _, err := as.apply(b); err != nil {
			return err
		}
		if seen != nil && *seen != b.Version {
			return newer(b)
		}
		done, err = as.settle(tx, b, by, now)
		return err
	})
}

// settle settles a booking, and gives back its room if that is so.
func (as Settlement) settle(tx Tx, b Booking, by By, now time.Time) (Booking, error) {
	next, err := as.apply(b)
	if err != nil {
		return b, err
	}
	event := Event{By: by, Action: Action(as), AtSec: now.Unix()}
	if slices.Contains(Live, next.State) {
		return putNext(tx, b, next, event)
	}
	return vacate(tx, b, next.State, event)
}

// apply is the booking as it is settled.
func (as Settlement) apply(b Booking) (Booking, error) {
	rule := settlements[as]
	if b.State == rule.to {
		return b, nil
	}
	if slices.Contains(rule.from, b.State) {
		b.State = rule.to
		return b, nil
	}
	return b, refuse(NotReserved, "the booking is "+string(b.State))
}

// DeclineOverdue declines bookings that have waited for the merchant's word
// longer than that, or past their start, and returns how many. 0 is for ever.
func (s *Service) DeclineOverdue(ctx context.Context, after time.Duration) (declined int, err error) {
	now := s.Now()
	since := int64(0)
	if after > 0 {
		since = now.Add(-after).Unix()
	}
	overdue, err := s.Store.Unconfirmed(ctx, since, now.Unix())
	if err != nil {
		return 0, fmt.Errorf("look for unconfirmed bookings: %w", err)
	}
	for _, id := range overdue {
		var settled *Failure // somebody was quicker
		if _, err := s.Settle(ctx, theClock, id, Decline); err == nil {
			declined++
		} else if !errors.As(err, &settled) {
			return declined, err
		}
	}
	return declined, nil
}
