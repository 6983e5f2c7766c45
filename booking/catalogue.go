package booking

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Comparison is what a new catalogue does to a merchant and its future visits.
type Comparison struct {
	Differences []inventory.Difference
	Affected    []Affected
	Conflicts   []*Conflict // if there are any, the catalogue is refused
}

// Affected is a future visit that a catalogue does not provide for. It stays as it is: only the
// desk can say what should become of it.
type Affected struct {
	ScheduleID string
	StartSec   int64
	EndSec     int64
	Reasons    []Reason
	Before     bool // the previous catalogue did not provide for it either, for the same reasons
}

// Reason is why a catalogue does not provide for a visit.
type Reason string

// The reasons.
const (
	OverCapacity Reason = "over capacity" // more visits than places, this one among them
	GroupGone    Reason = "group gone"
	ZoneGone     Reason = "zone gone"
	ZoneOff      Reason = "zone switched off"
	ClosedThen   Reason = "closed at that time"
	DoctorGone   Reason = "doctor gone"
	DoctorAway   Reason = "doctor not at work"
	DoctorTwice  Reason = "doctor at two visits" // refused, see Conflict
)

// Conflict is a change of the catalogue that future visits do not allow.
type Conflict struct {
	MerchantID string
	Detail     string
	Visits     []string // schedule ids
}

func (c *Conflict) Error() string {
	return fmt.Sprintf("merchant %s: %s: %s", c.MerchantID, c.Detail, strings.Join(c.Visits, " "))
}

// Refused joins the conflicts, or is nil.
func (c Comparison) Refused() error {
	var all []error
	for _, conflict := range c.Conflicts {
		all = append(all, conflict)
	}
	return errors.Join(all...)
}

// Compare returns what the catalogue next does to a merchant; before is nil if the merchant is
// new. bookings are those that hold room and end after now.
func Compare(before, next *inventory.Merchant, bookings []Booking, now time.Time) Comparison {
	c := Comparison{Differences: inventory.Differences(before, next)}
	bookings = slices.DeleteFunc(slices.Clone(bookings), func(b Booking) bool {
		return !slices.Contains(Live, b.State) || b.lapsed(now)
	})
	for i := range next.Groups {
		g := &next.Groups[i]
		if visits := uncountable(before, next, g, bookings); visits != nil {
			c.Conflicts = append(c.Conflicts, &Conflict{next.ID, "the interval of group " + g.ID + " cannot change while visits are still to come", visits})
		}
	}
	was := map[string][]Reason{}
	if before != nil {
		affected, _ := misfits(before, bookings, now)
		for _, a := range affected {
			was[a.ScheduleID] = a.Reasons
		}
	}
	affected, twice := misfits(next, bookings, now)
	for i, a := range affected {
		affected[i].Before = slices.Equal(was[a.ScheduleID], a.Reasons)
	}
	c.Affected = affected
	for _, doctor := range slices.Sorted(maps.Keys(twice)) {
		c.Conflicts = append(c.Conflicts, &Conflict{next.ID, "doctor " + doctor + " cannot be exclusive while visits to come overlap", twice[doctor]})
	}
	return c
}

// uncountable returns the visits and blocks, sorted, that forbid the group's new interval or the
// grid of another time zone. A new kind of grid alone is allowed: the visits are counted anew, see
// [Booking.Reassigned].
func uncountable(before, m *inventory.Merchant, g *inventory.Group, bookings []Booking) []string {
	var was *inventory.Group
	if before != nil {
		was = before.Group(g.ID)
	}
	resized := was != nil && was.IntervalSec != g.IntervalSec
	if was != nil && !resized && before.TimeZone == m.TimeZone {
		return nil
	}
	var visits []string
	for _, b := range bookings {
		if slices.ContainsFunc(b.Resources, func(r OccupiedResource) bool {
			return inventory.SameID(r.GroupID, g.ID) && (resized || r.ResourceID != inventory.LaneResource(m.ID, g, inventory.GroupZone{ZoneID: r.ZoneID}).ID)
		}) {
			visits = append(visits, b.ScheduleID)
		}
	}
	slices.Sort(visits)
	return visits
}

