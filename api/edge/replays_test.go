package edge

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"holdfast/booking"
)

// A replay is counted, and one of another request is logged by ids alone.
func TestReplaysAreCounted(t *testing.T) {
	var log bytes.Buffer
	var n Counters
	to := slog.New(slog.NewTextHandler(&log, nil))
	b := booking.Booking{Contact: booking.Contact{GivenName: "Canary"}}
	n.Count(t.Context(), to, booking.Outcome{Booking: b})
	n.Count(t.Context(), to, booking.Outcome{Booking: b, Replay: true})
	n.Count(t.Context(), to, booking.Outcome{Booking: b, Replay: true, Mismatch: true})
	if r, m := n.Replays.Load(), n.Mismatches.Load(); r != 2 || m != 1 {
		t.Errorf("got %d replays and %d mismatches, want 2 and 1", r, m)
	}
	if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), b.ID.String()) || strings.Contains(log.String(), "Canary") {
		t.Errorf("log: %s", &log)
	}
}
