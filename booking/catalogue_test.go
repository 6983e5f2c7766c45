package booking_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// What each change of the catalogue does to a visit in the bed with Dr. Lee and to one in the suite with Dr. Kim, both from 9 to
// 10.
func TestCompare(t *testing.T) {
	const a, b = "visit-a", "visit-b"
	for _, c := range []struct {
		name   string
		change func(m *inventory.Merchant)
		want   map[string][]booking.Reason
	}{
		{"nothing", func(*inventory.Merchant) {}, nil},
		{"capacity up", func(m *inventory.Merchant) { m.Groups[0].Zones[1].Capacity = 5 }, nil},
		{"capacity down, and it still fits", func(m *inventory.Merchant) { m.Groups[0].Zones[0].Capacity = 1 }, nil},
		{"capacity down", func(m *inventory.Merchant) { m.Groups[0].Zones[1].Capacity = 0 }, map[string][]booking.Reason{b: {booking.OverCapacity}}},
		{"zone switched off", func(m *inventory.Merchant) { m.Groups[0].Zones[0].Enabled = false }, map[string][]booking.Reason{a: {booking.ZoneOff}}},
		{"zone gone", func(m *inventory.Merchant) { m.Groups[0].Zones = m.Groups[0].Zones[1:] }, map[string][]booking.Reason{a: {booking.ZoneGone}}},
		{"group gone", func(m *inventory.Merchant) { m.Groups = nil }, map[string][]booking.Reason{a: {booking.GroupGone}, b: {booking.GroupGone}}},
		{"hours shortened", func(m *inventory.Merchant) { m.Groups[0].Timetable[time.Monday] = nil }, map[string][]booking.Reason{
			a: {booking.ClosedThen}, b: {booking.ClosedThen},
		}},
		{"a closed day", func(m *inventory.Merchant) { m.Groups[0].ClosedDays = []inventory.Date{{Year: 2026, Month: 3, Day: 2}} }, map[string][]booking.Reason{
			a: {booking.ClosedThen}, b: {booking.ClosedThen},
		}},
		{"doctor gone", func(m *inventory.Merchant) { m.Staff = m.Staff[:1] }, map[string][]booking.Reason{a: {booking.DoctorGone}}},
		{"doctor on holiday", func(m *inventory.Merchant) { m.Staff[0].ClosedDays = []inventory.Date{{Year: 2026, Month: 3, Day: 2}} }, map[string][]booking.Reason{
			b: {booking.DoctorAway},
		}},
		{"several reasons", func(m *inventory.Merchant) { m.Groups[0].Zones[0].Enabled, m.Staff = false, nil }, map[string][]booking.Reason{
			a: {booking.DoctorGone, booking.ZoneOff}, b: {booking.DoctorGone},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			visit := func(id, zone, doctor string, state booking.State) booking.Booking {
				m := testClinic()
				lane := inventory.LaneResource(clinic, &m.Groups[0], *m.Groups[0].Zone(zone))
				return booking.Booking{ScheduleID: id, State: state, StartSec: at(9, 0), EndSec: at(10, 0), Resources: []booking.OccupiedResource{{
					ResourceID: lane.ID, GroupID: queue, ZoneID: zone, Doctor: &booking.Person{ID: doctor}, StartSec: at(9, 0), EndSec: at(10, 0), Spots: 1,
				}}}
			}
			before, next := testClinic(), testClinic()
			c.change(&next)
			got := booking.Compare(&before, &next, []booking.Booking{
				visit(a, bed, drLee, booking.Confirmed), visit(b, suite, drKim, booking.Pending), visit("a lease", bed, drLee, booking.Held),
			}, eight)
			if got.Refused() != nil {
				t.Errorf("refused: %v", got.Refused())
			}
			reasons := map[string][]booking.Reason{}
			for _, v := range got.Affected {
				reasons[v.ScheduleID] = v.Reasons
				if v.Before {
					t.Errorf("%s was so before?", v.ScheduleID)
				}
			}
			if len(c.want)+len(reasons) > 0 {
				if diff := cmp.Diff(c.want, reasons); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
			}
			for _, v := range booking.Compare(&next, &next, nil, eight).Affected {
				t.Errorf("affected though nobody comes: %v", v)
			}
		})
	}
}

