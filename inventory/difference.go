package inventory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Difference is one difference between two catalogues of a merchant.
type Difference struct {
	What   string // "zone 65a000000000000000000001"
	Kind   DifferenceKind
	Member string // of a changed thing
	Before string // of a changed thing, for people
	After  string
}

// DifferenceKind is what happens to a thing.
type DifferenceKind string

// The kinds of difference.
const (
	Added   DifferenceKind = "added"
	Changed DifferenceKind = "changed"
	Removed DifferenceKind = "removed"
)

func (d Difference) String() string {
	if d.Kind != Changed {
		return string(d.Kind) + " " + d.What
	}
	return fmt.Sprintf("%s %s: %s: %s → %s", d.Kind, d.What, d.Member, d.Before, d.After)
}

// Differences returns what changes from one catalogue of a merchant, or none, to the next, in the
// order of the catalogue; what is removed comes last.
func Differences(before, after *Merchant) []Difference {
	old, next := things(before), things(after)
	var all []Difference
	for _, t := range next {
		i := slices.IndexFunc(old, func(o thing) bool { return o.what == t.what })
		if i < 0 {
			all = append(all, Difference{What: t.what, Kind: Added})
			continue
		}
		for j, m := range t.members {
			if was := old[i].members[j]; was != m {
				all = append(all, Difference{What: t.what, Kind: Changed, Member: m.name, Before: was.text, After: m.text})
			}
		}
	}
	for _, o := range old {
		if !slices.ContainsFunc(next, func(t thing) bool { return t.what == o.what }) {
			all = append(all, Difference{What: o.what, Kind: Removed})
		}
	}
	return all
}

// thing is an entry of a catalogue with its members as text. Things of one kind have the same members
// in the same order.
type thing struct {
	what    string
	members []member
}

type member struct{ name, text string }

func (t *thing) add(name string, value any) {
	text := fmt.Sprint(value)
	if text == "" || text == "[]" {
		text = "none"
	}
	t.members = append(t.members, member{name, text})
}

// things returns all entries of a catalogue, in order. The order of a group's zones is a member of the
// group, because guests get the first zone with room.
func things(m *Merchant) []thing {
	if m == nil {
		return nil
	}
	c := thing{what: "clinic " + m.ID}
	c.add("name", m.Name)
	c.add("country", m.Country)
	c.add("time_zone", m.TimeZone)
	c.add("guests.max_upcoming", m.Guests.MaxUpcoming)
	c.add("guests.max_own_leases", m.Guests.MaxOwnLeases)
	c.add("guests.max_leases", m.Guests.MaxLeases)
	c.add("guests.banned", len(m.Guests.Banned)) // only the number: who they are is nobody else's business
	c.add("guests.name_pattern", m.Guests.NamePattern)
	c.add("guests.phone_pattern", m.Guests.PhonePattern)
	c.add("guests.prepayment_required", m.Guests.PrepaymentRequired)
	c.add("rows", string(m.Sharing))
	all := []thing{c}
	for _, z := range m.Zones {
		t := thing{what: "zone " + z.ID}
		t.add("name", z.Name)
		capacity := "of its groups"
		if z.Capacity != nil {
			capacity = strconv.Itoa(*z.Capacity)
		}
		t.add("capacity", capacity)
		all = append(all, t)
	}
	for _, g := range m.Groups {
		t := thing{what: "group " + g.ID}
		var order []string
		for _, z := range g.Zones {
			order = append(order, z.ZoneID)
		}
		t.add("title", g.Title)
		t.add("interval", seconds(g.IntervalSec))
		t.add("grid", g.Grid)
		t.add("anchor", seconds(g.AnchorSec))
		t.add("counted in steps of", seconds(g.step()))
		t.add("start_date", day(g.StartDate))
		t.add("same_day_close_buffer", seconds(g.SameDayCloseBufferSec))
		t.add("timetable", g.Timetable)
		t.add("closed_days", g.ClosedDays)
		t.add("zones", strings.Join(order, " "))
		all = append(all, t)
		for _, z := range g.Zones {
			t := thing{what: "zone " + z.ZoneID + " of group " + g.ID}
			t.add("capacity", z.Capacity)
			t.add("enabled", z.Enabled)
			all = append(all, t)
		}
	}
	for _, s := range m.Staff {
		t := thing{what: "staff " + s.ID}
		t.add("name", s.Name)
		t.add("role", s.Role)
		t.add("exclusive", s.Exclusive)
		t.add("timetable", s.Timetable)
		t.add("closed_days", s.ClosedDays)
		all = append(all, t)
	}
	for _, s := range m.Services {
		t := thing{what: "service " + s.ID}
		t.add("name", s.Name)
		t.add("group_id", s.GroupID)
		t.add("duration", seconds(s.DurationSec))
		t.add("min_advance_booking", seconds(s.MinAdvanceBookingSec))
		t.add("min_advance_online_canceling", seconds(s.MinAdvanceOnlineCancelingSec))
		t.add("charges", s.Charges)
		all = append(all, t)
	}
	for _, o := range m.Offers {
		t := thing{what: "offer " + o.ID}
		t.add("service_ids", o.ServiceIDs)
		t.add("first_date", day(o.First))
		t.add("last_date", day(o.Last))
		uses := "any number"
		if o.Uses != nil {
			uses = strconv.Itoa(*o.Uses)
		}
		t.add("uses", uses)
		all = append(all, t)
	}
	return all
}

// String returns what a visit costs, for people.
func (c Charges) String() string {
	text, err := json.Marshal(c)
	if err != nil || string(text) == "{}" {
		return ""
	}
	return string(text)
}

func seconds(n int64) string { return strconv.FormatInt(n, 10) + " s" }

func day(d Date) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

// String returns a grid, for people.
func (g Grid) String() string {
	if g == GridStandard {
		return "standard time"
	}
	return string(g)
}

// String returns a week, for people; nil is "always".
func (t *Timetable) String() string {
	if t == nil {
		return "always"
	}
	var days []string
	for i, d := range t {
		if d == nil {
			continue
		}
		text := time.Weekday(i).String()[:3] + " " + clock(d.Start) + "–" + clock(d.End)
		for _, b := range d.Breaks {
			text += " without " + clock(b.Start) + "–" + clock(b.End)
		}
		days = append(days, text)
	}
	if days == nil {
		return "never"
	}
	return strings.Join(days, ", ")
}

func clock(minutes int) string { return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60) }
