package booking

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"holdfast/inventory"
)

// Lists of which the desk's own software keeps copies: the catalogue, closed times, and changes.

// Catalogue returns a merchant's catalogue, read anew.
func (s *Service) Catalogue(ctx context.Context, merchantID string) (*inventory.Merchant, error) {
	m, err := s.Store.Refreshed(ctx, merchantID)
	if err != nil {
		return nil, fmt.Errorf("read catalogue: %w", err)
	}
	return m, nil
}

// BlocksQuery asks for the times that a clinic's desk has closed.
type BlocksQuery struct {
	MerchantID string // of the caller's token
	ZoneID     string // only those in this zone; "": in any
	FromSec    int64  // and only what overlaps [FromSec, ToSec), Unix seconds
	ToSec      int64
	AfterSec   int64     // only those after this start, or with this start after AfterID:
	AfterID    uuid.UUID // the last of the previous page; uuid.Nil: from the first on
	Limit      int       // how many to return at most
}

// LongestBlock is how long a block may be at most (create-occupied-time, row O5).
const LongestBlock = 24 * time.Hour

// Blocks returns a page of closed times, by start and id, and whether there are more. It returns
// *Invalid for a zone that this clinic does not have.
func (s *Service) Blocks(ctx context.Context, q BlocksQuery) (found []Booking, more bool, err error) {
	if q.ZoneID != "" {
		m, err := s.Catalogue(ctx, q.MerchantID)
		if err != nil {
			return nil, false, err
		}
		z := m.Zone(q.ZoneID)
		if z == nil {
			return nil, false, unknown(FieldZone, "no such zone of this clinic")
		}
		q.ZoneID = z.ID
	}
	return s.Store.Blocks(ctx, q)
}

// ChangesQuery asks which visits have changed.
type ChangesQuery struct {
	MerchantID string // of the caller's token
	Waiting    *bool  // only those that wait, or do not wait, for the clinic's confirmation; nil: all
	Cursor     ChangesCursor
	Limit      int // how many changes to look at
}

// ChangesCursor is how far a reader has come in the changes of a merchant's visits.
type ChangesCursor struct {
	SinceSec int64    // changes at that time or later, Unix seconds
	After    ChangeAt // and after this one; the zero value: from the first on
	// SettledSec is the time before which no more changes could appear when the first page
	// was read; 0: this is the first page.
	SettledSec int64
}

// ChangeAt is a change's position in the order of all changes.
type ChangeAt struct {
	AtSec     int64
	BookingID uuid.UUID
	Version   int64
}

// Compare orders changes.
func (c ChangeAt) Compare(o ChangeAt) int {
	return cmp.Or(cmp.Compare(c.AtSec, o.AtSec), bytes.Compare(c.BookingID[:], o.BookingID[:]), cmp.Compare(c.Version, o.Version))
}

// Settling is how much later than its own time a change may appear, because an operation waits or
// an import takes long. Having read all changes, a reader starts the next time that much earlier.
// It may see some changes twice, but misses none.
const Settling = 5 * time.Minute

// Changes returns the visits of a page of changes as they are now, each once, the one that changed
// last at the end; where to continue; and whether there is more to read now.
func (s *Service) Changes(ctx context.Context, q ChangesQuery) (found []Schedule, next ChangesCursor, more bool, err error) {
	at := q.Cursor
	if now := s.Now(); at.SettledSec == 0 {
		at.SettledSec = now.Add(-Settling).Unix()
		at.SinceSec = min(at.SinceSec, now.Unix())
	}
	found, last, more, err := s.Store.Changes(ctx, ChangesQuery{MerchantID: q.MerchantID, Waiting: q.Waiting, Cursor: at, Limit: q.Limit})
	if err == nil {
		err = s.nameServices(ctx, q.MerchantID, found)
	}
	if err != nil {
		return nil, ChangesCursor{}, false, err
	}
	if more {
		at.After = last
		return found, at, true, nil
	}
	return found, ChangesCursor{SinceSec: max(at.SinceSec, at.SettledSec)}, false, nil
}
