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

// known is a condition for guests of whom anything is known.
const known = "(google_user_id <> '' OR email <> '' OR phone <> '' OR given_name <> '' OR family_name <> '' OR visitor_id NOT LIKE 'erased-%')"

// idle is a condition for guests whose visits, if there were any, have all been
// erased.
const idle = "NOT EXISTS (SELECT 1 FROM bookings b WHERE b.guest_id = guests.id AND b.erased_sec = 0)"

// IdleGuests implements [booking.Store].
func (db *DB) IdleGuests(ctx context.Context, untilSec int64, after uuid.UUID, limit int) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := db.read.WithContext(ctx).Model(&guestRow{}).Where("id > ? AND created_sec <= ? AND "+known+" AND "+idle, after, untilSec).
		Order("id").Limit(limit).Pluck("id", &ids).Error
	return ids, unavailable(err)
}

// GuestsNamed implements [booking.Store].
func (db *DB) GuestsNamed(ctx context.Context, merchantID string, keys []string, visitorID string) ([]booking.Guest, error) {
	var rows []guestRow
	query := db.read.WithContext(ctx).Where(`(id IN (SELECT k.guest_id FROM merchants m CROSS JOIN guest_keys k WHERE k.merchant_id = m.id AND k.key IN ?)
		OR visitor_id = ? AND visitor_id <> '')`, append([]string{""}, keys...), visitorID)
	if merchantID != "" {
		query = query.Where("merchant_id = ?", merchantID)
	}
	if err := query.Order("id").Find(&rows).Error; err != nil {
		return nil, unavailable(fmt.Errorf("read guests: %w", err))
	}
	guests := make([]booking.Guest, len(rows))
	for i, r := range rows {
		guests[i] = booking.Guest(r)
	}
	return guests, nil
}

// ForgetGuests implements [booking.Store]. It takes the locks in the order of a
// booking: a guest who is booking right now is not idle, or is met as somebody
// new.
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

// forgetMarketing leaves the wish of somebody who is a guest elsewhere.
func forgetMarketing(tx *gorm.DB, googleUserID string) (forgotten bool, err error) {
	gone := tx.Where("google_user_id = ? AND NOT EXISTS (SELECT 1 FROM guest_keys WHERE key = ? AND "+userKey+")",
		googleUserID, booking.UserKey(googleUserID)).Delete(&marketingRow{})
	if gone.Error != nil {
		return false, fmt.Errorf("forget marketing preference: %w", gone.Error)
	}
	return gone.RowsAffected > 0, nil
}
