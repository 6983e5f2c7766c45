package booking_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"holdfast/booking"
	"holdfast/storage"
)

// together runs f n times, all released at once.
func together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Add(1)
		go func() {
			defer done.Done()
			ready.Done()
			<-start
			f(i)
		}()
	}
	ready.Wait()
	close(start)
	done.Wait()
}

// tally counts outcomes from many goroutines.
type tally struct {
	sync.Mutex
	booked, refused int
	other           []error
}

func (y *tally) add(err error) {
	y.Lock()
	defer y.Unlock()
	var f *booking.Failure
	switch {
	case err == nil:
		y.booked++
	case errors.As(err, &f):
		y.refused++
	default:
		y.other = append(y.other, err)
	}
}

func (y *tally) want(t *testing.T, booked, refused int) {
	t.Helper()
	if y.booked != booked || y.refused != refused || y.other != nil {
		t.Errorf("%d booked, %d refused, errors %v; want %d and %d", y.booked, y.refused, y.other, booked, refused)
	}
}

// 60 guests for the 3 places of one hour, whose slots nobody has touched: the rows are made in the same rush.
func TestBurst(t *testing.T) {
	eachRace(t, func(w *world) {
		var y tally
		w.together(60, 0, func(int) {
			_, err := w.create(w.request(at(9, 0)))
			y.add(err)
		})
		y.want(w.t, 3, 57)
	})
}

// Concurrent copies of one request for the last spot make one booking, and all see it.
func TestCopiesAtOnce(t *testing.T) {
	eachRace(t, func(w *world) {
		for _, hour := range []int{9, 10, 11, 14, 15} {
			c := w.request(at(hour, 0))
			c.RoomID = suite
			var seen sync.Map
			var y tally
			w.together(16, 0, func(int) {
				b, err := w.create(c)
				y.add(err)
				seen.Store(b.ID, true)
			})
			y.want(w.t, 16, 0)
			n := 0
			seen.Range(func(any, any) bool { n++; return true })
			if n != 1 {
				w.t.Errorf("%d different bookings for one token", n)
			}
		}
	})
}

// First requests of one guest at once: one chart, one booking.
func TestOneGuestAtOnce(t *testing.T) {
	eachRace(t, func(w *world) {
		var y tally
		w.together(8, 0, func(int) {
			c := w.request(at(9, 0))
			c.Contact.UserID = "the one"
			_, err := w.create(c)
			y.add(err)
		})
		y.want(w.t, 1, 7)
	})
}

// Visits swap places again and again, over each other's slots and in opposite directions: there is no deadlock, not even one that a retry would
// hide, and nothing is lost.
func TestOpposedMoves(t *testing.T) {
	var retried tally
	eachWith(t, storage.Options{Retried: retried.add}, func(w *world) {
		var visits []booking.Booking
		for _, hour := range []int{9, 10, 11, 14, 15, 16} {
			c := w.request(at(hour, 0))
			c.RoomID = bed
			visits = append(visits, w.booked(c))
		}
		var y tally
		together(len(visits), func(i int) {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for range 15 {
				to := at([]int{9, 10, 11, 14, 15, 16}[r.IntN(6)], 30*r.IntN(2))
				c := move(visits[i], bed, to, to+3600)
				// Two stretches far apart, named in either order.
				c.Items = append(c.Items, booking.Item{GroupID: queue, ZoneID: suite, StartSec: at(16, 0) + 1800*int64(r.IntN(3)), EndSec: at(18, 0)})
				if r.IntN(2) == 0 {
					c.Items[0], c.Items[1] = c.Items[1], c.Items[0]
				}
				y.add(w.change(c))
			}
		})
		if y.other != nil {
			w.t.Errorf("errors reached callers: %v", y.other)
		}
		if retried.other != nil {
			w.t.Errorf("transactions were run again: %v", retried.other)
		}
		if y.booked == 0 || y.refused == 0 {
			w.t.Errorf("%d moved, %d refused: the test tests nothing", y.booked, y.refused)
		}
	})
}

// A guest's booking and the desk's move want the same place: one gets it.
func TestCreateAgainstChange(t *testing.T) {
	eachRace(t, func(w *world) {
		for round := range 6 {
			hour := []int{9, 10, 11, 14, 15, 16}[round]
			c := w.request(at(hour, 0))
			c.RoomID = suite
			other := w.request(at(hour, 0) + 7*86400)
			visit := w.booked(other)
			var y tally
			w.together(2, 0, func(i int) {
				if i == 0 {
					_, err := w.create(c)
					y.add(err)
				} else {
					y.add(w.change(move(visit, suite, at(hour, 0), at(hour+1, 0))))
				}
			})
			y.want(w.t, 1, 1)
		}
	})
}

