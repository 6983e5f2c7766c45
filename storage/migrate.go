package storage

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration says how several servers that start at once share the work.
type migration struct {
	dialect goose.Dialect
	turn    func(context.Context, *DB) (release func() error, err error) // nil: nobody has to wait
	first   string                                                       // a statement before those of each migration, or nothing
	tries   int
	again   func(error) bool   // whether to try again after this
	own     map[int64][]string // the versions that each dialect has to spell in its own way

	// online are versions whose statements run one by one and outside a transaction,
	// so that nobody waits while an index is made. Each may be run again.
	online map[int64][]string
}

// postgresMigration takes turns by an advisory lock. Against a server that is
// serving, a migration can lose a deadlock or wait too long for a lock; it is
// undone then, and tried again.
var postgresMigration = migration{
	dialect: goose.DialectPostgres,
	turn:    takeTurn,
	// How long a statement takes grows with the table. The limit on waiting for a
	// lock stays, because everybody else waits behind who waits.
	first: "SET LOCAL statement_timeout = 0",
	tries: 100,
	again: func(err error) bool { return classify(err) == rolledBack || classify(err) == timedOut },
	own: map[int64][]string{
		7: {"ALTER TABLE resources DROP CONSTRAINT resources_kind_check"},
		// A slot that is taken stays on its page, if that has room, and its index
		// is not written.
		8: append(slices.Clone(onlyUserKeys), "ALTER TABLE slots SET (fillfactor = 90)"),
		9: append(slices.Clone(searchColumns), guestTerms, tokenSeq, tokenOrder),
	},
	online: map[int64][]string{
		15: {
			"ALTER TABLE booking_events ADD COLUMN IF NOT EXISTS " + whoseEvent,
			// One that was broken off is there, and no good.
			"DROP INDEX IF EXISTS booking_events_merchant",
			"CREATE INDEX CONCURRENTLY booking_events_merchant ON " + eventsByMerchant,
			"DROP INDEX IF EXISTS bookings_blocks",
			"CREATE INDEX CONCURRENTLY bookings_blocks ON " + blocksByStart,
		},
	},
}

// takeTurn returns once nobody else migrates, and what lets the next one do so. The
// lock belongs to a transaction that stays open: behind a pooler a session is not
// ours to keep a lock in, a transaction is. Its number is that of goose's own lock,
// which earlier versions of holdfast take.
//
// It asks again and again instead of waiting in a statement: CREATE INDEX
// CONCURRENTLY of whoever has the lock waits for every statement that began before.
func takeTurn(ctx context.Context, db *DB) (release func() error, err error) {
	for deadline := now().Add(time.Minute); now().Before(deadline); {
		tx := db.write.WithContext(ctx).Begin()
		if tx.Error != nil {
			return nil, tx.Error
		}
		var mine bool
		err := tx.Raw("SELECT pg_try_advisory_xact_lock(?)", lock.DefaultLockID).Scan(&mine).Error
		if err == nil && mine {
			// The last statement has no snapshot, for which an index would wait too.
			if err = tx.Exec("SET LOCAL idle_in_transaction_session_timeout = 0").Error; err == nil {
				return func() error { return undo(tx) }, nil
			}
		}
		if err := errors.Join(err, undo(tx)); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil, errors.New("another holdfast has been migrating for a minute; try again when it is done")
}

// sqliteMigration has no such lock: who loses the race finds a table that is
// there already, looks again, and sees that there is nothing left to do.
var sqliteMigration = migration{
	dialect: goose.DialectSQLite3,
	tries:   20,
	again:   func(error) bool { return true },
	own: map[int64][]string{
		// The list of kinds is the program's. SQLite cannot drop a CHECK, so
		// the table is made anew; who refers to it is asked when all is done.
		7: {
			"PRAGMA defer_foreign_keys = ON",
			"CREATE TEMPORARY TABLE kept AS SELECT * FROM resources",
			"DROP TABLE resources",
			`CREATE TABLE resources (
				id               UUID PRIMARY KEY,
				merchant_id      TEXT NOT NULL REFERENCES merchants (id),
				kind             TEXT NOT NULL,
				ref              TEXT NOT NULL,
				slot_seconds     BIGINT NOT NULL CHECK (slot_seconds > 0),
				anchor_sec       BIGINT NOT NULL,
				default_capacity INTEGER NOT NULL CHECK (default_capacity >= 0)
			)`,
			"INSERT INTO resources SELECT * FROM kept",
			"DROP TABLE kept",
			"CREATE INDEX resources_merchant ON resources (merchant_id, kind)",
		},
		8: onlyUserKeys,
		9: append(slices.Clone(searchColumns), guestTerms+" WITHOUT ROWID", tokenSeq, tokenOrder), // the key is all that a row has
		15: {
			"ALTER TABLE booking_events ADD COLUMN " + whoseEvent,
			"CREATE INDEX booking_events_merchant ON " + eventsByMerchant,
			"CREATE INDEX bookings_blocks ON " + blocksByStart,
		},
	},
}

// onlyUserKeys: nobody is looked for at all merchants by email or number, so of the
// three keys that a guest has, two were in this index for nothing. The condition is
// that of storage/bookings.go.
var onlyUserKeys = []string{
	"DROP INDEX guest_keys_key",
	"CREATE INDEX guest_keys_user ON guest_keys (key) WHERE substr(key, 1, 5) = 'user:'",
}

// What the desk's lists are read by: what changed at a merchant since a time, and the
// times that are closed. An event whose merchant is not said is one of before, or of a
// server of before.
const (
	whoseEvent       = "merchant_id TEXT NOT NULL DEFAULT ''"
	eventsByMerchant = "booking_events (merchant_id, at_sec)"
	blocksByStart    = "bookings (merchant_id, start_sec) WHERE state = 'BLOCKED'"
)

// What charts are searched by. Guests who are there already are indexed by the server,
// in small transactions, like those who come. The expression is that of
// storage/search.go.
var searchColumns = []string{
	"ALTER TABLE guests ADD COLUMN searched TEXT NOT NULL DEFAULT ''",
	`CREATE INDEX guests_unsearched ON guests (merchant_id, id) WHERE searched <> given_name || '
' || family_name || '
' || email`,
}

const guestTerms = `CREATE TABLE guest_terms (
		merchant_id TEXT NOT NULL,
		term        BYTEA NOT NULL,
		guest_id    UUID NOT NULL,
		PRIMARY KEY (merchant_id, term, guest_id)
	)`

// Which of a key's tokens is the oldest.
//
//nolint:gosec // no secret: the words are those of columns
const (
	tokenSeq   = "ALTER TABLE clinic_tokens ADD COLUMN seq BIGINT NOT NULL DEFAULT 0"
	tokenOrder = "CREATE INDEX clinic_tokens_key ON clinic_tokens (key_digest, seq)"
)

// steps are the dialect's own migrations.
func (m migration) steps() []*goose.Migration {
	var steps []*goose.Migration
	for version, statements := range m.own {
		up := &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			// One by one: several commands in one string are more than some things that
			// lie between us and PostgreSQL take.
			for _, s := range append(m.begin(), statements...) {
				if _, err := tx.ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return nil
		}}
		steps = append(steps, goose.NewGoMigration(version, up, nil))
	}
	for version, statements := range m.online {
		up := &goose.GoFunc{RunDB: func(ctx context.Context, pool *sql.DB) error { return alone(ctx, pool, statements) }}
		steps = append(steps, goose.NewGoMigration(version, up, nil))
	}
	return steps
}

