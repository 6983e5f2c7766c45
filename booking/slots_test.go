package booking_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
)

// errFits is the result of a rehearsed operation that would have succeeded.
var errFits = errors.New("it fits")

// rehearsal is a store in which operations run and are then undone.
type rehearsal struct{ booking.Store }

func (s rehearsal) InTx(ctx context.Context, touches booking.Footprint, f func(booking.Tx) error) error {
	return s.Store.InTx(ctx, touches, func(tx booking.Tx) error {
		if err := f(tx); err != nil {
			return err
		}
		return errFits
	})
}

// What the desk sees of slots agrees with the inventory: in random states Google's guest and the desk can book every slot that shows room, and
// none that is full; the same goes for moving a visit.
func TestSlotsAgreeWithBookings(t *testing.T) {
	each(t, func(w *world) {
		rapid.Check(w.t, func(r *rapid.T) {
			m := testClinic()
			m.ID = "clinic-" + uuid.NewString()
			m.Services = append(m.Services, inventory.Service{ID: "half-hour", GroupID: queue, DurationSec: 1800})
			// Dr. Kim comes at ten; Dr. Lee has a break.
			m.Staff[0].Timetable = &inventory.Timetable{time.Monday: {Start: 10 * 60, End: 18 * 60}}
			m.Staff[1].Timetable = &inventory.Timetable{time.Monday: {Start: 9 * 60, End: 18 * 60, Breaks: []inventory.Break{{Start: 10*60 + 15, End: 10*60 + 20}}}}
			m.Groups[0].Zones[0].Capacity = rapid.IntRange(0, 2).Draw(r, "beds")
			w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
			w.Now = func() time.Time { return eight }
			s := &slotState{w: w, m: m, r: r}
			for range rapid.IntRange(1, 8).Draw(r, "steps") {
				s.step()
			}
			if rapid.Bool().Draw(r, "later") { // leases have lapsed
				w.later(20 * time.Minute)
			}
			s.compareGroup("")
			s.compareGroup(drKim)
			s.compareGroup(drLee)
			for _, b := range s.visits {
				s.compareVisit(b)
			}
		})
	})
}

// slotState is a clinic of random visits in the morning of today.
type slotState struct {
	w      *world
	m      inventory.Merchant
	r      *rapid.T
	visits []booking.Booking
}

func (s *slotState) start() int64 { return at(9, 0) + 1800*rapid.Int64Range(0, 4).Draw(s.r, "start") }

// step does something that may be refused.
func (s *slotState) step() {
	c := s.w.request(s.start())
	c.MerchantID, c.ServiceID, c.DurationSec = s.m.ID, "half-hour", 1800
	c.RoomID = rapid.SampledFrom([]string{bed, suite}).Draw(s.r, "room")
	c.StaffID = rapid.SampledFrom([]string{"", drKim, drLee}).Draw(s.r, "doctor")
	c.PartySize = rapid.IntRange(0, 2).Draw(s.r, "party")
	var err error
	switch what := rapid.SampledFrom([]string{"create", "lease", "change", "resize", "block"}).Draw(s.r, "what"); {
	case what == "create":
		var b booking.Booking
		if b, err = s.w.create(c); err == nil {
			s.visits = append(s.visits, b)
		}
	case what == "lease":
		_, err = s.w.Lease(s.w.t.Context(), booking.Lease{Slot: c.Slot, UserID: c.Contact.UserID})
	case what == "change" && len(s.visits) > 0:
		i := rapid.IntRange(0, len(s.visits)-1).Draw(s.r, "visit")
		from := s.start() + 60*rapid.Int64Range(0, 29).Draw(s.r, "odd minutes")
		change := move(s.visits[i], c.RoomID, from, from+60*rapid.Int64Range(1, 70).Draw(s.r, "minutes"))
		if c.StaffID != "" {
			change.Items[0].Doctor = &booking.Person{ID: c.StaffID, Name: "D"}
		}
		err = s.w.change(change)
	case what == "block":
		from := s.start() + 60*rapid.Int64Range(0, 29).Draw(s.r, "odd minutes")
		it := booking.Item{GroupID: queue, ZoneID: c.RoomID, StartSec: from, EndSec: from + 60*rapid.Int64Range(1, 70).Draw(s.r, "minutes")}
		if c.StaffID != "" {
			it.Doctor = &booking.Person{ID: c.StaffID, Name: "D"}
		}
		_, err = s.w.Block(s.w.t.Context(), booking.Block{By: theDesk, MerchantID: s.m.ID, Item: it})
	case what == "resize":
		s.m.Groups[0].Zones[0].Capacity = rapid.IntRange(0, 2).Draw(s.r, "beds")
		s.w.must(s.w.db.PutClinic(s.w.t.Context(), s.m, eight.Unix()))
	}
	var f *booking.Failure
	if err != nil && !errors.As(err, &f) {
		s.r.Fatal(err)
	}
}

