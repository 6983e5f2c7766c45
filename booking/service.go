package booking

import (
	"context"
	"errors"
	"fmt"
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
}

// operation plans what to touch and what to do, from a merchant's catalogue.
// The merchant is nil if there is none with that id.
type operation func(m *inventory.Merchant) (Keys, func(Tx) error)

// replans is how often an operation is planned again because an import has
// changed the catalogue under it.
const replans = 10

// run plans an operation and runs it, and does so again if the catalogue was
// not the newest.
func (s *Service) run(ctx context.Context, merchantID string, plan operation) error {
	for range replans {
		m, err := s.Store.Merchant(ctx, merchantID)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("read catalogue: %w", err)
		}
		touches, f := plan(m)
		if m != nil {
			touches.MerchantID, touches.CatalogueVersion = m.ID, m.Version
		}
		if err := s.Store.InTx(ctx, touches, f); !errors.Is(err, ErrStale) {
			return err
		}
	}
	return fmt.Errorf("%w: the catalogue keeps changing", ErrUnavailable)
}
