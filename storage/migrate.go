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

// migration is how a dialect migrates, and how servers that start at once share the work.
type migration struct {
	dialect goose.Dialect
	turn    func(context.Context, *DB) (release func() error, err error) // nil: servers do not take turns
	first   string                                                       // a statement at the start of each migration, or nothing
	tries   int
	again   func(error) bool   // whether to try again after this
	own     map[int64][]string // versions that this dialect spells in its own way

	// online are versions whose statements run one by one and outside a transaction, so that
	// nobody waits while an index is built. Each may run again.
	online map[int64][]string
}

// postgresMigration takes turns by an advisory lock. Beside a running server, a migration can
// lose a deadlock or wait too long for a lock. Then it is undone, and tried again.
var postgresMigration = migration{
	dialect: goose.DialectPostgres,
	turn:    takeTurn,
	// A statement takes longer the larger the table is. The limit on waiting for a lock stays,
	// because everybody else queues behind whoever waits.
	first: "SET LOCAL statement_timeout = 0",
	tries: 100,
	again: func(err error) bool { return classify(err) == rolledBack || classify(err) == timedOut },
	own: map[int64][]string{
		7: {"ALTER TABLE resources DROP CONSTRAINT resources_kind_check"},
		// While a page has room, an update of a slot stays on it, and does not touch the index.
		8: append(slices.Clone(onlyUserKeys), "ALTER TABLE slots SET (fillfactor = 90)"),
		9: append(slices.Clone(searchColumns), guestTerms, tokenSeq, tokenOrder),
	},
	online: map[int64][]string{
		15: {
			"ALTER TABLE booking_events ADD COLUMN IF NOT EXISTS " + whoseEvent,
			// A build that was broken off leaves an unusable index.
			"DROP INDEX IF EXISTS booking_events_merchant",
			"CREATE INDEX CONCURRENTLY booking_events_merchant ON " + eventsByMerchant,
			"DROP INDEX IF EXISTS bookings_blocks",
			"CREATE INDEX CONCURRENTLY bookings_blocks ON " + blocksByStart,
		},
	},
}

// takeTurn returns once nobody else migrates; release lets the next one migrate. The lock
// belongs to a transaction that stays open, because behind a pooler a session is not ours to
// keep a lock in. Its number is that of goose's own lock, which earlier versions of holdfast
// take.
//
// It polls instead of waiting in a statement: if the lock's owner runs CREATE INDEX
// CONCURRENTLY, that waits for every statement that began before it, and so would wait for us.
func takeTurn(ctx context.Context, db *DB) (release func() error, err error) {
	for deadline := now().Add(time.Minute); now().Before(deadline); {
		tx := db.write.WithContext(ctx).Begin()
		if tx.Error != nil {
			return nil, tx.Error
		}
		var mine bool
		err := tx.Raw("SELECT pg_try_advisory_xact_lock(?)", lock.DefaultLockID).Scan(&mine).Error
		if err == nil && mine {
			// This last statement keeps no snapshot open, for which building an index would wait too.
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

// sqliteMigration has no such lock: the loser of a race finds that a table exists already,
// looks again, and sees that nothing is left to do.
var sqliteMigration = migration{
	dialect: goose.DialectSQLite3,
	tries:   20,
	again:   func(error) bool { return true },
	own: map[int64][]string{
		// The program owns the list of kinds now. SQLite cannot drop a CHECK, so we make the
		// table anew; foreign keys that refer to it are checked at the end.
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
		9: append(slices.Clone(searchColumns), guestTerms+" WITHOUT ROWID", tokenSeq, tokenOrder), // a row is nothing but its key
		15: {
			"ALTER TABLE booking_events ADD COLUMN " + whoseEvent,
			"CREATE INDEX booking_events_merchant ON " + eventsByMerchant,
			"CREATE INDEX bookings_blocks ON " + blocksByStart,
		},
	},
}

// onlyUserKeys: nothing searches all merchants by email or number, so two of a guest's three
// keys were in this index for nothing. The condition is the one in storage/bookings.go.
var onlyUserKeys = []string{
	"DROP INDEX guest_keys_key",
	"CREATE INDEX guest_keys_user ON guest_keys (key) WHERE substr(key, 1, 5) = 'user:'",
}

// Indexes for the desk's lists: what changed at a merchant since a time, and closed times. An
// event without a merchant comes from before this migration, or from a server of an earlier
// release.
const (
	whoseEvent       = "merchant_id TEXT NOT NULL DEFAULT ''"
	eventsByMerchant = "booking_events (merchant_id, at_sec)"
	blocksByStart    = "bookings (merchant_id, start_sec) WHERE state = 'BLOCKED'"
)

// The search index of charts. The server indexes existing guests in small transactions, like
// new ones. The expression is the one in storage/search.go.
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

// The order of a key's tokens, oldest first.
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
			// One by one: some poolers between us and PostgreSQL do not accept several commands
			// in one string.
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

// beginning is a directory of migrations, with a statement put before each.
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

// alone runs statements on a connection of their own, each for as long as it takes.
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

// migrate brings the schema up to date. If there is nothing to do, it takes no lock. It
// refuses a schema newer than this program, unless the schema says that this program works
// on it.
func migrate(ctx context.Context, db *DB) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("migrate: %w", err)
		}
	}()
	m := db.dialect.migration
	provider, err := db.provider()
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
	return db.knows(ctx, have, newest)
}

// provider returns goose's provider for this database.
func (db *DB) provider() (*goose.Provider, error) {
	pool, err := db.write.DB()
	if err != nil {
		return nil, err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return nil, err
	}
	m := db.dialect.migration
	return goose.NewProvider(m.dialect, pool, beginning{files, m.first}, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(m.steps()...))
}

// knows returns an error if the database's schema is one that this program, which knows
// schemas up to newest, does not work on.
func (db *DB) knows(ctx context.Context, have, newest int64) error {
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

// migrateOnce runs the migrations that have not run yet, if any.
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
