package storage

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
	"holdfast/inventory"
)

// Imports run while the server books. Each is a series of idempotent transactions, which take
// their locks in the same order as bookings: merchants, then resources, then slots. (A
// complete feed comes back to merchants that it did not name. If two imports deadlock over
// that, the database undoes one, and it runs again.)

// importLimit is how long one transaction of an import may take.
const importLimit = 2 * time.Minute

// putMerchant writes a merchant's row with the next version. That also locks the row, so two
// imports of one merchant take turns. Feeds do not say in which country a merchant is, so
// what PutPolicy has written stays.
func putMerchant(tx *gorm.DB, m inventory.Merchant) error {
	put := tx.Exec(`INSERT INTO merchants (id, name, kind, country, time_zone, numbers_read_in, version) VALUES (?, ?, ?, ?, ?, ?, 1)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, kind = excluded.kind, time_zone = excluded.time_zone,
		country = CASE WHEN excluded.kind = 'feed' THEN merchants.country ELSE excluded.country END,
		version = merchants.version + 1`, m.ID, m.Name, m.Kind, m.Country, m.TimeZone, m.Country+" "+m.TimeZone)
	if err := affected(put, 1); err != nil {
		return fmt.Errorf("write merchant: %w", err)
	}
	return nil
}

// PutPolicy writes what feeds do not say about a merchant that they made: its country, whom
// it takes bookings from, and its offers. It returns [booking.ErrNotFound] if there is no
// such merchant.
func (db *DB) PutPolicy(ctx context.Context, m inventory.Merchant) error {
	return db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		if err := db.unhurried(tx); err != nil {
			return err
		}
		before, err := db.lockMerchant(tx, m.ID)
		if err != nil {
			return err
		}
		next := tx.Exec("UPDATE merchants SET version = version + 1, country = ? WHERE id = ? AND kind = ?", m.Country, m.ID, inventory.MerchantFeed)
		switch {
		case next.Error != nil:
			return fmt.Errorf("change merchant: %w", next.Error)
		case next.RowsAffected == 0:
			return &refusal{booking.ErrNotFound}
		}
		if err := putPolicy(tx, m); err != nil {
			return err
		}
		if err := db.putResources(tx, &m, nil); err != nil || before.Sharing == m.Sharing {
			return err
		}
		return db.noteExcess(tx, m.ID, m.Sharing)
	})
}

// putPolicy writes a locked merchant's guest rules and offers.
func putPolicy(tx *gorm.DB, m inventory.Merchant) error {
	var e encoder
	guests := text(&e, &m.Guests)
	rows := make([]offerRow, len(m.Offers))
	for i, o := range m.Offers {
		rows[i] = rowOfOffer(&e, m.ID, i, o)
	}
	if e.err != nil {
		return e.err
	}
	if err := affected(tx.Exec("UPDATE merchants SET guests = ?, sharing = ? WHERE id = ?", guests, m.Sharing, m.ID), 1); err != nil {
		return fmt.Errorf("write guest rules: %w", err)
	}
	if err := tx.Where("merchant_id = ?", m.ID).Delete(&offerRow{}).Error; err != nil {
		return fmt.Errorf("replace offers: %w", err)
	}
	if len(rows) > 0 {
		if err := tx.CreateInBatches(&rows, rowsAtOnce).Error; err != nil {
			return fmt.Errorf("write offers: %w", err)
		}
	}
	return nil
}

