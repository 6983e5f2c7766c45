// Package edge is what every way into the service needs, whatever is said there:
// the request's id, the access log, recovery from panics, credentials before
// anything else is told, places and memory of each caller, limits on failed attempts
// and on connections, and reading one JSON document.
//
// It knows no channel. Each brings a [Channel]: its routes, how its callers show who
// they are, what they may have at a time, and its own words for every "no".
//
// A request passes, in this order: id, access log and recovery ([server.observe]);
// credentials, the caller's place and the verb ([server.guard]); and the route, which
// reads the body with [ReadBody] and answers with [Write]. An error that a route
// returns is put into the channel's words in one place ([server.refuse]).
//
// Nothing a guest told us is ever logged: log lines carry ids, field names and
// causes.
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

// Channel is one way in: all paths below its roots, also those without a route.
type Channel struct {
	// Roots are the first segments of the channel's paths, such as "v3". A path of no
	// channel is answered in the edge's own words.
	Roots []string
	// Routes are the channel's endpoints.
	Routes []Route
	// Authenticate returns who calls, [ErrUnauthorized] if the credentials are missing
	// or wrong, or another error if it could not find out. If it is nil, anybody may call.
	Authenticate func(*http.Request) (Caller, error)
	// LooksUp says that Authenticate asks the database: a caller needs a place as a
	// stranger before it does.
	LooksUp bool
	// Kind is what callers may have once they have shown who they are.
	Kind *Kind
	// Challenge is the header WWW-Authenticate of a 401.
	Challenge string
	// MaxBody is how long the body of a request may be, in bytes. 0 is [MaxBody].
	MaxBody int64
	// Refuse puts an error that a route, or the edge, returns into the channel's words.
	// [RefusalOf] says what an error comes to that the channel has no words for.
	Refuse func(error) Reply
}

// Caller is who has shown credentials.
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

// Config is what the edge needs. All of it may be left out.
type Config struct {
	Attempts *Attempts                     // limits failed ones; nil: they are not limited
	Proxies  []*net.IPNet                  // whose X-Forwarded-For is believed
	Log      *slog.Logger                  // nil: nowhere
	Observe  func(context.Context, Answer) // told of every answer, with its request's context, before the access log; nil: nobody
	Closed   func() error                  // why no channel serves anything at the moment, or nil; nil: never
}

// Answer is what became of one request, in words of ours only.
type Answer struct {
	Method string // of HTTP; "other" if it is none of those
	Route  string // without a trailing slash; "unmatched" if there is none
	Status int
	Field  string // what was refused: without indexes, so that there are few
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

// New returns the handler of the channels' routes, and of those that belong to none
// and need no credentials.
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
	e.Logger.SetOutput(io.Discard) // what there is to say, we say
	e.IPExtractor = peerOf(c.Proxies)
	e.Use(s.observe, s.guard)
	add(e, public)
	for _, channel := range channels {
		add(e, channel.Routes)
	}
	return e
}

// add adds routes. Partners print a trailing slash here and none there, so both are
// right.
func add(e *echo.Echo, routes []Route) {
	for _, r := range routes {
		e.Add(r.Method, r.Path, r.Serve)
		e.Add(r.Method, r.Path+"/", r.Serve)
	}
}

// nobodys is the channel of the paths that belong to none.
var nobodys = Channel{Refuse: plainly}

// channelOf finds the channel of a path. It looks at the path as the router does, so
// that no route can be reached without its channel's credentials.
func (s *server) channelOf(path string) *Channel {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	for i := range s.channels {
		if slices.Contains(s.channels[i].Roots, first) {
			return &s.channels[i]
		}
	}
	return &nobodys
}
