package booking_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/booking"
	"holdfast/inventory"
)

// A booking is refused if its payment contradicts what is on sale: in the option, the price, the tax, the currency, the deposit or the fee. A
// refusal leaves no trace.
func TestPaymentsThatAreWrong(t *testing.T) {
	amount := func(micros int64, currency string) *inventory.Price {
		return &inventory.Price{Micros: micros, Currency: currency}
	}
	won := func(n int64) *inventory.Price { return amount(n*1_000_000, "KRW") }
	sale := inventory.Charges{
		Price: won(30_001), PriceType: inventory.PerPerson, TaxMicroPercent: 7_253_000,
		Deposit:   &inventory.Deposit{Deposit: won(5_000), MinAdvanceCancellationSec: 86400, Type: inventory.PerPerson},
		NoShowFee: &inventory.Fee{Fee: won(9_000), Type: "FIXED_RATE_DEFAULT"},
	}
	type payment = booking.Payment
	each(t, func(w *world) {
		w.catalogue(func(m *inventory.Merchant) {
			m.Groups[0].Zones[0].Capacity = 100
			m.Services[0].Charges = sale
			m.Services = append(m.Services, inventory.Service{ID: "gift", GroupID: queue, DurationSec: 3600})
		})
		for _, c := range []struct {
			name  string
			sent  payment
			cause booking.Cause
		}{
			{"nothing said", payment{}, 0},
			{"all as it is", payment{Price: won(60_002), TaxAmount: amount(4_351_945_060, "KRW"), Deposit: sale.Deposit, NoShowFee: &inventory.Fee{Fee: won(9_000)}}, 0},
			{"tax to the won", payment{Price: won(60_002), TaxAmount: won(4_352)}, 0},
			{"a deposit for all", payment{Deposit: &inventory.Deposit{Deposit: won(10_000)}}, 0},
			{"a deposit that says nothing", payment{Deposit: &inventory.Deposit{}, NoShowFee: &inventory.Fee{}}, 0},
			{"an option to buy", payment{PaymentOptionID: "pack"}, booking.PaymentOptionNotValid},
			{"an option to use", payment{UserPaymentOptionID: "mine"}, booking.PaymentOptionNotValid},
			{"options come first", payment{UserPaymentOptionID: "mine", Price: won(1), ProcessedBy: booking.ProcessedByPartner}, booking.PaymentOptionNotValid},
			{"we would have to charge", payment{ProcessedBy: booking.ProcessedByPartner}, booking.PaymentError},
			{"a lower price", payment{Price: won(60_001)}, booking.PaymentError},
			{"a higher price", payment{Price: won(60_003)}, booking.PaymentError},
			{"of one", payment{Price: won(30_001)}, booking.PaymentError},
			{"for nothing", payment{Price: won(0)}, booking.PaymentError},
			{"another currency", payment{Price: amount(60_002_000_000, "JPY")}, booking.PaymentError},
			{"a currency in small letters", payment{Price: amount(60_002_000_000, "krw")}, booking.PaymentError},
			{"another tax", payment{TaxAmount: won(4_353)}, booking.PaymentError},
			{"tax in another currency", payment{TaxAmount: amount(4_352_000_000, "USD")}, booking.PaymentError},
			{"fees in another currency", payment{Fees: amount(1, "USD")}, booking.PaymentError},
			{"both in another currency", payment{FeesAndTaxes: amount(1, "USD")}, booking.PaymentError},
			{"another deposit", payment{Deposit: &inventory.Deposit{Deposit: won(4_999), Type: inventory.PerPerson}}, booking.PaymentError},
			{"a deposit of one for all", payment{Deposit: &inventory.Deposit{Deposit: won(5_000)}}, booking.PaymentError},
			{"a deposit to be had back for longer", payment{Deposit: &inventory.Deposit{Deposit: won(10_000), MinAdvanceCancellationSec: 1}}, booking.PaymentError},
			{"another fee", payment{NoShowFee: &inventory.Fee{Fee: won(8_999)}}, booking.PaymentError},
			{"a fee for each", payment{NoShowFee: &inventory.Fee{Fee: won(9_000), Type: inventory.PerPerson}}, booking.PaymentError},
		} {
			r := w.request(at(9, 0))
			r.PartySize, r.Payment, r.RoomID = 2, &c.sent, bed
			if c.cause == 0 {
				if got := w.booked(r).Payment; !cmp.Equal(got.Deposit, sale.Deposit) || !cmp.Equal(got.NoShowFee, sale.NoShowFee) || !cmp.Equal(got.Price, won(60_002)) {
					w.t.Errorf("%s: agreed %+v", c.name, got)
				}
				continue
			}
			before := w.rows()
			_, err := w.create(r)
			w.wantCause(err, c.cause)
			if diff := cmp.Diff(before, w.rows()); diff != "" {
				w.t.Errorf("%s left a trace:\n%s", c.name, diff)
			}

			// Where nothing is on sale nothing is contradicted.
			r.ServiceID = "gift"
			_, err = w.create(r)
			switch {
			case c.cause == booking.PaymentOptionNotValid || c.sent.ProcessedBy != "":
				w.wantCause(err, c.cause)
			case err != nil:
				w.t.Errorf("%s: %v", c.name, err)
			}
		}
	})
}

