package inventory

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
	"strconv"

	"github.com/google/uuid"
)

// Share is what slots of several resources have in common: a person, a room, an area with tables, a chair, or a
// clinic's zone. What is sold of one of them counts for the others at every moment at which they overlap
// (docs/limits-of-feeds.md).
//
// A share has no capacity, and nobody holds any of it. Whoever takes shared room locks the share's days, and then
// looks at its current rows.
type Share struct {
	ID        uuid.UUID // of the share's resource
	Kind      ShareKind
	PartySize int // of the slot, in an area: the size of its tables
	Capacity  int // of a zone, in spots at a time
}

// ShareKind says what is shared, and so how it is counted.
type ShareKind string

// The kinds of share.
const (
	SharePerson ShareKind = "person" // one row at a time, but all its spots
	ShareRoom   ShareKind = "room"   // never more spots at a time than a row has
	ShareArea   ShareKind = "area"   // the same for tables, and a party counts at every smaller size as well
	ShareChair  ShareKind = "chair"  // of a service without resources: rows that have one spot
	ShareHouse  ShareKind = "house"  // all rows without resources, if the merchant says so
	ShareZone   ShareKind = "zone"   // a clinic's zone with a capacity of its own, over all groups
)

// shareSlotSeconds is the length of a share's slots, which serve only as locks. Most visits lock one.
const shareSlotSeconds = 24 * 60 * 60

// shareResource returns the resource whose slots are a share's locks.
func shareResource(merchantID string, kind ShareKind, of ...string) Resource {
	ref := string(kind)
	for _, part := range of {
		ref += " " + strconv.Quote(part)
	}
	return newResource(Resource{MerchantID: merchantID, Kind: KindShare, Ref: ref, SlotSeconds: shareSlotSeconds})
}

func newShare(merchantID string, kind ShareKind, partySize int, of ...string) (Share, Resource) {
	r := shareResource(merchantID, kind, of...)
	return Share{ID: r.ID, Kind: kind, PartySize: partySize}, r
}

// Sharing says which published rows of a merchant share what they do not name.
type Sharing string

// The ways in which a merchant's rows can share.
const (
	SharingDefault     Sharing = ""            // staff, rooms, areas, and chairs
	SharingShared      Sharing = "shared"      // also rows without resources, as if the merchant were one room
	SharingIndependent Sharing = "independent" // nothing: each row stands alone
)

// Counts reports whether a merchant that shares like this has shares of that kind.
func (s Sharing) Counts(kind ShareKind) bool {
	switch {
	case kind == ShareZone:
		return true
	case s == SharingIndependent:
		return false
	case kind == ShareHouse:
		return s == SharingShared
	case kind == ShareChair:
		return s == SharingDefault
	}
	return true
}

// MemberOf returns the shares to which rows of the published resource may belong, with their resources, whatever
// the merchant has said.
func (p Published) MemberOf() (shares []Share, resources []Resource) {
	add := func(kind ShareKind, partySize int, of ...string) {
		s, r := newShare(p.MerchantID, kind, partySize, of...)
		shares, resources = append(shares, s), append(resources, r)
	}
	if p.StaffID != "" {
		add(SharePerson, 0, p.StaffID)
	}
	switch {
	case p.PartySize > 0:
		add(ShareArea, p.PartySize, p.ServiceID, p.RoomID)
	case p.RoomID != "":
		add(ShareRoom, 0, p.RoomID)
	case p.StaffID == "":
		add(ShareChair, 0, p.ServiceID)
		add(ShareHouse, 0)
	}
	return shares, resources
}

// Shares returns the shares of the merchant's row. It looks for chairs only if the merchant has any.
func (m *Merchant) Shares(p Published) []Share {
	shares, _ := p.MemberOf()
	return slices.DeleteFunc(shares, func(s Share) bool {
		return !m.Sharing.Counts(s.Kind) || s.Kind == ShareChair && !m.Chairs
	})
}

// ZoneShare returns the share of all lanes in a clinic's zone.
func ZoneShare(merchantID string, z Zone) (Share, Resource) {
	s, r := newShare(merchantID, ShareZone, 0, z.ID)
	if z.Capacity != nil {
		s.Capacity = *z.Capacity
	}
	return s, r
}

// Span is a time, [FromSec, ToSec) in Unix seconds, for which an operation needs the rows of a share.
type Span struct {
	ShareID uuid.UUID
	FromSec int64
	ToSec   int64
}

// Key is the key under which to find the span's rows among slots.
func (s Span) Key() SlotKey { return SlotKey{s.ShareID, s.FromSec} }

// Locks returns the share's slots that the span touches, in lock order.
func (s Span) Locks() []SlotKey {
	r := Resource{ID: s.ShareID, SlotSeconds: shareSlotSeconds}
	return r.Hold(s.FromSec, s.ToSec, 1, 0).Keys()
}

