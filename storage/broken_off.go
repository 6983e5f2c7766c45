//go:build !broken

package storage

import "gorm.io/gorm"

// begin begins a transaction. Built with the tag broken it may not, see
// broken_on.go.
func begin(db *gorm.DB) *gorm.DB { return db.Begin() }
