package booking_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// What the larger clinic of these tests has besides.
const (
	newRoom    = "65a000000000000000000009"
	newQueue   = "65b000000000000000000009"
	newDoctor  = "65c000000000000000000009"
	newService = "peeling"  // in the queue, an hour
	sauna      = "new-only" // in the new queue
	newOffer   = "opening"
)

// largerClinic is the test clinic with another room, group, doctor, service and
// offer.
func largerClinic() inventory.Merchant {
	m := testClinic()
	m.Zones = append(m.Zones, inventory.Zone{ID: newRoom, Name: "new"})
	place := inventory.GroupZone{ZoneID: newRoom, Capacity: 50, Enabled: true}
	m.Groups[0].Zones = append(m.Groups[0].Zones, place)
	m.Groups = append(m.Groups, inventory.Group{ID: newQueue, IntervalSec: 1200, AnchorSec: inventory.GridAnchor(1200, seoul), Zones: []inventory.GroupZone{place}})
	m.Staff = append(m.Staff, inventory.Staff{ID: newDoctor, Name: "new"})
	m.Services = append(m.Services, inventory.Service{ID: newService, GroupID: queue, DurationSec: 3600}, inventory.Service{ID: sauna, GroupID: newQueue, DurationSec: 1200})
	m.Offers = append(m.Offers, inventory.Offer{ID: newOffer})
	return m
}

// another is a second server on the database, which imports.
func (w *world) another() *storage.DB {
	return storagetest.Open(w.t, w.db.Target, storage.Options{Limit: patience})
}

// warm makes the first server read the catalogue.
func (w *world) warm(merchant, service string) {
	w.t.Helper()
	_, err := w.Rooms(w.t.Context(), merchant, []booking.Slot{{ServiceID: service, StartSec: at(9, 0)}})
	w.must(err)
}

