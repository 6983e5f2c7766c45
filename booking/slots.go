package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// SlotsQuery asks for the slots of a clinic's groups.
type SlotsQuery struct {
	MerchantID string // of the caller's token
	GroupIDs   []string
	DoctorID   string // the doctor whose time must be free as well; "": any
	FromSec    int64  // of the slots that start in [FromSec, ToSec), Unix seconds
	ToSec      int64
}

// GroupSlot is a slot of a group in one of its zones, as the desk sees it.
type GroupSlot struct {
	GroupID  string
	Zone     inventory.Zone
	StartSec int64 // Unix seconds
	EndSec   int64
	Capacity int // visits at a time
	Taken    int // of Capacity; below it, the visit fits
}

// ItemSlots are the slots that one stretch of a visit could be moved to.
type ItemSlots struct {
	Item  int // its index among the visit's resources
	Group string
	Zone  string // where it is now
	Slots []GroupSlot
}

// SlotRange is what [Store.SlotsBetween] reads.
type SlotRange struct {
	MerchantID       string
	CatalogueVersion int64
	Resources        []inventory.Resource // lanes and staff
	FromSec          int64                // slots that start in [FromSec, ToSec), Unix seconds
	ToSec            int64
	NowSec           int64 // leases that have lapsed by then do not count

	// Without is a booking whose own holds do not count, with the version that we looked
	// at; uuid.Nil: none.
	Without        uuid.UUID
	WithoutVersion int64
}

// MostSlots is how many slots one answer may have. MostZoneNames is how many bytes the names of
// their zones, which every slot repeats, may have together. They bound what a query costs if it
// names many groups, slots are short or names are long.
const (
	MostSlots     = 20_000
	MostZoneNames = 3 << 19 // 1.5 MiB
)

// GroupSlots returns the slots of groups in the order asked for, each group's by start, then by
// zone: those of enabled zones throughout which the group is open, and none before its start date.
// They include past slots, and slots that today's closing buffer closes to guests: neither binds the
// desk.
//
// It returns *Invalid for a group or doctor that this clinic does not have, and for a range that
// has more than [MostSlots] slots, or [MostZoneNames] of names.
func (s *Service) GroupSlots(ctx context.Context, q SlotsQuery) ([]GroupSlot, error) {
	var found []GroupSlot
	err := s.replanned(ctx, q.MerchantID, func(m *inventory.Merchant) error {
		grids, invalid := q.grids(m)
		rows, err := s.Store.SlotsBetween(ctx, q.reads(m, grids, Booking{}, s.Now()))
		if err != nil {
			return err
		}
		if invalid != nil {
			return invalid
		}
		found = nil
		for _, g := range grids {
			found = append(found, g.slots(rows)...)
		}
		return nil
	})
	return found, err
}

// ScheduleSlots returns, for each stretch of a visit, the slots of its group as they would be
// without the visit itself: the desk asks before it moves the visit. For a stretch with a doctor,
// slots in which the doctor is busy or off duty are full. A stretch of a group that is gone has no
// slots.
//
// It returns *Invalid for a schedule that this clinic does not have and for a
// range that has more than [MostSlots] slots, or [MostZoneNames] of names, and
// *Failure for a visit that can no longer be moved.
func (s *Service) ScheduleSlots(ctx context.Context, key ScheduleKey, fromSec, toSec int64) ([]ItemSlots, error) {
	var found []ItemSlots
	err := s.replanned(ctx, key.MerchantID, func(m *inventory.Merchant) error {
		visit, _, err := s.Schedule(ctx, key, HistoryPage{})
		if err != nil {
			return err
		}
		b := visit.Booking
		if !b.State.Reserved() {
			return refuse(NotReserved, "the visit is "+string(b.State))
		}
		q := SlotsQuery{MerchantID: key.MerchantID, FromSec: fromSec, ToSec: toSec}
		grids := make([]grid, len(b.Resources))
		for i, r := range b.Resources {
			if g := m.Group(r.GroupID); g != nil {
				grids[i] = q.grid(m, g, r.doctorID())
				grids[i].spots = max(1, b.PartySize)
			}
		}
		rows, err := s.Store.SlotsBetween(ctx, q.reads(m, grids, b, s.Now()))
		if err != nil {
			return err
		}
		if invalid := tooMany(grids); invalid != nil {
			return invalid
		}
		found = nil
		for i, r := range b.Resources {
			found = append(found, ItemSlots{Item: i, Group: r.GroupID, Zone: r.ZoneID, Slots: grids[i].slots(rows)})
		}
		return nil
	})
	return found, err
}

