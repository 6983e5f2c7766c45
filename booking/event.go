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

// Event is one change of a booking: who did what when, and the changed members before and after.
// It does not contain what guests told us about themselves.
type Event struct {
	By
	Action Action
	AtSec  int64
	Before json.RawMessage // {} for a new booking
	After  json.RawMessage
}

// Action is what somebody did.
type Action string

// The actions. Each [Settlement] is an action, too.
const (
	Leased  Action = "LEASED"
	Lapsed  Action = "LAPSED"
	Created Action = "CREATED"
	Changed Action = "CHANGED"
	Closed  Action = "BLOCKED"
	Opened  Action = "UNBLOCKED"
	// Adjusted is what an import does to a visit that begins to hold its doctor's time, or
	// stops holding it.
	Adjusted Action = "ADJUSTED"
)

// silent are the members that an event leaves out, because they name the booking.
var silent = []string{"booking_id", "schedule_id", "merchant_id", "guest_id", "version", "created_by", "created_sec"}

// private are the members that may say something about the guest. An event says that they changed,
// but not what they are, so that they are stored, and erased, in one place only.
var private = []string{
	"contact", "additional_request", "funnel", "reservation_memo", "requested_procedures", "connected_channel",
}

// withheld replaces the value of a private member.
var withheld = json.RawMessage(`"withheld"`)

// member is a booking's member, as an event shows it.
type member struct {
	name    string
	field   int
	omitted bool // if it is empty
	private bool
}

// eventMembers are the members that an event shows, by name.
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

// difference returns the members that differ between two versions of a booking. Both results are
// "{}" if none does; was is also "{}" if there was no booking.
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

// appendTo appends the member to an unfinished JSON object, unless it is empty and omitted then.
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

// withheld is the payment without its private members.
func (p Payment) withheld() Payment {
	for _, private := range []*string{&p.TransactionID, &p.UserPaymentOptionID} {
		if *private != "" {
			*private = "withheld"
		}
	}
	return p
}
