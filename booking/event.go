package booking

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"
)

// Event is one change of a booking: who did what when, and the members that
// changed as they were before and are after. What a guest told us about
// themselves is not in it.
type Event struct {
	Actor  Actor
	KeyID  string // of the clinic's key, if the desk used one
	Action Action
	AtSec  int64
	Before json.RawMessage // {} for a new booking
	After  json.RawMessage
}

// Action is what was done.
type Action string

// The actions. How a merchant settles a booking is an action too, see
// [Settlement].
const (
	Leased  Action = "LEASED"
	Lapsed  Action = "LAPSED"
	Created Action = "CREATED"
	Changed Action = "CHANGED"
	Closed  Action = "BLOCKED"
	Opened  Action = "UNBLOCKED"
	// Adjusted is what an import does to a visit whose doctor's time is held from
	// now on, or no longer.
	Adjusted Action = "ADJUSTED"
)

// silent are the members that an event does not repeat: what names the booking.
var silent = []string{"booking_id", "schedule_id", "merchant_id", "guest_id", "version", "created_by", "created_sec"}

// private are the members that may say something about the guest. An event tells
// that they changed, and not what they are: they are kept in one place only,
// from which they can be erased.
var private = []string{
	"contact", "additional_request", "funnel", "reservation_memo", "requested_procedures", "connected_channel",
}

// privateOfPayment are such members of the payment.
var privateOfPayment = []string{"payment_transaction_id", "user_payment_option_id"}

// withheld stands for what a private member is.
var withheld = json.RawMessage(`"withheld"`)

// difference is what changes from one state of a booking to the next, member
// by member. Both are "{}" when nothing does.
func difference(before, after Booking) (was, is json.RawMessage, err error) {
	old, err := members(before)
	if err != nil {
		return nil, nil, err
	}
	now, err := members(after)
	if err != nil {
		return nil, nil, err
	}
	for name, value := range now {
		if bytes.Equal(old[name], value) {
			delete(old, name)
			delete(now, name)
		}
	}
	for _, m := range []map[string]json.RawMessage{old, now} {
		if err := withhold(m); err != nil {
			return nil, nil, err
		}
	}
	if was, err = json.Marshal(old); err != nil {
		return nil, nil, fmt.Errorf("encode event: %w", err)
	}
	if is, err = json.Marshal(now); err != nil {
		return nil, nil, fmt.Errorf("encode event: %w", err)
	}
	return was, is, nil
}

// withhold takes out of an event's members what is private.
func withhold(m map[string]json.RawMessage) (err error) {
	hide := func(m map[string]json.RawMessage, names []string) {
		for _, name := range names {
			if m[name] != nil {
				m[name] = withheld
			}
		}
	}
	hide(m, private)
	if m["payment"] == nil {
		return nil
	}
	var payment map[string]json.RawMessage
	if err := json.Unmarshal(m["payment"], &payment); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	hide(payment, privateOfPayment)
	if m["payment"], err = json.Marshal(payment); err != nil {
		return fmt.Errorf("encode event: %w", err)
	}
	return nil
}

func members(b Booking) (map[string]json.RawMessage, error) {
	if b.ID == uuid.Nil {
		return map[string]json.RawMessage{}, nil // there was no booking
	}
	text, err := json.Marshal(b)
	if err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	m := map[string]json.RawMessage{}
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("encode event: %w", err)
	}
	for _, name := range silent {
		delete(m, name)
	}
	return m, nil
}
