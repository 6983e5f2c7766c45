package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// What is archived leaves the database in two steps: [DB.ReadOver] reads it for a file,
// and once that is on disk [DB.RemoveOver] deletes it, if it is still what was read.

// overColumns are what decides whether a booking may be archived.
const overColumns = `SELECT b.id, b.guest_id, b.version, b.start_sec, b.end_sec, b.erased_sec,
	(SELECT COUNT(*) FROM idempotency_tokens t WHERE t.booking_id = b.id) AS tokens,
	COALESCE((SELECT MAX(t.created_sec) FROM idempotency_tokens t WHERE t.booking_id = b.id), 0) AS token_sec,
	EXISTS (SELECT 1 FROM outbox o WHERE o.booking_id = b.id AND o.delivered_sec IS NULL) AS undelivered,
	(b.offer_id <> '' AND EXISTS (SELECT 1 FROM offers f WHERE f.merchant_id = b.merchant_id AND f.id = b.offer_id)
		AND EXISTS (SELECT 1 FROM holds h JOIN resources r ON r.id = h.resource_id AND r.kind = 'quota' WHERE h.booking_id = b.id)) AS offer_use
	FROM bookings b `

// Over returns a page of a merchant's bookings that ended at untilSec or before and whose
// guests' data has been erased, by start and id and after that one.
func (db *DB) Over(ctx context.Context, merchantID string, untilSec int64, after booking.Over, limit int) (found []booking.Over, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		found = nil
		if err := errors.Join(db.byIndexes(tx), db.unhurried(tx)); err != nil {
			return err
		}
		return tx.Raw(overColumns+`WHERE b.merchant_id = ? AND b.start_sec >= ? AND b.start_sec < ? AND b.end_sec <= ? AND b.erased_sec <> 0
			AND (b.start_sec > ? OR b.id > ?) ORDER BY b.start_sec, b.id LIMIT ?`,
			merchantID, after.StartSec, untilSec, untilSec, after.StartSec, after.ID, limit).Scan(&found).Error
	})
	if err != nil {
		return nil, unavailable(fmt.Errorf("look for bookings that are over: %w", err))
	}
	return found, nil
}

// CountUnerased returns how many bookings ended at untilSec or before and have not been
// erased.
func (db *DB) CountUnerased(ctx context.Context, untilSec int64) (n int, err error) {
	err = db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := errors.Join(db.byIndexes(tx), db.unhurried(tx)); err != nil {
			return err
		}
		return tx.Raw("SELECT COUNT(*) FROM bookings WHERE erased_sec = 0 AND end_sec <= ?", untilSec).Scan(&n).Error
	})
	return n, unavailable(err)
}

// Archiver is given what is read for an archive: bookings, then their tokens, then their
// events by booking and version. What it returns an error for ends the reading.
type Archiver interface {
	Booking(b booking.Booking, holds []inventory.Hold) error
	Token(of uuid.UUID, caller string, createdSec int64) error
	Event(of uuid.UUID, version int64, e booking.Event, o Owed) error
}

// Owed is how far the report of a change to others has come.
type Owed struct {
	Topic        string `json:"topic"`
	DueSec       int64  `json:"due_sec"`
	Attempts     int    `json:"attempts"`
	DeliveredSec *int64 `json:"delivered_sec,omitempty"` // nil: nobody has been told
}

// ReadOver reads bookings with all that hangs on them, as of one moment. It has the
// bookings themselves in memory, and of what hangs on them one row at a time.
func (db *DB) ReadOver(ctx context.Context, of []booking.Over, to Archiver) error {
	ids := idsOfOver(of)
	err := db.snapshot(ctx, func(tx *gorm.DB) error {
		if err := errors.Join(db.byIndexes(tx), db.unhurried(tx)); err != nil {
			return err
		}
		found, err := readBookings(tx, tx.Where("id IN ?", ids).Order("id"))
		if err != nil {
			return err
		}
		holds, err := holdsOf(db.dialect, tx, ids)
		if err != nil {
			return err
		}
		for _, b := range found {
			if err := to.Booking(b, holds[b.ID]); err != nil {
				return err
			}
		}
		tokens := tx.Raw("SELECT booking_id, caller, created_sec FROM idempotency_tokens WHERE booking_id IN ? ORDER BY booking_id, created_sec", ids)
		err = eachRow(tokens, func(r tokenRow) error { return to.Token(r.BookingID, r.Caller, r.CreatedSec) })
		if err != nil {
			return fmt.Errorf("read tokens: %w", err)
		}
		type row struct {
			Event        eventRow `gorm:"embedded"`
			Topic        string
			DueSec       int64
			Attempts     int
			DeliveredSec *int64
		}
		events := tx.Raw(`SELECT e.booking_id, e.version, e.at_sec, e.actor, e.key_id, e.action, e.before, e.after, o.topic, o.due_sec, o.attempts, o.delivered_sec
			FROM booking_events e JOIN outbox o ON o.booking_id = e.booking_id AND o.version = e.version
			WHERE e.booking_id IN ? ORDER BY e.booking_id, e.version`, ids)
		err = eachRow(events, func(r row) error {
			return to.Event(r.Event.BookingID, r.Event.Version, r.Event.event(), Owed{Topic: r.Topic, DueSec: r.DueSec, Attempts: r.Attempts, DeliveredSec: r.DeliveredSec})
		})
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		return nil
	})
	return unavailable(err)
}

func idsOfOver(of []booking.Over) []uuid.UUID {
	ids := make([]uuid.UUID, len(of))
	for i, o := range of {
		ids[i] = o.ID
	}
	return ids
}

