package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrNotWiped: the data has been deleted, but may still be in the database's files.
var ErrNotWiped = errors.New("what was erased is still in the database's files")

// Wipe removes deleted data, and earlier versions of changed data, from the database's files.
// With rewrite it also removes what others deleted earlier without calling Wipe.
//
// On SQLite, Wipe writes the -wal back and empties it, for which it waits until nobody reads an
// old state; rewrite means VACUUM, during which nobody can write. It returns ErrNotWiped if
// others are in the way for too long. On PostgreSQL, Wipe does nothing without rewrite; with it,
// it runs VACUUM while others work, which frees the room of dead rows for new ones
// (docs/operations.md says what stays).
func (db *DB) Wipe(ctx context.Context, rewrite bool) error { return db.dialect.wipe(ctx, db, rewrite) }

// wipeWithin is how long to wait until nobody reads from the -wal of an SQLite file.
const wipeWithin = 15 * time.Second

func wipeSQLite(ctx context.Context, db *DB, rewrite bool) error {
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	if rewrite {
		if _, err := pool.ExecContext(ctx, "VACUUM"); err != nil {
			return fmt.Errorf("%w: VACUUM: %w", ErrNotWiped, err)
		}
	}
	for end := now().Add(wipeWithin); ; {
		var busy, pages, written int
		if err := pool.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &written); err != nil {
			return fmt.Errorf("%w: %w", ErrNotWiped, err)
		}
		if busy == 0 {
			return nil
		}
		if now().After(end) {
			return fmt.Errorf("%w: somebody reads or writes for long, and -wal cannot be emptied", ErrNotWiped)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ErrNotWiped, ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// personal are the tables with something of guests in them, and what is archived with those.
const personal = "bookings, booking_events, guests, guest_keys, idempotency_tokens, marketing_preferences, merchants, holds, occupied_resources, outbox"

func wipePostgres(ctx context.Context, db *DB, rewrite bool) (err error) {
	if !rewrite {
		return nil
	}
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	// VACUUM takes as long as it takes, so lift the session's limit.
	err = withConn(ctx, pool, func(conn *sql.Conn) error {
		if _, err := conn.ExecContext(ctx, "SET statement_timeout = 0"); err != nil {
			return err
		}
		_, err := conn.ExecContext(ctx, "VACUUM "+personal)
		_, err2 := conn.ExecContext(context.WithoutCancel(ctx), "RESET statement_timeout")
		return errors.Join(err, err2)
	})
	if err != nil {
		return fmt.Errorf("%w: VACUUM: %w", ErrNotWiped, err)
	}
	return nil
}

// withConn runs f on one connection of the pool.
func withConn(ctx context.Context, pool *sql.DB, f func(*sql.Conn) error) (err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	return f(conn)
}
