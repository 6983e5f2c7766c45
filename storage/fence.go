package storage

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"holdfast/booking"
)

// While a database is copied, and for good afterwards, nobody may write to it: the copy would
// not have it. So the copy begins by putting up a fence, a trigger on every table that
// refuses every statement that writes, whoever sends it. On both databases the transaction
// that makes triggers waits until nobody else is writing. So everything acknowledged before
// the fence is in the snapshot taken behind it, and nothing is acknowledged after it. A
// database without a fence pays nothing.

// fenceCode is the SQLSTATE of the fence on PostgreSQL. Releases that do not know it take
// its class for a shortage, and answer 503.
const fenceCode = "53H01"

// errFenced is the error of a statement that the fence refuses.
var errFenced = errors.New("the database is being copied, or has been, and takes no changes; holdfast copy --help says what to do")

// fenced reports whether an error comes from the fence.
func fenced(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == fenceCode
	}
	var lite *sqlite.Error
	return errors.As(err, &lite) && lite.Code() == sqlite3.SQLITE_CONSTRAINT_TRIGGER // there are no other triggers
}

// fencePostgres are the statements that put up the fence. They lock tables in the order in
// which operations write to them, so that we wait for operations instead of deadlocking.
func fencePostgres(tables []string) []string {
	statements := []string{
		"LOCK TABLE idempotency_tokens, guest_keys, slots IN SHARE ROW EXCLUSIVE MODE",
		`CREATE FUNCTION holdfast_fence() RETURNS trigger LANGUAGE plpgsql AS $$
			BEGIN RAISE EXCEPTION 'this database is being copied, or has been' USING ERRCODE = '` + fenceCode + `'; END $$`,
	}
	for _, t := range tables {
		statements = append(statements, fmt.Sprintf(`CREATE TRIGGER holdfast_fence BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON "%s"
			FOR EACH STATEMENT EXECUTE FUNCTION holdfast_fence()`, t))
	}
	return statements
}

func unfencePostgres([]string) []string {
	return []string{"DROP FUNCTION holdfast_fence CASCADE"} // with its triggers
}

var sqliteVerbs = []string{"INSERT", "UPDATE", "DELETE"}

func fenceSQLite(tables []string) (statements []string) {
	for _, t := range tables {
		for _, verb := range sqliteVerbs {
			statements = append(statements, fmt.Sprintf(`CREATE TRIGGER "holdfast_fence_%s_%s" BEFORE %s ON "%s"
				BEGIN SELECT RAISE(ABORT, 'this database is being copied, or has been'); END`, t, verb, verb, t))
		}
	}
	return statements
}

func unfenceSQLite(tables []string) (statements []string) {
	for _, t := range tables {
		for _, verb := range sqliteVerbs {
			statements = append(statements, fmt.Sprintf(`DROP TRIGGER IF EXISTS "holdfast_fence_%s_%s"`, t, verb))
		}
	}
	return statements
}

// copyRow is what a database knows about a copy that it is, or was, part of.
type copyRow struct {
	ID          uuid.UUID
	Role        string // copySource or copyTarget
	Other       string
	StartedSec  int64
	FinishedSec *int64
}

func (copyRow) TableName() string { return "copies" }

const (
	copySource = "source"
	copyTarget = "target"
)

