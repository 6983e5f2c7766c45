package booking_test

import (
	"errors"
	"testing"
	"time"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
)

// restaurant is known from feeds only.
const restaurant = "dining-1"

// feed loads the restaurant with rows generated at generationSec.
func (w *world) feed(generationSec int64, complete bool, rows ...inventory.Published) (withdrawn int) {
	w.t.Helper()
	ctx := w.t.Context()
	f := storage.Feed{Complete: true, GenerationSec: generationSec}
	_, err := w.db.PutFeedMerchants(ctx, feedMerchants(restaurant), f, generationSec)
	w.must(err)
	services := []inventory.Service{{ID: "dinner"}, {ID: "class", MinAdvanceBookingSec: 3600}}
	w.must(w.db.PutFeedServices(ctx, feedServices(services), f, generationSec))
	f.Complete = complete
	w.must(w.db.BeginAvailability(ctx, f, generationSec))
	_, err = w.db.PutPublished(ctx, rows, generationSec)
	w.must(err)
	if complete {
		withdrawn, err = w.db.WithdrawPublished(ctx, generationSec, generationSec)
		w.must(err)
	}
	return withdrawn
}

// feedMerchants is a merchants feed with one merchant in it.
func feedMerchants(id string) func(each func(inventory.Merchant) error) error {
	return func(each func(inventory.Merchant) error) error {
		return each(inventory.Merchant{ID: id, Name: "Dining Eats", Kind: inventory.MerchantFeed, TimeZone: "UTC"})
	}
}

// feedServices are the restaurant's, as a feed has them.
func feedServices(services []inventory.Service) func(each func(string, []inventory.Service) error) error {
	return func(each func(string, []inventory.Service) error) error { return each(restaurant, services) }
}

// row is a published slot of 90 minutes.
func row(service string, startSec int64, total, open, partySize int) inventory.Published {
	return inventory.Published{
		MerchantID: restaurant, ServiceID: service, StartSec: startSec, DurationSec: 5400,
		SpotsTotal: total, SpotsOpen: open, PartySize: partySize,
	}
}

// dinner is a request for a published slot.
func (w *world) dinner(service string, startSec int64, partySize int) booking.Create {
	c := w.request(startSec)
	c.MerchantID, c.ServiceID, c.DurationSec, c.PartySize = restaurant, service, 5400, partySize
	return c
}

func TestPublishedSlots(t *testing.T) {
	each(t, func(w *world) {
		w.feed(eight.Unix(), true,
			row("dinner", at(19, 0), 4, 1, 2), // tables for two, three of them gone
			row("dinner", at(19, 0), 2, 2, 4),
			row("class", at(19, 0), 10, 5, 0), // seats
			row("class", at(20, 0), 3, 0, 0),  // sold out
		)
		w.booked(w.dinner("dinner", at(19, 0), 2))
		_, err := w.create(w.dinner("dinner", at(19, 0), 2))
		w.wantCause(err, booking.SlotUnavailable)
		// The last table for two may be one of those for four.
		_, err = w.create(w.dinner("dinner", at(19, 0), 4))
		w.wantCause(err, booking.SlotUnavailable)

		// Where the feed gives no party size, everybody needs a seat.
		w.booked(w.dinner("class", at(19, 0), 3))
		_, err = w.create(w.dinner("class", at(19, 0), 3))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(w.dinner("class", at(19, 0), 2))

		_, err = w.create(w.dinner("class", at(20, 0), 0))
		w.wantCause(err, booking.SlotUnavailable)

		for name, change := range map[string]func(*booking.Create){
			"another start":    func(c *booking.Create) { c.StartSec += 60 },
			"another duration": func(c *booking.Create) { c.DurationSec = 3600 },
			"another party":    func(c *booking.Create) { c.PartySize = 3 },
			"a room":           func(c *booking.Create) { c.RoomID = "terrace" },
			"a waiter":         func(c *booking.Create) { c.StaffID = "w1" },
		} {
			c := w.dinner("dinner", at(19, 0), 4)
			change(&c)
			_, err := w.create(c)
			if f := w.wantField(err, booking.FieldStart); f.Resource != -1 {
				w.t.Errorf("%s: resource %d", name, f.Resource)
			}
		}
	})
}

func TestPublishedInTime(t *testing.T) {
	each(t, func(w *world) {
		w.feed(eight.Unix(), true, row("dinner", at(7, 30), 1, 1, 2), row("class", at(8, 30), 1, 1, 0), row("dinner", at(8, 0), 1, 1, 2))
		_, err := w.create(w.dinner("dinner", at(7, 30), 2))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.create(w.dinner("class", at(8, 30), 1))
		w.wantCause(err, booking.SlotUnavailable)
		// Past and never published: the caller hears that it does not exist.
		_, err = w.create(w.dinner("dinner", at(6, 0), 2))
		w.wantField(err, booking.FieldStart)
		w.booked(w.dinner("dinner", at(8, 0), 2))
	})
}

