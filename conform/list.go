package conform

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"holdfast/api/mapsbooking"
)

// list lets one guest book twice and cancel one.
func list(ctx context.Context, g *results) {
	guest := g.guests.next()
	slot, ok := g.pick(ctx, bookable...)
	if !ok {
		g.noSlot("slot")
		return
	}
	stays := g.bookFor(ctx, slot, guest)
	if stays.fault() != "" {
		g.stop("no booking to list: %s", stays.fault())
		return
	}
	mine := []string{stays.booking.BookingId}
	goes := stays
	if slot, ok := g.pick(ctx, both(apart(slot), spots(1, 1)), apart(slot)); ok {
		if a := g.bookFor(ctx, slot, guest); a.fault() == "" {
			goes = a
			mine = append(mine, a.booking.BookingId)
		}
	}

	ask := func(userID string) *Exchange {
		return g.ask(ctx, listBookings, &mapsbooking.ListBookingsRequest{UserId: userID}, &mapsbooking.ListBookingsResponse{})
	}
	x := ask(guest.UserId)
	if x.absent() {
		g.stop("ListBookings is not offered (HTTP %d for a user who has %s)", x.Status, plural(len(mine), "booking"))
		return
	}
	if !x.ok() {
		g.check(ctx, "list.all", x, x.fault())
		return
	}
	f := judgeList(x, mine, g.now().Unix())
	g.check(ctx, "list.all", x, f.missing)
	g.check(ctx, "list.mine", x, f.foreign)
	g.check(ctx, "list.live", x, f.past)

	if c, gone := g.cancelBooking(ctx, goes.booking.BookingId); !gone {
		g.skip("list.cancelled", "no booking could be cancelled: %s", first(c.fault(), short(c.Body)))
	} else {
		x := ask(guest.UserId)
		g.check(ctx, "list.cancelled", x, stillListed(x, goes.booking.BookingId, len(mine) == 1))
	}

	x = ask(g.guests.next().UserId)
	resp, _ := x.Answer.(*mapsbooking.ListBookingsResponse)
	fault := ""
	switch {
	case x.Status == http.StatusNotFound:
	case !x.ok():
		fault = x.fault()
	case len(resp.Bookings) > 0:
		fault = plural(len(resp.Bookings), "booking") + " of a user who has none"
	}
	g.check(ctx, "list.unknown", x, fault)
}

// listFaults is what is wrong with a list of bookings.
type listFaults struct{ missing, foreign, past string }

// judgeList compares a list with the bookings that its user has.
func judgeList(x *Exchange, mine []string, nowSec int64) (f listFaults) {
	resp, _ := x.Answer.(*mapsbooking.ListBookingsResponse)
	var listed []string
	for i, b := range resp.GetBookings() {
		listed = append(listed, b.BookingId)
		if !slices.Contains(mine, b.BookingId) {
			f.foreign = fmt.Sprintf("booking %q is not one of this user's", b.BookingId)
			continue
		}
		status := ""
		if list, _ := member(x.Raw, "bookings").([]any); i < len(list) {
			status = word(list[i], "status")
		}
		if start := b.GetSlot().GetStartSec(); start <= nowSec || status != "CONFIRMED" && status != "PENDING_MERCHANT_CONFIRMATION" {
			f.past = fmt.Sprintf("booking %q has start_sec %d and status %q", b.BookingId, start, status)
		}
	}
	for _, id := range mine {
		if !slices.Contains(listed, id) {
			f.missing = fmt.Sprintf("booking %q is missing", id)
		}
	}
	return f
}

// stillListed returns the fault of a list that has a cancelled booking. If that was the user's only booking, the
// server need not know the user any more.
func stillListed(x *Exchange, id string, only bool) string {
	if only && x.Status == http.StatusNotFound {
		return ""
	}
	if !x.ok() {
		return x.fault()
	}
	for _, b := range x.Answer.(*mapsbooking.ListBookingsResponse).Bookings {
		if b.BookingId == id {
			return fmt.Sprintf("booking %q is cancelled and still there", id)
		}
	}
	return ""
}
