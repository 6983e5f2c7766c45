package edge

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"holdfast/booking"
)

// Refusal is a refusal by the edge itself, before a channel has understood anything. Channels have
// types of their own for theirs.
type Refusal struct {
	Status  int    // of HTTP
	Message string // for developers, without values
}

func (r *Refusal) Error() string { return fmt.Sprintf("%d %s", r.Status, r.Message) }

// Reply is an answer to an error, in a channel's words.
type Reply struct {
	Status int    // of HTTP
	Body   any    // written as JSON
	Field  string // for the log: what is wrong; "" if it is not one field
	Cause  string // for the log: why
}

// ErrUnauthorized does not say what was wrong with the credentials.
var ErrUnauthorized error = &Refusal{http.StatusUnauthorized, "credentials are missing or not valid"}

// RefusalOf returns the HTTP refusal for an error that a channel has no words for. If the outcome is
// unknown, even because time ran out, the request must not look refused: 503 asks to repeat it.
func RefusalOf(err error) *Refusal {
	var r *Refusal
	var unrouted *echo.HTTPError
	switch {
	case errors.As(err, &r):
		return r
	case errors.As(err, &unrouted) && unrouted.Code == http.StatusNotFound:
		return &Refusal{http.StatusNotFound, "there is no such path"}
	case errors.Is(err, booking.ErrUnavailable), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &Refusal{http.StatusServiceUnavailable, "not possible at the moment: send the same request again"}
	}
	return &Refusal{http.StatusInternalServerError, "internal error"}
}

// plainly has the words for paths of no channel.
func plainly(err error) Reply {
	type detail struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	}
	r := RefusalOf(err)
	return Reply{Status: r.Status, Body: struct {
		Error detail `json:"error"`
	}{detail{r.Status, r.Message}}}
}

// refuse answers an error, and logs what is our fault. Nothing else logs it.
func (s *server) refuse(c echo.Context, k *Call, err error) {
	ctx := c.Request().Context()
	if c.Response().Committed { // the answer broke off halfway
		s.log.InfoContext(ctx, "answer not delivered", "request_id", k.ID, "error", err.Error())
		return
	}
	r := k.channel.Refuse(err)
	switch {
	case errors.Is(err, errPanicked): // logged
	case r.Status == http.StatusInternalServerError:
		s.log.ErrorContext(ctx, "internal error", "request_id", k.ID, "error", err.Error())
	case r.Status == http.StatusServiceUnavailable:
		s.log.WarnContext(ctx, "unavailable", "request_id", k.ID, "error", err.Error())
	}
	switch r.Status {
	case http.StatusUnauthorized:
		c.Response().Header().Set("WWW-Authenticate", k.channel.Challenge)
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		c.Response().Header().Set("Retry-After", "1")
	}
	k.Field, k.Cause = r.Field, r.Cause
	text, err := CompactJSON(r.Body)
	if err == nil {
		err = WriteJSON(c, r.Status, text)
	}
	if err != nil {
		s.log.InfoContext(ctx, "answer not delivered", "request_id", k.ID, "error", err.Error())
	}
}
