package conform

import "context"

// retry fills a slot, has a guest refused, frees a spot, and sends the same guest's very same request again: a
// failure must not stick to its token.
func retry(ctx context.Context, g *results) {
	slot, ok := g.pick(ctx, fillable...)
	if !ok {
		g.noSlot("slot with at most 10 open spots")
		return
	}
	filled := g.fill(ctx, slot, 0)
	if len(filled) == 0 {
		g.stop("the slot could not be booked in the first place")
		return
	}
	refused := g.book(ctx, slot)
	fault := refused.fault()
	switch {
	case fault == "":
		g.stop("%s is not full after %s, which is all that the feed has open", slot, plural(len(filled), "booking"))
		return
	case refused.x.unsent, refused.x.Status == 0:
		g.stop("%s", fault)
		return
	case refused.cause == "SLOT_UNAVAILABLE":
		g.check(ctx, "retry.refused", refused.x, "")
	case g.told[toldFull]:
		g.skip("retry.refused", "%s: see race.refusals", fault)
	default:
		g.check(ctx, "retry.refused", refused.x, fault)
	}
	if x, gone := g.cancelBooking(ctx, filled[0].booking.BookingId); !gone {
		g.stop("no spot could be freed: %s", first(x.fault(), short(x.Body)))
		return
	}
	again := g.again(ctx, refused)
	if again.fault() == "" {
		g.check(ctx, "retry.anew", again.x, "")
		return
	}
	// Is it this request that is refused, or everybody?
	if other := g.book(ctx, slot); other.fault() != "" {
		g.stop("the spot that was cancelled cannot be booked by anybody: see cancel.free")
		return
	}
	g.check(ctx, "retry.anew", again.x, again.fault()+", although a spot is free: another guest got it just now")
}
