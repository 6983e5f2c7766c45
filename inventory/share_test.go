package inventory

import (
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// sale is what has been sold of a row of a share.
type sale struct {
	row   Published
	spots int
}

// shop sells rows of one merchant as Move would, in memory.
type shop struct {
	merchant Merchant
	rows     []Published
	sales    []sale
}

func (s *shop) taken(row Published) (n int) {
	for _, o := range s.sales {
		if o.row.Key() == row.Key() {
			n += o.spots
		}
	}
	return n
}

// slots are those of the merchant as a transaction finds them.
func (s *shop) slots(holds ...Hold) map[SlotKey]Slot {
	found := map[SlotKey]Slot{}
	for _, r := range s.rows {
		found[r.Key()] = Slot{SlotKey: r.Key(), Capacity: r.Capacity(0, s.taken(r)), Taken: s.taken(r), Spots: r.SpotsTotal}
		shares, _ := r.MemberOf()
		for _, share := range shares {
			for _, span := range Spans(holds...) {
				if end := r.StartSec + r.DurationSec; span.ShareID == share.ID && r.StartSec < span.ToSec && span.FromSec < end {
					at := found[span.Key()]
					at.Rows = append(at.Rows, Row{
						SlotKey: r.Key(), EndSec: end, PartySize: share.PartySize, Spots: r.SpotsTotal, Offered: r.Offered(0), Taken: s.taken(r),
					})
					found[span.Key()] = at
				}
			}
		}
	}
	return found
}

func (s *shop) hold(row Published, spots int) []Hold {
	h := row.Resource().Hold(row.StartSec, row.StartSec+row.DurationSec, spots, 0)
	h.Shares = s.merchant.Shares(row)
	return []Hold{h}
}

func (s *shop) sell(row Published, spots int) bool {
	hold := s.hold(row, spots)
	if Fits(s.slots(hold...), nil, hold) != nil {
		return false
	}
	s.sales = append(s.sales, sale{row, spots})
	return true
}

func at(service string, start, length int64, total int, staff, room string, party int) Published {
	return Published{
		MerchantID: "m", ServiceID: service, StartSec: start, DurationSec: length, SpotsTotal: total, SpotsOpen: total,
		StaffID: staff, RoomID: room, PartySize: party,
	}
}

// What is sold of each row if they are asked for in this order, again and again until nothing more is sold.
func TestShares(t *testing.T) {
	const hour = 3600
	var tables []Published
	for _, size := range [][2]int{{8, 1}, {7, 1}, {6, 4}, {5, 3}, {4, 3}} {
		tables = append(tables, at("dinner", 0, 2*hour, size[1], "", "", size[0]))
	}
	for name, c := range map[string]struct {
		sharing Sharing
		rows    []Published
		want    []int // spots sold of each
	}{
		"a person, at one row at a time":      {"", []Published{at("a", 0, hour, 1, "kim", "", 0), at("a", hour/2, hour, 1, "kim", "", 0), at("a", hour, hour, 1, "kim", "", 0)}, []int{1, 0, 1}},
		"and from behind":                     {"", []Published{at("a", hour/2, hour, 2, "kim", "", 0), at("a", 0, hour, 2, "kim", "", 0)}, []int{2, 0}},
		"over all services, with all spots":   {"", []Published{at("a", 0, hour, 12, "kim", "", 0), at("b", hour/2, hour, 1, "kim", "", 0), at("a", 0, hour, 1, "lee", "", 0)}, []int{12, 0, 1}},
		"a table of its own":                  {"", []Published{at("a", 0, 2*hour, 1, "", "t1", 0), at("a", hour/2, 2*hour, 1, "", "t1", 0), at("a", 2*hour, 2*hour, 1, "", "t1", 0), at("a", 0, hour, 1, "", "t2", 0)}, []int{1, 0, 1, 1}},
		"a lane of three":                     {"", []Published{at("a", 0, hour, 3, "", "z", 0), at("a", hour/2, hour, 3, "", "z", 0), at("a", hour, hour, 3, "", "z", 0)}, []int{3, 0, 3}},
		"a room over services, each its own":  {"", []Published{at("alone", 0, hour, 1, "", "z", 0), at("three", 0, hour, 3, "", "z", 0)}, []int{1, 0}},
		"and the other way round":             {"", []Published{at("three", 0, hour, 3, "", "z", 0), at("alone", 0, hour, 1, "", "z", 0)}, []int{3, 0}},
		"a person in a room":                  {"", []Published{at("a", 0, hour, 1, "kim", "z", 0), at("a", 0, hour, 1, "lee", "z", 0), at("a", 0, hour, 1, "lee", "y", 0)}, []int{1, 0, 1}},
		"one chair":                           {"", []Published{at("a", 0, hour, 1, "", "", 0), at("a", hour/2, hour, 1, "", "", 0), at("b", 0, hour, 1, "", "", 0)}, []int{1, 0, 1}},
		"sessions":                            {"", []Published{at("a", 0, hour, 2, "", "", 0), at("a", hour/2, hour, 2, "", "", 0), at("a", 0, 2*hour, 1, "", "", 0)}, []int{2, 2, 1}},
		"sessions of one room":                {SharingShared, []Published{at("a", 0, hour, 2, "", "", 0), at("a", hour/2, hour, 2, "", "", 0), at("b", hour, hour, 3, "", "", 0)}, []int{2, 0, 3}},
		"nothing is shared":                   {SharingIndependent, []Published{at("a", 0, hour, 1, "kim", "z", 0), at("a", 1, hour, 1, "kim", "z", 0), at("a", 0, hour, 1, "", "", 0), at("a", 1, hour, 1, "", "", 0), at("a", 0, hour, 2, "", "", 2), at("a", 0, hour, 2, "", "", 4)}, []int{1, 1, 1, 1, 2, 2}},
		"a floor plan, the largest first":     {"", tables, []int{1, 0, 2, 0, 0}},
		"a floor plan, the smallest first":    {"", []Published{tables[4], tables[3], tables[2], tables[1], tables[0]}, []int{3, 0, 0, 0, 0}},
		"an area is of a service and a room":  {"", []Published{at("a", 0, hour, 1, "", "in", 2), at("a", 0, hour, 1, "", "out", 2), at("b", 0, hour, 1, "", "in", 2), at("a", 1, hour, 1, "", "in", 4)}, []int{1, 1, 1, 0}},
		"a smaller table is asked for, too":   {"", []Published{at("a", 0, hour, 2, "", "", 4), at("a", 0, hour, 1, "", "", 2)}, []int{1, 0}},
		"one that is free is no matter later": {"", []Published{at("a", 0, hour, 2, "", "", 4), at("a", hour, hour, 1, "", "", 2)}, []int{2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := &shop{merchant: Merchant{ID: "m", Sharing: c.sharing, Chairs: true}, rows: c.rows}
			for i, r := range c.rows {
				told := Room(s.slots(s.hold(r, 1)...), s.hold(r, 1))
				got := 0
				for s.sell(r, 1) {
					got++
				}
				if got != c.want[i] || told != got {
					t.Errorf("row %d: sold %d, told %d, want %d", i, got, told, c.want[i])
				}
			}
		})
	}
}

// Whatever is asked for, in any order, at no moment is more sold than the rows allow then: a brute-force look at every moment, which does not know how
// that is prevented.
func TestSharesByTheMoment(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := &shop{merchant: Merchant{ID: "m", Chairs: true, Sharing: rapid.SampledFrom([]Sharing{SharingDefault, SharingShared}).Draw(r, "sharing")}}
		seen := map[SlotKey]bool{}
		for range rapid.IntRange(2, 14).Draw(r, "rows") {
			p := at(rapid.SampledFrom([]string{"a", "b"}).Draw(r, "service"), rapid.Int64Range(0, 8).Draw(r, "start"), rapid.Int64Range(1, 5).Draw(r, "length"),
				rapid.IntRange(1, 3).Draw(r, "spots"), rapid.SampledFrom([]string{"", "", "kim"}).Draw(r, "staff"),
				rapid.SampledFrom([]string{"", "z"}).Draw(r, "room"), rapid.SampledFrom([]int{0, 0, 2, 3, 5}).Draw(r, "party"))
			if !seen[p.Key()] {
				seen[p.Key()] = true
				s.rows = append(s.rows, p)
			}
		}
		for range rapid.IntRange(1, 20).Draw(r, "asked") {
			p := rapid.SampledFrom(s.rows).Draw(r, "row")
			free := true // nothing overlaps it at all
			for _, o := range s.sales {
				free = free && !(o.row.StartSec < p.StartSec+p.DurationSec && p.StartSec < o.row.StartSec+o.row.DurationSec)
			}
			smallest := p.SpotsTotal
			if sold := s.sell(p, 1); free && smallest > 0 && !sold {
				r.Fatalf("%+v is refused, and nothing is sold at that time", p)
			}
			if what := s.wrong(); what != "" {
				r.Fatalf("%s: after %+v: %v", what, p, s.sales)
			}
			if len(s.sales) > 0 && rapid.IntRange(0, 4).Draw(r, "give back") == 0 {
				s.sales = s.sales[1:]
			}
		}
	})
}

