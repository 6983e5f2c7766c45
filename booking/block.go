package booking

import (
	"context"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Block is the clinic's command to close a time of a group in a zone, and of a
// doctor (create-occupied-time).
type Block struct {
	MerchantID string
	Item
	Memo *string
	Once *Once
}

// Block closes the slots that the time touches, to guests and to the desk, until
// [Service.Unblock]. Visits that are there stay, and so do leases, with which a
// guest has been promised the place; what they give back nobody gets. It may lie
// at any time, open or not, past or over other blocks. It returns *Invalid for a
// group that this clinic does not have and a zone that is not one of it.
func (s *Service) Block(ctx context.Context, c Block) (Outcome, error) {
	now, id := s.Now(), s.NewID()
	return s.makeOnce(ctx, c.MerchantID, c.Once, id, now, func(m *inventory.Merchant) (Keys, func(Tx) (Booking, error)) {
		occupied, holds, invalid := c.occupy(m, now)
		touches := Keys{Steady: occupied.unheld()}
		touches.announce(holds...)
		return touches, func(tx Tx) (Booking, error) {
			if invalid != nil {
				return Booking{}, invalid
			}
			if err := inventory.Move(tx, id, nil, holds); err != nil {
				return Booking{}, err
			}
			b := Booking{
				ID: id, ScheduleID: objectID(now, id), MerchantID: c.MerchantID, State: Blocked,
				StartSec: c.StartSec, EndSec: c.EndSec, ZoneID: c.ZoneID, Resources: []OccupiedResource{occupied}, Memo: c.Memo,
				CreatedBy: ByDesk, CreatedSec: now.Unix(),
			}
			return putNext(tx, Booking{}, b, Event{Actor: ByDesk, Action: Closed, AtSec: now.Unix()})
		}
	})
}

// occupy finds what the block closes: the lane and, if the doctor is exclusive,
// the doctor's time.
func (c Block) occupy(m *inventory.Merchant, now time.Time) (OccupiedResource, []inventory.Hold, *Invalid) {
	if m == nil || m.Group(c.GroupID) == nil {
		return OccupiedResource{}, nil, unknown(FieldGroup, "no such group of this clinic")
	}
	g := m.Group(c.GroupID)
	z := g.Zone(c.ZoneID)
	if z == nil || !z.Enabled {
		return OccupiedResource{}, nil, unknown(FieldZone, "not an enabled zone of the group")
	}
	occupied, holds := c.Item.occupy(m, g, *z, now)
	for i := range holds {
		holds[i].Block, holds[i].Shares = true, nil // it takes nothing
	}
	return occupied, holds, nil
}

// Unblock opens a time that was closed. It returns *Invalid if this clinic has
// no such block, or not any more.
func (s *Service) Unblock(ctx context.Context, key ScheduleKey) error {
	now := s.Now()
	var done Booking
	return s.inTx(ctx, Keys{Schedule: key}, func(tx Tx) (err error) {
		b, found := tx.Schedule()
		switch {
		case found && b.isVersion(done):
			return nil
		case !found || b.State != Blocked:
			return unknown(FieldBlock, "no such block of this clinic")
		}
		done, err = vacate(tx, b, Unblocked, Event{Actor: ByDesk, Action: Opened, AtSec: now.Unix()})
		return err
	})
}

// isVersion reports whether b is the very version that an earlier run of the same
// operation has made, whose COMMIT got no answer. The zero booking is of no run.
func (b Booking) isVersion(done Booking) bool {
	return done.ID != uuid.Nil && b.ID == done.ID && b.Version == done.Version && b.State == done.State
}
