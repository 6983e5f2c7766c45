package storage

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/inventory"
)

// view is what one operation sees of the database, and what it did: it is
// filled by fetch, changed by the operation in memory, and stored by write.
type view struct {
	prior     *idempotency.Claim
	bookings  map[uuid.UUID]booking.Booking
	schedule  uuid.UUID
	holds     map[uuid.UUID][]inventory.Hold
	newKeys   []booking.GuestKey
	newGuest  uuid.UUID
	guests    map[booking.GuestKey]booking.Guest
	visitor   *booking.Guest
	visits    []booking.Visit
	announced map[inventory.SlotKey]bool
	slots     map[inventory.SlotKey]inventory.Slot

	taken []inventory.Change
	held  []heldChange
	guest *booking.Guest
	puts  []put
}

// heldChange is what an operation did to the holds of one booking.
type heldChange struct {
	owner      uuid.UUID
	gone, made []inventory.Hold
}

// put is a booking that an operation wrote, with its event.
type put struct {
	booking booking.Booking
	event   booking.Event
}

// fetch locks and reads what an operation announced, in the order in which
// everything is locked: token, bookings, guest keys, guests, resources (shared,
// only while slots are made), slots. A token that is known already ends it:
// its booking is read, and nothing else is looked at.
func (db *DB) fetch(tx *gorm.DB, k booking.Keys) (*view, error) {
	v := &view{
		bookings: map[uuid.UUID]booking.Booking{}, holds: map[uuid.UUID][]inventory.Hold{},
		newGuest: k.NewGuest, guests: map[booking.GuestKey]booking.Guest{},
		announced: map[inventory.SlotKey]bool{}, slots: map[inventory.SlotKey]inventory.Slot{},
	}
	for _, step := range []func(*gorm.DB, booking.Keys, *view) error{
		db.fetchToken, db.fetchCatalogueVersion, db.fetchBookings, db.fetchGuests, db.fetchVisits, db.fetchSlots,
	} {
		if err := step(tx, k, v); err != nil {
			return nil, err
		}
		if v.prior != nil {
			break
		}
	}
	return v, nil
}

func (db *DB) fetchToken(tx *gorm.DB, k booking.Keys, v *view) error {
	if k.Claim == nil {
		return nil
	}
	c := tokenRow{
		Caller: k.Claim.Caller, Token: k.Claim.Token, Fingerprint: k.Claim.Fingerprint,
		BookingID: k.Claim.Subject, CreatedSec: k.Claim.AtSec,
	}
	made := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&c)
	if made.Error != nil {
		return fmt.Errorf("claim token: %w", made.Error)
	}
	if err := db.at("after the token"); err != nil || made.RowsAffected == 1 {
		return err
	}
	var prior tokenRow
	if err := tx.Where("caller = ? AND token = ?", c.Caller, c.Token).Take(&prior).Error; err != nil {
		return fmt.Errorf("read token: %w", err)
	}
	v.prior = &idempotency.Claim{
		Caller: prior.Caller, Token: prior.Token, Fingerprint: prior.Fingerprint,
		Subject: prior.BookingID, AtSec: prior.CreatedSec,
	}
	return v.setBookings(tx, tx.Where("id = ?", prior.BookingID))
}

// fetchCatalogueVersion makes sure that the operation was planned with the
// merchant's newest catalogue, and forgets the copy in memory if it was not.
func (db *DB) fetchCatalogueVersion(tx *gorm.DB, k booking.Keys, _ *view) error {
	if k.MerchantID == "" {
		return nil
	}
	lock := ""
	if k.Steady {
		lock = db.dialect.share
	}
	err := db.catalogueIsAt(tx, k.MerchantID, k.CatalogueVersion, lock)
	if errors.Is(err, booking.ErrStale) {
		return &refusal{err}
	}
	return err
}

func (db *DB) fetchBookings(tx *gorm.DB, k booking.Keys, v *view) error {
	var where []string
	var args []any
	if len(k.Bookings) > 0 {
		where, args = append(where, "id IN ?"), append(args, k.Bookings)
	}
	if k.Schedule.ScheduleID != "" {
		where, args = append(where, "merchant_id = ? AND schedule_id = ?"), append(args, k.Schedule.MerchantID, k.Schedule.ScheduleID)
	}
	if len(where) == 0 {
		return nil
	}
	if err := v.setBookings(tx, tx.Where(anyOf(where)+" ORDER BY id"+db.dialect.lock, args...)); err != nil {
		return err
	}
	ids := slices.Collect(maps.Keys(v.bookings))
	for id, b := range v.bookings {
		if b.MerchantID == k.Schedule.MerchantID && b.ScheduleID == k.Schedule.ScheduleID {
			v.schedule = id
		}
	}
	var err error
	v.holds, err = holdsOf(tx, ids)
	return err
}

