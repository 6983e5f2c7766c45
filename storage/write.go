package storage

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/booking"
	"holdfast/inventory"
)

// write stores what the successful operations did, and deletes the rows that fetch inserted
// only for the others, with one statement for each table.
//
// fetch inserts tokens, guest keys and slots before anybody knows whether they are needed,
// because the row is the lock that others wait for. A refused operation's token must not stay,
// or its retry would be taken for a copy.
func (b *batch) write(tx *gorm.DB) error {
	for _, step := range []func(*gorm.DB) error{b.writeTokens, b.writeSlots, b.writeGuests, b.writeBookings, b.writeHolds, b.writeEvents} {
		if err := step(tx); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) writeTokens(tx *gorm.DB) error {
	if err := remove(b.dialect, tx, "idempotency_tokens", setOf(b.tokens.unused())); err != nil {
		return fmt.Errorf("give back tokens: %w", err)
	}
	// If the first operation with a token was refused, the token belongs to a later one.
	err := change(b.dialect, tx, `UPDATE idempotency_tokens SET fingerprint = k.fingerprint, booking_id = k.booking_id,
		created_sec = k.created_sec FROM {0} k WHERE idempotency_tokens.caller = k.caller AND idempotency_tokens.token = k.token`, b.tokens.amended(tokenRow.same))
	if err != nil {
		return fmt.Errorf("give tokens: %w", err)
	}
	return nil
}

// takeSlots adds to what is taken and to the blocks. A capacity above the offer was kept only
// for what is taken, so it shrinks when spots are given back.
const takeSlots = `UPDATE slots SET taken = taken + k.spots, blocked = blocked + k.blocks,
	capacity = CASE WHEN k.spots > 0 THEN capacity WHEN offered > taken + k.spots THEN offered ELSE taken + k.spots END
	FROM {0} k WHERE slots.resource_id = k.resource_id AND slots.start_sec = k.start_sec`

// takenRow is a change of a slot for takeSlots.
type takenRow struct {
	ResourceID uuid.UUID
	StartSec   int64
	Spots      int
	Blocks     int
}

func (b *batch) writeSlots(tx *gorm.DB) error {
	var rows []takenRow
	for _, k := range slices.SortedFunc(maps.Keys(b.slots.now), inventory.SlotKey.Compare) {
		was, now := b.slots.was[k], b.slots.now[k]
		if r := (takenRow{k.Resource, k.StartSec, now.Taken - was.Taken, now.Blocked - was.Blocked}); r.Spots != 0 || r.Blocks != 0 {
			rows = append(rows, r)
		}
	}
	if err := change(b.dialect, tx, takeSlots, rows); err != nil {
		return fmt.Errorf("take slots: %w", err)
	}
	if err := remove(b.dialect, tx, "slots", slotSet(b.slots.unused())); err != nil {
		return fmt.Errorf("delete slots nobody took: %w", err)
	}
	return nil
}

// sum adds up the changes of each slot, and leaves out those that cancel out.
func sum(changes []inventory.Change) []inventory.Change {
	sums := map[inventory.SlotKey]inventory.Change{}
	for _, c := range changes {
		s := sums[c.SlotKey]
		sums[c.SlotKey] = inventory.Change{SlotKey: c.SlotKey, Spots: s.Spots + c.Spots, Blocks: s.Blocks + c.Blocks}
	}
	var total []inventory.Change
	for _, k := range slices.SortedFunc(maps.Keys(sums), inventory.SlotKey.Compare) {
		if s := sums[k]; s.Spots != 0 || s.Blocks != 0 {
			total = append(total, s)
		}
	}
	return total
}

// putGuests writes guests; of existing ones it writes what may change.
var putGuests = "INSERT INTO guests (" + namesOf[guestRow]() + ") SELECT " + namesOf[guestRow]() + ` FROM {0} k WHERE true
	ON CONFLICT (id) DO UPDATE SET google_user_id = excluded.google_user_id, email = excluded.email, phone = excluded.phone,
	given_name = excluded.given_name, family_name = excluded.family_name`

func (b *batch) writeGuests(tx *gorm.DB) error {
	if err := remove(b.dialect, tx, "guest_keys", setOf(b.keys.unused())); err != nil {
		return fmt.Errorf("give back guest keys: %w", err)
	}
	err := change(b.dialect, tx, `UPDATE guest_keys SET guest_id = k.guest_id FROM {0} k
		WHERE guest_keys.merchant_id = k.merchant_id AND guest_keys.key = k.key`, b.keys.amended(guestKeyRow.same))
	if err != nil {
		return fmt.Errorf("give guest keys: %w", err)
	}
	rows := make([]guestRow, 0, len(b.guests.now))
	for _, guest := range b.guests.now {
		rows = append(rows, guestRow(guest))
	}
	if err := change(b.dialect, tx, putGuests, rows); err != nil {
		return fmt.Errorf("write guests: %w", err)
	}
	return nil
}

// nextVersion overwrites each booking, but only if it still has the version that the new one
// was made from.
var nextVersion = "UPDATE bookings SET " + setOf([]bookingRow{}).list("%s = k.%s", ", ") + " FROM {0} k WHERE bookings.id = k.id AND bookings.version = k.was"

// writeBookings writes each booking as the last operation left it.
func (b *batch) writeBookings(tx *gorm.DB) error {
	type next struct {
		bookingRow
		Was int64 // version
	}
	var made []bookingRow
	var changed []next
	var items []occupiedRow
	var moved []uuid.UUID // bookings whose resources changed
	first := map[uuid.UUID]bool{}
	for _, p := range b.puts {
		if first[p.booking.ID] {
			continue
		}
		first[p.booking.ID] = true
		one := b.bookings.now[p.booking.ID]
		row, err := rowOfBooking(one)
		if err != nil {
			return err
		}
		if p.booking.Version == 1 {
			made, items = append(made, row), append(items, rowsOfOccupied(one)...)
			continue
		}
		changed = append(changed, next{bookingRow: row, Was: p.booking.Version - 1})
		if !reflect.DeepEqual(b.bookings.was[one.ID].Resources, one.Resources) {
			moved, items = append(moved, one.ID), append(items, rowsOfOccupied(one)...)
		}
	}
	if err := insert(b.dialect, tx, "bookings", made); err != nil {
		return fmt.Errorf("write bookings: %w", err)
	}
	if err := change(b.dialect, tx, nextVersion, changed); err != nil {
		return fmt.Errorf("update bookings: %w", err)
	}
	if len(moved) > 0 {
		text, args := b.dialect.render("DELETE FROM occupied_resources WHERE booking_id IN (SELECT k.id FROM {0} k)", []set{idSet(moved)})
		if _, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, text, args...); err != nil {
			return fmt.Errorf("replace occupied resources: %w", err)
		}
	}
	if err := insert(b.dialect, tx, "occupied_resources", items); err != nil {
		return fmt.Errorf("write occupied resources: %w", err)
	}
	return nil
}

