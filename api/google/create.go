package google

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
	"holdfast/booking"
	"holdfast/idempotency"
)

// createBooking books a slot, or returns the booking that the token made earlier.
func (s *server) createBooking(ctx context.Context, req *mapsbooking.CreateBookingRequest) (*mapsbooking.CreateBookingResponse, error) {
	create, err := createOf(req)
	if err != nil {
		return nil, err
	}
	out, err := s.bookings.Create(ctx, create)
	if failure := failureOf(ctx, err); failure != nil {
		return &mapsbooking.CreateBookingResponse{BookingFailure: failure}, nil
	}
	if err != nil {
		return nil, err
	}
	s.counters.Count(ctx, s.log, out)
	return &mapsbooking.CreateBookingResponse{Booking: messageOf(out.Booking)}, nil
}

// Bounds of requests.
const (
	year10000Sec   = 253402300800 // the first year with five digits
	maxDurationSec = 366 * 24 * 60 * 60
	maxPartySize   = 10000
)

// rule is a condition on a field of a message.
type rule struct {
	field string
	ok    bool
	must  string
}

const missing = "is required"

// slotRules are the rules for a slot to book.
func slotRules(slot *mapsbooking.Slot) []rule {
	party := slot.GetResources().GetPartySize()
	return []rule{
		{"slot", slot != nil, missing},
		{"slot.merchant_id", slot.GetMerchantId() != "", missing},
		{"slot.service_id", slot.GetServiceId() != "", missing},
		{"slot.start_sec", slot.GetStartSec() > 0, "is required and must be above zero"},
		{"slot.start_sec", slot.GetStartSec() < year10000Sec, "must lie before the year 10000"},
		{"slot.duration_sec", slot.GetDurationSec() > 0, "is required and must be above zero"},
		{"slot.duration_sec", slot.GetDurationSec() <= maxDurationSec, "must be at most 366 days"},
		{"slot.resources.party_size", party >= 0 && party <= maxPartySize, "must be from 0 to 10000"},
	}
}

// atBooking are the prepayment_status that a new booking may have: there is nothing to refund yet.
var atBooking = map[mapsbooking.PrepaymentStatus]bool{
	mapsbooking.PrepaymentStatus_PREPAYMENT_STATUS_UNSPECIFIED: true,
	mapsbooking.PrepaymentStatus_PREPAYMENT_PROVIDED:           true,
	mapsbooking.PrepaymentStatus_PREPAYMENT_NOT_PROVIDED:       true,
}

// createOf checks what the message alone can show to be wrong, and translates it. It does not require a
// family name, because some people have only one name.
func createOf(req *mapsbooking.CreateBookingRequest) (booking.Create, error) {
	user := req.GetUserInformation()
	for _, rule := range append(slotRules(req.GetSlot()), []rule{
		{"lease_ref.lease_id", req.GetLeaseRef() == nil || req.GetLeaseRef().GetLeaseId() != "", "is required in a lease_ref"},
		{"user_information", user != nil, missing},
		{"user_information.user_id", user.GetUserId() != "", missing},
		{"user_information.given_name", user.GetGivenName() != "", missing},
		{"user_information.telephone", user.GetTelephone() != "", missing},
		{"user_information.email", user.GetEmail() != "", missing},
		{"idempotency_token", req.GetIdempotencyToken() != "", missing},
		{"payment_information.prepayment_status", atBooking[req.GetPaymentInformation().GetPrepaymentStatus()], "must be PREPAYMENT_PROVIDED or PREPAYMENT_NOT_PROVIDED in a new booking"},
	}...) {
		if !rule.ok {
			return booking.Create{}, badField(rule.field, rule.must)
		}
	}
	if err := checkPrices(req.GetPaymentInformation()); err != nil {
		return booking.Create{}, err
	}
	if err := checkTexts(req.ProtoReflect(), ""); err != nil {
		return booking.Create{}, err
	}
	print, err := fingerprint(req)
	if err != nil {
		return booking.Create{}, err
	}
	c := booking.Create{
		Caller: caller, Token: req.GetIdempotencyToken(), Fingerprint: print,
		Slot:    slotOf(req.GetSlot()),
		Contact: contactOf(user), Payment: paymentOf(req.GetPaymentInformation()),
		AdditionalRequest: req.GetAdditionalRequest(), OfferID: req.GetOfferId(),
	}
	if lease := req.GetLeaseRef(); lease != nil {
		c.LeaseID = leaseID(lease.LeaseId)
	}
	return c, nil
}

// checkPrices refuses amounts that are below zero or have no currency.
func checkPrices(p *mapsbooking.PaymentInformation) error {
	for _, a := range []struct {
		field string
		price *mapsbooking.Price
	}{
		{"price", p.GetPrice()},
		{"tax_amount", p.GetTaxAmount()},
		{"fees", p.GetFees()},
		{"fees_and_taxes", p.GetFeesAndTaxes()},
		{"deposit.deposit", p.GetDeposit().GetDeposit()},
		{"no_show_fee.fee", p.GetNoShowFee().GetFee()},
	} {
		switch {
		case a.price == nil:
		case a.price.PriceMicros < 0:
			return badField("payment_information."+a.field+".price_micros", "must not be below zero")
		case a.price.CurrencyCode == "":
			return badField("payment_information."+a.field+".currency_code", missing)
		}
	}
	if p.GetDeposit().GetMinAdvanceCancellationSec() < 0 {
		return badField("payment_information.deposit.min_advance_cancellation_sec", "must not be below zero")
	}
	return nil
}

// leaseID reads a lease's id. An id that is not ours becomes the zero id, which names no lease.
func leaseID(s string) *uuid.UUID {
	id, err := uuid.Parse(s)
	if err != nil {
		return new(uuid.UUID)
	}
	return &id
}

// fingerprint returns a digest of the request without the tokens: the idempotency token only names it,
// and a payment token is for one use and differs each time.
func fingerprint(req *mapsbooking.CreateBookingRequest) ([]byte, error) {
	what := proto.CloneOf(req)
	what.IdempotencyToken, what.PaymentProcessingParameters = "", nil
	canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(what)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return idempotency.Fingerprint(canonical), nil
}
