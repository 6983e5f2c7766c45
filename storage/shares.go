package storage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/inventory"
)

// shareRow says that slots of a resource count in a share.
type shareRow struct {
	ShareID     uuid.UUID
	ResourceID  uuid.UUID
	Kind        inventory.ShareKind
	SlotSeconds int64
	PartySize   int
}

func (shareRow) TableName() string { return "resource_shares" }

// putShares writes which resources share what. Both exist already.
func putShares(tx *gorm.DB, rows []shareRow) error {
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, func(a, b shareRow) int {
		return cmp.Or(slices.Compare(a.ShareID[:], b.ShareID[:]), slices.Compare(a.ResourceID[:], b.ResourceID[:]))
	})
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&rows, rowsAtOnce).Error; err != nil {
		return fmt.Errorf("write shares: %w", err)
	}
	return nil
}

// noteChairs marks the merchants of rows that are chairs, so that their bookings look for
// chairs. It must run before the rows exist.
func (db *DB) noteChairs(ctx context.Context, rows []inventory.Published) error {
	chairs := map[string]bool{}
	for _, p := range rows {
		if p.IsChair() {
			chairs[p.MerchantID] = true
		}
	}
	if len(chairs) == 0 {
		return nil
	}
	var unknown []string
	err := db.read.WithContext(ctx).Raw("SELECT id FROM merchants WHERE NOT chairs AND id IN ? ORDER BY id", slices.Collect(maps.Keys(chairs))).Scan(&unknown).Error
	if err != nil {
		return unavailable(fmt.Errorf("read merchants: %w", err))
	}
	for _, id := range unknown {
		err := db.transact(ctx, importLimit, func(tx *gorm.DB) error {
			if err := db.unhurried(tx); err != nil {
				return err
			}
			return tx.Exec("UPDATE merchants SET chairs = ?, version = version + 1 WHERE id = ?", true, id).Error
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sold is what we have sold of published rows and what they share.
type sold struct {
	sharing map[string]inventory.Sharing  // of the merchants
	known   map[inventory.SlotKey]int     // spots sold before the feed was generated
	around  map[uuid.UUID][]inventory.Row // each share's rows that have something taken now
}

// soldAround reads what is taken of the rows and what they share, and how much of it a feed
// generated at generationSec knows.
func (db *DB) soldAround(tx *gorm.DB, rows []inventory.Published, generationSec int64) (s sold, err error) {
	s = sold{sharing: map[string]inventory.Sharing{}, around: map[uuid.UUID][]inventory.Row{}}
	keys := map[inventory.SlotKey]bool{}
	var spans []inventory.Span
	for _, p := range rows {
		s.sharing[p.MerchantID] = inventory.SharingDefault
		keys[p.Key()] = true
	}
	var merchants []merchantRow
	if err := tx.Select("id", "sharing").Where("id IN ?", slices.Collect(maps.Keys(s.sharing))).Find(&merchants).Error; err != nil {
		return s, fmt.Errorf("read merchants: %w", err)
	}
	for _, m := range merchants {
		s.sharing[m.ID] = m.Sharing
	}
	for _, p := range rows {
		for _, share := range s.counting(p) {
			spans = append(spans, inventory.Span{ShareID: share.ID, FromSec: p.StartSec, ToSec: p.StartSec + p.DurationSec})
		}
	}
	around, err := rowsOfShares(db.dialect, tx, spans, "s.taken > 0")
	if err != nil {
		return s, err
	}
	for id, rows := range around {
		for k, r := range rows {
			keys[k] = true
			s.around[id] = append(s.around[id], r)
		}
	}
	s.known = map[inventory.SlotKey]int{}
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(keys), inventory.SlotKey.Compare), rowsAtOnce) {
		known, err := heldBefore(tx, some, generationSec)
		if err != nil {
			return s, err
		}
		maps.Copy(s.known, known)
	}
	return s, nil
}

// counting returns the shares in which the row counts.
func (s sold) counting(p inventory.Published) []inventory.Share {
	shares, _ := p.MemberOf()
	return slices.DeleteFunc(shares, func(share inventory.Share) bool { return !p.Counts(s.sharing[p.MerchantID], share.Kind) })
}

// shared returns the rows around a published row, by kind of share; with known, only what the
// feed knows of them.
func (s sold) shared(p inventory.Published, known bool) map[inventory.ShareKind][]inventory.Row {
	found := map[inventory.ShareKind][]inventory.Row{}
	for _, share := range s.counting(p) {
		for _, r := range s.around[share.ID] {
			if share.Kind == inventory.ShareChair && r.Spots != 1 {
				continue
			}
			if known {
				r.Taken = s.known[r.SlotKey]
			}
			found[share.Kind] = append(found[share.Kind], r)
		}
	}
	return found
}

// explained is how many of the spots missing from a feed's row may be our own bookings.
func (s sold) explained(p inventory.Published) int {
	return p.Explained(s.known[p.Key()], s.shared(p, true))
}

// excess is the most that is taken at once of what a published row shares, if that is too
// much: we sold it before we knew the share, or before the feed offered less.
func (s sold) excess(p inventory.Published) int { return p.Excess(s.shared(p, false)) }

// zoneShares returns the lanes among the resources that share a zone with a capacity of its
// own, including lanes of an interval or a group that no longer exists.
func zoneShares(m *inventory.Merchant, resources []inventory.Resource) []shareRow {
	var rows []shareRow
	for _, r := range resources {
		_, zoneID, lane := strings.Cut(r.Ref, "/")
		z := m.Zone(zoneID)
		if r.Kind != inventory.KindLane || !lane || z == nil || z.Capacity == nil {
			continue
		}
		share, _ := inventory.ZoneShare(m.ID, *z)
		rows = append(rows, shareRow{ShareID: share.ID, ResourceID: r.ID, Kind: share.Kind, SlotSeconds: r.SlotSeconds})
	}
	return rows
}

// excuseZones records where more of a zone is taken in the future than its capacity, so that
// verify can tell that from what must not happen.
func (db *DB) excuseZones(tx *gorm.DB, m *inventory.Merchant, nowSec int64) error {
	for _, z := range m.Zones {
		if z.Capacity == nil {
			continue
		}
		share, _ := inventory.ZoneShare(m.ID, z)
		span := inventory.Span{ShareID: share.ID, FromSec: nowSec, ToSec: math.MaxInt64}
		around, err := rowsOfShares(db.dialect, tx, []inventory.Span{span}, "s.taken > 0")
		if err != nil {
			return err
		}
		most := inventory.Peak(around.of(span))
		if most <= *z.Capacity {
			most = 0
		}
		note := tx.Exec("UPDATE zones SET excess = ?, since_sec = ? WHERE merchant_id = ? AND id = ?", most, nowSec, m.ID, z.ID)
		if err := affected(note, 1); err != nil {
			return fmt.Errorf("note what is taken of a zone: %w", err)
		}
	}
	return nil
}

// soldShare is a share with all its slots that have something taken, by start.
type soldShare struct {
	id   uuid.UUID
	kind inventory.ShareKind
	rows []inventory.Row
	was  map[inventory.SlotKey]int // the excess that is recorded for each
}

// eachSoldShare walks the shares of published rows: those of all merchants as they share, or
// those of one merchant as if it shared like that.
func eachSoldShare(tx *gorm.DB, of string, like inventory.Sharing, each func(soldShare) error) (err error) {
	where, args := "c.sharing <> 'independent'", []any{}
	if of != "" {
		where, args = "c.id = ?", []any{of}
	}
	rows, err := tx.Raw(`SELECT m.share_id, m.kind, m.party_size, m.slot_seconds, c.sharing, s.resource_id, s.start_sec, s.taken, s.spots_total, s.excess
		FROM slots s JOIN resource_shares m ON m.resource_id = s.resource_id JOIN resources r ON r.id = m.share_id JOIN merchants c ON c.id = r.merchant_id
		WHERE s.taken > 0 AND s.spots_total IS NOT NULL AND m.kind <> 'zone' AND `+where+` ORDER BY m.share_id, s.start_sec, s.resource_id`, args...).Rows()
	if err != nil {
		return fmt.Errorf("read shares: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	var share soldShare
	flush := func() error {
		if len(share.rows) == 0 {
			return nil
		}
		return each(share)
	}
	for rows.Next() {
		var r struct {
			shareRow
			Sharing    inventory.Sharing
			StartSec   int64
			Taken      int
			SpotsTotal int
			Excess     int
		}
		if err := rows.Scan(&r.ShareID, &r.Kind, &r.PartySize, &r.SlotSeconds, &r.Sharing, &r.ResourceID, &r.StartSec, &r.Taken, &r.SpotsTotal, &r.Excess); err != nil {
			return fmt.Errorf("read shares: %w", err)
		}
		if of != "" {
			r.Sharing = like
		}
		if !r.Sharing.Counts(r.Kind) || r.Kind == inventory.ShareChair && r.SpotsTotal != 1 {
			continue
		}
		if r.ShareID != share.id {
			if err := flush(); err != nil {
				return err
			}
			share = soldShare{id: r.ShareID, kind: r.Kind, was: map[inventory.SlotKey]int{}}
		}
		row := inventory.Row{
			SlotKey: inventory.SlotKey{Resource: r.ResourceID, StartSec: r.StartSec}, EndSec: r.StartSec + r.SlotSeconds,
			PartySize: r.PartySize, Spots: r.SpotsTotal, Taken: r.Taken,
		}
		share.rows = append(share.rows, row)
		share.was[row.SlotKey] = r.Excess
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read shares: %w", err)
	}
	return flush()
}

// overfull returns the rows that, together with what they share, have more sold at once than
// they have room for, and more than was recorded when they were imported.
func overfull(tx *gorm.DB) (found []string, err error) {
	err = eachSoldShare(tx, "", "", func(s soldShare) error {
		excess := s.kind.Excesses(s.rows)
		for _, r := range s.rows {
			if load := excess[r.SlotKey]; load > s.was[r.SlotKey] {
				found = append(found, fmt.Sprintf("%s at %d: %d at once of its %s %s", r.Resource, r.StartSec, load, s.kind, s.id))
			}
		}
		return nil
	})
	return found, err
}

// overfullZones returns the zones that have more taken at once than their capacity, and more
// than when they got it.
func overfullZones(tx *gorm.DB) (found []string, err error) {
	var zones []zoneRow
	if err := tx.Where("capacity IS NOT NULL").Order("merchant_id, id").Find(&zones).Error; err != nil {
		return nil, fmt.Errorf("read zones: %w", err)
	}
	for _, z := range zones {
		share, _ := inventory.ZoneShare(z.MerchantID, inventory.Zone{ID: z.ID})
		var rows []struct {
			StartSec, SlotSeconds int64
			Taken                 int
		}
		err := tx.Raw(`SELECT s.start_sec, m.slot_seconds, s.taken FROM resource_shares m JOIN slots s ON s.resource_id = m.resource_id
			WHERE m.share_id = ? AND s.taken > 0 AND s.start_sec >= ?`, share.ID, z.SinceSec).Scan(&rows).Error
		if err != nil {
			return nil, fmt.Errorf("read lanes: %w", err)
		}
		lanes := make([]inventory.Row, len(rows))
		for i, r := range rows {
			lanes[i] = inventory.Row{SlotKey: inventory.SlotKey{StartSec: r.StartSec}, EndSec: r.StartSec + r.SlotSeconds, Taken: r.Taken}
		}
		if most := inventory.Peak(lanes); most > max(*z.Capacity, z.Excess) {
			found = append(found, fmt.Sprintf("zone %s of %s: %d at once of %d", z.ID, z.MerchantID, most, *z.Capacity))
		}
	}
	return found, nil
}

// noteExcess records on a merchant's rows how much too much is taken at once, as if they
// shared like that.
func (db *DB) noteExcess(tx *gorm.DB, merchantID string, like inventory.Sharing) error {
	excess := map[inventory.SlotKey]int{}
	err := eachSoldShare(tx, merchantID, like, func(s soldShare) error {
		now := s.kind.Excesses(s.rows)
		for k, was := range s.was {
			if was > 0 || now[k] > 0 {
				excess[k] = max(excess[k], now[k])
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for some := range slices.Chunk(slices.SortedFunc(maps.Keys(excess), inventory.SlotKey.Compare), rowsAtOnce) {
		if _, err := db.lockSlots(tx, some); err != nil {
			return err
		}
		type row struct {
			ResourceID uuid.UUID
			StartSec   int64
			Excess     int
		}
		rows := make([]row, len(some))
		for i, k := range some {
			rows[i] = row{k.Resource, k.StartSec, excess[k]}
		}
		err := exec(db.dialect, tx, len(rows), `UPDATE slots SET excess = k.excess FROM {0} k
			WHERE slots.resource_id = k.resource_id AND slots.start_sec = k.start_sec`, setOf(rows))
		if err != nil {
			return fmt.Errorf("note what is sold over one another: %w", err)
		}
	}
	return nil
}

// SoldOver is a future visit that was sold although others had all that it shares.
type SoldOver struct {
	MerchantID string
	ScheduleID string
	StartSec   int64
	EndSec     int64
}

// SoldOver returns at most limit visits, by start, that start after nowSec on slots that,
// together with what they share, have more taken at once than they have room for. They were
// sold before the share was known, and they stay.
func (db *DB) SoldOver(ctx context.Context, slots []inventory.SlotKey, nowSec int64, limit int) ([]SoldOver, error) {
	if len(slots) == 0 {
		return nil, nil
	}
	return db.soldOver(ctx, slotSet(slots), "{0} k CROSS JOIN slots s", "s.resource_id = k.resource_id AND s.start_sec = k.start_sec", nowSec, limit)
}

// SoldOverAt is [DB.SoldOver] for all slots of a feed's merchant.
func (db *DB) SoldOverAt(ctx context.Context, merchantID string, nowSec int64, limit int) ([]SoldOver, error) {
	of := setOf([]struct{ MerchantID string }{{merchantID}})
	return db.soldOver(ctx, of, "{0} k CROSS JOIN resources r CROSS JOIN slots s",
		"r.merchant_id = k.merchant_id AND r.kind = 'published' AND s.resource_id = r.id", nowSec, limit)
}

func (db *DB) soldOver(ctx context.Context, of set, from, where string, nowSec int64, limit int) ([]SoldOver, error) {
	visits, err := query[SoldOver](db.dialect, db.read.WithContext(ctx), fmt.Sprintf(`SELECT b.merchant_id, b.schedule_id, b.start_sec, b.end_sec
		FROM %s CROSS JOIN holds h CROSS JOIN bookings b WHERE %s AND s.start_sec > %d AND s.excess > 0 AND s.taken > 0
		AND h.resource_id = s.resource_id AND h.start_sec = s.start_sec AND b.id = h.booking_id
		ORDER BY b.merchant_id, b.start_sec, b.schedule_id LIMIT %d`, from, where, nowSec, limit), of)
	return visits, unavailable(err)
}