func writeCatalogue(tx *gorm.DB, m inventory.Merchant) error {
	for _, row := range []any{&serviceRow{}, &staffRow{}, &groupZoneRow{}, &groupRow{}, &zoneRow{}} {
		if err := tx.Where("merchant_id = ?", m.ID).Delete(row).Error; err != nil {
			return fmt.Errorf("replace catalogue: %w", err)
		}
	}
	var rows []any
	for i, z := range m.Zones {
		rows = append(rows, &zoneRow{MerchantID: m.ID, ID: z.ID, Position: i, Name: z.Name, Capacity: z.Capacity})
	}
	for i, g := range m.Groups {
		row, err := rowOfGroup(m.ID, i, g)
		if err != nil {
			return err
		}
		rows = append(rows, &row)
		for j, z := range g.Zones {
			rows = append(rows, &groupZoneRow{MerchantID: m.ID, GroupID: g.ID, ZoneID: z.ZoneID, Position: j, Capacity: z.Capacity, Enabled: z.Enabled})
		}
	}
	for i, s := range m.Staff {
		row, err := rowOfStaff(m.ID, i, s)
		if err != nil {
			return err
		}
		rows = append(rows, &row)
	}
	for i, s := range m.Services {
		row, err := rowOfService(m.ID, i, s)
		if err != nil {
			return err
		}
		rows = append(rows, &row)
	}
	for _, row := range rows {
		if err := tx.Create(row).Error; err != nil {
			return fmt.Errorf("write catalogue: %w", err)
		}
	}
	return nil
}

// putFeedMerchant writes a merchant of a feed, unless it is a clinic.
func putFeedMerchant(tx *gorm.DB, m inventory.Merchant, generationSec int64) (put bool, err error) {
	done := tx.Exec(`INSERT INTO merchants (id, name, kind, time_zone, version, named_sec) VALUES (?, ?, ?, ?, 1, ?)
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, time_zone = excluded.time_zone, version = merchants.version + 1,
		named_sec = excluded.named_sec WHERE merchants.kind = ?`,
		m.ID, m.Name, inventory.MerchantFeed, m.TimeZone, generationSec, inventory.MerchantFeed)
	if done.Error != nil {
		return false, fmt.Errorf("write merchant: %w", done.Error)
	}
	return done.RowsAffected > 0, nil
}

// PutFeedMerchants writes the merchants of a merchants feed. rows calls its argument with each
// of them, in the order of their ids, and may itself be called more than once.
// PutFeedMerchants leaves merchants alone that a clinic's catalogue made, and counts them in
// skipped. A complete feed takes the services away from feed merchants that it no longer has:
// nobody can book there any more, but their bookings stay.
func (db *DB) PutFeedMerchants(ctx context.Context, rows func(each func(inventory.Merchant) error) error, f Feed, nowSec int64) (skipped int, err error) {
	err = db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		skipped = 0
		if err := errors.Join(db.unhurried(tx), beginFeed(tx, FeedMerchants, f, nowSec)); err != nil {
			return err
		}
		var failed error
		err := rows(func(m inventory.Merchant) error {
			var put bool
			if put, failed = putFeedMerchant(tx, m, f.GenerationSec); failed == nil && !put {
				skipped++
			}
			return failed
		})
		if err := theirs(err, failed); err != nil || !f.Complete {
			return err
		}
		return withdrawServices(ctx, tx, "named_sec", f.GenerationSec, nowSec)
	})
	return skipped, err
}

// withdrawServices takes the services away from feed merchants that, going by the column, no
// feed has named since generationSec.
func withdrawServices(ctx context.Context, tx *gorm.DB, column string, generationSec, nowSec int64) error {
	for {
		if err := ctx.Err(); err != nil {
			return &refusal{err}
		}
		var ids []string
		err := tx.Raw("SELECT m.id FROM merchants m WHERE m.kind = ? AND m."+column+" < ? AND EXISTS (SELECT 1 FROM services s WHERE s.merchant_id = m.id) ORDER BY m.id LIMIT ?",
			inventory.MerchantFeed, generationSec, rowsAtOnce).Scan(&ids).Error
		if err != nil {
			return fmt.Errorf("look for merchants: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		for _, id := range ids {
			if err := replaceServices(tx, id, nil, 0, nowSec); err != nil {
				return err
			}
		}
	}
}

// PutFeedServices writes the services of feed merchants. rows calls its argument with one
// merchant's services at a time, in the order of the merchants' ids, and may itself be called
// more than once. A complete feed replaces all services, including those of merchants that it
// does not name.
func (db *DB) PutFeedServices(ctx context.Context, rows func(each func(merchantID string, services []inventory.Service) error) error, f Feed, nowSec int64) error {
	return db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		if err := errors.Join(db.unhurried(tx), beginFeed(tx, FeedServices, f, nowSec)); err != nil {
			return err
		}
		var failed error
		err := rows(func(id string, services []inventory.Service) error {
			failed = putFeedServices(tx, id, services, f, nowSec)
			return failed
		})
		if err := theirs(err, failed); err != nil || !f.Complete {
			return err
		}
		return withdrawServices(ctx, tx, "services_sec", f.GenerationSec, nowSec)
	})
}

