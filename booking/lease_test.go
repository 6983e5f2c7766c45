package booking_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
)

// leased holds the suite for an hour from startSec, for a user.
func (w *world) leased(startSec int64, user string) booking.Booking {
	w.t.Helper()
	c := w.request(startSec)
	c.RoomID = suite
	b, err := w.Lease(w.t.Context(), booking.Lease{Slot: c.Slot, UserID: user})
	w.must(err)
	return b
}

// named is a request for the suite that names a lease.
func (w *world) named(startSec int64, lease booking.Booking) booking.Create {
	c := w.request(startSec)
	c.RoomID, c.LeaseID = suite, &lease.ID
	return c
}

func (w *world) later(d time.Duration) { w.Now = func() time.Time { return eight.Add(d) } }

func TestLeaseExpiry(t *testing.T) {
	each(t, func(w *world) {
		for _, c := range []struct {
			name        string
			asked, want int64
		}{
			{"none asked", 0, eight.Add(10 * time.Minute).Unix()},
			{"longer asked", eight.Add(time.Hour).Unix(), eight.Add(10 * time.Minute).Unix()},
			{"shorter asked", eight.Add(time.Minute).Unix(), eight.Add(time.Minute).Unix()},
		} {
			b, err := w.Lease(w.t.Context(), booking.Lease{Slot: w.request(at(9, 0)).Slot, ExpiresSec: c.asked})
			w.must(err)
			if b.ExpiresSec != c.want || b.State != booking.Held {
				w.t.Errorf("%s: %s until %d, want %d", c.name, b.State, b.ExpiresSec, c.want)
			}
		}
		_, err := w.Lease(w.t.Context(), booking.Lease{Slot: w.request(at(10, 0)).Slot, ExpiresSec: eight.Unix()})
		w.wantCause(err, booking.LeaseExpired)
	})
}

func TestLeaseBecomesTheBooking(t *testing.T) {
	each(t, func(w *world) {
		lease := w.leased(at(9, 0), "user-a")
		other := w.request(at(9, 0))
		other.RoomID = suite
		_, err := w.create(other)
		w.wantCause(err, booking.SlotUnavailable)

		if _, err := w.Booking(w.t.Context(), lease.ID); !errors.Is(err, booking.ErrNotFound) {
			w.t.Errorf("a lease can be looked up as a booking: %v", err)
		}
		_, err = w.update(booking.Update{BookingID: lease.ID, Cancel: true})
		w.wantField(err, booking.FieldBooking)
		w.wantField(w.change(move(lease, suite, at(9, 0), at(10, 0))), booking.FieldSchedule)

		wrong := w.named(at(10, 0), lease)
		_, err = w.create(wrong)
		w.wantField(err, booking.FieldLease)

		c := w.named(at(9, 0), lease) // whoever names it
		b := w.booked(c)
		if b.ID != lease.ID || b.State != booking.Confirmed || b.Version != 2 || b.Contact.UserID != c.Contact.UserID || b.ExpiresSec != 0 {
			w.t.Errorf("got %+v", b)
		}
		if diff := cmp.Diff(b, w.stored(b)); diff != "" {
			w.t.Errorf("stored (-returned +stored):\n%s", diff)
		}
		replay := w.booked(c)
		if replay.ID != b.ID {
			w.t.Error("the retry is another booking")
		}
		again := w.named(at(9, 0), lease) // used up
		_, err = w.create(again)
		w.wantCause(err, booking.LeaseExpired)
		again.LeaseID = ptr(uuid.New())
		_, err = w.create(again)
		w.wantCause(err, booking.LeaseExpired)
		again.LeaseID = ptr(uuid.Nil)
		_, err = w.create(again)
		w.wantCause(err, booking.LeaseExpired)
	})
}

