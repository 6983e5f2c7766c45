package conform

import (
	"fmt"
	"slices"

	"holdfast/api/mapsbooking"
)

// lookupFaults is what is wrong with the answer to a lookup; each is "" if nothing is.
type lookupFaults struct {
	count   string // not one answer for each slot
	order   string // the answers are not in the order of the slots
	echo    string // not about the slots that were asked about
	written string // an answer that does not say available: true or false
}

// any returns the first of them.
func (f lookupFaults) any() string {
	for _, s := range []string{f.count, f.order, f.echo, f.written} {
		if s != "" {
			return s
		}
	}
	return ""
}

// judgeLookup compares an answer with the request.
func judgeLookup(asked []*mapsbooking.SlotTime, x *Exchange) (f lookupFaults) {
	resp, _ := x.Answer.(*mapsbooking.BatchAvailabilityLookupResponse)
	got := resp.GetSlotTimeAvailability()
	if len(got) != len(asked) {
		f.count = fmt.Sprintf("%s for %s", plural(len(got), "answer"), plural(len(asked), "slot"))
	}
	var want, have []string
	for _, a := range asked {
		want = append(want, slotKey(a))
	}
	for _, a := range got {
		have = append(have, slotKey(a.GetSlotTime()))
	}
	for i, key := range have {
		switch {
		case !slices.Contains(want, key):
			f.echo = fmt.Sprintf("answer %d is about %s, which nobody asked about", i+1, key)
			if i < len(want) {
				f.echo = fmt.Sprintf("answer %d is about %s instead of %s", i+1, key, want[i])
			}
		case f.count == "" && f.order == "" && key != want[i]:
			f.order = fmt.Sprintf("answer %d is about slot %d", i+1, slices.Index(want, key)+1)
		}
	}
	if f.echo != "" {
		f.order = "" // nobody can say
	}
	list, _ := member(x.Raw, "slot_time_availability").([]any)
	for i, entry := range list {
		if _, ok := member(entry, "available").(bool); !ok && f.written == "" {
			f.written = fmt.Sprintf("answer %d has no \"available\"", i+1)
		}
	}
	return f
}

// slotKey is what the answer must repeat of a slot.
func slotKey(s *mapsbooking.SlotTime) string {
	r := s.GetResourceIds()
	return fmt.Sprintf("{service_id %q, start_sec %d, duration_sec %d, staff_id %q, room_id %q, party_size %d, availability_tag %q}",
		s.GetServiceId(), s.GetStartSec(), s.GetDurationSec(), r.GetStaffId(), r.GetRoomId(), r.GetPartySize(), s.GetAvailabilityTag())
}

// answers returns what the lookup says about each slot, nil if nothing. It goes by the echoed slots, so that an
// answer that is too short or in another order is still useful, and by the position if the echo does not help.
func answers(asked []*mapsbooking.SlotTime, x *Exchange) []*bool {
	says := make([]*bool, len(asked))
	resp, ok := x.Answer.(*mapsbooking.BatchAvailabilityLookupResponse)
	if !ok {
		return says
	}
	got := resp.SlotTimeAvailability
	for i, a := range asked {
		at := slices.IndexFunc(got, func(g *mapsbooking.SlotTimeAvailability) bool { return slotKey(g.GetSlotTime()) == slotKey(a) })
		if at < 0 && len(got) == len(asked) {
			at = i
		}
		if at >= 0 {
			available := got[at].GetAvailable() // absent is false to a reader of protobuf's JSON
			says[i] = &available
		}
	}
	return says
}
