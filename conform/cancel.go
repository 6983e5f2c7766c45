package conform

import (
	"context"
	"fmt"
	"net/http"

	"holdfast/api/mapsbooking"
)

// toldWord marks that the spelling of CANCELLED with two Ls has been reported.
const toldWord = "status CANCELLED"

// cancel fills a slot and cancels one of its bookings, twice.
func cancel(ctx context.Context, g *results) {
	slot, ok := g.pick(ctx, bookable...)
	if !ok {
		g.noSlot("slot")
		return
	}
	var a *attempt
	visible := slot.SpotsOpen <= 10
	if visible {
		for _, got := range g.fill(ctx, slot, 0) {
			a = got
		}
	} else {
		a = g.book(ctx, slot)
	}
	if a == nil || a.fault() != "" {
		g.stop("no booking to cancel: the slot could not be booked")
		return
	}
	free, known := g.free(ctx, slot)

	x, gone := g.cancelBooking(ctx, a.booking.BookingId)
	fault := judgeCancelled(x, a.booking.BookingId)
	if word(x.Raw, "booking", "status") == cancelledTwoLs {
		g.told[toldWord] = true
	}
	g.check(ctx, "cancel.canceled", x, fault)
	if !gone {
		return
	}
	x, gone = g.cancelBooking(ctx, a.booking.BookingId)
	fault = ""
	if !gone {
		fault = first(x.fault(), "neither a cancelled booking nor BOOKING_ALREADY_CANCELLED")
	}
	g.check(ctx, "cancel.again", x, fault)
	cancelledStatus(ctx, g, a.booking.BookingId)
	switch {
	case !visible:
		g.skip("cancel.free", "the feed has no free slot with at most 10 spots, to see it")
	case free:
		g.skip("cancel.free", "%s was not full before, although all that the feed has open was booked", slot)
	default:
		freed(ctx, g, slot, known)
	}

	// The id looks like a real one but was never assigned.
	x = g.ask(ctx, updateBooking, cancellation(strangerID(a.booking.BookingId)), &mapsbooking.UpdateBookingResponse{})
	if x.Status == http.StatusNotFound {
		g.advise("cancel.unknown", "HTTP 404; Google's table names exactly this case under 400")
	} else {
		g.check(ctx, "cancel.unknown", x, notStatus(x, http.StatusBadRequest))
	}
}

// judgeCancelled compares the answer to a cancellation with the rule.
func judgeCancelled(x *Exchange, id string) string {
	resp, _ := x.Answer.(*mapsbooking.UpdateBookingResponse)
	switch status := word(x.Raw, "booking", "status"); {
	case !x.ok():
		return x.fault()
	case resp.BookingFailure != nil:
		return "booking_failure " + word(x.Raw, "booking_failure", "cause")
	case status == cancelledTwoLs:
		return "status is \"CANCELLED\": the word of BookingStatus has one L"
	case status != "CANCELED":
		return fmt.Sprintf("status is %q", status)
	case resp.GetBooking().GetBookingId() != id:
		return fmt.Sprintf("booking_id is %q instead of %q", resp.GetBooking().GetBookingId(), id)
	}
	return ""
}

func cancelledStatus(ctx context.Context, g *results, id string) {
	x := g.ask(ctx, bookingStatus, &mapsbooking.GetBookingStatusRequest{BookingId: id}, &mapsbooking.GetBookingStatusResponse{})
	fault := x.fault()
	if s := word(x.Raw, "booking_status"); fault == "" && s != "CANCELED" {
		fault = fmt.Sprintf("booking_status is %q", s)
	}
	if x.Status == http.StatusNotImplemented || x.Status == http.StatusNotFound && g.report.verdict("status") != Passed {
		g.skip("cancel.status", "GetBookingStatus is not offered (HTTP %d)", x.Status)
		return
	}
	g.check(ctx, "cancel.status", x, fault)
}

// freed checks that the spot is free again: that lookups say so, and that it can be booked.
func freed(ctx context.Context, g *results, slot Slot, lookups bool) {
	if lookups {
		g.expect(ctx, "cancel.free", slot, true)
	}
	next := g.book(ctx, slot)
	g.check(ctx, "cancel.free", next.x, next.fault())
}