// replanned runs a query that is planned from the catalogue. It runs it again if the catalogue, or
// the visit it is about, was not the newest.
func (s *Service) replanned(ctx context.Context, merchantID string, query func(m *inventory.Merchant) error) error {
	for range replans {
		m, err := s.Store.Merchant(ctx, merchantID)
		if err != nil {
			return fmt.Errorf("read catalogue: %w", err)
		}
		if err := query(m); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fmt.Errorf("%w: the catalogue or the visit keeps changing", ErrUnavailable)
}

// grid is the slots of a group, before we know what is taken of them.
type grid struct {
	group  *inventory.Group
	lanes  []lane
	doctor *inventory.Staff    // whose time must be free as well; nil: nobody's, or somebody whom we do not know
	busy   *inventory.Resource // that time, if it is exclusive
	open   []inventory.TimeSlot
	at     *time.Location
	spots  int // places that the visit needs in a slot
}

type lane struct {
	zone     inventory.Zone
	resource inventory.Resource
	beside   []inventory.Resource // all lanes in the zone, if it has a capacity of its own
}

// grids returns one grid for each group. It returns *Invalid for a group or doctor that the clinic
// does not have, and for too many slots.
func (q SlotsQuery) grids(m *inventory.Merchant) ([]grid, *Invalid) {
	var grids []grid
	seen := map[string]bool{}
	for n, id := range q.GroupIDs {
		g := m.Group(id)
		if g == nil {
			return nil, &Invalid{Field: FieldResourceGroup, Resource: n, Detail: "no such group of this clinic"}
		}
		if !seen[g.ID] {
			seen[g.ID] = true
			grids = append(grids, q.grid(m, g, q.DoctorID))
		}
	}
	if q.DoctorID != "" && m.StaffMember(q.DoctorID) == nil {
		return nil, unknown(FieldStaff, "no such member of staff of this clinic")
	}
	if invalid := tooMany(grids); invalid != nil {
		return nil, invalid
	}
	return grids, nil
}

func (q SlotsQuery) grid(m *inventory.Merchant, g *inventory.Group, doctorID string) grid {
	made := grid{spots: 1, group: g, doctor: m.StaffMember(doctorID), at: m.Location, open: g.OpenSlots(time.Unix(q.FromSec, 0), time.Unix(q.ToSec, 0), m.Location)}
	for _, z := range g.Zones {
		if of := m.Zone(z.ZoneID); z.Enabled && of != nil {
			made.lanes = append(made.lanes, lane{zone: *of, resource: inventory.LaneResource(m.ID, g, z), beside: m.LanesIn(*of)})
		}
	}
	if made.doctor != nil && made.doctor.Exclusive {
		busy := inventory.StaffResource(m.ID, made.doctor.ID)
		made.busy = &busy
	}
	return made
}

func tooMany(grids []grid) *Invalid {
	n, names := 0, 0
	for _, g := range grids {
		n += len(g.open) * len(g.lanes)
		for _, l := range g.lanes {
			names += len(g.open) * len(l.zone.Name)
		}
	}
	if names > MostZoneNames {
		return unknown(FieldRange, fmt.Sprintf("%d slots of zones with long names, %d bytes of names, more than %d", n, names, MostZoneNames))
	}
	if n > MostSlots {
		return unknown(FieldRange, fmt.Sprintf("%d slots, more than %d", n, MostSlots))
	}
	return nil
}

// reads returns what to read to fill the grids, without what a visit holds: everything that may
// overlap one of their slots.
func (q SlotsQuery) reads(m *inventory.Merchant, grids []grid, without Booking, now time.Time) SlotRange {
	r := SlotRange{
		MerchantID: m.ID, CatalogueVersion: m.Version, FromSec: q.FromSec, ToSec: q.ToSec,
		NowSec: now.Unix(), Without: without.ID, WithoutVersion: without.Version,
	}
	seen := map[uuid.UUID]bool{}
	add := func(of inventory.Resource) {
		if !seen[of.ID] {
			seen[of.ID] = true
			r.Resources = append(r.Resources, of)
			r.FromSec = min(r.FromSec, q.FromSec-of.SlotSeconds)
		}
	}
	for _, g := range grids {
		for _, l := range g.lanes {
			add(l.resource)
			r.ToSec = max(r.ToSec, q.ToSec+g.group.IntervalSec)
			for _, o := range l.beside {
				add(o)
			}
		}
		if g.busy != nil {
			add(*g.busy)
		}
	}
	return r
}

// slots fills the grid from the rows; a slot without a row is untouched. A slot has the room that is
// free throughout.
func (g grid) slots(rows map[inventory.SlotKey]inventory.Slot) []GroupSlot {
	slots := make([]GroupSlot, 0, len(g.open)*len(g.lanes))
	for _, o := range g.open {
		away := g.doctorAway(o.StartSec, o.EndSec, rows)
		for _, l := range g.lanes {
			s := fullest(l.resource, o.StartSec, o.EndSec, rows)
			// What cannot be booked, for whatever reason, is shown as full.
			if away || s.Free() < g.spots || !g.zoneHasRoom(l, o, rows) {
				s.Taken = s.Capacity
			}
			slots = append(slots, GroupSlot{
				GroupID: g.group.ID, Zone: l.zone, StartSec: o.StartSec, EndSec: o.EndSec, Capacity: s.Capacity, Taken: s.Taken,
			})
		}
	}
	return slots
}

// zoneHasRoom reports whether the lane's zone, over all groups, has room for the visit in the slot.
func (g grid) zoneHasRoom(l lane, o inventory.TimeSlot, rows map[inventory.SlotKey]inventory.Slot) bool {
	if l.beside == nil {
		return true
	}
	share, _ := inventory.ZoneShare(l.resource.MerchantID, l.zone)
	h := l.resource.Hold(o.StartSec, o.EndSec, g.spots, 0)
	h.Shares = []inventory.Share{share}
	at := map[inventory.SlotKey]inventory.Slot{}
	untouched(at, []inventory.Hold{{Resource: l.resource, StartSec: h.StartSec, EndSec: h.EndSec}})
	for _, k := range h.Keys() {
		if s, touched := rows[k]; touched {
			at[k] = s
		}
	}
	at[inventory.SlotKey{Resource: share.ID, StartSec: h.StartSec}] = inventory.Slot{Rows: inventory.RowsOf(rows, l.beside, h)}
	return inventory.Fits(at, nil, []inventory.Hold{h}) == nil
}

// doctorAway reports whether the doctor is with somebody else, or not at work, at any moment of
// [startSec, endSec).
func (g grid) doctorAway(startSec, endSec int64, rows map[inventory.SlotKey]inventory.Slot) bool {
	return g.doctor != nil && !g.doctor.Open(time.Unix(startSec, 0), time.Unix(endSec, 0), g.at) ||
		g.busy != nil && fullest(*g.busy, startSec, endSec, rows).Free() == 0
}

// fullest returns the slot of a resource with the least room in [startSec, endSec).
func fullest(r inventory.Resource, startSec, endSec int64, rows map[inventory.SlotKey]inventory.Slot) inventory.Slot {
	least := inventory.Slot{Capacity: r.DefaultCapacity}
	for i, k := range r.Hold(startSec, endSec, 1, 0).Keys() {
		s, touched := rows[k]
		if !touched {
			s = inventory.Slot{Capacity: r.DefaultCapacity}
		}
		if i == 0 || s.Free() < least.Free() {
			least = s
		}
	}
	return least
}

// doctorID returns the doctor's id at the clinic; "" if there is none.
func (r OccupiedResource) doctorID() string {
	if r.Doctor == nil {
		return ""
	}
	return r.Doctor.ID
}
