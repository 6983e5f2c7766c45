package booking

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Slot is what a guest asks for, in Google's terms (v3 Slot).
type Slot struct {
	MerchantID       string
	ServiceID        string
	StartSec         int64 // Unix seconds
	DurationSec      int64
	StaffID          string // "": any or none
	RoomID           string // "": any or none
	PartySize        int    // 0: not said
	AvailabilityTag  string
	ConfirmationMode ConfirmationMode
}

// spelled is the slot with a clinic's room and staff spelled as in its catalogue. At a merchant of
// feeds they are free text.
func (s Slot) spelled(m *inventory.Merchant) Slot {
	if m == nil {
		return s
	}
	if z := m.Zone(s.RoomID); z != nil {
		s.RoomID = z.ID
	}
	if d := m.StaffMember(s.StaffID); d != nil {
		s.StaffID = d.ID
	}
	return s
}

const neverPublished = "no slot of this service was ever published at that time for that staff, room and party size"

// plan is where a request could be booked, as far as the catalogue shows.
type plan struct {
	invalid   *Invalid // it names something that does not exist
	closed    *Failure // it is closed at that time
	soon      *Failure // it is too late to book, unless the slot has a last moment of its own
	published bool     // the slots must have been published
	places    []place  // the booking takes the first that has room
}

// place is one way to seat the request.
type place struct {
	items []OccupiedResource
	holds []inventory.Hold

	// What was published with the slot, once we have read it.
	mode    ConfirmationMode
	charges inventory.Charges
}

// announce adds what the holds take and share.
func (t *Footprint) announce(holds ...inventory.Hold) {
	t.Slots, t.Shares = inventory.Keys(holds...), inventory.Spans(holds...)
}

func (p plan) slots() []inventory.SlotKey { return inventory.Keys(p.holds()...) }

// holds returns the holds of all places.
func (p plan) holds() []inventory.Hold {
	var holds []inventory.Hold
	for _, pl := range p.places {
		holds = append(holds, pl.holds...)
	}
	return holds
}

// unheld reports whether a place has a doctor whose time is not held.
func (p plan) unheld() bool {
	return slices.ContainsFunc(p.places, func(pl place) bool { return slices.ContainsFunc(pl.items, OccupiedResource.unheld) })
}

func (r OccupiedResource) unheld() bool { return r.Doctor != nil && r.DoctorID == nil }

// choose returns the first place that has room, for somebody who holds have.
func (p plan) choose(slots map[inventory.SlotKey]inventory.Slot, have []inventory.Hold) (place, bool) {
	for _, pl := range p.places {
		if inventory.Fits(slots, have, pl.holds) == nil {
			return pl, true
		}
	}
	return place{}, false
}

// notNow says why a place cannot be booked at this moment, or nil: because of the slot's own window,
// or else the notice that the service wants.
func (p plan) notNow(pl place, slots map[inventory.SlotKey]inventory.Slot, now time.Time) *Failure {
	terms := pl.terms(slots)
	switch {
	case now.Unix() < terms.FirstBookableSec:
		return refuse(SlotUnavailable, "too early: the slot cannot be booked yet")
	case terms.LastBookableSec != 0 && now.Unix() > terms.LastBookableSec:
		return refuse(SlotUnavailable, "too late: the slot cannot be booked any more")
	case terms.LastBookableSec != 0:
		return nil
	}
	return p.soon
}

// terms returns what was published with the place's slot.
func (pl place) terms(slots map[inventory.SlotKey]inventory.Slot) inventory.Terms {
	if len(pl.holds) == 0 {
		return inventory.Terms{}
	}
	return slots[pl.holds[0].Keys()[0]].Terms
}

// full is the refusal when no place has room.
func (p plan) full(slots map[inventory.SlotKey]inventory.Slot, own []uuid.UUID) *Failure {
	f := refuse(SlotUnavailable, "the slot is full")
	f.full, f.own = inventory.InTheWay(slots, p.holds()...), own
	return f
}

// unpublished reports whether none of the places was ever published.
func (p plan) unpublished(slots map[inventory.SlotKey]inventory.Slot) bool {
	return p.published && !slices.ContainsFunc(p.places, func(pl place) bool { return pl.exists(slots) })
}

func (pl place) exists(slots map[inventory.SlotKey]inventory.Slot) bool {
	var missing *inventory.Missing
	return !errors.As(inventory.Fits(slots, nil, pl.holds), &missing)
}

// plan finds the places for a slot, or for the visit that occupies keep now and wants to move there.
// It is pure: it looks at the request, the catalogue (nil: no such merchant) and the time.
func (s Slot) plan(m *inventory.Merchant, keep *OccupiedResource, now time.Time) plan {
	if m == nil {
		return plan{invalid: unknown(FieldMerchant, "no such merchant")}
	}
	svc := m.Service(s.ServiceID)
	switch {
	case svc != nil:
	case keep != nil || m.Had(s.ServiceID): // a visit proves that the service existed
		return plan{closed: refuse(SlotUnavailable, "the service is not offered any more")}
	default:
		return plan{invalid: unknown(FieldService, "no such service of this merchant")}
	}
	var p plan
	if m.Kind == inventory.MerchantFeed {
		p = s.planPublished(m, now)
	} else {
		p = s.planClinic(m, svc, keep, now)
	}
	start := time.Unix(s.StartSec, 0)
	switch {
	case p.closed != nil:
	case start.Before(now):
		p.closed = refuse(SlotUnavailable, "the time is past")
	}
	p.soon = tooSoon(svc, start, now)
	return p
}

