package conform

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"holdfast/api/mapsbooking"
	"holdfast/inventory"
	"holdfast/inventory/catalogue"
)

// Slot is a slot of the feed, with everything that a request about it contains.
type Slot struct {
	MerchantID, ServiceID string
	StartSec, DurationSec int64
	StaffID, RoomID       string
	PartySize             int32
	Tag                   string
	Mode                  mapsbooking.ConfirmationMode
	SpotsOpen             int
}

// String names the slot in a report.
func (s Slot) String() string {
	return fmt.Sprintf("%s/%s at %s", s.MerchantID, s.ServiceID, time.Unix(s.StartSec, 0).UTC().Format("2006-01-02T15:04:05Z"))
}

func (s Slot) resources() *mapsbooking.ResourceIds {
	if s.StaffID == "" && s.RoomID == "" && s.PartySize == 0 {
		return nil
	}
	r := &mapsbooking.ResourceIds{StaffId: s.StaffID, RoomId: s.RoomID}
	if s.PartySize != 0 {
		r.PartySize = &s.PartySize
	}
	return r
}

// time returns the slot for a lookup.
func (s Slot) time() *mapsbooking.SlotTime {
	return &mapsbooking.SlotTime{
		StartSec: s.StartSec, DurationSec: s.DurationSec, ServiceId: s.ServiceID,
		AvailabilityTag: s.Tag, ResourceIds: s.resources(), ConfirmationMode: s.Mode,
	}
}

// message returns the slot for a booking. Google's samples say SYNCHRONOUS even if the feed says nothing.
func (s Slot) message() *mapsbooking.Slot {
	mode := s.Mode
	if mode == mapsbooking.ConfirmationMode_CONFIRMATION_MODE_UNSPECIFIED {
		mode = mapsbooking.ConfirmationMode_CONFIRMATION_MODE_SYNCHRONOUS
	}
	return &mapsbooking.Slot{
		MerchantId: s.MerchantID, ServiceId: s.ServiceID, StartSec: &s.StartSec, DurationSec: &s.DurationSec,
		AvailabilityTag: s.Tag, Resources: s.resources(), ConfirmationMode: mode,
	}
}

// meets reports whether a guest cannot be at both.
func (s Slot) meets(o Slot) bool {
	return s.StartSec < o.StartSec+o.DurationSec && o.StartSec < s.StartSec+s.DurationSec
}

// Feed is what a rehearsal can use of an availability feed.
type Feed struct {
	Slots    int            `json:"slots"`    // in the feed, recurrences expanded
	Chosen   int            `json:"chosen"`   // len(Usable)
	Unusable map[string]int `json:"unusable"` // why, and how many
	Problems []string       `json:"problems"` // of the feed itself
	Usable   []Slot         `json:"-"`        // some of the bookable ones, of a few merchants

	generatedSec int64
}

// A rehearsal uses only some merchants of a large feed, and some slots of each.
const (
	mostMerchants = 8
	mostSlots     = 300 // of a merchant, with one spot; and as many with several
	mostSpots     = 20  // slots with more are not filled
)

// leastNotice is how far ahead a slot must be so that it can certainly still be booked and cancelled when its
// turn comes.
const leastNotice = time.Hour

// everything lets the catalogue check an availability feed by itself.
type everything struct{}

func (everything) Merchant(string) (inventory.MerchantKind, bool) {
	return inventory.MerchantFeed, true
}
func (everything) Service(string, string) bool { return true }

