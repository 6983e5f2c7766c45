package booking_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
)

func ptr[T any](v T) *T { return &v }

func (w *world) update(u booking.Update) (booking.Booking, error) {
	return w.Update(w.t.Context(), u)
}

func reschedule(b booking.Booking, startSec int64) booking.Update {
	return booking.Update{BookingID: b.ID, StartSec: &startSec, DurationSec: ptr(b.EndSec - b.StartSec)}
}

func TestUpdateReschedules(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.StaffID = drKim
		b := w.booked(c)
		got, err := w.update(reschedule(b, at(9, 30)))
		w.must(err)
		want := b
		want.Version, want.StartSec, want.EndSec, want.Resources = 2, at(9, 30), at(10, 30), got.Resources
		if diff := cmp.Diff(want, got); diff != "" {
			w.t.Errorf("after the move (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(got, w.stored(b)); diff != "" {
			w.t.Errorf("stored (-returned +stored):\n%s", diff)
		}
		before := w.rows()
		again, err := w.update(reschedule(b, at(9, 30)))
		w.must(err)
		if diff := cmp.Diff(got, again); diff != "" {
			w.t.Errorf("the same update again (-first +again):\n%s", diff)
		}
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			w.t.Errorf("it left a trace (-before +after):\n%s", diff)
		}
	})
}

// The zone and the doctor stay; if the zone is full and the guest named no room, another zone will do.
func TestUpdateKeepsZoneAndDoctor(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		command := move(b, suite, at(9, 0), at(10, 0))
		command.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
		w.must(w.change(command))
		b, err := w.update(reschedule(b, at(14, 0)))
		w.must(err)
		if r := b.Resources[0]; r.ZoneID != suite || r.Doctor == nil || r.Doctor.ID != drKim || r.DoctorID == nil {
			w.t.Errorf("after the move: %+v", r)
		}
		other := w.request(at(15, 0))
		other.RoomID = suite
		w.booked(other)
		b, err = w.update(reschedule(b, at(15, 0)))
		w.must(err)
		if r := b.Resources[0]; r.ZoneID != bed {
			w.t.Errorf("the suite is taken, got zone %s", r.ZoneID)
		}

		named := w.request(at(16, 0))
		named.RoomID = suite
		x := w.booked(named)
		_, err = w.update(reschedule(x, at(15, 0)))
		w.wantCause(err, booking.SlotUnavailable)
	})
}

// A length that the desk has given the visit may stay.
func TestUpdateKeepsALengthOfTheDesk(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		w.must(w.change(move(b, bed, at(9, 0), at(10, 30))))
		u := booking.Update{BookingID: b.ID, StartSec: ptr(at(15, 0)), DurationSec: ptr(int64(5400))}
		got, err := w.update(u)
		w.must(err)
		if got.EndSec != at(16, 30) {
			w.t.Errorf("ends at %d", got.EndSec)
		}
		_, err = w.update(booking.Update{BookingID: b.ID, DurationSec: ptr(int64(7200))})
		w.wantField(err, booking.FieldDuration)
	})
}

// What the desk has set stays, even if no guest could ask for it: a doctor from elsewhere, a time between the slots. And Google does not see a
// doctor who is no longer at the visit.
func TestUpdateLeavesWhatTheDeskSet(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.StaffID = drKim
		b := w.booked(c)
		command := move(b, bed, at(15, 10), at(16, 10))
		command.Items[0].Doctor = &booking.Person{ID: "65c0000000000000000000ee", Name: "초빙"}
		w.must(w.change(command))
		got, err := w.update(booking.Update{BookingID: b.ID, PartySize: ptr(2)})
		w.must(err)
		if got.PartySize != 2 || got.StartSec != at(15, 10) || got.Resources[0].Doctor.Name != "초빙" {
			w.t.Errorf("got %+v", got)
		}
		got, err = w.update(reschedule(b, at(16, 0)))
		w.must(err)
		if got.StartSec != at(16, 0) || got.Resources[0].Doctor.Name != "초빙" || got.StaffID != "65c0000000000000000000ee" {
			w.t.Errorf("got %+v", got)
		}
		w.must(w.change(move(b, bed, at(16, 0), at(17, 0)))) // without a doctor
		if got := w.stored(b); got.StaffID != "" {
			w.t.Errorf("Google is shown staff %s", got.StaffID)
		}
	})
}

