package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
)

// Blocks implements [booking.Store]. Its condition on the state must be the same text as in
// the index bookings_blocks.
func (db *DB) Blocks(ctx context.Context, q booking.BlocksQuery) (found []booking.Booking, more bool, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		query := tx.Where("merchant_id = ? AND state = 'BLOCKED' AND start_sec > ? AND start_sec < ? AND end_sec > ?",
			q.MerchantID, q.FromSec-int64(booking.LongestBlock/time.Second), q.ToSec, q.FromSec)
		if q.ZoneID != "" {
			query = query.Where("zone_id = ?", q.ZoneID)
		}
		if q.AfterID != uuid.Nil {
			query = query.Where("(start_sec, id) > (?, ?)", q.AfterSec, q.AfterID)
		}
		found, err = readBookings(tx, query.Order("start_sec, id").Limit(q.Limit+1))
		return err
	})
	more = len(found) > q.Limit
	return found[:min(len(found), q.Limit)], more, unavailable(err)
}

// changesOf finds the first changes of a merchant's bookings after a position. An event whose
// merchant is "" is older than that column, and may be anybody's.
func changesOf(tx *gorm.DB, merchantID string, at booking.ChangesCursor, limit int) (changes []booking.ChangeAt, err error) {
	err = tx.Model(&eventRow{}).Select("booking_id", "at_sec", "version").
		Where("merchant_id = ? AND at_sec >= ?", merchantID, max(at.SinceSec, at.After.AtSec)).
		Where("(at_sec, booking_id, version) > (?, ?, ?)", at.After.AtSec, at.After.BookingID, at.After.Version).
		Order("at_sec, booking_id, version").Limit(limit).Find(&changes).Error
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return changes, nil
}

// Changes implements [booking.Store].
func (db *DB) Changes(ctx context.Context, q booking.ChangesQuery) (found []booking.Schedule, last booking.ChangeAt, more bool, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		said, err := changesOf(tx, q.MerchantID, q.Cursor, q.Limit+1)
		if err != nil {
			return err
		}
		unsaid, err := changesOf(tx, "", q.Cursor, q.Limit+1)
		if err != nil {
			return err
		}
		changes := append(said, unsaid...)
		slices.SortFunc(changes, booking.ChangeAt.Compare)
		found, more = nil, len(changes) > q.Limit
		changes = changes[:min(len(changes), q.Limit)]
		if len(changes) == 0 {
			return nil
		}
		last = changes[len(changes)-1]
		order := map[uuid.UUID]int{} // where a visit changed last
		for i, c := range changes {
			order[c.BookingID] = i
		}
		ids := make([]uuid.UUID, 0, len(order))
		for id := range order {
			ids = append(ids, id)
		}
		query := tx.Where("id IN ? AND merchant_id || '' = ? AND state NOT IN ?", ids, q.MerchantID, noVisits) // by id, and not by the merchant's index
		switch {
		case q.Waiting == nil:
		case *q.Waiting:
			query = query.Where("state = ?", booking.Pending)
		default:
			query = query.Where("state <> ?", booking.Pending)
		}
		found, err = readSchedules(tx, query)
		slices.SortFunc(found, func(a, b booking.Schedule) int { return order[a.Booking.ID] - order[b.Booking.ID] })
		return err
	})
	return found, last, more, unavailable(err)
}

// noVisits are the states of bookings that are no visits.
var noVisits = []booking.State{booking.Held, booking.Expired, booking.Blocked, booking.Unblocked}
