package main

import (
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
)

// The contested world: one clinic, always open, with few lanes and few slots, so that clients compete. Each round has a day
// of its own.
const (
	lanes        = 6
	slotsPerLane = 16
	slotSec      = 1800
	merchant     = "torture"
	zone         = "65a000000000000000000001"
	credentials  = "google:torture"
	// firstDay is 2035-01-01, UTC.
	firstDay = 2051222400
	daySec   = 86400
)

// capacity returns how many visits a lane has room for at a time.
func capacity(lane int) int { return 1 + lane%3 }

// place is where a visit is: Len slots of a lane, from one on.
type place struct {
	Lane int `json:"lane"`
	Slot int `json:"slot"`
	Len  int `json:"len"`
}

// slots returns the place's slots, numbered over all lanes.
func (p place) slots() []int {
	var all []int
	for i := range p.Len {
		all = append(all, p.Lane*slotsPerLane+p.Slot+i)
	}
	return all
}

// service returns the service to book for a visit of that length on that lane.
func (p place) service() string { return fmt.Sprintf("lane-%d-%d", p.Lane, p.Len) }

func (p place) startSec(round int) int64 {
	return firstDay + int64(round)*daySec + int64(p.Slot)*slotSec
}
func (p place) lengthSec() int64 { return int64(p.Len) * slotSec }

func day(round int) string {
	return time.Unix(firstDay+int64(round)*daySec, 0).UTC().Format(time.DateOnly)
}

func group(lane int) string { return fmt.Sprintf("65b%021d", lane) }

// clinic is the catalogue.
func clinic() string {
	var y strings.Builder
	fmt.Fprintf(&y, "merchants:\n- id: %s\n  name: torture\n  time_zone: UTC\n  zones: [{id: %s, name: zone}]\n  groups:\n", merchant, zone)
	for i := range lanes {
		fmt.Fprintf(&y, "  - {id: %s, title: lane, interval_minutes: 30, zones: [{zone_id: %s, capacity: %d}]}\n", group(i), zone, capacity(i))
	}
	y.WriteString("  services:\n")
	for i := range lanes {
		for n := 1; n <= 2; n++ {
			fmt.Fprintf(&y, "  - {id: %s, group_id: %s, duration_sec: %d}\n", place{Lane: i, Len: n}.service(), group(i), n*slotSec)
		}
	}
	return y.String()
}

// scheduleID returns the clinic's name of a booking: the second in which it was made and the second half of its id. A real
// desk would learn it from a list of visits.
func scheduleID(bookingID string) (string, error) {
	id, err := uuid.Parse(bookingID)
	if err != nil {
		return "", err
	}
	if id.Version() != 7 {
		return "", fmt.Errorf("booking id %s does not say when it was made", id)
	}
	var ms uint64
	for _, b := range id[:6] {
		ms = ms<<8 | uint64(b)
	}
	return fmt.Sprintf("%08x", ms/1000) + hex.EncodeToString(id[8:]), nil
}

// request is a call of the server.
type request struct {
	path string
	desk bool // with the clinic's token, else with Google's credentials
	body string
}

func slotJSON(round int, p place) string {
	return fmt.Sprintf(`{"merchant_id":%q,"service_id":%q,"start_sec":"%d","duration_sec":"%d"}`, merchant, p.service(), p.startSec(round), p.lengthSec())
}

// createRequest books; lease is empty, or the lease to use.
func createRequest(round int, token, user string, p place, lease string) request {
	ref := ""
	if lease != "" {
		ref = fmt.Sprintf(`,"lease_ref":{"lease_id":%q}`, lease)
	}
	return request{path: "/v3/CreateBooking", body: fmt.Sprintf(
		`{"slot":%s,"user_information":{"user_id":%q,"given_name":"John","family_name":"Smith","telephone":"+82 10 %d","email":"%s@example.com"},"idempotency_token":%q%s}`,
		slotJSON(round, p), user, p.startSec(round), user, token, ref)}
}

func leaseRequest(round int, user string, p place) request {
	return request{path: "/v3/CreateLease", body: fmt.Sprintf(`{"lease":{"slot":%s,"user_reference":%q}}`, slotJSON(round, p), user)}
}

func cancelRequest(id string) request {
	return request{path: "/v3/UpdateBooking", body: fmt.Sprintf(`{"booking":{"booking_id":%q,"status":"CANCELED"}}`, id)}
}

func moveRequest(round int, id string, p place) request {
	return request{path: "/v3/UpdateBooking", body: fmt.Sprintf(`{"booking":{"booking_id":%q,"slot":{"start_sec":"%d","duration_sec":"%d"}}}`, id, p.startSec(round), p.lengthSec())}
}

func deskRequest(round int, schedule string, p place) request {
	at := func(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.RFC3339) }
	return request{path: "/schedule/open/v2/commands/update-reservation", desk: true, body: fmt.Sprintf(
		`{"scheduleId":%q,"zoneId":%q,"occupiedResources":[{"startDateTimeUtc":%q,"endDateTimeUtc":%q,"reservationGroup":{"reservationGroupId":%q,"zoneId":%q}}]}`,
		schedule, zone, at(p.startSec(round)), at(p.startSec(round)+p.lengthSec()), group(p.Lane), zone)}
}

func lookRequest(round int, places []place) request {
	var slots []string
	for _, p := range places {
		slots = append(slots, fmt.Sprintf(`{"service_id":%q,"start_sec":"%d"}`, p.service(), p.startSec(round)))
	}
	return request{path: "/v3/BatchAvailabilityLookup", body: fmt.Sprintf(`{"merchant_id":%q,"slot_time":[%s]}`, merchant, strings.Join(slots, ","))}
}

// The stylist is a merchant known from feeds: one person, with rows of an hour every half hour, so that visits of different
// rows overlap. She is not in the journal, because verify sees what must hold.
const (
	stylist     = "torture-stylist"
	stylistRows = slotsPerLane
	stylistDays = 40 // more than a trial has rounds
)

// feeds returns the stylist's merchants, services and availability feed.
func feeds() [3]string {
	const meta = `{"metadata":{"processing_instruction":"PROCESS_AS_COMPLETE","total_shards":1,"generation_timestamp":1790000000},`
	var rows []string
	for day := range stylistDays {
		for slot := range stylistRows {
			rows = append(rows, fmt.Sprintf(`{"merchant_id":%q,"service_id":"cut","start_sec":%d,"duration_sec":%d,"spots_total":1,"spots_open":1,"resources":{"staff_id":"ann"}}`,
				stylist, place{Slot: slot}.startSec(day), 2*slotSec))
		}
	}
	return [3]string{
		meta + fmt.Sprintf(`"merchant":[{"merchant_id":%q,"name":"stylist"}]}`, stylist),
		meta + fmt.Sprintf(`"service":[{"merchant_id":%q,"service_id":"cut","localized_service_name":{"value":"cut"}}]}`, stylist),
		meta + `"service_availability":[{"availability":[` + strings.Join(rows, ",") + `]}]}`,
	}
}

// stylistRequest books a row of the round's day.
func stylistRequest(round, slot int, user string) request {
	return request{path: "/v3/CreateBooking", body: fmt.Sprintf(
		`{"slot":{"merchant_id":%q,"service_id":"cut","start_sec":"%d","duration_sec":"%d","resources":{"staff_id":"ann"}},"user_information":{"user_id":%q,"given_name":"John","family_name":"Smith","telephone":"+82 10 %d","email":"%s@example.com"},"idempotency_token":%q}`,
		stylist, place{Slot: slot}.startSec(round), 2*slotSec, user, round, user, user)}
}