// misfits returns the visits among the bookings that the catalogue does not provide for, in order,
// and for each doctor the visits that want the doctor at the same time.
func misfits(m *inventory.Merchant, bookings []Booking, now time.Time) (found []Affected, twice map[string][]string) {
	room := map[inventory.SlotKey]int{} // what is left
	holds := make([][]inventory.Hold, len(bookings))
	for i, b := range bookings {
		if b.IsBlock() { // it takes no room
			continue
		}
		holds[i] = inventory.Merge(b.wanted(m, now))
		for _, h := range holds[i] {
			for _, k := range h.Keys() {
				if _, counted := room[k]; !counted {
					room[k] = h.Resource.DefaultCapacity
				}
				room[k] -= h.Spots
			}
		}
	}
	twice = map[string][]string{}
	for i, b := range bookings {
		a := Affected{ScheduleID: b.ScheduleID, StartSec: b.StartSec, EndSec: b.EndSec, Reasons: b.misfits(m)}
		for _, h := range holds[i] {
			doctor := h.Resource.Ref
			switch {
			case !slices.ContainsFunc(h.Keys(), func(k inventory.SlotKey) bool { return room[k] < 0 }):
			case h.Resource.Kind != inventory.KindStaff:
				a.Reasons = append(a.Reasons, OverCapacity)
			case !slices.Contains(twice[doctor], b.ScheduleID):
				a.Reasons = append(a.Reasons, DoctorTwice)
				twice[doctor] = append(twice[doctor], b.ScheduleID)
			}
		}
		slices.Sort(a.Reasons)
		a.Reasons = slices.Compact(a.Reasons)
		if len(a.Reasons) > 0 && b.State.ahead() {
			found = append(found, a)
		}
	}
	return found, twice
}

// wanted returns what a booking would hold in enabled zones of the catalogue.
func (b Booking) wanted(m *inventory.Merchant, now time.Time) []inventory.Hold {
	var holds []inventory.Hold
	for _, r := range b.Resources {
		it := Item{GroupID: r.GroupID, ZoneID: r.ZoneID, Doctor: r.Doctor, StartSec: r.StartSec, EndSec: r.EndSec, Spots: r.Spots}
		if g := m.Group(r.GroupID); g != nil && g.Zone(r.ZoneID) != nil && g.Zone(r.ZoneID).Enabled {
			_, lane := it.occupy(m, g, *g.Zone(r.ZoneID), now)
			holds = append(holds, lane[0])
			for _, s := range lane[0].Shares { // counted like a resource, in slots as short as a doctor's
				zone := inventory.Resource{ID: s.ID, Kind: inventory.KindShare, SlotSeconds: inventory.StaffSlotSeconds, DefaultCapacity: s.Capacity}
				holds = append(holds, zone.Hold(lane[0].StartSec, lane[0].EndSec, lane[0].Spots, now.Unix()))
			}
		}
		if doctor, held := it.doctor(m); held {
			holds = append(holds, doctor.Hold(r.StartSec, r.EndSec, 1, now.Unix()))
		}
	}
	return holds
}

// misfits returns the reasons that the visit shows by itself.
func (b Booking) misfits(m *inventory.Merchant) []Reason {
	var reasons []Reason
	for _, r := range b.Resources {
		it := Item{GroupID: r.GroupID, Doctor: r.Doctor, StartSec: r.StartSec, EndSec: r.EndSec}
		start, end := time.Unix(r.StartSec, 0), time.Unix(r.EndSec, 0)
		switch g := m.Group(r.GroupID); {
		case g == nil:
			reasons = append(reasons, GroupGone)
		case g.Zone(r.ZoneID) == nil:
			reasons = append(reasons, ZoneGone)
		case !g.Zone(r.ZoneID).Enabled:
			reasons = append(reasons, ZoneOff)
		case !g.Open(start, end, m.Location):
			reasons = append(reasons, ClosedThen)
		}
		if it.Doctor == nil {
			continue
		}
		switch s := m.StaffMember(it.Doctor.ID); {
		case s == nil:
			reasons = append(reasons, DoctorGone)
		case !s.Open(start, end, m.Location):
			reasons = append(reasons, DoctorAway)
		}
	}
	return reasons
}

