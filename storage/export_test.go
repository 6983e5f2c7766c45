package storage

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"gorm.io/gorm"
)

// Trace tells f every query that is read with from now on.
func (db *DB) Trace(f func(query string, args []any)) error {
	told := func(tx *gorm.DB) { f(tx.Statement.SQL.String(), tx.Statement.Vars) }
	if err := db.read.Callback().Query().After("gorm:query").Register("test:query", told); err != nil {
		return err
	}
	return db.read.Callback().Row().After("gorm:row").Register("test:row", told)
}

// Explain returns how the database runs a query, line by line. PostgreSQL, which
// reads a table that is small from end to end whatever its indexes, is told not
// to where it can do otherwise.
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
