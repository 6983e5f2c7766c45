package storage

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
	"holdfast/inventory"
)

type keyRow struct {
	Digest     []byte
	MerchantID string
	CreatedSec int64
}

func (keyRow) TableName() string { return "clinic_keys" }

type clinicTokenRow struct {
	Digest     []byte
	MerchantID string
	CreatedSec int64
	ExpiresSec int64
}

func (clinicTokenRow) TableName() string { return "clinic_tokens" }

// PutKey implements [booking.Store].
func (db *DB) PutKey(ctx context.Context, digest []byte, merchantID string, nowSec int64) error {
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		if err := take(tx.Where("id = ? AND kind = ?", merchantID, inventory.MerchantClinic), &merchantRow{}); err != nil {
			return err
		}
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&keyRow{Digest: digest, MerchantID: merchantID, CreatedSec: nowSec}).Error
	})
}

// PutToken implements [booking.Store]. It sweeps out what has expired.
func (db *DB) PutToken(ctx context.Context, keyDigest, digest []byte, nowSec, expiresSec int64) error {
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		var key keyRow
		if err := take(tx.Where("digest = ?", keyDigest), &key); err != nil {
			return err
		}
		if err := tx.Where("expires_sec <= ?", nowSec).Delete(&clinicTokenRow{}).Error; err != nil {
			return err
		}
		return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&clinicTokenRow{
			Digest: digest, MerchantID: key.MerchantID, CreatedSec: nowSec, ExpiresSec: expiresSec,
		}).Error
	})
}

// TokenMerchant implements [booking.Store].
func (db *DB) TokenMerchant(ctx context.Context, digest []byte, nowSec int64) (string, error) {
	var token clinicTokenRow
	err := take(db.read.WithContext(ctx).Where("digest = ? AND expires_sec > ?", digest, nowSec), &token)
	return token.MerchantID, unavailable(err)
}

// take reads one row into dest, or returns [booking.ErrNotFound].
func take(query *gorm.DB, dest any) error {
	err := query.Take(dest).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return booking.ErrNotFound
	}
	if err != nil {
		return fmt.Errorf("read %T: %w", dest, err)
	}
	return nil
}
