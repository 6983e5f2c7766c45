package storage

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// isRaw is the condition of the index guest_keys_raw: a number's key that a server of an
// earlier release made.
const isRaw = "NOT k.normalized AND substr(k.key, 1, 6) = 'phone:'"

// rawKey is such a key, with its merchant's country.
type rawKey struct {
	guestKeyRow
	Country  string
	TimeZone string
}

// NormalizePhones implements [booking.Store]. It locks guest keys as a booking does: it first
// makes all missing ones in order, and then locks all of them in order.
func (db *DB) NormalizePhones(ctx context.Context, form func(home, written string) string, limit int) (seen int, clashes []booking.Clash, err error) {
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		seen, clashes = 0, nil
		if err := db.readAnew(tx); err != nil {
			return err
		}
		raw, err := query[rawKey](db.dialect, tx, `SELECT k.merchant_id, k.key, k.guest_id, COALESCE(m.country, '') AS country,
			COALESCE(m.time_zone, '') AS time_zone FROM guest_keys k LEFT JOIN merchants m ON m.id = k.merchant_id
			WHERE `+isRaw+` ORDER BY k.merchant_id, k.key LIMIT `+fmt.Sprint(limit))
		if err != nil || len(raw) == 0 {
			return err
		}
		ones := map[booking.GuestKey]guestKeyRow{} // the one form of each
		formOf := map[booking.GuestKey]booking.GuestKey{}
		for _, r := range raw {
			m := inventory.Merchant{Country: r.Country, TimeZone: r.TimeZone}
			one := r.guestKeyRow
			if number := form(m.Home(), strings.TrimPrefix(r.Key, "phone:")); number != "" {
				one.Key = "phone:" + number
			}
			formOf[r.key()] = one.key()
			if _, twice := ones[one.key()]; !twice {
				ones[one.key()] = one
			}
		}
		made, err := query[guestKeyRow](db.dialect, tx, `INSERT INTO guest_keys (merchant_id, key, guest_id, normalized)
			SELECT merchant_id, key, guest_id, true FROM {0} k WHERE true ON CONFLICT DO NOTHING RETURNING merchant_id, key, guest_id`,
			setOf(inOrder(ones)))
		if err != nil {
			return fmt.Errorf("make guest keys: %w", err)
		}
		all := maps.Clone(ones)
		for _, r := range raw {
			all[r.key()] = r.guestKeyRow
		}
		owners, err := db.lockKeys(tx, all)
		if err != nil {
			return err
		}
		for _, r := range made { // for somebody who has been erased, or joined, meanwhile
			if !slices.ContainsFunc(raw, func(w rawKey) bool { return formOf[w.key()] == r.key() && owners[w.key()] == r.GuestID }) {
				return errVanished
			}
		}
		var done []guestKeyRow
		charts := map[uuid.UUID]bool{}
		for _, r := range raw {
			owner, there := owners[r.key()]
			switch one := formOf[r.key()]; {
			case !there:
			case owners[one] == owner:
				done = append(done, r.guestKeyRow)
			default:
				clashes = append(clashes, booking.Clash{
					Keys: [2]booking.GuestKey{r.key(), one}, Charts: [2]booking.Guest{{ID: owner}, {ID: owners[one]}},
				})
				charts[owner], charts[owners[one]] = true, true
			}
		}
		if seen = len(done); seen > 0 {
			if err := exec(db.dialect, tx, seen, keysNormalized, setOf(done)); err != nil {
				return fmt.Errorf("mark guest keys: %w", err)
			}
		}
		return db.readCharts(tx, clashes, idsIn(charts))
	})
	return seen, clashes, err
}

// readAnew marks the numbers of merchants whose country has changed for another look: a
// number without a calling code is another number there.
func (db *DB) readAnew(tx *gorm.DB) error {
	var moved []string
	const elsewhere = "numbers_read_in <> country || ' ' || time_zone"
	if err := tx.Model(&merchantRow{}).Where(elsewhere).Order("id").Limit(rowsAtOnce).Pluck("id", &moved).Error; err != nil || len(moved) == 0 {
		return err
	}
	const numbers = " WHERE merchant_id IN ? AND substr(key, 1, 6) = 'phone:'"
	for _, step := range []string{
		"SELECT id FROM merchants WHERE id IN ? ORDER BY id" + db.dialect.lock,
		"UPDATE merchants SET numbers_read_in = country || ' ' || time_zone WHERE id IN ?",
		"SELECT key FROM guest_keys" + numbers + " ORDER BY merchant_id, key" + db.dialect.lock,
		"UPDATE guest_keys SET normalized = false" + numbers,
	} {
		if err := tx.Exec(step, moved).Error; err != nil {
			return fmt.Errorf("read numbers anew: %w", err)
		}
	}
	return nil
}

// keysNormalized marks keys as looked at.
const keysNormalized = `UPDATE guest_keys SET normalized = true FROM {0} k WHERE guest_keys.merchant_id = k.merchant_id AND guest_keys.key = k.key`

func inOrder(rows map[booking.GuestKey]guestKeyRow) []guestKeyRow {
	return slices.SortedFunc(maps.Values(rows), func(a, b guestKeyRow) int {
		return cmp.Or(cmp.Compare(a.MerchantID, b.MerchantID), cmp.Compare(a.Key, b.Key))
	})
}

