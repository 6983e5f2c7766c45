package catalogue

import (
	"encoding/json"
	"iter"
	"math"
	"sort"
	"strings"

	"holdfast/inventory"
)

const (
	mostDurationSec   = 366 * 24 * 60 * 60
	mostRecurrenceSec = 24 * 60 * 60
	leastRepeatSec    = 60        // else one row of a feed could make a slot for every second
	mostSpots         = 1_000_000 // of a slot
)

// feedRow is a row of an availability feed: a slot, or with a recurrence a day's
// worth of them.
type feedRow struct {
	slot     inventory.Published // the first
	everySec int64               // 0: there is but one
	untilSec int64               // the last start, if a multiple leads there
	taken    []stretch
}

// stretch is [beginSec, endSec) in Unix seconds.
type stretch struct{ beginSec, endSec int64 }

// slots are what the row publishes. A slot that overlaps a schedule exception
// is there and taken.
func (o feedRow) slots() iter.Seq[inventory.Published] {
	return func(yield func(inventory.Published) bool) {
		if o.everySec == 0 {
			yield(o.slot)
			return
		}
		slot := o.slot
		for ; slot.StartSec <= o.untilSec; slot.StartSec += o.everySec {
			slot.SpotsTotal, slot.SpotsOpen = 1, 1
			for _, t := range o.taken {
				if slot.StartSec < t.endSec && t.beginSec < slot.StartSec+slot.DurationSec {
					slot.SpotsOpen = 0
				}
			}
			if !yield(slot) {
				return
			}
		}
	}
}

// CheckAvailability reads the whole availability feed and returns how many
// slots it publishes, recurrences expanded, and how many rows it skipped
// because they are a clinic's: its slots come from its own catalogue. It
// returns Problems if anything is wrong; that includes a slot that is there
// twice, which Availability does not notice.
func (f Feed) CheckAvailability(known Known) (slots, skipped int, err error) {
	found := &findings{}
	seen := seenSlots{feed: f, rows: map[inventory.SlotKey]int32{}}
	skipped, err = f.feedRows(found, known, func(r rowPlace, p *place, o feedRow) error {
		seen.next(r)
		resource := o.slot.Resource()
		for slot := range o.slots() {
			slots++
			seen.add(p, inventory.SlotKey{Resource: resource.ID, StartSec: slot.StartSec})
		}
		return nil
	})
	if err == nil {
		err = found.err()
	}
	if err != nil {
		return 0, 0, err
	}
	return slots, skipped, nil
}