// setBookings reads the bookings that the query finds.
func (v *view) setBookings(tx, query *gorm.DB) error {
	found, err := readBookings(tx, query)
	if err != nil {
		return err
	}
	for _, b := range found {
		v.bookings[b.ID] = b
	}
	return nil
}

func holdsOf(tx *gorm.DB, owners []uuid.UUID) (map[uuid.UUID][]inventory.Hold, error) {
	held := map[uuid.UUID][]inventory.Hold{}
	if len(owners) == 0 {
		return held, nil
	}
	var rows []holdRow
	if err := tx.Where("booking_id IN ?", owners).Order("booking_id, resource_id, start_sec").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read holds: %w", err)
	}
	named := map[uuid.UUID]bool{}
	for _, r := range rows {
		named[r.ResourceID] = true
	}
	resources, err := resourcesByID(tx, idsIn(named))
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		held[r.BookingID] = append(held[r.BookingID], r.hold(resources[r.ResourceID]))
	}
	return held, nil
}

func resourcesByID(tx *gorm.DB, ids []uuid.UUID) (map[uuid.UUID]inventory.Resource, error) {
	var rows []resourceRow
	if len(ids) > 0 {
		if err := tx.Where("id IN ?", ids).Find(&rows).Error; err != nil {
			return nil, fmt.Errorf("read resources: %w", err)
		}
	}
	byID := make(map[uuid.UUID]inventory.Resource, len(rows))
	for _, r := range rows {
		byID[r.ID] = r.resource()
	}
	return byID, nil
}

// fetchGuests claims the guest's keys, so that two first requests of one guest
// meet here, and locks whoever they and the bookings belong to, so that a new
// booking and a change of another one of the same guest meet there.
func (db *DB) fetchGuests(tx *gorm.DB, k booking.Keys, v *view) error {
	owners := map[uuid.UUID][]booking.GuestKey{}
	for _, b := range v.bookings {
		owners[b.GuestID] = nil
	}
	if err := db.claimGuestKeys(tx, k, v, owners); err != nil {
		return err
	}
	if k.Visitor.VisitorID != "" {
		var ids []uuid.UUID
		err := tx.Model(&guestRow{}).Where("merchant_id = ? AND visitor_id = ?", k.Visitor.MerchantID, k.Visitor.VisitorID).Pluck("id", &ids).Error
		if err != nil {
			return fmt.Errorf("look for visitor: %w", err)
		}
		for _, id := range ids {
			owners[id] = nil
		}
	}
	if len(owners) == 0 {
		return nil
	}
	var guests []guestRow
	err := tx.Where("id IN ? ORDER BY id"+db.dialect.lock, slices.Collect(maps.Keys(owners))).Find(&guests).Error
	if err != nil {
		return fmt.Errorf("lock guests: %w", err)
	}
	for _, g := range guests {
		for _, key := range owners[g.ID] {
			v.guests[key] = booking.Guest(g)
		}
		if g.VisitorID == k.Visitor.VisitorID && g.MerchantID == k.Visitor.MerchantID {
			v.visitor = new(booking.Guest(g))
		}
	}
	return nil
}

// claimGuestKeys adds to owners whom the announced keys belong to already; the
// others are the new guest's now.
func (db *DB) claimGuestKeys(tx *gorm.DB, k booking.Keys, v *view, owners map[uuid.UUID][]booking.GuestKey) error {
	if len(k.GuestKeys) == 0 {
		return nil
	}
	rows := make([]guestKeyRow, len(k.GuestKeys))
	for i, key := range k.GuestKeys {
		rows[i] = guestKeyRow{MerchantID: key.MerchantID, Key: key.Key, GuestID: k.NewGuest}
	}
	slices.SortFunc(rows, func(a, b guestKeyRow) int {
		return cmp.Or(cmp.Compare(a.MerchantID, b.MerchantID), cmp.Compare(a.Key, b.Key))
	})
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error; err != nil {
		return fmt.Errorf("claim guest keys: %w", err)
	}
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.Key
	}
	var claimed []guestKeyRow
	err := tx.Where("merchant_id = ? AND key IN ? ORDER BY key"+db.dialect.lock, rows[0].MerchantID, names).Find(&claimed).Error
	if err != nil {
		return fmt.Errorf("lock guest keys: %w", err)
	}
	if len(claimed) < len(rows) {
		return errVanished // its guest was being forgotten
	}
	for _, r := range claimed {
		if r.GuestID == k.NewGuest {
			v.newKeys = append(v.newKeys, r.key())
		} else {
			owners[r.GuestID] = append(owners[r.GuestID], r.key())
		}
	}
	return nil
}

