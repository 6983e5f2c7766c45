package edge

import (
	"context"
	"net/http"
)

// Call is what the edge knows about one request besides the request itself.
type Call struct {
	ID     string      // X-Request-Id
	Caller string      // who asks, see [Caller]; "" before authentication
	KeyID  string      // of the key behind the caller's credentials; "" if there is none
	Header http.Header // of the request
	Field  string      // for the log: the refused field
	Cause  string      // for the log: why

	channel *Channel
	peer    string // the address that asks, for the limit on failed attempts
	place   place  // what the request uses
}

type callKey struct{}

// WithCall returns a context for a request.
func WithCall(ctx context.Context, k *Call) context.Context {
	return context.WithValue(ctx, callKey{}, k)
}

// CallOf returns the Call of the request to which ctx belongs, or an empty one if it belongs to none.
// Routes may set Field and Cause.
func CallOf(ctx context.Context) *Call {
	if k, ok := ctx.Value(callKey{}).(*Call); ok {
		return k
	}
	return &Call{}
}

// Work says that a request without a body has arrived, and that we work on it; [ReadBody] does that
// for one with a body. The error wraps booking.ErrUnavailable if the caller has too much in hand.
func (k *Call) Work() error { return k.place.work(0) }
