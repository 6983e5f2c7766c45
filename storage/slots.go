package storage

import (
	"context"
	"fmt"
	"maps"
	"strconv"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// Slots implements [booking.Store]. It is one query for any number of slots, so the merchant's
// version, its slots, what they share and their lapsed leases are from the same moment.
func (db *DB) Slots(ctx context.Context, merchantID string, catalogueVersion int64, keys []inventory.SlotKey, shares []inventory.Span, nowSec int64) (map[inventory.SlotKey]inventory.Slot, error) {
	type row struct {
		Version    int64
		ResourceID *uuid.UUID // nil: no slot
		StartSec   int64
		Offered    int
		Capacity   int
		Taken      int
		Lapsed     int // the part of Taken that lapsed leases hold
		Blocked    int
		SpotsTotal *int

		FirstBookableSec *int64
		LastBookableSec  *int64

		ShareID     *uuid.UUID // of a row of a share; else nil
		SlotSeconds int64
		PartySize   int
		Known       int
	}
	defer courseOf(ctx).note("read")()
	done, err := db.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	asked := []struct {
		ID     string
		NowSec int64
	}{{merchantID, nowSec}}
	sets, shared := []set{setOf(asked), slotSet(keys)}, ""
	if len(shares) > 0 { // before the slots, of which there may be very many
		sets = []set{setOf(asked), setOf(inventory.JoinSpans(shares)), slotSet(keys)}
		shared = `SELECT ` + slotColumns + `, s.known, k.share_id, m.slot_seconds, m.party_size
			FROM {1} k ` + db.dialect.overlapping("s.taken > 0 OR s.offered > 0") + ` UNION ALL `
	}
	rows, err := query[row](db.dialect, db.read.WithContext(ctx), `WITH asked AS MATERIALIZED (SELECT * FROM {0} a), lapsed AS MATERIALIZED (
			SELECT h.resource_id, h.start_sec, h.end_sec, h.spots, r.kind FROM bookings b CROSS JOIN holds h CROSS JOIN resources r
			WHERE b.state = 'HELD' AND b.expires_sec <= (SELECT a.now_sec FROM asked a) AND h.booking_id = b.id AND r.id = h.resource_id)
		SELECT m.version, f.resource_id, COALESCE(f.start_sec, 0) AS start_sec, COALESCE(f.offered, 0) AS offered,
			COALESCE(f.capacity, 0) AS capacity, COALESCE(f.taken, 0) AS taken,
			COALESCE((SELECT SUM(l.spots) FROM lapsed l WHERE l.resource_id = f.resource_id
				AND (l.start_sec = f.start_sec OR l.kind <> 'published' AND l.start_sec < f.start_sec AND l.end_sec > f.start_sec)), 0) AS lapsed,
			COALESCE(f.blocked, 0) AS blocked, f.first_bookable_sec, f.last_bookable_sec, f.spots_total,
			COALESCE(f.known, 0) AS known, f.share_id,
			COALESCE(f.slot_seconds, 0) AS slot_seconds, COALESCE(f.party_size, 0) AS party_size
		FROM asked a CROSS JOIN merchants m LEFT JOIN (`+shared+`SELECT `+slotColumns+`, s.known,
				CAST(NULL AS UUID) AS share_id, 0 AS slot_seconds, 0 AS party_size
			FROM {`+strconv.Itoa(len(sets)-1)+`} k CROSS JOIN slots s WHERE s.resource_id = k.resource_id AND s.start_sec = k.start_sec) f ON true
		WHERE m.id = a.id`, sets...)
	if err != nil {
		return nil, unavailable(fmt.Errorf("read slots: %w", err))
	}
	if len(rows) == 0 || rows[0].Version != catalogueVersion {
		db.catalogue.Delete(merchantID)
		return nil, booking.ErrStale
	}
	found, around := make(map[inventory.SlotKey]inventory.Slot, len(rows)), sharedRows{}
	for _, r := range rows {
		if r.ResourceID == nil {
			continue
		}
		if r.ShareID != nil {
			around.add(sharedRow{
				ShareID: *r.ShareID, ResourceID: *r.ResourceID, StartSec: r.StartSec, SlotSeconds: r.SlotSeconds, PartySize: r.PartySize,
				SpotsTotal: r.SpotsTotal, Offered: r.Offered, Known: r.Known, Taken: r.Taken - r.Lapsed,
			})
			continue
		}
		k := inventory.SlotKey{Resource: *r.ResourceID, StartSec: r.StartSec}
		s := slot{offered: r.Offered, Slot: inventory.Slot{
			SlotKey: k, Capacity: r.Capacity, Taken: r.Taken, Blocked: r.Blocked, Spots: orZero(r.SpotsTotal),
			Terms: inventory.Terms{FirstBookableSec: orZero(r.FirstBookableSec), LastBookableSec: orZero(r.LastBookableSec)},
		}}
		s.take(-r.Lapsed)
		found[k] = s.Slot
	}
	for _, s := range shares {
		found[s.Key()] = inventory.Slot{SlotKey: s.Key(), Rows: around.of(s)}
	}
	return found, nil
}

// slotColumns are what a lookup reads of a slot.
const slotColumns = `s.resource_id, s.start_sec, s.offered, s.capacity, s.taken, s.blocked, s.spots_total, s.first_bookable_sec, s.last_bookable_sec`

// SlotsBetween implements [booking.Store]. One snapshot, one query each for
// merchants, bookings with their holds, and slots.
func (db *DB) SlotsBetween(ctx context.Context, r booking.SlotRange) (map[inventory.SlotKey]inventory.Slot, error) {
	found, offered := map[inventory.SlotKey]inventory.Slot{}, map[inventory.SlotKey]int{}
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := db.catalogueIsAt(tx, r.MerchantID, r.CatalogueVersion); err != nil {
			return err
		}
		lapsed, own, err := holdsWithout(tx, r)
		if err != nil {
			return err
		}
		ids := make([]uuid.UUID, len(r.Resources))
		for i, of := range r.Resources {
			ids[i] = of.ID
		}
		for ; len(ids) > 0; ids = ids[min(len(ids), rowsAtOnce):] {
			var rows []slotRow
			err := tx.Where("resource_id IN ? AND start_sec >= ? AND start_sec < ?", ids[:min(len(ids), rowsAtOnce)], r.FromSec, r.ToSec).Find(&rows).Error
			if err != nil {
				return fmt.Errorf("read slots: %w", err)
			}
			for _, row := range rows {
				if found[row.key()], err = row.slot(); err != nil {
					return err
				}
				offered[row.key()] = row.Offered
			}
		}
		before := maps.Clone(found)
		inventory.Without(found, lapsed)
		for k, s := range found {
			shrunk := slot{Slot: before[k], offered: offered[k]}
			shrunk.take(s.Taken - before[k].Taken)
			found[k] = shrunk.Slot
		}
		inventory.Leaving(found, own)
		return nil
	})
	if err != nil {
		return nil, unavailable(err)
	}
	return found, nil
}

