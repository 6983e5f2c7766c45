//go:build !broken

package storage

import "gorm.io/gorm"

// begin begins a transaction. Built with the tag broken it may not, see
// broken_on.go.
func begin(db *gorm.DB) *gorm.DB { return db.Begin() }

// outlasting is the mark that an answer waits for. Built with the tag broken there may
// be none.
func outlasting(mark string) string { return mark }
