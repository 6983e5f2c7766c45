package booking_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
)

// pending books the suite, to be confirmed by the merchant.
func (w *world) pending(startSec int64) booking.Booking {
	w.t.Helper()
	c := w.request(startSec)
	c.RoomID, c.ConfirmationMode = suite, booking.Asynchronous
	return w.booked(c)
}

func TestSettle(t *testing.T) {
	for _, c := range []struct {
		name   string
		async  bool
		before []booking.Settlement
		as     booking.Settlement
		want   booking.State // "": refused
		free   bool
	}{
		{"confirm what waits", true, nil, booking.Confirm, booking.Confirmed, false},
		{"confirm it again", true, []booking.Settlement{booking.Confirm}, booking.Confirm, booking.Confirmed, false},
		{"decline what waits", true, nil, booking.Decline, booking.Declined, true},
		{"decline what is confirmed", false, nil, booking.Decline, "", false},
		{"confirm what is declined", true, []booking.Settlement{booking.Decline}, booking.Confirm, "", true},
		{"cancel what waits", true, nil, booking.CallOff, booking.Canceled, true},
		{"cancel what is confirmed", false, nil, booking.CallOff, booking.Canceled, true},
		{"cancel it again", false, []booking.Settlement{booking.CallOff}, booking.CallOff, booking.Canceled, true},
		{"a no-show", false, nil, booking.Missed, booking.NoShow, true},
		{"a no-show of what waits", true, nil, booking.Missed, "", false},
		{"cancel a no-show", false, []booking.Settlement{booking.Missed}, booking.CallOff, "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				b := w.pending(at(9, 0))
				if b.State != booking.Pending {
					w.t.Fatalf("got %s", b.State)
				}
				if !c.async {
					c.before = append([]booking.Settlement{booking.Confirm}, c.before...)
				}
				for _, as := range c.before {
					_, err := w.Settle(w.t.Context(), theDesk, b.ID, as)
					w.must(err)
				}
				before := w.rows()
				got, err := w.Settle(w.t.Context(), theDesk, b.ID, c.as)
				if c.want == "" {
					w.wantCause(err, booking.NotReserved)
				} else if w.must(err); got.State != c.want {
					w.t.Errorf("got %s, want %s", got.State, c.want)
				}
				again := len(c.before) > 0 && c.before[len(c.before)-1] == c.as
				if diff := cmp.Diff(before, w.rows()); (c.want == "" || again) && diff != "" {
					w.t.Errorf("it left traces (-before +after):\n%s", diff)
				}
				next := w.request(at(9, 0))
				next.RoomID = suite
				if _, err := w.create(next); (err == nil) != c.free {
					w.t.Errorf("the place is free: %v, want %v", err == nil, c.free)
				}
			})
		})
	}
}

func TestSettleUnknown(t *testing.T) {
	each(t, func(w *world) {
		_, err := w.Settle(w.t.Context(), theDesk, uuid.New(), booking.CallOff)
		w.wantField(err, booking.FieldBooking)
	})
}

func TestDeclineOverdue(t *testing.T) {
	each(t, func(w *world) {
		w.pending(at(9, 0))
		confirmed := w.pending(at(14, 0))
		_, err := w.Settle(w.t.Context(), theDesk, confirmed.ID, booking.Confirm)
		w.must(err)
		w.later(30 * time.Minute)
		second := w.pending(at(15, 0))
		for _, c := range []struct {
			at, after time.Duration
			want      int
		}{
			{59 * time.Minute, time.Hour, 0},
			{time.Hour, 0, 1}, // it starts
			{time.Hour, time.Hour, 0},
			{90 * time.Minute, time.Hour, 1},
			{24 * time.Hour, time.Minute, 0},
		} {
			w.later(c.at)
			n, err := w.DeclineOverdue(w.t.Context(), c.after)
			w.must(err)
			if n != c.want {
				w.t.Errorf("at %v after %v: declined %d, want %d", c.at, c.after, n, c.want)
			}
		}
		if got := w.stored(second); got.State != booking.Declined {
			w.t.Errorf("got %s", got.State)
		}
	})
}
