package storage_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pressly/goose/v3"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// first is a database as the first schema had it: a clinic with one visit.
const first = `
INSERT INTO merchants (id, name, kind, time_zone, version) VALUES ('c', 'Clinic', 'clinic', 'Asia/Seoul', 1);
INSERT INTO resources VALUES ('00000000-0000-5000-8000-000000000001', 'c', 'lane', 'g/z', 1800, 0, 2);
INSERT INTO slots (resource_id, start_sec, offered, capacity, taken) VALUES ('00000000-0000-5000-8000-000000000001', 1800, 2, 2, 1);
INSERT INTO guests VALUES ('01936b8a-1234-7000-8000-0123456789ab', 'c', 'u', '', '', 'A', 'B', 1);
INSERT INTO bookings (id, schedule_id, merchant_id, service_id, guest_id, state, version, start_sec, end_sec, expires_sec, party_size,
	staff_id, room_id, availability_tag, confirmation_mode, contact, additional_request, zone_id, created_by, created_sec)
	VALUES ('01936b8a-0000-7000-8000-000000000001', 'aaaaaaaaaaaaaaaaaaaaaaaa', 'c', 's', '01936b8a-1234-7000-8000-0123456789ab', 'CONFIRMED',
	1, 1800, 3600, 0, 0, '', '', '', '', '{}', '', 'z', 'guest', 1);
INSERT INTO occupied_resources (booking_id, seq, resource_id, group_id, zone_id, start_sec, end_sec, spots)
	VALUES ('01936b8a-0000-7000-8000-000000000001', 0, '00000000-0000-5000-8000-000000000001', 'g', 'z', 1800, 3600, 1);
INSERT INTO holds VALUES ('01936b8a-0000-7000-8000-000000000001', '00000000-0000-5000-8000-000000000001', 1800, 3600, 1, 1);
INSERT INTO booking_events VALUES ('01936b8a-0000-7000-8000-000000000001', 1, 1, 'guest', 'CREATED', '{}', '{}');
INSERT INTO outbox (booking_id, version, topic, due_sec) VALUES ('01936b8a-0000-7000-8000-000000000001', 1, 'booking', 1);`

// A database of the first schema can be opened with everything that was in it.
func TestMigrateFromTheFirst(t *testing.T) {
	for _, c := range []struct {
		name, driver string
		dialect      goose.Dialect
		target       string
		checked      string // behind the target: foreign keys are
	}{
		{"SQLite", "sqlite", goose.DialectSQLite3, filepath.Join(t.TempDir(), "old.db"), "?_pragma=foreign_keys(1)"},
		{"Postgres", "pgx", goose.DialectPostgres, storagetest.PostgresDatabase(t, ""), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw, err := sql.Open(c.driver, c.target+c.checked)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			old, err := goose.NewProvider(c.dialect, raw, os.DirFS("migrations"), goose.WithDisableGlobalRegistry(true))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := old.UpTo(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if _, err := raw.Exec(first); err != nil {
				t.Fatal(err)
			}

			db, err := storage.Open(t.Context(), c.target, storage.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			broken, err := db.Verify(t.Context(), nil)
			if err != nil || len(broken) > 0 {
				t.Errorf("%v, %v", broken, err)
			}
			var visitor string
			if err := raw.QueryRow("SELECT visitor_id FROM guests").Scan(&visitor); err != nil || visitor != "123470008000"+"0123456789ab" {
				t.Errorf("visitor %q, %v", visitor, err)
			}
			bookings, err := db.Bookings(t.Context(), "c", 0, 1<<60)
			if err != nil || len(bookings) != 1 {
				t.Errorf("%d bookings, %v", len(bookings), err)
			}
			// The kinds are free, and who refers to a resource is still checked.
			if _, err := raw.Exec("INSERT INTO resources VALUES ('00000000-0000-5000-8000-000000000002', 'c', 'quota', 'leases', 1, 0, 1)"); err != nil {
				t.Error(err)
			}
			_, err = raw.Exec("INSERT INTO slots (resource_id, start_sec, offered, capacity) VALUES ('00000000-0000-5000-8000-000000000003', 0, 1, 1)")
			if err == nil || !strings.Contains(strings.ToLower(err.Error()), "foreign key") {
				t.Errorf("a slot of no resource: %v", err)
			}
		})
	}
}
