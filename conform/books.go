package conform

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/api/mapsbooking"
)

// attempt is a CreateBooking and its outcome.
type attempt struct {
	slot    Slot
	guest   *mapsbooking.UserInformation
	body    []byte // as it was sent
	plain   []byte // the same as Google usually writes it, if body differs
	x       *Exchange
	booking *mapsbooking.Booking // nil: none was made
	cause   string               // of a booking_failure, as written
}

// fault returns why no booking was made, or "".
func (a *attempt) fault() string {
	switch {
	case !a.x.ok():
		return a.x.fault()
	case a.cause != "":
		return "booking_failure " + a.cause
	case a.booking == nil:
		return "neither a booking nor a booking_failure"
	case a.booking.BookingId == "":
		return "a booking without booking_id"
	}
	return ""
}

// request is a CreateBooking as Google sends it.
func request(s Slot, guest *mapsbooking.UserInformation, token string) *mapsbooking.CreateBookingRequest {
	return &mapsbooking.CreateBookingRequest{
		Slot: s.message(), UserInformation: guest, IdempotencyToken: token,
		PaymentInformation: &mapsbooking.PaymentInformation{PrepaymentStatus: mapsbooking.PrepaymentStatus_PREPAYMENT_NOT_PROVIDED},
	}
}

// book tries to book the slot for a new guest.
func (g *results) book(ctx context.Context, s Slot) *attempt {
	return g.bookFor(ctx, s, g.guests.next())
}

func (g *results) bookFor(ctx context.Context, s Slot, guest *mapsbooking.UserInformation) *attempt {
	return g.attempt(ctx, &attempt{slot: s, guest: guest, body: encode(request(s, guest, token()))}, call{})
}

// again sends the very same request.
func (g *results) again(ctx context.Context, a *attempt) *attempt {
	return g.attempt(ctx, &attempt{slot: a.slot, guest: a.guest, body: a.body}, call{})
}

// attempt sends a's body, as k says, and keeps what it booked.
func (g *results) attempt(ctx context.Context, a *attempt, k call) *attempt {
	k.method, k.body, k.answer = createBooking, a.body, &mapsbooking.CreateBookingResponse{}
	if g.books.full(g.id) {
		a.x = &Exchange{Method: createBooking, Verb: "POST", Failure: "not sent: too many bookings could not be cancelled", unsent: true}
		return a
	}
	a.x = g.send(ctx, k)
	if resp, ok := a.x.Answer.(*mapsbooking.CreateBookingResponse); ok {
		a.booking = resp.Booking
		if resp.BookingFailure != nil {
			if a.cause = word(a.x.Raw, "booking_failure", "cause"); a.cause == "" {
				a.cause = "without a cause"
			}
		}
	}
	g.books.note(g.id, a)
	return a
}

// fill books the slot for new guests until only leave of the feed's open spots are left. It returns the
// bookings that it got.
func (g *results) fill(ctx context.Context, s Slot, leave int) []*attempt {
	var got []*attempt
	for range s.SpotsOpen - leave {
		a := g.book(ctx, s)
		if a.fault() != "" {
			break // perhaps the slot is fuller than the feed says
		}
		got = append(got, a)
	}
	return got
}

// cancellation is the request to cancel a booking, as Google sends it.
func cancellation(bookingID string) *mapsbooking.UpdateBookingRequest {
	return &mapsbooking.UpdateBookingRequest{Booking: &mapsbooking.Booking{
		BookingId: bookingID, Status: mapsbooking.BookingStatus_CANCELED,
	}}
}

// cancelBooking asks to cancel, and reports whether the booking is cancelled now, however that is spelled.
func (g *results) cancelBooking(ctx context.Context, bookingID string) (*Exchange, bool) {
	x := g.send(ctx, call{method: updateBooking, body: encode(cancellation(bookingID)), answer: &mapsbooking.UpdateBookingResponse{}})
	if gone := cancelled(x); gone {
		g.books.gone(bookingID)
		return x, true
	}
	return x, false
}

// cancelled reports whether the answer says that the booking is cancelled.
func cancelled(x *Exchange) bool {
	if !x.ok() {
		return false
	}
	status, cause := word(x.Raw, "booking", "status"), word(x.Raw, "booking_failure", "cause")
	return status == "CANCELED" || status == cancelledTwoLs || cause == "BOOKING_ALREADY_CANCELLED"
}

// books keeps track of what was booked until it is cancelled.
type books struct {
	mu     sync.Mutex
	made   int
	live   []*entry
	unsure []*entry // attempts whose outcome nobody knows
}

// entry is something to cancel.
type entry struct {
	group     string
	bookingID string
	a         *attempt
	newer     string // the id under which it came back
	why       string // why the last try failed
}

