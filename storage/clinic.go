package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
	"holdfast/inventory"
)

// PutClinic writes a clinic and its whole catalogue in place of what it had; see
// [DB.ReplaceClinic].
func (db *DB) PutClinic(ctx context.Context, m inventory.Merchant, nowSec int64) error {
	_, err := db.ReplaceClinic(ctx, m, nowSec)
	return err
}

// ReplaceClinic writes a clinic and its whole catalogue in place of what it had,
// and tells what that does to the visits that end after nowSec. No booking is
// lost and none is sold twice:
//
//   - a slot's capacity follows the catalogue, but never below what is taken;
//     then it shrinks as bookings leave. A lane that is gone, or in a zone that
//     is switched off, offers nothing;
//   - visits take the time of a doctor who is exclusive from now on, and give
//     back that of one who is not any more.
//
// It returns *booking.Conflict, and has changed nothing, if a group's interval
// changes under visits, or visits want the same exclusive doctor at once.
func (db *DB) ReplaceClinic(ctx context.Context, m inventory.Merchant, nowSec int64) (c booking.Comparison, err error) {
	now := time.Unix(nowSec, 0)
	err = db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		if err := db.unhurried(tx); err != nil {
			return err
		}
		before, err := db.lockMerchant(tx, m.ID)
		if err != nil {
			return err
		}
		if err := errors.Join(putMerchant(tx, m), writeCatalogue(tx, m), putPolicy(tx, m)); err != nil {
			return err
		}
		// Visits come before resources and slots, as everywhere. Those of doctors
		// are complete: who would write another has seen the new catalogue, or
		// has kept us waiting until now (booking.Keys.Steady).
		reassigned, err := db.lockReassigned(tx, &m, nowSec)
		if err != nil {
			return err
		}
		if err := db.putResources(tx, &m, doctorKeys(&m, reassigned, now)); err != nil {
			return err
		}
		if err := db.excuseZones(tx, &m, nowSec); err != nil {
			return err
		}
		// Now nobody has a slot whose room changes, and who comes finds none.
		there, err := holding(tx, m.ID, nowSec)
		if err != nil {
			return err
		}
		c = booking.Compare(before, &m, there, now)
		if err := c.Refused(); err != nil {
			return &refusal{err}
		}
		return db.reassign(tx, &m, reassigned, now)
	})
	return c, err
}

// CompareClinic tells what [DB.ReplaceClinic] would do, and changes nothing.
func (db *DB) CompareClinic(ctx context.Context, m inventory.Merchant, nowSec int64) (c booking.Comparison, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := db.unhurried(tx); err != nil {
			return err
		}
		before, err := readMerchant(tx, m.ID)
		if err != nil && !errors.Is(err, booking.ErrNotFound) {
			return err
		}
		there, err := holding(tx, m.ID, nowSec)
		c = booking.Compare(before, &m, there, time.Unix(nowSec, 0))
		return err
	})
	return c, unavailable(err)
}

// lockMerchant returns the merchant as it was, or nil. Two imports of one
// merchant take turns here.
func (db *DB) lockMerchant(tx *gorm.DB, id string) (*inventory.Merchant, error) {
	if err := tx.Exec("SELECT id FROM merchants WHERE id = ?"+db.dialect.lock, id).Error; err != nil {
		return nil, fmt.Errorf("lock merchant: %w", err)
	}
	m, err := readMerchant(tx, id)
	if errors.Is(err, booking.ErrNotFound) {
		return nil, nil
	}
	return m, err
}

// holding are the bookings of a merchant that hold room and end after nowSec.
func holding(tx *gorm.DB, merchantID string, nowSec int64) ([]booking.Booking, error) {
	return readBookings(tx, tx.Where("merchant_id = ? AND end_sec > ? AND state IN ?", merchantID, nowSec, booking.Live).Order("start_sec, id"))
}

