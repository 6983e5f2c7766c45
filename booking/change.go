package booking

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"holdfast/inventory"
)

// Change is the clinic's command to change a visit (update-reservation V2). The
// zone and the items are always the complete new ones.
type Change struct {
	By
	MerchantID string // of the caller's token
	ScheduleID string
	Seen       *int64 // the version of the visit that the caller knows; nil: any
	ZoneID     string // where the visitor checks in
	Items      []Item // at least one

	Assignee             Edit[Person]
	ConsultationRequired Edit[bool]
	SedationRequired     Edit[bool]
	Counselor            Edit[Person]
	Funnel               Edit[json.RawMessage]
	Memo                 Edit[string]
	RequestedProcedures  Edit[json.RawMessage]
	ConnectedChannel     Edit[string]
}

// Edit says what a command does to an optional member. The zero value keeps it.
type Edit[T any] struct {
	Given bool
	To    *T // nil clears it
}

// Set is an edit to v.
func Set[T any](v T) Edit[T] { return Edit[T]{Given: true, To: &v} }

// Clear is an edit to nothing.
func Clear[T any]() Edit[T] { return Edit[T]{Given: true} }

func (e Edit[T]) apply(old *T) *T {
	if e.Given {
		return e.To
	}
	return old
}

// Change moves a visit to other times, zones and doctors and edits what the desk keeps with it, all
// or nothing. If nothing would change, it succeeds and leaves no trace. It returns *Invalid for a
// schedule, zone or group that this clinic does not have, and *Failure if the visit cannot be
// changed. It checks in the order of the decision table (docs/update-reservation.md, rows C1 to
// C7).
func (s *Service) Change(ctx context.Context, c Change) error {
	now := s.Now()
	var done Booking
	return s.run(ctx, c.MerchantID, func(m *inventory.Merchant) (Footprint, func(Tx) error) {
		c := c.spelled(m)
		items, holds, invalid := c.occupy(m, now)
		touches := Footprint{Schedule: ScheduleKey{MerchantID: c.MerchantID, ScheduleID: c.ScheduleID}}
		if invalid == nil {
			touches.announce(slices.Concat(holds...)...)
			touches.FromSec, touches.ToSec = envelope(items)
			touches.Steady = slices.ContainsFunc(items, OccupiedResource.unheld)
		}
		return touches, func(tx Tx) (err error) {
			b, found := tx.Schedule()
			switch {
			case !found || !b.IsVisit():
				return unknown(FieldSchedule, "no such schedule of this clinic")
			case !b.State.Reserved():
				return refuse(NotReserved, "the visit is "+string(b.State))
			case b.equals(done): // an earlier run, whose COMMIT got no answer, has done it
				return nil
			case c.Seen != nil && *c.Seen != b.Version:
				return newer(b)
			}
			if invalid != nil {
				return invalid
			}
			items, holds := b.seat(items, holds)
			next := c.apply(b, items)
			if next.StartSec != b.StartSec || next.EndSec != b.EndSec {
				if f := collide(next, tx.Visits()); f != nil {
					return f
				}
			}
			if err := c.move(tx, m, b, holds); err != nil {
				return err
			}
			done, err = putNext(tx, b, next, Event{By: c.By, Action: Changed, AtSec: now.Unix()})
			return err
		}
	})
}

// equals reports whether b is what an earlier run of the same operation made, or no different
// from it.
func (b Booking) equals(done Booking) bool {
	if !b.isVersion(done) {
		return false
	}
	was, is, err := difference(done, b)
	return err == nil && string(was) == "{}" && string(is) == "{}"
}

// newer refuses a command of somebody who knows another version of the visit, because it would
// undo what has happened since.
func newer(b Booking) *Invalid {
	return unknown(FieldVersion, fmt.Sprintf("the visit is at version %d", b.Version))
}

// spelled is the command with the ids that we store spelled as in the catalogue.
func (c Change) spelled(m *inventory.Merchant) Change {
	if m == nil {
		return c
	}
	if z := m.Zone(c.ZoneID); z != nil {
		c.ZoneID = z.ID
	}
	c.Counselor.To = c.Counselor.To.spelled(m)
	return c
}

