package booking_test

import (
	"testing"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
)

// kimWorks is the test clinic whose doctor works from 10 to 17 with a break at
// 12 on all weekdays, and never on Tuesday, 10 March. The group is open from 9.
func kimWorks(exclusive bool) inventory.Merchant {
	m := testClinic()
	day := &inventory.Day{Start: 10 * 60, End: 17 * 60, Breaks: []inventory.Break{{Start: 12 * 60, End: 12*60 + 30}}}
	m.Staff[0].Exclusive = exclusive
	m.Staff[0].Timetable = &inventory.Timetable{time.Monday: day, time.Tuesday: day, time.Wednesday: day, time.Thursday: day, time.Friday: day}
	m.Staff[0].ClosedDays = []inventory.Date{{Year: 2026, Month: 3, Day: 10}}
	return m
}

// What is outside the doctor's hours is closed, to guests, to the desk and to
// lookups alike; without the doctor it is open.
func TestStaffHours(t *testing.T) {
	const day = 24 * 3600
	for _, c := range []struct {
		name  string
		start int64
		open  bool
	}{
		{"before work", at(9, 0), false},
		{"it begins before work", at(9, 30), false},
		{"the first hour", at(10, 0), true},
		{"into the break", at(11, 30), false},
		{"the last hour", at(16, 0), true},
		{"it ends after work", at(16, 30), false},
		{"a day off", at(10, 0) + 8*day, false},
		{"the day after", at(10, 0) + 9*day, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				for _, exclusive := range []bool{true, false} {
					w.must(w.db.PutClinic(t.Context(), kimWorks(exclusive), eight.Unix()))
					request := w.request(c.start)
					request.StaffID = drKim
					free := request.Slot
					free.StaffID = ""
					got, err := w.Available(t.Context(), clinic, []booking.Slot{request.Slot, free})
					w.must(err)
					if got[0] != c.open || !got[1] {
						w.t.Errorf("available with the doctor %v, without %v; want %v and true", got[0], got[1], c.open)
					}
					visit := w.booked(w.request(c.start + 7*6*day))
					command := move(visit, bed, c.start, c.start+3600)
					command.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
					b, err := w.create(request)
					if !c.open {
						w.wantCause(err, booking.SlotUnavailable)
						if got := w.wantCause(w.change(command), booking.SlotUnavailable); got.Resource != 0 {
							w.t.Errorf("resource %d, want 0", got.Resource)
						}
						continue
					}
					w.must(err)
					_, err = w.Update(t.Context(), booking.Update{BookingID: b.ID, Cancel: true})
					w.must(err)
					w.must(w.change(command))
				}
			})
		})
	}
}

// A stretch that stays as it was is not asked again whether its doctor works
// then; another time, another doctor and another length are.
func TestStaffHoursOfWhatStays(t *testing.T) {
	each(t, func(w *world) {
		request := w.request(at(9, 0))
		request.StaffID = drKim
		b := w.booked(request)
		other := w.booked(w.request(at(9, 0)))
		w.must(w.db.PutClinic(t.Context(), kimWorks(true), eight.Unix()))

		kim := &booking.Person{ID: drKim, Name: "김의사"}
		stay := func(b booking.Booking, endSec int64) booking.Change {
			c := move(b, bed, at(9, 0), endSec)
			c.Items[0].Doctor = kim
			c.Memo = booking.Set("by phone")
			return c
		}
		w.must(w.change(stay(b, at(10, 0))))
		w.wantCause(w.change(stay(b, at(10, 30))), booking.SlotUnavailable)
		w.wantCause(w.change(stay(other, at(10, 0))), booking.SlotUnavailable)
		start := at(9, 30)
		_, err := w.Update(t.Context(), booking.Update{BookingID: b.ID, StartSec: &start})
		w.wantCause(err, booking.SlotUnavailable)
		room := bed
		_, err = w.Update(t.Context(), booking.Update{BookingID: b.ID, RoomID: &room})
		w.must(err)
	})
}

// Room and doctor are held together: a visit that gets one of them only gets
// neither.
func TestRoomAndDoctorTogether(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.db.PutClinic(t.Context(), kimWorks(true), eight.Unix()))
		first, second, third := w.request(at(10, 0)), w.request(at(10, 30)), w.request(at(10, 30))
		first.StaffID, second.StaffID = drKim, drKim
		first.RoomID, second.RoomID, third.RoomID = bed, suite, suite
		w.booked(first)
		_, err := w.create(second)
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(third) // the doctor was taken, so the room was not
	})
}