// A lease ends by the clock alone: nobody sweeps here.
func TestLeaseLapses(t *testing.T) {
	each(t, func(w *world) {
		asked := w.request(at(9, 0)).Slot
		asked.RoomID = suite
		free := func() bool {
			got, err := w.Available(w.t.Context(), clinic, []booking.Slot{asked})
			w.must(err)
			return got[0]
		}
		lease := w.leased(at(9, 0), "user-a")
		w.later(10*time.Minute - time.Second)
		if free() {
			w.t.Error("free while it is leased")
		}
		late := w.request(at(9, 0))
		late.RoomID = suite
		_, err := w.create(late)
		w.wantCause(err, booking.SlotUnavailable)

		w.later(10 * time.Minute)
		if !free() {
			w.t.Error("not free when the lease has lapsed")
		}
		_, err = w.create(w.named(at(9, 0), lease))
		w.wantCause(err, booking.LeaseExpired)
		w.booked(late)
		if free() {
			w.t.Error("free though it is booked")
		}
		if got := w.stored(lease); got.State != booking.Expired || got.Version != 2 {
			w.t.Errorf("the lease is %s, version %d", got.State, got.Version)
		}
		if _, err := w.create(w.named(at(9, 0), lease)); err == nil {
			w.t.Error("a lease that has ended was used")
		}

		// The desk's move and the guest's reschedule find lapsed room too.
		w.leased(at(14, 0), "user-b")
		w.later(20 * time.Minute)
		visit := w.booked(w.request(at(15, 0)))
		w.must(w.change(move(visit, suite, at(14, 0), at(15, 0))))
		w.leased(at(16, 0), "user-c")
		w.later(30 * time.Minute)
		guest := w.request(at(10, 0))
		guest.RoomID = suite
		_, err = w.update(reschedule(w.booked(guest), at(16, 0)))
		w.must(err)
	})
}

func TestOwnLeaseIsNotInTheWay(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.RoomID = suite
		lease := w.leased(at(9, 0), c.Contact.UserID)
		w.booked(c) // without naming it
		if got := w.stored(lease); got.State != booking.Expired {
			w.t.Errorf("the lease is %s", got.State)
		}
		// Nor when it has lapsed besides, nor of a change.
		lapsed := w.leased(at(14, 0), "user-l")
		w.later(10 * time.Minute)
		late := w.request(at(14, 0))
		late.RoomID, late.Contact.UserID = suite, "user-l"
		b := w.booked(late)
		if got := w.stored(lapsed); got.State != booking.Expired || got.Version != 2 {
			w.t.Errorf("the lapsed lease is %s, version %d", got.State, got.Version)
		}
		w.leased(at(15, 0), "user-l")
		_, err := w.update(reschedule(b, at(15, 0)))
		w.must(err)
		w.later(0)
		// Nor is it another lease's.
		first := w.leased(at(10, 0), "user-z")
		second := w.leased(at(10, 0), "user-z")
		if got := w.stored(first); got.State != booking.Expired || w.stored(second).State != booking.Held {
			w.t.Errorf("the first lease is %s", got.State)
		}
	})
}

func TestSweep(t *testing.T) {
	each(t, func(w *world) {
		w.leased(at(9, 0), "a")
		w.leased(at(10, 0), "b")
		used := w.leased(at(11, 0), "c")
		w.booked(w.named(at(11, 0), used))
		for _, want := range []int{0, 2, 0} {
			n, err := w.Sweep(w.t.Context())
			w.must(err)
			if n != want {
				w.t.Errorf("swept %d, want %d", n, want)
			}
			w.later(time.Hour / 2)
		}
	})
}

// Two guests name one lease at once, and one wants its slot as it lapses: each place is sold once.
func TestLeaseRaces(t *testing.T) {
	each(t, func(w *world) {
		lease := w.leased(at(9, 0), "user-a")
		var y tally
		together(8, func(int) {
			_, err := w.create(w.named(at(9, 0), lease))
			y.add(err)
		})
		y.want(w.t, 1, 7)

		w.leased(at(14, 0), "user-b")
		w.later(10 * time.Minute)
		y = tally{}
		together(8, func(int) {
			c := w.request(at(14, 0))
			c.RoomID = suite
			_, err := w.create(c)
			y.add(err)
		})
		y.want(w.t, 1, 7)
	})
}
