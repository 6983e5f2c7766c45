package conform

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
)

// auth sends requests that are right except for the credentials. If a server accepts one, auth records and
// cancels the booking.
func auth(ctx context.Context, g *results) {
	slot, found := g.pick(ctx, bookable...)
	if !found { // the server checks credentials first, so the slot need not exist
		slot = Slot{MerchantID: "conform-unknown", ServiceID: "conform-unknown", StartSec: g.now().Unix() + 86400, DurationSec: 3600}
	}
	guest := g.guests.next()
	requests := []struct {
		method string
		body   func() proto.Message // nil: GET
	}{
		{healthCheck, nil},
		{batchLookup, func() proto.Message { return lookupOf([]Slot{slot}) }},
		{createBooking, func() proto.Message { return request(slot, g.guests.next(), token()) }},
		{updateBooking, func() proto.Message { return cancellation(strangerID("")) }},
		{bookingStatus, func() proto.Message { return &mapsbooking.GetBookingStatusRequest{BookingId: strangerID("")} }},
		{listBookings, func() proto.Message { return &mapsbooking.ListBookingsRequest{UserId: guest.UserId} }},
	}
	for _, variant := range []struct {
		rule  string
		shows shown
	}{{"auth.none", none}, {"auth.wrong", wrong}} {
		var let []string
		var example *Exchange
		for _, r := range requests {
			k := call{method: r.method, shows: variant.shows}
			var x *Exchange
			switch {
			case r.body == nil:
				x = g.send(ctx, k)
			case r.method == createBooking:
				x = g.attempt(ctx, &attempt{slot: slot, guest: guest, body: encode(r.body())}, k).x
			default:
				k.body = encode(r.body())
				x = g.send(ctx, k)
			}
			legacy := r.method == bookingStatus || r.method == listBookings
			if x.Status != http.StatusUnauthorized && !(legacy && x.absent()) {
				let = append(let, fmt.Sprintf("%s %d", r.method, x.Status))
				if example == nil {
					example = x
				}
			}
		}
		fault := ""
		if len(let) > 0 {
			fault = "answered otherwise: " + strings.Join(let, ", ")
		}
		g.check(ctx, variant.rule, example, fault)
	}
}
