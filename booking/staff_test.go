package booking_test

import (
	"context"
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

// Times outside the doctor's hours are closed to guests, the desk and lookups alike; without the doctor they are open.
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
					desk := booking.Reserve{Change: move(visit, suite, c.start, c.start+3600), Name: "Jane", Phone: "+82 10-9999-0000"}
					desk.ScheduleID, desk.Items[0].Doctor = "", command.Items[0].Doctor
					b, err := w.create(request)
					if !c.open {
						w.wantCause(err, booking.SlotUnavailable)
						_, err = w.Reserve(t.Context(), desk)
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
					if !exclusive {
						_, err = w.Reserve(t.Context(), desk)
						w.must(err)
					}
				}
			})
		})
	}
}

// An unchanged stretch is not checked again for its doctor's hours; another time, doctor or length is.
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

// Room and doctor are held together: a visit that can get only one of them gets neither.
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

// watchful is a store that records operations that write a visit of a doctor whose time is not held, and what they announced.
type watchful struct {
	booking.Store
	written map[bool]int // steady → visits
}

func (s watchful) InTx(ctx context.Context, touches booking.Footprint, f func(booking.Tx) error) error {
	return s.Store.InTx(ctx, touches, func(tx booking.Tx) error { return f(watchfulTx{tx, s, touches.Steady}) })
}

type watchfulTx struct {
	booking.Tx
	store  watchful
	steady bool
}

func (tx watchfulTx) PutBooking(b booking.Booking, e booking.Event) {
	if r := b.Resources[0]; r.Doctor != nil && r.DoctorID == nil {
		tx.store.written[tx.steady]++
	}
	tx.Tx.PutBooking(b, e)
}

// Every operation that gives a visit a doctor whose time is not held must keep the catalogue from changing meanwhile: see
// booking.Footprint.Steady.
func TestUnheldDoctorsKeepTheCatalogue(t *testing.T) {
	each(t, func(w *world) {
		store := watchful{w.Store, map[bool]int{}}
		w.Store = store
		lee := &booking.Person{ID: drLee, Name: "이의사"}
		plain := w.booked(w.request(at(14, 0)))
		request := w.request(at(9, 0))
		request.StaffID = drLee
		for name, do := range map[string]func() error{
			"create": func() error { _, err := w.create(request); return err },
			"lease": func() error {
				slot := request.Slot
				slot.StartSec = at(10, 0)
				_, err := w.Lease(t.Context(), booking.Lease{Slot: slot, UserID: "lessee"})
				return err
			},
			"change": func() error {
				c := move(plain, bed, plain.StartSec, plain.EndSec)
				c.Items[0].Doctor = lee
				return w.change(c)
			},
			"update": func() error {
				b := w.booked(w.request(at(15, 0)))
				_, err := w.Update(t.Context(), booking.Update{BookingID: b.ID, StaffID: &lee.ID})
				return err
			},
			"reserve": func() error {
				c := move(plain, bed, at(16, 0), at(17, 0))
				c.ScheduleID, c.Items[0].Doctor = "", lee
				_, err := w.Reserve(t.Context(), booking.Reserve{Change: c, Name: "Jane", Phone: "+82 10-9999-0000"})
				return err
			},
			"block": func() error {
				_, err := w.Block(t.Context(), booking.Block{By: theDesk, MerchantID: clinic, Item: booking.Item{
					GroupID: queue, ZoneID: suite, Doctor: lee, StartSec: at(17, 0), EndSec: at(18, 0),
				}})
				return err
			},
		} {
			clear(store.written)
			w.must(do())
			if store.written[true] != 1 || store.written[false] != 0 {
				w.t.Errorf("%s: steady and not: %v", name, store.written)
			}
		}
	})
}
