package conform

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
)

// results gathers what a group finds.
type results struct {
	*rehearsal
	id      string
	checks  map[string]*Check
	stopped string // why the missing checks are missing
	busy    int    // slots that are open in the feed but not on the server
}

// check records the result of a rule; fault is "" if it is obeyed. x is the exchange that shows it, if there is
// one. A rule that is checked several times fails if it fails once.
func (g *results) check(ctx context.Context, rule string, x *Exchange, fault string) {
	if fault == "" {
		g.put(rule, &Check{Verdict: Passed})
		return
	}
	if why := g.over(ctx); why != "" { // the run broke off, which is not the server's fault
		g.stop("%s", why)
		return
	}
	if x != nil && x.unsent {
		g.stop("%s", x.Failure)
		return
	}
	c := &Check{Verdict: Failed, Came: g.client.redact(fault), Times: 1}
	if x != nil {
		c.Sent, c.Answered = g.excerpt(x)
	}
	g.put(rule, c)
}

// advise records that a rule is obeyed, but not ideally.
func (g *results) advise(rule, came string) {
	g.put(rule, &Check{Verdict: Advice, Came: g.client.redact(came)})
}

// skip records that a rule cannot be tested.
func (g *results) skip(rule, format string, args ...any) {
	g.put(rule, &Check{Verdict: NotTested, Came: g.client.redact(fmt.Sprintf(format, args...))})
}

// stop says why the rest of the group cannot be tested. The first reason counts.
func (g *results) stop(format string, args ...any) {
	if g.stopped == "" {
		g.stopped = g.client.redact(fmt.Sprintf(format, args...))
	}
}

// noSlot stops the group because there is no suitable slot.
func (g *results) noSlot(which string) {
	why := g.feed.none()
	if g.busy > 0 {
		why += fmt.Sprintf("; of those that fit, the server says of %d that they are not available", g.busy)
	}
	g.stop("the feed has no %s that is free: %s", which, why)
}

func (g *results) put(rule string, c *Check) {
	weight := map[Verdict]int{NotTested: 1, Passed: 2, Advice: 3, Failed: 4}
	old := g.checks[rule]
	switch {
	case old != nil && old.Verdict == Failed && c.Verdict == Failed:
		old.Times++
	case old == nil || weight[c.Verdict] > weight[old.Verdict]:
		g.checks[rule] = c
	}
}

// excerpt is an exchange as a report shows it.
func (g *results) excerpt(x *Exchange) (sent, answered string) {
	sent = strings.TrimSpace(fmt.Sprintf("%s %s %s", x.Verb, x.Path, short(x.Request)))
	answered = strings.TrimSpace(fmt.Sprintf("%d %s", x.Status, short(x.Body)))
	if x.Status == 0 {
		answered = "none: " + x.Failure
	}
	return g.client.redact(sent), g.client.redact(answered)
}

// group returns what the report says about the group: every rule, including those that it did not reach.
func (g *results) group(of group, requests int) Group {
	done := Group{ID: of.id, Title: of.title, Requests: requests}
	untested := 0
	for _, rule := range rules {
		if id, _, _ := strings.Cut(rule.ID, "."); id != g.id {
			continue
		}
		c := g.checks[rule.ID]
		if c == nil {
			c = &Check{Verdict: NotTested, Came: g.stopped}
			if c.Came == "" {
				c.Came = "an earlier step of this group failed"
			}
		}
		c.Rule = rule
		done.Checks = append(done.Checks, *c)
		if c.Verdict == NotTested {
			untested++
		}
	}
	switch {
	case slices.ContainsFunc(done.Checks, func(c Check) bool { return c.Verdict == Failed }):
		done.Verdict = Failed
	case untested == len(done.Checks):
		done.Verdict, done.Reason = NotTested, g.stopped
	case untested > 0:
		done.Verdict = Partly
	default:
		done.Verdict = Passed
	}
	return done
}

// send sends a request for the group. Once the run is over, it sends only what cleans up.
func (g *results) send(ctx context.Context, k call) *Exchange {
	if why := g.over(ctx); why != "" && g.id != cleanUpID {
		return &Exchange{Group: g.id, Method: k.method, Failure: "not sent: " + why, unsent: true}
	}
	return g.client.send(ctx, g.id, k)
}

// ask sends a message and reads the answer into another.
func (g *results) ask(ctx context.Context, method string, req, answer proto.Message) *Exchange {
	return g.send(ctx, call{method: method, body: encode(req), answer: answer})
}

// lookup asks which of a merchant's slots are free.
func (g *results) lookup(ctx context.Context, slots []Slot) (*Exchange, []*mapsbooking.SlotTime) {
	req := lookupOf(slots)
	return g.ask(ctx, batchLookup, req, &mapsbooking.BatchAvailabilityLookupResponse{}), req.SlotTime
}

func lookupOf(slots []Slot) *mapsbooking.BatchAvailabilityLookupRequest {
	req := &mapsbooking.BatchAvailabilityLookupRequest{MerchantId: slots[0].MerchantID}
	for _, s := range slots {
		req.SlotTime = append(req.SlotTime, s.time())
	}
	return req
}

// free asks whether one slot can be booked, like Google when a guest clicks it. known is false if the answer does
// not say.
func (g *results) free(ctx context.Context, s Slot) (free, known bool) {
	x, asked := g.lookup(ctx, []Slot{s})
	says := answers(asked, x)[0]
	return says != nil && *says, says != nil
}

// expect checks that a lookup now says what it should.
func (g *results) expect(ctx context.Context, rule string, s Slot, free bool) {
	x, asked := g.lookup(ctx, []Slot{s})
	switch says := answers(asked, x)[0]; {
	case says == nil:
		g.skip(rule, "the lookup does not say: see the group \"availability\"")
	case *says != free:
		g.check(ctx, rule, x, fmt.Sprintf("available is %t for %s", *says, s))
	default:
		g.check(ctx, rule, x, "")
	}
}

// plural is "1 booking" or "3 bookings".
func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