// putFeedServices writes the services of one merchant, unless it is a clinic.
func putFeedServices(tx *gorm.DB, merchantID string, services []inventory.Service, f Feed, nowSec int64) error {
	var m merchantRow
	switch err := tx.Select("kind").Where("id = ?", merchantID).Limit(1).Find(&m).Error; {
	case err != nil:
		return fmt.Errorf("read merchant: %w", err)
	case m.Kind != inventory.MerchantFeed:
		return nil
	}
	if !f.Complete {
		var err error
		if services, err = withOthers(tx, merchantID, services); err != nil {
			return err
		}
		if len(services) > inventory.MostServices {
			return &refusal{fmt.Errorf("merchant %q would have more than %d services", merchantID, inventory.MostServices)}
		}
	}
	return replaceServices(tx, merchantID, services, f.GenerationSec, nowSec)
}

// theirs is the error of whoever reads rows and calls us with them. Our own error is failed;
// the transaction is not to blame for theirs.
func theirs(err, failed error) error {
	if failed != nil || err == nil {
		return failed
	}
	return &refusal{err}
}

// withOthers adds the merchant's other services to services.
func withOthers(tx *gorm.DB, merchantID string, services []inventory.Service) ([]inventory.Service, error) {
	var rows []serviceRow
	if err := tx.Where("merchant_id = ?", merchantID).Order("position").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read services: %w", err)
	}
	all := slices.Clone(services)
	for _, r := range rows {
		if slices.ContainsFunc(services, func(s inventory.Service) bool { return s.ID == r.ID }) {
			continue
		}
		s, err := r.service()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// replaceServices replaces a merchant's services with those of the feed of generationSec; 0
// is no feed.
func replaceServices(tx *gorm.DB, merchantID string, services []inventory.Service, generationSec, nowSec int64) error {
	if err := affected(tx.Exec("UPDATE merchants SET version = version + 1, services_sec = CASE WHEN services_sec > ? THEN services_sec ELSE ? END WHERE id = ?",
		generationSec, generationSec, merchantID), 1); err != nil {
		return fmt.Errorf("change merchant: %w", err)
	}
	var ids []string
	if err := tx.Model(&serviceRow{}).Where("merchant_id = ?", merchantID).Order("position").Pluck("id", &ids).Error; err != nil {
		return fmt.Errorf("read services: %w", err)
	}
	before := inventory.Merchant{Services: make([]inventory.Service, len(ids))}
	for i, id := range ids {
		before.Services[i].ID = id
	}
	if err := putFormer(tx, merchantID, inventory.Gone(&before, &inventory.Merchant{Services: services}), nowSec); err != nil {
		return err
	}
	if err := tx.Where("merchant_id = ?", merchantID).Delete(&serviceRow{}).Error; err != nil {
		return fmt.Errorf("replace services: %w", err)
	}
	rows := make([]serviceRow, len(services))
	for i, s := range services {
		var err error
		if rows[i], err = rowOfService(merchantID, i, s); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := tx.CreateInBatches(&rows, rowsAtOnce).Error; err != nil {
		return fmt.Errorf("write services: %w", err)
	}
	return nil
}

// Known calls merchant with every merchant and its kind, and then service with every service:
// feeds are checked against them. It stops at the first error that either returns, and
// returns it unchanged.
func (db *DB) Known(ctx context.Context, merchant func(id string, kind inventory.MerchantKind) error, service func(merchantID, id string) error) error {
	var stopped error
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		err := eachRow(tx.Model(&merchantRow{}).Select("id", "kind"), func(r merchantRow) error {
			stopped = merchant(r.ID, r.Kind)
			return stopped
		})
		if err != nil {
			return fmt.Errorf("read merchants: %w", err)
		}
		err = eachRow(tx.Model(&serviceRow{}).Select("merchant_id", "id"), func(r serviceRow) error {
			stopped = service(r.MerchantID, r.ID)
			return stopped
		})
		if err != nil {
			return fmt.Errorf("read services: %w", err)
		}
		return nil
	})
	if stopped != nil {
		return stopped
	}
	return unavailable(err)
}

