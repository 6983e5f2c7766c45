package booking

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/idempotency"
	"holdfast/inventory"
)

// Once names a request of the desk that makes something, so that a copy of it finds what the first
// one made. (The header Idempotency-Key.)
type Once struct {
	Caller      string // whose tokens these are; never one of Google's
	Token       string
	Fingerprint []byte // of the request, see [idempotency.Fingerprint]
}

// making plans from the catalogue what to touch, and how to make a booking or find an equal one. The
// merchant is nil if there is none with that id.
type making func(m *inventory.Merchant) (Footprint, func(Tx) (Booking, error))

// makeOnce runs an operation of the desk that makes the booking id. A request that was sent before
// under the same token gets what that one made. So does a rerun after a COMMIT without an answer.
func (s *Service) makeOnce(ctx context.Context, merchantID string, once *Once, id uuid.UUID, now time.Time, plan making) (Outcome, error) {
	var out Outcome
	err := s.run(ctx, merchantID, func(m *inventory.Merchant) (Footprint, func(Tx) error) {
		touches, work := plan(m)
		if once == nil {
			touches.Bookings = []uuid.UUID{id} // it exists only if an earlier run has made it
		} else {
			touches.Claim = &idempotency.Claim{
				Caller: once.Caller, Token: once.Token, Fingerprint: once.Fingerprint, Subject: id, AtSec: now.Unix(),
			}
		}
		return touches, func(tx Tx) (err error) {
			out = Outcome{}
			subject := id
			if once != nil {
				first := idempotency.Once(tx, *touches.Claim)
				if out.Replay, out.Mismatch = first.Replay, first.Mismatch; first.Replay {
					subject = first.Subject
				}
			}
			var found bool
			if out.Booking, found = tx.Booking(subject); found {
				return nil
			}
			if out.Replay {
				return fmt.Errorf("the token's booking %s is not there", subject)
			}
			if out.Booking, err = work(tx); err == nil && once != nil && out.Booking.ID != id {
				tx.Name(out.Booking.ID)
			}
			return err
		}
	})
	if err != nil {
		return Outcome{}, err
	}
	return out, nil
}
