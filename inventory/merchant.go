package inventory

import (
	"slices"
	"time"
)

// Merchant is a tenant and its catalogue: what can be booked there and when. A clinic has zones, groups and
// staff from our own catalogue; a merchant known only from Google's feeds has services, and its slots are
// published.
type Merchant struct {
	ID       string
	Name     string
	Kind     MerchantKind
	Country  string         // ISO 3166-1, from the catalogue; "": see [Merchant.Home]
	TimeZone string         // IANA name; days, opening times and "today" are the merchant's
	Location *time.Location // TimeZone, loaded
	Version  int64          // grows with every change of the catalogue

	Zones    []Zone
	Groups   []Group
	Staff    []Staff
	Services []Service
	Offers   []Offer

	Guests  GuestRules
	Sharing Sharing // of a feed's merchant: what its rows share
	Chairs  bool    // of a feed's merchant: it has had rows without resources and with one spot

	Former map[Former]bool // what guests could ask for once
}

// GuestRules say from whom a merchant takes bookings. They bind Google's guests, not the desk. The zero value
// accepts anybody.
type GuestRules struct {
	MaxUpcoming  int      `json:"max_upcoming,omitempty"`   // bookings that one guest may have ahead; 0: any number
	MaxOwnLeases int      `json:"max_own_leases,omitempty"` // leases that one user may hold; 0: the server's setting
	MaxLeases    int      `json:"max_leases,omitempty"`     // leases that all of them together may hold; 0: any number
	Banned       []string `json:"banned,omitempty"`         // user ids, email addresses or phone numbers
	NamePattern  string   `json:"name_pattern,omitempty"`   // a regular expression that given and family name match; "": any
	PhonePattern string   `json:"phone_pattern,omitempty"`  // ditto for the number, without what is between its digits

	PrepaymentRequired bool `json:"prepayment_required,omitempty"` // refuse bookings that must be prepaid and are not
}

// MerchantKind says where a merchant's catalogue comes from.
type MerchantKind string

// The kinds of merchant. A feed replaces only what feeds made.
const (
	MerchantClinic MerchantKind = "clinic"
	MerchantFeed   MerchantKind = "feed"
)

// Zone is a place at a clinic (구역; Google's room).
type Zone struct {
	ID       string
	Name     string
	Capacity *int // visits at a time over all groups, in spots; nil: what its lanes have
}

// Group is a queue in which visits are reserved (예약 그룹). In each of its enabled zones it is a lane, with room
// for Capacity visits at a time. Visits start with its slots, IntervalSec apart.
type Group struct {
	ID          string
	Title       string
	IntervalSec int64
	Grid        Grid
	AnchorSec   int64 // offset of [GridStandard] from the Unix epoch, see [GridAnchor]
	StepSec     int64 // in which lanes are counted, see [Group.Align]; 0: the interval
	StartDate   Date  // guests may book visits from this day on; zero: any day
	// SameDayCloseBufferSec closes today's slots to guests this long before they start.
	SameDayCloseBufferSec int64
	Zones                 []GroupZone
	Timetable             *Timetable // nil: always open
	ClosedDays            []Date
}

// GroupZone is a zone of a group with its room per interval, in spots.
type GroupZone struct {
	ZoneID   string
	Capacity int
	Enabled  bool
}

// Staff is a person who works at a clinic. Exclusive staff can be at only one visit at a time, in working
// hours.
type Staff struct {
	ID         string
	Name       string
	Role       string
	Exclusive  bool
	Timetable  *Timetable // working hours; nil: whenever the clinic is open
	ClosedDays []Date     // days off
}

// MostServices is how many services a merchant may have: a server that books there keeps them in memory.
const MostServices = 10_000

// Service is what is sold. At a clinic it names its group and has a duration; at a feed's merchant the
// published slots say when and how long.
type Service struct {
	ID                           string
	Name                         string
	GroupID                      string
	DurationSec                  int64
	MinAdvanceBookingSec         int64 // a guest books at least this long before the start
	MinAdvanceOnlineCancelingSec int64 // a guest cancels at least this long before the start; 0: until the start
	Charges                      Charges
}

// Zone returns the zone with this id (see [SameID]), or nil.
func (m *Merchant) Zone(id string) *Zone {
	return find(m.Zones, func(z Zone) bool { return SameID(z.ID, id) })
}

// Group returns the group with this id, or nil.
func (m *Merchant) Group(id string) *Group {
	return find(m.Groups, func(g Group) bool { return SameID(g.ID, id) })
}

// StaffMember returns the member of staff with this id, or nil.
func (m *Merchant) StaffMember(id string) *Staff {
	return find(m.Staff, func(s Staff) bool { return SameID(s.ID, id) })
}

// Service returns the service with this id, or nil.
func (m *Merchant) Service(id string) *Service {
	return find(m.Services, func(s Service) bool { return s.ID == id })
}

// Zone returns the group's zone with this id, enabled or not, or nil.
func (g *Group) Zone(id string) *GroupZone {
	return find(g.Zones, func(z GroupZone) bool { return SameID(z.ZoneID, id) })
}

func find[T any](list []T, is func(T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return &list[i]
	}
	return nil
}

// Resources returns the merchant's lanes, exclusive staff and quotas; a lane in a zone that is switched off
// has no room. Published resources are not among them, because feeds make those.
func (m *Merchant) Resources() []Resource {
	var rs []Resource
	for i := range m.Groups {
		for _, z := range m.Groups[i].Zones {
			if !z.Enabled {
				z.Capacity = 0
			}
			rs = append(rs, LaneResource(m.ID, &m.Groups[i], z))
		}
	}
	for _, s := range m.Staff {
		if s.Exclusive {
			rs = append(rs, StaffResource(m.ID, s.ID))
		}
	}
	return append(rs, m.quotas()...)
}

// LanesIn returns the lanes of all groups in a zone that has a capacity of its own; none for other zones.
func (m *Merchant) LanesIn(z Zone) []Resource {
	if z.Capacity == nil {
		return nil
	}
	lanes := []Resource{}
	for i := range m.Groups {
		if gz := m.Groups[i].Zone(z.ID); gz != nil {
			lanes = append(lanes, LaneResource(m.ID, &m.Groups[i], *gz))
		}
	}
	return lanes
}