// eachRow calls do with the rows of a query, one at a time.
func eachRow[T any](q *gorm.DB, do func(T) error) (err error) {
	rows, err := q.Rows()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r T
		if err := q.ScanRows(rows, &r); err != nil {
			return err
		}
		if err := do(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// PutPublished writes rows of an availability feed in one transaction: give it a chunk at a
// time. A feed knows what was booked before it was generated and nothing later, see
// [inventory.Published.Capacity]. PutPublished returns the slots that, together with what
// they share, have more taken at once than they have room for: see [DB.SoldOver].
func (db *DB) PutPublished(ctx context.Context, rows []inventory.Published, generationSec int64) (over []inventory.SlotKey, err error) {
	if len(rows) == 0 {
		return nil, nil
	}
	published := map[inventory.SlotKey]inventory.Published{}
	resources := map[uuid.UUID]inventory.Resource{}
	for _, p := range rows {
		published[p.Key()] = p
		r := p.Resource()
		resources[r.ID] = r
	}
	keys := make([]inventory.SlotKey, 0, len(published))
	for k := range published {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, inventory.SlotKey.Compare)
	if err := db.noteChairs(ctx, rows); err != nil {
		return nil, err
	}
	err = db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		over = nil
		if err := errors.Join(db.unhurried(tx), overtaken(tx, generationSec)); err != nil {
			return err
		}
		if err := makePublished(tx, rows, resources, keys); err != nil {
			return err
		}
		slots, err := db.lockSlots(tx, keys)
		if err != nil {
			return err
		}
		sold, err := db.soldAround(tx, rows, generationSec)
		if err != nil {
			return err
		}
		for i, s := range slots {
			p := published[s.key()]
			known := sold.explained(p)
			slots[i].Offered, slots[i].Capacity = p.Offered(known), p.Capacity(known, s.Taken)
			slots[i].SpotsTotal, slots[i].Known, slots[i].Excess = &p.SpotsTotal, sold.known[s.key()], sold.excess(p)
			slots[i].GenerationSec = generationSec
			if slots[i].Excess > 0 {
				over = append(over, s.key())
			}
			if err := slots[i].setTerms(p.Terms); err != nil {
				return err
			}
		}
		put := tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "resource_id"}, {Name: "start_sec"}},
			DoUpdates: clause.AssignmentColumns([]string{
				"offered", "capacity", "spots_total", "known", "excess", "generation_sec", "first_bookable_sec", "last_bookable_sec", "last_cancellable_sec", "confirmation_mode", "charges",
			}),
		}).Create(&slots)
		if put.Error != nil {
			return fmt.Errorf("write published slots: %w", put.Error)
		}
		return nil
	})
	return over, err
}

// PublishedChange is what rows of an availability feed do, in slots.
type PublishedChange struct {
	Added   int
	Changed int // in room or terms
}

// ComparePublished returns what [DB.PutPublished] would do, and changes nothing.
func (db *DB) ComparePublished(ctx context.Context, rows []inventory.Published, generationSec int64) (c PublishedChange, err error) {
	if len(rows) == 0 {
		return c, nil
	}
	keys := make([]inventory.SlotKey, len(rows))
	for i, p := range rows {
		keys[i] = p.Key()
	}
	slices.SortFunc(keys, inventory.SlotKey.Compare)
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		where, args := slotsWhere(keys)
		var there []slotRow
		if err := tx.Where(where, args...).Find(&there).Error; err != nil {
			return fmt.Errorf("read slots: %w", err)
		}
		sold, err := db.soldAround(tx, rows, generationSec)
		if err != nil {
			return err
		}
		was := map[inventory.SlotKey]slotRow{}
		for _, s := range there {
			was[s.key()] = s
		}
		for _, p := range rows {
			s, found := was[p.Key()]
			slot, err := s.slot()
			switch {
			case err != nil:
				return err
			case !found:
				c.Added++
			case s.Offered != p.Offered(sold.explained(p)), !reflect.DeepEqual(slot.Terms, p.Terms):
				c.Changed++
			}
		}
		return nil
	})
	return c, unavailable(err)
}

