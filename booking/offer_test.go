package booking_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
	"holdfast/inventory"
)

// catalogue loads the test clinic with a change.
func (w *world) catalogue(change func(m *inventory.Merchant)) {
	w.t.Helper()
	m := testClinic()
	change(&m)
	w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
}

// offering loads the clinic with an offer for two visits of skin care today.
func (w *world) offering(uses *int) {
	day := inventory.DateOf(today)
	w.catalogue(func(m *inventory.Merchant) {
		m.Services = append(m.Services, inventory.Service{ID: "advice", GroupID: queue, DurationSec: 1800})
		m.Offers = []inventory.Offer{{ID: "summer", ServiceIDs: []string{skinCare}, First: day, Last: day, Uses: uses}}
	})
}

func (w *world) withOffer(startSec int64) booking.Create {
	c := w.request(startSec)
	c.OfferID = "summer"
	return c
}

func TestOffer(t *testing.T) {
	each(t, func(w *world) {
		w.offering(new(2))
		first := w.booked(w.withOffer(at(9, 0)))
		if first.OfferID != "summer" || w.stored(first).OfferID != "summer" {
			w.t.Errorf("the offer is not kept: %+v", first)
		}

		for _, c := range []struct {
			name  string
			ask   func(*booking.Create)
			cause booking.Cause
		}{
			{"no such offer", func(c *booking.Create) { c.OfferID = "Summer" }, booking.OfferUnavailable},
			{"another service", func(c *booking.Create) { c.ServiceID, c.DurationSec = "advice", 1800 }, booking.OfferUnavailable},
			{"another day", func(c *booking.Create) { c.StartSec += 24 * 3600 }, booking.OfferUnavailable},
			{"the slot gone too", func(c *booking.Create) { c.OfferID, c.StartSec = "none", at(13, 0) }, booking.SlotUnavailable},
		} {
			ask := w.withOffer(at(10, 0))
			c.ask(&ask)
			before := w.rows()
			_, err := w.create(ask)
			w.wantCause(err, c.cause)
			if diff := cmp.Diff(before, w.rows()); diff != "" {
				w.t.Errorf("%s left a trace:\n%s", c.name, diff)
			}
		}

		second := w.booked(w.withOffer(at(9, 0)))
		again := w.withOffer(at(10, 0))
		_, err := w.create(again)
		w.wantCause(err, booking.OfferUnavailable)

		// A booking that moves keeps its use of the offer, and can only move to where the offer applies.
		moved, err := w.update(booking.Update{BookingID: second.ID, StartSec: new(at(15, 0))})
		w.must(err)
		_, err = w.update(booking.Update{BookingID: second.ID, StartSec: new(at(9, 0) + 24*3600)})
		w.wantCause(err, booking.OfferUnavailable)
		w.must(w.change(move(moved, suite, at(16, 0), at(17, 0))))
		_, err = w.create(again)
		w.wantCause(err, booking.OfferUnavailable)

		// One that is canceled gives it back; a refused request can try again.
		_, err = w.update(booking.Update{BookingID: first.ID, Cancel: true})
		w.must(err)
		w.booked(again)
		_, err = w.create(w.withOffer(at(11, 0)))
		w.wantCause(err, booking.OfferUnavailable)

		// The merchant raises the number, lowers it below what is used, lifts it.
		w.offering(new(3))
		w.booked(w.withOffer(at(11, 0)))
		w.offering(new(1))
		_, err = w.create(w.withOffer(at(14, 0)))
		w.wantCause(err, booking.OfferUnavailable)
		w.offering(nil)
		w.booked(w.withOffer(at(14, 0)))
	})
}

// A lease turns into a booking with an offer, or stays a lease.
func TestOfferWithLease(t *testing.T) {
	each(t, func(w *world) {
		w.offering(new(1))
		lease := w.leased(at(9, 0), "user-a")
		c := w.named(at(9, 0), lease)
		c.OfferID = "winter"
		_, err := w.create(c)
		w.wantCause(err, booking.OfferUnavailable)
		c.OfferID = "summer"
		if b := w.booked(c); b.ID != lease.ID || b.OfferID != "summer" {
			w.t.Errorf("got %+v", b)
		}
		_, err = w.create(w.withOffer(at(11, 0)))
		w.wantCause(err, booking.OfferUnavailable)
	})
}

// An offer is used exactly as often as allowed, by guests of different slots.
func TestOfferRace(t *testing.T) {
	each(t, func(w *world) {
		w.offering(new(5))
		requests := make([]booking.Create, 24)
		for i := range requests {
			requests[i] = w.withOffer(at(9, 0) + int64(i%4)*3600)
			if i%4 == 3 {
				requests[i].StartSec = at(14, 0)
			}
		}
		var got tally
		together(len(requests), func(i int) {
			_, err := w.create(requests[i])
			got.add(err)
		})
		got.want(w.t, 5, len(requests)-5)
	})
}

func TestFeedMerchantsOffer(t *testing.T) {
	each(t, func(w *world) {
		w.feed(eight.Unix(), true, row("dinner", at(19, 0), 4, 4, 2))
		policy := inventory.Merchant{ID: restaurant, Kind: inventory.MerchantFeed, Offers: []inventory.Offer{{ID: "wine", Uses: new(1)}}}
		w.must(w.db.PutPolicy(w.t.Context(), policy))
		w.feed(eight.Unix()+1, true, row("dinner", at(19, 0), 4, 4, 2)) // no feed takes it away
		c := w.dinner("dinner", at(19, 0), 2)
		c.OfferID = "wine"
		w.booked(c)
		c = w.dinner("dinner", at(19, 0), 2)
		c.OfferID = "wine"
		_, err := w.create(c)
		w.wantCause(err, booking.OfferUnavailable)
	})
}

