package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
)

// maxBody is how long a body may be, in bytes. The longest that makes sense,
// fifty stretches with their procedures, is a fraction of it.
const maxBody = 256 << 10

// maxKeyBody is that of exchange-token, whose callers have no credentials yet.
const maxKeyBody = 4 << 10

// expansion is how much more memory than its length a JSON text may take while it
// is decoded: one of nothing but empty objects does.
const expansion = 8

// patience is how long what a request reads may take. A transaction has a limit
// of its own, and does not end with its request.
const patience = 5 * time.Second

// call is what is known of one request besides the request itself.
type call struct {
	id     string // X-Request-Id
	family family
	caller string   // who asks: "google", a clinic's merchant id, or nobody yet
	keyID  string   // of the key that a clinic's token was given for
	peer   string   // the address that asks, for the limit on failed attempts
	once   []string // the headers Idempotency-Key
	place  place    // what it has of what there is
	field  string   // what was refused, for the log
	cause  string   // why, for the log
}

type callKey struct{}

func withCall(ctx context.Context, k *call) context.Context {
	return context.WithValue(ctx, callKey{}, k)
}

// callOf returns what is known of the request that ctx belongs to. Endpoints
// may add to it.
func callOf(ctx context.Context) *call {
	if k, ok := ctx.Value(callKey{}).(*call); ok {
		return k
	}
	return &call{}
}

// observe gives a request its id, answers its errors and writes its line of the
// access log.
func (s *server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		started := time.Now()
		r := c.Request()
		k := &call{id: requestID(r.Header), family: s.family(echo.GetPath(r)), peer: c.RealIP(), once: r.Header.Values(idempotencyKey)}
		ctx, cancel := context.WithTimeout(withCall(r.Context(), k), patience)
		defer cancel()
		c.SetRequest(r.WithContext(ctx))

		h := c.Response().Header()
		h.Set("X-Request-Id", k.id)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		if r.TLS != nil {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}

		if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {
			// Of a Content-Length beside it, which a proxy may have believed, net/http
			// tells nothing. So nothing after it is taken for a request.
			h.Set("Connection", "close")
		}
		k.place.edge, k.place.to = s.edge, c.Response().Writer
		k.place.line, _ = r.Context().Value(lineKey{}).(Line)

		if err := s.recovered(next, c); err != nil {
			s.refuse(c, k, err)
		}
		aborted := k.place.leave()
		if aborted {
			c.Response().Status = http.StatusServiceUnavailable
		}
		took := time.Since(started)
		s.answered(Answer{Route: pattern(c.Path()), Status: c.Response().Status, Field: indexes.ReplaceAllString(k.field, "[n]"), Cause: k.cause, Took: took})
		s.log.LogAttrs(r.Context(), slog.LevelInfo, "request", slices.DeleteFunc([]slog.Attr{
			slog.String("method", method(r.Method)),
			slog.String("route", pattern(c.Path())),
			slog.Int("status", c.Response().Status),
			slog.Float64("duration_ms", float64(took.Microseconds())/1000),
			slog.String("request_id", k.id),
			slog.String("caller", k.caller),
			slog.String("field", k.field),
			slog.String("cause", k.cause),
		}, func(a slog.Attr) bool { return a.Value.Equal(slog.StringValue("")) })...)
		if aborted {
			panic(http.ErrAbortHandler) // which ends the connection, or the stream of HTTP/2
		}
		return nil
	}
}

// indexes are those of list elements in a field's name.
var indexes = regexp.MustCompile(`\[[0-9]+\]`)

// requestID is the caller's own id of the request, if it is harmless, or a new
// one.
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

// errPanicked stands for a panic that is in the log already.
var errPanicked = errors.New("panicked")

