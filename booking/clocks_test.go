package booking_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
)

// clock puts the test clinic into a time zone, with a group of slots of that length and a service for them. It has one bed, and the
// opening hours given.
func (w *world) clock(zone string, minutes int64, grid inventory.Grid, hours *inventory.Day) *inventory.Merchant {
	w.t.Helper()
	m := testClinic()
	m.TimeZone, m.Location = zone, mustLocation(zone)
	g := &m.Groups[0]
	g.IntervalSec, g.Grid, g.ClosedDays = minutes*60, grid, nil
	g.Timetable = &inventory.Timetable{hours, hours, hours, hours, hours, hours, hours}
	g.Zones = []inventory.GroupZone{{ZoneID: bed, Capacity: 1, Enabled: true}}
	m.Services = []inventory.Service{{ID: "slot", GroupID: queue, DurationSec: g.IntervalSec}}
	if g.Align(m.Location); grid == inventory.GridStandard { // as a release before has left it
		g.StepSec = 0
	}
	w.must(w.db.PutClinic(w.t.Context(), m, w.Now().Unix()))
	return &m
}

// wants is a guest's request for a slot.
func (w *world) wants(startSec, durationSec int64) booking.Create {
	c := w.request(startSec)
	c.ServiceID, c.DurationSec = "slot", durationSec
	return c
}

func (w *world) told(fromSec, toSec int64) []booking.GroupSlot {
	w.t.Helper()
	slots, err := w.GroupSlots(w.t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{queue}, FromSec: fromSec, ToSec: toSec})
	w.must(err)
	return slots
}

// fits reports whether an operation would succeed, and undoes it.
func (w *world) fits(run func(*booking.Service) error) bool {
	w.t.Helper()
	service := *w.Service
	service.Store = rehearsal{w.db}
	err := run(&service)
	var f *booking.Failure
	var i *booking.Invalid
	if !errors.Is(err, errFits) && !errors.As(err, &f) && !errors.As(err, &i) {
		w.t.Fatal(err)
	}
	return errors.Is(err, errFits)
}

// Over a clock change both channels have the same slots: if a slot shows as free, the desk can reserve it and a guest can book it; if
// it shows as full, they cannot; and a guest can start at no other time.
func TestSlotsAgreeOverAChangeOfClocks(t *testing.T) {
	always := &inventory.Day{End: 24 * 60}
	for _, c := range []struct {
		zone    string
		minutes int64
		grid    inventory.Grid
		hours   *inventory.Day
		from    string // local
	}{
		{"America/New_York", 45, inventory.GridMidnight, always, "2026-03-08T00:00"},
		{"America/New_York", 90, inventory.GridMidnight, always, "2026-11-01T00:00"},
		{"America/New_York", 90, inventory.GridStandard, always, "2026-11-01T00:00"},
		{"Europe/Dublin", 40, inventory.GridOpening, &inventory.Day{Start: 30, End: 300, Breaks: []inventory.Break{{Start: 190, End: 195}}}, "2026-10-25T00:00"},
		{"Africa/Casablanca", 120, inventory.GridMidnight, always, "2026-02-15T00:00"},
		{"Australia/Lord_Howe", 60, inventory.GridMidnight, always, "2026-04-05T00:00"},
		{"America/Santiago", 40, inventory.GridMidnight, always, "2026-09-05T21:00"},
		{"Asia/Seoul", 60, inventory.GridOpening, &inventory.Day{Start: 90, End: 300}, "2026-03-08T00:00"},
	} {
		t.Run(fmt.Sprint(c.zone, " ", c.minutes, " ", c.grid), func(t *testing.T) {
			each(t, func(w *world) {
				m := w.clock(c.zone, c.minutes, c.grid, c.hours)
				start, err := time.ParseInLocation("2006-01-02T15:04", c.from, m.Location)
				w.must(err)
				from, to := start.Unix(), start.Unix()+6*60*60
				random := rand.New(rand.NewPCG(14, uint64(c.minutes)))
				for range 2 { // visits and a block at odd times
					at := from + 300*random.Int64N(72)
					if _, err := w.reserve(w.reservation(bed, at, at+300*(1+random.Int64N(8)))); err != nil {
						var f *booking.Failure
						if !errors.As(err, &f) {
							w.t.Fatal(err)
						}
					}
				}
				at := from + 300*random.Int64N(72)
				w.block(block(bed, at, at+600))

				var starts []int64
				for _, s := range w.told(from, to) {
					starts = append(starts, s.StartSec)
					free := s.Taken < s.Capacity
					reservation := w.reservation(bed, s.StartSec, s.EndSec)
					if fits := w.fits(func(service *booking.Service) error { _, err := service.Reserve(t.Context(), reservation); return err }); fits != free {
						t.Errorf("told %+v, but that the desk can reserve it is %v", s, fits)
					}
					create := w.wants(s.StartSec, c.minutes*60)
					fits := w.fits(func(service *booking.Service) error { _, err := service.Create(t.Context(), create); return err })
					if whole := s.EndSec-s.StartSec == c.minutes*60; fits && !free || free && !fits && whole {
						t.Errorf("told %+v, but that a guest can book it is %v", s, fits)
					}
					open, err := w.Available(t.Context(), clinic, []booking.Slot{create.Slot})
					if err != nil || open[0] != fits {
						t.Errorf("told %+v, but that it is available is %v, %v", s, open, err)
					}
				}
				for s := from; s < to; s += 300 {
					create := w.wants(s, c.minutes*60)
					if slices.Contains(starts, s) {
						continue
					}
					if w.fits(func(service *booking.Service) error { _, err := service.Create(t.Context(), create); return err }) {
						t.Errorf("a guest can book at %s, where no slot is told", time.Unix(s, 0).In(m.Location))
					}
				}
			})
		})
	}
}

