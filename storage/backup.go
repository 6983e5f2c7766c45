package storage

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// Backup writes a consistent copy of the SQLite database that target names to a new file,
// which only its owner can read, and checks the copy. Servers may keep writing meanwhile.
// Backup does not migrate the database, so a new version can back it up before it migrates.
// The file appears only once it is complete and on disk; an existing file is not touched.
// Backup refuses PostgreSQL, which has tools of its own.
func Backup(ctx context.Context, target, file string) (err error) {
	if isPostgres(target) {
		return errors.New("a PostgreSQL database is backed up with pg_dump: see docs/operations.md")
	}
	path, _, err := sqliteFile(target)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s exists: a backup is a new file", file), err)
	}
	part := file + ".part"
	empty, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := empty.Close(); err != nil {
		return err
	}
	if err := withSQLite(path, func(db *sql.DB) error {
		var schema int64
		if err := db.QueryRowContext(ctx, "SELECT MAX(version_id) FROM goose_db_version").Scan(&schema); err != nil {
			return fmt.Errorf("%s is no database of holdfast: %w", path, err)
		}
		_, err := db.ExecContext(ctx, "VACUUM INTO ?", part)
		return err
	}); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := withSQLite(part, func(db *sql.DB) error {
		var problem string
		if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&problem); err != nil || problem != "ok" {
			return errors.Join(fmt.Errorf("integrity_check says %q", problem), err)
		}
		return nil
	}); err != nil {
		return fmt.Errorf("check the backup: %w", err)
	}
	if err := SyncFile(part); err != nil {
		return err
	}
	if err := os.Rename(part, file); err != nil {
		return err
	}
	return SyncFile(filepath.Dir(file))
}

func isPostgres(target string) bool {
	return strings.HasPrefix(target, "postgres://") || strings.HasPrefix(target, "postgresql://")
}

// withSQLite opens an existing file without anything that [Open] does to it.
func withSQLite(path string, f func(*sql.DB) error) (err error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return f(db)
}

// SyncFile makes what is in a file, or the names in a directory, survive the loss
// of power.
func SyncFile(path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}