// begin is what comes before the statements of a migration.
func (m migration) begin() []string {
	if m.first == "" {
		return nil
	}
	return []string{m.first}
}

// beginning is a directory of migrations each of which begins with a statement.
type beginning struct {
	fs.FS
	first string
}

func (b beginning) Open(name string) (fs.File, error) {
	file, err := b.FS.Open(name)
	if err != nil || path.Ext(name) != ".sql" || b.first == "" {
		return file, err
	}
	text, err := io.ReadAll(file)
	const up = "-- +goose Up\n"
	return &begun{File: file, text: bytes.NewReader(bytes.Replace(text, []byte(up), []byte(up+b.first+";\n"), 1))}, err
}

type begun struct {
	fs.File
	text *bytes.Reader
}

func (b *begun) Read(p []byte) (int, error) { return b.text.Read(p) }

// alone runs statements on a connection of their own, each as long as it takes.
func alone(ctx context.Context, pool *sql.DB, statements []string) (err error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	defer func() {
		_, reset := conn.ExecContext(ctx, "RESET statement_timeout")
		err = errors.Join(err, reset)
	}()
	for _, s := range append([]string{"SET statement_timeout = 0"}, statements...) {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// migrate brings the schema up to date. If there is nothing to do it takes no lock. It
// refuses a schema that is newer than this program, unless that schema says that this
// program works on it.
func migrate(ctx context.Context, db *DB) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate: %w", err)
		}
	}()
	pool, err := db.write.DB()
	if err != nil {
		return err
	}
	m := db.dialect.migration
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(m.dialect, pool, beginning{files, m.first}, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(m.steps()...))
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		err = db.migrateOnce(ctx, provider)
		if err == nil {
			break
		}
		if try == m.tries || !m.again(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	have, newest, err := provider.GetVersions(ctx)
	if err != nil {
		return err
	}
	if have <= newest {
		return nil
	}
	// A server of this release may start again while the next one takes over.
	var oldest int64
	if err := db.write.WithContext(ctx).Raw("SELECT oldest FROM schema_compatibility").Scan(&oldest).Error; err != nil {
		return err
	}
	if newest < oldest {
		return fmt.Errorf("refusing to start: the database has schema %d, which programs work on that know schema %d, and this one knows %d: run a newer holdfast", have, oldest, newest)
	}
	return nil
}

// migrateOnce runs what has not been run, if there is anything.
func (db *DB) migrateOnce(ctx context.Context, provider *goose.Provider) (err error) {
	pending, err := provider.HasPending(ctx)
	if err != nil || !pending {
		return err
	}
	if turn := db.dialect.migration.turn; turn != nil {
		release, err := turn(ctx, db)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	_, err = provider.Up(ctx)
	return err
}
