package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// lookupSlots is how many slots Google asks for when it loads a page.
const lookupSlots = 67

// One in this many bookings is sent twice, and one in this many must be refused.
const (
	replayEvery = 64
	refuseEvery = 128
)

// caller makes requests to a server with a stock, and knows what the answers must be.
type caller struct {
	stock
	google string   // Authorization of Google
	desk   []string // and of each merchant's desk
	serial atomic.Int64
	booked atomic.Int64 // bookings that the server said it made
}

func newCaller(s stock) *caller {
	return &caller{stock: s, google: "Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}
}

var errWrong = errors.New("wrong answer")

// has returns a check that an answer is a 200 and contains all of these texts.
func has(texts ...string) func(int, []byte) error {
	return func(status int, answer []byte) error {
		if status != 200 {
			return fmt.Errorf("%w: not a 200", errWrong)
		}
		for _, t := range texts {
			if !bytes.Contains(answer, []byte(t)) {
				return fmt.Errorf("%w: no %s", errWrong, t)
			}
		}
		return nil
	}
}

// between returns the text between two others, or "".
func between(answer []byte, before, after string) string {
	_, rest, _ := strings.Cut(string(answer), before)
	text, _, found := strings.Cut(rest, after)
	if !found {
		return ""
	}
	return text
}

func (c *caller) slot(lane, n int) string {
	merchant := raceMerchant
	if lane < lanes {
		merchant = merchantOf(lane)
	}
	return fmt.Sprintf(`{"merchant_id":"%s","service_id":"%s","start_sec":"%d","duration_sec":"%d"}`,
		merchant, serviceOf(lane), c.startSec(n), slotSec)
}

// anywhere returns a lane and a slot on it that has room.
func (c *caller) anywhere(r *rand.Rand) (lane, n int) {
	return r.IntN(lanes), blockLen*r.IntN(c.blocks()) + r.IntN(blockLen-1)
}

func (c *caller) hottest(*rand.Rand) (lane, n int) { return 0, 0 }

// create books a slot for a new guest. It calls made, if not nil, with the ids of the booking and the guest.
func (c *caller) create(lane, n int, made func(id, user string)) call {
	serial := c.serial.Add(1)
	user := fmt.Sprintf("user-%d", serial)
	body := fmt.Appendf(nil, `{"slot":%s,"user_information":{"user_id":"%s","given_name":"John","family_name":"Smith",`+
		`"telephone":"+82 10 %d","email":"john%d@example.com"},"idempotency_token":"token-%d-%d"}`,
		c.slot(lane, n), user, 1_000_000_000_000+serial, serial, time.Now().UnixNano(), serial)
	right := has(`{"booking":{"booking_id":"`, fmt.Sprintf(`"start_sec":"%d"`, c.startSec(n)), `"user_id":"`+user+`"`, `"status":"CONFIRMED"`)
	return call{path: "/v3/CreateBooking", auth: c.google, body: body, check: func(status int, answer []byte) error {
		if err := right(status, answer); err != nil {
			return err
		}
		c.booked.Add(1)
		if made != nil {
			made(bookingID(answer), user)
		}
		return nil
	}}
}

func bookingID(answer []byte) string { return between(answer, `"booking_id":"`, `"`) }

// refused asks for a slot that is full.
func (c *caller) refused(r *rand.Rand) call {
	call := c.create(r.IntN(lanes), blockLen*r.IntN(c.blocks())+blockLen-1, nil)
	call.check, call.apart = has(`{"booking_failure":{"cause":"SLOT_UNAVAILABLE"`), true
	return call
}

// creates books where place says. It sends some requests twice, and the second answer must name the first one's booking;
// some requests must be refused.
func (c *caller) creates(clients int, place func(*rand.Rand) (lane, n int)) maker {
	again := make([]*call, clients)
	return func(client int, r *rand.Rand) call {
		if replay := again[client]; replay != nil {
			again[client] = nil
			return *replay
		}
		if c.loaded && r.IntN(refuseEvery) == 0 {
			return c.refused(r)
		}
		lane, n := place(r)
		if r.IntN(replayEvery) > 0 {
			return c.create(lane, n, nil)
		}
		var first call
		first = c.create(lane, n, func(id, _ string) {
			again[client] = &call{path: first.path, auth: first.auth, body: first.body, apart: true, check: has(`{"booking":{"booking_id":"` + id + `"`)}
		})
		return first
	}
}

// lookups asks for 67 slots in a row, as Google does when a guest opens a page.
func (c *caller) lookups(_ int, r *rand.Rand) call {
	lane, from := r.IntN(lanes), r.IntN(c.starts-lookupSlots+1)
	body := fmt.Appendf(nil, `{"merchant_id":"%s","slot_time":[`, merchantOf(lane))
	for n := from; n < from+lookupSlots; n++ {
		if n > from {
			body = append(body, ',')
		}
		body = fmt.Appendf(body, `{"service_id":"%s","start_sec":"%d","duration_sec":"%d"}`, serviceOf(lane), c.startSec(n), slotSec)
	}
	body = append(body, `]}`...)
	return call{path: "/v3/BatchAvailabilityLookup", auth: c.google, body: body, check: func(status int, answer []byte) error {
		return c.checkLookup(status, answer, from)
	}}
}

// checkLookup wants an answer for each slot, in order.
func (c *caller) checkLookup(status int, answer []byte, from int) error {
	if err := has(`"slot_time_availability":[`)(status, answer); err != nil {
		return err
	}
	parts := bytes.Split(answer, []byte(`"available":`))
	if len(parts) != lookupSlots+1 {
		return fmt.Errorf("%w: %d slots instead of %d", errWrong, len(parts)-1, lookupSlots)
	}
	for i := range lookupSlots {
		if !bytes.Contains(parts[i], fmt.Appendf(nil, `"start_sec":"%d"`, c.startSec(from+i))) {
			return fmt.Errorf("%w: slot %d is another one", errWrong, i)
		}
		if free := bytes.HasPrefix(parts[i+1], []byte("true")); free == c.full(from+i) {
			return fmt.Errorf("%w: slot %d is said to be available: %t", errWrong, i, free)
		}
	}
	return nil
}

// move is the desk's update-reservation of a visit.
func (c *caller) move(schedule string, lane, n int) call {
	at := func(n int) string { return time.Unix(c.startSec(n), 0).UTC().Format(time.RFC3339) }
	body := fmt.Appendf(nil, `{"scheduleId":"%s","zoneId":"%s","occupiedResources":[{"startDateTimeUtc":"%s","endDateTimeUtc":"%s",`+
		`"reservationGroup":{"reservationGroupId":"%s","zoneId":"%s"}}]}`, schedule, zoneID, at(n), at(n+1), groupOf(lane), zoneID)
	return call{
		path: "/schedule/open/v2/commands/update-reservation", auth: c.desk[lane/lanesPerMerchant], body: body,
		check: func(status int, answer []byte) error {
			if status != 200 || string(bytes.TrimSpace(answer)) != "{}" {
				return fmt.Errorf("%w: not {}", errWrong)
			}
			return nil
		},
	}
}

// list asks for a guest's upcoming bookings, which must be one visit at slot n.
func (c *caller) list(user string, n int) call {
	return call{path: "/v3/ListBookings", auth: c.google, body: fmt.Appendf(nil, `{"user_id":"%s"}`, user), check: func(status int, answer []byte) error {
		if bytes.Count(answer, []byte(`"booking_id"`)) != 1 {
			return fmt.Errorf("%w: not one booking", errWrong)
		}
		return has(fmt.Sprintf(`"start_sec":"%d"`, c.startSec(n)))(status, answer)
	}}
}

// moves moves the loaded visits, each client its own, and now and then checks that the guest sees the new time.
func (c *caller) moves(clients int) maker {
	look := make([]*call, clients)
	return func(client int, r *rand.Rand) call {
		if l := look[client]; l != nil {
			look[client] = nil
			return *l
		}
		b := client + clients*r.IntN(c.movable()/clients)
		_, n := c.anywhere(r)
		if r.IntN(replayEvery) == 0 {
			l := c.list(fmt.Sprintf("loaded-%d", 2*b), n)
			l.apart = true
			look[client] = &l
		}
		return c.move(fmt.Sprintf("%024x", 2*b), b/c.blocks(), n)
	}
}

// unlock fetches the tokens of all merchants' desks.
func (c *caller) unlock(ctx context.Context, s *server) error {
	for lane := 0; lane < lanes; lane += lanesPerMerchant {
		key, err := s.run(ctx, "key", "create", "--merchant", merchantOf(lane))
		if err != nil {
			return err
		}
		err = once(ctx, s.address, call{
			path: "/open/authorization/commands/exchange-token", body: fmt.Appendf(nil, `{"key":"%s"}`, strings.TrimSpace(key)),
			check: func(status int, answer []byte) error {
				c.desk = append(c.desk, "Bearer "+between(answer, `"token":"`, `"`))
				return has(`"token":"`)(status, answer)
			},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// visit is a booking made over the API.
type visit struct {
	id, schedule, user string
	lane, n            int
}

// visits makes each bookings for every client, and finds out what the desk calls them.
func (c *caller) visits(ctx context.Context, s *server, clients, each int) ([][]visit, error) {
	all := make([][]visit, clients)
	byID := map[string]*visit{}
	for client := range all {
		for i := range each {
			v := visit{lane: (client*each + i) % lanes, n: i % (blockLen - 1)}
			if err := once(ctx, s.address, c.create(v.lane, v.n, func(id, user string) { v.id, v.user = id, user })); err != nil {
				return nil, err
			}
			all[client] = append(all[client], v)
		}
		for i := range all[client] {
			byID[all[client][i].id] = &all[client][i]
		}
	}
	out, err := s.run(ctx, "bookings", "--json")
	if err != nil {
		return nil, err
	}
	var listed []struct {
		ID       string `json:"booking_id"`
		Schedule string `json:"schedule_id"`
	}
	if err := json.Unmarshal([]byte(out), &listed); err != nil {
		return nil, err
	}
	for _, l := range listed {
		if v := byID[l.ID]; v != nil {
			v.schedule = l.Schedule
		}
	}
	return all, nil
}

// method is a method of the API, measured alone.
type method struct {
	name string
	next maker
}

// methods are all of v3 and update-reservation. A client changes only its own visits.
func (c *caller) methods(clients int, visits [][]visit) []method {
	post := func(name, body string, check func(int, []byte) error) call {
		return call{path: "/v3/" + name, auth: c.google, body: []byte(body), check: check}
	}
	mine := func(client int, r *rand.Rand) *visit { return &visits[client][r.IntN(len(visits[client]))] }
	start := func(n int) string { return fmt.Sprintf(`"start_sec":"%d"`, c.startSec(n)) }
	return []method{
		{"HealthCheck", func(int, *rand.Rand) call {
			return call{path: "/v3/HealthCheck", auth: c.google, check: has("SERVING")}
		}},
		{"BatchAvailabilityLookup, 67 slots", c.lookups},
		{"CheckAvailability", func(_ int, r *rand.Rand) call {
			lane, n := c.anywhere(r)
			return post("CheckAvailability", `{"slot":`+c.slot(lane, n)+`}`, has(`"count_available":`, start(n)))
		}},
		{"CreateLease", func(_ int, r *rand.Rand) call {
			lane, n := c.anywhere(r)
			body := fmt.Sprintf(`{"lease":{"slot":%s,"user_reference":"lessee-%d"}}`, c.slot(lane, n), c.serial.Add(1))
			return post("CreateLease", body, has(`{"lease":{"lease_id":"`, start(n)))
		}},
		{"CreateBooking", c.creates(clients, c.anywhere)},
		{"UpdateBooking, another time", func(client int, r *rand.Rand) call {
			v := mine(client, r)
			_, v.n = c.anywhere(r)
			body := fmt.Sprintf(`{"booking":{"booking_id":"%s","slot":{%s,"duration_sec":"%d"}}}`, v.id, start(v.n), slotSec)
			return post("UpdateBooking", body, has(`{"booking":{"booking_id":"`+v.id, start(v.n)))
		}},
		{"GetBookingStatus", func(client int, r *rand.Rand) call {
			return post("GetBookingStatus", `{"booking_id":"`+mine(client, r).id+`"}`, has(`"booking_status":"CONFIRMED"`))
		}},
		{"ListBookings", func(client int, r *rand.Rand) call { v := mine(client, r); return c.list(v.user, v.n) }},
		{"SetMarketingPreference", func(client int, r *rand.Rand) call {
			user := mine(client, r).user
			return post("SetMarketingPreference", `{"user_information":{"user_id":"`+user+`"},"user_to_receive_marketing":true}`, has(user))
		}},
		{"update-reservation", func(client int, r *rand.Rand) call {
			v := mine(client, r)
			_, v.n = c.anywhere(r)
			return c.move(v.schedule, v.lane, v.n)
		}},
	}
}
