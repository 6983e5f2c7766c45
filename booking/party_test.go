package booking_test

import (
	"testing"

	"holdfast/booking"
)

// A party at a clinic takes a place for each of it, all in one zone, in every
// way in which a visit can come about or be changed.
func TestPartyAtAClinic(t *testing.T) {
	each(t, func(w *world) {
		of := func(n, hour int) booking.Create {
			c := w.request(at(hour, 0))
			c.PartySize = n
			return c
		}
		// Nobody but a crowd has asked yet: two beds and a suite are no room for three.
		_, err := w.create(of(3, 9))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(of(10_000, 9))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.Lease(w.t.Context(), booking.Lease{Slot: of(3, 9).Slot})
		w.wantCause(err, booking.SlotUnavailable)

		two := w.booked(of(2, 9))
		if r := two.Resources[0]; two.ZoneID != bed || r.Spots != 2 {
			w.t.Errorf("a party of two has %d places in %s", r.Spots, two.ZoneID)
		}
		rooms := func(n int) int {
			got, err := w.Rooms(w.t.Context(), clinic, []booking.Slot{of(n, 9).Slot, of(n, 10).Slot})
			w.must(err)
			return 10*got[0] + got[1]
		}
		if one, both, three := rooms(0), rooms(2), rooms(3); one != 13 || both != 1 || three != 0 {
			w.t.Errorf("rooms at nine and ten: %02d for one, %02d for two, %02d for three", one, both, three)
		}
		_, err = w.create(of(2, 9))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(of(1, 9)) // the suite

		// The guest's party grows and shrinks.
		alone := w.booked(of(1, 10))
		grown, err := w.update(booking.Update{BookingID: alone.ID, PartySize: ptr(2)})
		w.must(err)
		_, err = w.update(booking.Update{BookingID: alone.ID, PartySize: ptr(3)})
		w.wantCause(err, booking.SlotUnavailable)
		if got := w.stored(grown); got.PartySize != 2 || got.Resources[0].Spots != 2 {
			w.t.Errorf("a party of %d has %d places", got.PartySize, got.Resources[0].Spots)
		}
		_, err = w.update(reschedule(grown, at(9, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(booking.Update{BookingID: alone.ID, PartySize: ptr(1)})
		w.must(err)

		// The desk names no number: the party comes along as it is.
		w.wantCause(w.change(move(two, suite, at(14, 0), at(15, 0))), booking.SlotUnavailable)
		w.must(w.change(move(two, bed, at(14, 0), at(15, 0))))
		if got := w.stored(two); got.Resources[0].Spots != 2 {
			w.t.Errorf("moved by the desk it has %d places", got.Resources[0].Spots)
		}
		_, err = w.reserve(w.reservation(bed, at(14, 0), at(15, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(of(2, 9)) // what it has left
	})
}
