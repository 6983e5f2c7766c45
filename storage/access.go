package storage

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/booking"
)

type keyRow struct {
	Digest     []byte
	MerchantID string
	Name       string
	CreatedSec int64
	UsedSec    *int64
	ExpiresSec *int64
	RevokedSec *int64
}

func (keyRow) TableName() string { return "clinic_keys" }

func (r keyRow) key() booking.StoredKey {
	return booking.StoredKey{Digest: r.Digest, Key: booking.Key{
		ID: booking.KeyID(r.Digest), MerchantID: r.MerchantID, Name: r.Name, CreatedSec: r.CreatedSec,
		UsedSec: orZero(r.UsedSec), ExpiresSec: orZero(r.ExpiresSec), RevokedSec: orZero(r.RevokedSec),
	}}
}

type clinicTokenRow struct {
	Digest     []byte
	MerchantID string
	KeyDigest  []byte
	CreatedSec int64
	ExpiresSec int64
	Seq        int64 // of its key's: the newest has the highest
}

func (clinicTokenRow) TableName() string { return "clinic_tokens" }

// PutKey implements [booking.Store].
func (db *DB) PutKey(ctx context.Context, digest []byte, merchantID, name string, nowSec int64) error {
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		if err := take(tx.Where("id = ?", merchantID), &merchantRow{}); err != nil {
			return err
		}
		return putKey(tx, keyRow{Digest: digest, MerchantID: merchantID, Name: name, CreatedSec: nowSec})
	})
}

// putKey writes a key unless it exists: after a COMMIT without an answer it runs again.
func putKey(tx *gorm.DB, row keyRow) error {
	return tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error
}

// ClinicKeys implements [booking.Store].
func (db *DB) ClinicKeys(ctx context.Context) ([]booking.StoredKey, error) {
	var rows []keyRow
	if err := db.read.WithContext(ctx).Order("merchant_id, created_sec, digest").Find(&rows).Error; err != nil {
		return nil, unavailable(fmt.Errorf("read keys: %w", err))
	}
	keys := make([]booking.StoredKey, len(rows))
	for i, r := range rows {
		keys[i] = r.key()
	}
	return keys, nil
}

// ReplaceKey implements [booking.Store].
func (db *DB) ReplaceKey(ctx context.Context, old, digest []byte, nowSec, expiresSec int64) error {
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		var was keyRow
		if err := take(tx.Where("digest = ? ORDER BY digest"+db.dialect.lock, old), &was); err != nil {
			return err
		}
		var made int64
		if err := tx.Model(&keyRow{}).Where("digest = ?", digest).Count(&made).Error; err != nil || made > 0 {
			return err // an earlier run, whose COMMIT got no answer, has done it
		}
		if was.ExpiresSec != nil || was.RevokedSec != nil {
			return &refusal{booking.ErrNotFound}
		}
		ends := tx.Model(&keyRow{}).Where("digest = ?", old).Update("expires_sec", expiresSec)
		if err := affected(ends, 1); err != nil {
			return fmt.Errorf("end key: %w", err)
		}
		return putKey(tx, keyRow{Digest: digest, MerchantID: was.MerchantID, Name: was.Name, CreatedSec: nowSec})
	})
}

// RevokeKey implements [booking.Store]. Old tokens do not say which key they were given
// for. They may belong to any key of the merchant, so they end too.
func (db *DB) RevokeKey(ctx context.Context, digest []byte, nowSec int64) error {
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		var key keyRow
		if err := take(tx.Where("digest = ? ORDER BY digest"+db.dialect.lock, digest), &key); err != nil {
			return err
		}
		if err := affected(tx.Model(&keyRow{}).Where("digest = ?", digest).Update("revoked_sec", nowSec), 1); err != nil {
			return fmt.Errorf("revoke key: %w", err)
		}
		return tx.Where("key_digest = ? OR key_digest IS NULL AND merchant_id = ?", digest, key.MerchantID).Delete(&clinicTokenRow{}).Error
	})
}

// PutToken implements [booking.Store], and deletes expired tokens. Anybody can try a guessed
// key, so a plain read turns unknown keys away before the transaction begins: guesses must
// not hold up those who write.
func (db *DB) PutToken(ctx context.Context, keyDigest, digest []byte, nowSec, expiresSec int64, most int) error {
	if err := take(db.read.WithContext(ctx).Where("digest = ?", keyDigest), &keyRow{}); err != nil {
		return unavailable(err)
	}
	return db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		// Locked, so that a key cannot give a token while it is being revoked.
		var row keyRow
		if err := take(tx.Where("digest = ? ORDER BY digest"+db.dialect.lock, keyDigest), &row); err != nil {
			return err
		}
		key := row.key()
		if !key.Good(nowSec) {
			return &refusal{booking.ErrNotFound}
		}
		if err := affected(tx.Model(&keyRow{}).Where("digest = ?", keyDigest).Update("used_sec", nowSec), 1); err != nil {
			return fmt.Errorf("note the key's use: %w", err)
		}
		if err := tx.Where("expires_sec <= ?", nowSec).Delete(&clinicTokenRow{}).Error; err != nil {
			return err
		}
		var last int64 // servers that did not count have left 0 in all rows
		if err := tx.Raw("SELECT COALESCE(MAX(seq), 0) FROM clinic_tokens WHERE key_digest = ?", keyDigest).Scan(&last).Error; err != nil {
			return fmt.Errorf("count tokens: %w", err)
		}
		err := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&clinicTokenRow{
			Digest: digest, MerchantID: key.MerchantID, KeyDigest: keyDigest, CreatedSec: nowSec, ExpiresSec: expiresSec, Seq: last + 1,
		}).Error
		if err != nil {
			return fmt.Errorf("write token: %w", err)
		}
		var old [][]byte // what goes beyond the newest
		err = tx.Raw("SELECT digest FROM clinic_tokens WHERE key_digest = ? ORDER BY created_sec DESC, seq DESC LIMIT ? OFFSET ?", keyDigest, rowsAtOnce, most).Scan(&old).Error
		if err != nil || len(old) == 0 {
			return err
		}
		return tx.Where("digest IN ?", old).Delete(&clinicTokenRow{}).Error
	})
}

// TokenMerchant implements [booking.Store].
func (db *DB) TokenMerchant(ctx context.Context, digest []byte, nowSec int64) (merchantID, keyID string, err error) {
	defer courseOf(ctx).note("read")()
	var token clinicTokenRow
	if err := take(db.read.WithContext(ctx).Where("digest = ? AND expires_sec > ?", digest, nowSec), &token); err != nil {
		return "", "", unavailable(err)
	}
	return token.MerchantID, booking.KeyID(token.KeyDigest), nil
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
