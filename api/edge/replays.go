package edge

import (
	"context"
	"log/slog"
	"sync/atomic"

	"holdfast/booking"
)

// Counters count what an operator should know and no answer tells.
type Counters struct {
	Replays    atomic.Int64 // requests whose idempotency token had made a booking already
	Mismatches atomic.Int64 // those of them that were another request than the first
}

// Count keeps the number of replays. Another request under a known token gets the
// token's booking, and an operator gets to know.
func (n *Counters) Count(ctx context.Context, log *slog.Logger, out booking.Outcome) {
	if out.Replay {
		n.Replays.Add(1)
	}
	if out.Mismatch {
		n.Mismatches.Add(1)
		log.WarnContext(ctx, "another request under a known idempotency token", "request_id", CallOf(ctx).ID, "booking_id", out.Booking.ID.String())
	}
}
