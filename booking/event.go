package booking

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Event is one change of a booking: who did what when, and the members that
// changed as they were before and are after. What a guest told us about
// themselves is not in it.
type Event struct {
	By
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

// withheld stands for what a private member is.
var withheld = json.RawMessage(`"withheld"`)

// member is one of a booking's members, as an event has it.
type member struct {
	name    string
	field   int
	omitted bool // when it is empty
	private bool
}

// eventMembers are the members that an event has, by name.
var eventMembers = func() []member {
	var all []member
	booking := reflect.TypeFor[Booking]()
	for i := range booking.NumField() {
		name, omitted := strings.CutSuffix(booking.Field(i).Tag.Get("json"), ",omitempty")
		if !slices.Contains(silent, name) {
			all = append(all, member{name: name, field: i, omitted: omitted, private: slices.Contains(private, name)})
		}
	}
	slices.SortFunc(all, func(a, b member) int { return strings.Compare(a.name, b.name) })
	return all
}()

// difference is what changes from one state of a booking to the next, member
// by member. Both are "{}" when nothing does; was is, too, if there was no booking.
func difference(before, after Booking) (was, is json.RawMessage, err error) {
	old, now := reflect.ValueOf(before), reflect.ValueOf(after)
	was, is = json.RawMessage{'{'}, json.RawMessage{'{'}
	for _, m := range eventMembers {
		old, now := old.Field(m.field), now.Field(m.field)
		if before.ID != uuid.Nil {
			if reflect.DeepEqual(old.Interface(), now.Interface()) {
				continue
			}
			if was, err = m.appendTo(was, old); err != nil {
				return nil, nil, err
			}
		}
		if is, err = m.appendTo(is, now); err != nil {
			return nil, nil, err
		}
	}
	return append(was, '}'), append(is, '}'), nil
}

// appendTo adds the member to an object that is being written, unless there is
// nothing to say.
func (m member) appendTo(object json.RawMessage, v reflect.Value) (json.RawMessage, error) {
	if m.omitted && (v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0) {
		return object, nil
	}
	text := withheld
	if !m.private {
		said := v.Interface()
		if payment, ok := said.(*Payment); ok {
			said = payment.withheld()
		}
		var err error
		if text, err = json.Marshal(said); err != nil {
			return nil, fmt.Errorf("encode event: %w", err)
		}
	}
	if len(object) > 1 {
		object = append(object, ',')
	}
	object = strconv.AppendQuote(object, m.name)
	return append(append(object, ':'), text...), nil
}

// withheld is the payment without what is private.
func (p Payment) withheld() Payment {
	for _, private := range []*string{&p.TransactionID, &p.UserPaymentOptionID} {
		if *private != "" {
			*private = "withheld"
		}
	}
	return p
}
