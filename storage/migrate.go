package storage

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migration says how several servers that start at once share the work.
type migration struct {
	dialect goose.Dialect
	options func() ([]goose.ProviderOption, error)
	tries   int
	again   func(error) bool // whether to try again after this
	own     map[int64]string // the versions that each dialect has to spell in its own way
}

// postgresMigration takes turns by an advisory lock. Against a server that is
// serving, a migration can lose a deadlock or wait too long for a lock; it is
// undone then, and tried again.
var postgresMigration = migration{
	dialect: goose.DialectPostgres,
	options: func() ([]goose.ProviderOption, error) {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		return []goose.ProviderOption{goose.WithSessionLocker(unhurriedLocker{locker})}, err
	},
	tries: 100,
	again: func(err error) bool { return classify(err) == rolledBack || classify(err) == timedOut },
	own: map[int64]string{
		7: "ALTER TABLE resources DROP CONSTRAINT resources_kind_check",
		// A slot that is taken stays on its page, if that has room, and its index
		// is not written.
		8: onlyUserKeys + "; ALTER TABLE slots SET (fillfactor = 90)",
		9: guestTerms + ";" + countedTokens,
	},
}

// unhurriedLocker lifts the limit on single statements from the session that
// migrates: how long one takes grows with the table. That on waiting for a lock
// stays, because everybody else waits behind who waits.
type unhurriedLocker struct{ lock.SessionLocker }

func (l unhurriedLocker) SessionLock(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "SET statement_timeout = 0"); err != nil {
		return err
	}
	return l.SessionLocker.SessionLock(ctx, conn)
}

func (l unhurriedLocker) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	err := l.SessionLocker.SessionUnlock(ctx, conn)
	_, err2 := conn.ExecContext(ctx, "RESET statement_timeout")
	return errors.Join(err, err2)
}

// sqliteMigration has no such lock: who loses the race finds a table that is
// there already, looks again, and sees that there is nothing left to do.
var sqliteMigration = migration{
	dialect: goose.DialectSQLite3,
	options: func() ([]goose.ProviderOption, error) { return nil, nil },
	tries:   20,
	again:   func(error) bool { return true },
	own: map[int64]string{
		// The list of kinds is the program's. SQLite cannot drop a CHECK, so
		// the table is made anew; who refers to it is asked when all is done.
		7: `PRAGMA defer_foreign_keys = ON;
			CREATE TEMPORARY TABLE kept AS SELECT * FROM resources;
			DROP TABLE resources;
			CREATE TABLE resources (
				id               UUID PRIMARY KEY,
				merchant_id      TEXT NOT NULL REFERENCES merchants (id),
				kind             TEXT NOT NULL,
				ref              TEXT NOT NULL,
				slot_seconds     BIGINT NOT NULL CHECK (slot_seconds > 0),
				anchor_sec       BIGINT NOT NULL,
				default_capacity INTEGER NOT NULL CHECK (default_capacity >= 0)
			);
			INSERT INTO resources SELECT * FROM kept;
			DROP TABLE kept;
			CREATE INDEX resources_merchant ON resources (merchant_id, kind)`,
		8: onlyUserKeys,
		// The key is all that a row has.
		9: guestTerms + " WITHOUT ROWID;" + countedTokens,
	},
}

// onlyUserKeys: nobody is looked for at all merchants by email or number, so of the
// three keys that a guest has, two were in this index for nothing. The condition is
// that of storage/bookings.go.
const onlyUserKeys = `DROP INDEX guest_keys_key;
	CREATE INDEX guest_keys_user ON guest_keys (key) WHERE substr(key, 1, 5) = 'user:'`

// guestTerms: what charts are searched by. Guests who are there already are indexed
// by the server, in small transactions, like those who come. The expression is that of
// storage/search.go.
const guestTerms = `ALTER TABLE guests ADD COLUMN searched TEXT NOT NULL DEFAULT '';
	CREATE INDEX guests_unsearched ON guests (merchant_id, id) WHERE searched <> given_name || '
' || family_name || '
' || email;
	CREATE TABLE guest_terms (
		merchant_id TEXT NOT NULL,
		term        BYTEA NOT NULL,
		guest_id    UUID NOT NULL,
		PRIMARY KEY (merchant_id, term, guest_id)
	)`

// countedTokens: which of a key's tokens is the oldest.
const countedTokens = `ALTER TABLE clinic_tokens ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
	CREATE INDEX clinic_tokens_key ON clinic_tokens (key_digest, seq)`

// steps are the dialect's own migrations.
func (m migration) steps() []*goose.Migration {
	var steps []*goose.Migration
	for version, text := range m.own {
		up := &goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, text)
			return err
		}}
		steps = append(steps, goose.NewGoMigration(version, up, nil))
	}
	return steps
}

// migrate brings the schema up to date. It refuses a database whose schema is
// newer than this program.
func migrate(ctx context.Context, db *DB) error {
	pool, err := db.write.DB()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	m := db.dialect.migration
	options, err := m.options()
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	provider, err := goose.NewProvider(m.dialect, pool, files, append(options, goose.WithDisableGlobalRegistry(true), goose.WithGoMigrations(m.steps()...))...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for try := 1; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil {
			break
		}
		if try == m.tries || !m.again(err) {
			return fmt.Errorf("migrate: %w", err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("migrate: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
	have, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	sources := provider.ListSources()
	if newest := sources[len(sources)-1].Version; have > newest {
		return fmt.Errorf("refusing to start: the database has schema %d and this program knows %d: run a newer holdfast", have, newest)
	}
	return nil
}