// catalogueIsAt returns ErrStale, and drops the catalogue from memory, if the merchant's is at
// another version.
func (db *DB) catalogueIsAt(tx *gorm.DB, merchantID string, version int64) error {
	var now int64
	if err := tx.Raw("SELECT version FROM merchants WHERE id = ?", merchantID).Scan(&now).Error; err != nil {
		return fmt.Errorf("read catalogue version: %w", err)
	}
	if now != version {
		db.catalogue.Delete(merchantID)
		return booking.ErrStale
	}
	return nil
}

// holdsWithout returns the holds on a range's resources that do not count: those of lapsed
// leases, which are few, and those of the booking left out.
func holdsWithout(tx *gorm.DB, r booking.SlotRange) (lapsed, own []inventory.Hold, err error) {
	var rows []struct {
		Hold    holdRow `gorm:"embedded"`
		Version int64
	}
	err = tx.Raw(`SELECT h.*, b.version FROM bookings b JOIN holds h ON h.booking_id = b.id
		WHERE b.id = ? OR b.state = 'HELD' AND b.expires_sec <= ?`, r.Without, r.NowSec).Scan(&rows).Error
	if err != nil {
		return nil, nil, fmt.Errorf("read holds: %w", err)
	}
	resources := map[uuid.UUID]inventory.Resource{}
	for _, of := range r.Resources {
		resources[of.ID] = of
	}
	for _, row := range rows {
		of, wanted := resources[row.Hold.ResourceID]
		switch {
		case row.Hold.BookingID == r.Without && row.Version != r.WithoutVersion:
			return nil, nil, booking.ErrStale
		case !wanted:
		case row.Hold.BookingID == r.Without:
			own = append(own, row.Hold.hold(of))
		default:
			lapsed = append(lapsed, row.Hold.hold(of))
		}
	}
	return lapsed, own, nil
}

