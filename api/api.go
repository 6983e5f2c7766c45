// Package api is HTTP in and out: it translates between the two channels'
// words and package booking's, and decides nothing.
//
// There are two families of endpoints. Google's Booking Server API v3 lives
// under /v3, is authenticated with Basic auth and speaks protobuf's JSON
// (package mapsbooking); a business "no" is a 200 with a booking_failure. The
// clinic's Open API lives under /schedule, /visitor and /open, is authenticated
// with a bearer token and answers every "no" with its envelope in a 400; its rules
// are those of the decision table in docs/update-reservation.md, whose rows (A1 to
// C7) the code names, and of the tables in docs/clinic-queries.md.
//
// A request passes, in this order: request id, access log and recovery from
// panics ([server.observe]); credentials and the path ([server.guard]); the
// limits of the body, read as one JSON document; the family's adapter ([rpc] or
// [command]), which turns bytes into messages; and the endpoint, which calls
// package booking. Errors travel back up as errors and are put into the
// family's words in one place ([server.refuse]).
//
// Nothing a guest told us is ever logged: log lines carry ids, field names and
// causes.
package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/booking"
)

// Config is what the endpoints need.
type Config struct {
	Bookings    *booking.Service
	Credentials *Credentials                // Google's; nil or none: every /v3 call is 401
	Attempts    *Attempts                   // limits failed ones; nil: they are not limited
	Proxies     []*net.IPNet                // whose X-Forwarded-For is believed
	Healthy     func(context.Context) error // the database is reachable; nil: always
	Log         *slog.Logger                // nil: nowhere
	Counters    *Counters                   // nil: not wanted
	Observe     func(Answer)                // told of every answer; nil: nobody
}

// Answer is what became of one request, in words of ours only.
type Answer struct {
	Route  string // without a trailing slash; "unmatched" if there is none
	Status int
	Field  string // what was refused: without indexes, so that there are few
	Cause  string // why
	Took   time.Duration
}

// Counters count what an operator should know and no answer tells.
type Counters struct {
	Replays    atomic.Int64 // requests whose idempotency token had made a booking already
	Mismatches atomic.Int64 // those of them that were another request than the first
}

// server has the endpoints of both families as methods.
type server struct {
	bookings *booking.Service
	google   *Credentials
	attempts *Attempts
	edge     *edge
	turns    *turns    // of the desk's queries
	answers  *holdings // of those, until they are fetched
	healthy  func(context.Context) error
	log      *slog.Logger
	counters *Counters
	answered func(Answer)
}

// New returns the handler of all routes. This is their table of contents.
func New(c Config) http.Handler {
	s := &server{
		bookings: c.Bookings, google: c.Credentials, attempts: c.Attempts, edge: newEdge(), turns: newTurns(), answers: newHoldings(),
		healthy: c.Healthy, log: c.Log, counters: c.Counters, answered: c.Observe,
	}
	if s.google == nil {
		s.google = NewCredentials()
	}
	if s.answered == nil {
		s.answered = func(Answer) {}
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.counters == nil {
		s.counters = &Counters{}
	}
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // what there is to say, we say
	e.IPExtractor = peerOf(c.Proxies)
	e.Use(s.observe, s.guard)

	route(e, http.MethodGet, "/livez", livez)
	route(e, http.MethodGet, "/openapi.yaml", openAPI)
	route(e, http.MethodGet, "/docs", reference)

	route(e, http.MethodGet, "/v3/HealthCheck", s.healthCheck)
	route(e, http.MethodPost, "/v3/BatchAvailabilityLookup", rpc(s.batchAvailabilityLookup))
	route(e, http.MethodPost, "/v3/CheckAvailability", rpc(s.checkAvailability))
	route(e, http.MethodPost, "/v3/CreateLease", rpc(s.createLease))
	route(e, http.MethodPost, "/v3/CreateBooking", rpc(s.createBooking))
	route(e, http.MethodPost, "/v3/UpdateBooking", rpc(s.updateBooking))
	route(e, http.MethodPost, "/v3/GetBookingStatus", rpc(s.getBookingStatus))
	route(e, http.MethodPost, "/v3/ListBookings", rpc(s.listBookings))
	route(e, http.MethodPost, "/v3/SetMarketingPreference", rpc(s.setMarketingPreference))

	route(e, http.MethodPost, "/open/authorization/commands/exchange-token", command(s.exchangeToken))
	route(e, http.MethodPost, "/schedule/open/v2/commands/update-reservation", command(s.updateReservation))
	route(e, http.MethodPost, "/schedule/open/v2/commands/reserve", command(s.reserve))
	route(e, http.MethodPost, "/schedule/open/v2/commands/reserve-by-visitor-id", command(s.reserveByVisitorID))
	route(e, http.MethodPost, "/schedule/open/v1/commands/cancel-reservation", command(s.cancelReservation))
	route(e, http.MethodPost, "/schedule/open/v1/commands/confirm-reservation", command(s.settle(booking.Confirm)))
	route(e, http.MethodPost, "/schedule/open/v1/commands/decline-reservation", command(s.settle(booking.Decline)))
	route(e, http.MethodPost, "/schedule/open/v1/commands/start-reservation", command(s.settle(booking.Arrive)))
	route(e, http.MethodPost, "/schedule/open/v1/commands/complete-reservation", command(s.settle(booking.Finish)))
	route(e, http.MethodPost, "/schedule/open/v1/commands/create-occupied-time", command(s.createOccupiedTime))
	route(e, http.MethodPost, "/schedule/open/v1/commands/delete-occupied-time", command(s.deleteOccupiedTime))

	route(e, http.MethodPost, "/schedule/open/v1/queries/get-reservation-groups", query(s, s.getReservationGroups))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-reservation-slots-by-group", query(s, s.getReservationSlotsByGroup))
	route(e, http.MethodPost, "/schedule/open/v2/queries/get-reservation-slots-by-groups", query(s, s.getReservationSlotsByGroups))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-reservation-slots-by-schedule-id", query(s, s.getReservationSlotsByScheduleIDV1))
	route(e, http.MethodPost, "/schedule/open/v2/queries/get-reservation-slots-by-schedule-id", query(s, s.getReservationSlotsByScheduleIDV2))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-schedule-detail", query(s, s.getScheduleDetail))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-schedules", query(s, s.getSchedules))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-changed-schedules", query(s, s.getChangedSchedules))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-occupied-times", query(s, s.getOccupiedTimes))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-staff", query(s, s.getStaff))
	route(e, http.MethodPost, "/schedule/open/v1/queries/get-zones", query(s, s.getZones))
	route(e, http.MethodPost, "/visitor/open/v1/queries/search-visitors", query(s, s.searchVisitors))
	return e
}

// route adds an endpoint. Google prints a trailing slash in its tables and none
// in its example, so both are right.
func route(e *echo.Echo, method, path string, h echo.HandlerFunc) {
	e.Add(method, path, h)
	e.Add(method, path+"/", h)
}

// livez says that the process runs. It needs no credentials and says nothing
// else.
func livez(c echo.Context) error { return write(c, http.StatusOK, "", nil) }
