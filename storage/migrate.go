package storage

import (
	"context"
	"embed"
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
}

// postgresMigration takes turns by an advisory lock.
var postgresMigration = migration{
	dialect: goose.DialectPostgres,
	options: func() ([]goose.ProviderOption, error) {
		locker, err := lock.NewPostgresSessionLocker(lock.WithLockTimeout(1, 60))
		return []goose.ProviderOption{goose.WithSessionLocker(locker)}, err
	},
	tries: 1,
}

// sqliteMigration has no such lock: who loses the race finds a table that is
// there already, looks again, and sees that there is nothing left to do.
var sqliteMigration = migration{
	dialect: goose.DialectSQLite3,
	options: func() ([]goose.ProviderOption, error) { return nil, nil },
	tries:   20,
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
	provider, err := goose.NewProvider(m.dialect, pool, files, append(options, goose.WithDisableGlobalRegistry(true))...)
	if err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	for try := 1; ; try++ {
		_, err = provider.Up(ctx)
		if err == nil {
			break
		}
		if try == m.tries {
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