// fetchVisits reads what the guests have at the announced time already.
func (db *DB) fetchVisits(tx *gorm.DB, k booking.Keys, v *view) error {
	ids := map[uuid.UUID]bool{}
	for _, g := range v.guests {
		ids[g.ID] = true
	}
	if v.visitor != nil {
		ids[v.visitor.ID] = true
	}
	for _, b := range v.bookings {
		ids[b.GuestID] = true
	}
	delete(ids, uuid.Nil) // of blocks, which are nobody's visits
	if len(ids) == 0 || k.FromSec >= k.ToSec {
		return nil
	}
	var rows []bookingRow
	err := tx.Select("id", "guest_id", "state", "service_id", "staff_id", "room_id", "party_size", "start_sec", "end_sec", "expires_sec", "contact").
		Where("guest_id IN ? AND end_sec > ? AND start_sec < ? AND state IN ?", idsIn(ids), k.FromSec, k.ToSec, booking.Live).
		Order("id").Find(&rows).Error
	if err != nil {
		return fmt.Errorf("read visits: %w", err)
	}
	for _, r := range rows {
		var e encoder
		contact := value[booking.Contact](&e, &r.Contact)
		if e.err != nil {
			return e.err
		}
		v.visits = append(v.visits, booking.Visit{
			BookingID: r.ID, GuestID: r.GuestID, State: r.State, ServiceID: r.ServiceID, StaffID: r.StaffID, RoomID: r.RoomID,
			PartySize: r.PartySize, StartSec: r.StartSec, EndSec: r.EndSec, ExpiresSec: r.ExpiresSec,
			UserID: contact.UserID, Email: contact.Email,
		})
	}
	return nil
}

// fetchSlots locks the announced slots and those of the bookings' holds, all in
// one ascending pass.
func (db *DB) fetchSlots(tx *gorm.DB, k booking.Keys, v *view) error {
	for _, key := range k.Slots {
		v.announced[key] = true
	}
	for _, holds := range v.holds {
		for _, key := range inventory.Keys(holds...) {
			v.announced[key] = true
		}
	}
	rows, err := db.lockSlots(tx, slices.SortedFunc(maps.Keys(v.announced), inventory.SlotKey.Compare))
	if err != nil {
		return err
	}
	for _, r := range rows {
		if v.slots[r.key()], err = r.slot(); err != nil {
			return err
		}
	}
	return db.at("after the slots")
}

// lockSlots locks the rows of keys, which are sorted, and makes those that are
// missing of lanes and staff. It makes before it locks: who locked first and
// then found a row to make could wait for somebody who waits for that lock.
func (db *DB) lockSlots(tx *gorm.DB, keys []inventory.SlotKey) ([]slotRow, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	where, args := slotsWhere(keys)
	var there []slotRow
	if err := tx.Where(where, args...).Find(&there).Error; err != nil {
		return nil, fmt.Errorf("look for slots: %w", err)
	}
	if len(there) < len(keys) {
		if err := db.makeSlots(tx, keys, there); err != nil {
			return nil, err
		}
	}
	var locked []slotRow
	err := tx.Where("("+where+") ORDER BY resource_id, start_sec"+db.dialect.lock, args...).Find(&locked).Error
	if err != nil {
		return nil, fmt.Errorf("lock slots: %w", err)
	}
	return locked, nil
}

