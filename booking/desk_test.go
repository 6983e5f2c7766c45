package booking_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
)

// reserve is a command of the desk for a new visitor and one stretch.
func (w *world) reservation(zone string, startSec, endSec int64) booking.Reserve {
	n := w.n.Add(1)
	return booking.Reserve{
		Change: move(booking.Booking{MerchantID: clinic}, zone, startSec, endSec),
		Name:   "김환자", Phone: fmt.Sprintf("010-2222-%04d", n),
	}
}

func (w *world) reserve(r booking.Reserve) (booking.Booking, error) {
	out, err := w.Reserve(context.Background(), r)
	return out.Booking, err
}

// block is a command of the desk that closes a zone.
func block(zone string, startSec, endSec int64) booking.Block {
	return booking.Block{By: theDesk, MerchantID: clinic, Item: booking.Item{GroupID: queue, ZoneID: zone, StartSec: startSec, EndSec: endSec}}
}

func (w *world) block(c booking.Block) booking.Booking {
	w.t.Helper()
	out, err := w.Block(context.Background(), c)
	w.must(err)
	return out.Booking
}

func (w *world) unblock(b booking.Booking) error {
	return w.Unblock(context.Background(), theDesk, scheduleOf(b))
}

func scheduleOf(b booking.Booking) booking.ScheduleKey {
	return booking.ScheduleKey{MerchantID: b.MerchantID, ScheduleID: b.ScheduleID}
}

// What a reservation writes: a visit like any other, its visitor and one event.
func TestReserve(t *testing.T) {
	each(t, func(w *world) {
		r := w.reservation(suite, at(9, 0), at(10, 0))
		r.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
		r.Memo = booking.Set("전화 예약")
		r.SedationRequired = booking.Set(true)
		b, err := w.reserve(r)
		w.must(err)
		memo, yes := "전화 예약", true
		want := booking.Booking{
			ID: b.ID, ScheduleID: b.ScheduleID, MerchantID: clinic, GuestID: b.GuestID, State: booking.Confirmed, Version: 1,
			StartSec: at(9, 0), EndSec: at(10, 0), Contact: booking.Contact{GivenName: "김환자", Telephone: r.Phone},
			ZoneID: suite, Resources: b.Resources, SedationRequired: &yes, Memo: &memo, CreatedBy: booking.ByDesk, CreatedSec: eight.Unix(),
		}
		if diff := cmp.Diff(want, w.stored(b)); diff != "" {
			w.t.Errorf("(-want +got):\n%s", diff)
		}
		if len(b.ScheduleID) != 24 || b.Resources[0].DoctorID == nil {
			w.t.Errorf("schedule %q, occupied %+v", b.ScheduleID, b.Resources)
		}
		events, err := w.db.Events(w.t.Context(), b.ID)
		w.must(err)
		if len(events) != 1 || events[0].Actor != booking.ByDesk || events[0].Action != booking.Created {
			w.t.Errorf("events %+v", events)
		}
		c := w.request(at(9, 30))
		c.RoomID = suite
		_, err = w.create(c)
		w.wantCause(err, booking.SlotUnavailable)
		w.must(w.change(move(b, bed, at(11, 0), at(12, 0))))
	})
}

// Whose visit it is: the guest with the number, however written, or else somebody new; or the named visitor.
func TestReserveFindsTheVisitor(t *testing.T) {
	each(t, func(w *world) {
		google := w.request(at(9, 0))
		google.Contact.Telephone = "010 1234 5678"
		guest := w.booked(google)

		r := w.reservation(bed, at(10, 0), at(11, 0))
		r.Phone = "010-1234-5678"
		known, err := w.reserve(r)
		w.must(err)
		if known.GuestID != guest.GuestID || known.Contact.GivenName != r.Name || known.Contact.UserID != "" {
			w.t.Errorf("guest %s with %+v, want %s", known.GuestID, known.Contact, guest.GuestID)
		}
		first, err := w.reserve(w.reservation(bed, at(10, 0), at(11, 0)))
		w.must(err)
		if first.GuestID == guest.GuestID {
			w.t.Error("another number found the same guest")
		}
		r = w.reservation(bed, at(14, 0), at(15, 0))
		r.Phone, r.Name = first.Contact.Telephone, "박환자"
		again, err := w.reserve(r)
		w.must(err)
		if again.GuestID != first.GuestID {
			w.t.Error("one number made two guests")
		}

		// Google's list has only what Google has booked.
		ahead, err := w.Ahead(w.t.Context(), google.Contact.UserID)
		w.must(err)
		if len(ahead) != 1 || ahead[0].ID != guest.ID {
			w.t.Errorf("Google is told %d bookings", len(ahead))
		}
	})
}