// lockReassigned locks and returns the bookings whose doctors' time has to be
// taken or given back.
func (db *DB) lockReassigned(tx *gorm.DB, m *inventory.Merchant, nowSec int64) ([]booking.Booking, error) {
	there, err := holding(tx, m.ID, nowSec)
	if err != nil {
		return nil, err
	}
	var ids []uuid.UUID
	for _, b := range there {
		if _, changes := b.Reassigned(m); changes {
			ids = append(ids, b.ID)
		}
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	var locked []booking.Booking
	for some := range slices.Chunk(ids, batch) {
		found, err := readBookings(tx, tx.Where("id IN ? AND end_sec > ? AND state IN ? ORDER BY id"+db.dialect.lock, some, nowSec, booking.Live))
		if err != nil {
			return nil, fmt.Errorf("lock visits: %w", err)
		}
		locked = append(locked, found...)
	}
	return slices.DeleteFunc(locked, func(b booking.Booking) bool { _, changes := b.Reassigned(m); return !changes }), nil
}

// doctorKeys are the slots of doctors that the bookings hold or will hold, by
// resource.
func doctorKeys(m *inventory.Merchant, bookings []booking.Booking, now time.Time) map[uuid.UUID][]inventory.SlotKey {
	var holds []inventory.Hold
	for _, b := range bookings {
		next, _ := b.Reassigned(m)
		holds = slices.Concat(holds, b.DoctorHolds(m.ID, now), next.DoctorHolds(m.ID, now))
	}
	keys := map[uuid.UUID][]inventory.SlotKey{}
	for _, k := range inventory.Keys(holds...) {
		keys[k.Resource] = append(keys[k.Resource], k)
	}
	return keys
}

// putResources writes the resources of a clinic, takes the room away from lanes
// that it no longer has, and gives the slots that exist the new capacity. It
// also locks the given slots of doctors, so that all are locked in one order.
// Locking a resource first waits for everybody who is making slots of it with
// the old capacity.
func (db *DB) putResources(tx *gorm.DB, m *inventory.Merchant, doctors map[uuid.UUID][]inventory.SlotKey) error {
	resources := map[uuid.UUID]inventory.Resource{}
	var lanes []resourceRow
	if err := tx.Where("merchant_id = ? AND kind = ?", m.ID, inventory.KindLane).Find(&lanes).Error; err != nil {
		return fmt.Errorf("read resources: %w", err)
	}
	for _, r := range lanes {
		r.DefaultCapacity = 0
		resources[r.ID] = r.resource()
	}
	for _, r := range m.Resources() {
		resources[r.ID] = r
	}
	for _, z := range m.Zones {
		if z.Capacity != nil {
			_, r := inventory.ZoneShare(m.ID, z)
			resources[r.ID] = r
		}
	}
	inOrder := slices.SortedFunc(maps.Values(resources), func(a, b inventory.Resource) int {
		return inventory.SlotKey{Resource: a.ID}.Compare(inventory.SlotKey{Resource: b.ID})
	})
	for _, r := range inOrder {
		row := rowOfResource(r)
		put := tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "id"}}, DoUpdates: clause.AssignmentColumns([]string{"default_capacity"}),
		}).Create(&row)
		if put.Error != nil {
			return fmt.Errorf("write resource: %w", put.Error)
		}
	}
	if err := putShares(tx, zoneShares(m, slices.Collect(maps.Values(resources)))); err != nil {
		return err
	}
	ids := slices.SortedFunc(maps.Keys(doctors), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	lockDoctors := func(before func(uuid.UUID) bool) error {
		for ; len(ids) > 0 && before(ids[0]); ids = ids[1:] {
			for some := range slices.Chunk(doctors[ids[0]], batch) {
				if _, err := db.lockSlots(tx, some); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, r := range inOrder {
		if err := lockDoctors(func(id uuid.UUID) bool { return slices.Compare(id[:], r.ID[:]) < 0 }); err != nil {
			return err
		}
		if err := db.resize(tx, r); err != nil {
			return err
		}
	}
	return lockDoctors(func(uuid.UUID) bool { return true })
}

// resize gives the slots of a resource its capacity, if they are not as it was
// already.
func (db *DB) resize(tx *gorm.DB, r inventory.Resource) error {
	// Ordered, because an UPDATE alone locks in whatever order it likes.
	lock := tx.Exec("SELECT start_sec FROM slots WHERE resource_id = ? AND offered <> ? ORDER BY resource_id, start_sec"+db.dialect.lock, r.ID, r.DefaultCapacity)
	if lock.Error != nil {
		return fmt.Errorf("lock slots: %w", lock.Error)
	}
	resize := tx.Exec(`UPDATE slots SET offered = @n, capacity = CASE WHEN taken > @n THEN taken ELSE @n END
		WHERE resource_id = @resource AND offered <> @n`, map[string]any{"n": r.DefaultCapacity, "resource": r.ID})
	if resize.Error != nil {
		return fmt.Errorf("change capacity: %w", resize.Error)
	}
	return nil
}

// reassign takes and gives back the doctors' time of bookings, whose slots are
// locked, as one operation on all of them.
func (db *DB) reassign(tx *gorm.DB, m *inventory.Merchant, bookings []booking.Booking, now time.Time) error {
	// Visits first: a block closes a doctor's time to those who come later.
	block := func(b booking.Booking) bool { return b.IsBlock() }
	visit := func(b booking.Booking) bool { return !b.IsBlock() }
	bookings = slices.Concat(slices.DeleteFunc(slices.Clone(bookings), block), slices.DeleteFunc(slices.Clone(bookings), visit))
	for some := range slices.Chunk(bookings, 100) {
		g := newGroup(db.dialect)
		ids := make([]uuid.UUID, len(some))
		for i, b := range some {
			ids[i], g.was[b.ID] = b.ID, b
			g.setBooking(b)
		}
		var err error
		if g.held, err = holdsOf(db.dialect, tx, ids); err != nil {
			return err
		}
		g.holds = maps.Clone(g.held)
		v := newView(g, nil, booking.Keys{Bookings: ids})
		for _, keys := range doctorKeys(m, some, now) {
			for part := range slices.Chunk(keys, batch) {
				rows, err := db.lockSlots(tx, part) // they are
				if err != nil {
					return err
				}
				for _, r := range rows {
					v.touches.Slots, g.locked[r.key()] = append(v.touches.Slots, r.key()), true
					if err := g.setSlot(r); err != nil {
						return err
					}
				}
			}
		}
		for _, b := range some {
			err := booking.Reassign(v, b, m, now)
			var full *inventory.Full
			if errors.As(err, &full) {
				return &refusal{&booking.Conflict{MerchantID: m.ID, Detail: "an exclusive doctor has no time for a visit", Visits: []string{b.ScheduleID}}}
			}
			if err != nil {
				return err
			}
		}
		g.keep(v)
		if err := g.write(tx); err != nil {
			return err
		}
	}
	return nil
}