// withKim is a request for the bed with Dr. Kim.
func (w *world) withKim(startSec int64) booking.Create {
	c := w.request(startSec)
	c.StaffID, c.RoomID = drKim, bed
	return c
}

// Future visits of a doctor who becomes exclusive hold the doctor's time, so that nobody can book it again; visits of one who is
// no longer exclusive give it back.
func TestDoctorBecomesExclusive(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Staff[0].Exclusive = false
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		visit := w.booked(w.withKim(at(9, 0)))
		past := w.booked(w.withKim(at(14, 0) - 7*86400 + 7*86400))
		gone := w.booked(w.withKim(at(9, 0)))
		_, err := w.Update(t.Context(), booking.Update{BookingID: gone.ID, Cancel: true})
		w.must(err)
		if visit.Resources[0].DoctorID != nil {
			w.t.Fatal("the doctor's time is held")
		}

		m.Staff[0].Exclusive = true
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		w.verify()
		if got := w.stored(visit); got.Resources[0].DoctorID == nil || got.Version != 2 {
			w.t.Errorf("the doctor's time is not held: %+v", got)
		}
		_, err = w.create(w.withKim(at(9, 30)))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(w.withKim(at(14, 30)))
		w.wantCause(err, booking.SlotUnavailable)
		w.must(w.change(move(past, bed, at(15, 0), at(16, 0)))) // and without the doctor
		w.booked(w.withKim(at(14, 30)))
		before := w.rows()
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			w.t.Errorf("the same import again changed something (-before +after):\n%s", diff)
		}

		m.Staff[0].Exclusive = false
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		w.verify()
		w.booked(w.withKim(at(9, 30)))
		events, err := w.db.Events(t.Context(), visit.ID)
		w.must(err)
		if len(events) != 3 || events[2].Action != booking.Adjusted || events[2].Actor != booking.ByOperator {
			w.t.Errorf("events %+v", events)
		}

		// Now two visits overlap: the doctor cannot be exclusive, and nothing has changed.
		m.Staff[0].Exclusive = true
		before = w.rows()
		c, err := w.ReplaceClinic(t.Context(), theOperator, m)
		var conflict *booking.Conflict
		if !errors.As(err, &conflict) || !slices.Contains(conflict.Visits, visit.ScheduleID) || len(conflict.Visits) != 2 || !strings.Contains(conflict.Detail, drKim) {
			w.t.Errorf("got %v", err)
		}
		if len(c.Conflicts) != 1 {
			w.t.Errorf("conflicts %v", c.Conflicts)
		}
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			w.t.Errorf("a refused import left traces (-before +after):\n%s", diff)
		}
	})
}

// Guests book a doctor while imports make the doctor exclusive and back: no visit slips through, and no two visits have an
// exclusive doctor at once.
func TestDoctorBecomesExclusiveWhileBooking(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].Zones[0].Capacity = 100
		var y tally
		var refused atomic.Int64
		together(9, func(i int) {
			if i > 0 {
				r := rand.New(rand.NewPCG(2, uint64(i)))
				for range 6 {
					_, err := w.create(w.withKim(at(9, 0) + 1800*r.Int64N(6) + 7*86400*r.Int64N(4)))
					y.add(err)
				}
				return
			}
			for n := range 6 {
				change := m
				change.Staff = slices.Clone(m.Staff)
				change.Staff[0].Exclusive = n%2 == 1
				var conflict *booking.Conflict
				if err := w.db.PutClinic(w.t.Context(), change, eight.Unix()); errors.As(err, &conflict) {
					refused.Add(1)
				} else {
					w.must(err)
				}
				w.doctorOnce()
			}
		})
		if y.other != nil {
			w.t.Errorf("errors reached callers: %v", y.other)
		}
		t.Logf("%d booked, %d refused, %d imports refused", y.booked, y.refused, refused.Load())
	})
}

