package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
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
//     back that of one who is not any more;
//   - visits of a group that is counted in other steps from now on are counted in
//     those;
//   - ids keep the spelling in which they have been stored.
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
		m, err := spelled(tx, m, before)
		if err != nil {
			return err
		}
		if err := errors.Join(putMerchant(tx, m), writeCatalogue(tx, m), putPolicy(tx, m), putFormer(tx, m.ID, inventory.Gone(before, &m), nowSec)); err != nil {
			return err
		}
		// Visits come before resources and slots, as everywhere. Those of doctors
		// are complete: who would write another has seen the new catalogue, or
		// has kept us waiting until now (booking.Keys.Steady).
		reassigned, err := db.lockReassigned(tx, &m, nowSec, nil, db.dialect.lock)
		if err != nil {
			return err
		}
		held, err := holdsOf(db.dialect, tx, idsOfBookings(reassigned))
		if err != nil {
			return err
		}
		if err := db.putResources(tx, &m, reassignedKeys(&m, reassigned, held, now)); err != nil {
			return err
		}
		// Now nobody has a slot whose room changes, and who comes finds none. Who
		// was quicker may have brought more visits to lanes that are counted anew:
		// whoever waits for us with one of those locked has to be let go first.
		late, err := db.lockReassigned(tx, &m, nowSec, reassigned, db.dialect.lockAtOnce())
		if err != nil {
			return err
		}
		if err := db.excuseZones(tx, &m, nowSec); err != nil {
			return err
		}
		there, err := holding(tx, m.ID, nowSec)
		if err != nil {
			return err
		}
		c = booking.Compare(before, &m, there, now)
		if err := c.Refused(); err != nil {
			return &refusal{err}
		}
		return db.reassign(tx, &m, append(reassigned, late...), now)
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
		m, err := spelled(tx, m, before)
		if err != nil {
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

// spelled is a clinic's catalogue with its ids spelled as they have been stored,
// also of what it had once and is to have again.
func spelled(tx *gorm.DB, m inventory.Merchant, before *inventory.Merchant) (inventory.Merchant, error) {
	lanes, err := lanesOf(tx, m.ID)
	return m.SpelledAs(inventory.KnownOf(before, lanes)), err
}

// lanesOf are the lanes that a clinic has or has had.
func lanesOf(tx *gorm.DB, merchantID string) ([]inventory.Resource, error) {
	var rows []resourceRow
	if err := tx.Where("merchant_id = ? AND kind = ?", merchantID, inventory.KindLane).Order("ref, id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read lanes: %w", err)
	}
	lanes := make([]inventory.Resource, len(rows))
	for i, r := range rows {
		lanes[i] = r.resource()
	}
	return lanes, nil
}

// holding are the bookings of a merchant that hold room and end after nowSec.
func holding(tx *gorm.DB, merchantID string, nowSec int64) ([]booking.Booking, error) {
	return readBookings(tx, tx.Where("merchant_id = ? AND end_sec > ? AND state IN ?", merchantID, nowSec, booking.Live).Order("start_sec, id"))
}

// lockReassigned locks and returns the bookings that have to be counted anew or
// whose doctors' time has to be taken or given back, but for those that are known.
func (db *DB) lockReassigned(tx *gorm.DB, m *inventory.Merchant, nowSec int64, known []booking.Booking, lock string) ([]booking.Booking, error) {
	there, err := holding(tx, m.ID, nowSec)
	if err != nil {
		return nil, err
	}
	seen := map[uuid.UUID]bool{}
	for _, b := range known {
		seen[b.ID] = true
	}
	stays := func(b booking.Booking) bool { _, changes := b.Reassigned(m); return !changes || seen[b.ID] }
	ids := idsOfBookings(slices.DeleteFunc(there, stays))
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	var locked []booking.Booking
	for some := range slices.Chunk(ids, batch) {
		found, err := readBookings(tx, tx.Where("id IN ? AND end_sec > ? AND state IN ? ORDER BY id"+lock, some, nowSec, booking.Live))
		if err != nil {
			return nil, fmt.Errorf("lock visits: %w", err)
		}
		locked = append(locked, found...)
	}
	return slices.DeleteFunc(locked, stays), nil
}

func idsOfBookings(bookings []booking.Booking) []uuid.UUID {
	ids := make([]uuid.UUID, len(bookings))
	for i, b := range bookings {
		ids[i] = b.ID
	}
	return ids
}

// reassignedKeys are the slots that bookings, which hold what held says, hold or
// will hold, by resource.
func reassignedKeys(m *inventory.Merchant, bookings []booking.Booking, held map[uuid.UUID][]inventory.Hold, now time.Time) map[uuid.UUID][]inventory.SlotKey {
	var holds []inventory.Hold
	for _, b := range bookings {
		next, _ := b.Reassigned(m)
		holds = append(append(append(holds, held[b.ID]...), b.Recounted(next, m, held[b.ID], now)...), next.DoctorHolds(m.ID, now)...)
	}
	keys := map[uuid.UUID][]inventory.SlotKey{}
	for _, k := range inventory.Keys(inventory.Places(holds)...) {
		keys[k.Resource] = append(keys[k.Resource], k)
	}
	return keys
}

