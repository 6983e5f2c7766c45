//go:build broken

package storage

import (
	"database/sql"
	"os"

	"gorm.io/gorm"
)

// outlasting is the mark that an answer waits for, unless HOLDFAST_BROKEN says to wait for
// nothing.
func outlasting(mark string) string {
	if os.Getenv("HOLDFAST_BROKEN") == "replay-not-replicated" {
		return ""
	}
	return mark
}

// begin begins a transaction, unless HOLDFAST_BROKEN says that every statement commits by
// itself; `make torture-selftest` demands that this is caught.
func begin(db *gorm.DB) *gorm.DB {
	if os.Getenv("HOLDFAST_BROKEN") != "autocommit" {
		return db.Begin()
	}
	pool, err := db.DB()
	if err != nil {
		panic(err)
	}
	tx := db.Session(&gorm.Session{NewDB: true, Context: db.Statement.Context})
	tx.Statement.ConnPool = &none{pool}
	return tx
}

// none is a transaction in name only.
type none struct{ *sql.DB }

func (*none) Commit() error   { return nil }
func (*none) Rollback() error { return nil }

var _ gorm.TxCommitter = (*none)(nil)