// RemoveOver deletes those of the bookings that are as they were read and that the rule
// still lets go, with all that hangs on them and charts that this leaves empty, and gives
// back their room. It returns how many. It takes the locks in the order of an operation.
func (db *DB) RemoveOver(ctx context.Context, rule booking.Archival, read []booking.Over) (removed int, err error) {
	was := make(map[uuid.UUID]booking.Over, len(read))
	charts := map[uuid.UUID]bool{}
	for _, o := range read {
		was[o.ID], charts[o.GuestID] = o, true
	}
	delete(charts, uuid.Nil) // of blocks
	ids, guests := idsOfOver(read), idsIn(charts)
	err = db.transact(ctx, importLimit, func(tx *gorm.DB) error {
		removed = 0
		if err := errors.Join(db.byIndexes(tx), db.unhurried(tx)); err != nil {
			return err
		}
		var locked []uuid.UUID
		if err := tx.Raw("SELECT id FROM bookings WHERE id IN ? ORDER BY id"+db.dialect.lock, ids).Scan(&locked).Error; err != nil {
			return fmt.Errorf("lock bookings: %w", err)
		}
		var forgotten []uuid.UUID
		if err := tx.Raw("SELECT id FROM guests WHERE (id IN ? OR joined_to IN ?) AND NOT "+known+" ORDER BY id"+db.dialect.lock, guests, guests).Scan(&forgotten).Error; err != nil {
			return fmt.Errorf("lock guests: %w", err)
		}
		held, err := holdsOf(db.dialect, tx, locked)
		if err != nil {
			return err
		}
		var all []inventory.Hold
		for _, holds := range held {
			all = append(all, holds...)
		}
		if _, err := db.lockSlots(tx, inventory.Keys(all...)); err != nil {
			return err
		}
		// Only now: a copy of a command that blocks a time names the block, by a token
		// of its own, under the locks of its slots.
		var as []booking.Over
		if err := tx.Raw(overColumns+"WHERE b.id IN ?", locked).Scan(&as).Error; err != nil {
			return fmt.Errorf("look again: %w", err)
		}
		as = slices.DeleteFunc(as, func(o booking.Over) bool { return was[o.ID] != o || rule.Stays(o) != "" })
		if removed = len(as); removed == 0 {
			return nil
		}
		if err := db.removeOver(tx, as, held); err != nil {
			return err
		}
		return removeEmptyCharts(tx, forgotten)
	})
	return removed, err
}

// removeOver deletes bookings, which are locked with their slots. Where a table has other
// rows than the bookings say, something is wrong, and nothing is deleted.
func (db *DB) removeOver(tx *gorm.DB, as []booking.Over, held map[uuid.UUID][]inventory.Hold) error {
	var changes []inventory.Change
	var holds, versions, tokens int64
	for _, o := range as {
		changes = append(changes, inventory.Changes(held[o.ID], nil)...)
		holds, versions, tokens = holds+int64(len(held[o.ID])), versions+o.Version, tokens+o.Tokens
	}
	if err := db.giveBack(tx, changes); err != nil {
		return err
	}
	ids := idSet(idsOfOver(as))
	if err := tx.Exec("DELETE FROM occupied_resources WHERE booking_id IN ?", idsOfOver(as)).Error; err != nil {
		return fmt.Errorf("delete from occupied_resources: %w", err)
	}
	for _, t := range []struct {
		table, key string
		rows       int64
	}{
		{"idempotency_tokens", "booking_id", tokens}, {"holds", "booking_id", holds},
		{"outbox", "booking_id", versions}, {"booking_events", "booking_id", versions}, {"bookings", "id", int64(len(as))},
	} {
		if err := exec(db.dialect, tx, int(t.rows), "DELETE FROM "+t.table+" WHERE "+t.key+" IN (SELECT k.id FROM {0} k)", ids); err != nil {
			return fmt.Errorf("delete from %s: %w", t.table, err)
		}
	}
	return nil
}

// giveBack applies changes to slots, which are locked.
func (db *DB) giveBack(tx *gorm.DB, changes []inventory.Change) error {
	var rows []takenRow
	for _, c := range sum(changes) {
		rows = append(rows, takenRow{c.Resource, c.StartSec, c.Spots, c.Blocks})
	}
	if err := change(db.dialect, tx, takeSlots, rows); err != nil {
		return fmt.Errorf("give back slots: %w", err)
	}
	return nil
}

// removeEmptyCharts deletes those of the charts, which are locked and have been erased,
// that nothing leads to any more: first those that are joined to others.
func removeEmptyCharts(tx *gorm.DB, charts []uuid.UUID) error {
	if len(charts) == 0 {
		return nil
	}
	for _, which := range []string{" AND joined_to IS NOT NULL", ""} {
		err := tx.Exec(`DELETE FROM guests WHERE id IN ? AND NOT EXISTS (SELECT 1 FROM bookings b WHERE b.guest_id = guests.id)
			AND NOT EXISTS (SELECT 1 FROM guest_keys k WHERE k.guest_id = guests.id)
			AND NOT EXISTS (SELECT 1 FROM guests j WHERE j.joined_to = guests.id)`+which, charts).Error
		if err != nil {
			return fmt.Errorf("delete empty charts: %w", err)
		}
	}
	return nil
}

// BeingCopied returns an error if the database is being copied: it takes no changes.
func (db *DB) BeingCopied(ctx context.Context) error {
	from, err := latestCopy(db.read.WithContext(ctx), copySource)
	if err != nil {
		return unavailable(err)
	}
	if from != nil && from.FinishedSec == nil {
		return fmt.Errorf("%w: %w", booking.ErrUnavailable, errFenced)
	}
	return nil
}
