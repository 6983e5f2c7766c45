package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Settlement is what a merchant can say about a booking.
type Settlement string

// The settlements, as events name them.
const (
	Confirm Settlement = "CONFIRMED" // a booking that waits for the merchant's word
	Decline Settlement = "DECLINED"  // ditto
	CallOff Settlement = "CANCELED"  // a booking that is still to come
	Missed  Settlement = "NO_SHOW"   // a booking whose guest did not come
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
}

// Settle confirms, declines, cancels a booking for the merchant, or notes that
// nobody came; all but the first give its room back. Saying so again succeeds
// and leaves no trace. It returns *Invalid if there is no such booking and
// *Failure{NotReserved} if it is in no state for it.
func (s *Service) Settle(ctx context.Context, id uuid.UUID, as Settlement) (Booking, error) {
	return s.settle(ctx, id, as, ByDesk)
}

func (s *Service) settle(ctx context.Context, id uuid.UUID, as Settlement, by Actor) (Booking, error) {
	now := s.Now()
	var result Booking
	err := s.Store.InTx(ctx, Keys{Bookings: []uuid.UUID{id}}, func(tx Tx) error {
		b, found := tx.Booking(id)
		if !found || b.IsLease() {
			return unknown(FieldBooking, "no such booking")
		}
		next, err := as.apply(b)
		if err != nil {
			return err
		}
		event := Event{Actor: by, Action: Action(as), AtSec: now.Unix()}
		if next.State == Confirmed {
			result, err = putNext(tx, b, next, event)
		} else {
			result, err = vacate(tx, b, next.State, event)
		}
		return err
	})
	return result, err
}

// apply is the booking as it is settled.
func (as Settlement) apply(b Booking) (Booking, error) {
	rule := settlements[as]
	if b.State == rule.to {
		return b, nil
	}
	for _, from := range rule.from {
		if b.State == from {
			b.State = rule.to
			return b, nil
		}
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
		if _, err := s.settle(ctx, id, Decline, ByClock); err == nil {
			declined++
		} else if !errors.As(err, &settled) {
			return declined, err
		}
	}
	return declined, nil
}
