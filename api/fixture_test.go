// Package api_test runs whole conversations: real HTTP with the real service on both databases. Transcripts are in
// testdata/transcripts; what one conversation cannot show, such as many callers at once, is in race_test.go and
// canary_test.go.
package api_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	_ "time/tzdata" // the clinics' time zones, wherever the tests run

	"github.com/google/uuid"

	"holdfast/api"
	"holdfast/api/google"
	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/inventory/catalogue"
	"holdfast/storage"
	"holdfast/storage/storagetest"
	"holdfast/traces"
	"holdfast/traces/tracestest"
)

func TestMain(m *testing.M) {
	os.Exit(storagetest.Main(m))
}

const (
	createPath   = "/v3/CreateBooking"
	updatePath   = "/schedule/open/v2/commands/update-reservation"
	changesPath  = "/schedule/open/v1/queries/get-changed-schedules"
	blocksPath   = "/schedule/open/v1/queries/get-occupied-times"
	staffPath    = "/schedule/open/v1/queries/get-staff"
	zonesPath    = "/schedule/open/v1/queries/get-zones"
	exchangePath = "/open/authorization/commands/exchange-token"

	googleUser     = "google"
	googlePassword = "s3cret"

	clinic1 = "clinic-1"
	bed     = "65a000000000000000000001" // room for 2
	laser   = "65a000000000000000000002" // room for 1
	attic   = "65a000000000000000000004" // room for 60, of another group
	skin    = "65b000000000000000000001"
	always  = "65b000000000000000000002"
	drKim   = "65c000000000000000000001" // exclusive
)

// eight is the time at which the tests' clock stands: 08:00 in Seoul on a Monday, an hour before the clinic opens.
var eight = time.Date(2026, 3, 1, 23, 0, 0, 0, time.UTC)

// at is hh:mm of that day in Seoul, in Unix seconds.
func at(hh, mm int) int64 {
	return eight.Add(time.Duration(hh-8)*time.Hour + time.Duration(mm)*time.Minute).Unix()
}

// world is the service over one database, served over HTTP.
type world struct {
	t       testing.TB
	db      storagetest.Database
	options options
	service *booking.Service
	url     string
	client  *http.Client
	log     *printed
	tracer  *traces.Tracer        // nil: nothing is traced
	traces  *tracestest.Collector // nil likewise

	clock atomic.Int64 // Unix seconds
	ids   atomic.Int64 // made so far

	mu     sync.Mutex
	keys   map[string]string // clinic → API key
	tokens map[string]string // clinic → access token
}

// options are further properties of a world. The zero value suits most tests.
type options struct {
	storage  storage.Options
	store    func(booking.Store) booking.Store // wraps the database
	mayError bool                              // the log may have errors
	traced   string                            // a sampler of traces; "": there are none
}

func each(t *testing.T, test func(w *world)) {
	t.Helper()
	eachWith(t, options{}, test)
}

// eachWith runs the test in a world on each kind of database.
func eachWith(t *testing.T, o options, test func(w *world)) {
	t.Helper()
	if o.storage.Limit == 0 {
		o.storage.Limit = time.Minute // a busy machine must not look like a broken promise
	}
	for _, kind := range storagetest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			w := newWorld(t, storagetest.Prepared(t, kind, "world", o.storage, func(db storagetest.Database) {
				if err := load(t.Context(), db.DB, worldDir); err != nil {
					t.Fatal(err)
				}
			}), o)
			test(w)
			w.check()
		})
	}
}

// worldDir has the catalogue and the feeds of every world.
const worldDir = "testdata/transcripts/world"

