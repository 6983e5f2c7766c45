package inventory

import "slices"

// Published is one row of Google's availability feed: a slot that exists because it was published.
type Published struct {
	MerchantID  string
	ServiceID   string
	StartSec    int64
	DurationSec int64
	SpotsTotal  int
	SpotsOpen   int
	StaffID     string
	RoomID      string
	PartySize   int // 0: the feed gives none, so a spot is a seat
	Terms       Terms
}

// Resource returns the resource that has the row's capacity.
func (p Published) Resource() Resource {
	return PublishedResource(p.MerchantID, p.ServiceID, p.DurationSec, p.StaffID, p.RoomID, p.PartySize)
}

// Key names the row's slot.
func (p Published) Key() SlotKey { return SlotKey{Resource: p.Resource().ID, StartSec: p.StartSec} }

// Offered returns our room in a published slot. The feed's open spots already exclude what we had booked when
// it was generated (known, in spots, of the slot or of what it shares), but not what we have booked since. So we
// do not sell a row that the feed says is sold out, and when something that the feed knew is given back, its room
// is available again.
func (p Published) Offered(known int) int { return min(p.SpotsTotal, p.SpotsOpen+known) }

// Capacity is Offered, but never less than what is taken of the slot.
func (p Published) Capacity(known, taken int) int { return max(taken, p.Offered(known)) }

// row returns the slot as it counts in a share of this kind, with nothing taken.
func (p Published) row(kind ShareKind) Row {
	r := Row{SlotKey: p.Key(), EndSec: p.StartSec + p.DurationSec, Spots: p.SpotsTotal}
	if kind == ShareArea {
		r.PartySize = p.PartySize
	}
	return r
}

// Explained returns how many of the spots missing from a feed may be our own: the most that we had taken at any
// moment of the slot when the feed was generated. around has the rows of its shares with something taken then, by
// kind of share; own is what was taken of the slot itself.
func (p Published) Explained(own int, around map[ShareKind][]Row) int {
	known := own
	for kind, rows := range around {
		at := p.row(kind)
		switch {
		case kind != SharePerson:
			known = max(known, at.Load(rows))
		case p.SpotsOpen == 0 && at.Load(rows) > own: // the person is busy, so the row is not on sale
			known = max(known, p.SpotsTotal)
		}
	}
	return known
}

// IsChair reports whether the row is a chair: it names no resources and has one spot.
func (p Published) IsChair() bool {
	return p.StaffID == "" && p.RoomID == "" && p.PartySize == 0 && p.SpotsTotal == 1
}

// Counts reports whether the row counts in a share of this kind if its merchant shares like this.
func (p Published) Counts(sharing Sharing, kind ShareKind) bool {
	return sharing.Counts(kind) && (kind != ShareChair || p.IsChair())
}

// Excess returns the most that is taken at any moment of the row if something is taken of it and that is too
// much, else 0. around has the rows of its shares, by kind of share.
func (p Published) Excess(around map[ShareKind][]Row) int {
	most := 0
	for kind, rows := range around {
		at := p.row(kind)
		if i := slices.IndexFunc(rows, func(r Row) bool { return r.SlotKey == at.SlotKey }); i >= 0 {
			at.Taken = rows[i].Taken
			most = max(most, kind.excess(at, rows))
		}
	}
	return most
}
