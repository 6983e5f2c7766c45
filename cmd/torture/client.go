package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// client is one of the concurrent clients that book, change and look.
type client struct {
	r    *round
	n    int
	rng  *rand.Rand
	made int
	via  int // the server for the client's new requests, counted from 1; 0 is any

	own   []*visit
	again []*asked // refused operations to repeat with the same token
}

// visit is a booking that the client has, and may change.
type visit struct {
	by   *asked // the operation that made it
	id   string
	at   place
	lane int // of its service, the only one that Google's calls know
}

// asked is an operation that makes a booking, and its request.
type asked struct {
	op    string
	deed  deed
	of    string
	to    place
	lease string
}

// work does operations until the round has enough.
func (c *client) work(ctx context.Context) {
	for c.r.next() {
		c.one(ctx)
		if c.rng.IntN(8) == 0 {
			c.cut(ctx)
		}
		c.r.finished.Add(1)
		if c.r.pause > 0 {
			_ = sleep(ctx, time.Duration(c.rng.Int64N(2*int64(c.r.pause))))
		}
	}
}

// try sends something new.
func (c *client) try(ctx context.Context, rec record, req request) answer {
	rec.Via = c.via
	return c.r.try(ctx, rec, req)
}

func (c *client) one(ctx context.Context) {
	const many = 8 // visits, from which on the client gives some up
	n := c.rng.IntN(100)
	switch {
	case len(c.own) >= many && n < 60:
		c.cancel(ctx)
	case len(c.own) == 0 || n < 42:
		c.create(ctx)
	case n < 48 && len(c.again) > 0:
		a := c.again[0]
		c.again = c.again[1:]
		c.ask(ctx, a)
	case n < 57:
		c.replay(ctx)
	case n < 67:
		c.move(ctx)
	case n < 77:
		c.desk(ctx)
	case n < 86:
		c.cancel(ctx)
	case n < 95:
		c.look(ctx)
	default:
		c.lease(ctx)
	}
}

// cut asks for a visit of the stylist, whom all clients want at once. Half of those who get one give it up
// again, so that something is free.
func (c *client) cut(ctx context.Context) {
	got := c.r.caller.send(ctx, c.via, create, stylistRequest(c.r.n, c.rng.IntN(stylistRows), c.name()))
	switch {
	case got.outcome == odd:
		c.r.accuse("odd", "a visit of the stylist: "+got.text)
	case got.outcome == done && c.rng.IntN(2) == 0:
		c.r.caller.send(ctx, c.via, cancel, cancelRequest(got.booking)) // if it is not canceled, it stays
	}
}

func (c *client) name() string {
	c.made++
	return fmt.Sprintf("r%dc%d-%d", c.r.n, c.n, c.made)
}

func (c *client) place(length int) place {
	return place{Lane: c.rng.IntN(lanes), Slot: c.rng.IntN(slotsPerLane - length + 1), Len: length}
}

func (c *client) length() int {
	if c.rng.IntN(8) == 0 {
		return 2
	}
	return 1
}

// create books, now and then with copies of the request at the same time.
func (c *client) create(ctx context.Context) {
	a := &asked{op: c.name(), deed: create, to: c.place(c.length())}
	if c.rng.IntN(20) > 0 {
		c.ask(ctx, a)
		return
	}
	var copies sync.WaitGroup
	for range 1 + c.rng.IntN(7) {
		copies.Go(func() { c.r.try(ctx, a.record(), a.request(c.r.n)) })
	}
	c.ask(ctx, a)
	copies.Wait()
}

func (a *asked) record() record {
	return record{Op: a.op, Deed: a.deed, Of: a.of, To: &a.to}
}

func (a *asked) request(round int) request {
	user := a.op
	if a.deed == use {
		user = a.of
	}
	return createRequest(round, a.op, user, a.to, a.lease)
}

// ask tries until it knows the outcome. The token makes each try the same operation, so a try that is still on
// its way does nothing that another has not done.
func (c *client) ask(ctx context.Context, a *asked) {
	got := c.persist(ctx, func() answer {
		return c.try(ctx, a.record(), a.request(c.r.n))
	})
	switch {
	case got.outcome == done:
		c.own = append(c.own, &visit{by: a, id: got.booking, at: a.to, lane: a.to.Lane})
	case got.outcome == refused && a.deed == create && c.rng.IntN(4) == 0:
		c.again = append(c.again, a)
	}
}

// persist repeats a request with an unknown outcome a few times. If it is still unknown then, the request is
// repeated at the end of the round.
func (c *client) persist(ctx context.Context, try func() answer) answer {
	for n := 1; ; n++ {
		got := try()
		if got.outcome != unknown || n == 6 || ctx.Err() != nil {
			return got
		}
		select {
		case <-time.After(time.Duration(n*20+c.rng.IntN(100*n)) * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (c *client) any() (int, *visit) {
	i := c.rng.IntN(len(c.own))
	return i, c.own[i]
}

// replay repeats the request of an acknowledged booking.
func (c *client) replay(ctx context.Context) {
	_, v := c.any()
	c.r.try(ctx, v.by.record(), v.by.request(c.r.n))
}

// change makes one change of a visit. If its outcome stays unknown, it may still be on its way and would undo
// later changes, so the client leaves the visit alone from then on.
func (c *client) change(ctx context.Context, d deed, i int, to *place, req request) {
	v := c.own[i]
	op, doubt := c.name(), false
	got := c.persist(ctx, func() answer {
		got := c.try(ctx, record{Op: op, Deed: d, Of: v.by.op, ID: v.id, To: to}, req)
		doubt = doubt || got.outcome == unknown
		return got
	})
	switch {
	case doubt || d == cancel && got.outcome == done || got.outcome == odd:
		c.own = slices.Delete(c.own, i, i+1)
	case got.outcome == done:
		v.at = *to
	}
}

func (c *client) cancel(ctx context.Context) {
	i, v := c.any()
	c.change(ctx, cancel, i, nil, cancelRequest(v.id))
}

func (c *client) move(ctx context.Context) {
	i, v := c.any()
	to := c.place(v.at.Len)
	to.Lane = v.lane
	if v.at.Lane != v.lane || to == v.at { // the desk has moved it to a lane that its service does not have
		c.desk(ctx)
		return
	}
	c.change(ctx, move, i, &to, moveRequest(c.r.n, v.id, to))
}

func (c *client) desk(ctx context.Context) {
	i, v := c.any()
	to := c.place(v.at.Len)
	schedule, err := scheduleID(v.id)
	if err != nil {
		c.r.accuse("odd", err.Error())
		return
	}
	if to != v.at {
		c.change(ctx, desk, i, &to, deskRequest(c.r.n, schedule, to))
	}
}

func (c *client) look(ctx context.Context) {
	var places []place
	for range 1 + c.rng.IntN(4) {
		places = append(places, c.place(1))
	}
	c.try(ctx, record{Op: c.name(), Deed: look, Looks: places}, lookRequest(c.r.n, places))
}

// lease takes a lease and, most times, uses it.
func (c *client) lease(ctx context.Context) {
	op, to := c.name(), c.place(1)
	got := c.try(ctx, record{Op: op, Deed: lease, To: &to}, leaseRequest(c.r.n, op, to))
	if got.outcome == done && c.rng.IntN(10) < 7 {
		c.ask(ctx, &asked{op: c.name(), deed: use, of: op, to: to, lease: got.booking})
	}
}