// An import comes while a booking is under way that was planned with a doctor who is not exclusive: it must wait, and find the
// booking. (SQLite has one writer anyway.)
func TestDoctorBecomesExclusiveUnderABooking(t *testing.T) {
	target := storagetest.Postgres(t)
	m := testClinic()
	m.Staff[0].Exclusive = false
	exclusive := testClinic()
	var armed bool
	var importing error
	w := &world{t: t, db: storagetest.Database{Target: target}}
	impatient := storagetest.Open(t, target, storage.Options{Limit: 200 * time.Millisecond})
	w.db.DB = storagetest.Open(t, target, storage.Options{Limit: time.Minute, Fault: func(point string) error {
		if armed && point == "after the slots" {
			importing = storagetest.PutClinic(t.Context(), impatient, exclusive, eight.Unix())
		}
		return nil
	}})
	w.Service = &booking.Service{Store: w.db, Now: func() time.Time { return eight }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
	w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
	w.booked(w.request(at(9, 0))) // makes the slots, so that nobody waits for their resource
	armed = true
	w.booked(w.withKim(at(9, 0)))
	armed = false
	if !errors.Is(importing, booking.ErrUnavailable) {
		t.Errorf("the import did not wait: %v", importing)
	}
	w.doctorOnce()
	w.must(storagetest.PutClinic(t.Context(), impatient, exclusive, eight.Unix()))
	w.doctorOnce()
	w.verify()
}

// doctorOnce checks that Dr. Kim, if exclusive, has one visit at a time, and that every future visit holds the time. (A visit
// that was on its way when the doctor ceased to be exclusive may hold the time until the next import, which does no harm.)
func (w *world) doctorOnce() {
	w.t.Helper()
	m, err := w.db.Refreshed(w.t.Context(), clinic)
	w.must(err)
	all, err := w.db.Bookings(w.t.Context(), clinic, 0, 1<<60)
	w.must(err)
	again, err := w.db.Refreshed(w.t.Context(), clinic)
	w.must(err)
	if again.Version == m.Version && m.StaffMember(drKim).Exclusive {
		w.wantDoctorOnce(w.t.Errorf, m, all)
	}
}

func (w *world) wantDoctorOnce(errorf func(string, ...any), m *inventory.Merchant, all []booking.Booking) {
	exclusive := m.StaffMember(drKim) != nil && m.StaffMember(drKim).Exclusive
	var busy []booking.OccupiedResource
	for _, b := range all {
		for _, r := range b.Resources {
			if !slices.Contains(booking.Live, b.State) || r.Doctor == nil || r.Doctor.ID != drKim {
				continue
			}
			if exclusive != (r.DoctorID != nil) {
				errorf("visit %s: the doctor's time held is %v, exclusive is %v", b.ScheduleID, r.DoctorID != nil, exclusive)
			}
			for _, o := range busy {
				if exclusive && o.StartSec < r.EndSec && r.StartSec < o.EndSec {
					errorf("visit %s has the doctor at the same time as another", b.ScheduleID)
				}
			}
			busy = append(busy, r)
		}
	}
}

// An import lowers the capacity while guests book and desks move visits: what is sold stays, nothing is oversold, and nobody else
// gets in.
func TestLowerCapacityWhileBooking(t *testing.T) {
	each(t, func(w *world) {
		for round := range 4 {
			m := testClinic()
			m.Groups[0].Zones[0].Capacity = 6
			w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
			start := at(9, 0) + int64(round)*7*86400
			visit := w.request(start + 5*3600)
			visit.RoomID = bed
			moved := w.booked(visit)
			var y tally
			var change booking.Comparison
			together(10, func(i int) {
				switch i {
				case 0:
					m := m
					m.Groups = slices.Clone(m.Groups)
					m.Groups[0].Zones = slices.Clone(m.Groups[0].Zones)
					m.Groups[0].Zones[0].Capacity = 2
					var err error
					change, err = w.ReplaceClinic(w.t.Context(), theOperator, m)
					w.must(err)
				case 1:
					y.add(w.change(move(moved, bed, start, start+3600)))
				default:
					c := w.request(start)
					c.RoomID = bed
					_, err := w.create(c)
					y.add(err)
				}
			})
			if y.other != nil {
				w.t.Errorf("errors reached callers: %v", y.other)
			}
			if y.booked < 2 {
				w.t.Errorf("%d booked though 2 fit at all times", y.booked)
			}
			// The import lists visits over its capacity: all of them, because nobody can say which of them must go.
			n := 0
			for _, a := range change.Affected {
				if a.StartSec == start {
					n++
				}
			}
			if n != 0 && n != y.booked {
				w.t.Errorf("%d visits listed, %d booked", n, y.booked)
			}
			if y.booked > 2 && n == 0 {
				w.t.Errorf("%d visits over a capacity of 2, none listed", y.booked)
			}
			w.verify()
			c := w.request(start)
			c.RoomID = bed
			_, err := w.create(c)
			w.wantCause(err, booking.SlotUnavailable)
		}
	})
}

// A lane that is gone or switched off has no room for an operation that was planned before, whatever its slots; it has room again
// when it comes back.
func TestRetiredLane(t *testing.T) {
	each(t, func(w *world) {
		old, err := w.db.Merchant(t.Context(), clinic)
		w.must(err)
		b := w.booked(w.request(at(9, 0)))
		for _, change := range []func(m *inventory.Merchant){
			func(m *inventory.Merchant) { m.Groups[0].Zones[0].Enabled = false },
			func(m *inventory.Merchant) { m.Groups[0].Zones = m.Groups[0].Zones[1:] },
			func(m *inventory.Merchant) { m.Groups, m.Services = nil, nil },
		} {
			w.must(w.db.PutClinic(t.Context(), testClinic(), eight.Unix()))
			m := testClinic()
			change(&m)
			w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
			lane := inventory.LaneResource(clinic, &old.Groups[0], old.Groups[0].Zones[0])
			for _, start := range []int64{at(9, 0), at(15, 0)} { // with a slot, and without one
				want := []inventory.Hold{lane.Hold(start, start+3600, 1, 0)}
				err := w.db.InTx(t.Context(), booking.Footprint{Slots: inventory.Keys(want...)}, func(tx booking.Tx) error {
					return inventory.Move(tx, uuid.New(), nil, want)
				})
				var full *inventory.Full
				if !errors.As(err, &full) {
					w.t.Errorf("got %v, want full", err)
				}
			}
			w.verify()
			if got := w.stored(b); got.State != booking.Confirmed {
				w.t.Errorf("the visit is %s", got.State)
			}
		}
		w.must(w.db.PutClinic(t.Context(), testClinic(), eight.Unix()))
		c := w.request(at(9, 0))
		c.RoomID = bed
		w.booked(c)
		_, err = w.create(w.withKim(at(9, 0)))
		w.wantCause(err, booking.SlotUnavailable)
	})
}

// A group that was removed and comes back with another interval must not sell again what is held on its old slots.
func TestIntervalOfAGroupThatComesBack(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		m := testClinic()
		m.Groups, m.Services = nil, nil
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		m = testClinic()
		m.Groups[0].IntervalSec = 1200
		var conflict *booking.Conflict
		if err := w.db.PutClinic(t.Context(), m, eight.Unix()); !errors.As(err, &conflict) || !slices.Equal(conflict.Visits, []string{b.ScheduleID}) {
			w.t.Errorf("got %v", err)
		}
		w.must(w.db.PutClinic(t.Context(), testClinic(), eight.Unix()))
	})
}