// tooSoon refuses a booking for which the service wants more notice.
func tooSoon(svc *inventory.Service, start, now time.Time) *Failure {
	if svc != nil && start.Before(now.Add(time.Duration(svc.MinAdvanceBookingSec)*time.Second)) {
		return refuse(SlotUnavailable, "too soon: the service must be booked longer in advance")
	}
	return nil
}

// planPublished plans published slots. One that is published for a party of this size is one table;
// one without a size needs a seat for each person.
func (s Slot) planPublished(m *inventory.Merchant, now time.Time) plan {
	at := func(partySize, spots int) place {
		row := inventory.Published{
			MerchantID: m.ID, ServiceID: s.ServiceID, StartSec: s.StartSec, DurationSec: s.DurationSec,
			StaffID: s.StaffID, RoomID: s.RoomID, PartySize: partySize,
		}
		r, end := row.Resource(), s.StartSec+s.DurationSec
		hold := r.Hold(s.StartSec, end, spots, now.Unix())
		hold.Shares = m.Shares(row)
		return place{
			items: []OccupiedResource{{ResourceID: r.ID, StartSec: s.StartSec, EndSec: end, Spots: spots}},
			holds: []inventory.Hold{hold},
		}
	}
	p := plan{published: true}
	if s.DurationSec == 0 {
		return p // no slot is that short
	}
	if s.PartySize > 0 {
		p.places = append(p.places, at(s.PartySize, 1))
	}
	p.places = append(p.places, at(0, max(1, s.PartySize)))
	return p
}

// planClinic plans a clinic's slots. The service names the group, and the guest may name the zone
// (Google's room) and the doctor (Google's staff). Without a room any enabled zone will do. A party
// takes one place of the lane per person, all in one zone. What the catalogue no longer offers is
// closed; what it never offered is invalid, which comes first.
func (s Slot) planClinic(m *inventory.Merchant, svc *inventory.Service, keep *OccupiedResource, now time.Time) plan {
	invalid := func(f Field, detail string) plan { return plan{invalid: unknown(f, detail)} }
	g := m.Group(svc.GroupID)
	if keep != nil { // the desk may have moved it to another group
		g = m.Group(keep.GroupID)
	}
	if g == nil {
		return plan{closed: refuse(SlotUnavailable, "the group is no longer there")}
	}
	var gone *Failure
	was := func(what string) { gone = refuse(SlotUnavailable, what+" any more") }
	var doctor *Person
	switch {
	case keep != nil && (s.StaffID == "" || keep.Doctor != nil && inventory.SameID(keep.Doctor.ID, s.StaffID)):
		doctor = keep.Doctor
	case s.StaffID != "":
		switch d := m.StaffMember(s.StaffID); {
		case d != nil:
			doctor = &Person{ID: d.ID, Name: d.Name}
		case m.HadStaff(s.StaffID):
			was("the member of staff is not there")
		default:
			return invalid(FieldStaff, "no such member of staff at this merchant")
		}
	}
	zones := g.Zones
	if s.RoomID != "" {
		switch z := g.Zone(s.RoomID); {
		case z != nil:
			zones = []inventory.GroupZone{*z}
		case m.HadRoom(svc.ID, s.RoomID):
			was("the service is not offered in that room")
		default:
			return invalid(FieldRoom, "the service is not offered in such a room")
		}
	}
	var have []OccupiedResource
	kept := int64(0) // the length that the desk has given the visit, which may stay
	if keep != nil {
		have = []OccupiedResource{*keep}
		kept = keep.EndSec - keep.StartSec
		// The visit stays in its zone, unless that is full and the guest named no room.
		if i := slices.IndexFunc(zones, func(z inventory.GroupZone) bool { return inventory.SameID(z.ZoneID, keep.ZoneID) }); i > 0 {
			zones = slices.Concat(zones[i:i+1], zones[:i], zones[i+1:])
		}
	}
	stays := keep != nil && s.StartSec == keep.StartSec && s.DurationSec == kept // the desk has set this time
	switch {
	case s.DurationSec == svc.DurationSec || s.DurationSec == kept:
	case m.HadDuration(svc.ID, s.DurationSec):
		was("the service does not take so long")
	default:
		return invalid(FieldDuration, fmt.Sprintf("the service takes %d seconds", svc.DurationSec))
	}
	switch {
	case stays || g.OnGrid(s.StartSec, m.Location):
	case m.HadStart(svc.ID, s.StartSec):
		was("no visit of this service starts at that time")
	default:
		return invalid(FieldStart, fmt.Sprintf("visits of this service start every %d seconds, and not at that time", g.IntervalSec))
	}
	if gone != nil {
		return plan{closed: gone}
	}
	item := Item{GroupID: g.ID, Doctor: doctor, StartSec: s.StartSec, EndSec: s.StartSec + s.DurationSec, Spots: s.PartySize}
	if !item.open(m, have) || !stays && !g.OpenToGuests(time.Unix(s.StartSec, 0), now, m.Location) {
		return plan{closed: refuse(SlotUnavailable, "closed at that time")}
	}
	var p plan
	for _, z := range zones {
		if z.Enabled {
			item.ZoneID = z.ZoneID
			occupied, holds := item.occupy(m, g, z, now)
			p.places = append(p.places, place{items: []OccupiedResource{occupied}, holds: holds})
		}
	}
	if len(p.places) == 0 {
		p.closed = refuse(SlotUnavailable, "the service is switched off")
	}
	return p
}
