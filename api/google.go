package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
	"holdfast/booking"
	"holdfast/idempotency"
)

// rpc makes an endpoint of Google's family out of an operation on its messages.
func rpc[Req, Resp proto.Message](op func(context.Context, Req) (Resp, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		body, err := readBody(c)
		if err != nil {
			return err
		}
		var none Req
		req := none.ProtoReflect().New().Interface().(Req)
		if err := decodeGoogle(body, req); err != nil {
			return err
		}
		resp, err := op(c.Request().Context(), req)
		if err != nil {
			return err
		}
		text, err := encodeGoogle(resp)
		if err != nil {
			return err
		}
		return writeJSON(c, http.StatusOK, text)
	}
}

// encodeGoogle writes a message in the names of the .proto, the same message
// always with the same bytes: protojson varies its white space on purpose.
func encodeGoogle(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

// googleError is the body of an answer other than 200. Google specifies none;
// the HTTP status is what counts.
func googleError(r *refusal) any {
	type detail struct {
		Code    int    `json:"code"`
		Field   string `json:"field,omitempty"`
		Message string `json:"message"`
	}
	return struct {
		Error detail `json:"error"`
	}{detail{r.status, r.field, r.message}}
}

// googleField spells the fields that only stored state shows to be wrong. A
// field without a spelling is not asked for in this channel.
var googleField = map[booking.Field]string{
	booking.FieldMerchant:      "slot.merchant_id",
	booking.FieldService:       "slot.service_id",
	booking.FieldStart:         "slot.start_sec",
	booking.FieldDuration:      "slot.duration_sec",
	booking.FieldStaff:         "slot.resources.staff_id",
	booking.FieldRoom:          "slot.resources.room_id",
	booking.FieldBooking:       "booking.booking_id",
	booking.FieldLease:         "lease_ref.lease_id",
	booking.FieldSchedule:      "",
	booking.FieldZone:          "",
	booking.FieldResourceGroup: "",
	booking.FieldResourceZone:  "",
	booking.FieldVisitor:       "",
	booking.FieldGroup:         "",
	booking.FieldBlock:         "",
	booking.FieldBlockTime:     "",
	booking.FieldRange:         "",
	booking.FieldVersion:       "",
}

// googleRefusal makes a request that names something unknown a 400.
func googleRefusal(err error) error {
	var invalid *booking.Invalid
	if !errors.As(err, &invalid) || googleField[invalid.Field] == "" {
		return err
	}
	return &refusal{status: http.StatusBadRequest, field: googleField[invalid.Field], message: invalid.Detail}
}

// googleCause is Google's word for each cause.
var googleCause = map[booking.Cause]mapsbooking.BookingFailure_Cause{
	booking.SlotUnavailable:           mapsbooking.BookingFailure_SLOT_UNAVAILABLE,
	booking.SlotAlreadyBookedByUser:   mapsbooking.BookingFailure_SLOT_ALREADY_BOOKED_BY_USER,
	booking.OverlappingReservation:    mapsbooking.BookingFailure_OVERLAPPING_RESERVATION,
	booking.LeaseExpired:              mapsbooking.BookingFailure_LEASE_EXPIRED,
	booking.OfferUnavailable:          mapsbooking.BookingFailure_OFFER_UNAVAILABLE,
	booking.PaymentError:              mapsbooking.BookingFailure_PAYMENT_ERROR,
	booking.NotReserved:               mapsbooking.BookingFailure_BOOKING_NOT_CANCELLABLE,
	booking.AlreadyCanceled:           mapsbooking.BookingFailure_BOOKING_ALREADY_CANCELLED,
	booking.UserOverBookingLimit:      mapsbooking.BookingFailure_USER_OVER_BOOKING_LIMIT,
	booking.BannedUser:                mapsbooking.BookingFailure_BANNED_USER,
	booking.UnsupportedName:           mapsbooking.BookingFailure_UNSUPPORTED_NAME,
	booking.UnsupportedPhoneNumber:    mapsbooking.BookingFailure_UNSUPPORTED_PHONE_NUMBER,
	booking.PaymentOptionNotValid:     mapsbooking.BookingFailure_PAYMENT_OPTION_NOT_VALID,
	booking.OutsideCancellationWindow: mapsbooking.BookingFailure_OUTSIDE_CANCELLATION_WINDOW,
}

// bookingFailure is a business "no" in Google's words, which goes into a 200;
// nil if err is something else.
func bookingFailure(ctx context.Context, err error) *mapsbooking.BookingFailure {
	var failure *booking.Failure
	if !errors.As(err, &failure) {
		return nil
	}
	cause := googleCause[failure.Cause]
	callOf(ctx).cause = cause.String()
	return &mapsbooking.BookingFailure{Cause: cause, Description: failure.Detail}
}

// healthLimit is how long the database may take to show that it is there.
const healthLimit = 2 * time.Second

// healthCheck says whether bookings can be taken.
func (s *server) healthCheck(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), healthLimit)
	defer cancel()
	if err := callOf(ctx).place.work(0); err != nil {
		return err
	}
	if s.healthy != nil {
		if err := s.healthy(ctx); err != nil {
			s.log.WarnContext(ctx, "not serving", "request_id", callOf(ctx).id, "error", err.Error())
			return writeJSON(c, http.StatusServiceUnavailable, []byte(`{"status":"NOT_SERVING"}`))
		}
	}
	return writeJSON(c, http.StatusOK, []byte(`{"status":"SERVING"}`))
}

