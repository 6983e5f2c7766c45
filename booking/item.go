package booking

import (
	"time"

	"holdfast/inventory"
)

// Item is one stretch of a visit, as the clinic asks for it.
type Item struct {
	GroupID  string
	ZoneID   string
	Doctor   *Person
	StartSec int64
	EndSec   int64
	Spots    int // places of the lane; 0: one
}

// occupy returns the item's places in the lane of g in z and, if the doctor is exclusive, the
// doctor's time. We keep the name of a doctor whom we do not know, and hold nothing.
func (it Item) occupy(m *inventory.Merchant, g *inventory.Group, z inventory.GroupZone, now time.Time) (OccupiedResource, []inventory.Hold) {
	lane := inventory.LaneResource(m.ID, g, z)
	occupied := OccupiedResource{
		ResourceID: lane.ID, GroupID: g.ID, ZoneID: z.ZoneID, Doctor: it.Doctor.spelled(m),
		StartSec: it.StartSec, EndSec: it.EndSec, Spots: max(1, it.Spots),
	}
	holds := []inventory.Hold{lane.Hold(it.StartSec, it.EndSec, occupied.Spots, now.Unix())}
	if of := m.Zone(z.ZoneID); of != nil && of.Capacity != nil {
		share, _ := inventory.ZoneShare(m.ID, *of)
		holds[0].Shares = []inventory.Share{share}
	}
	if doctor, held := it.doctor(m); held {
		occupied.DoctorID = &doctor.ID
		holds = append(holds, doctor.Hold(it.StartSec, it.EndSec, 1, now.Unix()))
	}
	return occupied, holds
}

// doctor returns the doctor's time; held reports whether the visit must hold it.
func (it Item) doctor(m *inventory.Merchant) (r inventory.Resource, held bool) {
	if it.Doctor == nil {
		return r, false
	}
	s := m.StaffMember(it.Doctor.ID)
	if s == nil || !s.Exclusive {
		return r, false
	}
	return inventory.StaffResource(m.ID, s.ID), true
}

// open reports whether the timetables of the group, which exists, and of the doctor allow the
// stretch. It does not ask a group or doctor that already has the visit at that very time (was):
// a visit must stay editable even if the hours have changed since.
func (it Item) open(m *inventory.Merchant, was []OccupiedResource) bool {
	start, end := time.Unix(it.StartSec, 0), time.Unix(it.EndSec, 0)
	groupStays, doctorStays := false, it.Doctor == nil
	for _, r := range was {
		if r.StartSec == it.StartSec && r.EndSec == it.EndSec {
			groupStays = groupStays || inventory.SameID(r.GroupID, it.GroupID)
			doctorStays = doctorStays || r.Doctor != nil && inventory.SameID(r.Doctor.ID, it.Doctor.ID)
		}
	}
	if !groupStays && !m.Group(it.GroupID).Open(start, end, m.Location) {
		return false
	}
	if doctorStays {
		return true
	}
	s := m.StaffMember(it.Doctor.ID)
	return s == nil || s.Open(start, end, m.Location)
}