// If the merchant requires prepayment, what must be paid in advance cannot be booked or moved to without it: a service, a slot of a feed, and
// with a lease.
func TestPrepaymentRequired(t *testing.T) {
	price := &inventory.Price{Micros: 7_000_000, Currency: "KRW"}
	prepaid := inventory.Charges{Price: price, Prepaid: true}
	provided := &booking.Payment{PrepaymentStatus: booking.PrepaymentProvided, TransactionID: "t", Price: price}
	each(t, func(w *world) {
		clinicSays := func(required bool, c inventory.Charges) {
			w.catalogue(func(m *inventory.Merchant) { m.Services[0].Charges, m.Guests.PrepaymentRequired = c, required })
		}
		week := int64(0)
		ask := func(p *booking.Payment) error {
			week++
			r := w.request(at(9, 0) + week*7*86400)
			r.Payment = p
			_, err := w.create(r)
			return err
		}
		clinicSays(false, prepaid)
		w.must(ask(nil)) // as ever
		clinicSays(true, inventory.Charges{Price: price})
		w.must(ask(nil)) // on arrival
		clinicSays(true, inventory.Charges{Price: &inventory.Price{Currency: "KRW"}, Prepaid: true})
		w.must(ask(nil)) // nothing to pay
		clinicSays(true, prepaid)
		w.wantCause(ask(nil), booking.PaymentError)
		w.wantCause(ask(&booking.Payment{PrepaymentStatus: booking.PrepaymentNotProvided, Price: price}), booking.PaymentError)
		w.must(ask(provided))
		clinicSays(true, inventory.Charges{Prepaid: true})
		w.wantCause(ask(nil), booking.PaymentError) // whatever it costs

		clinicSays(true, prepaid)
		c := w.request(at(9, 0))
		lease, err := w.Lease(t.Context(), booking.Lease{Slot: c.Slot, UserID: c.Contact.UserID})
		w.must(err)
		c.LeaseID = &lease.ID
		_, err = w.create(c)
		w.wantCause(err, booking.PaymentError)
		c.Payment = provided
		w.booked(c)

		// A feed's slot; the rules are those of feed_merchants.
		early, late := row("dinner", at(19, 0), 4, 4, 0), row("dinner", at(21, 0), 4, 4, 0)
		late.Terms.Charges = &prepaid
		w.feed(eight.Unix(), true, early, late)
		w.must(w.db.PutPolicy(t.Context(), inventory.Merchant{ID: restaurant, Kind: inventory.MerchantFeed, Guests: inventory.GuestRules{PrepaymentRequired: true}}))
		_, err = w.create(w.dinner("dinner", at(21, 0), 0))
		w.wantCause(err, booking.PaymentError)
		b := w.booked(w.dinner("dinner", at(19, 0), 0))
		_, err = w.update(booking.Update{BookingID: b.ID, StartSec: new(at(21, 0))})
		w.wantCause(err, booking.PaymentError)
		paid := w.dinner("dinner", at(21, 0), 0)
		paid.Payment = provided
		w.booked(paid)
	})
}
