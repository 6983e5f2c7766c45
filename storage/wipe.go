package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// ErrNotWiped: what was deleted is deleted, but may still be in the database's
// files.
var ErrNotWiped = errors.New("what was erased is still in the database's files")

// Wipe takes what was deleted, and earlier versions of what was changed, out of
// the files of the database. With rewrite it also takes out what was deleted by
// somebody else, at another time, without it.
//
// Of an SQLite file the -wal is written back and emptied, for which it waits until
// nobody reads an old state; to rewrite means VACUUM, during which nobody can write.
// It returns ErrNotWiped if others are in the way for too long. In PostgreSQL
// nothing is done without rewrite, and with it VACUUM beside everybody else, which
// gives the room of dead rows to new ones (docs/operations.md tells what stays).
func (db *DB) Wipe(ctx context.Context, rewrite bool) error { return db.dialect.wipe(ctx, db, rewrite) }

// wipeWithin is how long to wait until nobody reads from an SQLite file's -wal.
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
	// It takes as long as it takes; the limit is the session's.
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
