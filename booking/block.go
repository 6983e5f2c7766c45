package booking

import (
	"cmp"
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Block is the clinic's command to close a time of a group in a zone, and perhaps of a doctor
// (create-occupied-time).
type Block struct {
	By
	MerchantID string
	Item
	Memo *string
	Once *Once
}

// Block closes the slots that the time touches, to guests and to the desk, until
// [Service.Unblock]. Existing visits stay, and so do leases, which promise a guest the place, but
// nobody gets the room that they give back. The time may be closed or past, and it may overlap
// up to [Service.MaxBlocks] other blocks. If a block equal in every member exists, Block returns
// that and makes none. It returns *Invalid for a group that this clinic does not have, a zone
// that the group does not have, and a time with too many blocks.
func (s *Service) Block(ctx context.Context, c Block) (Outcome, error) {
	now, id := s.Now(), s.NewID()
	return s.makeOnce(ctx, c.MerchantID, c.Once, id, now, func(m *inventory.Merchant) (Footprint, func(Tx) (Booking, error)) {
		occupied, holds, invalid := c.occupy(m, now)
		touches := Footprint{Steady: occupied.unheld(), Blocks: BlockKey{c.MerchantID, c.StartSec, c.EndSec}}
		touches.announce(holds...)
		return touches, func(tx Tx) (Booking, error) {
			if invalid != nil {
				return Booking{}, invalid
			}
			for _, b := range tx.Blocks() {
				if c.is(b, occupied) {
					return b, nil
				}
			}
			slots, err := tx.Slots(touches.Slots)
			if err != nil {
				return Booking{}, fmt.Errorf("look for blocks: %w", err)
			}
			if tooManyBlocks(slots, cmp.Or(s.MaxBlocks, MaxBlocks)) {
				return Booking{}, unknown(FieldBlockTime, "the time is blocked as often as it may be")
			}
			if err := inventory.Move(tx, id, nil, holds); err != nil {
				return Booking{}, err
			}
			b := Booking{
				ID: id, ScheduleID: objectID(now, id), MerchantID: c.MerchantID, State: Blocked,
				StartSec: c.StartSec, EndSec: c.EndSec, ZoneID: occupied.ZoneID, Resources: []OccupiedResource{occupied}, Memo: c.Memo,
				CreatedBy: c.Actor, CreatedSec: now.Unix(),
			}
			return putNext(tx, Booking{}, b, Event{By: c.By, Action: Closed, AtSec: now.Unix()})
		}
	})
}

// is reports whether b is what the command would make, in everything that the desk says.
func (c Block) is(b Booking, occupied OccupiedResource) bool {
	return b.ZoneID == c.ZoneID && len(b.Resources) == 1 && reflect.DeepEqual(b.Resources[0], occupied) && reflect.DeepEqual(b.Memo, c.Memo)
}

// tooManyBlocks reports whether one of the slots has most blocks already.
func tooManyBlocks(slots map[inventory.SlotKey]inventory.Slot, most int) bool {
	for _, s := range slots {
		if s.Blocked >= most {
			return true
		}
	}
	return false
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
		holds[i].Block, holds[i].Shares = true, nil // a block takes no spots, so shares do not matter
	}
	return occupied, holds, nil
}

// Unblock opens a blocked time again. It returns *Invalid if this clinic has no such block, or
// has it no longer.
func (s *Service) Unblock(ctx context.Context, by By, key ScheduleKey) error {
	now := s.Now()
	var done Booking
	return s.Store.InTx(ctx, Footprint{Schedule: key}, func(tx Tx) (err error) {
		b, found := tx.Schedule()
		switch {
		case found && b.isVersion(done):
			return nil
		case !found || b.State != Blocked:
			return unknown(FieldBlock, "no such block of this clinic")
		}
		done, err = vacate(tx, b, Unblocked, Event{By: by, Action: Opened, AtSec: now.Unix()})
		return err
	})
}

// isVersion reports whether b is the very version that an earlier run of the same operation
// made, whose COMMIT got no answer. The zero booking is from no run.
func (b Booking) isVersion(done Booking) bool {
	return done.ID != uuid.Nil && b.ID == done.ID && b.Version == done.Version && b.State == done.State
}
