package conform

import (
	"context"
	"fmt"
	"net/http"

	"holdfast/api/mapsbooking"
)

func status(ctx context.Context, g *results) {
	slot, ok := g.pick(ctx, bookable...)
	if !ok {
		g.noSlot("slot")
		return
	}
	a := g.book(ctx, slot)
	if a.fault() != "" {
		g.stop("no booking to ask about: %s", a.fault())
		return
	}
	ask := func(id string) *Exchange {
		return g.ask(ctx, bookingStatus, &mapsbooking.GetBookingStatusRequest{BookingId: id}, &mapsbooking.GetBookingStatusResponse{})
	}
	x := ask(a.booking.BookingId)
	if x.absent() {
		g.stop("GetBookingStatus is not offered (HTTP %d for a booking that there is)", x.Status)
		return
	}
	g.check(ctx, "status.answer", x, first(x.fault(), judgeStatus(x, a.booking.BookingId)))
	if x.ok() {
		fault := ""
		if word(x.Raw, "prepayment_status") == "" {
			fault = "prepayment_status is missing"
		}
		g.check(ctx, "status.prepayment", x, fault)
	}
	x = ask(strangerID(a.booking.BookingId))
	g.check(ctx, "status.unknown", x, notStatus(x, http.StatusNotFound))
}

// judgeStatus compares an answer with a live booking.
func judgeStatus(x *Exchange, id string) string {
	resp, _ := x.Answer.(*mapsbooking.GetBookingStatusResponse)
	if got := resp.GetBookingId(); got != id {
		return fmt.Sprintf("booking_id is %q instead of %q", got, id)
	}
	if s := word(x.Raw, "booking_status"); s != "CONFIRMED" && s != "PENDING_MERCHANT_CONFIRMATION" {
		return fmt.Sprintf("booking_status is %q", s)
	}
	return ""
}
