package api_test

import (
	"bytes"
	"database/sql"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"holdfast/api"
	"holdfast/api/google"
	"holdfast/booking"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// TestPostgresLogsNothingPersonal reads what PostgreSQL itself logs about requests that succeed, are
// refused, wait for a lock, wait too long, or have a failing statement. It does so under the default
// settings, and with every statement logged, as far as holdfast starts under such settings.
func TestPostgresLogsNothingPersonal(t *testing.T) {
	for _, c := range []struct {
		name     string
		settings []string
		fails    bool     // a row is refused by a constraint, which only a bug of ours could bring about
		logged   []string // what the log must contain, to show that there is one
	}{
		{"by default", []string{"log_lock_waits=on", "deadlock_timeout=10ms"}, false, []string{
			"still waiting for", `STATEMENT:  `, "canceling statement due to lock timeout", "guest_keys",
		}},
		{"every statement, without parameters", []string{
			"log_statement=all", "log_min_duration_statement=0", "log_parameter_max_length=0", "log_lock_waits=on", "deadlock_timeout=10ms",
			"log_error_verbosity=terse", "log_connections=on",
		}, true, []string{"duration: ", "INSERT INTO bookings", "violates check constraint", "canceling statement due to lock timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			target, log := storagetest.PostgresWithLog(t, c.settings...)
			db := storagetest.Database{DB: storagetest.Open(t, target, storage.Options{Limit: time.Minute}), Target: target}
			w := newWorld(t, db, options{mayError: true})
			w.must(load(t.Context(), db.DB, worldDir))
			l := &listener{w: w, secrets: append(canaries(), googlePassword, w.key(clinic1), w.token(clinic1))}
			raw, err := sql.Open("pgx", target)
			w.must(err)
			defer raw.Close()

			visit := w.booking(bookingID.FindStringSubmatch(l.tell(200, "POST", createPath, canaryCreate(1, at(9, 0), ""), "google").body)[1])
			l.tell(200, "POST", createPath, canaryCreate(1, at(9, 0), ""), "google")
			l.tell(200, "POST", updatePath, canaryMove(visit.ScheduleID, bed, at(10, 0), ""), clinic1)
			list, err := w.send("POST", "/v3/ListBookings", `{"user_id":"`+canaryUser+`1"}`, "Authorization", "google")
			w.must(err)
			if list.status != 200 {
				t.Errorf("ListBookings: %d %s", list.status, list.body)
			}
			l.malformed()
			l.badCommands(visit)
			l.strangers()

			// A request that waits for a lock, and then succeeds.
			locked, err := raw.BeginTx(t.Context(), nil)
			w.must(err)
			lock(t, locked, "bookings", "guest_keys")
			answered := make(chan answer, 1)
			go func() {
				a, err := w.send("POST", createPath, canaryCreate(60, at(15, 0), ""), "Authorization", "google")
				if err != nil {
					t.Error(err)
				}
				answered <- a
			}()
			awaitLock(t, raw)
			w.must(locked.Rollback())
			if a := <-answered; a.status != 200 {
				t.Errorf("after it waited: %d %s", a.status, a.body)
			}

			// A request that waits too long: PostgreSQL cancels its statement.
			locked, err = raw.BeginTx(t.Context(), nil)
			w.must(err)
			lock(t, locked, "guest_keys")
			var ours bytes.Buffer
			hasty := &booking.Service{Store: storagetest.Open(t, target, storage.Options{Limit: 300 * time.Millisecond}), Now: w.service.Now, NewID: w.newID}
			server := httptest.NewServer(api.New(api.Config{
				Bookings: hasty, Credentials: google.NewCredentials(google.Credential{User: googleUser, Password: googlePassword}),
				Log: slog.New(slog.NewJSONHandler(&ours, nil)),
			}))
			defer server.Close()
			patient := w.url
			w.url = server.URL
			l.tell(503, "POST", createPath, canaryCreate(61, at(16, 0), ""), "google")
			w.url = patient
			w.must(locked.Rollback())

			if c.fails {
				_, err := raw.Exec("ALTER TABLE bookings ADD CONSTRAINT broken CHECK (additional_request = '') NOT VALID")
				w.must(err)
				l.tell(500, "POST", createPath, canaryCreate(62, at(17, 0), ""), "google")
			}

			// The search would find a leak: the same server, now logging everything.
			const control = "Kontrollvogel"
			conn, err := raw.Conn(t.Context())
			w.must(err)
			_, err = conn.ExecContext(t.Context(), "SET log_error_verbosity = 'default'; SET log_parameter_max_length = -1; SET log_min_duration_statement = 0")
			w.must(err)
			_, err = conn.ExecContext(t.Context(), "SELECT $1::text", control)
			w.must(err)
			w.must(conn.Close())

			text := log()
			for _, s := range escaped(text, append(l.secrets, "kanarienvogel", "Kanarienvogel")) {
				t.Errorf("%q is in PostgreSQL's log", s)
			}
			for _, s := range escaped(ours.String()+w.log.String()+strings.Join(l.refused, "\n"), l.secrets) {
				t.Errorf("%q is in our log or in an answer", s)
			}
			for _, word := range append(c.logged, control) {
				if !strings.Contains(text, word) {
					t.Errorf("%s is not in PostgreSQL's log", word)
				}
			}
			if t.Failed() {
				t.Logf("the end of PostgreSQL's log:\n%s", text[max(0, len(text)-20000):])
			}
		})
	}
}

// lock keeps everybody else out of tables.
func lock(t *testing.T, tx *sql.Tx, tables ...string) {
	t.Helper()
	for _, table := range tables {
		if _, err := tx.ExecContext(t.Context(), "LOCK TABLE "+table+" IN ACCESS EXCLUSIVE MODE"); err != nil {
			t.Fatal(err)
		}
	}
}

// awaitLock returns once somebody waits for a lock.
func awaitLock(t *testing.T, db *sql.DB) {
	t.Helper()
	for waiting := 0; waiting == 0; {
		err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'").Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
}
