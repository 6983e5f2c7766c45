package storage

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
)

// Unerased implements [booking.Store].
func (db *DB) Unerased(ctx context.Context, untilSec int64, limit int) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := db.read.WithContext(ctx).Model(&bookingRow{}).Where("erased_sec = 0 AND end_sec <= ?", untilSec).
		Order("end_sec, id").Limit(limit).Pluck("id", &ids).Error
	return ids, unavailable(err)
}

// UnerasedOf implements [booking.Store].
func (db *DB) UnerasedOf(ctx context.Context, guests []uuid.UUID) ([]booking.Booking, error) {
	if len(guests) == 0 {
		return nil, nil
	}
	var found []booking.Booking
	err := db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		found, err = readBookings(tx, tx.Where("guest_id IN ? AND erased_sec = 0", guests).Order("start_sec, id"))
		return err
	})
	return found, unavailable(err)
}

// known is a condition for guests about whom anything is stored.
const known = "(google_user_id <> '' OR email <> '' OR phone <> '' OR given_name <> '' OR family_name <> '' OR visitor_id NOT LIKE 'erased-%')"

// idle is a condition for guests whose visits, if any, have all been erased, including those
// of the chart that this one is joined to.
const idle = "NOT EXISTS (SELECT 1 FROM bookings b WHERE b.guest_id IN (guests.id, guests.joined_to) AND b.erased_sec = 0)"

// IdleGuests implements [booking.Store].
func (db *DB) IdleGuests(ctx context.Context, untilSec int64, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := db.read.WithContext(ctx).Model(&guestRow{}).Where("id > ? AND created_sec <= ? AND "+known+" AND "+idle, after, untilSec).
		Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, unavailable(err)
}

// GuestsNamed implements [booking.Store].
func (db *DB) GuestsNamed(ctx context.Context, merchantID string, keys []string, visitorID string) ([]booking.Guest, error) {
	var found []booking.Guest
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		// A union, because OR would read every chart.
		query := tx.Where(`id IN (SELECT k.guest_id FROM merchants m CROSS JOIN guest_keys k WHERE k.merchant_id = m.id AND k.key IN ?
			UNION SELECT g.id FROM merchants m CROSS JOIN guests g WHERE g.merchant_id = m.id AND g.visitor_id = ? AND g.visitor_id <> '')`,
			append([]string{""}, keys...), visitorID)
		if merchantID != "" {
			query = query.Where("merchant_id = ?", merchantID)
		}
		named, err := guestsOf(query)
		if err == nil {
			found, err = withJoined(tx, named)
		}
		return err
	})
	return found, unavailable(err)
}

// GuestsWithNumber implements [booking.Store].
func (db *DB) GuestsWithNumber(ctx context.Context, merchantIDs, keys, numbers []string) (led, others []booking.Guest, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		led, others = nil, nil
		for some := range slices.Chunk(merchantIDs, rowsAtOnce) {
			byKey, err := guestsOf(tx.Where("id IN (SELECT guest_id FROM guest_keys WHERE merchant_id IN ? AND key IN ?)", some, keys))
			if err != nil {
				return err
			}
			byDigits, err := guestsOf(tx.Where("merchant_id IN ? AND "+phoneDigits+" IN ? AND joined_to IS NULL", some, numbers))
			if err != nil {
				return err
			}
			led, others = append(led, byKey...), append(others, byDigits...)
		}
		led, err = withJoined(tx, led)
		return err
	})
	return led, others, unavailable(err)
}

