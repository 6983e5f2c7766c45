package storage_test

import (
	"database/sql"
	"strings"
	"testing"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage/storagetest"
)

// A hold of a missing resource is reported like any other fault, because verify is for broken databases.
func TestVerifyOfMissingResource(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		m := inventory.Merchant{
			ID: "m", Name: "m", Kind: inventory.MerchantClinic, TimeZone: "UTC", Zones: []inventory.Zone{{ID: "z"}},
			Groups: []inventory.Group{{ID: "g", IntervalSec: 1800, Zones: []inventory.GroupZone{{ZoneID: "z", Capacity: 1, Enabled: true}}}},
		}
		if err := db.PutClinic(t.Context(), m, 0); err != nil {
			t.Fatal(err)
		}
		b := booking.Booking{
			ID: uuid.New(), ScheduleID: "65f000000000000000000001", MerchantID: "m", GuestID: uuid.New(), State: booking.Confirmed,
			Version: 1, StartSec: 1800, EndSec: 3600,
			Resources: []booking.OccupiedResource{{ResourceID: m.Resources()[0].ID, StartSec: 1800, EndSec: 3600, Spots: 1}},
		}
		err := db.InTx(t.Context(), booking.Footprint{}, func(tx booking.Tx) error {
			tx.PutGuest(booking.Guest{ID: b.GuestID, MerchantID: "m"})
			tx.PutBooking(b, booking.Event{Before: []byte("{}"), After: []byte("{}")})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		driver, hold := "sqlite", "INSERT INTO holds (booking_id, resource_id, start_sec, end_sec, spots, since_sec) VALUES (?, ?, 1800, 3600, 1, 0)"
		if strings.HasPrefix(db.Target, "postgres") {
			driver, hold = "pgx", "INSERT INTO holds (booking_id, resource_id, start_sec, end_sec, spots, since_sec) VALUES ($1, $2, 1800, 3600, 1, 0)"
		}
		raw, err := sql.Open(driver, db.Target)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		if _, err := raw.ExecContext(t.Context(), hold, b.ID.String(), uuid.NewString()); err != nil {
			t.Fatal(err)
		}
		broken, err := db.Verify(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		for _, v := range broken {
			found[v.Invariant] = true
		}
		if !found["a hold has all its slots"] || !found["a live booking holds what it occupies"] {
			t.Errorf("got %v", broken)
		}
	})
}
