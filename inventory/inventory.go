// Package inventory counts room. It is the only place that knows what a slot is. So a booking from Google, a
// visit moved by the clinic's desk, a lease and a blocked hour all take and give back room in the same way,
// and nothing is ever counted twice or not at all.
//
// A [Resource] has capacity, a [Slot] is one resource for one stretch of time, a [Hold] is what one owner
// takes of a resource, and [Move] is the only operation: make an owner hold exactly this instead of that.
//
// There are four kinds of resource:
//
//   - a lane is a clinic's reservation group in one zone: a grid of equal slots with room for a number of
//     visits at a time. They are the group's steps, of which the slots that people see consist
//     ([Group.Align]);
//   - an exclusive staff member is a grid of five-minute slots with room for one;
//   - a published resource is known only from Google's feeds: its slots are the rows of the availability
//     feed and nothing else;
//   - a quota is something with a limited number of uses, whatever the time: an offer, or a merchant's
//     leases. It has one slot.
//
// A fifth has no capacity: a [Share] is what several of them have in common.
//
// Whether a clinic is open at a time is a pure function ([Group.Open]) and not stored in slots.
package inventory

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

// Kind says how a resource's slots come about.
type Kind string

// The kinds of resource; see the package comment.
const (
	KindLane      Kind = "lane"
	KindStaff     Kind = "staff"
	KindPublished Kind = "published"
	KindQuota     Kind = "quota"
	KindShare     Kind = "share"
)

// StaffSlotSeconds is the slot length of an exclusive staff member.
const StaffSlotSeconds = 5 * 60

// Resource has capacity. Its identity includes the length and the anchor of its slots. So a lane that is
// counted in other steps becomes another resource, and visits on the old one still count there.
type Resource struct {
	ID              uuid.UUID
	MerchantID      string
	Kind            Kind
	Ref             string // what it is at the merchant, for people
	SlotSeconds     int64
	AnchorSec       int64 // a slot starts where (start - AnchorSec) % SlotSeconds == 0; lanes and staff only
	DefaultCapacity int   // spots in a slot that nobody has touched; not for published ones
}

// resourceSpace is the UUID namespace of resource ids. Ids are derived from what the resource is, so a feed's
// row finds its resource without a lookup.
var resourceSpace = uuid.MustParse("6ba7b812-9dad-11d1-80b4-00c04fd430c8")

func newResource(r Resource) Resource {
	// Each part is quoted, so that different lists of parts never give the same text.
	name := make([]byte, 0, 128)
	for _, part := range []string{string(r.Kind), r.MerchantID, r.Ref} {
		name = append(strconv.AppendQuote(name, part), ' ')
	}
	name = append(strconv.AppendInt(name, r.SlotSeconds, 10), ' ')
	r.ID = uuid.NewSHA1(resourceSpace, strconv.AppendInt(name, r.AnchorSec, 10))
	return r
}

// LaneResource is the lane of a group in one of its zones.
func LaneResource(merchantID string, g *Group, z GroupZone) Resource {
	return newResource(Resource{
		MerchantID: merchantID, Kind: KindLane, Ref: g.ID + "/" + z.ZoneID,
		SlotSeconds: g.step(), AnchorSec: mod(g.AnchorSec, g.step()), DefaultCapacity: z.Capacity,
	})
}

// StaffResource is the time of a staff member who can be at only one visit.
func StaffResource(merchantID, staffID string) Resource {
	return newResource(Resource{
		MerchantID: merchantID, Kind: KindStaff, Ref: staffID,
		SlotSeconds: StaffSlotSeconds, DefaultCapacity: 1,
	})
}

// PublishedResource is the resource of all rows of an availability feed that differ only in their start.
// partySize is 0 if the feed gives none: then a spot is a seat, otherwise a table.
func PublishedResource(merchantID, serviceID string, durationSec int64, staffID, roomID string, partySize int) Resource {
	return newResource(Resource{
		MerchantID: merchantID, Kind: KindPublished, SlotSeconds: durationSec,
		Ref: strings.Join([]string{strconv.Quote(serviceID), strconv.Quote(staffID), strconv.Quote(roomID), strconv.Itoa(partySize)}, " "),
	})
}

// Hold returns a hold of spots of r in every slot that [startSec, endSec) touches: the start is rounded down
// and the end up, so that it never holds too little. A published resource is held exactly as published.
func (r Resource) Hold(startSec, endSec int64, spots int, nowSec int64) Hold {
	if r.Kind != KindPublished {
		startSec, endSec = r.floor(startSec), r.floor(endSec+r.SlotSeconds-1)
	}
	return Hold{Resource: r, StartSec: startSec, EndSec: endSec, Spots: spots, SinceSec: nowSec}
}

// floor returns the start of the slot that contains t.
func (r Resource) floor(t int64) int64 {
	return t - mod(t-r.AnchorSec, r.SlotSeconds)
}

// SlotKey names a slot: one resource from one start (Unix seconds).
type SlotKey struct {
	Resource uuid.UUID
	StartSec int64
}

// Compare orders slots as they are locked everywhere.
func (k SlotKey) Compare(o SlotKey) int {
	return cmp.Or(bytes.Compare(k.Resource[:], o.Resource[:]), cmp.Compare(k.StartSec, o.StartSec))
}

// Slot is a resource's room from one start: its capacity and what is taken of it, in spots, and how many
// blocks close it.
type Slot struct {
	SlotKey
	Capacity int
	Taken    int
	Blocked  int   // above zero: what is taken stays, but nothing more may be taken
	Spots    int   // of a published slot: how many exist, whoever sells them; 0: not known
	Terms    Terms // of a published slot
	Rows     []Row // at the key of a [Span]: those that overlap it
}

// Free returns how many spots of the slot may still be taken.
func (s Slot) Free() int {
	if s.Blocked > 0 {
		return 0
	}
	return max(0, s.Capacity-s.Taken)
}

// Terms are what a feed says about one slot besides its room (scheduling_rule_overrides, confirmation_mode).
// The zero value says nothing.
type Terms struct {
	FirstBookableSec   int64 // guests may book from then on, Unix seconds
	LastBookableSec    int64 // and until then, whatever notice the service wants
	LastCancellableSec int64 // and may cancel or change until then, ditto
	ConfirmationMode   string
	Charges            *Charges // nil: those of the service
}

// Hold is what one owner takes: spots of a resource in every slot from StartSec to EndSec (Unix seconds).
// SinceSec is when it was taken; an availability feed generated earlier does not know about it. A hold that
// blocks takes no spots: it closes its slots for as long as it exists.
type Hold struct {
	Resource Resource
	StartSec int64
	EndSec   int64
	Spots    int // 1 of a block
	Block    bool
	SinceSec int64
	Shares   []Share // of a wanted hold: the shares that must have room as well
}

// Keys returns the slots that the hold covers, in lock order.
func (h Hold) Keys() []SlotKey {
	if h.Resource.Kind == KindPublished {
		return []SlotKey{{h.Resource.ID, h.StartSec}}
	}
	keys := make([]SlotKey, 0, (h.EndSec-h.StartSec)/h.Resource.SlotSeconds)
	for t := h.StartSec; t < h.EndSec; t += h.Resource.SlotSeconds {
		keys = append(keys, SlotKey{h.Resource.ID, t})
	}
	return keys
}