// latestCopy is the newest copy in which the database has this role, or nil.
func latestCopy(tx *gorm.DB, role string) (*copyRow, error) {
	var rows []copyRow
	if err := tx.Where("role = ?", role).Order("started_sec DESC, id DESC").Limit(1).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("look for copies: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	return &rows[0], nil
}

// checkCopies refuses a database that has been copied, and an incomplete copy.
func checkCopies(ctx context.Context, db *DB) error {
	if err := db.Copied(ctx); err != nil {
		return err
	}
	to, err := latestCopy(db.read.WithContext(ctx), copyTarget)
	if err != nil {
		return err
	}
	if to != nil && to.FinishedSec == nil {
		return fmt.Errorf("this database is a copy of %s that is not finished: give the same holdfast copy again, or drop this database", to.Other)
	}
	return nil
}

// CopiedError says that a database has been copied to another one, which replaces it. It
// wraps [booking.ErrUnavailable].
type CopiedError struct {
	To   string // without user and password
	When time.Time
}

func (e *CopiedError) Error() string {
	return fmt.Sprintf("this database was copied to %s at %s and is out of date: use that one (to return, copy that one to a new database)", e.To, e.When.UTC().Format(time.RFC3339))
}

func (e *CopiedError) Unwrap() error { return booking.ErrUnavailable }

// CopiedEvery is how often a server asks [DB.Copied].
const CopiedEvery = time.Second

// Copied returns a *CopiedError if the database has been copied to another one. The fence
// stops writes by itself; readers have to ask.
func (db *DB) Copied(ctx context.Context) error {
	from, err := latestCopy(db.read.WithContext(ctx), copySource)
	if err != nil || from == nil || from.FinishedSec == nil {
		return unavailable(err)
	}
	return &CopiedError{from.Other, time.Unix(*from.FinishedSec, 0)}
}

// fenceWithin is how long to wait for writers to finish: an import may take that long.
const fenceWithin = 2 * time.Minute

// patiently runs a transaction again and again while others are in its way.
func (db *DB) patiently(ctx context.Context, f func(tx *gorm.DB) error) error {
	for end := now().Add(fenceWithin); ; {
		err := db.transact(ctx, 10*time.Second, f)
		var copied *CopiedError
		if err == nil || !errors.Is(err, booking.ErrUnavailable) || errors.As(err, &copied) || now().After(end) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// putUpFence makes the database the source of a copy to other, or of the one that was broken
// off, and returns the copy's id.
func (db *DB) putUpFence(ctx context.Context, tables []string, other string) (id uuid.UUID, err error) {
	fresh, err := uuid.NewV7()
	if err != nil {
		return id, err
	}
	err = db.patiently(ctx, func(tx *gorm.DB) error {
		before, err := latestCopy(tx, copySource)
		switch {
		case err != nil:
			return err
		case before != nil && before.FinishedSec != nil:
			return &refusal{&CopiedError{before.Other, time.Unix(*before.FinishedSec, 0)}}
		case before != nil:
			id = before.ID
			return affected(tx.Exec("UPDATE copies SET other = ? WHERE id = ? AND role = ?", other, id, copySource), 1)
		}
		for _, s := range db.dialect.fence(tables) {
			if err := tx.Exec(s).Error; err != nil {
				return fmt.Errorf("keep others from writing: %w", err)
			}
		}
		id = fresh
		return tx.Create(&copyRow{ID: id, Role: copySource, Other: other, StartedSec: now().Unix()}).Error
	})
	return id, err
}

// takeDownFence gives up an unfinished copy, so that the database takes changes again, and
// reports whether there was one.
func (db *DB) takeDownFence(ctx context.Context) (there bool, err error) {
	tables, err := db.copyTables(ctx)
	if err != nil {
		return false, err
	}
	err = db.patiently(ctx, func(tx *gorm.DB) error {
		gone := tx.Where("role = ? AND finished_sec IS NULL", copySource).Delete(&copyRow{})
		if there = gone.RowsAffected > 0; gone.Error != nil || !there {
			return gone.Error
		}
		for _, s := range db.dialect.unfence(tableNames(tables)) {
			if err := tx.Exec(s).Error; err != nil {
				return fmt.Errorf("let others write again: %w", err)
			}
		}
		return nil
	})
	return there, err
}

// finishCopy records that a copy is finished, unless somebody has given it up.
func (db *DB) finishCopy(ctx context.Context, id uuid.UUID, role string) error {
	return db.patiently(ctx, func(tx *gorm.DB) error {
		done := tx.Exec("UPDATE copies SET finished_sec = COALESCE(finished_sec, ?) WHERE id = ? AND role = ?", now().Unix(), id, role)
		if done.Error == nil && done.RowsAffected == 0 {
			return &refusal{errors.New("somebody has given up the copy meanwhile")}
		}
		return done.Error
	})
}