// A guest can ask for another doctor, whose time is then held.
func TestUpdateChangesTheDoctor(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.StaffID = drLee
		b := w.booked(c)
		got, err := w.update(booking.Update{BookingID: b.ID, StaffID: ptr(drKim)})
		w.must(err)
		if r := got.Resources[0]; got.StaffID != drKim || r.Doctor.ID != drKim || r.DoctorID == nil {
			w.t.Errorf("got staff %s, doctor %+v", got.StaffID, r.Doctor)
		}
		_, err = w.update(booking.Update{BookingID: b.ID, StaffID: ptr("65c0000000000000000000ee")})
		w.wantField(err, booking.FieldStaff)
	})
}

func TestUpdateOfSeveralStretches(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		c := move(b, bed, at(9, 0), at(10, 0))
		c.Items = append(c.Items, booking.Item{GroupID: queue, ZoneID: suite, StartSec: at(10, 0), EndSec: at(11, 0)})
		w.must(w.change(c))
		b = w.stored(b)
		got, err := w.update(reschedule(b, at(15, 0)))
		w.must(err)
		if r := got.Resources; len(r) != 2 || r[0].StartSec != at(15, 0) || r[1].StartSec != at(16, 0) || r[1].ZoneID != suite || got.EndSec != at(17, 0) {
			w.t.Errorf("shifted to %+v", r)
		}
		_, err = w.update(booking.Update{BookingID: b.ID, StartSec: ptr(at(15, 30)), DurationSec: ptr(int64(3600))})
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(reschedule(got, at(12, 0))) // into the break
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(reschedule(got, at(14, 10))) // off the grid
		w.wantField(err, booking.FieldStart)
		m := testClinic()
		m.Groups[0].Zones[1].Enabled = false
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		_, err = w.update(reschedule(got, at(14, 30)))
		w.wantCause(err, booking.SlotUnavailable)
	})
}

func TestUpdateCancels(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.RoomID = suite
		b := w.booked(c)
		for range 2 { // the second time is a retry
			got, err := w.update(booking.Update{BookingID: b.ID, Cancel: true})
			w.must(err)
			if got.State != booking.Canceled || got.Version != 2 {
				w.t.Errorf("got %s, version %d", got.State, got.Version)
			}
		}
		_, err := w.update(reschedule(b, at(10, 0)))
		w.wantCause(err, booking.AlreadyCanceled)
		w.wantCause(w.change(move(b, suite, at(10, 0), at(11, 0))), booking.NotReserved)
		other := w.request(at(9, 0))
		other.RoomID = suite
		w.booked(other)
		// The token still names the booking, which is canceled now.
		replay := w.booked(c)
		if replay.ID != b.ID || replay.State != booking.Canceled {
			w.t.Errorf("replay: %s is %s", replay.ID, replay.State)
		}
	})
}

func TestUpdateRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		update func(w *world, b booking.Booking) booking.Update
		field  booking.Field
		cause  booking.Cause
	}{
		{"unknown booking", func(*world, booking.Booking) booking.Update {
			return booking.Update{BookingID: uuid.New(), Cancel: true}
		}, booking.FieldBooking, 0},
		{"off the grid", func(_ *world, b booking.Booking) booking.Update { return reschedule(b, at(15, 10)) }, booking.FieldStart, 0},
		{"closed", func(_ *world, b booking.Booking) booking.Update { return reschedule(b, at(20, 0)) }, 0, booking.SlotUnavailable},
		{"past", func(_ *world, b booking.Booking) booking.Update { return reschedule(b, at(7, 0)) }, 0, booking.SlotUnavailable},
		{"full", func(w *world, b booking.Booking) booking.Update {
			for range 3 {
				w.booked(w.request(at(15, 0)))
			}
			return reschedule(b, at(15, 0))
		}, 0, booking.SlotUnavailable},
		{"over another booking of the guest", func(w *world, b booking.Booking) booking.Update {
			other := w.request(at(15, 0))
			other.Contact.UserID = b.Contact.UserID
			w.booked(other)
			return reschedule(b, at(15, 30))
		}, 0, booking.OverlappingReservation},
		{"room unknown", func(_ *world, b booking.Booking) booking.Update {
			return booking.Update{BookingID: b.ID, RoomID: ptr(attic)}
		}, booking.FieldRoom, 0},
		{"not yet confirmed", func(w *world, _ booking.Booking) booking.Update {
			c := w.request(at(14, 0))
			c.ConfirmationMode = booking.Asynchronous
			return reschedule(w.booked(c), at(15, 0))
		}, 0, booking.NotReserved},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				b := w.booked(w.request(at(9, 0)))
				u := c.update(w, b)
				before := w.rows()
				_, err := w.update(u)
				if c.field != 0 {
					w.wantField(err, c.field)
				} else {
					w.wantCause(err, c.cause)
				}
				if diff := cmp.Diff(before, w.rows()); diff != "" {
					w.t.Errorf("it left traces (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// Cancelling and changing end with the service's notice, to the second.
func TestCancellationWindow(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Services[0].MinAdvanceOnlineCancelingSec = 3600
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		first, second := w.booked(w.request(at(9, 0))), w.booked(w.request(at(9, 0)))
		_, err := w.update(reschedule(second, at(10, 0))) // an hour before, exactly
		w.must(err)
		w.Now = func() time.Time { return eight.Add(time.Second) }
		for _, u := range []booking.Update{{BookingID: first.ID, Cancel: true}, reschedule(first, at(11, 0))} {
			_, err := w.update(u)
			w.wantCause(err, booking.OutsideCancellationWindow)
		}
		_, err = w.update(booking.Update{BookingID: second.ID, Cancel: true})
		w.must(err)
	})
}

func TestUpdatePartySize(t *testing.T) {
	each(t, func(w *world) {
		w.feed(eight.Unix(), true, row("class", at(19, 0), 5, 5, 0), row("dinner", at(19, 0), 2, 2, 2), row("dinner", at(19, 0), 1, 1, 4)) // one table for four, one for two
		seats := w.booked(w.dinner("class", at(19, 0), 3))
		got, err := w.update(booking.Update{BookingID: seats.ID, PartySize: ptr(5)})
		w.must(err)
		if got.PartySize != 5 || got.Resources[0].Spots != 5 {
			w.t.Errorf("got %+v", got)
		}
		_, err = w.update(booking.Update{BookingID: seats.ID, PartySize: ptr(6)})
		w.wantCause(err, booking.SlotUnavailable)
		table := w.booked(w.dinner("dinner", at(19, 0), 2))
		_, err = w.update(booking.Update{BookingID: table.ID, PartySize: ptr(4)})
		w.must(err)
		w.booked(w.dinner("dinner", at(19, 0), 2)) // the small table is free again
		_, err = w.update(booking.Update{BookingID: table.ID, PartySize: ptr(3)})
		w.wantField(err, booking.FieldStart)
	})
}

func TestAvailable(t *testing.T) {
	each(t, func(w *world) {
		w.feed(eight.Unix(), true, row("class", at(19, 0), 5, 2, 0))
		hour := func(startSec int64) booking.Slot {
			return booking.Slot{ServiceID: skinCare, StartSec: startSec, DurationSec: 3600}
		}
		room := hour(at(9, 0))
		room.RoomID = suite
		doctor := hour(at(9, 0))
		doctor.StaffID = drKim
		nowhere, tooLong := room, hour(at(9, 0))
		nowhere.RoomID, tooLong.DurationSec = attic, 7200
		ask := []booking.Slot{hour(at(9, 0)), room, doctor, hour(at(9, 30)), hour(at(13, 0)), hour(at(7, 0)), hour(at(9, 1)), nowhere, tooLong}
		expect := func(want ...bool) {
			w.t.Helper()
			got, err := w.Available(w.t.Context(), clinic, ask)
			w.must(err)
			if diff := cmp.Diff(want, got); diff != "" {
				w.t.Errorf("(-want +got):\n%s", diff)
			}
		}
		expect(true, true, true, true, false, false, false, false, false)
		c := w.request(at(9, 0))
		c.RoomID, c.StaffID = suite, drKim
		b := w.booked(c)
		expect(true, false, false, true, false, false, false, false, false)
		w.booked(w.request(at(9, 0)))
		w.booked(w.request(at(9, 0)))
		expect(false, false, false, false, false, false, false, false, false)
		_, err := w.update(booking.Update{BookingID: b.ID, Cancel: true})
		w.must(err)
		expect(true, true, true, true, false, false, false, false, false)

		// What an import changes shows at once.
		m := testClinic()
		m.Groups[0].Zones[1].Capacity = 0
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		expect(false, false, false, false, false, false, false, false, false)

		class := booking.Slot{ServiceID: "class", StartSec: at(19, 0), DurationSec: 5400, PartySize: 2}
		three, other := class, class
		three.PartySize, other.StartSec = 3, at(19, 30)
		got, err := w.Available(w.t.Context(), restaurant, []booking.Slot{class, three, other})
		w.must(err)
		if diff := cmp.Diff([]bool{true, false, false}, got); diff != "" {
			w.t.Errorf("published (-want +got):\n%s", diff)
		}
		_, err = w.Available(w.t.Context(), "nobody", ask)
		w.wantField(err, booking.FieldMerchant)
		_, err = w.Available(w.t.Context(), restaurant, ask)
		w.wantField(err, booking.FieldService)
		got, err = w.Available(w.t.Context(), restaurant, nil)
		if err != nil || len(got) != 0 {
			w.t.Errorf("no slots: %v, %v", got, err)
		}
	})
}
