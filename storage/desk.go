package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
)

// Schedule implements [booking.Store].
func (db *DB) Schedule(ctx context.Context, key booking.ScheduleKey, history booking.HistoryPage) (found booking.Schedule, more bool, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		all, err := readSchedules(tx, tx.Where("merchant_id = ? AND schedule_id = ?", key.MerchantID, key.ScheduleID))
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return booking.ErrNotFound
		}
		found = all[0]
		found.Events, more, err = readHistory(tx, found.Booking.ID, history)
		return err
	})
	return found, more, unavailable(err)
}

// longestVisitSec is how long a visit at a clinic may be: its stretches all start on one day,
// which has at most 25 hours, and each takes less than 24. (Rows B9 and B11 of
// docs/update-reservation.md.)
const longestVisitSec = 49 * 60 * 60

// readHistory reads a page of a booking's events: first their lengths, then those that fit
// on the page.
func readHistory(tx *gorm.DB, id uuid.UUID, page booking.HistoryPage) (events []booking.Event, more bool, err error) {
	if page.Limit == 0 {
		return nil, false, nil
	}
	var there []struct{ Version, Bytes int64 }
	err = tx.Raw(`SELECT version, octet_length(before) + octet_length(after) AS bytes FROM booking_events
		WHERE booking_id = ? AND version > ? ORDER BY version LIMIT ?`, id, page.After, page.Limit+1).Scan(&there).Error
	if err != nil {
		return nil, false, fmt.Errorf("measure events: %w", err)
	}
	n := fitting(len(there), page.Limit, func(i int) int64 { return there[i].Bytes })
	if n == 0 {
		return nil, false, nil
	}
	events, err = readEvents(tx.Where("version > ? AND version <= ?", page.After, there[n-1].Version), id)
	return events, n < len(there), err
}

// fitting is how many of n fit on a page: at most limit and [booking.PageBytes], but at
// least one.
func fitting(n, limit int, bytes func(i int) int64) int {
	n = min(n, limit)
	total := int64(0)
	for i := range n {
		if total += bytes(i); i > 0 && total > booking.PageBytes {
			return i
		}
	}
	return n
}

// bookingBytes is an expression for the stored length of those parts of a booking that can
// be long.
const bookingBytes = `octet_length(b.contact) + octet_length(b.additional_request) + COALESCE(octet_length(b.payment), 0)
	+ COALESCE(octet_length(b.assignee), 0) + COALESCE(octet_length(b.counselor), 0) + COALESCE(octet_length(b.funnel), 0)
	+ COALESCE(octet_length(b.memo), 0) + COALESCE(octet_length(b.requested_procedures), 0)
	+ (SELECT COALESCE(SUM(200 + COALESCE(octet_length(o.doctor_id), 0) + COALESCE(octet_length(o.doctor_name), 0)), 0)
		FROM occupied_resources o WHERE o.booking_id = b.id)`

// Schedules implements [booking.Store]. It first finds the page's visits and their lengths,
// and then reads those that fit.
func (db *DB) Schedules(ctx context.Context, r booking.ScheduleRange) (found []booking.Schedule, more bool, err error) {
	first := r.FromSec - longestVisitSec
	if r.After.ID != uuid.Nil {
		first = max(first, r.After.StartSec)
	}
	waiting := "" // either
	if r.Waiting != nil {
		waiting = map[bool]string{true: "yes", false: "no"}[*r.Waiting]
	}
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := db.catalogueIsAt(tx, r.MerchantID, r.CatalogueVersion); err != nil {
			return err
		}
		var there []struct {
			ID    uuid.UUID
			Bytes int64
		}
		err := tx.Raw(`SELECT p.id, `+bookingBytes+` AS bytes FROM (
				SELECT v.id, v.start_sec FROM bookings v WHERE v.merchant_id = @merchant AND v.start_sec >= @first AND v.start_sec < @to AND v.end_sec > @from
					AND v.state NOT IN @others AND (v.start_sec > @first OR v.id > @after)
					AND (@waiting = '' OR @waiting = CASE v.state WHEN @pending THEN 'yes' ELSE 'no' END)
					AND (@group = '' AND @zone = '' OR EXISTS (SELECT 1 FROM occupied_resources o WHERE o.booking_id = v.id
						AND (@group = '' OR lower(o.group_id) = @group) AND (@zone = '' OR lower(o.zone_id) = @zone)))
				ORDER BY v.start_sec, v.id LIMIT @rows OFFSET @offset) p CROSS JOIN bookings b
			WHERE b.id = p.id ORDER BY p.start_sec, p.id`, map[string]any{
			"merchant": r.MerchantID, "first": first, "from": r.FromSec, "waiting": waiting, "pending": booking.Pending, "to": r.ToSec, "others": booking.NoVisit, "after": r.After.ID,
			"group": strings.ToLower(r.GroupID), "zone": strings.ToLower(r.ZoneID), "rows": r.Limit + 1, "offset": r.Offset,
		}).Scan(&there).Error
		if err != nil {
			return fmt.Errorf("measure bookings: %w", err)
		}
		n := fitting(len(there), r.Limit, func(i int) int64 { return there[i].Bytes })
		ids := make([]uuid.UUID, n)
		for i := range ids {
			ids[i] = there[i].ID
		}
		found, more = nil, n < len(there)
		if n == 0 {
			return nil
		}
		found, err = readSchedules(tx, tx.Where("id IN ?", ids).Order("start_sec, id"))
		return err
	})
	return found, more, unavailable(err)
}

// readSchedules reads the bookings that query finds, with their guests.
func readSchedules(tx, query *gorm.DB) ([]booking.Schedule, error) {
	bookings, err := readBookings(tx, query)
	if err != nil {
		return nil, err
	}
	ids := map[uuid.UUID]bool{}
	for _, b := range bookings {
		ids[b.GuestID] = true
	}
	guests := map[uuid.UUID]booking.Guest{}
	for some := idsIn(ids); len(some) > 0; some = some[min(len(some), rowsAtOnce):] {
		var rows []guestRow
		if err := tx.Where("id IN ?", some[:min(len(some), rowsAtOnce)]).Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("read guests: %w", err)
		}
		for _, r := range rows {
			guests[r.ID] = booking.Guest(r)
		}
	}
	found := make([]booking.Schedule, len(bookings))
	for i, b := range bookings {
		found[i] = booking.Schedule{Booking: b, Guest: guests[b.GuestID]}
	}
	return found, nil
}