// ReadFeed reads the shards of an availability feed, plain or gzip. It records what is wrong with rows, and uses
// the rows that are right.
func ReadFeed(ctx context.Context, paths []string, now time.Time) (*Feed, error) {
	f := &Feed{Unusable: map[string]int{}, Problems: []string{}}
	files := make([]*catalogue.File, len(paths))
	for i, path := range paths {
		file, err := catalogue.Open(ctx, path)
		if err != nil {
			return nil, err
		}
		if file.Kind != catalogue.AvailabilityFeed {
			return nil, fmt.Errorf("%s: is a %s; an availability feed is needed", path, file.Kind)
		}
		f.generatedSec = max(f.generatedSec, file.Meta.GenerationSec)
		files[i] = file
	}
	feeds, err := catalogue.Feeds(files)
	f.problem(err)
	for _, feed := range feeds {
		_, err := feed.CheckAvailability(ctx, everything{}, nil)
		f.problem(err)
	}

	// Read once to choose merchants, and once more to take their slots.
	counts := map[string][2]int{} // slots with one spot and with several, by merchant
	err = eachSlot(paths, func(r row, s Slot) {
		f.Slots++
		if why := r.unusable(s, now); why != "" {
			f.Unusable[why]++
			return
		}
		n := counts[s.MerchantID]
		n[class(s)]++
		counts[s.MerchantID] = n
	})
	if err != nil {
		return nil, err
	}
	samples := map[string]*[2][]Slot{}
	for _, id := range useful(counts) {
		samples[id] = &[2][]Slot{}
	}
	err = eachSlot(paths, func(r row, s Slot) {
		if sample := samples[s.MerchantID]; sample != nil && r.unusable(s, now) == "" {
			list := &sample[class(s)]
			if *list = append(*list, s); len(*list) >= 4*mostSlots {
				*list = spread(*list)
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for _, id := range slices.Sorted(maps.Keys(samples)) {
		for _, list := range samples[id] {
			f.Usable = append(f.Usable, spread(list)...)
		}
	}
	f.Chosen = len(f.Usable)
	return f, nil
}

// class is 0 for a slot with one spot and 1 for one with several.
func class(s Slot) int { return min(s.SpotsOpen, 2) - 1 }

// useful returns the most useful merchants: those with both classes of slots first, then those with most slots.
func useful(counts map[string][2]int) []string {
	ids := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		m, n := counts[a], counts[b]
		return cmp.Or(
			-cmp.Compare(min(m[0], m[1], 3), min(n[0], n[1], 3)),
			-cmp.Compare(m[0]+m[1], n[0]+n[1]),
			cmp.Compare(a, b))
	})
	return ids[:min(len(ids), mostMerchants)]
}

// spread picks slots from the whole list, the same ones each time.
func spread(list []Slot) []Slot {
	slices.SortFunc(list, func(a, b Slot) int { return cmp.Compare(scatter(a), scatter(b)) })
	return list[:min(len(list), mostSlots)]
}

func scatter(s Slot) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q %d %d %q %q %d", s.MerchantID, s.ServiceID, s.StartSec, s.DurationSec, s.StaffID, s.RoomID, s.PartySize) //nolint:errcheck // a hash takes everything
	return h.Sum64()
}

// problem records the first problems of the feed.
func (f *Feed) problem(err error) {
	if err == nil {
		return
	}
	lines := []string{err.Error()}
	var problems catalogue.Problems
	if errors.As(err, &problems) {
		lines = nil
		for _, p := range problems {
			lines = append(lines, p.String())
		}
	}
	const most = 10
	if over := len(lines) - most; over > 0 {
		lines = append(lines[:most], fmt.Sprintf("… and %d more", over))
	}
	f.Problems = append(f.Problems, lines...)
}

// notes are what to know about the feed before reading the rest.
func (f *Feed) notes(now time.Time) []string {
	notes := []string{}
	for _, p := range f.Problems {
		notes = append(notes, "the feed is not right: "+p)
	}
	if age := now.Sub(time.Unix(f.generatedSec, 0)); age > 24*time.Hour {
		notes = append(notes, fmt.Sprintf("the feed is %.0f hours old: what was booked or freed since then looks like a fault of the server", age.Hours()))
	}
	return notes
}

// none explains why there is no slot.
func (f *Feed) none() string {
	if len(f.Unusable) == 0 {
		return fmt.Sprintf("it has %s", plural(f.Slots, "slot"))
	}
	var why []string
	for _, reason := range slices.Sorted(maps.Keys(f.Unusable)) {
		why = append(why, fmt.Sprintf("%d %s", f.Unusable[reason], reason))
	}
	return fmt.Sprintf("of its %s %s", plural(f.Slots, "slot"), strings.Join(why, ", "))
}

// row is a row of the feed as it is written.
type row map[string]any

// unusable returns why we cannot use a slot, or "".
func (r row) unusable(s Slot, now time.Time) string {
	rules, nowSec := r.object("scheduling_rule_overrides"), now.Unix()
	ahead := now.Add(leastNotice).Unix()
	last, cancel := rules.number("last_bookable_sec"), rules.number("last_online_cancellable_sec")
	switch {
	case s.MerchantID == "" || s.ServiceID == "" || s.DurationSec <= 0:
		return "are incomplete"
	case s.StartSec <= nowSec:
		return "are past"
	case s.StartSec < ahead:
		return "begin within the hour"
	case s.SpotsOpen <= 0:
		return "are sold out"
	case rules.number("first_bookable_sec") > nowSec, last > 0 && last < ahead:
		return "cannot be booked at this time"
	case cancel > 0 && cancel < ahead:
		return "could not be cancelled any more"
	case r.has("prepayment"), r.has("deposit"), r.has("no_show_fee"), strings.HasSuffix(r.text("require_credit_card"), "_ALWAYS"):
		return "ask for a payment or a card"
	case r.has("ticket_type_id"), r.has("linkout_required_reason"):
		return "are sold as tickets or on another site"
	}
	return ""
}

// slots yields what the row publishes: one slot, or several with a recurrence.
func (r row) slots(yield func(Slot)) {
	resources := r.object("resources")
	s := Slot{
		MerchantID: r.text("merchant_id"), ServiceID: r.text("service_id"),
		StartSec: r.number("start_sec"), DurationSec: r.number("duration_sec"),
		StaffID: resources.text("staff_id"), RoomID: resources.text("room_id"),
		PartySize: int32(max(0, min(resources.number("party_size"), 10000))),
		Tag:       r.text("availability_tag"), SpotsOpen: int(max(0, min(r.number("spots_open"), 1<<30))),
		Mode: mapsbooking.ConfirmationMode(mapsbooking.ConfirmationMode_value[r.text("confirmation_mode")]),
	}
	again := r.object("recurrence")
	every, until := again.number("repeat_every_sec"), again.number("repeat_until_sec")
	if every < 60 || until-s.StartSec > 24*60*60 {
		if len(again) == 0 {
			yield(s)
		}
		return
	}
	taken, _ := r.get("schedule_exception").([]any)
	for ; s.StartSec <= until; s.StartSec += every {
		s.SpotsOpen = 1
		for _, t := range taken {
			t, _ := t.(map[string]any)
			span := row(t).object("time_range")
			if s.StartSec < span.number("end_sec") && span.number("begin_sec") < s.StartSec+s.DurationSec {
				s.SpotsOpen = 0
			}
		}
		yield(s)
	}
}

func (r row) get(name string) any {
	if v, ok := r[name]; ok {
		return v
	}
	return r[camel(name)]
}

func (r row) object(name string) row {
	o, _ := r.get(name).(map[string]any)
	return o
}

func (r row) text(name string) string {
	switch v := r.get(name).(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return ""
}

func (r row) number(name string) int64 {
	n, err := strconv.ParseInt(r.text(name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// has reports whether a member says anything.
func (r row) has(name string) bool {
	switch v := r.get(name).(type) {
	case nil:
		return false
	case string:
		return v != "" && !strings.HasSuffix(v, "_UNSPECIFIED")
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	}
	return true
}

// eachSlot walks the feed row by row, because it may be larger than memory.
func eachSlot(paths []string, each func(row, Slot)) error {
	for _, path := range paths {
		err := eachRow(path, func(r row) { r.slots(func(s Slot) { each(r, s) }) })
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
	}
	return nil
}

func eachRow(path string, each func(row)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	in := bufio.NewReaderSize(file, 64<<10)
	if magic, _ := in.Peek(2); string(magic) == "\x1f\x8b" {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	if mark, _ := in.Peek(3); string(mark) == "\xef\xbb\xbf" {
		if _, err := in.Discard(3); err != nil {
			return err
		}
	}
	d := json.NewDecoder(in)
	d.UseNumber()
	return members(d, func(name string) error {
		if name != "service_availability" && name != "serviceAvailability" {
			return skip(d)
		}
		return elements(d, func() error {
			return members(d, func(name string) error {
				if name != "availability" {
					return skip(d)
				}
				return elements(d, func() error {
					var r any
					if err := d.Decode(&r); err != nil {
						return err
					}
					if r, ok := r.(map[string]any); ok {
						each(r)
					}
					return nil
				})
			})
		})
	})
}

// members reads an object; each reads the value of a member.
func members(d *json.Decoder, each func(name string) error) error {
	return between(d, '{', func() error {
		name, err := d.Token()
		if err != nil {
			return err
		}
		return each(fmt.Sprint(name))
	})
}

// elements reads a list; each reads an element.
func elements(d *json.Decoder, each func() error) error { return between(d, '[', each) }

func between(d *json.Decoder, opens json.Delim, each func() error) error {
	t, err := d.Token()
	if err != nil || t == nil { // null
		return err
	}
	if t != opens {
		return fmt.Errorf("at byte %d: expected %v", d.InputOffset(), opens)
	}
	for d.More() {
		if err := each(); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func skip(d *json.Decoder) error {
	var nothing json.RawMessage
	return d.Decode(&nothing)
}