// A clinic whose slots have moved against the clock imports its catalogue again. Future visits keep their times, take their room from
// the new slots and give it back to them, and nothing can be booked over them.
func TestRegrid(t *testing.T) {
	each(t, func(w *world) {
		const zone = "America/New_York"
		hours := &inventory.Day{Start: 9 * 60, End: 18 * 60}
		ny := mustLocation(zone)
		summer := func(hh, mm int) int64 { return time.Date(2026, 7, 15, hh, mm, 0, 0, ny).Unix() }
		w.clock(zone, 90, inventory.GridStandard, hours)
		_, err := w.create(w.wants(summer(9, 0), 5400))
		w.wantField(err, booking.FieldStart)            // by standard time it is eight
		visit := w.booked(w.wants(summer(10, 0), 5400)) // as nine o'clock was in winter
		lease, err := w.Lease(t.Context(), booking.Lease{Slot: w.wants(summer(13, 0), 5400).Slot, UserID: "user-a"})
		w.must(err)
		closed := w.block(block(bed, summer(16, 40), summer(16, 50)))
		before := w.stored(visit)

		told := func(want ...string) {
			w.t.Helper()
			var got []string
			for _, s := range w.told(summer(0, 0), summer(24, 0)) {
				got = append(got, fmt.Sprintf("%s %d/%d", time.Unix(s.StartSec, 0).In(ny).Format("15:04"), s.Taken, s.Capacity))
			}
			if !slices.Equal(got, want) {
				w.t.Errorf("got  %q\nwant %q", got, want)
			}
		}
		told("10:00 1/1", "11:30 0/1", "13:00 1/1", "14:30 0/1", "16:00 1/1")
		m := w.clock(zone, 90, inventory.GridMidnight, hours)
		w.verify()
		told("09:00 1/1", "10:30 1/1", "12:00 1/1", "13:30 1/1", "15:00 0/1", "16:30 1/1")
		after := w.stored(visit)
		if lane := inventory.LaneResource(clinic, &m.Groups[0], m.Groups[0].Zones[0]); after.StartSec != before.StartSec || after.EndSec != before.EndSec ||
			after.Resources[0].ResourceID != lane.ID || after.Version != before.Version+1 {
			t.Errorf("before %+v\nafter %+v", before, after)
		}
		_, err = w.create(w.wants(summer(9, 0), 5400))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(w.wants(summer(15, 0), 5400))

		w.clock(zone, 90, inventory.GridMidnight, hours) // again, and nothing is counted anew
		if again := w.stored(visit); again.Version != after.Version {
			t.Errorf("counted anew: %+v", again)
		}
		c := w.wants(summer(13, 0), 5400)
		c.LeaseID = &lease.ID
		w.booked(c)
		_, err = w.Settle(t.Context(), theDesk, visit.ID, booking.CallOff)
		w.must(err)
		w.must(w.unblock(closed))
		w.verify()
		told("09:00 0/1", "10:30 0/1", "12:00 1/1", "13:30 1/1", "15:00 1/1", "16:30 0/1")

		// From the opening time, and that is another one from now on.
		hours = &inventory.Day{Start: 9*60 + 20, End: 18 * 60}
		w.clock(zone, 90, inventory.GridOpening, hours)
		w.verify()
		told("09:20 0/1", "10:50 0/1", "12:20 1/1", "13:50 1/1", "15:20 1/1")
		w.clock(zone, 90, inventory.GridStandard, hours)
		w.verify()
		told("10:00 0/1", "11:30 0/1", "13:00 1/1", "14:30 1/1", "16:00 1/1")
	})
}

