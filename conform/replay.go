package conform

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// replay sends a request again, as Google does when an answer gets lost.
func replay(ctx context.Context, g *results) {
	slot, ok := g.pick(ctx, bookable...)
	if !ok {
		g.noSlot("slot")
		return
	}
	a := g.book(ctx, slot)
	if a.fault() != "" {
		g.stop("no booking to repeat: %s", a.fault())
		return
	}
	b := g.again(ctx, a)
	g.check(ctx, "replay.same-booking", b.x, notBooking(b, a.booking.BookingId))
	if b.booking != nil && b.booking.BookingId == a.booking.BookingId {
		fault := ""
		if !reflect.DeepEqual(a.x.Raw, b.x.Raw) {
			fault = "the first answer was " + short(a.x.Body)
		}
		g.check(ctx, "replay.same-answer", b.x, fault)
	}

	other := edited(a.body, func(path string, o map[string]any) {
		switch path {
		case "":
			o["additional_request"] = "another request under the same token"
		case "user_information":
			o["given_name"] = "Other"
		}
	})
	c := g.attempt(ctx, &attempt{slot: slot, guest: a.guest, body: other}, call{})
	g.check(ctx, "replay.first-wins", c.x, notBooking(c, a.booking.BookingId))
}

// notBooking returns the fault of an answer that is not that booking.
func notBooking(a *attempt, id string) string {
	switch {
	case a.fault() != "":
		return a.fault()
	case a.booking.BookingId != id:
		return fmt.Sprintf("booking %q instead of %q", a.booking.BookingId, id)
	}
	return ""
}

// tokens sends copies of a request all at once, like an impatient caller whose first answer is slow.
func tokens(ctx context.Context, g *results) {
	const copies = 8
	slot, ok := g.pick(ctx, bookable...)
	if !ok {
		g.noSlot("slot")
		return
	}
	guest := g.guests.next()
	body := encode(request(slot, guest, token()))
	got := atOnce(copies, func(int) *attempt {
		return g.attempt(ctx, &attempt{slot: slot, guest: guest, body: body}, call{})
	})
	var ids []string
	var faults []string
	var example *Exchange
	for _, a := range got {
		if f := a.fault(); f != "" {
			faults = append(faults, f)
			example = a.x
		} else if !slices.Contains(ids, a.booking.BookingId) {
			ids = append(ids, a.booking.BookingId)
		}
	}
	fault := ""
	if len(ids) != 1 || len(faults) > 0 {
		fault = fmt.Sprintf("%d copies made %s", copies, plural(len(ids), "booking"))
		if len(faults) > 0 {
			fault += fmt.Sprintf(", and %d were answered otherwise: %s", len(faults), tally(faults))
		}
		if example == nil {
			example = got[0].x
		}
	}
	g.check(ctx, "tokens.one-booking", example, fault)
}

// atOnce runs n attempts together.
func atOnce(n int, try func(i int) *attempt) []*attempt {
	got := make([]*attempt, n)
	release := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-release
			got[i] = try(i)
		})
	}
	close(release)
	done.Wait()
	return got
}

// tally lists texts, with how often each occurs.
func tally(all []string) string {
	counts := map[string]int{}
	var order []string
	for _, s := range all {
		if counts[s]++; counts[s] == 1 {
			order = append(order, s)
		}
	}
	for i, s := range order {
		order[i] = fmt.Sprintf("%d × %s", counts[s], s)
	}
	return strings.Join(order, ", ")
}
