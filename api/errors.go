package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"holdfast/booking"
)

// refusal is an error that the caller can do something about. Each family has
// its own words for it.
type refusal struct {
	status  int
	field   string // what is wrong: Google's field or the clinic's key; "" if it is not one
	message string // for Google's developers; never repeats a value
	class   string // for the clinic: InvalidCommandException or InvalidRequestException
	reason  string // for the clinic: one of its reasons (clinic.go)
	byClock bool   // another time zone of the clinic might let it pass
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%d %s %s%s", r.status, r.field, r.message, r.reason)
}

// family is one kind of caller: how it shows who it is and how it hears "no".
type family struct {
	challenge    string                                                // of a 401
	authenticate func(*http.Request) (caller, keyID string, err error) // nil: there is nothing to show
	translate    func(error) error                                     // turns a rule's "no" into a *refusal, other errors into themselves
	wording      func(*refusal) any                                    // the body of the answer
	maxBody      int64                                                 // of a request, in bytes
	looksUp      bool                                                  // authenticate asks the database, so that needs a place too
}

// family finds the family of a path. It looks at the path as the router does,
// so that no route can be reached without its family's credentials.
func (s *server) family(path string) family {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	google := family{translate: googleRefusal, wording: googleError, maxBody: maxBody}
	clinic := family{translate: clinicRefusal, wording: clinicException, challenge: `Bearer realm="holdfast"`, maxBody: maxBody}
	switch first {
	case "v3":
		google.challenge, google.authenticate = `Basic realm="holdfast"`, s.google.authenticate
		return google
	case "schedule", "visitor":
		clinic.authenticate, clinic.looksUp = s.bearer, true
		return clinic
	case "open":
		clinic.maxBody = maxKeyBody
		return clinic
	}
	return google // a path that nobody knows
}

// refuse answers an error. What is our fault is logged here, once.
func (s *server) refuse(c echo.Context, k *call, err error) {
	ctx := c.Request().Context()
	if c.Response().Committed { // the answer broke off on its way
		s.log.InfoContext(ctx, "answer not delivered", "request_id", k.id, "error", err.Error())
		return
	}
	r := refusalOf(k.family.translate(err))
	switch {
	case errors.Is(err, errPanicked): // logged
	case r.status == http.StatusInternalServerError:
		s.log.ErrorContext(ctx, "internal error", "request_id", k.id, "error", err.Error())
	case r.status == http.StatusServiceUnavailable:
		s.log.WarnContext(ctx, "unavailable", "request_id", k.id, "error", err.Error())
	}
	switch r.status {
	case http.StatusUnauthorized:
		c.Response().Header().Set("WWW-Authenticate", k.family.challenge)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		c.Response().Header().Set("Retry-After", "1")
	}
	k.field, k.cause = r.field, r.reason
	text, err := compactJSON(k.family.wording(r))
	if err == nil {
		err = writeJSON(c, r.status, text)
	}
	if err != nil {
		s.log.InfoContext(ctx, "answer not delivered", "request_id", k.id, "error", err.Error())
	}
}

// refusalOf is what an error comes to in HTTP. A request whose outcome is not
// known, also because its time was up, must not look refused: 503 asks for it
// again.
func refusalOf(err error) *refusal {
	var r *refusal
	var unrouted *echo.HTTPError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &unrouted) && unrouted.Code == http.StatusNotFound:
		return &refusal{status: http.StatusNotFound, message: "there is no such path"}
	case errors.Is(err, booking.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &refusal{status: http.StatusServiceUnavailable, message: "not possible at the moment: send the same request again"}
	}
	return &refusal{status: http.StatusInternalServerError, message: "internal error"}
}
