package booking

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// ReplaceClinic stores a clinic's whole catalogue in place of what it had, and tells
// what that does to the visits to come. No booking is lost and none is sold twice:
//
//   - a slot's capacity follows the catalogue, but never below what is taken; then it
//     shrinks as bookings leave. A lane that is gone, or in a zone that is switched
//     off, offers nothing;
//   - visits take the time of a doctor who is exclusive from now on, and give back that
//     of one who no longer is;
//   - visits of a group that is counted in other steps from now on are counted in those;
//   - ids keep the spelling in which they have been stored.
//
// It returns *Conflict, and has changed nothing, if a group's interval changes under
// visits, or visits want the same exclusive doctor at once.
func (s *Service) ReplaceClinic(ctx context.Context, by By, m inventory.Merchant) (Comparison, error) {
	var c Comparison
	now := s.Now()
	err := s.Store.ReplaceClinic(ctx, m, now.Unix(), Replacement{by: by, now: now, told: &c})
	return c, err
}

// CompareClinic tells what [Service.ReplaceClinic] would do, and changes nothing.
func (s *Service) CompareClinic(ctx context.Context, m inventory.Merchant) (Comparison, error) {
	now := s.Now()
	before, next, bookings, err := s.Store.Clinic(ctx, m, now.Unix())
	if err != nil {
		return Comparison{}, err
	}
	return Compare(before, next, bookings, now), nil
}

// Replacement decides what happens to a clinic's bookings when a catalogue comes in
// place of another. The store asks it while it locks and writes; its methods are pure.
type Replacement struct {
	by   By
	now  time.Time
	told *Comparison // for whoever imports
}

// Recounts reports whether the booking is counted otherwise in the catalogue, and so
// has to be locked and changed with it.
func (r Replacement) Recounts(next *inventory.Merchant, b Booking) bool {
	_, changed := b.Reassigned(next)
	return changed
}

// Allow refuses a catalogue with *[Conflict]s if the bookings, all that hold room and
// are not over, stand in its way.
func (r Replacement) Allow(before, next *inventory.Merchant, bookings []Booking) error {
	*r.told = Compare(before, next, bookings, r.now)
	return r.told.Refused()
}

// InTurn are the bookings in the order in which they have to be recounted. Visits come
// first: a block closes a doctor's time to those who come later.
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

// Footprint is what recounting the bookings, which hold what held says, will touch.
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

// Room is what the bookings, which hold what held says, come to hold of lanes. They
// keep their place whatever else is there, so the slots have to be given room for it.
func (r Replacement) Room(next *inventory.Merchant, bookings []Booking, held map[uuid.UUID][]inventory.Hold) []inventory.Change {
	var changes []inventory.Change
	for _, b := range bookings {
		as, _ := b.Reassigned(next)
		changes = append(changes, inventory.Changes(held[b.ID], b.Recounted(as, next, held[b.ID], r.now))...)
	}
	return changes
}

// Recount changes the bookings, which are in tx, to what the catalogue says. It returns
// *[Conflict] if a doctor who is exclusive from now on is at another visit then.
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
