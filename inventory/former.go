package inventory

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Former is something that guests could ask a merchant for until its catalogue changed. Google goes on
// asking until it knows. The answer then is a business "no", and not a mistake as for what never
// existed. (CreateBookingResponse.booking_failure: "slot has become unavailable".)
type Former struct {
	Kind      FormerKind
	ServiceID string // whose; "": of any
	Value     string
}

// FormerKind says what a [Former] is, and what its Value means.
type FormerKind string

// The kinds of Former, with their Values.
const (
	FormerService  FormerKind = "service"  // nothing
	FormerRoom     FormerKind = "room"     // the id of a zone in which the service was offered
	FormerDuration FormerKind = "duration" // in seconds
	FormerGrid     FormerKind = "grid"     // of the starts: its kind, interval and anchor, in seconds
	FormerStaff    FormerKind = "staff"    // the id, of any service
)

// offers returns everything that guests can ask the merchant for, in the catalogue's order.
func (m *Merchant) offers() []Former {
	if m == nil {
		return nil
	}
	var all []Former
	for _, s := range m.Services {
		all = append(all, Former{FormerService, s.ID, ""})
		g := m.Group(s.GroupID)
		if g == nil {
			continue // a feed's service: its slots say the rest
		}
		all = append(all, Former{FormerDuration, s.ID, strconv.FormatInt(s.DurationSec, 10)}, Former{FormerGrid, s.ID, g.grid()})
		for _, z := range g.Zones {
			all = append(all, Former{FormerRoom, s.ID, z.ZoneID})
		}
	}
	for _, s := range m.Staff {
		all = append(all, Former{FormerStaff, "", s.ID})
	}
	return all
}

// Gone returns what guests can ask for with one catalogue of a merchant but not with the next. Both may
// be nil.
func Gone(before, after *Merchant) []Former {
	still := map[Former]bool{}
	for _, f := range after.offers() {
		still[f] = true
	}
	return slices.DeleteFunc(before.offers(), func(f Former) bool { return still[f] })
}

// Had reports whether the merchant once had the service.
func (m *Merchant) Had(serviceID string) bool {
	return m.Former[Former{FormerService, serviceID, ""}]
}

// HadStaff reports whether somebody with this id was once on the staff.
func (m *Merchant) HadStaff(id string) bool { return m.Former[Former{FormerStaff, "", id}] }

// HadRoom reports whether the service was once offered in the zone.
func (m *Merchant) HadRoom(serviceID, zoneID string) bool {
	return m.Former[Former{FormerRoom, serviceID, zoneID}]
}

// HadDuration reports whether the service once took sec seconds.
func (m *Merchant) HadDuration(serviceID string, sec int64) bool {
	return m.Former[Former{FormerDuration, serviceID, strconv.FormatInt(sec, 10)}]
}

// HadStart reports whether visits of the service may once have started at this time (Unix seconds).
func (m *Merchant) HadStart(serviceID string, startSec int64) bool {
	for f := range m.Former {
		if f.Kind != FormerGrid || f.ServiceID != serviceID {
			continue
		}
		kind, rest, _ := strings.Cut(f.Value, "/")
		g := Group{Grid: Grid(kind)}
		if _, err := fmt.Sscanf(rest, "%d/%d", &g.IntervalSec, &g.AnchorSec); err != nil || g.IntervalSec <= 0 {
			continue
		}
		// We no longer know when the group opened, only that it was on a full minute.
		if g.Grid == GridOpening && startSec%60 == 0 || g.Grid != GridOpening && g.OnGrid(startSec, m.Location) {
			return true
		}
	}
	return false
}

// grid returns the group's grid as the Value of a [FormerGrid].
func (g *Group) grid() string { return fmt.Sprintf("%s/%d/%d", g.Grid, g.IntervalSec, g.AnchorSec) }