// visitorID is the clinic's name of a guest, read past the service.
func (w *world) visitorID(b booking.Booking) (id string) {
	w.t.Helper()
	touches := booking.Footprint{Schedule: scheduleOf(b), GuestKeys: []booking.GuestKey{{MerchantID: b.MerchantID, Key: "phone:" + digits(b.Contact.Telephone)}}}
	w.must(w.db.InTx(w.t.Context(), touches, func(tx booking.Tx) error {
		for _, g := range tx.Guests() {
			id = g.VisitorID
		}
		return nil
	}))
	return id
}

func digits(s string) string {
	var d []rune
	for _, r := range s {
		if r >= '0' && r <= '9' || r == '+' {
			d = append(d, r)
		}
	}
	return string(d)
}

func TestReserveByVisitorID(t *testing.T) {
	each(t, func(w *world) {
		guest := w.booked(w.request(at(9, 0)))
		r := w.reservation(suite, at(14, 0), at(15, 0))
		r.Name, r.Phone, r.VisitorID = "", "", w.visitorID(guest)
		b, err := w.reserve(r)
		w.must(err)
		want := guest.Contact
		want.UserID = ""
		if diff := cmp.Diff(want, w.stored(b).Contact); b.GuestID != guest.GuestID || diff != "" {
			w.t.Errorf("guest %s, want %s; contact (-want +got):\n%s", b.GuestID, guest.GuestID, diff)
		}
		for _, id := range []string{"", "x", "65f0000000000000000000ff"} {
			other := r
			other.VisitorID, other.ZoneID = id, "nowhere" // the visitor is checked first
			_, err := w.reserve(other)
			w.wantField(err, booking.FieldVisitor)
		}
		elsewhere := testClinic()
		elsewhere.ID = "clinic-2"
		w.must(w.db.PutClinic(w.t.Context(), elsewhere, eight.Unix()))
		other := r
		other.MerchantID = "clinic-2"
		_, err = w.reserve(other)
		w.wantField(err, booking.FieldVisitor)
	})
}

// Reasons to refuse a reservation, which leaves no trace then.
func TestReserveRefusals(t *testing.T) {
	const nowhere = "65f0000000000000000000ff"
	for _, c := range []struct {
		name     string
		change   func(w *world, r *booking.Reserve)
		field    booking.Field
		cause    booking.Cause
		resource int
	}{
		{"zone unknown", func(_ *world, r *booking.Reserve) { r.ZoneID = nowhere }, booking.FieldZone, 0, -1},
		{"group unknown", func(_ *world, r *booking.Reserve) { r.Items[1].GroupID = nowhere }, booking.FieldResourceGroup, 0, 1},
		{"zone not in the group", func(_ *world, r *booking.Reserve) { r.Items[0].ZoneID = attic }, booking.FieldResourceZone, 0, 0},
		{"zone switched off", func(_ *world, r *booking.Reserve) { r.Items[1].ZoneID = closed }, booking.FieldResourceZone, 0, 1},
		{"clinic unknown", func(_ *world, r *booking.Reserve) { r.MerchantID = "nobody" }, booking.FieldZone, 0, -1},
		{"the visitor has another visit, before it is full", func(w *world, r *booking.Reserve) {
			other := w.reservation(suite, at(9, 30), at(10, 0))
			other.Phone = r.Phone
			_, err := w.reserve(other)
			w.must(err)
			r.Items[0].ZoneID = suite
		}, 0, booking.OverlappingReservation, -1},
		{"in the break", func(_ *world, r *booking.Reserve) { r.Items[1].StartSec, r.Items[1].EndSec = at(12, 30), at(13, 30) }, 0, booking.SlotUnavailable, 1},
		{"on a closed day", func(_ *world, r *booking.Reserve) {
			for i := range r.Items {
				r.Items[i].StartSec += 3 * 86400
				r.Items[i].EndSec += 3 * 86400
			}
		}, 0, booking.SlotUnavailable, 0},
		{"the second is full", func(w *world, _ *booking.Reserve) {
			_, err := w.reserve(w.reservation(suite, at(10, 30), at(11, 0)))
			w.must(err)
		}, 0, booking.SlotUnavailable, 1},
		{"the first is blocked", func(w *world, _ *booking.Reserve) { w.block(block(bed, at(9, 45), at(9, 46))) }, 0, booking.SlotUnavailable, 0},
		{"the doctor is blocked", func(w *world, r *booking.Reserve) {
			b := block(bed, at(10, 0), at(11, 0))
			b.Doctor = &booking.Person{ID: drKim, Name: "김의사"}
			w.block(b)
			r.Items[1].Doctor = b.Doctor
		}, 0, booking.SlotUnavailable, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				r := w.reservation(bed, at(9, 0), at(10, 0))
				r.Items = append(r.Items, booking.Item{GroupID: queue, ZoneID: suite, StartSec: at(10, 0), EndSec: at(11, 0)})
				c.change(w, &r)
				before := w.rows()
				_, err := w.reserve(r)
				if c.field != 0 {
					w.wantField(err, c.field)
				} else {
					w.wantCause(err, c.cause)
				}
				resource := -1
				var invalid *booking.Invalid
				var failure *booking.Failure
				if errors.As(err, &invalid) {
					resource = invalid.Resource
				} else if errors.As(err, &failure) {
					resource = failure.Resource
				}
				if resource != c.resource {
					w.t.Errorf("got item %d, want %d", resource, c.resource)
				}
				if diff := cmp.Diff(before, w.rows()); diff != "" {
					w.t.Errorf("it left traces (-before +after):\n%s", diff)
				}
			})
		})
	}
}

