package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/inventory"
)

// OtherDay returns the index of the first time that is not on the same day of the clinic's
// calendar as the first one, or -1. It decides row B11 of update-reservation and row O6 of
// create-occupied-time. Before a "no" it reads the catalogue anew, because an import may have
// changed the time zone.
//
// For a clinic that no longer exists it uses UTC: the clinic has no visits, and the command
// itself says so (row C1).
func (s *Service) OtherDay(ctx context.Context, merchantID string, times ...time.Time) (int, error) {
	loc, err := calendarOf(s.Store.Merchant(ctx, merchantID))
	if err != nil {
		return 0, err
	}
	n := otherDay(loc, times)
	if n < 0 {
		return n, nil
	}
	if loc, err = calendarOf(s.Store.Refreshed(ctx, merchantID)); err != nil {
		return 0, err
	}
	return otherDay(loc, times), nil
}

func otherDay(loc *time.Location, times []time.Time) int {
	for n, t := range times {
		if inventory.DateOf(t.In(loc)) != inventory.DateOf(times[0].In(loc)) {
			return n
		}
	}
	return -1
}

func calendarOf(m *inventory.Merchant, err error) (*time.Location, error) {
	switch {
	case errors.Is(err, ErrNotFound):
		return time.UTC, nil
	case err != nil:
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return m.Location, nil
}