// makeSlots writes the rows of keys that are not there. It locks their
// resources shared, so that an import that changes a capacity waits for the
// rows made with the old one and then finds them.
func (db *DB) makeSlots(tx *gorm.DB, keys []inventory.SlotKey, there []slotRow) error {
	have := map[inventory.SlotKey]bool{}
	for _, r := range there {
		have[r.key()] = true
	}
	var missing []inventory.SlotKey
	ids := map[uuid.UUID]bool{}
	for _, key := range keys {
		if !have[key] {
			missing = append(missing, key)
			ids[key.Resource] = true
		}
	}
	var resources []resourceRow
	err := tx.Where("id IN ? AND kind <> ? ORDER BY id"+db.dialect.share, idsIn(ids), inventory.KindPublished).Find(&resources).Error
	if err != nil {
		return fmt.Errorf("lock resources: %w", err)
	}
	capacity := map[uuid.UUID]int{}
	for _, r := range resources {
		capacity[r.ID] = r.DefaultCapacity
	}
	var rows []slotRow
	for _, key := range missing {
		if n, ok := capacity[key.Resource]; ok {
			rows = append(rows, slotRow{ResourceID: key.Resource, StartSec: key.StartSec, Offered: n, Capacity: n})
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := tx.Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(&rows, batch).Error; err != nil {
		return fmt.Errorf("make slots: %w", err)
	}
	return nil
}

// slotsWhere is a condition for sorted keys: resource by resource, so that each
// is one search in the index.
func slotsWhere(keys []inventory.SlotKey) (string, []any) {
	var terms []string
	var args []any
	for i := 0; i < len(keys); {
		var starts []int64
		id := keys[i].Resource
		for ; i < len(keys) && keys[i].Resource == id; i++ {
			starts = append(starts, keys[i].StartSec)
		}
		terms = append(terms, "(resource_id = ? AND start_sec IN ?)")
		args = append(args, id, starts)
	}
	return anyOf(terms), args
}

// anyOf joins conditions by OR, as a balanced tree: SQLite refuses a chain of
// more than a thousand. Of none, none is true.
func anyOf(terms []string) string {
	switch len(terms) {
	case 0:
		return "1 = 0"
	case 1:
		return terms[0]
	}
	half := len(terms) / 2
	return "(" + anyOf(terms[:half]) + " OR " + anyOf(terms[half:]) + ")"
}

// Claimed implements [idempotency.Tx]; the claim itself was made by fetch.
func (v *view) Claimed(idempotency.Claim) (idempotency.Claim, bool, error) {
	if v.prior == nil {
		return idempotency.Claim{}, false, nil
	}
	return *v.prior, true, nil
}

// Booking implements [booking.Tx].
func (v *view) Booking(id uuid.UUID) (booking.Booking, bool) {
	b, found := v.bookings[id]
	return b, found
}

// Schedule implements [booking.Tx].
func (v *view) Schedule() (booking.Booking, bool) { return v.Booking(v.schedule) }

// Holds implements [booking.Tx].
func (v *view) Holds(id uuid.UUID) []inventory.Hold { return v.holds[id] }

// Guests implements [booking.Tx].
func (v *view) Guests() map[booking.GuestKey]booking.Guest { return v.guests }

// Visitor implements [booking.Tx].
func (v *view) Visitor() (booking.Guest, bool) { return orZero(v.visitor), v.visitor != nil }

// Visits implements [booking.Tx].
func (v *view) Visits() []booking.Visit { return v.visits }

// Slots implements [inventory.Tx]. That an operation asks for a slot that it
// did not announce, and that is therefore not locked, is our bug.
func (v *view) Slots(keys []inventory.SlotKey) (map[inventory.SlotKey]inventory.Slot, error) {
	found := make(map[inventory.SlotKey]inventory.Slot, len(keys))
	for _, key := range keys {
		if !v.announced[key] {
			return nil, fmt.Errorf("slot %s at %d was not announced", key.Resource, key.StartSec)
		}
		if s, ok := v.slots[key]; ok {
			found[key] = s
		}
	}
	return found, nil
}

// Take implements [inventory.Tx].
func (v *view) Take(changes []inventory.Change) error {
	for _, c := range changes {
		s := v.slots[c.SlotKey]
		s.Taken += c.Spots
		s.Blocked += c.Blocks
		v.slots[c.SlotKey] = s
	}
	v.taken = append(v.taken, changes...)
	return nil
}

// SetHolds implements [inventory.Tx].
func (v *view) SetHolds(owner uuid.UUID, gone, made []inventory.Hold) error {
	v.held = append(v.held, heldChange{owner: owner, gone: gone, made: made})
	stay := slices.DeleteFunc(slices.Clone(v.holds[owner]), func(h inventory.Hold) bool {
		return slices.ContainsFunc(gone, func(g inventory.Hold) bool {
			return g.Resource.ID == h.Resource.ID && g.StartSec == h.StartSec
		})
	})
	v.holds[owner] = append(stay, made...)
	return nil
}

// PutGuest implements [booking.Tx].
func (v *view) PutGuest(g booking.Guest) { v.guest = &g }

// PutBooking implements [booking.Tx].
func (v *view) PutBooking(b booking.Booking, e booking.Event) {
	v.puts = append(v.puts, put{booking: b, event: e})
	v.bookings[b.ID] = b
}