// Reassigned is the booking as the catalogue counts it: in the steps of its groups' lanes, and
// holding a doctor's time exactly if the doctor is exclusive. changed reports whether that differs
// from b. A lane that no longer exists stays.
func (b Booking) Reassigned(m *inventory.Merchant) (next Booking, changed bool) {
	next = b
	next.Resources = slices.Clone(b.Resources)
	for i, r := range next.Resources {
		if lane, there := r.lane(m); there && lane.ID != r.ResourceID {
			changed = true
			next.Resources[i].ResourceID = lane.ID
		}
		doctor, held := Item{Doctor: r.Doctor}.doctor(m)
		if held == (r.DoctorID != nil) {
			continue
		}
		changed = true
		next.Resources[i].DoctorID = nil
		if held {
			next.Resources[i].Doctor, next.Resources[i].DoctorID = r.Doctor.spelled(m), &doctor.ID
		}
	}
	return next, changed
}

// lane returns the stretch's lane in the catalogue, if it is there.
func (r OccupiedResource) lane(m *inventory.Merchant) (lane inventory.Resource, there bool) {
	g := m.Group(r.GroupID)
	if g == nil || g.Zone(r.ZoneID) == nil {
		return lane, false
	}
	return inventory.LaneResource(m.ID, g, *g.Zone(r.ZoneID)), true
}

// Recounted returns what the booking holds of lanes once it is counted as next. Holds on a lane
// that it leaves move to the lane that replaces it; the rest of have stays.
func (b Booking) Recounted(next Booking, m *inventory.Merchant, have []inventory.Hold, now time.Time) []inventory.Hold {
	left := map[uuid.UUID]bool{}
	var onto []inventory.Hold
	for i, r := range next.Resources {
		if was := b.Resources[i].ResourceID; was != r.ResourceID {
			left[was] = true
			lane, _ := r.lane(m)
			h := lane.Hold(r.StartSec, r.EndSec, r.Spots, now.Unix())
			h.Block = b.IsBlock()
			onto = append(onto, h)
		}
	}
	stay := slices.DeleteFunc(slices.Clone(have), func(h inventory.Hold) bool { return left[h.Resource.ID] })
	return append(stay, onto...)
}

// DoctorHolds returns what the booking holds of exclusive doctors.
func (b Booking) DoctorHolds(merchantID string, now time.Time) []inventory.Hold {
	var holds []inventory.Hold
	for _, r := range b.Resources {
		if r.DoctorID != nil {
			h := inventory.StaffResource(merchantID, r.Doctor.ID).Hold(r.StartSec, r.EndSec, 1, now.Unix())
			h.Block = b.IsBlock()
			holds = append(holds, h)
		}
	}
	return holds
}

// reassign counts an announced booking as the new catalogue has it, in the transaction that
// stores the catalogue. The booking changes lanes, where the import has made room for it, and
// takes or gives back doctors' time. reassign returns *inventory.Full if a doctor is at another
// visit then.
func reassign(tx Tx, by By, b Booking, m *inventory.Merchant, now time.Time) error {
	next, _ := b.Reassigned(m)
	have := tx.Holds(b.ID)
	onLanes := b.Recounted(next, m, have, now)
	if err := inventory.Recount(tx, b.ID, have, onLanes); err != nil {
		return err
	}
	others := slices.DeleteFunc(slices.Clone(onLanes), func(h inventory.Hold) bool { return h.Resource.Kind == inventory.KindStaff })
	if err := inventory.Move(tx, b.ID, onLanes, slices.Concat(others, next.DoctorHolds(m.ID, now))); err != nil {
		return err
	}
	_, err := putNext(tx, b, next, Event{By: by, Action: Adjusted, AtSec: now.Unix()})
	return err
}