// A doctor whose time is blocked over a visit becomes exclusive: the visit stays, and nobody else gets in. A block forbids another
// interval like a visit.
func TestBlockedDoctorBecomesExclusive(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Staff[0].Exclusive = false
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		kim := &booking.Person{ID: drKim, Name: "김의사"}
		block := booking.Block{By: theDesk, MerchantID: clinic, Item: booking.Item{GroupID: queue, ZoneID: suite, Doctor: kim, StartSec: at(9, 0), EndSec: at(11, 0)}}
		first, err := w.Block(t.Context(), block)
		w.must(err)
		visit := w.booked(w.withKim(at(9, 0))) // the bed is not blocked, and nobody's time is held
		_, err = w.Block(t.Context(), block)
		w.must(err)

		m.Staff[0].Exclusive = true
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		w.verify()
		if got := w.stored(visit); got.Resources[0].DoctorID == nil {
			w.t.Errorf("got %+v", got)
		}
		_, err = w.create(w.withKim(at(10, 0)))
		w.wantCause(err, booking.SlotUnavailable)

		m.Staff[0].Exclusive = false
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		w.verify()
		w.booked(w.withKim(at(10, 0)))
		m.Groups[0].IntervalSec = 1200
		var conflict *booking.Conflict
		if err := w.db.PutClinic(t.Context(), m, eight.Unix()); !errors.As(err, &conflict) || !slices.Contains(conflict.Visits, first.Booking.ScheduleID) {
			w.t.Errorf("got %v", err)
		}
	})
}