// Spans returns the times for which the holds need the rows of what they share, one for each key.
func Spans(holds ...Hold) []Span {
	spans := map[SlotKey]Span{}
	for _, h := range holds {
		for _, s := range h.Shares {
			next := Span{s.ID, h.StartSec, h.EndSec}
			next.ToSec = max(next.ToSec, spans[next.Key()].ToSec)
			spans[next.Key()] = next
		}
	}
	return slices.SortedFunc(maps.Values(spans), func(a, b Span) int { return a.Key().Compare(b.Key()) })
}

// JoinSpans joins spans of one share that touch.
func JoinSpans(spans []Span) []Span {
	spans = slices.Clone(spans)
	slices.SortFunc(spans, func(a, b Span) int { return a.Key().Compare(b.Key()) })
	var joined []Span
	for _, s := range spans {
		if n := len(joined) - 1; n >= 0 && joined[n].ShareID == s.ShareID && s.FromSec <= joined[n].ToSec {
			joined[n].ToSec = max(joined[n].ToSec, s.ToSec)
		} else {
			joined = append(joined, s)
		}
	}
	return joined
}

// Row is a slot as it counts in a share.
type Row struct {
	SlotKey
	EndSec    int64
	PartySize int // 0: none
	Spots     int // how many exist, whoever has sold them
	Offered   int // how many of these we may sell; 0: the row is withdrawn or sold out
	Known     int // what was taken when the feed was generated
	Taken     int
}

func (r Row) covers(t int64) bool { return r.StartSec <= t && t < r.EndSec }

// limit returns how many spots may be taken at any moment of the row by those who count at it, once a visit for n
// has been added to it (own) or beside it. If we have sold more of it than the feed knows, that is what the feed
// has left open; what the feed knows is seated already. A row of which nothing is sold has nobody to protect, but a
// larger party needs a place in it if it is for fewer people.
func (r Row) limit(own bool, n int) int {
	switch {
	case own || r.Taken > r.Known:
		return r.Offered
	case r.Taken > 0 || r.PartySize < n && r.Offered > 0:
		return r.Spots
	}
	return math.MaxInt
}

// room reports whether the share has room for the hold h, given all rows that overlap it. The rows include the hold's
// spots already.
func (s Share) room(rows []Row, h Hold) bool {
	keys := h.Keys() // a later row of the same resource is not own
	own := func(r Row) bool { return slices.Contains(keys, r.SlotKey) }
	if s.Kind == SharePerson {
		return !slices.ContainsFunc(rows, func(r Row) bool {
			return r.Taken > 0 && !own(r) && r.StartSec < h.EndSec && h.StartSec < r.EndSec
		})
	}
	// The larger the table, the fewer parties count at it.
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(b.PartySize, a.PartySize) })
	return !slices.ContainsFunc(moments(rows, h.StartSec, h.EndSec), func(t int64) bool {
		return loads(rows, t, func(r Row, load int) bool {
			switch {
			case s.Kind == ShareZone:
				return load > s.Capacity
			case r.PartySize > s.PartySize:
				return false
			}
			return load > r.limit(own(r), s.PartySize)
		})
	})
}

// moments returns the times in [from, to) at which more may be taken than just before.
func moments(rows []Row, from, to int64) []int64 {
	at := []int64{from}
	for _, r := range rows {
		if from < r.StartSec && r.StartSec < to {
			at = append(at, r.StartSec)
		}
	}
	slices.Sort(at)
	return slices.Compact(at)
}

// loads reports whether is returns true for any row at the moment t, given what is taken then of it and of all rows
// for as many people or more. The rows are sorted, the largest party first.
func loads(rows []Row, t int64, is func(r Row, load int) bool) bool {
	load := 0
	for i := 0; i < len(rows); {
		next := i
		for ; next < len(rows) && rows[next].PartySize == rows[i].PartySize; next++ {
			if rows[next].covers(t) {
				load += rows[next].Taken
			}
		}
		for ; i < next; i++ {
			if rows[i].covers(t) && is(rows[i], load) {
				return true
			}
		}
	}
	return false
}

// Load returns the most that is taken at any moment of the row by those who count at it: overlapping rows for as many
// people or more.
func (r Row) Load(rows []Row) int {
	most := 0
	for _, t := range moments(rows, r.StartSec, r.EndSec) {
		load := 0
		for _, o := range rows {
			if o.covers(t) && o.PartySize >= r.PartySize {
				load += o.Taken
			}
		}
		most = max(most, load)
	}
	return most
}

// Peak returns the most that is taken of the rows at any moment.
func Peak(rows []Row) int {
	type step struct {
		at    int64
		spots int
	}
	var steps []step
	for _, r := range rows {
		steps = append(steps, step{r.StartSec, r.Taken}, step{r.EndSec, -r.Taken})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.spots, b.spots)) })
	now, most := 0, 0
	for _, s := range steps {
		now += s.spots
		most = max(most, now)
	}
	return most
}

