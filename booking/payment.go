package booking

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// The prepayment_status of a booking, in Google's words. After booking it can only change from
// provided to refunded. (GetBookingStatusResponse)
const (
	PrepaymentProvided    = "PREPAYMENT_PROVIDED"
	PrepaymentNotProvided = "PREPAYMENT_NOT_PROVIDED"
	PrepaymentRefunded    = "PREPAYMENT_REFUNDED"
)

// charges are what was published with a slot.
func charges(t inventory.Terms) inventory.Charges {
	if t.Charges == nil {
		return inventory.Charges{}
	}
	return *t.Charges
}

// onSale is what a visit of the service costs at a place: what was published with the place
// overrides what the service says. The service may be missing, because a lease can outlive it.
func onSale(m *inventory.Merchant, serviceID string, at inventory.Charges) inventory.Charges {
	if s := m.Service(serviceID); s != nil {
		return at.Over(s.Charges)
	}
	return at
}

// refused says why we cannot take the payment that was sent for what is on sale, or nil. A payment
// cannot contradict a price that is not published. Payment options come first, because they change
// the price. (BookingFailure.cause)
func (p *Payment) refused(sale inventory.Charges, party int) *Failure {
	if p == nil {
		return nil
	}
	price, tax := sale.Due(party)
	switch {
	case p.PaymentOptionID != "" || p.UserPaymentOptionID != "":
		return refuse(PaymentOptionNotValid, "there is no such payment option")
	case p.ProcessedBy == ProcessedByPartner:
		return refuse(PaymentError, "this partner does not charge cards")
	case differs(p.Price, price, 0):
		return refuse(PaymentError, "the price is another")
	case tax != nil && differs(p.TaxAmount, tax, inventory.SmallestUnit(tax.Currency)/2):
		return refuse(PaymentError, "the tax is another")
	case price != nil && p.inAnother(price.Currency):
		return refuse(PaymentError, "the currency is another")
	case p.Deposit != nil && sale.Deposit != nil && (differsBy(p.Deposit.Deposit, p.Deposit.Type, sale.Deposit.Deposit, sale.Deposit.Type, party) ||
		p.Deposit.MinAdvanceCancellationSec != 0 && p.Deposit.MinAdvanceCancellationSec != sale.Deposit.MinAdvanceCancellationSec):
		return refuse(PaymentError, "the deposit is another")
	case p.NoShowFee != nil && sale.NoShowFee != nil && differsBy(p.NoShowFee.Fee, p.NoShowFee.Type, sale.NoShowFee.Fee, sale.NoShowFee.Type, party):
		return refuse(PaymentError, "the fee for not coming is another")
	}
	return nil
}

// differs reports whether the amount sent differs from the one on sale by more than by micros. An
// amount that is missing differs from nothing.
func differs(sent, sale *inventory.Price, by int64) bool {
	if sent == nil || sale == nil {
		return false
	}
	return sent.Currency != sale.Currency || max(sent.Micros-sale.Micros, sale.Micros-sent.Micros) > by
}

// differsBy is differs for amounts for the visit or for each person. A price for each person may
// also be sent as the total.
func differsBy(sent *inventory.Price, sentType string, sale *inventory.Price, saleType string, party int) bool {
	each, sentEach := saleType == inventory.PerPerson, sentType == inventory.PerPerson
	if sale != nil && each && !sentEach {
		all := *sale
		all.Micros *= int64(max(1, party))
		sale = &all
	}
	return differs(sent, sale, 0) || sent != nil && sale != nil && sentEach && !each
}

// inAnother reports whether any part of the payment is in another currency.
func (p *Payment) inAnother(currency string) bool {
	return slices.ContainsFunc([]*inventory.Price{p.TaxAmount, p.Fees, p.FeesAndTaxes}, func(a *inventory.Price) bool {
		return a != nil && a.Currency != currency
	})
}

// unpaid refuses a visit that must be paid in advance and is not.
func unpaid(p *Payment, sale inventory.Charges, party int, rules inventory.GuestRules) *Failure {
	price, _ := sale.Due(party)
	free := price != nil && price.Micros == 0
	if !rules.PrepaymentRequired || !sale.Prepaid || free || p != nil && p.PrepaymentStatus == PrepaymentProvided {
		return nil
	}
	return refuse(PaymentError, "it has to be paid in advance")
}

// agreed returns the payment that is stored with a booking: what was sent, which contradicts
// nothing, completed by what the merchant charges now. Later changes of the catalogue do not affect
// it.
func agreed(sent *Payment, c inventory.Charges, party int) *Payment {
	price, tax := c.Due(party)
	if sent == nil && price == nil && c.Deposit == nil && c.NoShowFee == nil {
		return nil
	}
	p := Payment{PrepaymentStatus: PrepaymentNotProvided}
	if sent != nil {
		p = *sent
	}
	if p.Price == nil {
		p.Price = price
	}
	if p.TaxAmount == nil {
		p.TaxAmount = tax
	}
	if c.Deposit != nil { // what was sent says the same, or less
		p.Deposit = c.Deposit
	}
	if c.NoShowFee != nil {
		p.NoShowFee = c.NoShowFee
	}
	return &p
}

// Refunded is the action of an event.
const Refunded Action = "REFUNDED"

// Refund records that the merchant has given a prepayment back. It moves no money. Refunding again
// succeeds and leaves no trace. It returns *Invalid if there is no such booking, and
// *Failure{PaymentError} if nothing was prepaid.
func (s *Service) Refund(ctx context.Context, by By, id uuid.UUID) (Booking, error) {
	now := s.Now()
	var result Booking
	err := s.Store.InTx(ctx, Footprint{Bookings: []uuid.UUID{id}}, func(tx Tx) error {
		b, found := tx.Booking(id)
		if !found || b.IsLease() {
			return unknown(FieldBooking, "no such booking")
		}
		next, err := refunded(b)
		if err != nil {
			return err
		}
		result, err = putNext(tx, b, next, Event{By: by, Action: Refunded, AtSec: now.Unix()})
		return err
	})
	return result, err
}

// refunded returns the booking with its prepayment given back.
func refunded(b Booking) (Booking, error) {
	switch {
	case b.Payment == nil || b.Payment.PrepaymentStatus != PrepaymentProvided && b.Payment.PrepaymentStatus != PrepaymentRefunded:
		return b, refuse(PaymentError, "nothing was paid in advance")
	case b.Payment.PrepaymentStatus == PrepaymentRefunded:
		return b, nil
	}
	p := *b.Payment
	p.PrepaymentStatus = PrepaymentRefunded
	b.Payment = &p
	return b, nil
}
