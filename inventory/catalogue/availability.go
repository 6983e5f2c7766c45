package catalogue

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"math"
	"strings"

	"github.com/google/uuid"

	"holdfast/inventory"
)

const (
	mostDurationSec   = 366 * 24 * 60 * 60
	mostRecurrenceSec = 24 * 60 * 60
	leastRepeatSec    = 60        // otherwise one row of a feed could make a slot for every second
	mostSpots         = 1_000_000 // of a slot
)

// feedRow is a row of an availability feed: one slot, or with a recurrence the slots of a day.
type feedRow struct {
	slot     inventory.Published // the first
	everySec int64               // 0: there is only one
	untilSec int64               // no slot starts later
	taken    []stretch
}

// stretch is [beginSec, endSec) in Unix seconds.
type stretch struct{ beginSec, endSec int64 }

// slots yields what the row publishes. A slot that overlaps a schedule exception exists and is taken.
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

// mostSlots is how many slots one feed may publish, recurrences expanded. While we check it, each takes 54 bytes
// on disk.
const mostSlots = 50_000_000

// CheckAvailability reads the whole availability feed, recurrences expanded. It skips rows of clinics, whose slots
// come from their own catalogues. Once it has read all rows, it calls each, unless that is nil, with the slots in
// order.
//
// It returns Problems if anything is wrong, including a slot that occurs twice, which Availability does not notice.
// It returns an error of each unchanged.
func (f Feed) CheckAvailability(ctx context.Context, known Known, each func(inventory.SlotKey) error) (r Report, err error) {
	var s sorter
	defer func() { err = errors.Join(err, s.close()) }()
	found := &findings{}
	var record []byte
	r.Skipped, err = f.feedRows(ctx, found, known, func(at rowPlace, p *place, o feedRow) error {
		terms, err := digestOf(o.slot.Terms)
		if err != nil {
			return err
		}
		resource := o.slot.Resource()
		for slot := range o.slots() {
			if r.Rows++; r.Rows > mostSlots {
				p.wrong("more than %d slots", mostSlots)
				return errEnough
			}
			record = binary.BigEndian.AppendUint64(append(record[:0], resource.ID[:]...), uint64(slot.StartSec)) //nolint:gosec // positive
			record = at.append(record)
			record = binary.BigEndian.AppendUint32(record, uint32(slot.SpotsTotal)) //nolint:gosec // at most mostSpots
			record = binary.BigEndian.AppendUint32(record, uint32(slot.SpotsOpen))  //nolint:gosec // at most mostSpots
			if err := s.add(append(record, terms...)); err != nil {
				return err
			}
		}
		return nil
	})
	r.Warnings = found.warnings()
	if err != nil {
		return r, cmp.Or(notEnough(err), found.err())
	}
	same := func(_ []byte, second, first rowPlace) {
		f.row("service_availability", second, found).wrong("the same slot as %s (merchant, service, start, duration and resources)",
			f.row("service_availability", first, found).path())
	}
	r.Digest, err = f.sorted(ctx, found, &s, func([]byte) int { return slotKeySize }, same, func(key, _ []byte) error {
		if each == nil {
			return nil
		}
		return each(inventory.SlotKey{Resource: uuid.UUID(key), StartSec: int64(binary.BigEndian.Uint64(key[16:]))}) //nolint:gosec // it was an int64
	})
	return r, err
}

// digestOf returns a digest that identifies terms; without terms it is empty.
func digestOf(t inventory.Terms) ([]byte, error) {
	if t == (inventory.Terms{}) {
		return nil, nil
	}
	text, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return sum[:], nil
}

// slotKeySize is how many bytes a slot's resource and start take.
const slotKeySize = 16 + 8

