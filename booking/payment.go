package booking

import (
	"context"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// The prepayment_status of a booking, in Google's words. Once booked, the only
// way is from provided to refunded. (GetBookingStatusResponse)
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

// onSale is what a visit of the service costs at a place: what was published with
// that, over what the service says. A lease may outlive its service.
func onSale(m *inventory.Merchant, serviceID string, at inventory.Charges) inventory.Charges {
	if s := m.Service(serviceID); s != nil {
		return at.Over(s.Charges)
	}
	return at
}

// agreed is the payment that is kept with a booking: what the guest was shown
// and sent along, and what that leaves out, as the merchant charges now. A later
// change of the catalogue does not change it.
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
		if p.TaxAmount == nil {
			p.TaxAmount = tax
		}
	}
	if p.Deposit == nil {
		p.Deposit = c.Deposit
	}
	if p.NoShowFee == nil {
		p.NoShowFee = c.NoShowFee
	}
	return &p
}

// Refunded is the action of an event.
const Refunded Action = "REFUNDED"

// Refund notes that the merchant has given a prepayment back. It moves no money.
// Saying so again succeeds and leaves no trace. It returns *Invalid if there is
// no such booking and *Failure{PaymentError} if nothing was prepaid.
func (s *Service) Refund(ctx context.Context, id uuid.UUID) (Booking, error) {
	now := s.Now()
	var result Booking
	err := s.inTx(ctx, Keys{Bookings: []uuid.UUID{id}}, func(tx Tx) error {
		b, found := tx.Booking(id)
		if !found || b.IsLease() {
			return unknown(FieldBooking, "no such booking")
		}
		next, err := refunded(b)
		if err != nil {
			return err
		}
		result, err = putNext(tx, b, next, Event{Actor: ByDesk, Action: Refunded, AtSec: now.Unix()})
		return err
	})
	return result, err
}

// refunded is the booking with its prepayment given back.
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
