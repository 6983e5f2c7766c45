package booking_test

import (
	"context"
	"testing"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// A party at a clinic takes one place per person, all in one zone, however a visit is made or changed.
func TestPartyAtAClinic(t *testing.T) {
	each(t, func(w *world) {
		of := func(n, hour int) booking.Create {
			c := w.request(at(hour, 0))
			c.PartySize = n
			return c
		}
		// Nobody but a crowd has asked yet: two beds and a suite are no room for three.
		_, err := w.create(of(3, 9))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(of(10_000, 9))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.Lease(w.t.Context(), booking.Lease{Slot: of(3, 9).Slot})
		w.wantCause(err, booking.SlotUnavailable)

		two := w.booked(of(2, 9))
		if r := two.Resources[0]; two.ZoneID != bed || r.Spots != 2 {
			w.t.Errorf("a party of two has %d places in %s", r.Spots, two.ZoneID)
		}
		rooms := func(n int) int {
			got, err := w.Rooms(w.t.Context(), clinic, []booking.Slot{of(n, 9).Slot, of(n, 10).Slot})
			w.must(err)
			return 10*got[0] + got[1]
		}
		if one, both, three := rooms(0), rooms(2), rooms(3); one != 13 || both != 1 || three != 0 {
			w.t.Errorf("rooms at nine and ten: %02d for one, %02d for two, %02d for three", one, both, three)
		}
		_, err = w.create(of(2, 9))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(of(1, 9)) // the suite

		// The guest's party grows and shrinks.
		alone := w.booked(of(1, 10))
		grown, err := w.update(booking.Update{BookingID: alone.ID, PartySize: ptr(2)})
		w.must(err)
		_, err = w.update(booking.Update{BookingID: alone.ID, PartySize: ptr(3)})
		w.wantCause(err, booking.SlotUnavailable)
		if got := w.stored(grown); got.PartySize != 2 || got.Resources[0].Spots != 2 {
			w.t.Errorf("a party of %d has %d places", got.PartySize, got.Resources[0].Spots)
		}
		_, err = w.update(reschedule(grown, at(9, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(booking.Update{BookingID: alone.ID, PartySize: ptr(1)})
		w.must(err)

		// The desk names no number: the party comes along as it is.
		w.wantCause(w.change(move(two, suite, at(14, 0), at(15, 0))), booking.SlotUnavailable)
		w.must(w.change(move(two, bed, at(14, 0), at(15, 0))))
		if got := w.stored(two); got.Resources[0].Spots != 2 {
			w.t.Errorf("moved by the desk it has %d places", got.Resources[0].Spots)
		}
		_, err = w.reserve(w.reservation(bed, at(14, 0), at(15, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(of(2, 9)) // what it has left
	})
}

// A zone with a capacity of its own is filled only once, by guests and by the desk, however many groups use it and however long their slots
// are.
func TestZoneCapacity(t *testing.T) {
	each(t, func(w *world) {
		const other = "65b000000000000000000002"
		m := testClinic()
		m.Groups[0].Zones = m.Groups[0].Zones[:1] // two beds, half hours
		m.Groups = append(m.Groups, inventory.Group{
			ID: other, Title: "other", IntervalSec: 900, AnchorSec: inventory.GridAnchor(900, seoul),
			Zones: []inventory.GroupZone{{ZoneID: bed, Capacity: 2, Enabled: true}},
		})
		m.Services = append(m.Services, inventory.Service{ID: "quick", GroupID: other, DurationSec: 900})
		put := func(capacity *int) (affected int) {
			m.Zones[0].Capacity = capacity
			c, err := w.ReplaceClinic(w.t.Context(), theOperator, m)
			w.must(err)
			return len(c.Affected)
		}
		quick := func(minute int) booking.Create {
			c := w.request(at(9, minute))
			c.ServiceID, c.DurationSec = "quick", 900
			return c
		}
		full := func(minute int) bool { // as the desk sees it
			slots, err := w.GroupSlots(w.t.Context(), booking.SlotsQuery{MerchantID: clinic, GroupIDs: []string{other}, FromSec: at(9, minute), ToSec: at(9, minute) + 1})
			w.must(err)
			return slots[0].Taken == slots[0].Capacity
		}
		put(ptr(2))
		w.booked(w.request(at(9, 0))) // until ten
		second := w.booked(quick(15))
		told, err := w.Rooms(w.t.Context(), clinic, []booking.Slot{quick(15).Slot, quick(30).Slot, w.request(at(9, 0)).Slot})
		w.must(err)
		if told[0] != 0 || told[1] != 1 || told[2] != 0 || !full(15) || full(30) {
			w.t.Errorf("rooms %v, at 9:15 full %v, at 9:30 %v", told, full(15), full(30))
		}
		_, err = w.create(quick(15))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(w.request(at(9, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.reserve(w.reservation(bed, at(9, 0), at(9, 20)))
		w.wantCause(err, booking.SlotUnavailable)
		pair := quick(30)
		pair.PartySize = 2
		_, err = w.create(pair)
		w.wantCause(err, booking.SlotUnavailable)

		third := w.booked(quick(45))
		_, err = w.update(booking.Update{BookingID: third.ID, StartSec: ptr(at(9, 15))})
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(booking.Update{BookingID: second.ID, StartSec: ptr(at(9, 30))})
		w.must(err)
		_, err = w.update(booking.Update{BookingID: third.ID, StartSec: ptr(at(9, 15))})
		w.must(err)

		// Fewer places than visits: they stay, are reported, and can be left alone; nobody else gets in.
		if n := put(ptr(1)); n != 3 {
			w.t.Errorf("%d visits are affected, want 3", n)
		}
		w.verify()
		memo := move(second, bed, at(9, 30), at(9, 45))
		memo.Items[0].GroupID = other
		memo.Memo = booking.Set("she comes")
		w.must(w.change(memo))
		_, err = w.create(quick(0))
		w.wantCause(err, booking.SlotUnavailable)
		if n := put(nil); n != 0 {
			w.t.Errorf("%d visits are affected without a capacity", n)
		}
		w.booked(quick(0))
		w.booked(quick(15))
	})
}

// Guests of two groups, at once and at two servers, for one place.
func TestZoneOfTwoServers(t *testing.T) {
	each(t, func(w *world) {
		const other = "65b000000000000000000002"
		m := testClinic()
		m.Zones[0].Capacity = ptr(2)
		m.Groups[0].Zones = m.Groups[0].Zones[:1]
		g := m.Groups[0]
		g.ID, g.IntervalSec = other, 3600
		m.Groups = append(m.Groups, g)
		m.Services = append(m.Services, inventory.Service{ID: "other", GroupID: other, DurationSec: 3600})
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		second := *w.Service
		second.Store = storagetest.Open(w.t, w.db.Target, storage.Options{Limit: patience})
		servers := []*booking.Service{w.Service, &second}
		asked := make([]booking.Create, 16)
		for i := range asked {
			asked[i] = w.request(at(9, 0))
			asked[i].ServiceID = []string{skinCare, "other"}[i/2%2]
		}
		var y tally
		together(len(asked), func(i int) {
			_, err := servers[i%2].Create(context.Background(), asked[i])
			y.add(err)
		})
		y.want(w.t, 2, 14)
	})
}
