package clinic

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"holdfast/api/edge"
	"holdfast/booking"
)

// refusal is an error about which a clinic can do something: a 400.
type refusal struct {
	class  string // InvalidCommandException, InvalidRequestException or NotFoundException
	key    string // the member that is wrong
	reason string // one of those below
}

func (r *refusal) Error() string { return fmt.Sprintf("%s %s %s", r.class, r.key, r.reason) }

// The reasons of a "no".
const (
	required         = "Required"
	notFound         = "NotFound"
	notAvailable     = "NotAvailable"
	invalidTimeRange = "InvalidTimeRange"
)

// invalidCommand refuses a command whose body alone shows that it is wrong.
func invalidCommand(key, reason string) error {
	return &refusal{class: "InvalidCommandException", key: key, reason: reason}
}

// invalidRequest refuses what only stored state shows to be impossible.
func invalidRequest(key, reason string) error {
	return &refusal{class: "InvalidRequestException", key: key, reason: reason}
}

// exception is the envelope of every "no".
type exception struct {
	Status          int        `json:"status"`
	Message         string     `json:"message"`
	ClassName       string     `json:"className"`
	ErrorProperties []property `json:"errorProperties"`
}

type property struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

// exceptionClass is the class of refusals that have no key and no reason.
var exceptionClass = map[int]string{
	http.StatusUnauthorized:          "UnauthorizedException", // row A1
	http.StatusNotFound:              "NotFoundException",
	http.StatusMethodNotAllowed:      "MethodNotAllowedException",
	http.StatusRequestEntityTooLarge: "PayloadTooLargeException",
	http.StatusUnsupportedMediaType:  "UnsupportedMediaTypeException",
	http.StatusInternalServerError:   "InternalServerErrorException",
	http.StatusServiceUnavailable:    "ServiceUnavailableException",
}

// refuse puts an error into the envelope. A 400 from the edge is about the body as a whole (row A2).
func refuse(err error) edge.Reply {
	if r := refusalOf(err); r != nil {
		return edge.Reply{Status: http.StatusBadRequest, Field: r.key, Cause: r.reason, Body: exception{
			Status: http.StatusBadRequest, Message: r.class, ClassName: r.class,
			ErrorProperties: []property{{Key: r.key, Reason: r.reason}},
		}}
	}
	e := exception{Status: edge.RefusalOf(err).Status, ErrorProperties: []property{}}
	e.ClassName = exceptionClass[e.Status]
	if e.Status == http.StatusBadRequest {
		e.ClassName, e.ErrorProperties = "InvalidCommandException", []property{{Key: "body", Reason: notAvailable}}
	}
	e.Message = e.ClassName
	return edge.Reply{Status: e.Status, Body: e}
}

// refusalOf returns an error as a refusal; nil if this channel has no words for it. A rule's "no" is
// rows C1 to C7.
func refusalOf(err error) *refusal {
	var r *refusal
	var p property
	var n int
	var failure *booking.Failure
	var invalid *booking.Invalid
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &failure):
		p, n = causes[failure.Cause], failure.Resource
	case errors.As(err, &invalid):
		p, n = fieldKeys[invalid.Field], invalid.Resource
	}
	if p.Key == "" {
		return nil
	}
	key := strings.Replace(p.Key, "[n]", "["+strconv.Itoa(max(n, 0))+"]", 1)
	return &refusal{class: "InvalidRequestException", key: key, reason: p.Reason}
}

// causes has the key and the reason for each cause; [n] stands for the occupied resource that it is
// about. A cause without a key cannot occur in this channel.
var causes = map[booking.Cause]property{
	booking.SlotUnavailable:           {"occupiedResources[n].startDateTimeUtc", notAvailable}, // row C7
	booking.OverlappingReservation:    {"startDateTime", notAvailable},                         // row C6
	booking.NotReserved:               {"status", notAvailable},                                // row C2
	booking.SlotAlreadyBookedByUser:   {},
	booking.LeaseExpired:              {},
	booking.OfferUnavailable:          {},
	booking.PaymentError:              {},
	booking.PaymentOptionNotValid:     {},
	booking.AlreadyCanceled:           {},
	booking.UserOverBookingLimit:      {},
	booking.BannedUser:                {},
	booking.UnsupportedName:           {},
	booking.UnsupportedPhoneNumber:    {},
	booking.OutsideCancellationWindow: {},
}

// fieldKeys has the key of each field that only stored state can show to be wrong. A field without a
// key cannot occur in this channel.
var fieldKeys = map[booking.Field]property{
	booking.FieldSchedule:      {"scheduleId", notFound},                              // row C1
	booking.FieldZone:          {"zoneId", notFound},                                  // row C3
	booking.FieldResourceGroup: {"occupiedResources[n].reservationGroupId", notFound}, // row C4
	booking.FieldResourceZone:  {"occupiedResources[n].zoneId", notFound},             // row C5
	booking.FieldVisitor:       {"visitorId", notFound},
	booking.FieldGroup:         {"reservationGroupId", notFound},
	booking.FieldBlock:         {"occupiedTimeId", notFound},
	booking.FieldBlockTime:     {"startDateTimeUtc", notAvailable}, // row O11
	booking.FieldBooking:       {},
	booking.FieldLease:         {},
	booking.FieldMerchant:      {},
	booking.FieldService:       {},
	booking.FieldStart:         {},
	booking.FieldDuration:      {},
	booking.FieldStaff:         {"doctorId", notFound},               // of a query
	booking.FieldRange:         {"endDateTimeUtc", invalidTimeRange}, // of a query
	booking.FieldRoom:          {},
	booking.FieldVersion:       {"version", notAvailable}, // row C2a
}