// lockKeys locks those of the keys that exist, in order, and returns whose they are.
func (db *DB) lockKeys(tx *gorm.DB, keys map[booking.GuestKey]guestKeyRow) (map[booking.GuestKey]uuid.UUID, error) {
	there, err := query[guestKeyRow](db.dialect, tx, `SELECT o.* FROM {0} k CROSS JOIN guest_keys o
		WHERE o.merchant_id = k.merchant_id AND o.key = k.key ORDER BY o.merchant_id, o.key`+db.dialect.lockOf("o"), setOf(inOrder(keys)))
	if err != nil {
		return nil, fmt.Errorf("lock guest keys: %w", err)
	}
	owners := map[booking.GuestKey]uuid.UUID{}
	for _, r := range there {
		owners[r.key()] = r.GuestID
	}
	return owners, nil
}

// readCharts puts the charts with these ids into clashes.
func (db *DB) readCharts(tx *gorm.DB, clashes []booking.Clash, ids []uuid.UUID) error {
	rows, err := query[guestRow](db.dialect, tx, "SELECT g.* FROM {0} k CROSS JOIN guests g WHERE g.id = k.id", idSet(ids))
	if err != nil {
		return fmt.Errorf("read guests: %w", err)
	}
	charts := map[uuid.UUID]booking.Guest{}
	for _, r := range rows {
		charts[r.ID] = booking.Guest(r)
	}
	for i := range clashes {
		for j, c := range clashes[i].Charts {
			clashes[i].Charts[j] = charts[c.ID]
		}
	}
	return nil
}

// MeetCharts implements [booking.Store]. It locks all keys of both charts, and then the
// charts, in the order of a booking.
func (db *DB) MeetCharts(ctx context.Context, keys [2]booking.GuestKey, older, younger uuid.UUID, join func(older, younger booking.Guest) (booking.Guest, bool)) (met, joined bool, err error) {
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		met, joined = false, false
		var theirs []guestKeyRow
		if err := tx.Where("guest_id IN ?", []uuid.UUID{older, younger}).Find(&theirs).Error; err != nil {
			return fmt.Errorf("read guest keys: %w", err)
		}
		all := map[booking.GuestKey]guestKeyRow{}
		for _, r := range theirs {
			all[r.key()] = r
		}
		owners, err := db.lockKeys(tx, all)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if owner := owners[k]; owner != older && owner != younger {
				return nil // erased, or somebody else's by now; another pass finds what is left
			}
		}
		var rows []guestRow
		if err := tx.Where("id IN ? ORDER BY id"+db.dialect.lock, []uuid.UUID{older, younger}).Find(&rows).Error; err != nil {
			return fmt.Errorf("lock guests: %w", err)
		}
		if len(rows) != 2 || rows[0].JoinedTo != nil || rows[1].JoinedTo != nil {
			return nil
		}
		if rows[0].ID != older {
			rows[0], rows[1] = rows[1], rows[0]
		}
		chart, one := join(booking.Guest(rows[0]), booking.Guest(rows[1]))
		number := setOf([]guestKeyRow{{MerchantID: keys[0].MerchantID, Key: keys[0].Key}, {MerchantID: keys[1].MerchantID, Key: keys[1].Key}})
		if met = true; !one {
			return exec(db.dialect, tx, 2, fmt.Sprintf(`UPDATE guest_keys SET guest_id = '%s', normalized = true FROM {0} k
				WHERE guest_keys.merchant_id = k.merchant_id AND guest_keys.key = k.key`, older), number)
		}
		var visits int64
		if err := tx.Model(&bookingRow{}).Where("guest_id = ?", younger).Limit(1).Count(&visits).Error; err != nil {
			return fmt.Errorf("look for visits: %w", err)
		}
		if visits > 0 { // made since moveVisits ran
			met = false
			return nil
		}
		joined = true
		if err := tx.Exec("UPDATE guest_keys SET guest_id = ? WHERE guest_id = ?", older, younger).Error; err != nil {
			return fmt.Errorf("move guest keys: %w", err)
		}
		if err := exec(db.dialect, tx, 2, keysNormalized, number); err != nil {
			return fmt.Errorf("mark guest keys: %w", err)
		}
		if err := tx.Exec("UPDATE guests SET joined_to = ? WHERE id = ? OR joined_to = ?", older, younger, younger).Error; err != nil {
			return fmt.Errorf("join charts: %w", err)
		}
		return affected(tx.Exec("UPDATE guests SET google_user_id = ?, email = ?, phone = ?, given_name = ?, family_name = ? WHERE id = ?",
			chart.GoogleUserID, chart.Email, chart.Phone, chart.GivenName, chart.FamilyName, older), 1)
	})
	return met, joined, err
}

// VisitsOf implements [booking.Store].
func (db *DB) VisitsOf(ctx context.Context, guest uuid.UUID, limit int) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := db.read.WithContext(ctx).Model(&bookingRow{}).Where("guest_id = ?", guest).Order("end_sec, id").Limit(limit).Pluck("id", &ids).Error
	return ids, unavailable(err)
}

// Stray implements [booking.Store].
func (db *DB) Stray(ctx context.Context) (from uuid.UUID, to booking.Guest, found bool, err error) {
	var rows []guestRow
	err = db.read.WithContext(ctx).Where(`joined_to IS NOT NULL AND EXISTS (SELECT 1 FROM bookings b WHERE b.guest_id = guests.id)`).
		Order("id").Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return uuid.Nil, booking.Guest{}, false, unavailable(err)
	}
	var chart guestRow
	if err := db.read.WithContext(ctx).Where("id = ?", *rows[0].JoinedTo).Take(&chart).Error; err != nil {
		return uuid.Nil, booking.Guest{}, false, unavailable(err)
	}
	return rows[0].ID, booking.Guest(chart), true, nil
}
