package booking_test

import (
	"fmt"
	"testing"

	"holdfast/booking"
	"holdfast/inventory"
)

// As much as one lookup may ask about, each slot on a resource of its own; and
// the withdrawal of as many. The databases have limits on one statement.
func TestLookupOfAThousandSlots(t *testing.T) {
	each(t, func(w *world) {
		const n = 1000
		rows := make([]inventory.Published, n)
		slots := make([]booking.Slot, n)
		for i := range rows {
			rows[i] = row("class", at(19, 0)+int64(i)*60, 2, i%2, 0)
			rows[i].StaffID = fmt.Sprint("staff-", i)
			slots[i] = booking.Slot{ServiceID: "class", StartSec: rows[i].StartSec, DurationSec: 5400, StaffID: rows[i].StaffID, PartySize: 1}
		}
		w.feed(eight.Unix(), true, rows...)
		got, err := w.Available(w.t.Context(), restaurant, slots)
		w.must(err)
		for i := range got {
			if got[i] != (i%2 == 1) {
				w.t.Fatalf("slot %d is %v", i, got[i])
			}
		}
		if n := w.feed(eight.Unix()+1, true); n != 500 {
			w.t.Errorf("%d withdrawn, want the 500 that were open", n)
		}
	})
}

// A day of each of a hundred doctors, whose time is in slots of five minutes: 28,800 of
// them in one lookup, and the last doctor is taken.
func TestLookupOfLongVisits(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].Timetable, m.Groups[0].ClosedDays = nil, nil
		m.Services[0].DurationSec = 86400
		for i := range 100 {
			m.Staff = append(m.Staff, inventory.Staff{ID: fmt.Sprintf("65d%021d", i), Name: "의사", Exclusive: true})
		}
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		taken := w.request(at(9, 0))
		taken.StaffID, taken.DurationSec = m.Staff[len(m.Staff)-1].ID, 86400
		w.booked(taken)
		var slots []booking.Slot
		for _, s := range m.Staff {
			slots = append(slots, booking.Slot{ServiceID: skinCare, StartSec: at(9, 0), DurationSec: 86400, StaffID: s.ID})
		}
		got, err := w.Available(w.t.Context(), clinic, slots)
		w.must(err)
		for i := range got {
			if want := i != len(got)-1; got[i] != want {
				w.t.Errorf("slot %d is %v", i, got[i])
			}
		}
	})
}

// As many stretches as a command may have, a day long each and each with an
// exclusive doctor: 14,400 slots of the doctors alone.
func TestVisitOfFiftyStretches(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].Timetable, m.Groups[0].ClosedDays = nil, nil
		m.Groups[0].Zones[0].Capacity = 50
		for i := range 50 {
			m.Staff = append(m.Staff, inventory.Staff{ID: fmt.Sprintf("65d%021d", i), Name: "의사", Exclusive: true})
		}
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		b := w.booked(w.request(at(9, 0)))
		c := move(b, bed, at(0, 0), at(23, 59))
		for i := range 50 {
			it := c.Items[0]
			it.Doctor = &booking.Person{ID: fmt.Sprintf("65d%021d", i), Name: "의사"}
			if i == 0 {
				c.Items[0] = it
			} else {
				c.Items = append(c.Items, it)
			}
		}
		w.must(w.change(c))
		w.must(w.change(move(b, bed, at(9, 0), at(10, 0))))
	})
}