// createBooking books a slot, or returns the booking that the token made before.
func (s *server) createBooking(ctx context.Context, req *mapsbooking.CreateBookingRequest) (*mapsbooking.CreateBookingResponse, error) {
	create, err := createOf(req)
	if err != nil {
		return nil, err
	}
	out, err := s.bookings.Create(ctx, create)
	if failure := bookingFailure(ctx, err); failure != nil {
		return &mapsbooking.CreateBookingResponse{BookingFailure: failure}, nil
	}
	if err != nil {
		return nil, err
	}
	s.count(ctx, out)
	return &mapsbooking.CreateBookingResponse{Booking: bookingMessage(out.Booking)}, nil
}

// count keeps the number of replays. Another request under a known token gets
// the token's booking, and an operator gets to know.
func (s *server) count(ctx context.Context, out booking.Outcome) {
	if out.Replay {
		s.counters.Replays.Add(1)
	}
	if out.Mismatch {
		s.counters.Mismatches.Add(1)
		s.log.WarnContext(ctx, "another request under a known idempotency token", "request_id", callOf(ctx).id, "booking_id", out.Booking.ID.String())
	}
}

// Bounds of what can be asked for.
const (
	year10000Sec   = 253402300800 // where four digits end
	maxDurationSec = 366 * 24 * 60 * 60
	maxPartySize   = 10000
)

// rule is what a field of a message must keep.
type rule struct {
	field string
	ok    bool
	must  string
}

const missing = "is required"

// slotRules are those of a slot that is to be booked.
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

// atBooking are the prepayment_status of a booking that is yet to be made: there
// is nothing to refund.
var atBooking = map[mapsbooking.PrepaymentStatus]bool{
	mapsbooking.PrepaymentStatus_PREPAYMENT_STATUS_UNSPECIFIED: true,
	mapsbooking.PrepaymentStatus_PREPAYMENT_PROVIDED:           true,
	mapsbooking.PrepaymentStatus_PREPAYMENT_NOT_PROVIDED:       true,
}

// createOf checks what the message alone shows to be wrong and translates it. People
// with one name exist, so a family name is not required.
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
		Caller: googleCaller, Token: req.GetIdempotencyToken(), Fingerprint: print,
		Slot:    slotOf(req.GetSlot()),
		Contact: contactOf(user), Payment: paymentOf(req.GetPaymentInformation()),
		AdditionalRequest: req.GetAdditionalRequest(), OfferID: req.GetOfferId(),
	}
	if lease := req.GetLeaseRef(); lease != nil {
		c.LeaseID = leaseID(lease.LeaseId)
	}
	return c, nil
}

// checkPrices refuses amounts below zero, and of no currency.
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

// leaseID reads a lease's id. One that is not ours is the zero id, which names
// no lease.
func leaseID(s string) *uuid.UUID {
	id, err := uuid.Parse(s)
	if err != nil {
		return new(uuid.UUID)
	}
	return &id
}

// fingerprint is a digest of what is asked for: the token only names it, and a
// payment token is for one use and differs each time.
func fingerprint(req *mapsbooking.CreateBookingRequest) ([]byte, error) {
	what := proto.CloneOf(req)
	what.IdempotencyToken, what.PaymentProcessingParameters = "", nil
	canonical, err := proto.MarshalOptions{Deterministic: true}.Marshal(what)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	return idempotency.Fingerprint(canonical), nil
}
