package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// MaxBody is how long a body may be, in bytes, unless the channel says otherwise. The longest useful
// body, fifty stretches with their procedures, is a fraction of it.
const MaxBody = 256 << 10

// Expansion is how many times its length a JSON text may take in memory while it is decoded; a text
// of empty objects does.
const Expansion = 8

// requestLimit is how long a request's reads may take. A transaction has a limit of its own, and
// does not end with its request.
const requestLimit = 5 * time.Second

// observe gives a request its id, answers its errors and writes its line of the access log.
func (s *server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		r := c.Request()
		k := &Call{ID: requestID(r.Header), Header: r.Header, channel: s.channelOf(echo.GetPath(r)), peer: c.RealIP()}
		ctx, cancel := context.WithTimeout(WithCall(r.Context(), k), requestLimit)
		defer cancel()
		c.SetRequest(r.WithContext(ctx))

		h := c.Response().Header()
		h.Set("X-Request-Id", k.ID)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}

		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// net/http does not show a Content-Length beside a Transfer-Encoding, but a proxy may
			// have believed it. So we do not read another request from this connection.
			h.Set("Connection", "close")
		}
		k.place.accounts, k.place.to = s.accounts, c.Response().Writer
		k.place.line, _ = r.Context().Value(lineKey{}).(*connection)

		if err := s.recovered(next, c); err != nil {
			s.refuse(c, k, err)
		}
		aborted := k.place.leave()
		if aborted {
			c.Response().Status = http.StatusServiceUnavailable
		}
		took := time.Since(started)
		s.answered(ctx, Answer{
			Method: method(r.Method), Route: pattern(c.Path()), Status: c.Response().Status,
			Field: indexes.ReplaceAllString(k.Field, "[n]"), Cause: k.Cause, Caller: k.Caller, Took: took,
		})
		s.log.LogAttrs(ctx, slog.LevelInfo, "request", slices.DeleteFunc([]slog.Attr{
			slog.String("method", method(r.Method)),
			slog.String("route", pattern(c.Path())),
			slog.Int("status", c.Response().Status),
			slog.Float64("duration_ms", float64(took.Microseconds())/1000),
			slog.String("request_id", k.ID),
			slog.String("caller", k.Caller),
			slog.String("field", k.Field),
			slog.String("cause", k.Cause),
		}, func(a slog.Attr) bool { return a.Value.Equal(slog.StringValue("")) })...)
		if aborted {
			panic(http.ErrAbortHandler) // ends the connection, or the HTTP/2 stream
		}
		return nil
	}
}

// indexes matches the indexes of list elements in a field's name.
var indexes = regexp.MustCompile(`\[[0-9]+\]`)

// requestID returns the caller's own id of the request, if it is harmless, or a new one.
func requestID(h http.Header) string {
	id := h.Get("X-Request-Id")
	harmless := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r)
	}
	if id == "" || len(id) > 64 || strings.ContainsFunc(id, func(r rune) bool { return !harmless(r) }) {
		return uuid.NewString()
	}
	return id
}

// method and pattern keep what a caller made up out of the log.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

func pattern(path string) string {
	if path == "" {
		return "unmatched"
	}
	return strings.TrimSuffix(path, "/")
}

// errPanicked stands for a panic that has been logged.
var errPanicked = errors.New("panicked")

// recovered turns a panic into an error. The value may be a guest's data, so the log gets only its
// type and the stack.
func (s *server) recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			ctx := c.Request().Context()
			kind, stack := fmt.Sprintf("%T", v), debug.Stack()
			if p, ok := v.(interface {
				Kind() string
				Stack() []byte
			}); ok { // the panic happened in another goroutine
				kind, stack = p.Kind(), p.Stack()
			}
			s.log.ErrorContext(ctx, "panic", "request_id", CallOf(ctx).ID, "type", kind, "stack", string(stack))
			err = errPanicked
		}
	}()
	return next(c)
}

// guard asks for credentials, before anything is revealed or the body is read, and refuses wrong
// verbs.
func (s *server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		k := CallOf(c.Request().Context())
		stranger := owner{kind: strangers, address: peerKey(k.peer)}
		who := stranger
		if k.channel.Authenticate != nil {
			if k.channel.LooksUp {
				if err := k.place.enter(stranger, false); err != nil {
					return err
				}
			}
			caller, err := k.channel.Authenticate(c.Request())
			if errors.Is(err, ErrUnauthorized) {
				if err := k.place.enter(stranger, false); err != nil {
					return err
				}
				return s.attempts.Failed(c.Request().Context(), err, s.log)
			}
			if err != nil {
				return err
			}
			k.Caller, k.KeyID = caller.Name, caller.KeyID
			who = owner{kind: k.channel.Kind, name: caller.Name}
		}
		if err := k.place.enter(who, true); err != nil {
			return err
		}
		if k.channel != &nobodys {
			if err := s.closed(); err != nil {
				return err
			}
		}
		// The router sets this for a known path with a wrong verb. It lists OPTIONS as well,
		// which it would answer by itself.
		if allow, known := c.Get(echo.ContextKeyHeaderAllow).(string); known {
			c.Response().Header().Set("Allow", strings.TrimPrefix(allow, "OPTIONS, "))
			return &Refusal{http.StatusMethodNotAllowed, "the path does not know this verb"}
		}
		return next(c)
	}
}
