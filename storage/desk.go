package storage

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/letters"
)

// Schedule implements [booking.Store].
func (db *DB) Schedule(ctx context.Context, key booking.ScheduleKey) (booking.Schedule, error) {
	var found booking.Schedule
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		all, err := readSchedules(tx, tx.Where("merchant_id = ? AND schedule_id = ?", key.MerchantID, key.ScheduleID))
		if err != nil {
			return err
		}
		if len(all) == 0 {
			return booking.ErrNotFound
		}
		found = all[0]
		found.Events, err = readEvents(tx, found.Booking.ID)
		return err
	})
	return found, unavailable(err)
}

// Schedules implements [booking.Store].
func (db *DB) Schedules(ctx context.Context, merchantID string, catalogueVersion, fromSec, toSec int64) ([]booking.Schedule, error) {
	var found []booking.Schedule
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := db.catalogueIsAt(tx, merchantID, catalogueVersion); err != nil {
			return err
		}
		all, err := readSchedules(tx, tx.Where("merchant_id = ? AND start_sec >= ? AND start_sec < ?", merchantID, fromSec, toSec).Order("start_sec, id"))
		found = all
		return err
	})
	return found, unavailable(err)
}

// readSchedules reads what query finds of the bookings, with their guests.
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
	for some := idsIn(ids); len(some) > 0; some = some[min(len(some), batch):] {
		var rows []guestRow
		if err := tx.Where("id IN ?", some[:min(len(some), batch)]).Find(&rows).Error; err != nil {
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

// phoneDigits is an expression for a guest's number without what people put
// between its digits. The index guests_phone is on it, to the letter.
const phoneDigits = `replace(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '(', ''), ')', ''), '.', ''), '+', '')`

// SearchGuests implements [booking.Store]. It never looks beyond one merchant:
// a number is found by its indexes, a part of a name by going through the
// merchant's guests in the order of the answer until there are enough.
func (db *DB) SearchGuests(ctx context.Context, q booking.GuestSearch) ([]booking.Guest, error) {
	search := db.read.WithContext(ctx).Where("merchant_id = ? AND joined_to IS NULL", q.MerchantID)
	if q.VisitorID != "" { // also the name of a chart that is joined to another
		search = search.Where("id IN (SELECT COALESCE(joined_to, id) FROM guests WHERE merchant_id = ? AND visitor_id = ?)", q.MerchantID, q.VisitorID)
	}
	order := "visitor_id"
	if len(q.Phones) > 0 {
		var led []uuid.UUID // whom the number leads to, in whatever way the chart has it
		if q.PhoneKey != "" {
			err := db.read.WithContext(ctx).Model(&guestKeyRow{}).Where("merchant_id = ? AND key = ?", q.MerchantID, q.PhoneKey).Pluck("guest_id", &led).Error
			if err != nil {
				return nil, unavailable(fmt.Errorf("search guest keys: %w", err))
			}
		}
		search = search.Where("("+phoneDigits+" IN ? OR id IN ?)", q.Phones, append(led, uuid.Nil))
		order = "visitor_id || ''" // not the index that has this order, but that of the number
	}
	if q.Email != "" {
		search = search.Where(fmt.Sprintf(db.dialect.lower, "trim(email)")+" = ?", q.Email)
	}
	if q.NamePart != "" {
		// Both orders: "홍길동" may have been split either way. A chart is kept in one
		// form; older releases kept names as they came, so also as macOS writes them.
		name := fmt.Sprintf(db.dialect.lower, "given_name || ' ' || family_name || ' ' || given_name || '\n' || family_name || given_name")
		like := func(form string) string { return "%" + likeEscape.Replace(lowerASCII(form)) + "%" }
		search = search.Where("("+name+` LIKE ? ESCAPE '\' OR `+name+` LIKE ? ESCAPE '\')`, like(letters.Form(q.NamePart)), like(letters.Apart(q.NamePart)))
	}
	var rows []guestRow
	if err := search.Order(order).Limit(q.Limit).Offset(q.Offset).Find(&rows).Error; err != nil {
		return nil, unavailable(fmt.Errorf("search guests: %w", err))
	}
	guests := make([]booking.Guest, len(rows))
	for i, r := range rows {
		guests[i] = booking.Guest(r)
	}
	return guests, nil
}

// likeEscape makes a text stand for itself in a LIKE.
var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`)

// lowerASCII makes A to Z small and leaves every other letter: SQLite knows no
// others, and both databases are to find the same.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
