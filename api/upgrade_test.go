package api_test

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"holdfast/storage"
)

// A server keeps working when a newer one migrates its database. Its prepared statements no longer fit, and PostgreSQL refuses
// each once, but no caller sees an error because of that.
func TestSchemaChangesUnderneath(t *testing.T) {
	// With an option, so that the database belongs to this test, which changes its schema.
	eachWith(t, options{storage: storage.Options{Connections: 16}}, func(w *world) {
		book := func(n int) {
			for i := range 3 {
				for path, body := range map[string]string{
					createPath:                    createJSON(fmt.Sprintf("G%dx%d", n, i), fmt.Sprint("token", n, i), at(8+n, 0), ""),
					"/v3/BatchAvailabilityLookup": fmt.Sprintf(`{"merchant_id":"clinic-1","slot_time":[{"service_id":"skin-care","start_sec":"%d","duration_sec":"3600"}]}`, at(10, 0)),
					"/v3/ListBookings":            fmt.Sprintf(`{"user_id":"user-g%dx0"}`, n),
					updatePath:                    `{"scheduleId":"none","zoneId":"` + bed + `","occupiedResources":[]}`,
				} {
					who := "google"
					if path == updatePath {
						who = clinic1
					}
					a, err := w.send("POST", path, body, "Authorization", who)
					w.must(err)
					if a.status >= 500 && a.status != 503 || path == createPath && !strings.Contains(a.body, `"status":"CONFIRMED"`) {
						w.t.Errorf("%s: %d %s", path, a.status, a.body)
					}
				}
			}
		}
		book(1)
		driver := "sqlite"
		if strings.HasPrefix(w.db.Target, "postgres://") {
			driver = "pgx"
		}
		raw, err := sql.Open(driver, w.db.Target)
		w.must(err)
		defer raw.Close()
		for _, table := range []string{"merchants", "resources", "slots", "guests", "guest_keys", "bookings", "occupied_resources", "holds", "idempotency_tokens", "clinic_tokens"} {
			_, err := raw.Exec("ALTER TABLE " + table + " ADD COLUMN later TEXT")
			w.must(err)
		}
		book(2)
		book(3)
	})
}