// LapsedLeases implements [booking.Store].
func (db *DB) LapsedLeases(ctx context.Context, slots []inventory.SlotKey, nowSec int64) ([]uuid.UUID, error) {
	defer courseOf(ctx).note("read")()
	query := db.read.WithContext(ctx).Model(&bookingRow{}).Where("state = ? AND expires_sec <= ?", booking.Held, nowSec)
	if len(slots) > 0 {
		where, args := holdsWhere(slots)
		query = query.Where("id IN (SELECT booking_id FROM holds WHERE "+where+")", args...)
	}
	var ids []uuid.UUID
	if err := query.Order("id").Limit(rowsAtOnce).Pluck("id", &ids).Error; err != nil {
		return nil, unavailable(fmt.Errorf("read leases: %w", err))
	}
	return ids, nil
}

// holdsWhere is a condition for holds that may cover one of the slots: on the same resource,
// and not entirely before or after its slots.
func holdsWhere(slots []inventory.SlotKey) (string, []any) {
	first, last := map[uuid.UUID]int64{}, map[uuid.UUID]int64{}
	for _, k := range slots {
		if from, seen := first[k.Resource]; !seen || k.StartSec < from {
			first[k.Resource] = k.StartSec
		}
		last[k.Resource] = max(last[k.Resource], k.StartSec)
	}
	var where []string
	var args []any
	for id := range first {
		where = append(where, "(resource_id = ? AND start_sec <= ? AND end_sec > ?)")
		args = append(args, id, last[id], first[id])
	}
	return anyOf(where), args
}

// holdsOf reads the holds of bookings.
func holdsOf(d dialect, tx *gorm.DB, owners []uuid.UUID) (map[uuid.UUID][]inventory.Hold, error) {
	held := map[uuid.UUID][]inventory.Hold{}
	if len(owners) == 0 {
		return held, nil
	}
	rows, err := query[holdRow](d, tx, `SELECT h.* FROM {0} k CROSS JOIN holds h WHERE h.booking_id = k.id
		ORDER BY h.booking_id, h.resource_id, h.start_sec`, idSet(owners))
	if err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	named := map[uuid.UUID]bool{}
	for _, r := range rows {
		named[r.ResourceID] = true
	}
	resources, err := resourcesByID(d, tx, idsIn(named))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		held[r.BookingID] = append(held[r.BookingID], r.hold(resources[r.ResourceID]))
	}
	return held, nil
}

func resourcesByID(d dialect, tx *gorm.DB, ids []uuid.UUID) (map[uuid.UUID]inventory.Resource, error) {
	rows, err := query[resourceRow](d, tx, "SELECT r.* FROM {0} k CROSS JOIN resources r WHERE r.id = k.id", idSet(ids))
	if err != nil {
		return nil, fmt.Errorf("read resources: %w", err)
	}
	byID := make(map[uuid.UUID]inventory.Resource, len(rows))
	for _, r := range rows {
		byID[r.ID] = r.resource()
	}
	return byID, nil
}

// slotsWhere is a condition for sorted keys: resource by resource, so that each is one search
// in the index.
func slotsWhere(keys []inventory.SlotKey) (string, []any) {
	var terms []string
	var args []any
	for i := 0; i < len(keys); {
		var starts []int64
		id := keys[i].Resource
		for ; i < len(keys) && keys[i].Resource == id; i++ {
			starts = append(starts, keys[i].StartSec)
		}
		terms = append(terms, "(resource_id = ? AND start_sec IN ?)")
		args = append(args, id, starts)
	}
	return anyOf(terms), args
}

// anyOf joins conditions by OR as a balanced tree, because SQLite refuses a chain of more than
// a thousand. Without conditions it is false.
func anyOf(terms []string) string {
	switch len(terms) {
	case 0:
		return "1 = 0"
	case 1:
		return terms[0]
	}
	half := len(terms) / 2
	return "(" + anyOf(terms[:half]) + " OR " + anyOf(terms[half:]) + ")"
}
