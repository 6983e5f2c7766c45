package conform

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"
)

// pool hands out slots of the feed. It prefers unused ones, so that groups do not get in each other's way on a
// server that does not free what is cancelled, and takes merchants in turn.
type pool struct {
	slots     []*pooled
	merchants map[string]int // how often each was used
}

type pooled struct {
	Slot
	uses   int
	sooner bool // it begins within two days, when guests may not be allowed to cancel
}

func newPool(slots []Slot, now time.Time) *pool {
	p := &pool{merchants: map[string]int{}}
	slots = slices.Clone(slots)
	slices.SortFunc(slots, func(a, b Slot) int { return cmp.Compare(scatter(a), scatter(b)) })
	for _, s := range slots {
		p.slots = append(p.slots, &pooled{Slot: s, sooner: s.StartSec < now.Add(48*time.Hour).Unix()})
	}
	return p
}

// want is a condition on a slot.
type want func(Slot) bool

// spots wants at least least and at most most open spots.
func spots(least, most int) want {
	return func(s Slot) bool { return least <= s.SpotsOpen && s.SpotsOpen <= most }
}

// bookable are the usual wishes: one spot, so that a booking shows in lookups, else few, else any.
var bookable = []want{spots(1, 1), spots(2, 10), spots(1, 1<<30)}

// fillable is a slot that can be filled.
var fillable = []want{spots(1, 1), spots(2, 10)}

// candidates returns the slots that fit, best first.
func (p *pool) candidates(fits want) []*pooled {
	var list []*pooled
	for _, s := range p.slots {
		if fits(s.Slot) {
			list = append(list, s)
		}
	}
	late := func(s *pooled) int {
		if s.sooner {
			return 1
		}
		return 0
	}
	slices.SortStableFunc(list, func(a, b *pooled) int {
		return cmp.Or(cmp.Compare(a.uses, b.uses), cmp.Compare(late(a), late(b)),
			cmp.Compare(p.merchants[a.MerchantID], p.merchants[b.MerchantID]))
	})
	return list
}

func (p *pool) use(s *pooled) {
	s.uses++
	p.merchants[s.MerchantID]++
}

// pick returns a slot that fits and that the server says is free. It tries the wishes in order, and some slots
// for each.
func (g *results) pick(ctx context.Context, wishes ...want) (Slot, bool) {
	const tries = 8
	for _, fits := range wishes {
		list := g.pool.candidates(fits)
		for _, s := range list[:min(len(list), tries)] {
			g.pool.use(s)
			if free, known := g.free(ctx, s.Slot); free || !known {
				return s.Slot, true
			}
			g.busy++
		}
	}
	return Slot{}, false
}

// apart wants a slot that a guest of all these can attend as well.
func apart(from ...Slot) want {
	return func(s Slot) bool {
		return !slices.ContainsFunc(from, s.meets)
	}
}

// both wants what both want.
func both(a, b want) want { return func(s Slot) bool { return a(s) && b(s) } }

// sibling wants a slot to which a booking can move by changing only its time.
func sibling(of Slot) want {
	return both(apart(of), func(s Slot) bool {
		return s.MerchantID == of.MerchantID && s.ServiceID == of.ServiceID &&
			s.StaffID == of.StaffID && s.RoomID == of.RoomID && s.PartySize == of.PartySize
	})
}

// page returns what a page of a merchant would ask about: up to n slots, of all its services and days in turn.
// Merchants take turns too.
func (p *pool) page(n int) []Slot {
	list := p.candidates(func(Slot) bool { return true })
	if len(list) == 0 {
		return nil
	}
	return p.pageOf(list[0].MerchantID, n)
}

// widest returns the page of the merchant with most services, days and slots.
func (p *pool) widest(n int) (page []Slot) {
	merchants := map[string]bool{}
	for _, s := range p.slots {
		merchants[s.MerchantID] = true
	}
	best := [3]int{}
	for _, id := range slices.Sorted(maps.Keys(merchants)) {
		offered := p.pageOf(id, n)
		width := [3]int{services(offered), days(offered), len(offered)}
		if slices.Compare(width[:], best[:]) > 0 {
			best, page = width, offered
		}
	}
	return page
}

func (p *pool) pageOf(merchantID string, n int) []Slot {
	type shelf struct {
		service string
		day     int64
	}
	shelves := map[shelf][]Slot{}
	var order []shelf
	for _, s := range p.candidates(func(s Slot) bool { return s.MerchantID == merchantID }) {
		at := shelf{s.ServiceID, s.StartSec / 86400}
		if shelves[at] == nil {
			order = append(order, at)
		}
		shelves[at] = append(shelves[at], s.Slot)
	}
	var page []Slot
	for i := 0; len(page) < n; i++ {
		before := len(page)
		for _, at := range order {
			if i < len(shelves[at]) && len(page) < n {
				page = append(page, shelves[at][i])
			}
		}
		if len(page) == before {
			break
		}
	}
	p.merchants[merchantID]++
	return page
}

func services(page []Slot) int {
	seen := map[string]bool{}
	for _, s := range page {
		seen[s.ServiceID] = true
	}
	return len(seen)
}

func days(page []Slot) int {
	seen := map[int64]bool{}
	for _, s := range page {
		seen[s.StartSec/86400] = true
	}
	return len(seen)
}
