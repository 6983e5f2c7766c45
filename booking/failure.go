package booking

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Cause is why a well-formed request is refused. The list is closed, and each channel has one map
// from it to its own words (causes in the refusal.go of packages google and clinic).
type Cause int

// The causes.
const (
	SlotUnavailable           Cause = iota + 1 // full, closed, past, too soon
	SlotAlreadyBookedByUser                    // the guest has this very slot, for another party size
	OverlappingReservation                     // the guest has another visit at that time
	LeaseExpired                               // the lease can no longer be used
	OfferUnavailable                           // the offer cannot be used
	PaymentError                               // the payment cannot be taken
	NotReserved                                // the visit can no longer be changed
	AlreadyCanceled                            // the booking has been canceled
	OutsideCancellationWindow                  // too late to cancel or change it online
	UserOverBookingLimit                       // the guest has as many bookings ahead as one may have
	BannedUser                                 // the merchant takes no bookings from the guest
	UnsupportedName                            // the merchant cannot take such a name
	UnsupportedPhoneNumber                     // nor such a number
	PaymentOptionNotValid                      // the pack or membership cannot be used
	endOfCauses
)

// Causes are all causes, for the tests of the channels' maps.
func Causes() []Cause {
	var all []Cause
	for c := SlotUnavailable; c < endOfCauses; c++ {
		all = append(all, c)
	}
	return all
}

func (c Cause) String() string {
	switch c {
	case SlotUnavailable:
		return "slot unavailable"
	case SlotAlreadyBookedByUser:
		return "slot already booked by user"
	case OverlappingReservation:
		return "overlapping reservation"
	case LeaseExpired:
		return "lease expired"
	case OfferUnavailable:
		return "offer unavailable"
	case PaymentError:
		return "payment error"
	case NotReserved:
		return "not reserved"
	case AlreadyCanceled:
		return "already canceled"
	case OutsideCancellationWindow:
		return "outside the cancellation window"
	case UserOverBookingLimit:
		return "user over booking limit"
	case BannedUser:
		return "banned user"
	case UnsupportedName:
		return "unsupported name"
	case UnsupportedPhoneNumber:
		return "unsupported phone number"
	case PaymentOptionNotValid:
		return "payment option not valid"
	}
	return fmt.Sprintf("cause %d", int(c))
}

// Failure is a business "no". It is an error only so that returning it undoes
// the transaction.
type Failure struct {
	Cause    Cause
	Resource int    // the n-th occupied resource, or -1
	Detail   string // for people who debug; no personal data

	// What might make room, see [Service.replan]: the slots that are full, and the same
	// guest's leases on them.
	full []inventory.SlotKey
	own  []uuid.UUID
}

func (f *Failure) Error() string { return f.Cause.String() + ": " + f.Detail }

func refuse(c Cause, detail string) *Failure { return &Failure{Cause: c, Resource: -1, Detail: detail} }

// Field is a part of a request that only stored state can show to be wrong. Each channel has one
// map from it to its own spelling.
type Field int

// The fields.
const (
	FieldMerchant Field = iota + 1
	FieldService
	FieldStart    // off the grid, or never published
	FieldDuration // not the service's
	FieldStaff
	FieldRoom
	FieldBooking
	FieldLease // not the lease of this slot
	FieldSchedule
	FieldZone          // where the visitor checks in
	FieldResourceGroup // of the n-th occupied resource
	FieldResourceZone  // of the n-th occupied resource
	FieldVisitor
	FieldGroup // of a block
	FieldBlock
	FieldBlockTime // it is blocked too often
	FieldRange     // of time: it has too many slots
	FieldVersion   // of a visit: not its current one
	endOfFields
)

// Fields are all fields, for the tests of the channels' maps.
func Fields() []Field {
	var all []Field
	for f := FieldMerchant; f < endOfFields; f++ {
		all = append(all, f)
	}
	return all
}

// Invalid is a request that names something we have never heard of.
type Invalid struct {
	Field    Field
	Resource int // the n-th occupied resource, or -1
	Detail   string
}

func (i *Invalid) Error() string { return i.Detail }

func unknown(f Field, detail string) *Invalid {
	return &Invalid{Field: f, Resource: -1, Detail: detail}
}

// Acknowledges reports whether an operation that ends with err, which may be nil, may reveal to its
// caller what an earlier operation did: that it is so already, that a booking has been canceled,
// that the guest has another visit. Such an answer must wait until the earlier operation is
// durable, or it would be a promise that a failover breaks (docs/reliability.md, P19).
//
// A full slot promises nothing: at worst a guest is turned away without need. An operation that is
// planned again or fails reveals nothing.
func Acknowledges(err error) bool {
	var failure *Failure
	var invalid *Invalid
	switch {
	case err == nil:
		return true
	case errors.As(err, &failure):
		return failure.Cause != SlotUnavailable
	}
	return errors.As(err, &invalid) // perhaps a block that is gone, which looks like one that never was
}

// Errors of a [Store].
var (
	ErrNotFound = errors.New("not found")
	// ErrStale: the merchant's catalogue, or the booking, has changed since the operation was
	// planned. Nothing was done; plan again.
	ErrStale = errors.New("planned with what has changed since")
	// ErrUnavailable: it could not be done now, or nobody knows whether it was done. The caller
	// may send the same request again, and must not be told that it was refused.
	ErrUnavailable = errors.New("temporarily unavailable")
)
