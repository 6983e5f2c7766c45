package conform

import (
	"context"
	"encoding/json"
	"fmt"
	"mime"
	"slices"
	"strings"

	"holdfast/api/mapsbooking"
)

// formats sends requests in the other forms that Google may use, and then reads every answer of the run strictly.
func formats(ctx context.Context, g *results) {
	if slot, ok := g.pick(ctx, bookable...); ok {
		otherPath(ctx, g, slot)
		variant(ctx, g, "formats.numbers", func(_ string, o map[string]any) {
			for name, v := range o {
				if s, ok := v.(string); ok && strings.HasSuffix(name, "_sec") {
					o[name] = json.Number(s)
				}
			}
		})
		variant(ctx, g, "formats.unknown-fields", func(_ string, o map[string]any) {
			o["conform_unknown_field"] = map[string]any{"list": []any{1, "two"}}
		})
	} else {
		g.noSlot("slot")
	}
	readAll(ctx, g)
}

// otherPath calls every method under both forms of its path. A method that is not answered under either shows
// nothing.
func otherPath(ctx context.Context, g *results, slot Slot) {
	var faults []string
	var example *Exchange
	compared := 0
	compare := func(usual, other *Exchange) {
		if !usual.ok() || other.unsent {
			return
		}
		compared++
		if f := other.fault(); f != "" {
			faults = append(faults, fmt.Sprintf("%s: %s", other.Path, f))
			example = firstOf(example, other)
		}
	}
	both := func(method string, body []byte) {
		compare(g.send(ctx, call{method: method, body: body}), g.send(ctx, call{method: method, body: body, flip: true}))
	}
	both(healthCheck, nil)
	both(batchLookup, encode(lookupOf([]Slot{slot})))
	// Send the same booking twice: by the other path, and again by the usual one.
	guest := g.guests.next()
	other := g.attempt(ctx, &attempt{slot: slot, guest: guest, body: encode(request(slot, guest, token()))}, call{flip: true})
	usual := g.again(ctx, other)
	compare(usual.x, other.x)
	if usual.fault() == "" {
		id := usual.booking.BookingId
		both(bookingStatus, encode(&mapsbooking.GetBookingStatusRequest{BookingId: id}))
		both(listBookings, encode(&mapsbooking.ListBookingsRequest{UserId: guest.UserId}))
		x := g.send(ctx, call{method: updateBooking, body: encode(cancellation(id)), answer: &mapsbooking.UpdateBookingResponse{}, flip: true})
		again, _ := g.cancelBooking(ctx, id)
		compare(again, x)
		if cancelled(x) { // if cancelling has a fault, "cancel" reports it
			g.books.gone(id)
		}
	}
	if compared == 0 {
		g.skip("formats.slash", "no method is answered under either form of its path")
		return
	}
	g.check(ctx, "formats.slash", example, strings.Join(faults, "; "))
}

// variant sends a lookup and a booking written in another way, and as usual. It only matters that the server
// understands them: a booking may fail for its own reasons.
func variant(ctx context.Context, g *results, rule string, change func(string, map[string]any)) {
	slot, ok := g.pick(ctx, bookable...)
	if !ok {
		g.skip(rule, "no slot is free any more: %s", g.feed.none())
		return
	}
	compare := func(varied, usual *Exchange) {
		if varied.fault() == "" || usual.ok() {
			g.check(ctx, rule, varied, varied.fault())
		} else {
			g.skip(rule, "%s is not answered as usual either: %s", usual.Method, usual.fault())
		}
	}
	lookup := encode(lookupOf([]Slot{slot}))
	ask := func(body []byte) *Exchange {
		return g.send(ctx, call{method: batchLookup, body: body, answer: &mapsbooking.BatchAvailabilityLookupResponse{}})
	}
	compare(ask(edited(lookup, change)), ask(lookup))

	guest := g.guests.next()
	plain := &attempt{slot: slot, guest: guest, body: encode(request(slot, guest, token()))}
	varied := g.attempt(ctx, &attempt{slot: slot, guest: guest, body: edited(plain.body, change), plain: plain.body}, call{})
	if varied.fault() == "" {
		compare(varied.x, varied.x)
		g.cancelBooking(ctx, varied.booking.BookingId)
		return
	}
	plain = g.again(ctx, plain)
	compare(varied.x, plain.x)
	if plain.fault() == "" {
		g.cancelBooking(ctx, plain.booking.BookingId)
	}
}

// readAll reads the successful answers of all groups.
func readAll(ctx context.Context, g *results) {
	seen := false
	for _, x := range g.client.all() {
		if x.Answer == nil && x.Unreadable == "" {
			continue
		}
		seen = true
		kind, _, err := mime.ParseMediaType(x.Type)
		fault := ""
		if err != nil || kind != "application/json" {
			fault = fmt.Sprintf("Content-Type is %q", x.Type)
		}
		g.check(ctx, "formats.content-type", x, fault)
		g.check(ctx, "formats.types", x, x.Unreadable)
		if x.Answer == nil {
			continue
		}
		var f findings
		strict(x.Answer.ProtoReflect().Descriptor(), x.Raw, "", &f)
		g.check(ctx, "formats.names", x, strings.Join(f.camel, ", "))
		if len(f.unknown) > 0 {
			g.advise("formats.names", "fields that Google's messages do not have: "+strings.Join(f.unknown, ", "))
		}
		isCause := func(w string) bool { return strings.Contains(w, "cause ") }
		causes := append(f.causes, slices.DeleteFunc(slices.Clone(f.words), func(w string) bool { return !isCause(w) })...)
		g.check(ctx, "formats.causes", x, strings.Join(causes, ", "))
		words := slices.DeleteFunc(f.words, func(w string) bool {
			return isCause(w) || g.told[toldWord] && strings.HasSuffix(w, " "+cancelledTwoLs)
		})
		g.check(ctx, "formats.enums", x, strings.Join(words, ", "))
	}
	if !seen {
		g.stop("no answer could be read")
	}
}
