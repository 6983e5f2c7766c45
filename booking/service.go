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

// Service runs the operations. Time and ids are given to it, so that a test can
// give others.
type Service struct {
	Store Store
	Now   func() time.Time
	NewID func() uuid.UUID // time-ordered and unguessable

	// LeaseLife is how long a lease may last; 0 is ten minutes.
	LeaseLife time.Duration

	// How much of what is small there may be; 0 is as many as the constants say.
	MaxTokens          int // good access tokens of one key: the oldest ends
	MaxLeases          int // leases that one user may hold at a merchant that does not say
	MaxAnonymousLeases int // leases without a user at one merchant
	MaxBlocks          int // blocks over one time of a zone that differ
}

// What a [Service] allows that does not say otherwise.
const (
	MaxTokens          = 20
	MaxLeases          = 10
	MaxAnonymousLeases = 100
	MaxBlocks          = 20
)

// operation plans what to touch and what to do, from a merchant's catalogue.
// The merchant is nil if there is none with that id.
type operation func(m *inventory.Merchant) (Footprint, func(Tx) error)

// replans is how often an operation is planned again because an import has
// changed the catalogue under it, somebody else the booking, or because a lease on its
// slots has lapsed.
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

// replan plans an operation and runs it, and does both again if what it was planned
// from has changed since (ErrStale). When a slot is full, it looks for leases on it
// that have lapsed or are the same guest's, announces and gives up those, and runs the
// operation again: so a lease ends by the clock alone, and never waits for a sweeper.
func (s *Service) replan(ctx context.Context, plan func() (Footprint, func(Tx) error, error)) error {
	var leases []uuid.UUID // to be given up
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

// leasesInTheWay finds leases that may be given up to make room for an
// operation that was refused because a slot is full, beyond those known.
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
	for _, id := range f.own { // a lapsed one is found already
		if !slices.Contains(found, id) {
			found = append(found, id)
		}
	}
	return slices.DeleteFunc(found, func(id uuid.UUID) bool { return slices.Contains(known, id) }), nil
}