// Random histories of bookings, blocks, moves and cancellations between changes of the
// catalogue of every kind. After each step all invariants hold, no booking is
// lost, and an exclusive doctor is at one visit at a time.
func TestCatalogueHistories(t *testing.T) {
	each(t, func(w *world) {
		rapid.Check(w.t, func(r *rapid.T) {
			w.must(storagetest.Forget(w.db.Target))
			m := testClinic()
			m.ID = "clinic-" + uuid.NewString()
			w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
			h := &catalogueHistory{w: w, m: m, live: map[uuid.UUID]bool{}}
			r.Repeat(map[string]func(*rapid.T){
				"create": h.create, "move": h.move, "cancel": h.cancel, "block": h.block, "unblock": h.unblock,
				"capacity": h.capacity, "zone": h.zone, "doctor": h.doctor, "hours": h.hours, "grid": h.grid, "": h.check,
			})
		})
	})
}

type catalogueHistory struct {
	w      *world
	m      inventory.Merchant
	visits []booking.Booking
	blocks []booking.Booking
	live   map[uuid.UUID]bool
}

func (h *catalogueHistory) create(r *rapid.T) {
	c := h.w.request(at(9, 0) + 1800*halfHours.Draw(r, "start"))
	c.MerchantID = h.m.ID
	c.StaffID = rapid.SampledFrom([]string{"", drKim, drKim, drLee}).Draw(r, "doctor")
	b, err := h.w.create(c)
	if err == nil {
		h.visits, h.live[b.ID] = append(h.visits, b), true
		return
	}
	h.wantNo(r, err)
}

func (h *catalogueHistory) move(r *rapid.T) {
	b := h.pick(r)
	from := at(9, 0) + 600*rapid.Int64Range(0, 17).Draw(r, "to")
	c := move(b, rapid.SampledFrom([]string{bed, suite}).Draw(r, "zone"), from, from+600*rapid.Int64Range(1, 9).Draw(r, "length"))
	if rapid.Bool().Draw(r, "with the doctor") {
		c.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
	}
	if err := h.w.change(c); err != nil {
		h.wantNo(r, err)
	}
}

func (h *catalogueHistory) cancel(r *rapid.T) {
	b := h.pick(r)
	if _, err := h.w.Settle(h.w.t.Context(), theDesk, b.ID, booking.CallOff); err != nil {
		r.Fatal(err)
	}
	delete(h.live, b.ID)
}

func (h *catalogueHistory) block(r *rapid.T) {
	from := at(9, 0) + 600*rapid.Int64Range(0, 17).Draw(r, "from")
	c := booking.Block{By: theDesk, MerchantID: h.m.ID, Item: booking.Item{GroupID: queue, ZoneID: bed, StartSec: from, EndSec: from + 1800}}
	if rapid.Bool().Draw(r, "with the doctor") {
		c.Doctor = &booking.Person{ID: drKim, Name: "김의사"}
	}
	made, err := h.w.Block(h.w.t.Context(), c)
	if err != nil {
		h.wantNo(r, err)
		return
	}
	if !slices.ContainsFunc(h.blocks, func(b booking.Booking) bool { return b.ID == made.Booking.ID }) { // else it was there
		h.blocks = append(h.blocks, made.Booking)
	}
}

func (h *catalogueHistory) unblock(r *rapid.T) {
	if len(h.blocks) == 0 {
		r.Skip()
	}
	b := h.blocks[0]
	h.blocks = h.blocks[1:]
	if err := h.w.Unblock(h.w.t.Context(), theDesk, booking.ScheduleKey{MerchantID: b.MerchantID, ScheduleID: b.ScheduleID}); err != nil {
		r.Fatal(err)
	}
}

func (h *catalogueHistory) pick(r *rapid.T) booking.Booking {
	if len(h.visits) == 0 {
		r.Skip()
	}
	return h.visits[rapid.IntRange(0, len(h.visits)-1).Draw(r, "visit")]
}