// wrong says what is sold over one another.
func (s *shop) wrong() string {
	for t := range int64(15) {
		var now []sale
		for _, o := range s.sales {
			if o.row.StartSec <= t && t < o.row.StartSec+o.row.DurationSec {
				now = append(now, o)
			}
		}
		for _, o := range now {
			room, chair, house, larger := 0, 0, 0, 0
			for _, p := range now {
				plain := p.row.StaffID == "" && p.row.RoomID == "" && p.row.PartySize == 0
				if o.row.StaffID != "" && o.row.StaffID == p.row.StaffID && o.row.Key() != p.row.Key() {
					return "a person is at two"
				}
				if p.row.RoomID == o.row.RoomID && p.row.PartySize == 0 {
					room += p.spots
				}
				if plain && p.row.ServiceID == o.row.ServiceID && p.row.SpotsTotal == 1 {
					chair += p.spots
				}
				if plain {
					house += p.spots
				}
				if p.row.RoomID == o.row.RoomID && p.row.ServiceID == o.row.ServiceID && p.row.PartySize >= o.row.PartySize {
					larger += p.spots
				}
			}
			switch plain := o.row.StaffID == "" && o.row.RoomID == ""; {
			case o.row.PartySize > 0 && larger > o.row.SpotsTotal:
				return "more parties than tables for them"
			case o.row.PartySize > 0:
			case o.row.RoomID != "" && room > o.row.SpotsTotal:
				return "a room is too full"
			case plain && s.merchant.Sharing == SharingShared && house > o.row.SpotsTotal:
				return "the house is too full"
			case plain && s.merchant.Sharing == SharingDefault && o.row.SpotsTotal == 1 && chair > 1:
				return "a chair is sold twice"
			}
		}
	}
	return ""
}

// A share has the same id on every day and in every process.
func TestShareIDs(t *testing.T) {
	seen := map[uuid.UUID]Published{}
	for _, p := range []Published{
		at("a", 0, 1, 1, "x", "", 0), at("a", 0, 1, 1, "", "x", 0), at("x", 0, 1, 1, "", "", 0), at("a", 0, 1, 1, "", "x", 2), at("x", 0, 1, 1, "", "a", 2),
	} {
		shares, resources := p.MemberOf()
		if other, twice := seen[shares[0].ID]; twice {
			t.Errorf("%+v and %+v share", p, other)
		}
		seen[shares[0].ID] = p
		if shares[0].ID != resources[0].ID || resources[0].Kind != KindShare {
			t.Errorf("%+v: the resource is %+v", p, resources[0])
		}
	}
}