// writeHolds writes the difference between the old holds and the new ones.
func (b *batch) writeHolds(tx *gorm.DB) error {
	var gone []holdKey
	var made []holdRow
	for id, holds := range b.holds.now {
		was, now := rowsOfHolds(id, b.holds.was[id]), rowsOfHolds(id, holds)
		for _, r := range without(was, now) {
			gone = append(gone, r.key())
		}
		made = append(made, without(now, was)...)
	}
	if err := remove(b.dialect, tx, "holds", setOf(gone)); err != nil {
		return fmt.Errorf("give back holds: %w", err)
	}
	if err := insert(b.dialect, tx, "holds", made); err != nil {
		return fmt.Errorf("write holds: %w", err)
	}
	return nil
}

func without(rows, others []holdRow) []holdRow {
	return slices.DeleteFunc(slices.Clone(rows), func(r holdRow) bool { return slices.Contains(others, r) })
}

// topicBooking is the outbox topic of a change of a booking. Its event has what is needed for
// both messages that others are owed, the booking and the availability.
const topicBooking = "booking"

func (b *batch) writeEvents(tx *gorm.DB) error {
	events := make([]eventRow, len(b.puts))
	outbox := make([]outboxRow, len(b.puts))
	for i, p := range b.puts {
		events[i] = eventRow{
			BookingID: p.booking.ID, MerchantID: p.booking.MerchantID, Version: p.booking.Version, AtSec: p.event.AtSec, Actor: p.event.Actor, KeyID: p.event.KeyID,
			Action: p.event.Action, Before: string(p.event.Before), After: string(p.event.After),
		}
		outbox[i] = outboxRow{BookingID: p.booking.ID, Version: p.booking.Version, Topic: topicBooking, DueSec: p.event.AtSec}
		if p.event.Action == booking.Erased || p.event.Action == booking.Joined {
			outbox[i].DeliveredSec = &events[i].AtSec // there is nothing to deliver
		}
	}
	if err := insert(b.dialect, tx, "booking_events", events); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := insert(b.dialect, tx, "outbox", outbox); err != nil {
		return fmt.Errorf("write outbox: %w", err)
	}
	return b.writeErased(tx)
}

// noSedation removes from an event's members whether the guest needs sedation. No text in an
// event can contain the pattern, because quotation marks are escaped there.
const noSedation = `replace(replace(%[1]s, '"sedation_required":true', '"sedation_required":null'), '"sedation_required":false', '"sedation_required":null')`

// writeErased removes what tokens and events still have about the guests of erased bookings.
// The tokens and events themselves stay.
func (b *batch) writeErased(tx *gorm.DB) error {
	var ids []uuid.UUID
	for _, p := range b.puts {
		if p.event.Action == booking.Erased {
			ids = append(ids, p.booking.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	for _, text := range []string{
		"UPDATE idempotency_tokens SET fingerprint = '' WHERE booking_id IN ?",
		"UPDATE booking_events SET before = " + fmt.Sprintf(noSedation, "before") + ", after = " + fmt.Sprintf(noSedation, "after") + " WHERE booking_id IN ?",
	} {
		if err := tx.Exec(text, ids).Error; err != nil {
			return fmt.Errorf("erase: %w", err)
		}
	}
	return nil
}

// affected returns the error of a statement, or one saying that it did not change n rows.
func affected(done *gorm.DB, n int) error {
	if done.Error != nil {
		return done.Error
	}
	if done.RowsAffected != int64(n) {
		return fmt.Errorf("%d rows instead of %d", done.RowsAffected, n)
	}
	return nil
}