func (h *catalogueHistory) capacity(r *rapid.T) {
	h.put(r, func(m *inventory.Merchant) { m.Groups[0].Zones[0].Capacity = rapid.IntRange(0, 3).Draw(r, "beds") })
}

func (h *catalogueHistory) zone(r *rapid.T) {
	h.put(r, func(m *inventory.Merchant) {
		m.Groups[0].Zones[rapid.IntRange(0, 1).Draw(r, "zone")].Enabled = rapid.Bool().Draw(r, "enabled")
	})
}

func (h *catalogueHistory) doctor(r *rapid.T) {
	h.put(r, func(m *inventory.Merchant) {
		m.Staff = testClinic().Staff
		switch rapid.IntRange(0, 2).Draw(r, "Dr. Kim is exclusive, not exclusive, gone") {
		case 1:
			m.Staff[0].Exclusive = false
		case 2:
			m.Staff = m.Staff[1:]
		}
	})
}

func (h *catalogueHistory) hours(r *rapid.T) {
	h.put(r, func(m *inventory.Merchant) {
		m.Groups[0].Timetable = &inventory.Timetable{time.Monday: {Start: 60 * rapid.IntRange(8, 11).Draw(r, "opens"), End: 18 * 60}}
	})
}

func (h *catalogueHistory) grid(r *rapid.T) {
	h.put(r, func(m *inventory.Merchant) {
		m.Groups[0].Grid = rapid.SampledFrom([]inventory.Grid{inventory.GridStandard, inventory.GridMidnight, inventory.GridOpening}).Draw(r, "grid")
		m.Groups[0].Timetable = &inventory.Timetable{time.Monday: {Start: 8*60 + 10*rapid.IntRange(0, 6).Draw(r, "opens"), End: 18 * 60}}
		m.Groups[0].Align(m.Location)
	})
}

// put imports a changed catalogue. The only permitted reason for a refusal is a doctor who cannot be exclusive, and then nothing
// changes.
func (h *catalogueHistory) put(r *rapid.T, change func(m *inventory.Merchant)) {
	next := h.m
	next.Groups = slices.Clone(h.m.Groups)
	next.Groups[0].Zones = slices.Clone(h.m.Groups[0].Zones)
	change(&next)
	preview, err := h.w.CompareClinic(h.w.t.Context(), next)
	if err != nil {
		r.Fatal(err)
	}
	done, err := h.w.ReplaceClinic(h.w.t.Context(), theOperator, next)
	if diff := cmp.Diff(preview, done); diff != "" {
		r.Errorf("the preview was of something else (-preview +done):\n%s", diff)
	}
	var conflict *booking.Conflict
	switch {
	case errors.As(err, &conflict):
		if h.m.StaffMember(drKim) != nil && h.m.StaffMember(drKim).Exclusive || len(conflict.Visits) < 2 {
			r.Errorf("refused for no reason: %v", err)
		}
	case err != nil:
		r.Fatal(err)
	default:
		h.m = next
	}
}

func (h *catalogueHistory) check(r *rapid.T) {
	broken, err := h.w.db.Verify(h.w.t.Context(), nil)
	if err != nil || len(broken) > 0 {
		r.Fatalf("invariants: %v, %v", broken, err)
	}
	all, err := h.w.db.Bookings(h.w.t.Context(), h.m.ID, 0, 1<<60)
	if err != nil {
		r.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(b booking.Booking) bool { return b.IsBlock() })
	for _, b := range all {
		if _, changes := b.Reassigned(&h.m); changes && h.live[b.ID] {
			r.Errorf("booking %s is not counted as the catalogue has it", b.ID)
		}
		if h.live[b.ID] != (b.State == booking.Confirmed) {
			r.Errorf("booking %s is %s", b.ID, b.State)
		}
	}
	if len(all) != len(h.visits) {
		r.Errorf("%d bookings, %d made", len(all), len(h.visits))
	}
	h.w.wantDoctorOnce(r.Errorf, &h.m, all)
}

// wantNo: a "no", and not a fault.
func (h *catalogueHistory) wantNo(r *rapid.T, err error) {
	var no *booking.Failure
	var unknown *booking.Invalid
	if !errors.As(err, &no) && !errors.As(err, &unknown) {
		r.Fatalf("got %v", err)
	}
}
