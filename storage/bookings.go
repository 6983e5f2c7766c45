package storage

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// MerchantIDs returns all merchants, sorted.
func (db *DB) MerchantIDs(ctx context.Context) ([]string, error) {
	var ids []string
	err := db.read.WithContext(ctx).Raw("SELECT id FROM merchants ORDER BY id").Scan(&ids).Error
	return ids, unavailable(err)
}

// longestSec is how long a booking may be: as long as a feed may publish, a year and a day.
const longestSec = 367 * 24 * 60 * 60

// Bookings returns a merchant's bookings in any state that overlap [fromSec, toSec) (Unix
// seconds), by start and then by id.
func (db *DB) Bookings(ctx context.Context, merchantID string, fromSec, toSec int64) ([]booking.Booking, error) {
	var found []booking.Booking
	err := db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		found, err = readBookings(tx, touching(tx, merchantID, fromSec, toSec, longestSec).Order("start_sec, id"))
		return err
	})
	return found, unavailable(err)
}

// touching looks for a merchant's bookings that overlap [fromSec, toSec) (Unix seconds).
// The index has only their starts, so the caller says how long they are at most.
func touching(tx *gorm.DB, merchantID string, fromSec, toSec, longestSec int64) *gorm.DB {
	return tx.Where("merchant_id = ? AND start_sec > ? AND start_sec < ? AND end_sec > ?", merchantID, fromSec-longestSec, toSec, fromSec)
}

// Booking implements [booking.Store].
func (db *DB) Booking(ctx context.Context, id uuid.UUID) (booking.Booking, error) {
	var found []booking.Booking
	err := db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		found, err = readBookings(tx, tx.Where("id = ?", id))
		return err
	})
	switch {
	case err != nil:
		return booking.Booking{}, unavailable(err)
	case len(found) == 0:
		return booking.Booking{}, booking.ErrNotFound
	}
	return found[0], nil
}

// BookingNamed returns the booking with this booking_id or scheduleId, or
// [booking.ErrNotFound].
func (db *DB) BookingNamed(ctx context.Context, name string) (booking.Booking, error) {
	if id, err := uuid.Parse(name); err == nil {
		return db.Booking(ctx, id)
	}
	var found []booking.Booking
	err := db.snapshot(ctx, func(tx *gorm.DB) (err error) {
		found, err = readBookings(tx, tx.Where("merchant_id IN (SELECT id FROM merchants) AND schedule_id = ?", inventory.PlainID(name)).Limit(2))
		return err
	})
	switch {
	case err != nil:
		return booking.Booking{}, unavailable(err)
	case len(found) == 0:
		return booking.Booking{}, booking.ErrNotFound
	case len(found) > 1: // each is of another clinic
		return booking.Booking{}, fmt.Errorf("%q names bookings of several clinics: use the booking_id", name)
	}
	return found[0], nil
}

// userKey is the condition for users' keys, and for the index guest_keys_user.
const userKey = "substr(key, 1, 5) = 'user:'"

// GuestBookings implements [booking.Store].
func (db *DB) GuestBookings(ctx context.Context, googleUserID string, states []booking.State, nowSec int64) ([]booking.Booking, error) {
	var found []booking.Booking
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		var ids []uuid.UUID
		if err := tx.Raw("SELECT DISTINCT guest_id FROM guest_keys WHERE key = ? AND "+userKey, booking.UserKey(googleUserID)).Scan(&ids).Error; err != nil {
			return fmt.Errorf("look for guest: %w", err)
		}
		if len(ids) == 0 {
			return booking.ErrNotFound
		}
		all, err := readBookings(tx, tx.Where("guest_id IN ? AND end_sec > ? AND state IN ?", ids, nowSec, states).Order("start_sec, id"))
		found = all
		return err
	})
	return found, unavailable(err)
}

// Unconfirmed implements [booking.Store].
func (db *DB) Unconfirmed(ctx context.Context, sinceSec, nowSec int64) ([]uuid.UUID, error) {
	var ids []uuid.UUID
	err := db.read.WithContext(ctx).Model(&bookingRow{}).
		Where("state = ? AND (created_sec <= ? OR start_sec <= ?)", booking.Pending, sinceSec, nowSec).
		Order("id").Limit(rowsAtOnce).Pluck("id", &ids).Error
	return ids, unavailable(err)
}

// readBookings reads the bookings that query finds, with their resources.
func readBookings(tx, query *gorm.DB) ([]booking.Booking, error) {
	var rows []bookingRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read bookings: %w", err)
	}
	items := map[uuid.UUID][]occupiedRow{}
	for ids := idsOf(rows); len(ids) > 0; ids = ids[min(len(ids), rowsAtOnce):] {
		var some []occupiedRow
		if err := tx.Where("booking_id IN ?", ids[:min(len(ids), rowsAtOnce)]).Order("booking_id, seq").Find(&some).Error; err != nil {
			return nil, fmt.Errorf("read occupied resources: %w", err)
		}
		for _, it := range some {
			items[it.BookingID] = append(items[it.BookingID], it)
		}
	}
	return assemble(rows, items)
}

// assemble puts bookings together with what they occupy.
func assemble(rows []bookingRow, items map[uuid.UUID][]occupiedRow) ([]booking.Booking, error) {
	found := make([]booking.Booking, 0, len(rows))
	for _, r := range rows {
		b, err := r.booking(items[r.ID])
		if err != nil {
			return nil, fmt.Errorf("booking %s: %w", r.ID, err)
		}
		found = append(found, b)
	}
	return found, nil
}

// rowsAtOnce is how many rows are read or written with one statement.
const rowsAtOnce = 1000

func idsOf(rows []bookingRow) []uuid.UUID {
	ids := make([]uuid.UUID, len(rows))
	for i, r := range rows {
		ids[i] = r.ID
	}
	return ids
}

// Events returns what happened to a booking, oldest first.
func (db *DB) Events(ctx context.Context, id uuid.UUID) ([]booking.Event, error) {
	events, err := readEvents(db.read.WithContext(ctx), id)
	return events, unavailable(err)
}

func readEvents(tx *gorm.DB, id uuid.UUID) ([]booking.Event, error) {
	var rows []eventRow
	if err := tx.Where("booking_id = ?", id).Order("version").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events := make([]booking.Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events, nil
}