// makeRoom gives slots, which are locked, the room that bookings need to be
// counted anew.
func (db *DB) makeRoom(tx *gorm.DB, m *inventory.Merchant, bookings []booking.Booking, held map[uuid.UUID][]inventory.Hold, now time.Time) error {
	type row struct {
		ResourceID uuid.UUID
		StartSec   int64
		Spots      int
	}
	var changes []inventory.Change
	for _, b := range bookings {
		next, _ := b.Reassigned(m)
		changes = append(changes, inventory.Changes(held[b.ID], b.Recounted(next, m, held[b.ID], now))...)
	}
	var rows []row
	for _, c := range sum(changes) {
		if c.Spots > 0 {
			rows = append(rows, row{c.Resource, c.StartSec, c.Spots})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	err := exec(db.dialect, tx, len(rows), `UPDATE slots SET capacity = CASE WHEN capacity < taken + k.spots THEN taken + k.spots ELSE capacity END
		FROM {0} k WHERE slots.resource_id = k.resource_id AND slots.start_sec = k.start_sec`, setOf(rows))
	if err != nil {
		return fmt.Errorf("make room: %w", err)
	}
	return nil
}

// putResources writes the resources of a clinic, takes the room away from lanes
// that it no longer has, and gives the slots that exist the new capacity. It
// also locks the given slots, by resource, so that all are locked in one order.
// Locking a resource first waits for everybody who is making slots of it with
// the old capacity.
func (db *DB) putResources(tx *gorm.DB, m *inventory.Merchant, keys map[uuid.UUID][]inventory.SlotKey) error {
	resources := map[uuid.UUID]inventory.Resource{}
	lanes, err := lanesOf(tx, m.ID)
	if err != nil {
		return err
	}
	for _, r := range lanes {
		r.DefaultCapacity = 0
		resources[r.ID] = r
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
	inOrder := func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
	for _, id := range slices.SortedFunc(maps.Keys(resources), inOrder) {
		row := rowOfResource(resources[id])
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
	ids := slices.AppendSeq(slices.Collect(maps.Keys(resources)), maps.Keys(keys))
	slices.SortFunc(ids, inOrder)
	for _, id := range slices.Compact(ids) {
		if r, ours := resources[id]; ours {
			if err := db.resize(tx, r, keys[id]); err != nil {
				return err
			}
		}
		for some := range slices.Chunk(keys[id], batch) {
			if _, err := db.lockSlots(tx, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// resize gives the slots of a resource its capacity, if they are not as it was
// already. In the same pass it locks those of keys that are there.
func (db *DB) resize(tx *gorm.DB, r inventory.Resource, keys []inventory.SlotKey) error {
	from := int64(math.MaxInt64)
	if len(keys) > 0 {
		from = keys[0].StartSec
	}
	// Ordered, because an UPDATE alone locks in whatever order it likes.
	lock := tx.Exec("SELECT start_sec FROM slots WHERE resource_id = ? AND (offered <> ? OR start_sec >= ?) ORDER BY resource_id, start_sec"+db.dialect.lock,
		r.ID, r.DefaultCapacity, from)
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

// reassign counts bookings as the catalogue has it, see [booking.Reassign], as one
// operation on all of them.
func (db *DB) reassign(tx *gorm.DB, m *inventory.Merchant, bookings []booking.Booking, now time.Time) error {
	// Visits first: a block closes a doctor's time to those who come later.
	block := func(b booking.Booking) bool { return b.IsBlock() }
	visit := func(b booking.Booking) bool { return !b.IsBlock() }
	bookings = slices.Concat(slices.DeleteFunc(slices.Clone(bookings), block), slices.DeleteFunc(slices.Clone(bookings), visit))
	for some := range slices.Chunk(bookings, 100) {
		g := newGroup(db.dialect)
		ids := idsOfBookings(some)
		for _, b := range some {
			g.was[b.ID] = b
			g.setBooking(b)
		}
		var err error
		if g.held, err = holdsOf(db.dialect, tx, ids); err != nil {
			return err
		}
		g.holds = maps.Clone(g.held)
		v := newView(g, nil, booking.Keys{Bookings: ids})
		for _, keys := range reassignedKeys(m, some, g.held, now) {
			for part := range slices.Chunk(keys, batch) {
				rows, err := db.lockSlots(tx, part) // they are, but for those of late visits
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
		if err := db.makeRoom(tx, m, some, g.held, now); err != nil {
			return err
		}
		for _, b := range some {
			err := booking.Reassign(v, booking.By{Actor: booking.ByOperator}, b, m, now)
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
