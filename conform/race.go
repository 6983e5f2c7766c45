package conform

import (
	"context"
	"fmt"
)

// toldFull marks that the refusal of a full slot has been judged.
const toldFull = "full slot"

// race makes more guests ask for a slot at once than it has spots.
func race(ctx context.Context, g *results) {
	slot, ok := g.pick(ctx, spots(2, 5), spots(6, 10), spots(11, mostSpots))
	if !ok {
		g.noSlot(fmt.Sprintf("slot with 2 to %d open spots", mostSpots))
		return
	}
	guests := slot.SpotsOpen + max(4, slot.SpotsOpen/2)
	got := atOnce(guests, func(int) *attempt { return g.book(ctx, slot) })

	won, full := 0, 0
	var otherwise []string
	ids := map[string]bool{}
	var winner, loser, odd *Exchange
	for _, a := range got {
		switch {
		case a.fault() == "":
			won++
			ids[a.booking.BookingId] = true
			winner = a.x
		case a.cause == "SLOT_UNAVAILABLE":
			full++
			loser = a.x
		default:
			otherwise = append(otherwise, a.fault())
			odd = a.x
		}
	}
	outcome := fmt.Sprintf("%d guests asked at once for %s, which has %d spots open by the feed: %d got one, %d were told SLOT_UNAVAILABLE",
		guests, slot, slot.SpotsOpen, won, full)
	if len(otherwise) > 0 {
		outcome += ", " + tally(otherwise)
	}
	switch {
	case won > slot.SpotsOpen:
		g.check(ctx, "race.exact", winner, outcome)
	case won < slot.SpotsOpen:
		g.check(ctx, "race.exact", firstOf(odd, loser), outcome+"; if the feed is old, make a new one and rehearse again")
	default:
		g.check(ctx, "race.exact", winner, "")
	}
	fault := ""
	if len(otherwise) > 0 {
		fault = outcome
	}
	if full+len(otherwise) > 0 {
		g.check(ctx, "race.refusals", odd, fault)
		g.told[toldFull] = true
	} else {
		g.skip("race.refusals", "nobody was refused")
	}
	fault = ""
	if len(ids) < won {
		fault = fmt.Sprintf("%s have %s between them", plural(won, "booking"), plural(len(ids), "booking_id"))
	}
	g.check(ctx, "race.distinct", winner, fault)
	if won >= slot.SpotsOpen {
		g.expect(ctx, "race.then-full", slot, false)
	}
}

// firstOf returns the first exchange that is not nil.
func firstOf(list ...*Exchange) *Exchange {
	for _, x := range list {
		if x != nil {
			return x
		}
	}
	return nil
}
