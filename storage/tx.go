package storage

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gorm.io/gorm"

	"holdfast/booking"
)

// tries is how often a transaction is run again that the database undid.
const tries = 5

// maxDoubts is how often it is run again after a COMMIT without an answer.
const maxDoubts = 2

// unknown is a COMMIT that was sent and whose answer did not come: the
// transaction may or may not have happened.
type unknown struct{ err error }

func (u *unknown) Error() string { return "outcome of COMMIT unknown: " + u.err.Error() }
func (u *unknown) Unwrap() error { return u.err }

// refusal is what the operation itself returned; it is passed on as it is.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }

// transact runs f in a transaction that takes at most limit, and runs it again
// where that is right. f may so run more than once, and even after it has
// happened already.
//
// It runs on a context of its own: a caller who hangs up must not turn a decided
// commit into an unknown one. A transaction whose COMMIT got no answer is run
// again on a fresh connection and with a fresh limit: its token insert, or its
// booking's lock, waits for the one in doubt and then finds what that one did.
// Looking for its rows instead would prove nothing.
func (db *DB) transact(ctx context.Context, limit time.Duration, f func(tx *gorm.DB) error) error {
	ctx = context.WithoutCancel(ctx)
	for doubts := 0; ; doubts++ {
		err := db.inTime(ctx, limit, f)
		var refused *refusal
		var doubt *unknown
		switch {
		case errors.As(err, &refused):
			return refused.err
		case !errors.As(err, &doubt):
			return err
		case doubts == maxDoubts:
			return fmt.Errorf("%w: %w", booking.ErrUnavailable, err)
		}
		db.retried(err)
	}
}

// inTime runs a transaction within the limit, and again when the database has
// certainly undone it. It returns a *refusal or an *unknown as they come.
func (db *DB) inTime(ctx context.Context, limit time.Duration, f func(tx *gorm.DB) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for try, timeouts := 1, 0; ; try++ {
		err := db.attempt(ctx, f)
		var refused *refusal
		var doubt *unknown
		if err == nil || errors.As(err, &refused) || errors.As(err, &doubt) {
			return err
		}
		switch classify(err) {
		case broken:
			return fmt.Errorf("transaction: %w", err)
		case timedOut:
			timeouts++
		}
		if try == tries || timeouts == 2 || ctx.Err() != nil {
			return fmt.Errorf("%w: %w", booking.ErrUnavailable, err)
		}
		db.retried(err)
		pause := time.Duration(1+rand.Int64N(10*int64(try))) * time.Millisecond //nolint:gosec // jitter, no secret
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

// attempt is one database transaction.
func (db *DB) attempt(ctx context.Context, f func(tx *gorm.DB) error) (err error) {
	tx := begin(db.write.WithContext(ctx))
	if tx.Error != nil {
		return fmt.Errorf("begin: %w", tx.Error)
	}
	sent := false
	defer func() {
		if !sent { // also when f panics
			err = errors.Join(err, undo(tx))
		}
	}()
	if err := f(tx); err != nil {
		return err
	}
	if err := db.at("before COMMIT"); err != nil {
		return err
	}
	sent = true
	if err := tx.Commit().Error; err != nil {
		if classify(err) == rolledBack {
			return err
		}
		return &unknown{err}
	}
	if err := db.at("after COMMIT"); err != nil {
		return &unknown{err}
	}
	return nil
}

// undo rolls back. That it fails because the connection is gone is no news: the
// transaction is undone all the same.
func undo(tx *gorm.DB) error {
	if err := tx.Rollback().Error; err != nil && classify(err) == broken {
		return fmt.Errorf("roll back: %w", err)
	}
	return nil
}

// at lets a test fail the transaction at a named point.
func (db *DB) at(point string) error {
	if db.fault == nil {
		return nil
	}
	return db.fault(point)
}