func (s *slotState) rehearse(run func(*booking.Service) error) (fits bool) {
	service := *s.w.Service
	service.Store = rehearsal{s.w.db}
	err := run(&service)
	var f *booking.Failure
	if !errors.Is(err, errFits) && (!errors.As(err, &f) || f.Cause != booking.SlotUnavailable) {
		s.r.Fatalf("neither booked nor full: %v", err)
	}
	return errors.Is(err, errFits)
}

func (s *slotState) compareGroup(doctor string) {
	slots, err := s.w.GroupSlots(s.w.t.Context(), booking.SlotsQuery{MerchantID: s.m.ID, GroupIDs: []string{queue}, DoctorID: doctor, FromSec: at(9, 0), ToSec: at(12, 0) + 1})
	s.w.must(err)
	if len(slots) != 7*2 {
		s.r.Fatalf("%d slots", len(slots))
	}
	for _, slot := range slots {
		c := s.w.request(slot.StartSec)
		c.MerchantID, c.ServiceID, c.DurationSec, c.RoomID, c.StaffID = s.m.ID, "half-hour", 1800, slot.Zone.ID, doctor
		fits := s.rehearse(func(service *booking.Service) error { _, err := service.Create(s.w.t.Context(), c); return err })
		if told := slot.Taken < slot.Capacity; fits != told || slot.Taken > slot.Capacity || slot.Taken < 0 {
			s.r.Fatalf("doctor %q: told %+v, but that it can be booked is %v", doctor, slot, fits)
		}
	}
}

func (s *slotState) compareVisit(b booking.Booking) {
	items, err := s.w.ScheduleSlots(s.w.t.Context(), booking.ScheduleKey{MerchantID: s.m.ID, ScheduleID: b.ScheduleID}, at(9, 0), at(12, 0)+1)
	s.w.must(err)
	b = s.w.stored(b)
	for _, slot := range items[0].Slots {
		change := move(b, slot.Zone.ID, slot.StartSec, slot.EndSec)
		change.Items[0].Doctor = b.Resources[0].Doctor
		fits := s.rehearse(func(service *booking.Service) error { return service.Change(s.w.t.Context(), change) })
		if told := slot.Taken < slot.Capacity; fits != told {
			s.r.Fatalf("visit %+v: told %+v, but that it can be moved there is %v", b.Resources[0], slot, fits)
		}
	}
}

// A slot without a row, one that is full, and what a lease held that lapsed.
func TestGroupSlots(t *testing.T) {
	each(t, func(w *world) {
		w.booked(w.request(at(9, 0)))
		w.leased(at(10, 0), "user-a")
		told := func() (text []string) {
			slots, err := w.GroupSlots(w.t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{queue}, FromSec: at(9, 0), ToSec: at(10, 30)})
			w.must(err)
			for _, s := range slots {
				text = append(text, fmt.Sprintf("%s %s %d/%d", time.Unix(s.StartSec, 0).In(seoul).Format("15:04"), s.Zone.Name, s.Taken, s.Capacity))
			}
			return text
		}
		want := []string{"09:00 베드 1/2", "09:00 스위트 0/1", "09:30 베드 1/2", "09:30 스위트 0/1", "10:00 베드 0/2", "10:00 스위트 1/1"}
		if got := told(); !slices.Equal(got, want) {
			w.t.Errorf("got  %q\nwant %q", got, want)
		}
		w.later(10 * time.Minute)
		want[5] = "10:00 스위트 0/1"
		if got := told(); !slices.Equal(got, want) {
			w.t.Errorf("once the lease has lapsed: got  %q\nwant %q", got, want)
		}
	})
}

