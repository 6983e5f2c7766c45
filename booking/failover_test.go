package booking_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// Acknowledged means replicated. The standby is cut off, so every COMMIT waits for it. The callers ask and, without an answer, ask
// again. Then the primary dies and the standby takes over. Whatever was acknowledged must be there.
func TestAcknowledgedSurvivesFailover(t *testing.T) {
	primary, standby := storagetest.Pair(t)
	target, err := primary.NewDatabase("holdfast")
	if err != nil {
		t.Fatal(err)
	}
	db := storagetest.Open(t, target, storage.Options{Limit: time.Second, Committers: 24, Batch: 1})
	w := worldOn(t, storagetest.Database{DB: db, Target: target})
	asked := w.everything()

	if err := standby.Deafen(); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	told := map[string]bool{}
	for name, q := range asked {
		all.Go(func() {
			// Three times, or on a busy machine until the primary has done it.
			for n := 0; n < 3 || n < 30 && !q.there(w); n++ {
				err := q.ask(w.Service)
				var other error
				if !booking.Acknowledges(err) && !errors.Is(err, booking.ErrUnavailable) {
					other = err
				}
				mu.Lock()
				told[name] = told[name] || booking.Acknowledges(err)
				if other != nil {
					t.Errorf("%s: %v", name, other)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for name, q := range asked {
		if !q.there(w) { // else there was nothing to lose
			t.Errorf("%s: the primary has not done it", name)
		}
	}

	if err := errors.Join(primary.Kill(), standby.Promote()); err != nil {
		t.Fatal(err)
	}
	if target, err = standby.As(target); err != nil {
		t.Fatal(err)
	}
	after := &world{t: t, db: storagetest.Database{DB: storagetest.Open(t, target, storage.Options{}), Target: target}}
	after.Service = &booking.Service{Store: after.db, Now: w.Now, NewID: w.NewID}
	for name, q := range asked {
		if told[name] && !q.there(after) {
			t.Errorf("%s: acknowledged, and lost", name)
		}
	}
	after.verify()
	// Asked once more, all of it is done by the new primary.
	for name, q := range asked {
		if err := q.ask(after.Service); !booking.Acknowledges(err) {
			t.Errorf("%s, asked of the new primary: %v", name, err)
		}
		if !q.there(after) {
			t.Errorf("%s: the new primary says that it is done, and it is not", name)
		}
	}
	after.verify()
}

// question is something that a caller may ask more than once.
type question struct {
	ask   func(s *booking.Service) error
	there func(w *world) bool // whether it has been done
}

// everything returns each operation that changes something, on existing visits of its own. Not imports, which work the same way but
// wait for minutes.
func (w *world) everything() map[string]question {
	ctx := context.Background()
	all := map[string]question{}
	next := 0
	hour := func() int64 { // the clinic is open on weekdays, and closed on the Thursday
		day, hour := []int{0, 1, 2, 4}[next%4], []int{9, 10, 11, 14, 15, 16}[next/4]
		next++
		return at(24*day+hour, 0)
	}
	visit := func() booking.Booking { return w.booked(w.request(hour())) }
	key := func(b booking.Booking) booking.ScheduleKey {
		return booking.ScheduleKey{MerchantID: clinic, ScheduleID: b.ScheduleID}
	}
	is := func(id uuid.UUID, as func(b booking.Booking) bool) func(w *world) bool {
		return func(w *world) bool {
			b, err := w.Store.Booking(ctx, id)
			return err == nil && as(b)
		}
	}
	in := func(s booking.State) func(b booking.Booking) bool {
		return func(b booking.Booking) bool { return b.State == s }
	}

	create := w.request(hour())
	all["CreateBooking"] = question{
		func(s *booking.Service) error { _, err := s.Create(ctx, create); return err },
		func(w *world) bool {
			mine, err := w.Ahead(ctx, create.Contact.UserID)
			return err == nil && len(mine) == 1
		},
	}
	lease := w.leased(hour(), "lessee")
	use := w.named(lease.StartSec, lease)
	all["CreateBooking with a lease"] = question{
		func(s *booking.Service) error { _, err := s.Create(ctx, use); return err },
		is(lease.ID, in(booking.Confirmed)),
	}
	other := w.request(hour())
	other.Contact.UserID = "another token"
	all["CreateBooking, and again with another token"] = question{
		func(s *booking.Service) error {
			other.Token += "+"
			_, err := s.Create(ctx, other)
			return err
		},
		func(w *world) bool {
			mine, err := w.Ahead(ctx, other.Contact.UserID)
			return err == nil && len(mine) == 1
		},
	}
	canceled, moved, changed := visit(), visit(), visit()
	all["UpdateBooking, a cancellation"] = question{
		func(s *booking.Service) error {
			_, err := s.Update(ctx, booking.Update{BookingID: canceled.ID, Cancel: true})
			return err
		},
		is(canceled.ID, in(booking.Canceled)),
	}
	twice := visit()
	all["UpdateBooking of what has been canceled"] = question{
		func(s *booking.Service) error {
			_, err := s.Update(ctx, booking.Update{BookingID: twice.ID, Cancel: true})
			if !errors.Is(err, booking.ErrUnavailable) {
				return err
			}
			start := twice.StartSec + 3600
			_, err = s.Update(ctx, booking.Update{BookingID: twice.ID, StartSec: &start})
			return err
		},
		is(twice.ID, in(booking.Canceled)),
	}
	start := hour()
	all["UpdateBooking, a move"] = question{
		func(s *booking.Service) error {
			_, err := s.Update(ctx, booking.Update{BookingID: moved.ID, StartSec: &start})
			return err
		},
		is(moved.ID, func(b booking.Booking) bool { return b.StartSec == start }),
	}
	to := hour()
	all["update-reservation"] = question{
		func(s *booking.Service) error { return s.Change(ctx, move(changed, bed, to, to+3600)) },
		is(changed.ID, func(b booking.Booking) bool { return b.StartSec == to }),
	}
	for _, c := range []struct {
		as booking.Settlement
		to booking.State
	}{{booking.CallOff, booking.Canceled}, {booking.Missed, booking.NoShow}, {booking.Arrive, booking.InProgress}} {
		strict, lenient := visit(), visit()
		all[fmt.Sprint("the desk: ", c.as)] = question{
			func(s *booking.Service) error { return s.SettleVisit(ctx, theDesk, key(strict), c.as, nil) }, is(strict.ID, in(c.to)),
		}
		all[fmt.Sprint("the operator: ", c.as)] = question{
			func(s *booking.Service) error { _, err := s.Settle(ctx, theDesk, lenient.ID, c.as); return err }, is(lenient.ID, in(c.to)),
		}
	}
	reservation := w.reservation(suite, hour(), at(0, 0))
	reservation.Items[0].EndSec = reservation.Items[0].StartSec + 3600
	reservation.Once = &booking.Once{Caller: "clinic/" + clinic, Token: "once", Fingerprint: []byte("once")}
	all["reserve with an Idempotency-Key"] = question{
		func(s *booking.Service) error { _, err := s.Reserve(ctx, reservation); return err },
		func(w *world) bool {
			return slices.ContainsFunc(w.all(), func(b booking.Booking) bool { return b.Contact.Telephone == reservation.Phone })
		},
	}
	opened := w.block(booking.Block{By: theDesk, MerchantID: clinic, Item: booking.Item{GroupID: queue, ZoneID: suite, StartSec: at(48+17, 0), EndSec: at(48+18, 0)}})
	all["delete-occupied-time"] = question{
		func(s *booking.Service) error { return s.Unblock(ctx, theDesk, key(opened)) },
		is(opened.ID, in(booking.Unblocked)),
	}
	forgotten := visit()
	w.must(func() error { _, err := w.Settle(ctx, theDesk, forgotten.ID, booking.CallOff); return err }())
	all["erase"] = question{
		func(s *booking.Service) error {
			_, err := s.Erase(ctx, theOperator, booking.Subject{UserID: forgotten.Contact.UserID}, false)
			if errors.Is(err, booking.ErrNotFound) { // "nobody of that name": it has been done
				return nil
			}
			return err
		},
		is(forgotten.ID, func(b booking.Booking) bool { return b.ErasedSec != 0 }),
	}
	wanted := func(w *world) bool {
		said, err := w.db.Marketing(ctx, []string{"marketing"})
		return err == nil && said["marketing"]
	}
	all["SetMarketingPreference"] = question{
		func(s *booking.Service) error { return s.SetMarketing(ctx, "marketing", true) }, wanted,
	}
	_, err := w.NewKey(ctx, clinic, "to be revoked")
	w.must(err)
	keys, err := w.Keys(ctx, clinic)
	w.must(err)
	id := keys[0].ID
	all["key revoke"] = question{
		func(s *booking.Service) error { return s.RevokeKey(ctx, id) },
		func(w *world) bool {
			keys, err := w.Keys(ctx, clinic)
			return err == nil && len(keys) > 0 && keys[0].RevokedSec != 0
		},
	}
	return all
}
