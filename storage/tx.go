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

// tries is how often a transaction runs in all if the database undoes it.
const tries = 5

// maxDoubts is how often it runs again after a COMMIT without an answer.
const maxDoubts = 2

// unknown is the error of a COMMIT that was sent and got no answer: the transaction may or may
// not have happened, and nobody may get an answer before that is settled.
type unknown struct{ err error }

func (u *unknown) Error() string { return "outcome of COMMIT unknown: " + u.err.Error() }
func (u *unknown) Unwrap() error { return u.err }

// refusal is the operation's own error, which is passed on unchanged. It undoes the
// transaction and is no reason to run it again.
type refusal struct{ err error }

func (r *refusal) Error() string { return r.err.Error() }

// transact runs f in a transaction that takes at most limit; [DB.repeat] runs it again when
// the database fails. When transact returns nil, or f's refusal, everything that f has seen is
// durable (see [DB.outlast]).
func (db *DB) transact(ctx context.Context, limit time.Duration, f func(tx *gorm.DB) error) (err error) {
	op := &operation{since: now(), course: courseOf(ctx)}
	op.turn = op.since
	noted, notes := db.noting(ctx, []*operation{op})
	defer func() { op.course.answered(op, err) }()
	err = db.repeat(noted, limit, func(tx *gorm.DB) error {
		notes.step("run")
		if err := f(tx); err != nil {
			return err
		}
		return db.outlast(tx)
	})
	notes.share([]*operation{op})
	var refused *refusal
	if errors.As(err, &refused) {
		if err := db.Settled(ctx); err != nil {
			return err
		}
		return refused.err
	}
	return err
}

// Settled implements [booking.Store].
func (db *DB) Settled(ctx context.Context) error {
	if db.dialect.outlast == "" {
		return nil
	}
	defer courseOf(ctx).note("settle")()
	err := db.inTime(context.WithoutCancel(ctx), db.limit, db.outlast)
	var doubt *unknown
	if errors.As(err, &doubt) { // another COMMIT would wait for the same standby
		return fmt.Errorf("%w: %w", booking.ErrUnavailable, err)
	}
	return err
}

// outlast makes the COMMIT of a transaction that has written nothing wait for the standby like
// that of one that has.
//
// With synchronous replication, PostgreSQL's COMMIT waits for the standby. If our limit or a
// canceled query ends that wait, the transaction stays committed: everybody sees it from then
// on, and it is still lost if the primary dies. So an answer that depends on an earlier
// transaction, such as the replay of a token, must wait until that one is replicated. A COMMIT
// waits for all of the WAL before it, whoever wrote it, but only if its own transaction wrote
// some, too.
func (db *DB) outlast(tx *gorm.DB) error {
	if db.dialect.outlast == "" {
		return nil
	}
	if err := tx.Exec(db.dialect.outlast).Error; err != nil {
		return fmt.Errorf("write a mark to wait for: %w", err)
	}
	return nil
}

// errNotReplicated: PostgreSQL has committed, but stopped waiting for the standby.
var errNotReplicated = errors.New("COMMIT did not wait for the standby")

// repeat runs f in a transaction that takes at most limit, and runs it again where that is
// safe. So f may run more than once, even after it was committed. repeat returns a *refusal
// unchanged.
//
// It uses a context of its own, because a caller who hangs up must not turn a decided commit
// into an unknown one. If COMMIT gets no answer, the transaction runs again on another
// connection and with a fresh limit. Its insert of a token, or its lock on a booking, waits for
// the transaction in doubt, and then finds what that one did. Only looking for rows would not
// do: if they are missing, that transaction may still be about to commit them.
func (db *DB) repeat(ctx context.Context, limit time.Duration, f func(tx *gorm.DB) error) error {
	ctx = context.WithoutCancel(ctx)
	for doubts := 0; ; doubts++ {
		err := db.inTime(ctx, limit, f)
		var doubt *unknown
		switch {
		case !errors.As(err, &doubt):
			return err
		case doubts == maxDoubts:
			return fmt.Errorf("%w: %w", booking.ErrUnavailable, err)
		}
		db.retried(err)
	}
}

// inTime runs a transaction within the limit, and again when the database has certainly undone
// it. It returns a *refusal or an *unknown unchanged.
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
		db.forsake(err)
		switch classify(err) {
		case broken:
			return fmt.Errorf("transaction: %w", err)
		case closed:
			return fmt.Errorf("%w: %w", booking.ErrUnavailable, errFenced)
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

// attempt is one database transaction, and is noted if somebody watches.
func (db *DB) attempt(ctx context.Context, f func(tx *gorm.DB) error) (err error) {
	t := notesOf(ctx)
	t.begin()
	err = errPanicked // unless it returns
	defer func() { t.end(err) }()
	return db.try(ctx, t, f)
}

// errPanicked stands for a panic in the notes of a transaction.
var errPanicked = errors.New("panicked")

// try is one database transaction.
func (db *DB) try(ctx context.Context, t *notes, f func(tx *gorm.DB) error) (err error) {
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
	if err := db.begun(tx); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	if err := db.at("before COMMIT"); err != nil {
		return err
	}
	sent = true
	t.step("commit")
	impatient := db.impatient.Load()
	if err := tx.Commit().Error; err != nil {
		if classify(err) == rolledBack {
			return err
		}
		return &unknown{err}
	}
	if db.impatient.Load() != impatient { // perhaps that was another transaction's COMMIT, but running this one again does no harm
		return &unknown{errNotReplicated}
	}
	if err := db.at("after COMMIT"); err != nil {
		return &unknown{err}
	}
	return nil
}

// undo rolls back. If that fails because the connection is gone, the database has undone the
// transaction itself.
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
