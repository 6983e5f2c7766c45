package storage

import (
	"context"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

type marketingRow struct {
	GoogleUserID string
	Wanted       bool
	SinceSec     int64
}

func (marketingRow) TableName() string { return "marketing_preferences" }

// PutMarketing implements [booking.Store].
func (db *DB) PutMarketing(ctx context.Context, googleUserID string, wanted bool, nowSec int64) error {
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		row := marketingRow{GoogleUserID: googleUserID, Wanted: wanted, SinceSec: nowSec}
		put := tx.Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "google_user_id"}}, DoUpdates: clause.AssignmentColumns([]string{"wanted", "since_sec"}),
		}).Create(&row)
		return affected(put, 1)
	})
}

// Marketing returns what those of the Google users have said who said anything.
func (db *DB) Marketing(ctx context.Context, googleUserIDs []string) (map[string]bool, error) {
	wanted := map[string]bool{}
	for len(googleUserIDs) > 0 {
		n := min(len(googleUserIDs), rowsAtOnce)
		var rows []marketingRow
		if err := db.read.WithContext(ctx).Where("google_user_id IN ?", googleUserIDs[:n]).Find(&rows).Error; err != nil {
			return nil, unavailable(fmt.Errorf("read marketing preferences: %w", err))
		}
		for _, r := range rows {
			wanted[r.GoogleUserID] = r.Wanted
		}
		googleUserIDs = googleUserIDs[n:]
	}
	return wanted, nil
}
