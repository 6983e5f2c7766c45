//go:build !broken

package storage

import "gorm.io/gorm"

// begin begins a transaction. A build with the tag broken can skip that, see broken_on.go.
func begin(db *gorm.DB) *gorm.DB { return db.Begin() }

// outlasting is the mark that an answer waits for. A build with the tag broken can go
// without.
func outlasting(mark string) string { return mark }