// Rules for guests that do not bind the desk: the past, the start date, the same-day buffer, notice, and whom the clinic accepts.
func TestDeskIsNotBound(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].StartDate = inventory.Date{Year: 2030, Month: 1, Day: 1}
		m.Groups[0].SameDayCloseBufferSec = 8 * 3600
		m.Services[0].MinAdvanceBookingSec = 30 * 86400
		m.Guests = inventory.GuestRules{MaxUpcoming: 1, Banned: []string{"010-2222-0001"}, NamePattern: "^x$", PhonePattern: "^y$"}
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		w.later(90 * time.Minute) // 09:30
		for _, hour := range []int{9, 10, 14} {
			r := w.reservation(suite, at(hour, 0), at(hour+1, 0))
			r.Phone = "010-2222-0001"
			if _, err := w.reserve(r); err != nil {
				w.t.Errorf("at %d: %v", hour, err)
			}
		}
	})
}

// A block closes what it touches to both channels, and leaves existing visits alone.
func TestBlock(t *testing.T) {
	each(t, func(w *world) {
		lookup := func() int {
			rooms, err := w.Rooms(w.t.Context(), clinic, []booking.Slot{{ServiceID: skinCare, StartSec: at(10, 0), RoomID: bed}})
			w.must(err)
			return rooms[0]
		}
		attempt := func() []error {
			c := w.request(at(10, 0))
			c.RoomID = bed
			_, guest := w.create(c)
			_, desk := w.reserve(w.reservation(bed, at(9, 0), at(10, 30)))
			return []error{guest, desk}
		}
		there, err := w.reserve(w.reservation(bed, at(10, 0), at(11, 0)))
		w.must(err)
		other, err := w.reserve(w.reservation(bed, at(14, 0), at(15, 0)))
		w.must(err)
		if n := lookup(); n != 1 {
			w.t.Errorf("before: room for %d", n)
		}
		lunch := w.block(block(bed, at(10, 10), at(10, 20))) // closes 10:00 to 10:30
		over := w.block(block(bed, at(10, 0), at(14, 30)))   // over it, over the break, and over a visit
		closed := func(when string) {
			w.t.Helper()
			if n := lookup(); n != 0 {
				w.t.Errorf("%s: room for %d", when, n)
			}
			for _, err := range attempt() {
				w.wantCause(err, booking.SlotUnavailable)
			}
			w.wantCause(w.change(move(other, bed, at(10, 0), at(11, 0))), booking.SlotUnavailable)
		}
		closed("blocked")

		// The existing visit keeps its place, but nobody gets what it leaves.
		memo := move(there, bed, at(10, 0), at(11, 0))
		memo.Memo = booking.Set("stays")
		w.must(w.change(memo))
		w.wantCause(w.change(move(there, bed, at(10, 0), at(11, 30))), booking.SlotUnavailable)
		w.must(w.change(move(there, bed, at(10, 0), at(10, 30)))) // shorter: takes nothing
		closed("shortened")
		w.must(w.SettleVisit(w.t.Context(), theDesk, scheduleOf(there), booking.CallOff, nil))
		closed("canceled")
		m := testClinic()
		m.Groups[0].Zones[0].Capacity = 9
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		closed("with more capacity")

		w.must(w.unblock(over))
		closed("one block left")
		w.must(w.unblock(lunch))
		if n := lookup(); n != 9 {
			w.t.Errorf("open again: room for %d", n)
		}
		for _, err := range attempt() {
			w.must(err)
		}
		for _, key := range []booking.ScheduleKey{scheduleOf(lunch), scheduleOf(other), {MerchantID: clinic, ScheduleID: "x"}, {MerchantID: "clinic-2", ScheduleID: over.ScheduleID}} {
			w.wantField(w.Unblock(w.t.Context(), theDesk, key), booking.FieldBlock)
		}
	})
}

