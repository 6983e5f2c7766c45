// Package edge has what every way into the service needs: the request's id, the access log, recovery
// from panics, authentication before anything is revealed, places and memory of each caller, limits
// on failed attempts and on connections, and reading one JSON document.
//
// It knows no channel. Each channel brings a [Channel]: its routes, how its callers authenticate,
// what they may have at a time, and its own words for every "no".
//
// A request passes, in this order: id, access log and recovery ([server.observe]); credentials, the
// caller's place and the verb ([server.guard]); and the route, which reads the body with [ReadBody]
// and answers with [Write]. One place puts a route's error into the channel's words
// ([server.refuse]).
//
// Log lines never contain what guests told us, only ids, field names and causes.
package edge

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
)

// Channel is one way in: all paths below its roots, including those without a route.
type Channel struct {
	// Roots are the first segments of the channel's paths, such as "v3". The edge answers paths
	// of no channel in its own words.
	Roots []string
	// Routes are the channel's endpoints.
	Routes []Route
	// Authenticate returns the caller, [ErrUnauthorized] if the credentials are missing or
	// wrong, or another error if it could not find out. If it is nil, anybody may call.
	Authenticate func(*http.Request) (Caller, error)
	// LooksUp says that Authenticate asks the database, so that a caller first needs a place
	// as a stranger.
	LooksUp bool
	// Kind is what callers may have once they have authenticated.
	Kind *Kind
	// Challenge is the WWW-Authenticate header of a 401.
	Challenge string
	// MaxBody is how long the body of a request may be, in bytes. 0 is [MaxBody].
	MaxBody int64
	// Refuse puts an error from a route or the edge into the channel's words. For errors
	// that the channel has no words for there is [RefusalOf].
	Refuse func(error) Reply
}

// Caller is an authenticated caller.
type Caller struct {
	Name  string // as the log and the accounts know it, such as a merchant's id
	KeyID string // the API key behind the credentials; "" if there is none
}

// Route is an endpoint.
type Route struct {
	Method, Path string // the path without a slash at its end
	Serve        echo.HandlerFunc
}

// Get is a route for the verb GET.
func Get(path string, serve echo.HandlerFunc) Route { return Route{http.MethodGet, path, serve} }

// Post is a route for the verb POST.
func Post(path string, serve echo.HandlerFunc) Route { return Route{http.MethodPost, path, serve} }

// Config is what the edge needs. Every field may be left out.
type Config struct {
	Attempts *Attempts                     // limits failed ones; nil: they are not limited
	Proxies  []*net.IPNet                  // whose X-Forwarded-For is believed
	Log      *slog.Logger                  // nil: nowhere
	Observe  func(context.Context, Answer) // told of every answer, with its request's context, before the access log; nil: nobody
	Closed   func() error                  // why no channel serves anything at the moment, or nil; nil: never
}

// Answer is the outcome of one request, only in our own words.
type Answer struct {
	Method string // of HTTP; "other" if it is none of those
	Route  string // without a trailing slash; "unmatched" if there is none
	Status int
	Field  string // the refused field, without indexes, so that there are few values
	Cause  string // why
	Caller string // who has shown credentials, see [Caller]; "" if nobody has
	Took   time.Duration
}

// server serves all channels.
type server struct {
	channels []Channel
	attempts *Attempts
	accounts *accounts
	log      *slog.Logger
	answered func(context.Context, Answer)
	closed   func() error
}

// New returns the handler of the channels' routes and of public ones, which belong to no channel and
// need no credentials.
func New(c Config, public []Route, channels ...Channel) *echo.Echo {
	s := &server{channels: channels, attempts: c.Attempts, accounts: newAccounts(), log: c.Log, answered: c.Observe, closed: c.Closed}
	if s.answered == nil {
		s.answered = func(context.Context, Answer) {}
	}
	if s.closed == nil {
		s.closed = func() error { return nil }
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	e := echo.New()
	e.Logger.SetOutput(io.Discard) // we log ourselves
	e.IPExtractor = peerOf(c.Proxies)
	e.Use(s.observe, s.guard)
	add(e, public)
	for _, channel := range channels {
		add(e, channel.Routes)
	}
	return e
}

// add adds routes. Partners' documents print paths with and without a trailing slash, so both work.
func add(e *echo.Echo, routes []Route) {
	for _, r := range routes {
		e.Add(r.Method, r.Path, r.Serve)
		e.Add(r.Method, r.Path+"/", r.Serve)
	}
}

// nobodys is the channel of all paths that belong to no channel.
var nobodys = Channel{Refuse: plainly}

// channelOf finds the channel of a path. It reads the path as the router does, so that nobody can
// reach a route without its channel's credentials.
func (s *server) channelOf(path string) *Channel {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for i := range s.channels {
		if slices.Contains(s.channels[i].Roots, first) {
			return &s.channels[i]
		}
	}
	return &nobodys
}
