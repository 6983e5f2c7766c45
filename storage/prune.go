package storage

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"holdfast/inventory"
)

// PruneSlots implements [booking.Store]. It may delete a row that a booking has just found
// and is about to lock; then the booking runs again (errVanished).
func (db *DB) PruneSlots(ctx context.Context, untilSec int64, after uuid.UUID, limit int) (last uuid.UUID, pruned int, err error) {
	err = db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		last, pruned = uuid.Nil, 0
		var ids []uuid.UUID
		if err := tx.Model(&resourceRow{}).Where("id > ? AND kind <> ?", after, inventory.KindQuota).Order("id").Limit(limit).Pluck("id", &ids).Error; err != nil {
			return fmt.Errorf("look for resources: %w", err)
		}
		if len(ids) == 0 {
			return nil
		}
		last = ids[len(ids)-1]
		gone := tx.Where("resource_id IN ? AND start_sec < ? AND taken = 0 AND blocked = 0", ids, untilSec).Delete(&slotRow{})
		pruned = int(gone.RowsAffected)
		if gone.Error != nil {
			return fmt.Errorf("delete slots: %w", gone.Error)
		}
		return nil
	})
	return last, pruned, err
}