// Availability calls each with every slot that the feed publishes, in the
// feed's order, and returns how many rows it skipped because they are a
// clinic's. Call it after CheckAvailability: it stops at the first row that is
// wrong, with Problems, and at the first error of each, which it returns as it
// is.
func (f Feed) Availability(known Known, each func(inventory.Published) error) (skipped int, err error) {
	found := &findings{most: 1}
	skipped, err = f.feedRows(found, known, func(_ rowPlace, _ *place, o feedRow) error {
		for slot := range o.slots() {
			if err := each(slot); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		err = found.err()
	}
	return skipped, err
}

// rowPlace is where a row is, without the text of it: there are millions.
type rowPlace struct {
	file, group, row int
}

// feedRows walks the rows of all files. It calls each with those that are right
// and returns its first error as it is; what is wrong with the others goes to
// found.
func (f Feed) feedRows(found *findings, known Known, each func(rowPlace, *place, feedRow) error) (skipped int, err error) {
	if err := f.is(AvailabilityFeed); err != nil {
		return 0, err
	}
	var failed error
	at := rowPlace{file: -1}
	read := func(p *place) error {
		before := len(found.problems)
		o, clinic := readRow(p, known)
		switch {
		case found.full():
			return errEnough
		case len(found.problems) > before:
			return nil
		case clinic:
			skipped++
			return nil
		}
		if failed = each(at, p, o); failed != nil {
			return errEnough
		}
		return nil
	}
	err = f.documents(found, func(s *stream, n int, top *place, key string) (bool, error) {
		if key != "service_availability" {
			return false, nil
		}
		if n != at.file { // the list may come twice in a file; its second part is counted on
			at = rowPlace{file: n, group: -1}
		}
		return true, listed(top.at(key), s, func() error {
			at.group, at.row = at.group+1, -1
			group := top.item(key, at.group, nil)
			return groupRows(s, group, func(v any) error {
				at.row++
				return read(group.item("availability", at.row, v))
			})
		})
	})
	if failed != nil {
		err = failed
	}
	return skipped, err
}

// groupRows reads one element of service_availability and calls each with the
// rows in it.
func groupRows(s *stream, group *place, each func(any) error) error {
	ok, err := s.fields(func(key string) error {
		key = snake(key)
		if key == "availability" {
			return listed(group.at(key), s, func() error {
				v, err := s.row()
				if err != nil {
					return err
				}
				return each(v)
			})
		}
		if !strings.Contains(key, "_restrict") {
			return s.skip()
		}
		v, err := s.row()
		if err != nil {
			return err
		}
		// Some programs write a field that is not set as null, 0 or "".
		if v != nil && v != "" && v != "0" && v != json.Number("0") {
			group.holding(key, v).wrong("a daily feed must not restrict what it replaces; leave this out")
		}
		return nil
	})
	if !ok && err == nil {
		group.wrong("must be an object")
	}
	return err
}

// readRow reads a row. A clinic's is not looked at any further.
func readRow(p *place, known Known) (o feedRow, clinic bool) {
	if !p.need().fields() {
		return o, false
	}
	merchantID, clinic := readMerchantID(p, known)
	if clinic {
		return o, true
	}
	o.slot.MerchantID = merchantID
	o.slot.ServiceID = p.at("service_id").need().text()
	if merchantID != "" && o.slot.ServiceID != "" && !known.Service(merchantID, o.slot.ServiceID) {
		p.at("service_id").wrong("no such service")
	}
	o.slot.StartSec, _ = p.at("start_sec").need().moment()
	o.slot.DurationSec, _ = p.at("duration_sec").need().number(1, mostDurationSec)
	if r := p.at("resources"); r.fields() {
		o.slot.StaffID = r.at("staff_id").id()
		o.slot.RoomID = r.at("room_id").id()
		partySize, _ := r.at("party_size").number(0, mostSpots)
		o.slot.PartySize = int(partySize)
	}
	o.slot.Terms = readTerms(p, o.slot.StartSec)
	if p.at("recurrence").value == nil {
		readSpots(p, &o)
	} else {
		readRecurrence(p, &o)
	}
	return o, false
}

// confirmationModes are Google's words and ours.
var confirmationModes = map[string]string{
	"": "", "CONFIRMATION_MODE_UNSPECIFIED": "", "CONFIRMATION_MODE_SYNCHRONOUS": "SYNCHRONOUS", "CONFIRMATION_MODE_ASYNCHRONOUS": "ASYNCHRONOUS",
}

// readTerms reads who confirms a slot, and the moments and prices that override
// the service's for it.
func readTerms(p *place, startSec int64) (t inventory.Terms) {
	mode, known := confirmationModes[p.at("confirmation_mode").text()]
	if !known {
		p.at("confirmation_mode").wrong("must be CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS")
	}
	t.ConfirmationMode = mode
	// One of Google's samples has them among the resources.
	if c := readCharges(p).Over(readCharges(p.at("resources"))); c != (inventory.Charges{}) {
		t.Charges = &c
	}
	if r := p.at("scheduling_rule_overrides"); r.fields() {
		t.FirstBookableSec, _ = r.at("first_bookable_sec").moment()
		t.LastBookableSec, _ = r.at("last_bookable_sec").moment()
		t.LastCancellableSec, _ = r.at("last_online_cancellable_sec").moment()
		if startSec > 0 && t.LastBookableSec >= startSec {
			r.at("last_bookable_sec").wrong("must be before start_sec")
		}
	}
	return t
}

// readSpots reads what a slot has and what is left of it. Programs that write
// protobuf's JSON leave out a zero: no spots_open is sold out.
func readSpots(p *place, o *feedRow) {
	total, okTotal := p.at("spots_total").need().number(0, mostSpots)
	open, okOpen := p.at("spots_open").number(0, mostSpots)
	if okTotal && okOpen && open > total {
		p.at("spots_open").wrong("must not be above spots_total, and %d is above %d", open, total)
	}
	o.slot.SpotsTotal, o.slot.SpotsOpen = int(total), int(open)
	if len(p.at("schedule_exception").items()) > 0 {
		p.at("schedule_exception").wrong("only a recurrence has exceptions; spots_open says what a slot has left")
	}
}

// readRecurrence reads a row that stands for several slots with one spot each.
func readRecurrence(p *place, o *feedRow) {
	// 0 is how some programs write none.
	total, okTotal := p.at("spots_total").number(0, 1)
	open, okOpen := p.at("spots_open").number(0, 1)
	if okTotal && okOpen && total != open {
		p.at("spots_open").wrong("every slot of a recurrence has 1 spot; what is taken is a schedule_exception")
	}
	o.slot.SpotsTotal, o.slot.SpotsOpen = 1, 1

	r := p.at("recurrence")
	if !r.fields() {
		return
	}
	every, okEvery := r.at("repeat_every_sec").need().number(leastRepeatSec, math.MaxInt64)
	until, okUntil := r.at("repeat_until_sec").need().moment()
	if okEvery && okUntil && o.slot.StartSec > 0 {
		switch length := until - o.slot.StartSec; {
		case length < 0:
			r.at("repeat_until_sec").wrong("must not be before start_sec")
		case length > mostRecurrenceSec:
			r.at("repeat_until_sec").wrong("a recurrence lasts at most 24 hours")
		}
	}
	// Longer than a recurrence lasts is once, and no sum of it overflows.
	o.everySec, o.untilSec = min(every, mostRecurrenceSec+1), until

	for _, e := range p.at("schedule_exception").items() {
		if !e.need().fields() || !e.at("time_range").need().fields() {
			continue
		}
		begin, okBegin := e.at("time_range").at("begin_sec").need().moment()
		end, okEnd := e.at("time_range").at("end_sec").need().moment()
		if okBegin && okEnd && begin >= end {
			e.at("time_range").at("end_sec").wrong("must be after begin_sec")
		}
		o.taken = append(o.taken, stretch{begin, end})
	}
}

// seenSlots finds slots that are published twice, and where the first is. It
// keeps 32 bytes of each: a feed has millions.
type seenSlots struct {
	feed   Feed
	rows   map[inventory.SlotKey]int32 // the row of each slot, counted over all files
	row    int32                       // the one that is being read
	groups []seenGroup
}

// seenGroup says where a row was; those after it follow it in the feed too, up
// to the next seenGroup.
type seenGroup struct {
	row int32
	at  rowPlace
}

// next begins the next row.
func (s *seenSlots) next(at rowPlace) {
	s.row++
	if n := len(s.groups); n == 0 || s.groups[n-1].place(s.row) != at {
		s.groups = append(s.groups, seenGroup{s.row, at})
	}
}

// place is where a row is, if it is one of the group.
func (g seenGroup) place(row int32) rowPlace {
	at := g.at
	at.row += int(row - g.row)
	return at
}

// add notes a slot of the row, which is at p.
func (s *seenSlots) add(p *place, key inventory.SlotKey) {
	first, twice := s.rows[key]
	if !twice {
		s.rows[key] = s.row
		return
	}
	next := sort.Search(len(s.groups), func(i int) bool { return s.groups[i].row > first })
	at := s.groups[next-1].place(first)
	p.wrong("the same slot as %sservice_availability[%d].availability[%d] (merchant, service, start, duration and resources)",
		s.feed.prefix(s.feed.Files[at.file]), at.group, at.row)
}