// newWorld loads a database and serves it.
func newWorld(t testing.TB, db storagetest.Database, o options) *world {
	t.Helper()
	w := &world{t: t, db: db, options: o, log: &printed{}, keys: map[string]string{}, tokens: map[string]string{}}
	w.clock.Store(eight.Unix())
	var store booking.Store = db
	if o.store != nil {
		store = o.store(db)
	}
	w.service = &booking.Service{Store: store, Now: func() time.Time { return time.Unix(w.clock.Load(), 0) }, NewID: w.newID}

	log := slog.New(slog.NewJSONHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if o.traced != "" {
		w.traces = tracestest.New(t)
		w.tracer = traces.New(traces.Config{Endpoint: w.traces.URL, Sampler: o.traced, Service: "holdfast"}, log)
		t.Cleanup(w.traced)
	}
	server := httptest.NewServer(w.tracer.Handler(api.New(api.Config{
		Bookings:    w.service,
		Credentials: google.NewCredentials(google.Credential{User: googleUser, Password: googlePassword}),
		Healthy:     db.Ping,
		Log:         slog.New(w.tracer.Logging(log.Handler())),
		Observe:     w.tracer.Observe,
	})))
	t.Cleanup(server.Close)
	transport := &http.Transport{MaxIdleConns: 1000, MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	w.url, w.client = server.URL, &http.Client{Transport: transport}
	return w
}

// traced waits until all traces so far are with the collector. No more will come.
func (w *world) traced() { w.tracer.Close(context.Background()) }

// check checks what must hold after every test: every invariant, and no fault of the service itself.
func (w *world) check() {
	w.t.Helper()
	broken, err := w.db.Verify(context.Background(), nil)
	w.must(err)
	for _, v := range broken {
		w.t.Errorf("invariant broken: %s: %s", v.Invariant, v.Row)
	}
	if text := w.log.String(); !w.options.mayError && strings.Contains(text, `"level":"ERROR"`) {
		w.t.Errorf("errors in the log:\n%s", text)
	}
}

// newID counts, so that a transcript has the same ids every time.
func (w *world) newID() uuid.UUID {
	id := uuid.UUID{6: 0x70}
	binary.BigEndian.PutUint64(id[8:], 1<<63|uint64(w.ids.Add(1)))
	return id
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// load reads catalogue and feeds from a directory and writes them, as
// holdfast import does.
func load(ctx context.Context, db *storage.DB, dir string) error {
	var known catalogue.Index
	open := func(name string) (catalogue.Feed, error) {
		f, err := catalogue.Open(ctx, filepath.Join(dir, name))
		if err != nil {
			return catalogue.Feed{}, err
		}
		return catalogue.Feed{Kind: f.Kind, Meta: f.Meta, Files: []*catalogue.File{f}}, nil
	}
	file, err := catalogue.Open(ctx, filepath.Join(dir, "clinics.yaml"))
	if err != nil {
		return err
	}
	clinics, err := file.Clinics(ctx)
	if err != nil {
		return err
	}
	for _, m := range clinics {
		if err := known.AddClinic(m); err != nil {
			return err
		}
		if err := storagetest.PutClinic(ctx, db, m, 0); err != nil {
			return err
		}
	}
	feed, err := open("merchants.json")
	if err != nil {
		return err
	}
	if _, err := known.AddMerchants(ctx, feed); err != nil {
		return err
	}
	of := storage.Feed{Complete: true, GenerationSec: feed.Meta.GenerationSec}
	merchants := func(each func(inventory.Merchant) error) error {
		_, err := feed.Merchants(ctx, each)
		return err
	}
	if _, err := db.PutFeedMerchants(ctx, merchants, of, of.GenerationSec); err != nil {
		return err
	}
	if feed, err = open("services.json"); err != nil {
		return err
	}
	if _, err := known.AddServices(ctx, feed); err != nil {
		return err
	}
	services := func(each func(string, []inventory.Service) error) error {
		return feed.ServicesOfMerchants(ctx, &known, each)
	}
	if err := db.PutFeedServices(ctx, services, of, of.GenerationSec); err != nil {
		return err
	}
	if feed, err = open("availability.json"); err != nil {
		return err
	}
	var rows []inventory.Published
	if _, err := feed.Availability(ctx, &known, func(p inventory.Published) error { rows = append(rows, p); return nil }); err != nil {
		return err
	}
	_, err = db.PutPublished(ctx, rows, feed.Meta.GenerationSec)
	return err
}

// clear removes everything that bookings have left in a database, and the clinics' credentials, without the code under
// test. Making a new database is slower.
func clear(target string) error {
	return storagetest.Exec(target,
		"DELETE FROM outbox", "DELETE FROM booking_events", "DELETE FROM holds", "DELETE FROM occupied_resources",
		"DELETE FROM idempotency_tokens", "DELETE FROM bookings", "DELETE FROM guest_keys", "DELETE FROM guests",
		"DELETE FROM slots WHERE resource_id IN (SELECT id FROM resources WHERE kind <> 'published')",
		"UPDATE slots SET taken = 0, capacity = offered WHERE taken <> 0 OR capacity <> offered",
		"DELETE FROM clinic_tokens", "DELETE FROM clinic_keys",
	)
}

// key is the API key of a clinic, made when it is first asked for.
func (w *world) key(clinic string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.keys[clinic] == "" {
		key, err := w.service.NewKey(context.Background(), clinic, "front desk")
		w.must(err)
		w.keys[clinic] = key
	}
	return w.keys[clinic]
}

// token is a clinic's access token, got when it is first asked for.
func (w *world) token(clinic string) string {
	key := w.key(clinic)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.tokens[clinic] == "" {
		token, err := w.service.ExchangeKey(context.Background(), key)
		w.must(err)
		w.tokens[clinic] = token
	}
	return w.tokens[clinic]
}

// credentials returns an Authorization header: of google, of a clinic by its id, none, or wrong, for well-formed
// credentials that nobody has. Anything else is the header itself.
func (w *world) credentials(path, who string) string {
	basic := func(password string) string {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(googleUser, password)
		return r.Header.Get("Authorization")
	}
	switch {
	case who == "google":
		return basic(googlePassword)
	case who == "none":
		return ""
	case who == "wrong" && strings.HasPrefix(path, "/v3"):
		return basic("guessed")
	case who == "wrong":
		return "Bearer 00000000-0000-4000-8000-000000000000"
	case slices.Contains(merchants, who):
		return "Bearer " + w.token(who)
	}
	return who
}

// answer is an answer, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// send sends one request over HTTP. header has alternating names and values; an Authorization may be any name that
// [world.credentials] knows.
func (w *world) send(method, path, body string, header ...string) (a answer, err error) {
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		value := header[i+1]
		if header[i] == "Authorization" {
			value = w.credentials(path, value)
		}
		if value != "" {
			r.Header.Set(header[i], value)
		}
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return a, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

// stored reads a merchant's bookings back, without HTTP.
func (w *world) stored(merchantID string) []booking.Booking {
	w.t.Helper()
	all, err := w.db.Bookings(context.Background(), merchantID, 0, 1<<60)
	w.must(err)
	return all
}

// merchants are those that bookings can be made at.
var merchants = []string{clinic1, "clinic-2", "new-york", "pune", "choosy", "chicago", "1234", "dining-1", "studio-1"}

// booking finds a booking by its id.
func (w *world) booking(id string) booking.Booking {
	w.t.Helper()
	return w.find(id, func(b booking.Booking) bool { return b.ID.String() == id })
}

// schedule finds a booking by the clinic's name of it.
func (w *world) schedule(id string) booking.Booking {
	w.t.Helper()
	return w.find(id, func(b booking.Booking) bool { return b.ScheduleID == id })
}

func (w *world) find(id string, is func(booking.Booking) bool) booking.Booking {
	w.t.Helper()
	for _, m := range merchants {
		if all := w.stored(m); slices.ContainsFunc(all, is) {
			return all[slices.IndexFunc(all, is)]
		}
	}
	w.t.Fatalf("booking %s is not stored", id)
	return booking.Booking{}
}

// end puts a reserved visit into another state, like the desk when it cancels. It uses the service's own store, because
// there is no endpoint for all states.
func (w *world) end(b booking.Booking, state booking.State) {
	w.t.Helper()
	key := booking.ScheduleKey{MerchantID: b.MerchantID, ScheduleID: b.ScheduleID}
	w.must(w.db.InTx(context.Background(), booking.Footprint{Schedule: key}, func(tx booking.Tx) error {
		next, found := tx.Schedule()
		if !found {
			return booking.ErrNotFound
		}
		if state == booking.Canceled {
			if err := inventory.Move(tx, next.ID, tx.Holds(next.ID), nil); err != nil {
				return err
			}
		}
		next.State = state
		next.Version++
		tx.PutBooking(next, booking.Event{By: booking.By{Actor: booking.ByDesk}, Action: booking.Changed, AtSec: w.clock.Load(), Before: []byte("{}"), After: []byte("{}")})
		return nil
	}))
}

// guestJSON is a guest as Google sends one.
func guestJSON(name string) string {
	lower := strings.ToLower(name)
	return fmt.Sprintf(`{"user_id":"user-%s","given_name":"%s","family_name":"Smith","telephone":"%s","email":"%s@example.com"}`,
		lower, name, guestPhone(name), lower)
}

// guestPhone returns a number that only this guest has, as far as there are enough.
func guestPhone(name string) string {
	n := 0
	for _, r := range name {
		n = (n*31 + int(r)) % 10_000_000
	}
	return fmt.Sprintf("+82 10-%03d-%04d", n/10_000, n%10_000)
}

// createJSON is a CreateBooking of a guest of that name for an hour at the
// first clinic, in a room or, with "", in any.
func createJSON(name, token string, startSec int64, room string) string {
	resources := ""
	if room != "" {
		resources = fmt.Sprintf(`,"resources":{"room_id":%q}`, room)
	}
	return fmt.Sprintf(`{"slot":{"merchant_id":"clinic-1","service_id":"skin-care","start_sec":"%d","duration_sec":"3600"%s},"user_information":%s,"idempotency_token":%q}`,
		startSec, resources, guestJSON(name), token)
}

// moveJSON is an update-reservation to one stretch of an hour.
func moveJSON(scheduleID, group, zone string, startSec int64) string {
	utc := func(sec int64) string { return time.Unix(sec, 0).UTC().Format(time.RFC3339) }
	return fmt.Sprintf(`{"scheduleId":%q,"zoneId":%q,"occupiedResources":[{"startDateTimeUtc":%q,"endDateTimeUtc":%q,"reservationGroup":{"reservationGroupId":%q,"zoneId":%q}}]}`,
		scheduleID, zone, utc(startSec), utc(startSec+3600), group, zone)
}

// printed is what a logger has printed, from however many goroutines.
type printed struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *printed) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *printed) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}