// A doctor's time is counted in steps of five minutes, which need not be those
// of the slots, nor end where the query does.
func TestGroupSlotsDoctorAtTheEdges(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		g := &m.Groups[0]
		g.IntervalSec, g.AnchorSec = 60, 0
		m.Services = append(m.Services, inventory.Service{ID: "minute", GroupID: queue, DurationSec: 60})
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		c := w.request(at(9, 7))
		c.ServiceID, c.DurationSec, c.RoomID, c.StaffID = "minute", 60, bed, drKim
		w.booked(c) // Dr. Kim is busy from 9:05 to 9:10
		for minute, busy := range map[int]bool{4: false, 5: true, 7: true, 9: true, 10: false} {
			slots, err := w.GroupSlots(w.t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{queue}, DoctorID: drKim, FromSec: at(9, minute), ToSec: at(9, minute) + 1})
			w.must(err)
			if len(slots) != 2 || (slots[1].Taken == slots[1].Capacity) != busy {
				w.t.Errorf("09:%02d: %+v, busy is %v", minute, slots, busy)
			}
		}
	})
	each(t, func(w *world) {
		change := move(w.booked(w.request(at(9, 0))), bed, at(9, 20), at(9, 30))
		change.Items[0].Doctor = &booking.Person{ID: drKim, Name: "김의사"}
		w.must(w.change(change))
		slots, err := w.GroupSlots(w.t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{queue}, DoctorID: drKim, FromSec: at(9, 0), ToSec: at(9, 0) + 1})
		w.must(err)
		if len(slots) != 2 || slots[0].Taken != 2 || slots[1].Taken != 1 {
			w.t.Errorf("busy at the end of the slot, which lies beyond the query: %+v", slots)
		}
	})
}

// The catalogue in memory may be too old, for what exists and for what does not.
func TestGroupSlotsOfTheNewestCatalogue(t *testing.T) {
	each(t, func(w *world) {
		other := w.reopened()
		q := booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{queue}, FromSec: at(9, 0), ToSec: at(9, 30)}
		ask := func(wantSlots int, wantErr bool) {
			w.t.Helper()
			slots, err := other.GroupSlots(w.t.Context(), q)
			var invalid *booking.Invalid
			if len(slots) != wantSlots || errors.As(err, &invalid) != wantErr || err != nil && !wantErr {
				w.t.Errorf("got %d slots, %v", len(slots), err)
			}
		}
		ask(2, false)
		m := testClinic()
		m.Groups[0].Zones = m.Groups[0].Zones[:1]
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		ask(1, false)
		q.GroupIDs = []string{"65b0000000000000000000aa"}
		ask(0, true)
		m.Groups = append(m.Groups, inventory.Group{ID: q.GroupIDs[0], Title: "new", IntervalSec: 1800, AnchorSec: m.Groups[0].AnchorSec, Zones: m.Groups[0].Zones})
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		ask(1, false)
	})
}

// reopened is a second server on the same database, with a memory of its own.
func (w *world) reopened() *booking.Service {
	w.t.Helper()
	db, err := storage.Open(w.t.Context(), w.db.Target, storage.Options{})
	w.must(err)
	w.t.Cleanup(func() { w.must(db.Close()) })
	return &booking.Service{Store: db, Now: w.Now, NewID: w.NewID}
}

func TestTooManySlots(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		g := &m.Groups[0]
		g.IntervalSec, g.AnchorSec, g.Timetable, g.ClosedDays = 60, 0, nil, nil
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		ask := func(slots int64) (int, error) { // in two zones, a slot each minute
			found, err := w.GroupSlots(w.t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{queue}, FromSec: at(9, 0), ToSec: at(9, 0) + slots*30})
			return len(found), err
		}
		if n, err := ask(booking.MostSlots); n != booking.MostSlots || err != nil {
			w.t.Errorf("got %d slots, %v", n, err)
		}
		_, err := ask(booking.MostSlots + 2)
		var invalid *booking.Invalid
		if !errors.As(err, &invalid) || invalid.Field != booking.FieldRange {
			w.t.Errorf("got %v", err)
		}
	})
}

func TestPhones(t *testing.T) {
	for _, c := range []struct{ s, country, number string }{
		{"+82 10-1234-5678", "82", "1012345678"},
		{"+1 (212) 555-0100", "1", "2125550100"},
		{"+7 495 1234567", "7", "4951234567"},
		{"+852 2345 6789", "852", "23456789"},
		{"+44 20 7946 0123", "44", "2079460123"},
		{"010-1234-5678", "", "01012345678"},
		{"0082 10", "", "008210"},
		{"+8", "8", ""},
		{"+", "", ""},
		{"", "", ""},
		{"by letter", "", ""},
	} {
		if country, number := booking.SplitPhone(c.s); country != c.country || number != c.number {
			t.Errorf("%q: got %q %q", c.s, country, number)
		}
	}
	for _, c := range []struct {
		country, number string
		want            []string
	}{
		{"82", "1012345678", []string{"00821012345678", "01012345678", "1012345678", "821012345678"}},
		{"+82", "010-1234-5678", []string{"00821012345678", "01012345678", "1012345678", "8201012345678", "821012345678"}},
		{"", "010", []string{"010", "10"}},
		{"82", "none", nil},
	} {
		if got := booking.PhoneSpellings(c.country, c.number); !slices.Equal(got, c.want) {
			t.Errorf("%s %s: got %q, want %q", c.country, c.number, got, c.want)
		}
	}
}
