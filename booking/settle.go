package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Settlement is a merchant's decision on a booking, or a clinic's on a visit.
type Settlement string

// The settlements, as events name them.
const (
	Confirm Settlement = "CONFIRMED" // a booking that waits for the merchant's confirmation
	Decline Settlement = "DECLINED"  // ditto
	CallOff Settlement = "CANCELED"  // a future booking
	Missed  Settlement = "NO_SHOW"   // a booking whose guest did not come
	Arrive  Settlement = "IN_PROGRESS"
	Finish  Settlement = "COMPLETED"
)

// settlements say from which states a booking can be settled, and to which.
var settlements = map[Settlement]struct {
	from []State
	to   State
}{
	Confirm: {[]State{Pending}, Confirmed},
	Decline: {[]State{Pending}, Declined},
	CallOff: {[]State{Pending, Confirmed}, Canceled},
	Missed:  {[]State{Confirmed}, NoShow},
	Arrive:  {[]State{Pending, Confirmed}, InProgress}, // seeing the guest implies confirming
	Finish:  {[]State{InProgress}, Completed},
}

// Settle carries out the merchant's decision on a booking, and gives its room back if the new state
// holds none. Doing it again succeeds and leaves no trace. It returns *Invalid if there is no such
// booking, and *Failure{NotReserved} if its state does not allow the decision.
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

// SettleVisit is Settle by the clinic's name of the visit, and strict: it refuses a visit that is in
// the target state already. seen is the version of the visit that the caller knows; nil: any. It
// returns *Invalid{FieldVersion} if the visit has another version.
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

// settle settles a booking, and gives its room back if the new state holds none.
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

// apply returns the settled booking.
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

// DeclineOverdue declines bookings that have waited for the merchant's confirmation for longer than
// after, or until their start, and returns how many. 0 lets them wait until their start.
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
		var settled *Failure // somebody else was quicker
		if _, err := s.Settle(ctx, theClock, id, Decline); err == nil {
			declined++
		} else if !errors.As(err, &settled) {
			return declined, err
		}
	}
	return declined, nil
}
