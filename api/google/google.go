// Package google is the channel of Google's Booking Server API v3: below /v3, with Basic auth, in
// protobuf's JSON (package mapsbooking). A business "no" is a 200 with a booking_failure. A request that
// is malformed, or names something unknown, is a 400.
//
// An endpoint is a line in [Routes] and a method of server that translates: [rpc] turns bytes into
// messages, a function named after the message ([createOf]) checks what the message alone can show to be
// wrong, and package booking decides.
package google

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"holdfast/api/edge"
	"holdfast/booking"
)

// Config is what the channel needs.
type Config struct {
	Bookings    *booking.Service
	Credentials *Credentials                // nil or none: every call is 401
	Healthy     func(context.Context) error // returns nil if the database is reachable; nil: it always is
	Log         *slog.Logger
	Counters    *edge.Counters
}

// server has the endpoints as methods.
type server struct {
	bookings *booking.Service
	healthy  func(context.Context) error
	log      *slog.Logger
	counters *edge.Counters
}

// partner is Google's kind of caller. It makes many calls at a time, and a part of all connections is
// reserved for it.
var partner = &edge.Kind{
	Each:     edge.Use{Places: 2048, Working: 2048, Refused: 2048, Bytes: 32 << 20},
	All:      edge.Use{Places: 2048, Working: 2048, Refused: 2048, Bytes: 32 << 20},
	Reserved: true,
}

// Routes returns the channel with all its routes.
func Routes(c Config) []edge.Channel {
	if c.Credentials == nil {
		c.Credentials = NewCredentials()
	}
	s := &server{bookings: c.Bookings, healthy: c.Healthy, log: c.Log, counters: c.Counters}
	return []edge.Channel{{
		Roots: []string{"v3"}, Kind: partner,
		Authenticate: c.Credentials.authenticate, Challenge: `Basic realm="holdfast"`, Refuse: refuse,
		Routes: []edge.Route{
			edge.Get("/v3/HealthCheck", s.healthCheck),
			edge.Post("/v3/BatchAvailabilityLookup", rpc(s.batchAvailabilityLookup)),
			edge.Post("/v3/CheckAvailability", rpc(s.checkAvailability)),
			edge.Post("/v3/CreateLease", rpc(s.createLease)),
			edge.Post("/v3/CreateBooking", rpc(s.createBooking)),
			edge.Post("/v3/UpdateBooking", rpc(s.updateBooking)),
			edge.Post("/v3/GetBookingStatus", rpc(s.getBookingStatus)),
			edge.Post("/v3/ListBookings", rpc(s.listBookings)),
			edge.Post("/v3/SetMarketingPreference", rpc(s.setMarketingPreference)),
		},
	}}
}

// rpc makes an endpoint out of an operation on its messages.
func rpc[Req, Resp proto.Message](op func(context.Context, Req) (Resp, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		body, err := edge.ReadBody(c)
		if err != nil {
			return err
		}
		var none Req
		req := none.ProtoReflect().New().Interface().(Req)
		if err := decode(body, req); err != nil {
			return err
		}
		resp, err := op(c.Request().Context(), req)
		if err != nil {
			return err
		}
		text, err := encode(resp)
		if err != nil {
			return err
		}
		return edge.WriteJSON(c, http.StatusOK, text)
	}
}

// encode writes a message with the names of the .proto. The same message always gives the same bytes,
// although protojson varies its white space on purpose.
func encode(m proto.Message) ([]byte, error) {
	text, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return b.Bytes(), nil
}

// healthLimit is how long the database may take to answer.
const healthLimit = 2 * time.Second

// healthCheck says whether the server can take bookings.
func (s *server) healthCheck(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), healthLimit)
	defer cancel()
	if err := edge.CallOf(ctx).Work(); err != nil {
		return err
	}
	if s.healthy != nil {
		if err := s.healthy(ctx); err != nil {
			s.log.WarnContext(ctx, "not serving", "request_id", edge.CallOf(ctx).ID, "error", err.Error())
			return edge.WriteJSON(c, http.StatusServiceUnavailable, []byte(`{"status":"NOT_SERVING"}`))
		}
	}
	return edge.WriteJSON(c, http.StatusOK, []byte(`{"status":"SERVING"}`))
}