// Visits over the capacity, or sharing a place of the coarser steps that count now, stay, and nobody gets in beside them.
func TestRecountOverCapacity(t *testing.T) {
	each(t, func(w *world) {
		steps := func(seconds int64, beds int) {
			w.t.Helper()
			w.catalogue(func(m *inventory.Merchant) { m.Groups[0].StepSec, m.Groups[0].Zones[0].Capacity = seconds, beds })
			w.verify()
		}
		steps(300, 2)
		for i := range 2 { // three visits in half an hour
			w.reserved(w.reserve(w.reservation(bed, at(9, 10*i), at(9, 10*i+10))))
		}
		long, err := w.reserve(w.reservation(bed, at(9, 0), at(9, 30)))
		w.must(err)
		full := func() {
			w.t.Helper()
			_, err := w.reserve(w.reservation(bed, at(9, 0), at(9, 10)))
			w.wantCause(err, booking.SlotUnavailable)
		}
		full()
		w.reserved(w.reserve(w.reservation(bed, at(9, 20), at(9, 30))))
		steps(0, 2) // four of two
		full()
		steps(600, 1)
		full()
		steps(0, 1)
		_, err = w.Settle(t.Context(), theDesk, long.ID, booking.CallOff)
		w.must(err)
		full()
		steps(300, 2)
		w.reserved(w.reserve(w.reservation(bed, at(9, 0), at(9, 10))))
		full()
	})
}

func (w *world) reserved(b booking.Booking, err error) booking.Booking {
	w.t.Helper()
	w.must(err)
	return b
}

// A visit of several stretches moves to the same times on the clock, even from winter to summer.
func TestShiftOverAChangeOfClocks(t *testing.T) {
	each(t, func(w *world) {
		ny := mustLocation("America/New_York")
		w.clock("America/New_York", 90, inventory.GridMidnight, &inventory.Day{Start: 9 * 60, End: 18 * 60})
		at := func(day, hh, mm int) int64 { return time.Date(2026, 3, day, hh, mm, 0, 0, ny).Unix() }
		b := w.booked(w.wants(at(6, 9, 0), 5400))
		c := move(b, bed, at(6, 9, 0), at(6, 9, 30))
		c.Items = append(c.Items, booking.Item{GroupID: queue, ZoneID: bed, StartSec: at(6, 9, 40), EndSec: at(6, 10, 30)})
		w.must(w.change(c))
		_, err := w.update(reschedule(b, at(9, 9, 30)))
		w.wantField(err, booking.FieldStart)
		got, err := w.update(reschedule(b, at(9, 10, 30)))
		w.must(err)
		if got.Resources[1].StartSec != at(9, 11, 10) {
			t.Errorf("got %+v", got.Resources)
		}
	})
}

// If places are counted anew while guests book, exactly as many are sold as exist, and nobody sees an error of ours.
func TestRecountWhileBooking(t *testing.T) {
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
				m.Groups[0].StepSec = []int64{300, 600, 0}[n%3]
				w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
			}
		})
		if y.other != nil {
			w.t.Errorf("errors reached callers: %v", y.other)
		}
		for day := range 5 {
			for range 3 {
				c := w.request(at(9+24*7*day, 0))
				c.RoomID = bed
				_, err := w.create(c)
				y.add(err)
			}
		}
		if y.booked != 10 {
			w.t.Errorf("%d booked in the end, want 2 on each of 5 days", y.booked)
		}
		m := testClinic()
		for _, b := range w.all() {
			if _, changes := b.Reassigned(&m); changes {
				w.t.Errorf("left behind: %+v", b)
			}
		}
	})
}
