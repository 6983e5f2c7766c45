package booking

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Service runs the operations. It gets the time and ids from outside, so that tests can supply
// their own.
type Service struct {
	Store Store
	Now   func() time.Time
	NewID func() uuid.UUID // time-ordered and unguessable

	// LeaseLife is how long a lease may last; 0 is ten minutes.
	LeaseLife time.Duration

	// Limits; 0 is the constant below.
	MaxTokens          int // valid access tokens of one key; beyond it the oldest ends
	MaxLeases          int // leases that one user may hold, unless the merchant sets a limit
	MaxAnonymousLeases int // leases without a user at one merchant
	MaxBlocks          int // different blocks over one time of a zone
}

// The limits of a [Service] that sets none.
const (
	MaxTokens          = 20
	MaxLeases          = 10
	MaxAnonymousLeases = 100
	MaxBlocks          = 20
)

// operation plans from a merchant's catalogue what to touch and what to do. The merchant is nil if
// there is none with that id.
type operation func(m *inventory.Merchant) (Footprint, func(Tx) error)

// replans is how often an operation is planned: again each time that an import has changed the
// catalogue or somebody the booking, or that leases must give up their room.
const replans = 10

// run plans an operation from the merchant's catalogue and runs it, see [Service.replan].
func (s *Service) run(ctx context.Context, merchantID string, plan operation) error {
	return s.replan(ctx, func() (Footprint, func(Tx) error, error) { return s.planned(ctx, merchantID, plan) })
}

// planned reads the catalogue and plans the operation from it.
func (s *Service) planned(ctx context.Context, merchantID string, plan operation) (Footprint, func(Tx) error, error) {
	m, err := s.Store.Merchant(ctx, merchantID)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Footprint{}, nil, fmt.Errorf("read catalogue: %w", err)
	}
	touches, f := plan(m)
	if m != nil {
		touches.MerchantID, touches.CatalogueVersion = m.ID, m.Version
	}
	return touches, f, nil
}

// replan plans an operation and runs it. It does both again if what the plan is based on has changed
// meanwhile (ErrStale). When a slot is full, it looks for leases on it that have lapsed or belong to
// the same guest. Then it runs the operation again, and gives up those leases in the same
// transaction. So a lease ends by the clock alone, and never waits for a sweeper.
func (s *Service) replan(ctx context.Context, plan func() (Footprint, func(Tx) error, error)) error {
	var leases []uuid.UUID // to give up
	own := map[uuid.UUID]bool{}
	for range replans {
		touches, f, err := plan()
		if err != nil {
			return err
		}
		touches.Bookings = append(touches.Bookings, leases...)
		now := s.Now()
		err = s.Store.InTx(ctx, touches, func(tx Tx) error {
			for _, id := range leases {
				if err := giveUp(tx, id, own[id], now); err != nil {
					return err
				}
			}
			return f(tx)
		})
		if errors.Is(err, ErrStale) {
			continue
		}
		more, lookup := s.leasesInTheWay(ctx, err, leases, own, now)
		if lookup != nil {
			return lookup
		}
		if len(more) == 0 {
			return err
		}
		leases = append(leases, more...)
	}
	return fmt.Errorf("%w: the catalogue, the booking or the leases keep changing", ErrUnavailable)
}

// leasesInTheWay finds leases, other than the known ones, that may be given up to make room for an
// operation that was refused because a slot is full.
func (s *Service) leasesInTheWay(ctx context.Context, refusal error, known []uuid.UUID, own map[uuid.UUID]bool, now time.Time) ([]uuid.UUID, error) {
	var f *Failure
	if !errors.As(refusal, &f) || len(f.full) == 0 {
		return nil, nil
	}
	found, err := s.Store.LapsedLeases(ctx, f.full, now.Unix())
	if err != nil {
		return nil, fmt.Errorf("look for lapsed leases: %w", err)
	}
	for _, id := range f.own {
		own[id] = true
	}
	for _, id := range f.own { // found has the lapsed ones already
		if !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return slices.DeleteFunc(found, func(id uuid.UUID) bool { return slices.Contains(known, id) }), nil
}
