package storage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
	"holdfast/inventory"
)

// write stores what the operation did, with one statement for each kind of
// thing where the database allows it.
func (v *view) write(tx *gorm.DB) error {
	for _, step := range []func(*gorm.DB) error{v.writeSlots, v.writeGuest, v.writeBookings, v.writeHolds} {
		if err := step(tx); err != nil {
			return err
		}
	}
	return nil
}

// takeSlots adds to what is taken and to the blocks. Room that is given back shrinks a capacity
// that was kept above the offer only because it was taken.
const takeSlots = `UPDATE slots SET taken = taken + @spots, blocked = blocked + @blocks,
	capacity = CASE WHEN @spots > 0 THEN capacity WHEN offered > taken + @spots THEN offered ELSE taken + @spots END
	WHERE resource_id = @resource AND start_sec IN @starts`

func (v *view) writeSlots(tx *gorm.DB) error {
	changes := sum(v.taken)
	// Slots of one resource that change by the same numbers share a statement.
	byKind := func(a, b inventory.Change) int {
		return cmp.Or(cmp.Compare(a.Resource.String(), b.Resource.String()), cmp.Compare(a.Spots, b.Spots), cmp.Compare(a.Blocks, b.Blocks))
	}
	slices.SortStableFunc(changes, byKind)
	for len(changes) > 0 {
		n := 1
		for n < len(changes) && byKind(changes[0], changes[n]) == 0 {
			n++
		}
		starts := make([]int64, n)
		for i := range starts {
			starts[i] = changes[i].StartSec
		}
		done := tx.Exec(takeSlots, map[string]any{"spots": changes[0].Spots, "blocks": changes[0].Blocks, "resource": changes[0].Resource, "starts": starts})
		if err := affected(done, n); err != nil {
			return fmt.Errorf("take slots: %w", err)
		}
		changes = changes[n:]
	}
	return nil
}

// sum is one change for each slot, without those that came to nothing.
func sum(changes []inventory.Change) []inventory.Change {
	sums := map[inventory.SlotKey]inventory.Change{}
	for _, c := range changes {
		s := sums[c.SlotKey]
		sums[c.SlotKey] = inventory.Change{SlotKey: c.SlotKey, Spots: s.Spots + c.Spots, Blocks: s.Blocks + c.Blocks}
	}
	var total []inventory.Change
	for _, k := range slices.SortedFunc(maps.Keys(sums), inventory.SlotKey.Compare) {
		if s := sums[k]; s.Spots != 0 || s.Blocks != 0 {
			total = append(total, s)
		}
	}
	return total
}

func (v *view) writeGuest(tx *gorm.DB) error {
	if v.guest == nil {
		return nil
	}
	row := guestRow(*v.guest)
	put := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "id"}},
		DoUpdates: clause.AssignmentColumns([]string{"google_user_id", "email", "phone", "given_name", "family_name"}),
	}).Create(&row)
	if err := affected(put, 1); err != nil {
		return fmt.Errorf("write guest: %w", err)
	}
	if v.guest.ID == v.newGuest || len(v.newKeys) == 0 {
		return nil
	}
	// The new keys were claimed for a new guest, but it is one we know.
	names := make([]string, len(v.newKeys))
	for i, k := range v.newKeys {
		names[i] = k.Key
	}
	moved := tx.Model(&guestKeyRow{}).Where("merchant_id = ? AND key IN ?", v.newKeys[0].MerchantID, names).Update("guest_id", v.guest.ID)
	if err := affected(moved, len(names)); err != nil {
		return fmt.Errorf("give guest keys: %w", err)
	}
	return nil
}

func (v *view) writeBookings(tx *gorm.DB) error {
	for _, p := range v.puts {
		if err := writeBooking(tx, p.booking); err != nil {
			return err
		}
		if err := writeEvent(tx, p); err != nil {
			return err
		}
	}
	return nil
}

func writeBooking(tx *gorm.DB, b booking.Booking) error {
	row, err := rowOfBooking(b)
	if err != nil {
		return err
	}
	if row.Version == 1 {
		if err := affected(tx.Create(&row), 1); err != nil {
			return fmt.Errorf("write booking: %w", err)
		}
	} else {
		update := tx.Model(&bookingRow{}).Where("id = ? AND version = ?", row.ID, row.Version-1).Select("*").Updates(&row)
		if err := affected(update, 1); err != nil {
			return fmt.Errorf("update booking: %w", err)
		}
		if err := tx.Where("booking_id = ?", row.ID).Delete(&occupiedRow{}).Error; err != nil {
			return fmt.Errorf("replace occupied resources: %w", err)
		}
	}
	items := rowsOfOccupied(b)
	if err := affected(tx.Create(&items), len(items)); err != nil {
		return fmt.Errorf("write occupied resources: %w", err)
	}
	return nil
}

func (v *view) writeHolds(tx *gorm.DB) error {
	for _, c := range v.held {
		for _, h := range c.gone {
			gone := tx.Where("booking_id = ? AND resource_id = ? AND start_sec = ?", c.owner, h.Resource.ID, h.StartSec).Delete(&holdRow{})
			if err := affected(gone, 1); err != nil {
				return fmt.Errorf("give back hold: %w", err)
			}
		}
		if len(c.made) == 0 {
			continue
		}
		rows := rowsOfHolds(c.owner, c.made)
		if err := affected(tx.Create(&rows), len(rows)); err != nil {
			return fmt.Errorf("write holds: %w", err)
		}
	}
	return nil
}

// topicBooking is the outbox topic of a change of a booking; the booking patch
// and the availability update that others are owed both follow from its event.
const topicBooking = "booking"

func writeEvent(tx *gorm.DB, p put) error {
	e := eventRow{
		BookingID: p.booking.ID, Version: p.booking.Version, AtSec: p.event.AtSec, Actor: p.event.Actor, KeyID: p.event.KeyID,
		Action: p.event.Action, Before: string(p.event.Before), After: string(p.event.After),
	}
	if err := affected(tx.Create(&e), 1); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	o := outboxRow{BookingID: e.BookingID, Version: e.Version, Topic: topicBooking, DueSec: e.AtSec}
	if p.event.Action == booking.Erased {
		o.DeliveredSec = &e.AtSec // nobody is to be told
	}
	if err := affected(tx.Create(&o), 1); err != nil {
		return fmt.Errorf("write outbox: %w", err)
	}
	return nil
}

// affected is the error of a statement, or that it did not touch n rows.
func affected(done *gorm.DB, n int) error {
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected != int64(n) {
		return fmt.Errorf("%d rows instead of %d", done.RowsAffected, n)
	}
	return nil
}

var _ booking.Tx = (*view)(nil)
