package storage

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"gorm.io/gorm"
)

// Trace calls f with every statement except BEGIN and COMMIT.
func (db *DB) Trace(f func(text string, args []any)) error {
	db.dialect.traced = f
	done := func(tx *gorm.DB) { f(tx.Statement.SQL.String(), tx.Statement.Vars) }
	for _, pool := range []*gorm.DB{db.read, db.write} {
		c := pool.Callback()
		for _, err := range []error{
			c.Query().After("gorm:query").Register("trace", done), c.Row().After("gorm:row").Register("trace", done),
			c.Raw().After("gorm:raw").Register("trace", done), c.Create().After("gorm:create").Register("trace", done),
			c.Update().After("gorm:update").Register("trace", done), c.Delete().After("gorm:delete").Register("trace", done),
		} {
			if err != nil {
				return err
			}
		}
		if db.read == db.write {
			break
		}
	}
	return nil
}

// Untrace ends Trace, for statements on sets.
func (db *DB) Untrace() { db.dialect.traced = nil }

// Explain returns how the database runs a query, line by line. PostgreSQL reads a small table completely whatever its indexes,
// so Explain tells it not to if there is another way.
func (db *DB) Explain(ctx context.Context, query string, args []any) (plan string, err error) {
	pool, err := db.read.DB()
	if err != nil {
		return "", err
	}
	tx, err := pool.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	explain := "EXPLAIN QUERY PLAN "
	if db.dialect.slow != "" { // PostgreSQL
		explain = "EXPLAIN "
		if _, err := tx.ExecContext(ctx, "SET LOCAL enable_seqscan = off"); err != nil {
			return "", err
		}
	}
	rows, err := tx.QueryContext(ctx, explain+query, args...)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	for rows.Next() {
		values := make([]any, len(columns))
		for i := range values {
			values[i] = new(sql.NullString)
		}
		if err := rows.Scan(values...); err != nil {
			return "", err
		}
		plan += strings.TrimSpace(values[len(values)-1].(*sql.NullString).String) + "\n"
	}
	return plan, rows.Err()
}

// Timeouts are the limits of a transaction that writes: on a lock, a statement, and
// doing nothing.
func Timeouts(ctx context.Context, db *DB) (limits string, err error) {
	return limits, db.transact(ctx, db.limit, func(tx *gorm.DB) error {
		return tx.Raw(`SELECT concat_ws(' ', current_setting('lock_timeout'), current_setting('statement_timeout'),
			current_setting('idle_in_transaction_session_timeout'))`).Scan(&limits).Error
	})
}