// Availability calls each with every slot that the feed publishes, in the feed's order, and returns how many rows it
// skipped because they belong to clinics. Call it after CheckAvailability: it stops with Problems at the first wrong
// row, and at the first error of each, which it returns unchanged.
func (f Feed) Availability(ctx context.Context, known Known, each func(inventory.Published) error) (skipped int, err error) {
	found := &findings{most: 1}
	skipped, err = f.feedRows(ctx, found, known, func(_ rowPlace, _ *place, o feedRow) error {
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

// feedRows walks the rows of all files. It calls each with the rows that are right, and returns its first error
// unchanged; what is wrong with the others goes to found.
func (f Feed) feedRows(ctx context.Context, found *findings, known Known, each func(rowPlace, *place, feedRow) error) (skipped int, err error) {
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
	err = f.documents(ctx, found, func(s *stream, n int, top *place, key string) (bool, error) {
		if key != "service_availability" {
			return false, nil
		}
		if n != at.file { // the list may occur twice in a file, so keep counting
			at = rowPlace{file: n, group: -1}
		}
		return true, listed(top.at(key), s, func() error {
			at.group, at.row = at.group+1, -1
			group := top.item(key, at.group, nil)
			err := groupRows(s, group, func(v any) error {
				at.row++
				return read(group.item("availability", at.row, v))
			})
			if err == nil && found.full() {
				return errEnough
			}
			return err
		})
	})
	if failed != nil {
		err = failed
	}
	return skipped, err
}

// groupRows reads one element of service_availability and calls each with its rows.
func groupRows(s *stream, group *place, each func(any) error) error {
	rows := false
	next, err := s.fields(func(key string) error {
		key = snake(key)
		if key == "availability" {
			rows = true
			return listed(group.at(key), s, func() error {
				v, err := s.row()
				if err != nil {
					return err
				}
				return each(v)
			})
		}
		group.likelyKey(key, groupMembers)
		if !strings.Contains(key, "_restrict") {
			return s.skip()
		}
		v, err := s.row()
		if err != nil {
			return err
		}
		// Some programs write an unset field as null, 0 or "".
		if v != nil && v != "" && v != "0" && v != json.Number("0") {
			group.holding(key, v).wrong("a daily feed must not restrict what it replaces; leave this out")
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case next == nothing:
		group.wrong("required")
	case next != wanted:
		group.wrong("must be an object")
	case !rows:
		group.at("availability").wrong("required: the rows stand in it")
	}
	return nil
}

// readRow reads a row. It does not look any further at a clinic's row.
func readRow(p *place, known Known) (o feedRow, clinic bool) {
	if !p.need().fields() {
		return o, false
	}
	merchantID, clinic := readMerchantID(p, known)
	if clinic {
		return o, true
	}
	p.likely(rowMembers)
	o.slot.MerchantID = merchantID
	o.slot.ServiceID = p.at("service_id").need().text()
	if merchantID != "" && o.slot.ServiceID != "" && !known.Service(merchantID, o.slot.ServiceID) {
		p.at("service_id").wrong("no such service")
	}
	o.slot.StartSec, _ = p.at("start_sec").need().moment()
	o.slot.DurationSec, _ = p.at("duration_sec").need().number(1, mostDurationSec)
	if r := p.at("resources"); r.fields() {
		r.likely(resourcesMembers)
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

// confirmationModes maps Google's words to ours.
var confirmationModes = map[string]string{
	"": "", "CONFIRMATION_MODE_UNSPECIFIED": "", "CONFIRMATION_MODE_SYNCHRONOUS": "SYNCHRONOUS", "CONFIRMATION_MODE_ASYNCHRONOUS": "ASYNCHRONOUS",
}

// readTerms reads who confirms a slot, and its times and prices that override the service's.
func readTerms(p *place, startSec int64) (t inventory.Terms) {
	mode, known := confirmationModes[p.at("confirmation_mode").text()]
	if !known {
		p.at("confirmation_mode").wrong("must be CONFIRMATION_MODE_SYNCHRONOUS or CONFIRMATION_MODE_ASYNCHRONOUS")
	}
	t.ConfirmationMode = mode
	// One of Google's samples has the charges among the resources.
	if c := readCharges(p).Over(readCharges(p.at("resources"))); c != (inventory.Charges{}) {
		t.Charges = &c
	}
	if r := p.at("scheduling_rule_overrides"); r.fields() {
		r.likely(overridesMembers)
		t.FirstBookableSec, _ = r.at("first_bookable_sec").moment()
		t.LastBookableSec, _ = r.at("last_bookable_sec").moment()
		t.LastCancellableSec, _ = r.at("last_online_cancellable_sec").moment()
		if startSec > 0 && t.LastBookableSec >= startSec {
			r.at("last_bookable_sec").wrong("must be before start_sec")
		}
	}
	return t
}

// readSpots reads how many spots a slot has, and how many are left. Programs that write protobuf's JSON leave out
// zeros, so a missing spots_open means sold out.
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

// readRecurrence reads a row for several slots with one spot each.
func readRecurrence(p *place, o *feedRow) {
	// Some programs write 0 for none.
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
	r.likely(recurrenceMembers)
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
	// An interval longer than a recurrence may last means once, and no sum with it overflows.
	o.everySec, o.untilSec = min(every, mostRecurrenceSec+1), until

	for _, e := range p.at("schedule_exception").items() {
		if !e.need().fields() || !e.at("time_range").need().fields() {
			continue
		}
		e.likely(exceptionMembers)
		e.at("time_range").likely(rangeMembers)
		begin, okBegin := e.at("time_range").at("begin_sec").need().moment()
		end, okEnd := e.at("time_range").at("end_sec").need().moment()
		if okBegin && okEnd && begin >= end {
			e.at("time_range").at("end_sec").wrong("must be after begin_sec")
		}
		o.taken = append(o.taken, stretch{begin, end})
	}
}
