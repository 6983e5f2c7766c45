// Package api is the table of contents of HTTP: it puts the routes of all channels together. It
// decides nothing, and neither do they: they translate between their callers' words and those of
// package booking.
//
// Package edge has what every way in needs. A channel is a package on top of edge and booking:
// google, Google's Booking Server API v3 below /v3, and clinic, the clinics' Open API below
// /schedule, /visitor and /open. Another channel is a folder with a function Routes, and a line in
// [New].
package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"holdfast/api/clinic"
	"holdfast/api/edge"
	"holdfast/api/google"
	"holdfast/booking"
)

// Config is what the channels need.
type Config struct {
	Bookings    *booking.Service
	Credentials *google.Credentials                // nil or none: every /v3 call is 401
	Attempts    *edge.Attempts                     // limits failed ones; nil: they are not limited
	Proxies     []*net.IPNet                       // whose X-Forwarded-For is believed
	Healthy     func(context.Context) error        // the database is reachable; nil: always
	Log         *slog.Logger                       // nil: nowhere
	Counters    *edge.Counters                     // nil: not wanted
	Observe     func(context.Context, edge.Answer) // told of every answer; nil: nobody
	Closed      func() error                       // why nothing is served at the moment, or nil; nil: never
}

// New returns the handler of all routes.
func New(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Counters == nil {
		c.Counters = &edge.Counters{}
	}
	return edge.New(
		edge.Config{Attempts: c.Attempts, Proxies: c.Proxies, Log: c.Log, Observe: c.Observe, Closed: c.Closed},
		public,
		slices.Concat(
			google.Routes(google.Config{Bookings: c.Bookings, Credentials: c.Credentials, Healthy: c.Healthy, Log: c.Log, Counters: c.Counters}),
			clinic.Routes(clinic.Config{Bookings: c.Bookings, Attempts: c.Attempts, Log: c.Log, Counters: c.Counters}),
		)...,
	)
}

// public are the routes that belong to no channel and need no credentials.
var public = []edge.Route{
	edge.Get("/livez", livez),
	edge.Get("/openapi.yaml", openAPI),
	edge.Get("/docs", reference),
}

// livez says that the process runs, and nothing else.
func livez(c echo.Context) error { return edge.Write(c, http.StatusOK, "", nil) }
