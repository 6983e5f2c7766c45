package storage_test

import (
	"errors"
	"testing"

	"holdfast/booking"
	"holdfast/storage/storagetest"
)

// Guessing keys neither waits for writers nor holds them up.
func TestGuessedKeysDoNotWrite(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		err := db.InTx(t.Context(), booking.Footprint{}, func(booking.Tx) error { // on SQLite, the one that may write
			if err := db.PutToken(t.Context(), []byte("a guess"), []byte("token"), 1, 2, 20); !errors.Is(err, booking.ErrNotFound) {
				t.Errorf("got %v", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}
