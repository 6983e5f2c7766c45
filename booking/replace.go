package booking

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// ReplaceClinic replaces a clinic's whole catalogue, and returns what that does to future visits. No
// booking is lost and no place is sold twice:
//
//   - a slot's capacity follows the catalogue, but never falls below what is taken; it shrinks
//     as bookings leave. A lane that is gone, or whose zone is switched off, offers nothing;
//   - visits take the time of a doctor who becomes exclusive, and give back the time of one who
//     no longer is;
//   - if a group is counted in other steps now, so are its visits;
//   - ids keep their stored spelling.
//
// It returns *Conflict, and changes nothing, if a group's interval changes although it has visits,
// or if visits want the same exclusive doctor at once.
func (s *Service) ReplaceClinic(ctx context.Context, by By, m inventory.Merchant) (Comparison, error) {
	var c Comparison
	now := s.Now()
	err := s.Store.ReplaceClinic(ctx, m, now.Unix(), Replacement{by: by, now: now, told: &c})
	return c, err
}

// CompareClinic returns what [Service.ReplaceClinic] would do, and changes nothing.
func (s *Service) CompareClinic(ctx context.Context, m inventory.Merchant) (Comparison, error) {
	now := s.Now()
	before, next, bookings, err := s.Store.Clinic(ctx, m, now.Unix())
	if err != nil {
		return Comparison{}, err
	}
	return Compare(before, next, bookings, now), nil
}

// Replacement decides what happens to a clinic's bookings when a new catalogue replaces the old one.
// The store asks it while it locks and writes; its methods are pure.
type Replacement struct {
	by   By
	now  time.Time
	told *Comparison // the result, for the importer
}

// Recounts reports whether the catalogue counts the booking differently, so that it must be locked
// and changed along with it.
func (r Replacement) Recounts(next *inventory.Merchant, b Booking) bool {
	_, changed := b.Reassigned(next)
	return changed
}

// Allow returns *[Conflict]s if the bookings do not allow the catalogue. They are all that hold room
// and are not over.
func (r Replacement) Allow(before, next *inventory.Merchant, bookings []Booking) error {
	*r.told = Compare(before, next, bookings, r.now)
	return r.told.Refused()
}

// InTurn returns the bookings in the order in which to recount them. Visits come first, because a
// block closes a doctor's time to whoever comes later.
func (r Replacement) InTurn(bookings []Booking) []Booking {
	turns := slices.Clone(bookings)
	slices.SortStableFunc(turns, func(a, b Booking) int {
		switch {
		case a.IsBlock() == b.IsBlock():
			return 0
		case b.IsBlock():
			return -1
		}
		return 1
	})
	return turns
}

// Footprint returns what recounting the bookings will touch; held is what they hold.
func (r Replacement) Footprint(next *inventory.Merchant, bookings []Booking, held map[uuid.UUID][]inventory.Hold) Footprint {
	var touches Footprint
	var holds []inventory.Hold
	for _, b := range bookings {
		touches.Bookings = append(touches.Bookings, b.ID)
		as, _ := b.Reassigned(next)
		holds = append(append(append(holds, held[b.ID]...), b.Recounted(as, next, held[b.ID], r.now)...), as.DoctorHolds(next.ID, r.now)...)
	}
	touches.Slots = inventory.Keys(inventory.Places(holds)...)
	return touches
}

// Room returns what the bookings, which now hold held, will hold of lanes. They keep their place
// however full it is, so the store must give the slots room for them.
func (r Replacement) Room(next *inventory.Merchant, bookings []Booking, held map[uuid.UUID][]inventory.Hold) []inventory.Change {
	var changes []inventory.Change
	for _, b := range bookings {
		as, _ := b.Reassigned(next)
		changes = append(changes, inventory.Changes(held[b.ID], b.Recounted(as, next, held[b.ID], r.now))...)
	}
	return changes
}

// Recount changes the bookings, which are in tx, to what the catalogue says. It returns *[Conflict]
// if a doctor who becomes exclusive is at another visit then.
func (r Replacement) Recount(tx Tx, next *inventory.Merchant, bookings []Booking) error {
	for _, b := range bookings {
		err := reassign(tx, r.by, b, next, r.now)
		var full *inventory.Full
		if errors.As(err, &full) {
			return &Conflict{MerchantID: next.ID, Detail: "an exclusive doctor has no time for a visit", Visits: []string{b.ScheduleID}}
		}
		if err != nil {
			return err
		}
	}
	return nil
}
