package edge

import (
	"context"
	"log/slog"
	"sync/atomic"

	"holdfast/booking"
)

// Counters count what an operator should know and no answer shows.
type Counters struct {
	Replays    atomic.Int64 // requests whose idempotency token had already made a booking
	Mismatches atomic.Int64 // of them, those that differed from the first request
}

// Count counts replays. A different request under a known token gets the token's booking, and a
// warning in the log tells the operator.
func (n *Counters) Count(ctx context.Context, log *slog.Logger, out booking.Outcome) {
	if out.Replay {
		n.Replays.Add(1)
	}
	if out.Mismatch {
		n.Mismatches.Add(1)
		log.WarnContext(ctx, "another request under a known idempotency token", "request_id", CallOf(ctx).ID, "booking_id", out.Booking.ID.String())
	}
}