// A block is nobody's visit: no channel finds it by its names.
func TestBlockIsNoVisit(t *testing.T) {
	each(t, func(w *world) {
		b := w.block(block(suite, at(9, 0), at(10, 0)))
		before := w.rows()
		w.wantField(w.change(move(b, suite, at(9, 0), at(11, 0))), booking.FieldSchedule)
		w.wantField(w.SettleVisit(w.t.Context(), theDesk, scheduleOf(b), booking.CallOff, nil), booking.FieldSchedule)
		_, err := w.Settle(w.t.Context(), theDesk, b.ID, booking.CallOff)
		w.wantField(err, booking.FieldBooking)
		_, err = w.Update(w.t.Context(), booking.Update{BookingID: b.ID, Cancel: true})
		w.wantField(err, booking.FieldBooking)
		c := w.request(at(9, 0))
		c.LeaseID = &b.ID
		_, err = w.create(c)
		w.wantCause(err, booking.LeaseExpired)
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			w.t.Errorf("it left traces (-before +after):\n%s", diff)
		}
	})
}

func TestBlockRefusals(t *testing.T) {
	each(t, func(w *world) {
		for _, c := range []struct {
			name        string
			group, zone string
			want        booking.Field
		}{
			{"group unknown", "x", bed, booking.FieldGroup},
			{"group before zone", "x", "y", booking.FieldGroup},
			{"zone unknown", queue, "x", booking.FieldZone},
			{"zone not in the group", queue, attic, booking.FieldZone},
			{"zone switched off", queue, closed, booking.FieldZone},
		} {
			b := block(c.zone, at(9, 0), at(10, 0))
			b.GroupID = c.group
			before := w.rows()
			_, err := w.Block(w.t.Context(), b)
			w.wantField(err, c.want)
			if diff := cmp.Diff(before, w.rows()); diff != "" {
				w.t.Errorf("%s left traces (-before +after):\n%s", c.name, diff)
			}
		}
	})
}

// A block takes from a doctor only an exclusive one's time.
func TestBlockOfADoctor(t *testing.T) {
	for _, c := range []struct {
		id   string
		free bool
	}{{drKim, false}, {drLee, true}, {"65c0000000000000000000ff", true}} {
		each(t, func(w *world) {
			doctor := &booking.Person{ID: c.id, Name: "의사"}
			b := block(suite, at(9, 0), at(10, 0))
			b.Doctor = doctor
			w.block(b)
			r := w.reservation(bed, at(9, 0), at(10, 0))
			r.Items[0].Doctor = doctor
			if _, err := w.reserve(r); (err == nil) != c.free {
				w.t.Errorf("doctor %s: %v, want free %v", c.id, err, c.free)
			}
		})
	}
}

// A lease was promised the place before it was blocked: it becomes the booking.
func TestBlockOverALease(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.RoomID = suite
		lease, err := w.Lease(w.t.Context(), booking.Lease{Slot: c.Slot, UserID: c.Contact.UserID})
		w.must(err)
		w.block(block(suite, at(9, 0), at(10, 0)))
		c.LeaseID = &lease.ID
		w.booked(c)
	})
}