// recovered makes a panic an error. What was panicked with may be a guest's
// data, so the log gets its type and the stack.
func (s *server) recovered(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if v := recover(); v != nil {
			ctx := c.Request().Context()
			kind, stack := fmt.Sprintf("%T", v), debug.Stack()
			if p, ok := v.(interface {
				Kind() string
				Stack() []byte
			}); ok { // it happened in another goroutine
				kind, stack = p.Kind(), p.Stack()
			}
			s.log.ErrorContext(ctx, "panic", "request_id", callOf(ctx).id, "type", kind, "stack", string(stack))
			err = errPanicked
		}
	}()
	return next(c)
}

// guard asks for credentials, before it tells what there is and before the body
// is read, and refuses wrong verbs.
func (s *server) guard(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		k := callOf(c.Request().Context())
		stranger := owner{kind: strangers, address: peerKey(k.peer)}
		who := stranger
		if k.family.authenticate != nil {
			if k.family.looksUp {
				if err := k.place.enter(stranger, false); err != nil {
					return err
				}
			}
			caller, keyID, err := k.family.authenticate(c.Request())
			if errors.Is(err, errUnauthorized) {
				if err := k.place.enter(stranger, false); err != nil {
					return err
				}
				return s.attempts.failed(c.Request().Context(), err, s.log)
			}
			if err != nil {
				return err
			}
			k.caller, k.keyID = caller, keyID
			who = owner{kind: google}
			if k.family.looksUp {
				who = owner{kind: clinics, merchant: caller}
			}
		}
		if err := k.place.enter(who, true); err != nil {
			return err
		}
		// The router leaves this for a known path with another verb. It counts
		// OPTIONS among the verbs, which it would answer by itself.
		if allow, known := c.Get(echo.ContextKeyHeaderAllow).(string); known {
			c.Response().Header().Set("Allow", strings.TrimPrefix(allow, "OPTIONS, "))
			return &refusal{status: http.StatusMethodNotAllowed, message: "the path does not know this verb"}
		}
		return next(c)
	}
}

// readBody reads a body that is not too long. The announced length is looked at
// first, so that a long one is refused before it is read.
func readBody(c echo.Context) ([]byte, error) {
	r := c.Request()
	k := callOf(r.Context())
	most := k.family.maxBody
	tooLong := &refusal{status: http.StatusRequestEntityTooLarge, message: fmt.Sprintf("the body is longer than %d bytes", most)}
	if r.ContentLength > most {
		return nil, tooLong
	}
	for _, coding := range r.Header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return nil, &refusal{status: http.StatusUnsupportedMediaType, message: "the body must not be compressed"}
		}
	}
	// MaxBytesReader closes the connection, which it can only with the server's
	// own ResponseWriter.
	body, err := k.place.read(http.MaxBytesReader(c.Response().Writer, r.Body, most), r.ContentLength)
	var limit *http.MaxBytesError
	switch {
	case errors.Is(err, errTooMuch):
		return nil, err
	case errors.As(err, &limit):
		return nil, tooLong
	case err != nil:
		return nil, &refusal{status: http.StatusBadRequest, message: "the body could not be read to its end"}
	}
	return body, k.place.work(expansion * int64(len(body)))
}

// writeJSON answers with a JSON text.
func writeJSON(c echo.Context, status int, text []byte) error {
	return write(c, status, echo.MIMEApplicationJSON, text)
}

// write answers. The answer is charged to its caller until it is taken.
func write(c echo.Context, status int, contentType string, text []byte) error {
	r, k := c.Response(), callOf(c.Request().Context())
	if err := k.place.answer(int64(len(text))); err != nil {
		return err
	}
	if contentType != "" {
		r.Header().Set(echo.HeaderContentType, contentType)
	}
	r.Header().Set(echo.HeaderContentLength, strconv.Itoa(len(text))) // else a long one goes in chunks
	r.WriteHeader(status)
	// What HTTP/2 has not sent it would wait with after the place is given back.
	return k.place.write(r, text, c.Request().ProtoMajor == 2)
}
