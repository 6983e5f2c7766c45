package booking_test

import (
	"strings"
	"testing"

	"holdfast/booking"
	"holdfast/inventory"
)

// inCapitals is a catalogue whose ids are written in capital letters.
func inCapitals(m *inventory.Merchant) {
	for i := range m.Zones {
		m.Zones[i].ID = strings.ToUpper(m.Zones[i].ID)
	}
	for i := range m.Groups {
		m.Groups[i].ID = strings.ToUpper(m.Groups[i].ID)
		for j := range m.Groups[i].Zones {
			m.Groups[i].Zones[j].ZoneID = strings.ToUpper(m.Groups[i].Zones[j].ZoneID)
		}
	}
	for i := range m.Staff {
		m.Staff[i].ID = strings.ToUpper(m.Staff[i].ID)
	}
	for i := range m.Services {
		m.Services[i].GroupID = strings.ToUpper(m.Services[i].GroupID)
	}
}

// Ids of hex digits are the same in either case, whichever the catalogue has, and are stored as the catalogue spells them, even if it is
// imported again in another case, or after what they name had been removed.
func TestIDsInEitherCase(t *testing.T) {
	upper := strings.ToUpper
	each(t, func(w *world) {
		w.catalogue(inCapitals) // what is stored already keeps its letters
		if m, err := w.db.Merchant(t.Context(), clinic); err != nil || m.Groups[0].ID != queue || m.Zones[0].ID != bed ||
			m.Groups[0].Zones[0].ZoneID != bed || m.Staff[0].ID != drKim || m.Services[0].GroupID != queue {
			t.Fatalf("got %+v, %v", m, err)
		}
		r := w.reservation(upper(suite), at(9, 0), at(10, 0))
		r.Items[0].GroupID, r.Items[0].Doctor = upper(queue), &booking.Person{ID: upper(drKim), Name: "김의사"}
		r.Counselor = booking.Set(booking.Person{ID: upper(drLee), Name: "이의사"})
		visit, err := w.reserve(r)
		w.must(err)
		if got := w.stored(visit); got.ZoneID != suite || got.Counselor.ID != drLee || got.Resources[0].GroupID != queue ||
			got.Resources[0].ZoneID != suite || got.Resources[0].Doctor.ID != drKim || got.Resources[0].DoctorID == nil {
			t.Errorf("got %+v", got)
		}
		for _, id := range []string{drKim, upper(drKim)} {
			c := w.request(at(9, 0))
			c.StaffID = id
			_, err := w.create(c)
			w.wantCause(err, booking.SlotUnavailable)
		}
		c := w.request(at(9, 0))
		c.RoomID = upper(suite)
		_, err = w.create(c)
		w.wantCause(err, booking.SlotUnavailable)
		c = w.request(at(10, 0))
		c.RoomID, c.StaffID = upper(bed), upper(drKim)
		if b := w.booked(c); b.RoomID != bed || b.StaffID != drKim {
			t.Errorf("got room %s and staff %s", b.RoomID, b.StaffID)
		}

		// The group goes while it has visits, and comes back in other letters: it is
		// the same lane, and not sold once more.
		w.catalogue(func(m *inventory.Merchant) { m.Groups, m.Zones, m.Staff, m.Services = nil, nil, nil, nil })
		w.catalogue(inCapitals)
		c = w.request(at(9, 0))
		c.RoomID = suite
		_, err = w.create(c)
		w.wantCause(err, booking.SlotUnavailable)
		c = w.request(at(9, 0))
		c.RoomID, c.StaffID = bed, drKim
		_, err = w.create(c)
		w.wantCause(err, booking.SlotUnavailable)
	})
}

// Answers use capital letters if the catalogue was first imported with them.
func TestIDsAreAnsweredAsTheyAreStored(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.ID = "capital"
		inCapitals(&m)
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		w.must(w.db.PutClinic(t.Context(), func() inventory.Merchant { m := testClinic(); m.ID = "capital"; return m }(), eight.Unix()))
		r := w.reservation(suite, at(9, 0), at(10, 0))
		r.MerchantID, r.Items[0].Doctor = "capital", &booking.Person{ID: drKim, Name: "김의사"}
		b, err := w.reserve(r)
		w.must(err)
		if o := b.Resources[0]; b.ZoneID != strings.ToUpper(suite) || o.GroupID != strings.ToUpper(queue) || o.ZoneID != strings.ToUpper(suite) || o.Doctor.ID != strings.ToUpper(drKim) {
			t.Errorf("got %+v", b)
		}
		slots, err := w.GroupSlots(t.Context(), booking.SlotsQuery{MerchantID: "capital", GroupIDs: []string{queue, strings.ToUpper(queue)}, DoctorID: drKim, FromSec: at(9, 0), ToSec: at(9, 30)})
		w.must(err)
		if len(slots) != 2 || slots[0].Zone.ID != strings.ToUpper(bed) || slots[0].Taken != slots[0].Capacity {
			t.Errorf("got %+v", slots)
		}
		day := booking.SchedulesQuery{MerchantID: "capital", Day: inventory.DateOf(today), GroupID: queue, ZoneID: suite, Limit: 9}
		if found, _, err := w.Schedules(t.Context(), day); err != nil || len(found) != 1 {
			t.Errorf("got %d visits, %v", len(found), err)
		}
	})
}

// Visits of an exclusive doctor with an id in the other case, which was once possible, hold nothing: the next import takes the doctor's time
// for them.
func TestReassignedInOtherLetters(t *testing.T) {
	m := testClinic()
	b := booking.Booking{MerchantID: clinic, Resources: []booking.OccupiedResource{{Doctor: &booking.Person{ID: strings.ToUpper(drKim), Name: "K"}, StartSec: at(9, 0), EndSec: at(10, 0)}}}
	next, changed := b.Reassigned(&m)
	kim := inventory.StaffResource(clinic, drKim)
	if o := next.Resources[0]; !changed || o.DoctorID == nil || *o.DoctorID != kim.ID || o.Doctor.ID != drKim || b.Resources[0].Doctor.ID == drKim {
		t.Fatalf("changed %v: %+v", changed, o)
	}
	if holds := next.DoctorHolds(clinic, eight); len(holds) != 1 || holds[0].Resource.ID != kim.ID {
		t.Errorf("holds %+v", holds)
	}
}
