package edge

import (
	"context"
	"net/http"
)

// Call is what is known of one request besides the request itself.
type Call struct {
	ID     string      // X-Request-Id
	Caller string      // who asks, see [Caller]; "" while nobody has shown who they are
	KeyID  string      // of the key behind the caller's credentials; "" if there is none
	Header http.Header // of the request
	Field  string      // for the log: what was refused
	Cause  string      // for the log: why

	channel *Channel
	peer    string // the address that asks, for the limit on failed attempts
	place   place  // what it has of what there is
}

type callKey struct{}

// WithCall returns a context for a request.
func WithCall(ctx context.Context, k *Call) context.Context {
	return context.WithValue(ctx, callKey{}, k)
}

// CallOf returns what is known of the request that ctx belongs to, and nothing of
// note if it belongs to none. Routes may set Field and Cause.
func CallOf(ctx context.Context) *Call {
	if k, ok := ctx.Value(callKey{}).(*Call); ok {
		return k
	}
	return &Call{}
}

// Work says that a request without a body has arrived and is worked on; [ReadBody]
// says so of one with a body. The error wraps booking.ErrUnavailable: the caller has
// too much in hand.
func (k *Call) Work() error { return k.place.work(0) }
