package inventory

// Published is one row of Google's availability feed: a slot that exists
// because it was published.
type Published struct {
	MerchantID  string
	ServiceID   string
	StartSec    int64
	DurationSec int64
	SpotsTotal  int
	SpotsOpen   int
	StaffID     string
	RoomID      string
	PartySize   int // 0: the feed gives none, a spot is a seat
	Terms       Terms
}

// Resource is what bears the row's capacity.
func (p Published) Resource() Resource {
	return PublishedResource(p.MerchantID, p.ServiceID, p.DurationSec, p.StaffID, p.RoomID, p.PartySize)
}

// Key names the row's slot.
func (p Published) Key() SlotKey { return SlotKey{Resource: p.Resource().ID, StartSec: p.StartSec} }

// Capacity is the room of a published slot. The feed's open spots already leave
// out what we had booked when it was generated (known, in spots) but not what
// we have booked since; all of it is in taken. So a row fed as sold out is not
// sold, and nothing is ever less than what is taken.
func (p Published) Capacity(known, taken int) int {
	return max(taken, min(p.SpotsTotal, p.SpotsOpen+known))
}