// withJoined returns the charts, the charts that they are joined to, and all that are joined
// to these, each once.
func withJoined(tx *gorm.DB, charts []booking.Guest) ([]booking.Guest, error) {
	ids := map[uuid.UUID]bool{}
	for _, g := range charts {
		ids[g.ID] = true
		if g.JoinedTo != nil {
			ids[*g.JoinedTo] = true
		}
	}
	var all []booking.Guest
	for some := range slices.Chunk(idsIn(ids), rowsAtOnce) {
		found, err := guestsOf(tx.Where("id IN ? OR joined_to IN ?", some, some))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

func guestsOf(query *gorm.DB) ([]booking.Guest, error) {
	var rows []guestRow
	if err := query.Order("id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read guests: %w", err)
	}
	guests := make([]booking.Guest, len(rows))
	for i, r := range rows {
		guests[i] = booking.Guest(r)
	}
	return guests, nil
}

// Homes implements [booking.Store].
func (db *DB) Homes(ctx context.Context, merchantID string) ([]booking.Home, error) {
	var rows []merchantRow
	query := db.read.WithContext(ctx).Select("id", "country", "time_zone")
	if merchantID != "" {
		query = query.Where("id = ?", merchantID)
	}
	if err := query.Find(&rows).Error; err != nil {
		return nil, unavailable(fmt.Errorf("read merchants: %w", err))
	}
	homes := make([]booking.Home, len(rows))
	for i, r := range rows {
		homes[i] = booking.Home{MerchantID: r.ID, Country: r.home()}
	}
	return homes, nil
}

// ForgetGuests implements [booking.Store]. It takes the locks in the order of a booking, so
// a guest who is booking right now either is no longer idle, or books as somebody new.
func (db *DB) ForgetGuests(ctx context.Context, ids []uuid.UUID) (forgotten int, err error) {
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		var keys []guestKeyRow
		if err := tx.Where("guest_id IN ? ORDER BY merchant_id, key"+db.dialect.lock, ids).Find(&keys).Error; err != nil {
			return fmt.Errorf("lock guest keys: %w", err)
		}
		var guests []guestRow
		if err := tx.Where("id IN ? ORDER BY id"+db.dialect.lock, ids).Find(&guests).Error; err != nil {
			return fmt.Errorf("lock guests: %w", err)
		}
		var unneeded []uuid.UUID
		if err := tx.Model(&guestRow{}).Where("id IN ? AND "+idle, ids).Pluck("id", &unneeded).Error; err != nil {
			return fmt.Errorf("look for visits: %w", err)
		}
		if forgotten = len(unneeded); forgotten == 0 {
			return nil
		}
		if err := tx.Where("guest_id IN ?", unneeded).Delete(&guestKeyRow{}).Error; err != nil {
			return fmt.Errorf("forget guest keys: %w", err)
		}
		for _, g := range guests {
			if !slices.Contains(unneeded, g.ID) {
				continue
			}
			if _, err := forgetMarketing(tx, g.GoogleUserID); err != nil {
				return err
			}
		}
		var searched []searchedRow
		if err := tx.Raw("SELECT "+searchedColumns+" FROM guests WHERE id IN ?", unneeded).Scan(&searched).Error; err != nil {
			return fmt.Errorf("read guests: %w", err)
		}
		if err := dropTerms(tx, searched); err != nil {
			return err
		}
		return affected(tx.Exec(`UPDATE guests SET google_user_id = '', email = '', phone = '', given_name = '', family_name = '', searched = ?,
			visitor_id = 'erased-' || CAST(id AS TEXT) WHERE id IN ?`, nothingSearchable, unneeded), forgotten)
	})
	return forgotten, err
}

// ForgetMarketing implements [booking.Store].
func (db *DB) ForgetMarketing(ctx context.Context, googleUserID string) (forgotten bool, err error) {
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		forgotten, err = forgetMarketing(tx, googleUserID)
		return err
	})
	return forgotten, err
}

// ForgetIdleMarketing implements [booking.Store].
func (db *DB) ForgetIdleMarketing(ctx context.Context, untilSec int64, after string, limit int) (last string, forgotten int, err error) {
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		last, forgotten = "", 0
		var ids []string
		if err := tx.Model(&marketingRow{}).Where("google_user_id > ? AND since_sec <= ?", after, untilSec).
			Order("google_user_id").Limit(limit).Pluck("google_user_id", &ids).Error; err != nil {
			return fmt.Errorf("look for marketing preferences: %w", err)
		}
		for _, id := range ids {
			gone, err := forgetMarketing(tx, id)
			if err != nil {
				return err
			}
			if last = id; gone {
				forgotten++
			}
		}
		return nil
	})
	return last, forgotten, err
}

// forgetMarketing keeps the wish of somebody who is still a guest elsewhere.
func forgetMarketing(tx *gorm.DB, googleUserID string) (forgotten bool, err error) {
	gone := tx.Where("google_user_id = ? AND NOT EXISTS (SELECT 1 FROM guest_keys WHERE key = ? AND "+userKey+")",
		googleUserID, booking.UserKey(googleUserID)).Delete(&marketingRow{})
	if gone.Error != nil {
		return false, fmt.Errorf("forget marketing preference: %w", gone.Error)
	}
	return gone.RowsAffected > 0, nil
}