// excess returns the most that is taken at any moment of a row of such a share, if something is taken of the row and
// that is too much, else 0. rows are the share's rows.
func (k ShareKind) excess(r Row, rows []Row) int {
	load := r.Load(rows)
	if r.Taken > 0 && (k == SharePerson && load > r.Taken || k != SharePerson && load > r.Spots) {
		return load
	}
	return 0
}

// Excesses returns the rows of such a share that have too much taken at once, and how much. rows are the share's rows
// with something taken, sorted by start.
func (k ShareKind) Excesses(rows []Row) map[SlotKey]int {
	found := map[SlotKey]int{}
	var open []Row // those that began before, and have not ended
	for i, r := range rows {
		open = append(slices.DeleteFunc(open, func(o Row) bool { return o.EndSec <= r.StartSec }), r)
		beside := slices.Clone(open)
		for _, o := range rows[i+1:] {
			if o.StartSec >= r.EndSec {
				break
			}
			beside = append(beside, o)
		}
		if load := k.excess(r, beside); load > 0 {
			found[r.SlotKey] = load
		}
	}
	return found
}

// crowded returns the slots of those wanted holds for which there is no room in what they share. It counts what the
// owner has as given back, and does not ask for room for what stays as it is.
func crowded(slots map[SlotKey]Slot, have, want []Hold) []Slot {
	var full []Slot
	for _, h := range want {
		if h.Block || slices.ContainsFunc(have, func(o Hold) bool { return h.within(o) }) {
			continue
		}
		for _, s := range h.Shares {
			if s.Kind == ShareChair && slots[h.Keys()[0]].Spots != 1 {
				continue // a session
			}
			if !s.room(s.rows(slots, h, have, want), h) {
				for _, k := range h.Keys() {
					full = append(full, slots[k])
				}
				break
			}
		}
	}
	return full
}

// within reports whether h takes no more than o does.
func (h Hold) within(o Hold) bool {
	return h.Resource.ID == o.Resource.ID && h.StartSec >= o.StartSec && h.EndSec <= o.EndSec && h.Spots <= o.Spots
}

// rows returns the share's rows around the hold h, as they will be when want is held instead of have.
func (s Share) rows(slots map[SlotKey]Slot, h Hold, have, want []Hold) []Row {
	rows := map[SlotKey]Row{}
	for _, r := range slots[SlotKey{s.ID, h.StartSec}].Rows {
		if s.Kind != ShareChair || r.Spots == 1 {
			rows[r.SlotKey] = r
		}
	}
	for _, o := range have {
		for _, k := range o.Keys() {
			if r, there := rows[k]; there && !o.Block {
				r.Taken -= o.Spots
				rows[k] = r
			}
		}
	}
	for _, o := range want {
		i := slices.IndexFunc(o.Shares, func(os Share) bool { return os.ID == s.ID })
		if i < 0 || o.StartSec >= h.EndSec || h.StartSec >= o.EndSec {
			continue
		}
		for _, k := range o.Keys() {
			r, there := rows[k]
			if !there { // nobody has touched it
				r = Row{SlotKey: k, EndSec: k.StartSec + o.Resource.SlotSeconds, PartySize: o.Shares[i].PartySize}
			}
			r.Taken += o.Spots
			rows[k] = r
		}
	}
	return slices.Collect(maps.Values(rows))
}

// RowsOf returns the slots of the resources that overlap a hold, as rows of a share.
func RowsOf(slots map[SlotKey]Slot, resources []Resource, h Hold) []Row {
	var rows []Row
	for _, r := range resources {
		for _, k := range r.Hold(h.StartSec, h.EndSec, 1, 0).Keys() {
			if s, there := slots[k]; there {
				rows = append(rows, Row{SlotKey: k, EndSec: k.StartSec + r.SlotSeconds, Taken: s.Taken})
			}
		}
	}
	return rows
}

// InTheWay returns the slots of the holds, and the slots around them in what they share that have something taken:
// giving back any of that may make room.
func InTheWay(slots map[SlotKey]Slot, holds ...Hold) []SlotKey {
	keys := Keys(holds...)
	for _, s := range Spans(holds...) {
		for _, r := range slots[s.Key()].Rows {
			if r.Taken > 0 {
				keys = append(keys, r.SlotKey)
			}
		}
	}
	slices.SortFunc(keys, SlotKey.Compare)
	return slices.Compact(keys)
}

// Room counts how often all of the holds could be taken, one after the other.
func Room(slots map[SlotKey]Slot, holds []Hold) int {
	most := math.MaxInt
	for _, h := range Merge(holds) {
		for _, k := range h.Keys() {
			most = min(most, slots[k].Free()/h.Spots) // a slot that was never published has no room
		}
	}
	if len(holds) == 0 || most == 0 {
		return 0
	}
	if len(Spans(holds...)) == 0 {
		return most
	}
	return sort.Search(most, func(n int) bool {
		more := slices.Clone(holds)
		for i := range more {
			more[i].Spots *= n + 1
		}
		return crowded(slots, nil, more) != nil
	})
}
