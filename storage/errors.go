package storage

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// class says what to do next after an error of the database.
type class int

const (
	broken     class = iota // our bug, or the operator's: do not try again
	rolledBack              // certainly undone, by a conflict: run again
	timedOut                // undone, after waiting too long or for lack of disk or memory: once more
	cutOff                  // the connection is gone: run again on another one
	closed                  // the database takes no changes, because it is being or has been copied: see fence.go
)

// errVanished: a row that we had found, or that conflicted with our insert, was deleted or
// changed owner before we could lock it. A rerun works with what is there then.
var errVanished = errors.New("a row has vanished meanwhile")

// lockTimeout reports whether a statement has waited too long for a lock.
func lockTimeout(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "55P03"
}

// classify looks only at types and codes, never at texts. It is for statements before
// COMMIT: attempt decides what an error of COMMIT means.
func classify(err error) class {
	if errors.Is(err, errVanished) {
		return rolledBack
	}
	if readOnly(err) {
		return cutOff
	}
	if fenced(err) {
		return closed
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch {
		case pg.Code == "40001", pg.Code == "40P01": // serialization_failure, deadlock_detected
			return rolledBack
		case pg.Code == "0A000": // feature_not_supported: a statement was prepared before a migration changed its table
			return rolledBack
		case pg.Code == "55P03", pg.Code == "57014": // lock_not_available, query_canceled
			return timedOut
		case strings.HasPrefix(pg.Code, "08"), // connection exceptions
			pg.Code == "57P01", pg.Code == "57P02", pg.Code == "57P03", // shutdown, crash, starting up
			pg.Code == "53300", pg.Code == "25P03": // too many connections, idle in transaction
			return cutOff
		case strings.HasPrefix(pg.Code, "53"): // insufficient resources: disk full, out of memory
			return timedOut
		}
		return broken
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		switch lite.Code() & 0xff {
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
			return rolledBack
		case sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM:
			return timedOut
		}
		return broken
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return timedOut
	}
	var connect *pgconn.ConnectError
	var network net.Error
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, sql.ErrTxDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, pgconn.ErrConnClosed} {
		if errors.Is(err, gone) {
			return cutOff
		}
	}
	if errors.As(err, &connect) || errors.As(err, &network) {
		return cutOff
	}
	return broken
}