// seat returns what the desk asks for, with the places that the guest's party needs: the desk
// names times and zones, but no numbers. A stretch that does not change keeps its places.
func (b Booking) seat(items []OccupiedResource, holds [][]inventory.Hold) ([]OccupiedResource, [][]inventory.Hold) {
	items, holds = slices.Clone(items), slices.Clone(holds)
	for i := range items {
		it := &items[i]
		it.Spots = max(1, b.PartySize)
		for _, r := range b.Resources {
			if inventory.SameID(r.GroupID, it.GroupID) && inventory.SameID(r.ZoneID, it.ZoneID) && r.StartSec == it.StartSec && r.EndSec == it.EndSec {
				it.Spots = r.Spots
			}
		}
		holds[i] = slices.Clone(holds[i])
		holds[i][0].Spots = it.Spots // the lane's
	}
	return items, holds
}

// apply returns the booking as the command wants it.
func (c Change) apply(b Booking, items []OccupiedResource) Booking {
	b.ZoneID = c.ZoneID
	b.Resources = items
	b.StartSec, b.EndSec = envelope(items)
	b.Assignee = c.Assignee.apply(b.Assignee)
	b.ConsultationRequired = c.ConsultationRequired.apply(b.ConsultationRequired)
	b.SedationRequired = c.SedationRequired.apply(b.SedationRequired)
	b.Counselor = c.Counselor.apply(b.Counselor)
	b.Memo = c.Memo.apply(b.Memo)
	b.ConnectedChannel = c.ConnectedChannel.apply(b.ConnectedChannel)
	b.Funnel = document(c.Funnel, b.Funnel)
	b.RequestedProcedures = document(c.RequestedProcedures, b.RequestedProcedures)
	// Google sees the current room and doctor if the guest named one.
	if b.RoomID != "" {
		b.RoomID = items[0].ZoneID
	}
	if b.StaffID != "" {
		b.StaffID = ""
		if items[0].Doctor != nil {
			b.StaffID = items[0].Doctor.ID
		}
	}
	return b
}

func document(e Edit[json.RawMessage], old json.RawMessage) json.RawMessage {
	if !e.Given {
		return old
	}
	if e.To == nil {
		return nil
	}
	return *e.To
}

// occupy returns what the items occupy, with the holds of each. *Invalid is the first of rows C3
// to C5 that applies.
func (c Change) occupy(m *inventory.Merchant, now time.Time) ([]OccupiedResource, [][]inventory.Hold, *Invalid) {
	if m == nil || m.Zone(c.ZoneID) == nil {
		return nil, nil, unknown(FieldZone, "no such zone of this clinic")
	}
	for n, it := range c.Items {
		if m.Group(it.GroupID) == nil {
			return nil, nil, &Invalid{Field: FieldResourceGroup, Resource: n, Detail: "no such group of this clinic"}
		}
	}
	items := make([]OccupiedResource, len(c.Items))
	holds := make([][]inventory.Hold, len(c.Items))
	for n, it := range c.Items {
		g := m.Group(it.GroupID)
		z := g.Zone(it.ZoneID)
		if z == nil || !z.Enabled {
			return nil, nil, &Invalid{Field: FieldResourceZone, Resource: n, Detail: "not an enabled zone of the group"}
		}
		items[n], holds[n] = it.occupy(m, g, *z, now)
	}
	return items, holds, nil
}

// move takes the new room and gives back the old. Row C7: the refusal names the smallest n for
// which items 0 to n do not fit or item n is closed.
func (c Change) move(tx Tx, m *inventory.Merchant, b Booking, holds [][]inventory.Hold) error {
	taken := func(n int, full []inventory.SlotKey) error {
		return &Failure{Cause: SlotUnavailable, Resource: n, Detail: "full or closed at that time", full: full}
	}
	open := c.open(m, b)
	have := inventory.Places(tx.Holds(b.ID))
	err := inventory.Move(tx, b.ID, have, slices.Concat(holds[:open]...))
	var full *inventory.Full
	if errors.As(err, &full) {
		slots, err := tx.Slots(inventory.Keys(slices.Concat(have, slices.Concat(holds...))...))
		if err != nil {
			return err
		}
		for n := range open {
			if errors.As(inventory.Fits(slots, have, slices.Concat(holds[:n+1]...)), &full) {
				return taken(n, inventory.InTheWay(slots, slices.Concat(holds...)...))
			}
		}
	}
	if err != nil {
		return fmt.Errorf("move: %w", err)
	}
	if open < len(holds) {
		return taken(open, nil)
	}
	return nil
}

// open counts the leading items that the timetables allow.
func (c Change) open(m *inventory.Merchant, b Booking) int {
	closed := slices.IndexFunc(c.Items, func(it Item) bool { return !it.open(m, b.Resources) })
	if closed < 0 {
		return len(c.Items)
	}
	return closed
}
