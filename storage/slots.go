package storage

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
)

// Slots implements [booking.Store]. It is one query, whatever the number of
// slots: the merchant's version and its slots are of the same moment.
func (db *DB) Slots(ctx context.Context, merchantID string, catalogueVersion int64, keys []inventory.SlotKey) (map[inventory.SlotKey]inventory.Slot, error) {
	where, args := "1 = 0", []any{}
	if len(keys) > 0 {
		where, args = slotsWhere(keys)
	}
	var rows []struct {
		Version    int64
		ResourceID *uuid.UUID // nil: no slot
		StartSec   int64
		Capacity   int
		Taken      int
	}
	query := `SELECT m.version, s.resource_id, COALESCE(s.start_sec, 0) AS start_sec, COALESCE(s.capacity, 0) AS capacity,
		COALESCE(s.taken, 0) AS taken FROM merchants m LEFT JOIN slots s ON (` + where + `) WHERE m.id = ?`
	if err := db.read.WithContext(ctx).Raw(query, append(args, merchantID)...).Scan(&rows).Error; err != nil {
		return nil, unavailable(fmt.Errorf("read slots: %w", err))
	}
	if len(rows) == 0 || rows[0].Version != catalogueVersion {
		db.catalogue.Delete(merchantID)
		return nil, booking.ErrStale
	}
	found := make(map[inventory.SlotKey]inventory.Slot, len(rows))
	for _, r := range rows {
		if r.ResourceID != nil {
			k := inventory.SlotKey{Resource: *r.ResourceID, StartSec: r.StartSec}
			found[k] = inventory.Slot{SlotKey: k, Capacity: r.Capacity, Taken: r.Taken}
		}
	}
	return found, nil
}
