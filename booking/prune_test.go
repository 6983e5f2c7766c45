package booking_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"holdfast/booking"
)

// Past slots that nobody wanted are deleted; taken, blocked and recent ones are not. A lane's slot comes back if the desk needs it.
func TestPrune(t *testing.T) {
	each(t, func(w *world) {
		w.feed(eight.Unix(), true, row("dinner", at(18, 0), 1, 1, 2), row("dinner", at(19, 0), 1, 1, 2), row("dinner", at(20, 0), 1, 1, 2))
		w.booked(w.dinner("dinner", at(19, 0), 2))
		b := w.booked(w.request(at(9, 0)))
		w.must(w.change(move(b, bed, at(14, 0), at(15, 0)))) // leaves rows that nobody has: its request looked at both zones
		blocked := w.block(block(suite, at(10, 0), at(10, 30)))

		for _, tt := range []struct {
			now  int64
			want int
		}{{at(8, 0), 0}, {at(9, 0) + 3600, 0}, {at(9, 0) + 3601, 3}, {at(20, 0) + 3600, 3}, {at(20, 0) + 3601, 1}, {at(23, 0), 0}} { // and what the dinner has locked
			w.Now = func() time.Time { return time.Unix(tt.now, 0) }
			got, err := w.Prune(t.Context(), time.Hour, nil)
			w.must(err)
			if got != tt.want {
				t.Errorf("at %d: %d deleted, want %d", tt.now-at(0, 0), got, tt.want)
			}
		}
		w.verify() // which misses the slots of what is held
		w.must(w.change(move(b, bed, at(9, 0), at(10, 0))))
		w.must(w.unblock(blocked))
	})
}

// The desk moves visits about in the past while the slots that they leave are deleted: nothing is refused, and nothing fails.
func TestPruneWhileMoving(t *testing.T) {
	each(t, func(w *world) {
		var visits []booking.Booking
		for range 2 {
			visits = append(visits, w.booked(in(w, at(9, 0), bed)))
		}
		w.Now = func() time.Time { return eight.Add(24 * time.Hour) }
		moving, stop := context.WithCancel(t.Context())
		defer stop()
		w.together(len(visits)+1, 1, func(i int) {
			if i == len(visits) {
				for moving.Err() == nil {
					if _, err := w.Prune(context.Background(), 0, nil); err != nil && !errors.Is(err, booking.ErrUnavailable) {
						t.Errorf("prune: %v", err)
					}
				}
				return
			}
			for n := range 60 {
				to := at(9, 30*(n%4))
				if err := w.change(move(visits[i], bed, to, to+3600)); err != nil {
					t.Errorf("move: %v", err)
				}
			}
			if i == 0 {
				stop()
			}
		})
	})
}
