package conform

import (
	"context"
	"fmt"

	"holdfast/api/mapsbooking"
)

// reschedule fills two slots except for one spot in the second, and moves a booking there from the first: then a
// spot must be free where it was, and none where it is.
func reschedule(ctx context.Context, g *results) {
	from, to, ok := g.pair(ctx)
	if !ok {
		g.noSlot("pair of slots of the same service and resources at different times")
		return
	}
	var a *attempt
	visible := from.SpotsOpen <= 10 && to.SpotsOpen <= 10
	if visible {
		g.fill(ctx, to, 1)
		for _, got := range g.fill(ctx, from, 0) {
			a = got
		}
	} else {
		a = g.book(ctx, from)
	}
	switch {
	case a == nil:
		g.stop("no booking to move: the slot could not be booked")
		return
	case a.fault() != "":
		g.stop("no booking to move: %s", a.fault())
		return
	case word(a.x.Raw, "booking", "status") == "PENDING_MERCHANT_CONFIRMATION":
		g.stop("the booking waits for the merchant, and Google does not offer to move such")
		return
	}

	x := g.move(ctx, a.booking.BookingId, to)
	f := judgeMoved(a, to, x)
	g.check(ctx, "reschedule.moved", x, f.moved)
	if f.moved != "" {
		return
	}
	g.check(ctx, "reschedule.same-id", x, f.id)
	g.check(ctx, "reschedule.whole", x, f.whole)
	switch why := "the feed has no free pair of slots with at most 10 spots, to see it"; {
	case !visible:
		g.skip("reschedule.old-free", "%s", why)
		g.skip("reschedule.new-taken", "%s", why)
	default:
		g.expect(ctx, "reschedule.old-free", from, true)
		g.expect(ctx, "reschedule.new-taken", to, false)
	}
	if f.id != "" {
		g.skip("reschedule.again", "the booking has another id now")
		return
	}
	x = g.move(ctx, a.booking.BookingId, to)
	g.check(ctx, "reschedule.again", x, judgeMoved(a, to, x).moved)
}

// pair picks two slots between which a booking can move by changing only its time.
func (g *results) pair(ctx context.Context) (from, to Slot, ok bool) {
	var wishes []want // a booking that the merchant must confirm cannot move
	for _, fits := range bookable {
		wishes = append(wishes, both(fits, func(s Slot) bool { return s.Mode != mapsbooking.ConfirmationMode_CONFIRMATION_MODE_ASYNCHRONOUS }))
	}
	tries := 6
	for _, fits := range append(wishes, bookable...) {
		for _, s := range g.pool.candidates(fits) {
			siblings := sibling(s.Slot)
			if len(g.pool.candidates(siblings)) == 0 {
				continue
			}
			if tries--; tries < 0 {
				return from, to, false
			}
			g.pool.use(s)
			if free, known := g.free(ctx, s.Slot); known && !free {
				continue
			}
			if to, ok := g.pick(ctx, both(siblings, spots(1, 1)), both(siblings, spots(2, 10)), siblings); ok {
				return s.Slot, to, true
			}
		}
	}
	return from, to, false
}

// move asks for another time like Google's sample, with start and duration and nothing else.
func (g *results) move(ctx context.Context, bookingID string, to Slot) *Exchange {
	x := g.ask(ctx, updateBooking, &mapsbooking.UpdateBookingRequest{Booking: &mapsbooking.Booking{
		BookingId: bookingID, Slot: &mapsbooking.Slot{StartSec: &to.StartSec, DurationSec: &to.DurationSec},
	}}, &mapsbooking.UpdateBookingResponse{})
	if resp, ok := x.Answer.(*mapsbooking.UpdateBookingResponse); ok {
		g.books.rename(bookingID, resp.GetBooking().GetBookingId())
	}
	return x
}

// movedFaults is what is wrong with a moved booking.
type movedFaults struct{ moved, id, whole string }

// judgeMoved compares the answer with the booking as it was, and with its new time.
func judgeMoved(a *attempt, to Slot, x *Exchange) (f movedFaults) {
	resp, _ := x.Answer.(*mapsbooking.UpdateBookingResponse)
	b := resp.GetBooking()
	switch {
	case !x.ok():
		f.moved = x.fault()
		return f
	case resp.BookingFailure != nil:
		f.moved = "booking_failure " + word(x.Raw, "booking_failure", "cause")
		return f
	case b == nil:
		f.moved = "no booking in the answer"
		return f
	case b.GetSlot().GetStartSec() != to.StartSec || b.GetSlot().GetDurationSec() != to.DurationSec:
		f.moved = fmt.Sprintf("the slot in the answer has start_sec %d and duration_sec %d instead of %d and %d",
			b.GetSlot().GetStartSec(), b.GetSlot().GetDurationSec(), to.StartSec, to.DurationSec)
		return f
	}
	if b.BookingId != a.booking.BookingId {
		f.id = fmt.Sprintf("booking_id is %q, and was %q", b.BookingId, a.booking.BookingId)
	}
	whole := a.slot
	whole.StartSec, whole.DurationSec = to.StartSec, to.DurationSec
	status := ""
	if s := word(x.Raw, "booking", "status"); s != "CONFIRMED" {
		status = fmt.Sprintf("status is %q instead of \"CONFIRMED\"", s)
	}
	user := ""
	if got := b.GetUserInformation().GetUserId(); got != a.guest.UserId {
		user = fmt.Sprintf("user_information.user_id is %q instead of %q", got, a.guest.UserId)
	}
	f.whole = first(sameSlot(whole, b.Slot), status, user)
	return f
}