// Imports that change capacity and timetable while guests book: nothing is
// oversold, and what was planned with the old catalogue is planned again.
func TestImportWhileBooking(t *testing.T) {
	eachRace(t, func(w *world) {
		var y tally
		w.together(9, 1, func(i int) {
			if i > 0 {
				for day := range 5 {
					c := w.request(at(9+24*7*day, 0))
					c.RoomID = bed
					_, err := w.create(c)
					y.add(err)
				}
				return
			}
			for n := range 6 {
				m := testClinic()
				m.Groups[0].Zones[0].Capacity = 1 + n%3
				w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
			}
		})
		if y.other != nil {
			w.t.Errorf("errors reached callers: %v", y.other)
		}
		// The last import left room for 3: exactly what is free can be booked.
		for day := range 5 {
			for range 4 {
				c := w.request(at(9+24*7*day, 0))
				c.RoomID = bed
				_, err := w.create(c)
				y.add(err)
			}
		}
		if y.booked != 15 {
			w.t.Errorf("%d booked in the end, want 3 on each of 5 days", y.booked)
		}
	})
}

// A COMMIT whose answer is lost, and one that was never sent: the caller learns the truth, and there is one booking and one change.
func TestUnknownCommit(t *testing.T) {
	for _, point := range []string{"after COMMIT", "before COMMIT", "after the token", "after the slots"} {
		t.Run(point, func(t *testing.T) {
			var fail sync.Map // of this test's database only; the count of faults to come
			fault := func(p string) error {
				if n, ok := fail.Load(p); ok && n.(int) > 0 {
					fail.Store(p, n.(int)-1)
					return errCutOff
				}
				return nil
			}
			eachWith(t, storage.Options{Fault: fault}, func(w *world) {
				fail.Store(point, 1)
				c := w.request(at(9, 0))
				c.RoomID = suite
				b := w.booked(c)
				fail.Store(point, 1)
				w.must(w.change(move(b, suite, at(9, 30), at(10, 30))))
				fail.Store(point, 0)
				if got := w.stored(b); got.Version != 2 {
					w.t.Errorf("version %d, want 2", got.Version)
				}
				if _, err := w.create(w.request(at(9, 30))); err != nil {
					w.t.Errorf("the beds are free: %v", err)
				}
			})
		})
	}
}

// A lease has no token that would find it after a COMMIT without an answer. The rerun must not find the slot full because of the lease itself,
// or fail on its own row.
func TestUnknownLease(t *testing.T) {
	var lose sync.Map // the databases' next answer to COMMIT, of this test only
	fault := func(p string) error {
		if _, ok := lose.LoadAndDelete(p); ok {
			return errCutOff
		}
		return nil
	}
	eachWith(t, storage.Options{Fault: fault}, func(w *world) {
		for _, zone := range []string{suite, bed} { // room for one, and for more
			c := w.request(at(9, 0))
			c.RoomID = zone
			lose.Store("after COMMIT", true)
			if _, err := w.Lease(w.t.Context(), booking.Lease{Slot: c.Slot, UserID: "user of " + zone}); err != nil {
				w.t.Errorf("%s: %v", zone, err)
			}
		}
	})
}

// If the database never answers, the caller is told to come again, and then finds the booking.
func TestUnavailable(t *testing.T) {
	var down sync.Map
	fault := func(p string) error {
		if _, ok := down.Load(p); ok {
			return errCutOff
		}
		return nil
	}
	eachWith(t, storage.Options{Fault: fault}, func(w *world) {
		for _, point := range []string{"before COMMIT", "after COMMIT"} {
			down.Store(point, true)
			c := w.request(at(9, 0))
			if _, err := w.create(c); !errors.Is(err, booking.ErrUnavailable) {
				w.t.Errorf("%s: got %v, want ErrUnavailable", point, err)
			}
			down.Delete(point)
			if _, err := w.create(c); err != nil {
				w.t.Errorf("%s: the retry: %v", point, err)
			}
		}
	})
}

// What our faults look like: a connection that is gone.
var errCutOff = fmt.Errorf("fault: %w", io.ErrUnexpectedEOF)
