package conform

import (
	"context"
	"fmt"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"

	"holdfast/api/mapsbooking"
)

// pageSlots is how many slots a page load asks about.
const pageSlots = 40

// availability asks as Google does when a page is shown and a slot is clicked.
func availability(ctx context.Context, g *results) {
	page := g.pool.widest(pageSlots)
	if len(page) == 0 {
		g.noSlot("slot")
		return
	}
	x, asked := g.lookup(ctx, page)
	g.check(ctx, "availability.answer", x, x.fault())
	if !x.ok() {
		return
	}
	f := judgeLookup(asked, x)
	g.judged(ctx, x, f)
	pageLoad(ctx, g, page, asked, x, f)

	click, ok := g.pick(ctx, bookable...)
	if !ok {
		click = page[0]
	}
	x, asked = g.lookup(ctx, []Slot{click})
	g.check(ctx, "availability.click", x, first(x.fault(), judgeLookup(asked, x).count))

	unknownTimes(ctx, g, click)

	nobody := click
	nobody.MerchantID = "conform-unknown-merchant"
	x, _ = g.lookup(ctx, []Slot{nobody})
	g.check(ctx, "availability.unknown-merchant", x, notStatus(x, http.StatusBadRequest))
	nothing := click
	nothing.ServiceID = "conform-unknown-service"
	x, _ = g.lookup(ctx, []Slot{nothing})
	g.check(ctx, "availability.unknown-service", x, notStatus(x, http.StatusBadRequest))
}

// judged checks the rules that every lookup must obey.
func (g *results) judged(ctx context.Context, x *Exchange, f lookupFaults) {
	g.check(ctx, "availability.count", x, f.count)
	if f.count == "" && f.echo == "" {
		g.check(ctx, "availability.order", x, f.order)
	}
	g.check(ctx, "availability.echo", x, f.echo)
	g.check(ctx, "availability.written", x, f.written)
}

// pageLoad judges what the answer says about a page of open slots.
func pageLoad(ctx context.Context, g *results, page []Slot, asked []*mapsbooking.SlotTime, x *Exchange, f lookupFaults) {
	open := 0
	for _, says := range answers(asked, x) {
		if says != nil && *says {
			open++
		}
	}
	switch share := fmt.Sprintf("%d of %d slots that the feed has open are available", open, len(page)); {
	case open == 0:
		g.check(ctx, "availability.open", x, share)
	case open < len(page)*9/10:
		g.advise("availability.open", share+": the feed may be old")
	default:
		g.check(ctx, "availability.open", x, "")
	}
	for rule, n := range map[string]int{"availability.services": services(page), "availability.days": days(page)} {
		switch {
		case n < 2:
			g.skip(rule, "no merchant in the feed has free slots of several")
		case f.any() != "": // reported above
			g.skip(rule, "the answer is not right as a whole")
		default:
			g.check(ctx, rule, x, "")
		}
	}
}

// unknownTimes asks about times that were never published, together with one that was.
func unknownTimes(ctx context.Context, g *results, slot Slot) {
	odd, far := slot, slot
	odd.StartSec += 433
	far.StartSec += 20 * 365 * 86400
	x, asked := g.lookup(ctx, []Slot{slot, odd, far})
	if !x.ok() {
		g.check(ctx, "availability.unknown-time", x, x.fault())
		return
	}
	g.judged(ctx, x, judgeLookup(asked, x))
	known := 0
	for i, says := range answers(asked, x) {
		switch {
		case i == 0 || says == nil:
		case *says:
			g.check(ctx, "availability.unknown-time", x, "available is true for "+protojson.Format(asked[i]))
		default:
			known++
		}
	}
	if known > 0 {
		g.check(ctx, "availability.unknown-time", x, "")
	}
}

// notStatus returns the fault of an answer that should have had another status.
func notStatus(x *Exchange, want int) string {
	if x.Status == want {
		return ""
	}
	if x.Status == 0 {
		return x.fault()
	}
	return fmt.Sprintf("HTTP %d instead of %d", x.Status, want)
}

// first returns the first fault.
func first(faults ...string) string {
	for _, f := range faults {
		if f != "" {
			return f
		}
	}
	return ""
}