func TestMaxOwnLeases(t *testing.T) {
	each(t, func(w *world) {
		w.catalogue(func(m *inventory.Merchant) { m.Guests.MaxOwnLeases = 2 })
		first := w.leased(at(9, 0), "user-a")
		w.leased(at(10, 0), "user-a")
		lease := booking.Lease{Slot: w.request(at(11, 0)).Slot, UserID: "user-a"}
		_, err := w.Lease(w.t.Context(), lease)
		w.wantCause(err, booking.UserOverBookingLimit)
		w.leased(at(11, 0), "user-b")
		w.booked(w.named(at(9, 0), first)) // one that is used counts no longer
		_, err = w.Lease(w.t.Context(), lease)
		w.must(err)
		w.later(time.Hour) // nor does one that has lapsed
		_, err = w.Lease(w.t.Context(), booking.Lease{Slot: w.request(at(15, 0)).Slot, UserID: "user-a"})
		w.must(err)
	})
}

func TestMaxLeases(t *testing.T) {
	each(t, func(w *world) {
		w.catalogue(func(m *inventory.Merchant) { m.Guests.MaxLeases = 3 })
		leases := w.leasedAtOnce(3)
		held := slices.IndexFunc(leases, func(b booking.Booking) bool { return b.State == booking.Held })

		w.booked(w.request(at(16, 0))) // who books at once needs no lease
		c := w.request(leases[held].StartSec)
		c.LeaseID = &leases[held].ID
		w.booked(c)
		lease := booking.Lease{Slot: w.request(at(15, 0)).Slot}
		_, err := w.Lease(w.t.Context(), lease) // a lease that is used makes way for another
		w.must(err)
		_, err = w.Lease(w.t.Context(), lease)
		w.wantCause(err, booking.SlotUnavailable)
		w.later(time.Hour) // and so do those that have lapsed, sweeper or not
		_, err = w.Lease(w.t.Context(), lease)
		w.must(err)
	})
}

func TestAgreedPayment(t *testing.T) {
	krw := func(micros int64) *inventory.Price { return &inventory.Price{Micros: micros, Currency: "KRW"} }
	service := inventory.Charges{
		Price: krw(50_000_000_000), TaxMicroPercent: 10_000_000,
		Deposit: &inventory.Deposit{Deposit: krw(1)}, NoShowFee: &inventory.Fee{Fee: krw(2)},
	}
	each(t, func(w *world) {
		w.catalogue(func(m *inventory.Merchant) { m.Services[0].Charges = service })
		c := w.request(at(9, 0))
		b := w.booked(c)
		want := &booking.Payment{
			PrepaymentStatus: booking.PrepaymentNotProvided, Price: krw(50_000_000_000), TaxAmount: krw(5_000_000_000),
			Deposit: service.Deposit, NoShowFee: service.NoShowFee,
		}
		if diff := cmp.Diff(want, w.stored(b).Payment); diff != "" {
			w.t.Errorf("kept (-want +got):\n%s", diff)
		}

		// What was agreed stays.
		shown := w.request(at(9, 0))
		shown.Payment = &booking.Payment{PrepaymentStatus: booking.PrepaymentProvided, TransactionID: "t", Price: krw(50_000_000_000)}
		prepaid := w.booked(shown)
		want = &booking.Payment{
			PrepaymentStatus: booking.PrepaymentProvided, TransactionID: "t", Price: krw(50_000_000_000), TaxAmount: krw(5_000_000_000),
			Deposit: service.Deposit, NoShowFee: service.NoShowFee,
		}
		if diff := cmp.Diff(want, w.stored(prepaid).Payment); diff != "" {
			w.t.Errorf("kept of what was sent (-want +got):\n%s", diff)
		}
		w.catalogue(func(m *inventory.Merchant) { m.Services[0].Charges.Price = krw(1) })
		if replay := w.booked(c); !cmp.Equal(replay.Payment, b.Payment) {
			w.t.Errorf("a replay agrees anew:\n%s", cmp.Diff(b.Payment, replay.Payment))
		}

		// The one way on: provided, refunded.
		_, err := w.Refund(w.t.Context(), theDesk, b.ID)
		w.wantCause(err, booking.PaymentError)
		for range 2 {
			prepaid, err = w.Refund(w.t.Context(), theDesk, prepaid.ID)
			w.must(err)
			if prepaid.Payment.PrepaymentStatus != booking.PrepaymentRefunded || prepaid.Version != 2 || prepaid.State != booking.Confirmed {
				w.t.Errorf("got %+v, %+v", prepaid, prepaid.Payment)
			}
		}
		_, err = w.Refund(w.t.Context(), theDesk, w.NewID())
		w.wantField(err, booking.FieldBooking)
	})
}

func TestPublishedCharges(t *testing.T) {
	each(t, func(w *world) {
		r := row("dinner", at(19, 0), 4, 4, 3)
		r.Terms.Charges = &inventory.Charges{Price: &inventory.Price{Micros: 7, Currency: "USD"}, PriceType: inventory.PerPerson}
		w.feed(eight.Unix(), true, r)
		b := w.booked(w.dinner("dinner", at(19, 0), 3))
		if b.Payment == nil || !cmp.Equal(b.Payment.Price, &inventory.Price{Micros: 21, Currency: "USD"}) {
			w.t.Errorf("got %+v", b.Payment)
		}
	})
}