// What an import brings can be booked, changed, looked at and closed at once, even on a server that has the old catalogue in memory: the
// server never says that something does not exist without checking that its catalogue is the newest.
func TestWhatAnImportBringsIsThere(t *testing.T) {
	each(t, func(w *world) {
		other := w.another()
		visit := w.booked(w.request(at(9, 0)))
		week := int64(0)
		next := func() booking.Create { // in a week of its own
			week++
			return w.request(at(9, 0) + week*7*86400)
		}
		with := func(change func(c *booking.Create)) func() error {
			return func() error {
				c := next()
				change(&c)
				_, err := w.create(c)
				return err
			}
		}
		available := func(slots ...booking.Slot) error {
			got, err := w.Available(t.Context(), clinic, slots)
			if slices.Contains(got, false) {
				return errors.New("not available")
			}
			return err
		}
		slot := func(service string) booking.Slot { return booking.Slot{ServiceID: service, StartSec: at(11, 0)} }
		some := func(n int, err error) error {
			if err == nil && n == 0 {
				return errors.New("nothing there")
			}
			return err
		}
		item := booking.Item{GroupID: newQueue, ZoneID: newRoom, Doctor: &booking.Person{ID: newDoctor}, StartSec: at(15, 0), EndSec: at(16, 0)}
		for name, op := range map[string]func() error{
			"lookup":           func() error { return available(slot(skinCare), slot(newService), slot(sauna)) },
			"lookup of a room": func() error { s := slot(skinCare); s.RoomID = newRoom; return available(s) },
			"count": func() error {
				n, err := w.Rooms(t.Context(), clinic, []booking.Slot{slot(sauna)})
				return some(len(n), err)
			},
			"book a service": with(func(c *booking.Create) { c.ServiceID = newService }),
			"book a room":    with(func(c *booking.Create) { c.RoomID = newRoom }),
			"book a doctor":  with(func(c *booking.Create) { c.StaffID = newDoctor }),
			"book an offer":  with(func(c *booking.Create) { c.OfferID = newOffer }),
			"lease": func() error {
				s := next().Slot
				s.ServiceID, s.DurationSec = sauna, 1200
				_, err := w.Lease(t.Context(), booking.Lease{Slot: s})
				return err
			},
			"move": func() error {
				b := w.booked(next())
				w.warm(clinic, skinCare)
				w.must(storagetest.PutClinic(t.Context(), other, largerClinic(), eight.Unix()))
				_, err := w.update(booking.Update{BookingID: b.ID, StartSec: new(b.StartSec + 1800), RoomID: new(newRoom), StaffID: new(newDoctor)})
				return err
			},
			"change": func() error {
				c := move(visit, newRoom, item.StartSec, item.EndSec)
				c.Items = []booking.Item{item}
				return w.change(c)
			},
			"reserve": func() error {
				r := w.reservation(newRoom, at(15, 0), at(16, 0))
				r.Items[0].GroupID = newQueue
				_, err := w.reserve(r)
				return err
			},
			"block": func() error {
				_, err := w.Block(t.Context(), booking.Block{By: theDesk, MerchantID: clinic, Item: booking.Item{GroupID: newQueue, ZoneID: newRoom, StartSec: at(3, 0), EndSec: at(4, 0)}})
				return err
			},
			"slots of a group": func() error {
				found, err := w.GroupSlots(t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{newQueue}, DoctorID: newDoctor, FromSec: at(9, 0), ToSec: at(10, 0)})
				return some(len(found), err)
			},
			"slots of a visit": func() error {
				found, err := w.ScheduleSlots(t.Context(), booking.ScheduleKey{MerchantID: clinic, ScheduleID: visit.ScheduleID}, at(9, 0), at(10, 0))
				return some(len(found[0].Slots), err)
			},
			"visits of a group": func() error {
				_, _, err := w.Schedules(t.Context(), booking.SchedulesQuery{MerchantID: clinic, Day: inventory.Date{Year: 2026, Month: 3, Day: 2}, GroupID: newQueue, ZoneID: newRoom, Limit: 10})
				return err
			},
			"groups": func() error {
				found, err := w.Groups(t.Context(), clinic)
				return some(max(0, len(found)-1), err)
			},
		} {
			w.must(storagetest.PutClinic(t.Context(), other, testClinic(), eight.Unix()))
			w.warm(clinic, skinCare)
			w.must(storagetest.PutClinic(t.Context(), other, largerClinic(), eight.Unix()))
			if err := op(); err != nil {
				w.t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// Asking for something that an import has removed is no mistake, whether the server knows or not: it is a business "no", and one removed
// service does not fail a lookup. Asking for something that never existed stays a mistake. An existing visit can still be cancelled, and
// a lease can still become a visit.
func TestWhatAnImportTakesAwayIsNo(t *testing.T) {
	each(t, func(w *world) {
		other := w.another()
		smaller := func() {
			m := testClinic()
			m.Services[0].DurationSec = 1800
			m.Groups[0].Zones = m.Groups[0].Zones[1:] // without the bed
			w.must(storagetest.PutClinic(t.Context(), other, m, eight.Unix()))
		}
		for _, c := range []struct {
			name   string
			change func(c *booking.Create)
			field  booking.Field // of what never was
		}{
			{"service", func(c *booking.Create) { c.ServiceID = newService }, 0},
			{"service and its group", func(c *booking.Create) { c.ServiceID, c.DurationSec = sauna, 1200 }, 0},
			{"room", func(c *booking.Create) { c.RoomID, c.DurationSec = newRoom, 1800 }, 0},
			{"old room", func(c *booking.Create) { c.RoomID, c.DurationSec = bed, 1800 }, 0},
			{"staff", func(c *booking.Create) { c.StaffID, c.DurationSec = newDoctor, 1800 }, 0},
			{"duration", func(*booking.Create) {}, 0},
			{"several of them", func(c *booking.Create) { c.RoomID, c.StaffID = newRoom, newDoctor }, 0},
			{"service that never was", func(c *booking.Create) { c.ServiceID = "never" }, booking.FieldService},
			{"room that never was", func(c *booking.Create) { c.RoomID = "never" }, booking.FieldRoom},
			{"room of another service", func(c *booking.Create) { c.RoomID = attic }, booking.FieldRoom},
			{"staff that never was", func(c *booking.Create) { c.StaffID, c.RoomID = "never", newRoom }, booking.FieldStaff},
			{"duration that never was", func(c *booking.Create) { c.DurationSec, c.RoomID = 2400, newRoom }, booking.FieldDuration},
			{"start that never was", func(c *booking.Create) { c.StartSec++; c.StaffID = newDoctor }, booking.FieldStart},
		} {
			for _, warm := range []bool{true, false} {
				w.must(storagetest.PutClinic(t.Context(), other, largerClinic(), eight.Unix()))
				w.warm(clinic, skinCare)
				smaller()
				if !warm {
					w.warm(clinic, skinCare)
				}
				r := w.request(at(9, 0))
				c.change(&r)
				_, err := w.create(r)
				_, leasing := w.Lease(t.Context(), booking.Lease{Slot: r.Slot})
				if c.field == 0 {
					w.wantCause(err, booking.SlotUnavailable)
					w.wantCause(leasing, booking.SlotUnavailable)
				} else {
					w.wantField(err, c.field)
					w.wantField(leasing, c.field)
				}
				there := booking.Slot{ServiceID: skinCare, StartSec: at(9, 0)}
				got, err := w.Available(t.Context(), clinic, []booking.Slot{there, r.Slot, there})
				switch {
				case c.field == booking.FieldService:
					if f := w.wantField(err, c.field); f.Resource != 1 {
						w.t.Errorf("%s: slot %d", c.name, f.Resource)
					}
				case err != nil || !slices.Equal(got, []bool{true, false, true}):
					w.t.Errorf("%s: available %v, %v", c.name, got, err)
				}
			}
		}
		if never, err := w.create(func() booking.Create { c := w.request(at(9, 0)); c.MerchantID = "never"; return c }()); err == nil {
			w.t.Errorf("booked %+v", never)
		}

		// What was promised before stays.
		w.must(storagetest.PutClinic(t.Context(), other, largerClinic(), eight.Unix()))
		c := w.request(at(9, 0))
		c.ServiceID, c.RoomID, c.StaffID = newService, newRoom, newDoctor
		b := w.booked(c)
		c = w.request(at(9, 0))
		c.ServiceID, c.RoomID, c.Contact.UserID = newService, newRoom, "lessee"
		lease, err := w.Lease(t.Context(), booking.Lease{Slot: c.Slot, UserID: "lessee"})
		w.must(err)
		smaller()
		_, err = w.update(booking.Update{BookingID: b.ID, StartSec: new(at(10, 0))})
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(booking.Update{BookingID: b.ID, Cancel: true})
		w.must(err)
		c.LeaseID = &lease.ID
		if made := w.booked(c); made.ID != lease.ID {
			w.t.Errorf("booked %+v", made)
		}
	})
}

// A start on a former grid of a group is no mistake either.
func TestFormerGrid(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].IntervalSec, m.Groups[0].AnchorSec = 3600, inventory.GridAnchor(3600, seoul)
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		_, err := w.create(w.request(at(9, 30)))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(w.request(at(9, 15)))
		w.wantField(err, booking.FieldStart)
	})
}

// Feeds remove services too, one by one or all of a merchant; those that come back can be booked.
func TestServicesThatFeedsTakeAway(t *testing.T) {
	each(t, func(w *world) {
		other := w.another()
		sec := eight.Unix()
		services := func(ids ...string) {
			w.t.Helper()
			sec++
			var of []inventory.Service
			for _, id := range ids {
				of = append(of, inventory.Service{ID: id})
			}
			w.must(other.PutFeedServices(t.Context(), feedServices(of), storage.Feed{Complete: true, GenerationSec: sec}, sec))
		}
		slots := []booking.Slot{{ServiceID: "dinner", StartSec: at(19, 0), DurationSec: 5400}, {ServiceID: "class", StartSec: at(19, 0), DurationSec: 5400}}
		available := func(want ...bool) {
			w.t.Helper()
			got, err := w.Available(t.Context(), restaurant, slots)
			if err != nil || !slices.Equal(got, want) {
				w.t.Errorf("available %v, %v, want %v", got, err, want)
			}
		}
		w.feed(sec, true, row("dinner", at(19, 0), 4, 4, 0), row("class", at(19, 0), 4, 4, 0))
		available(true, true)
		services("class")
		available(false, true)
		_, err := w.create(w.dinner("dinner", at(19, 0), 0))
		w.wantCause(err, booking.SlotUnavailable)
		services("class", "dinner", "brunch")
		available(true, true)
		w.booked(w.dinner("dinner", at(19, 0), 0))

		// The whole merchant goes, and comes back.
		sec++
		_, err = other.PutFeedMerchants(t.Context(), feedMerchants("another"), storage.Feed{Complete: true, GenerationSec: sec}, sec)
		w.must(err)
		available(false, false)
		_, err = w.create(w.dinner("brunch", at(19, 0), 0))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(w.dinner("lunch", at(19, 0), 0))
		w.wantField(err, booking.FieldService)
		services("class", "dinner")
		available(true, true)
	})
}

// What we remember about a merchant is bounded, and the newest stays.
func TestFormerIsBounded(t *testing.T) {
	each(t, func(w *world) {
		sec := eight.Unix()
		w.feed(sec, true)
		batch := func(prefix string, n int) []inventory.Service {
			of := make([]inventory.Service, n)
			for i := range of {
				of[i].ID = prefix + uuid.NewString()
			}
			of[0].ID = prefix
			return of
		}
		for _, prefix := range []string{"a", "b", "c", "d"} {
			sec++
			w.must(w.db.PutFeedServices(t.Context(), feedServices(batch(prefix, 2500)), storage.Feed{Complete: true, GenerationSec: sec}, sec))
		}
		m, err := w.db.Refreshed(t.Context(), restaurant)
		w.must(err)
		if len(m.Former) != 5000 || !m.Had("c") || !m.Had("b") || m.Had("a") || m.Had("d") {
			w.t.Errorf("%d remembered: a %t, b %t, c %t, d %t", len(m.Former), m.Had("a"), m.Had("b"), m.Had("c"), m.Had("d"))
		}
	})
}