// makePublished writes missing resources and slots, with room for nobody: what they offer is
// decided once they are locked.
func makePublished(tx *gorm.DB, rows []inventory.Published, resources map[uuid.UUID]inventory.Resource, keys []inventory.SlotKey) error {
	resources, members := maps.Clone(resources), map[uuid.UUID][]shareRow{}
	for _, p := range rows {
		r := p.Resource()
		if members[r.ID] != nil {
			continue
		}
		shares, of := p.MemberOf()
		for i, s := range shares {
			resources[of[i].ID] = of[i]
			members[r.ID] = append(members[r.ID], shareRow{ShareID: s.ID, ResourceID: r.ID, Kind: s.Kind, SlotSeconds: r.SlotSeconds, PartySize: s.PartySize})
		}
	}
	rs := make([]resourceRow, 0, len(resources))
	for _, r := range resources {
		rs = append(rs, rowOfResource(r))
	}
	slices.SortFunc(rs, func(a, b resourceRow) int {
		return inventory.SlotKey{Resource: a.ID}.Compare(inventory.SlotKey{Resource: b.ID})
	})
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&rs, rowsAtOnce).Error; err != nil {
		return fmt.Errorf("write resources: %w", err)
	}
	if err := putShares(tx, slices.Concat(slices.Collect(maps.Values(members))...)); err != nil {
		return err
	}
	slots := make([]slotRow, len(keys))
	for i, k := range keys {
		slots[i] = slotRow{ResourceID: k.Resource, StartSec: k.StartSec}
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&slots, rowsAtOnce).Error; err != nil {
		return fmt.Errorf("write published slots: %w", err)
	}
	return nil
}

// heldBefore counts the spots of each published slot that we had booked before
// the feed was generated.
func heldBefore(tx *gorm.DB, keys []inventory.SlotKey, generationSec int64) (map[inventory.SlotKey]int, error) {
	where, args := slotsWhere(keys)
	var rows []holdRow
	if err := tx.Where("since_sec < ?", generationSec).Where("("+where+")", args...).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	known := map[inventory.SlotKey]int{}
	for _, h := range rows {
		known[inventory.SlotKey{Resource: h.ResourceID, StartSec: h.StartSec}] += h.Spots
	}
	return known, nil
}

// WithdrawPublished ends a complete availability feed: it withdraws published slots that start
// after nowSec and were not in the feed. They keep only the room for what is taken. It
// returns how many there were.
func (db *DB) WithdrawPublished(ctx context.Context, generationSec, nowSec int64) (withdrawn int, err error) {
	withdrawn = 0
	for {
		if err := ctx.Err(); err != nil {
			return withdrawn, err
		}
		var n int
		err := db.transact(ctx, importLimit, func(tx *gorm.DB) error {
			if err := errors.Join(db.unhurried(tx), overtaken(tx, generationSec)); err != nil {
				return err
			}
			var gone []slotRow
			err := tx.Raw(`SELECT s.* FROM slots s JOIN resources r ON r.id = s.resource_id AND r.kind = 'published'
				WHERE s.generation_sec < ? AND s.offered > 0 AND s.start_sec > ?
				ORDER BY s.resource_id, s.start_sec LIMIT ?`, generationSec, nowSec, rowsAtOnce).Scan(&gone).Error
			if err != nil {
				return fmt.Errorf("look for withdrawn slots: %w", err)
			}
			n = len(gone)
			if n == 0 {
				return nil
			}
			gone, err = db.lockSlots(tx, slotKeys(gone))
			if err != nil {
				return err
			}
			where, args := slotsWhere(slotKeys(gone))
			return tx.Exec("UPDATE slots SET offered = 0, capacity = taken, known = taken WHERE "+where, args...).Error
		})
		if err != nil || n == 0 {
			return withdrawn, err
		}
		withdrawn += n
	}
}

func slotKeys(rows []slotRow) []inventory.SlotKey {
	keys := make([]inventory.SlotKey, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys
}