// A feed's open spots exclude what we had booked when it was made, and do not know what we have booked since.
func TestFeedAgain(t *testing.T) {
	each(t, func(w *world) {
		hour := int64(3600)
		now := eight.Unix()
		w.feed(now-hour, true, row("class", at(19, 0), 10, 3, 0), row("class", at(20, 0), 5, 5, 0))
		w.booked(w.dinner("class", at(19, 0), 2)) // since = now

		// Generated before that booking: still 3 open, of which 2 are gone.
		w.feed(now-hour+1, true, row("class", at(19, 0), 10, 3, 0), row("class", at(20, 0), 5, 5, 0))
		_, err := w.create(w.dinner("class", at(19, 0), 2))
		w.wantCause(err, booking.SlotUnavailable)
		third := w.booked(w.dinner("class", at(19, 0), 1))

		// Generated after both: 4 more are open.
		w.feed(now+1, true, row("class", at(19, 0), 10, 4, 0), row("class", at(20, 0), 5, 5, 0))
		w.booked(w.dinner("class", at(19, 0), 4))
		_, err = w.create(w.dinner("class", at(19, 0), 1))
		w.wantCause(err, booking.SlotUnavailable)

		// Not in the feed any more: withdrawn, its bookings stay.
		w.booked(w.dinner("class", at(20, 0), 2))
		if n := w.feed(now+2, true, row("dinner", at(21, 0), 1, 1, 2)); n != 2 {
			w.t.Errorf("%d withdrawn, want 2", n)
		}
		_, err = w.create(w.dinner("class", at(20, 0), 1))
		w.wantCause(err, booking.SlotUnavailable)
		if got := w.stored(third); got.State != booking.Confirmed {
			w.t.Errorf("a booking of a withdrawn slot is %s", got.State)
		}

		// An older feed is refused; a clinic is not a feed's to change.
		if err := w.db.CheckFeed(w.t.Context(), storage.FeedAvailability, storage.Feed{GenerationSec: now - hour}, now); !errors.Is(err, storage.ErrStaleFeed) {
			w.t.Errorf("an older feed: %v", err)
		}
		skipped, err := w.db.PutFeedMerchants(w.t.Context(), feedMerchants(clinic), storage.Feed{Complete: true, GenerationSec: now + 3}, now)
		w.must(err)
		if m, err := w.db.Merchant(w.t.Context(), clinic); err != nil || skipped != 1 || m.Kind != inventory.MerchantClinic {
			w.t.Errorf("the clinic became %+v, %d skipped, %v", m, skipped, err)
		}
	})
}

// What the feed says of one slot overrides the service's rules.
func TestPublishedTerms(t *testing.T) {
	each(t, func(w *world) {
		terms := func(startSec int64, t inventory.Terms) inventory.Published {
			r := row("class", startSec, 9, 9, 0) // the service wants an hour's notice
			r.Terms = t
			return r
		}
		now := eight.Unix()
		w.feed(now, true,
			terms(at(8, 30), inventory.Terms{LastBookableSec: at(8, 15)}),
			terms(at(19, 0), inventory.Terms{FirstBookableSec: now + 1}),
			terms(at(20, 0), inventory.Terms{LastBookableSec: now - 1}),
			terms(at(21, 0), inventory.Terms{LastCancellableSec: now - 1, ConfirmationMode: "ASYNCHRONOUS"}),
			terms(at(22, 0), inventory.Terms{LastCancellableSec: at(23, 0), ConfirmationMode: "SYNCHRONOUS"}),
		)
		for _, c := range []struct {
			startSec int64
			want     bool
		}{{at(8, 30), true}, {at(19, 0), false}, {at(20, 0), false}, {at(21, 0), true}, {at(22, 0), true}} {
			got, err := w.Available(w.t.Context(), restaurant, []booking.Slot{{ServiceID: "class", StartSec: c.startSec, DurationSec: 5400}})
			w.must(err)
			b, err := w.create(w.dinner("class", c.startSec, 1))
			if got[0] != c.want || (err == nil) != c.want {
				w.t.Errorf("at %d: available %v, booking it: %v", c.startSec, got[0], err)
			}
			switch {
			case err != nil:
				w.wantCause(err, booking.SlotUnavailable)
			case c.startSec == at(21, 0):
				if b.State != booking.Pending {
					w.t.Errorf("an asynchronous slot is %s", b.State)
				}
				_, err := w.update(booking.Update{BookingID: b.ID, Cancel: true})
				w.wantCause(err, booking.OutsideCancellationWindow)
			case c.startSec == at(22, 0):
				w.later(15 * time.Hour) // past its start, and before its own last moment
				_, err := w.update(booking.Update{BookingID: b.ID, Cancel: true})
				w.must(err)
				w.later(0)
			}
		}
		late := w.dinner("class", at(22, 0), 1)
		late.ConfirmationMode = booking.Asynchronous // who confirms is the merchant's to say
		if b := w.booked(late); b.State != booking.Confirmed {
			w.t.Errorf("got %s", b.State)
		}
	})
}
