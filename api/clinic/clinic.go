// Package clinic is the channel of the clinics' Open API: below /schedule and /visitor, with a
// bearer token, and below /open, where an API key gets a token. It answers every "no" with its
// envelope in a 400. Its rules are in the decision table in docs/update-reservation.md, whose rows
// (A1 to C7) the code names, and in the tables in docs/clinic-commands.md and
// docs/clinic-queries.md.
//
// An endpoint is a line in [Routes] and a method of server that translates: [command] or [query]
// reads a message and writes the answer, a method check has the rows that the body alone decides,
// and package booking decides the others.
package clinic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/api/edge"
	"holdfast/booking"
)

// Config is what the channel needs.
type Config struct {
	Bookings *booking.Service
	Attempts *edge.Attempts // limits failed attempts to exchange a key; nil: no limit
	Log      *slog.Logger
	Counters *edge.Counters
}

// server has the endpoints as methods.
type server struct {
	bookings *booking.Service
	attempts *edge.Attempts
	turns    *turns // of the queries
	log      *slog.Logger
	counters *edge.Counters
}

// kind is what one clinic may have at a time, and all of them together.
var kind = &edge.Kind{
	Each:        edge.Use{Places: 128, Working: 128, Refused: 128, Bytes: 12 << 20},
	All:         edge.Use{Places: 1024, Working: 1024, Refused: 512, Bytes: 24 << 20},
	Unread:      8 << 20,
	Connections: 128,
}

// maxKeyBody is how long the body of exchange-token may be, in bytes. It is small, because its
// callers have no credentials yet.
const maxKeyBody = 4 << 10

// Routes returns the channel with all its routes in two parts: those that need a token, and the
// others.
func Routes(c Config) []edge.Channel {
	s := &server{bookings: c.Bookings, attempts: c.Attempts, turns: newTurns(), log: c.Log, counters: c.Counters}
	return []edge.Channel{{
		Roots: []string{"schedule", "visitor"}, Kind: kind,
		Authenticate: s.bearer, LooksUp: true, Challenge: challenge, Refuse: refuse,
		Routes: []edge.Route{
			edge.Post("/schedule/open/v2/commands/update-reservation", command(s.updateReservation)),
			edge.Post("/schedule/open/v2/commands/reserve", command(s.reserve)),
			edge.Post("/schedule/open/v2/commands/reserve-by-visitor-id", command(s.reserveByVisitorID)),
			edge.Post("/schedule/open/v1/commands/cancel-reservation", command(s.cancelReservation)),
			edge.Post("/schedule/open/v1/commands/confirm-reservation", command(s.settle(booking.Confirm))),
			edge.Post("/schedule/open/v1/commands/decline-reservation", command(s.settle(booking.Decline))),
			edge.Post("/schedule/open/v1/commands/start-reservation", command(s.settle(booking.Arrive))),
			edge.Post("/schedule/open/v1/commands/complete-reservation", command(s.settle(booking.Finish))),
			edge.Post("/schedule/open/v1/commands/create-occupied-time", command(s.createOccupiedTime)),
			edge.Post("/schedule/open/v1/commands/delete-occupied-time", command(s.deleteOccupiedTime)),

			edge.Post("/schedule/open/v1/queries/get-reservation-groups", query(s, s.getReservationGroups)),
			edge.Post("/schedule/open/v1/queries/get-reservation-slots-by-group", query(s, s.getReservationSlotsByGroup)),
			edge.Post("/schedule/open/v2/queries/get-reservation-slots-by-groups", query(s, s.getReservationSlotsByGroups)),
			edge.Post("/schedule/open/v1/queries/get-reservation-slots-by-schedule-id", query(s, s.getReservationSlotsByScheduleIDV1)),
			edge.Post("/schedule/open/v2/queries/get-reservation-slots-by-schedule-id", query(s, s.getReservationSlotsByScheduleIDV2)),
			edge.Post("/schedule/open/v1/queries/get-schedule-detail", query(s, s.getScheduleDetail)),
			edge.Post("/schedule/open/v1/queries/get-schedules", query(s, s.getSchedules)),
			edge.Post("/schedule/open/v1/queries/get-changed-schedules", query(s, s.getChangedSchedules)),
			edge.Post("/schedule/open/v1/queries/get-occupied-times", query(s, s.getOccupiedTimes)),
			edge.Post("/schedule/open/v1/queries/get-staff", query(s, s.getStaff)),
			edge.Post("/schedule/open/v1/queries/get-zones", query(s, s.getZones)),
			edge.Post("/visitor/open/v1/queries/search-visitors", query(s, s.searchVisitors)),
		},
	}, {
		Roots: []string{"open"}, MaxBody: maxKeyBody, Challenge: challenge, Refuse: refuse,
		Routes: []edge.Route{
			edge.Post("/open/authorization/commands/exchange-token", command(s.exchangeToken)),
		},
	}}
}

// command makes an endpoint out of an operation on wire structs.
func command[Req, Resp any](op func(context.Context, Req) (Resp, error)) echo.HandlerFunc {
	return endpoint(func(ctx context.Context, req Req) ([]byte, error) { return encoded(op(ctx, req)) })
}

// query makes an endpoint out of a query: like a command, but it waits for its turn.
func query[Req, Resp any](s *server, op func(context.Context, Req) (Resp, error)) echo.HandlerFunc {
	return endpoint(func(ctx context.Context, req Req) ([]byte, error) {
		leave, err := s.turns.enter(ctx, edge.CallOf(ctx).Caller)
		if err != nil {
			return nil, err
		}
		defer leave()
		return encoded(op(ctx, req))
	})
}

// endpoint reads what is asked for and writes the answer.
func endpoint[Req any](run func(context.Context, Req) ([]byte, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		body, err := edge.ReadBody(c)
		if err != nil {
			return err
		}
		req, err := decode[Req](body)
		if err != nil {
			return err
		}
		text, err := run(c.Request().Context(), req)
		if err != nil {
			return err
		}
		return edge.WriteJSON(c, http.StatusOK, text)
	}
}

// encoded returns an operation's answer in JSON, or its error.
func encoded[Resp any](resp Resp, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	if long, ok := any(resp).(interface{ text() ([]byte, error) }); ok {
		return long.text()
	}
	return edge.CompactJSON(resp)
}

// text writes the list in JSON, element by element, because encoding/json would keep it in memory
// twice.
func (l list[T]) text() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteString(`{"data":[`)
	for i := range l.Data {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(&l.Data[i]); err != nil {
			return nil, fmt.Errorf("encode JSON: %w", err)
		}
		b.Truncate(b.Len() - 1) // the line's end
	}
	b.WriteByte(']')
	for _, cursor := range []struct{ name, value string }{{"next", l.Next}, {"later", l.Later}} {
		if cursor.value != "" {
			fmt.Fprintf(&b, `,%q:%q`, cursor.name, cursor.value) // ASCII
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
