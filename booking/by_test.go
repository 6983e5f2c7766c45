package booking_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
)

// Whoever gives a command is in its event, and in what it made. No rule depends on who it is, so another kind of caller is just
// another value; but there must be somebody.
func TestByIsNoted(t *testing.T) {
	each(t, func(w *world) {
		days := map[booking.By]int{
			{Actor: booking.ByDesk, KeyID: "0123456789ab"}: 0, theOperator: 24, {Actor: "somebody", KeyID: "else"}: 48, {}: 96,
		}
		for by, day := range days {
			noted := func(b booking.Booking, err error, action booking.Action) {
				w.t.Helper()
				if by.Actor == "" {
					if err == nil {
						w.t.Errorf("%s by nobody", action)
					}
					return
				}
				w.must(err)
				events, err := w.db.Events(w.t.Context(), b.ID)
				w.must(err)
				last := events[len(events)-1]
				if diff := cmp.Diff(by, last.By); diff != "" || last.Action != action {
					w.t.Errorf("the event of %s is %+v, by (-want +got):\n%s", action, last, diff)
				}
				if stored := w.stored(b); last.Before != nil && string(last.Before) == "{}" && stored.CreatedBy != by.Actor {
					w.t.Errorf("%s by %v is noted as made by %q", action, by, stored.CreatedBy)
				}
			}
			visit, err := w.reserve(w.reservation(bed, at(day+9, 0), at(day+10, 0)))
			w.must(err)

			reservation := w.reservation(bed, at(day+9, 0), at(day+10, 0))
			reservation.By = by
			made, err := w.reserve(reservation)
			noted(made, err, booking.Created)

			change := move(visit, bed, at(day+10, 0), at(day+11, 0))
			change.By = by
			noted(visit, w.change(change), booking.Changed)

			closing := block(bed, at(day+15, 0), at(day+16, 0))
			closing.By = by
			out, err := w.Block(w.t.Context(), closing)
			noted(out.Booking, err, booking.Closed)
			closed := w.block(block(bed, at(day+15, 0), at(day+16, 0)))
			noted(closed, w.Unblock(w.t.Context(), by, scheduleOf(closed)), booking.Opened)

			noted(visit, w.SettleVisit(w.t.Context(), by, scheduleOf(visit), booking.Arrive, nil), booking.Action(booking.Arrive))
			other, err := w.reserve(w.reservation(bed, at(day+11, 0), at(day+12, 0)))
			w.must(err)
			_, err = w.Settle(w.t.Context(), by, other.ID, booking.Missed)
			noted(other, err, booking.Action(booking.Missed))

			paid := w.request(at(day+14, 0))
			paid.Contact.UserID = fmt.Sprintf("user of day %d", day)
			paid.Payment = &booking.Payment{PrepaymentStatus: booking.PrepaymentProvided}
			guests := w.booked(paid)
			_, err = w.Refund(w.t.Context(), by, guests.ID)
			noted(guests, err, booking.Refunded)
			_, err = w.Erase(w.t.Context(), by, booking.Subject{UserID: paid.Contact.UserID}, true)
			noted(guests, err, booking.Erased)
		}
		w.verify()
	})
}
