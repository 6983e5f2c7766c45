package conform

import (
	"context"
	"fmt"

	"holdfast/api/mapsbooking"
)

// Task is a task of the partner portal's milestone "Booking Server Ready". It counts like the portal: an HTTP
// error, an unreadable answer and a missing one are errors, and so is a CreateBooking that fails. The other groups
// report what is wrong inside an answer.
type Task struct {
	Task    string  `json:"task"`
	Sent    int     `json:"sent"`
	Good    int     `json:"good"`
	Needed  int     `json:"needed"` // how many are needed: sent, or for bookings good
	Verdict Verdict `json:"verdict"`

	rule      string
	countGood bool
	example   *Exchange
	fault     string
}

func (t *Task) note(x *Exchange, fault string) {
	if x.unsent {
		return
	}
	t.Sent++
	if fault == "" {
		t.Good++
	} else {
		t.example, t.fault = x, fault
	}
}

// readiness does what the tasks demand, as a guest would: look at a page, click a slot, book it, move it.
func readiness(ctx context.Context, g *results) {
	pages := &Task{Task: "BatchAvailabilityLookup, page load", rule: "readiness.page-load", Needed: 20}
	clicks := &Task{Task: "BatchAvailabilityLookup, slot click", rule: "readiness.slot-click", Needed: 20}
	creates := &Task{Task: "CreateBooking", rule: "readiness.create", Needed: 10, countGood: true}
	updates := &Task{Task: "UpdateBooking", rule: "readiness.update", Needed: 10, countGood: true}
	tasks := []*Task{pages, clicks, creates, updates}

	for range pages.Needed {
		page := g.pool.page(pageSlots)
		if len(page) == 0 {
			g.noSlot("slot")
			return
		}
		x, _ := g.lookup(ctx, page)
		pages.note(x, x.fault())
	}
	const most = 40 // clicks, to find 10 slots that are free
	for clicks.Sent < most && (clicks.Sent < clicks.Needed || creates.Good < creates.Needed) && g.over(ctx) == "" {
		s := g.pool.candidates(bookable[2])[0]
		g.pool.use(s)
		free := g.click(ctx, clicks, s.Slot)
		if !free || creates.Good >= creates.Needed && updates.Good >= updates.Needed || creates.Sent >= creates.Needed+2 {
			continue
		}
		a := g.book(ctx, s.Slot)
		creates.note(a.x, a.fault())
		if a.fault() == "" {
			g.update(ctx, a, clicks, updates)
		}
	}
	for _, t := range tasks {
		t.judge(ctx, g)
		g.report.Readiness = append(g.report.Readiness, *t)
	}
}

func (g *results) click(ctx context.Context, clicks *Task, s Slot) (free bool) {
	x, asked := g.lookup(ctx, []Slot{s})
	clicks.note(x, x.fault())
	says := answers(asked, x)[0]
	return says != nil && *says
}

// update moves the booking, or cancels it if there is no other time, and then frees the slot for the next guest.
func (g *results) update(ctx context.Context, a *attempt, clicks, updates *Task) {
	id := a.booking.BookingId
	pending := word(a.x.Raw, "booking", "status") == "PENDING_MERCHANT_CONFIRMATION"
	if others := g.pool.candidates(sibling(a.slot)); len(others) > 0 && !pending {
		g.pool.use(others[0])
		if g.click(ctx, clicks, others[0].Slot) {
			x := g.move(ctx, id, others[0].Slot)
			updates.note(x, updateFault(x))
			if resp, ok := x.Answer.(*mapsbooking.UpdateBookingResponse); ok && resp.GetBooking().GetBookingId() != "" {
				id = resp.Booking.BookingId
			}
			g.cancelBooking(ctx, id)
			return
		}
	}
	x, _ := g.cancelBooking(ctx, id)
	updates.note(x, updateFault(x))
}

func updateFault(x *Exchange) string {
	if cause := word(x.Raw, "booking_failure", "cause"); cause != "" {
		return "booking_failure " + cause
	}
	return x.fault()
}

// judge passes a task with at least 90 % of its requests good.
func (t *Task) judge(ctx context.Context, g *results) {
	count := t.Sent
	if t.countGood {
		count = t.Good
	}
	switch {
	case t.Good*10 < t.Sent*9 || t.Sent > 0 && t.Good == 0:
		g.check(ctx, t.rule, t.example, fmt.Sprintf("%d of %d without error; the last one: %s", t.Good, t.Sent, t.fault))
	case count < t.Needed:
		g.skip(t.rule, "%d of %d: of too few slots the server says that they are available", count, t.Needed)
	default:
		g.check(ctx, t.rule, nil, "")
	}
	t.Verdict = NotTested
	if c := g.checks[t.rule]; c != nil {
		t.Verdict = c.Verdict
	}
}