// note records the outcome of an attempt.
func (b *books) note(group string, a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case a.booking != nil && a.booking.BookingId != "":
		b.add(&entry{group: group, bookingID: a.booking.BookingId, a: a})
	case a.x.unsent:
	case slices.ContainsFunc(b.unsure, func(e *entry) bool { return bytes.Equal(e.a.body, a.body) }):
	case a.x.Status == 0, a.x.Status >= 500, a.x.Unreadable != "":
		b.unsure = append(b.unsure, &entry{group: group, a: a})
	}
}

func (b *books) add(e *entry) {
	if !slices.ContainsFunc(b.live, func(o *entry) bool { return o.bookingID == e.bookingID }) {
		b.live = append(b.live, e)
		b.made++
	}
}

// rename records that a booking came back under another id. Only cancelling both will show whether the first
// one still exists.
func (b *books) rename(from, to string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.live {
		if e.bookingID == from && to != "" && to != from {
			e.newer = to
			b.add(&entry{group: e.group, bookingID: to, a: e.a})
			return
		}
	}
}

// gone records that a booking is cancelled.
func (b *books) gone(bookingID string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = slices.DeleteFunc(b.live, func(e *entry) bool { return e.bookingID == bookingID })
}

// forget drops bookings that could not be cancelled because they had another id by then, and were cancelled
// under that.
func (b *books) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.live = slices.DeleteFunc(b.live, func(e *entry) bool {
		return e.why != "" && e.newer != "" && !slices.ContainsFunc(b.live, func(o *entry) bool { return o.bookingID == e.newer })
	})
}

// full reports whether too many bookings could not be cancelled to add more, except to see whether cancelling
// works.
func (b *books) full(group string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	stuck := 0
	for _, e := range b.live {
		if e.why != "" {
			stuck++
		}
	}
	return stuck >= 5 && group != "cancel"
}

func (b *books) pending(list *[]*entry, group string) []*entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []*entry
	for _, e := range *list {
		if group == "" || e.group == group {
			found = append(found, e)
		}
	}
	return found
}

func (b *books) settled(e *entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.unsure = slices.DeleteFunc(b.unsure, func(o *entry) bool { return o == e })
}

// cleanUp cancels what a group booked, or everything. It continues for a while after ctx has ended. An attempt
// without an answer may have booked: repeating the request must show that, and then cleanUp can cancel the
// booking.
func (r *rehearsal) cleanUp(ctx context.Context, group string) {
	b := r.books
	if len(b.pending(&b.live, group))+len(b.pending(&b.unsure, group)) == 0 {
		return
	}
	if ctx.Err() != nil {
		r.say("taking back what was booked …")
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	g := &results{rehearsal: r, id: cleanUpID}
	for _, e := range b.pending(&b.unsure, group) {
		body := e.a.body
		if e.a.plain != nil {
			body = e.a.plain
		}
		x := g.send(ctx, call{method: createBooking, body: body, answer: &mapsbooking.CreateBookingResponse{}})
		resp, _ := x.Answer.(*mapsbooking.CreateBookingResponse)
		switch id := resp.GetBooking().GetBookingId(); {
		case id != "":
			b.mu.Lock()
			b.add(&entry{group: e.group, bookingID: id, a: e.a})
			b.mu.Unlock()
			b.settled(e)
		case x.ok(), x.Status >= 400 && x.Status < 500:
			b.settled(e)
		default:
			e.why = x.fault()
		}
	}
	// The newest first: after a reschedule under a new id the old one no longer exists.
	list := b.pending(&b.live, group)
	slices.Reverse(list)
	for _, e := range list {
		x, gone := g.cancelBooking(ctx, e.bookingID)
		if !gone {
			b.mu.Lock()
			if e.why = x.fault(); e.why == "" {
				e.why = short(x.Body)
			}
			b.mu.Unlock()
		}
	}
	b.forget()
}

// cleanUpID is the group of the exchanges that clean up.
const cleanUpID = "clean-up"

// account says what happened to the bookings.
func (b *books) account(redact func(string) string) Cleanup {
	c := Cleanup{Made: b.made, Left: []Leftover{}}
	for _, e := range b.live {
		c.Left = append(c.Left, e.leftover(redact))
	}
	for _, e := range b.unsure {
		c.Left = append(c.Left, e.leftover(redact))
	}
	c.Cancelled = b.made - len(b.live)
	return c
}

func (e *entry) leftover(redact func(string) string) Leftover {
	return Leftover{
		BookingID: e.bookingID, MerchantID: e.a.slot.MerchantID, ServiceID: e.a.slot.ServiceID,
		Start: time.Unix(e.a.slot.StartSec, 0).UTC(), UserID: e.a.guest.UserId,
		Why: redact(fmt.Sprint(e.why)),
	}
}
