package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// pruneBatch is of how many resources one transaction deletes slots.
const pruneBatch = 20

// Prune deletes the slots that started longer ago than after and that nobody has booked or blocked,
// so that unused slots do not pile up, and returns how many. Slots of lanes and staff are made
// again if the desk goes back that far. It works in small transactions, calls progress (if not nil)
// after each, and can be interrupted and run again at any time.
func (s *Service) Prune(ctx context.Context, after time.Duration, progress func(pruned int)) (pruned int, err error) {
	if after < 0 {
		return 0, errors.New("slots to come are not deleted")
	}
	if progress == nil {
		progress = func(int) {}
	}
	cutoff := s.Now().Add(-after).Unix()
	for last := uuid.Nil; ; {
		next, n, err := s.Store.PruneSlots(ctx, cutoff, last, pruneBatch)
		if err != nil {
			return pruned, fmt.Errorf("delete old slots: %w", err)
		}
		if next == uuid.Nil {
			return pruned, nil
		}
		last, pruned = next, pruned+n
		progress(pruned)
		if err := ctx.Err(); err != nil {
			return pruned, err
		}
	}
}