// From each state to each, by the clinic's commands: done, or refused without a trace; repeating it is refused.
func TestSettleVisit(t *testing.T) {
	allowed := map[booking.State]map[booking.Settlement]booking.State{
		booking.Pending: {
			booking.Confirm: booking.Confirmed, booking.Decline: booking.Declined, booking.CallOff: booking.Canceled, booking.Arrive: booking.InProgress,
		},
		booking.Confirmed:  {booking.CallOff: booking.Canceled, booking.Missed: booking.NoShow, booking.Arrive: booking.InProgress},
		booking.InProgress: {booking.Finish: booking.Completed},
	}
	way := map[booking.State][]booking.Settlement{
		booking.Pending: nil, booking.Confirmed: {booking.Confirm}, booking.InProgress: {booking.Arrive}, booking.Completed: {booking.Arrive, booking.Finish},
		booking.Canceled: {booking.CallOff}, booking.Declined: {booking.Decline}, booking.NoShow: {booking.Confirm, booking.Missed},
	}
	each(t, func(w *world) {
		day := int64(0)
		for from, steps := range way {
			for _, as := range []booking.Settlement{booking.Confirm, booking.Decline, booking.CallOff, booking.Missed, booking.Arrive, booking.Finish} {
				day++
				b := w.pending(at(9, 0) + 7*86400*day)
				for _, step := range steps {
					w.must(w.SettleVisit(w.t.Context(), theDesk, scheduleOf(b), step, nil))
				}
				if got := w.stored(b).State; got != from {
					w.t.Fatalf("got %s, want %s", got, from)
				}
				before := w.rows()
				err := w.SettleVisit(w.t.Context(), theDesk, scheduleOf(b), as, nil)
				to := allowed[from][as]
				if to == "" {
					w.wantCause(err, booking.NotReserved)
					if diff := cmp.Diff(before, w.rows()); diff != "" {
						w.t.Errorf("%s as %s left traces (-before +after):\n%s", from, as, diff)
					}
					to = from
				} else {
					w.must(err)
				}
				if got := w.stored(b).State; got != to {
					w.t.Errorf("%s as %s: got %s, want %s", from, as, got, to)
				}
				next := w.request(b.StartSec)
				next.RoomID = suite
				_, err = w.create(next)
				if free := to == booking.Canceled || to == booking.Declined || to == booking.NoShow; (err == nil) != free {
					w.t.Errorf("%s: the place is free: %v", to, err)
				}
			}
		}
		w.wantField(w.SettleVisit(w.t.Context(), theDesk, booking.ScheduleKey{MerchantID: clinic, ScheduleID: "x"}, booking.CallOff, nil), booking.FieldSchedule)
	})
}

// once is a request's name among the desk's.
func once(key, request string) *booking.Once {
	return &booking.Once{Caller: "clinic/" + clinic, Token: key, Fingerprint: []byte(request)}
}

