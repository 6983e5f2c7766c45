package inventory

import (
	"slices"
	"strings"
)

// The clinics' ids of zones, groups, staff, visits, visitors and blocks are object ids: 24 hex digits, which
// mean the same in either case. Ids of merchants, services and feeds are free text, and compared as they are.

// IsObjectID reports whether s has the form of an object id.
func IsObjectID(s string) bool {
	return len(s) == 24 && strings.Trim(s, "0123456789abcdefABCDEF") == ""
}

// PlainID returns an object id in lower case, as we make them; any other text stays as it is.
func PlainID(s string) string {
	if IsObjectID(s) {
		return strings.ToLower(s)
	}
	return s
}

// SameID reports whether two ids name the same thing.
func SameID(a, b string) bool { return a == b || IsObjectID(a) && strings.EqualFold(a, b) }

// Spellings are stored object ids, by their plain form.
type Spellings map[string]string

// Add adds an id's spelling, unless there is one already.
func (s Spellings) Add(id string) {
	if _, known := s[PlainID(id)]; !known {
		s[PlainID(id)] = id
	}
}

// of returns the stored spelling of an id, or the id.
func (s Spellings) of(id string) string {
	if known, ok := s[PlainID(id)]; ok {
		return known
	}
	return id
}

// Known are the ids of a clinic's catalogue in their stored spelling.
type Known struct{ Zones, Groups, Staff Spellings }

// KnownOf returns the ids of a catalogue (nil: there was none) and of the lanes that a clinic has or had.
func KnownOf(m *Merchant, lanes []Resource) Known {
	k := Known{Spellings{}, Spellings{}, Spellings{}}
	if m != nil {
		for _, z := range m.Zones {
			k.Zones.Add(z.ID)
		}
		for _, g := range m.Groups {
			k.Groups.Add(g.ID)
		}
		for _, s := range m.Staff {
			k.Staff.Add(s.ID)
		}
	}
	for _, r := range lanes {
		if group, zone, ok := strings.Cut(r.Ref, "/"); ok {
			k.Groups.Add(group)
			k.Zones.Add(zone)
		}
	}
	return k
}

// SpelledAs returns the catalogue with known ids in their stored spelling. Resources are named after ids: a
// lane whose id is spelled differently would be another lane, and its places would be sold again.
func (m Merchant) SpelledAs(k Known) Merchant {
	m.Zones, m.Groups, m.Staff, m.Services = slices.Clone(m.Zones), slices.Clone(m.Groups), slices.Clone(m.Staff), slices.Clone(m.Services)
	for i := range m.Zones {
		m.Zones[i].ID = k.Zones.of(m.Zones[i].ID)
	}
	for i := range m.Groups {
		g := &m.Groups[i]
		g.ID, g.Zones = k.Groups.of(g.ID), slices.Clone(g.Zones)
		for j := range g.Zones {
			g.Zones[j].ZoneID = k.Zones.of(g.Zones[j].ZoneID)
		}
	}
	for i := range m.Staff {
		m.Staff[i].ID = k.Staff.of(m.Staff[i].ID)
	}
	for i := range m.Services {
		m.Services[i].GroupID = k.Groups.of(m.Services[i].GroupID)
	}
	return m
}
