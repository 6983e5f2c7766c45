package google

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"holdfast/api/edge"
	"holdfast/api/mapsbooking"
	"holdfast/booking"
)

// refusal is an error about which Google's developers can do something.
type refusal struct {
	status  int    // of HTTP
	field   string // what is wrong, by its path in protobuf's names; "" if it is not one field
	message string // without values
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s %s", r.status, r.field, r.message) }

// badField refuses one field, by its path in protobuf's names.
func badField(path, must string) error {
	return &refusal{http.StatusBadRequest, path, path + " " + must}
}

// notThere refuses an id that does not exist.
func notThere(field, message string) error {
	return &refusal{http.StatusNotFound, field, message}
}

// refuse puts an error into words. Google specifies a body only for a 200; otherwise the HTTP status is
// what counts.
func refuse(err error) edge.Reply {
	r := refusalOf(err)
	if r == nil {
		r = edges(err)
	}
	type detail struct {
		Code    int    `json:"code"`
		Field   string `json:"field,omitempty"`
		Message string `json:"message"`
	}
	return edge.Reply{Status: r.status, Field: r.field, Body: struct {
		Error detail `json:"error"`
	}{detail{r.status, r.field, r.message}}}
}

// edges returns the edge's own refusal, or the edge's refusal for any other error.
func edges(err error) *refusal {
	of := edge.RefusalOf(err)
	return &refusal{of.Status, "", of.Message}
}

// refusalOf returns an error as a refusal; nil if this channel has no words for it. A request that names
// something unknown is a 400.
func refusalOf(err error) *refusal {
	var r *refusal
	var invalid *booking.Invalid
	if errors.As(err, &r) {
		return r
	}
	if errors.As(err, &invalid) && fieldName[invalid.Field] != "" {
		return &refusal{http.StatusBadRequest, fieldName[invalid.Field], invalid.Detail}
	}
	return nil
}

// fieldName has the spelling of the fields that only stored state can show to be wrong. A field without a
// spelling does not exist in this channel.
var fieldName = map[booking.Field]string{
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

// inBooking and inLease are the spellings of a slot's fields if the slot is part of a booking or a lease.
var (
	inBooking = slotWithin("booking.")
	inLease   = slotWithin("lease.")
)

func slotWithin(prefix string) map[string]string {
	spelling := map[string]string{}
	for _, field := range fieldName {
		if strings.HasPrefix(field, "slot.") {
			spelling[field] = prefix + field
		}
	}
	return spelling
}

// renamed gives the field of a refusal another spelling.
func renamed(err error, spelling map[string]string) error {
	r := refusalOf(err)
	if r == nil || spelling[r.field] == "" {
		return err
	}
	again := *r
	again.field = spelling[r.field]
	return &again
}

// causes has Google's word for each cause.
var causes = map[booking.Cause]mapsbooking.BookingFailure_Cause{
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

// failureOf returns a business "no" in Google's words, which goes into a 200; nil if err is something
// else.
func failureOf(ctx context.Context, err error) *mapsbooking.BookingFailure {
	var failure *booking.Failure
	if !errors.As(err, &failure) {
		return nil
	}
	cause := causes[failure.Cause]
	edge.CallOf(ctx).Cause = cause.String()
	return &mapsbooking.BookingFailure{Cause: cause, Description: failure.Detail}
}