// Copies of one named request make one visit or one block, even concurrently and for the last place. A different request under the
// name is noticed, and a failed one may be tried again.
func TestDeskOnce(t *testing.T) {
	each(t, func(w *world) {
		for _, hour := range []int{9, 10, 11} {
			r := w.reservation(suite, at(hour, 0), at(hour+1, 0))
			r.Once = once(fmt.Sprint("visit-", hour), "r")
			c := block(bed, at(hour, 0), at(hour+1, 0))
			c.Once = once(fmt.Sprint("block-", hour), "b")
			var seen, blocks sync.Map
			var y tally
			together(16, func(i int) {
				if i%2 == 0 {
					b, err := w.reserve(r)
					y.add(err)
					seen.Store(b.ScheduleID, true)
				} else {
					out, err := w.Block(w.t.Context(), c)
					y.add(err)
					blocks.Store(out.Booking.ScheduleID, true)
				}
			})
			y.want(w.t, 16, 0)
			if n, m := size(&seen), size(&blocks); n != 1 || m != 1 {
				w.t.Errorf("%d visits and %d blocks under one key each", n, m)
			}
			r.Once = once(fmt.Sprint("visit-", hour), "another")
			out, err := w.Reserve(w.t.Context(), r)
			w.must(err)
			if !out.Mismatch {
				w.t.Error("another request under the key is not noticed")
			}
		}
		r := w.reservation(suite, at(9, 0), at(10, 0))
		r.Once = once("later", "r")
		_, err := w.reserve(r)
		w.wantCause(err, booking.SlotUnavailable)
		for _, b := range w.all() {
			if b.StartSec == at(9, 0) && b.State == booking.Confirmed {
				w.must(w.SettleVisit(w.t.Context(), theDesk, scheduleOf(b), booking.CallOff, nil))
			}
		}
		_, err = w.reserve(r)
		w.must(err)

		// Google's tokens are others, whatever they are called.
		c := w.request(at(14, 0))
		c.Token = "later"
		if out, err := w.Create(w.t.Context(), c); err != nil || out.Replay {
			w.t.Errorf("replay %v, %v", out.Replay, err)
		}
	})
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

// all are the clinic's bookings of every kind.
func (w *world) all() []booking.Booking {
	w.t.Helper()
	all, err := w.db.Bookings(w.t.Context(), clinic, 0, 1<<60)
	w.must(err)
	return all
}

// Fifty receptionists and one place.
func TestReserveBurst(t *testing.T) {
	each(t, func(w *world) {
		var y tally
		together(50, func(int) {
			_, err := w.reserve(w.reservation(suite, at(9, 0), at(10, 0)))
			y.add(err)
		})
		y.want(w.t, 1, 49)
	})
}

// Several desks reserve for one new visitor at once: one chart, and no two visits at a time.
func TestOneVisitorAtOnce(t *testing.T) {
	each(t, func(w *world) {
		var y tally
		together(8, func(i int) {
			r := w.reservation(bed, at(9, 30*(i%2)), at(10, 30*(i%2)))
			r.Phone = "010-1234-5678"
			_, err := w.reserve(r)
			y.add(err)
		})
		y.want(w.t, 1, 7)
	})
}

// Both channels book while the desk blocks: every booking was made before the block's answer, and after it nothing is taken.
func TestBlockAgainstBookings(t *testing.T) {
	each(t, func(w *world) {
		for _, hour := range []int{9, 10, 11, 14, 15, 16} {
			var blocked atomic.Bool
			var late atomic.Int64
			var y tally
			together(13, func(i int) {
				if i == 12 {
					_, err := w.Block(w.t.Context(), block(bed, at(hour, 0), at(hour+1, 0)))
					y.add(err)
					blocked.Store(true)
					return
				}
				for range 3 {
					after := blocked.Load() // before the request was sent
					var err error
					if i%2 == 0 {
						c := w.request(at(hour, 0))
						c.RoomID = bed
						_, err = w.create(c)
					} else {
						_, err = w.reserve(w.reservation(bed, at(hour, 0), at(hour+1, 0)))
					}
					if err == nil && after {
						late.Add(1)
					}
					y.add(err)
				}
			})
			if y.other != nil || late.Load() > 0 {
				w.t.Errorf("%d booked after the block; errors %v", late.Load(), y.other)
			}
		}
	})
}

// The answer to a COMMIT is lost: the desk learns the truth as well, and what it asked for happens once.
func TestDeskUnknownCommit(t *testing.T) {
	for _, point := range []string{"after COMMIT", "before COMMIT"} {
		t.Run(point, func(t *testing.T) {
			var faults sync.Map // point → *atomic.Int64, of this test's database only
			fault := func(p string) error {
				if n, ok := faults.Load(p); ok && n.(*atomic.Int64).Add(-1) >= 0 {
					return fmt.Errorf("fault: %w", io.ErrUnexpectedEOF)
				}
				return nil
			}
			eachWith(t, storage.Options{Fault: fault}, func(w *world) {
				failing := func() {
					n := &atomic.Int64{}
					n.Store(1)
					faults.Store(point, n)
				}
				failing()
				b, err := w.reserve(w.reservation(suite, at(9, 0), at(10, 0)))
				w.must(err)
				failing()
				shut := w.block(block(suite, at(10, 0), at(11, 0)))
				edit := move(b, suite, at(9, 0), at(10, 0))
				edit.Memo, edit.Seen = booking.Set("m"), new(int64(1))
				failing()
				w.must(w.change(edit))
				w.wantField(w.change(edit), booking.FieldVersion)
				for i, as := range []booking.Settlement{booking.Arrive, booking.Finish} {
					failing()
					w.must(w.SettleVisit(w.t.Context(), theDesk, scheduleOf(b), as, new(int64(i+2))))
				}
				failing()
				w.must(w.unblock(shut))
				if got, want := len(w.all()), 2; got != want {
					w.t.Errorf("%d bookings, want %d", got, want)
				}
				if v, u := w.stored(b).Version, w.stored(shut).Version; v != 4 || u != 2 {
					w.t.Errorf("versions %d and %d, want 4 and 2", v, u)
				}
			})
		})
	}
}
