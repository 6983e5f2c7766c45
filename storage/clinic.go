package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
	"holdfast/inventory"
)

// ReplaceClinic implements [booking.Store].
//
// It locks in the order that everything follows that writes: the merchant, then bookings,
// then resources and slots. So an operation that was planned with the old catalogue either
// finishes first, and its booking is found here, or waits and finds the new version.
func (db *DB) ReplaceClinic(ctx context.Context, m inventory.Merchant, nowSec int64, r booking.Replacement) error {
	return db.transact(ctx, importLimit, func(tx *gorm.DB) error {
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
		// Visits come before resources and slots, as everywhere. No doctor's visit can be missing:
		// whoever writes one locks the catalogue first (booking.Footprint.Steady), and so has kept
		// us waiting until now or has seen the new one.
		early, err := db.lockRecounted(tx, &m, nowSec, r, nil, db.dialect.lock)
		if err != nil {
			return err
		}
		held, err := holdsOf(db.dialect, tx, idsOfBookings(early))
		if err != nil {
			return err
		}
		if err := db.putResources(tx, &m, r.Footprint(&m, early, held).Slots); err != nil {
			return err
		}
		// From here on we hold every slot whose room changes. Before that, others may have booked
		// more visits on lanes that are counted anew, so we look again. We do not wait for a visit
		// that somebody else has locked, who may be waiting for our slots: lockAtOnce fails, and
		// the transaction runs again.
		late, err := db.lockRecounted(tx, &m, nowSec, r, early, db.dialect.lockAtOnce())
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
		if err := r.Allow(before, &m, there); err != nil {
			return &refusal{err}
		}
		for some := range slices.Chunk(r.InTurn(append(early, late...)), recountedAtOnce) {
			if err := db.recount(tx, &m, r, some); err != nil {
				return err
			}
		}
		return nil
	})
}

// recountedAtOnce is how many bookings one operation recounts: each needs its slots in
// memory, and an import may move thousands.
const recountedAtOnce = 100

// Clinic implements [booking.Store].
func (db *DB) Clinic(ctx context.Context, m inventory.Merchant, nowSec int64) (before, next *inventory.Merchant, there []booking.Booking, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		if err := db.unhurried(tx); err != nil {
			return err
		}
		if before, err = readMerchant(tx, m.ID); err != nil && !errors.Is(err, booking.ErrNotFound) {
			return err
		}
		as, err := spelled(tx, m, before)
		if err != nil {
			return err
		}
		next = &as
		there, err = holding(tx, m.ID, nowSec)
		return err
	})
	return before, next, there, unavailable(err)
}

// lockMerchant locks the merchant and returns it as it was, or nil. Two imports of one
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

// spelled is a clinic's catalogue with its ids spelled as they are stored, even if the
// clinic dropped them once and now has them again.
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

// lockRecounted locks and returns the bookings that have to be recounted, without the known
// ones.
func (db *DB) lockRecounted(tx *gorm.DB, m *inventory.Merchant, nowSec int64, r booking.Replacement, known []booking.Booking, lock string) ([]booking.Booking, error) {
	there, err := holding(tx, m.ID, nowSec)
	if err != nil {
		return nil, err
	}
	seen := map[uuid.UUID]bool{}
	for _, b := range known {
		seen[b.ID] = true
	}
	stays := func(b booking.Booking) bool { return seen[b.ID] || !r.Recounts(m, b) }
	ids := idsOfBookings(slices.DeleteFunc(there, stays))
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	var locked []booking.Booking
	for some := range slices.Chunk(ids, rowsAtOnce) {
		found, err := readBookings(tx, tx.Where("id IN ? AND end_sec > ? AND state IN ? ORDER BY id"+lock, some, nowSec, booking.Live))
		if err != nil {
			return nil, fmt.Errorf("lock visits: %w", err)
		}
		locked = append(locked, found...)
	}
	return slices.DeleteFunc(locked, stays), nil // what was read before the lock may have changed
}

func idsOfBookings(bookings []booking.Booking) []uuid.UUID {
	ids := make([]uuid.UUID, len(bookings))
	for i, b := range bookings {
		ids[i] = b.ID
	}
	return ids
}

// recount changes bookings, which are locked, as one operation with its own fetch, run
// and write.
func (db *DB) recount(tx *gorm.DB, m *inventory.Merchant, r booking.Replacement, some []booking.Booking) error {
	held, err := holdsOf(db.dialect, tx, idsOfBookings(some))
	if err != nil {
		return err
	}
	op := &operation{touches: r.Footprint(m, some, held), f: func(tx booking.Tx) error { return r.Recount(tx, m, some) }}
	// Guests are not fetched: nothing here looks at their visits, and locking them now, after
	// slots, would be out of order.
	b := newBatch(db.dialect, []*operation{op})
	if err := b.fetch(tx, db.fetchBookings, db.fetchSlots); err != nil {
		return err
	}
	if err := db.makeRoom(tx, r.Room(m, some, held)); err != nil {
		return err
	}
	v := b.views[0]
	b.run(v)
	var conflict *booking.Conflict
	switch {
	case errors.As(v.err, &conflict):
		return &refusal{conflict}
	case v.panicked != nil:
		return v.panicked
	case v.err != nil:
		return v.err
	}
	return b.write(tx)
}

// makeRoom gives locked slots the room for changes that must not be refused, however full
// the slots are.
func (db *DB) makeRoom(tx *gorm.DB, changes []inventory.Change) error {
	type row struct {
		ResourceID uuid.UUID
		StartSec   int64
		Spots      int
	}
	var rows []row
	for _, c := range sum(changes) {
		if c.Spots > 0 {
			rows = append(rows, row{c.Resource, c.StartSec, c.Spots})
		}
	}
	err := change(db.dialect, tx, `UPDATE slots SET capacity = CASE WHEN capacity < taken + k.spots THEN taken + k.spots ELSE capacity END
		FROM {0} k WHERE slots.resource_id = k.resource_id AND slots.start_sec = k.start_sec`, rows)
	if err != nil {
		return fmt.Errorf("make room: %w", err)
	}
	return nil
}

// putResources writes a clinic's resources, takes the room away from lanes that it no longer
// has, and gives existing slots the new capacity. It also locks the given slots, so that all
// slots are locked in one order. It locks a resource before its slots, and so waits for
// everybody who is making slots of it with the old capacity.
func (db *DB) putResources(tx *gorm.DB, m *inventory.Merchant, slots []inventory.SlotKey) error {
	keys := map[uuid.UUID][]inventory.SlotKey{}
	for _, k := range slots {
		keys[k.Resource] = append(keys[k.Resource], k)
	}
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
		for some := range slices.Chunk(keys[id], rowsAtOnce) {
			if _, err := db.lockSlots(tx, some); err != nil {
				return err
			}
		}
	}
	return nil
}

// resize gives a resource's slots its capacity where they have another one. In the same
// pass it locks those of the keys that exist.
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
