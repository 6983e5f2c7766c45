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

// silent are the members that an event does not repeat: what names the booking,
// and the guest's personal data, which is kept in one place only.
var silent = []string{
	"booking_id", "schedule_id", "merchant_id", "guest_id", "version", "created_by", "created_sec",
	"contact", "additional_request",
}

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
	if was, err = json.Marshal(old); err != nil {
		return nil, nil, fmt.Errorf("encode event: %w", err)
	}
	if is, err = json.Marshal(now); err != nil {
		return nil, nil, fmt.Errorf("encode event: %w", err)
	}
	return was, is, nil
}

func members(b Booking) (map[string]json.RawMessage, error) {
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
	if b.ID == uuid.Nil {
		clear(m) // there was no booking
	}
	return m, nil
}
