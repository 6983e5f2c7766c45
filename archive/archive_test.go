package archive_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/archive"
	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

func TestMain(m *testing.M) { os.Exit(storagetest.Main(m)) }

// The clinic of these tests, and what it has: one zone, and an offer that three may use.
const (
	clinic = "clinic-1"
	bed    = "65a000000000000000000001"
	queue  = "65b000000000000000000001"
	bonus  = "bonus"
)

// monday is 08:00 on the day of these tests; their archive is made a year and a half later.
var (
	monday = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	later  = monday.Add(550 * 24 * time.Hour)
)

// at is hh:mm on Monday, in Unix seconds.
func at(hh, mm int) int64 {
	return monday.Add(time.Duration(hh-8)*time.Hour + time.Duration(mm)*time.Minute).Unix()
}

func testClinic() inventory.Merchant {
	three := 3
	return inventory.Merchant{
		ID: clinic, Kind: inventory.MerchantClinic, TimeZone: "UTC", Location: time.UTC, Zones: []inventory.Zone{{ID: bed}},
		Groups: []inventory.Group{{
			ID: queue, IntervalSec: 1800, AnchorSec: inventory.GridAnchor(1800, time.UTC),
			Zones: []inventory.GroupZone{{ZoneID: bed, Capacity: 1000, Enabled: true}},
		}},
		Services: []inventory.Service{{ID: "visit", GroupID: queue, DurationSec: 3600}},
		Offers:   []inventory.Offer{{ID: bonus, Uses: &three}},
	}
}

// world is a service over one database, with a clock, and a directory for archives.
type world struct {
	*booking.Service
	t     *testing.T
	db    storagetest.Database
	dir   string
	clock atomic.Pointer[time.Time]
	n     atomic.Int64
}

func each(t *testing.T, o storage.Options, test func(w *world)) {
	t.Helper()
	o.Limit = time.Minute // a busy machine must not look like a broken promise
	for _, kind := range storagetest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			db := storagetest.Prepared(t, kind, "archive", o, func(db storagetest.Database) {
				if err := db.PutClinic(t.Context(), testClinic(), monday.Unix()); err != nil {
					t.Fatal(err)
				}
			})
			w := &world{t: t, db: db, dir: t.TempDir()}
			w.setClock(monday)
			w.Service = &booking.Service{Store: db, Now: func() time.Time { return *w.clock.Load() }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
			test(w)
			broken, err := db.Verify(context.Background(), nil)
			w.must(err)
			for _, v := range broken {
				t.Errorf("invariant broken: %s: %s", v.Invariant, v.Row)
			}
		})
	}
}

func (w *world) setClock(now time.Time) { w.clock.Store(&now) }

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

var (
	theDesk     = booking.By{Actor: booking.ByDesk}
	theOperator = booking.By{Actor: booking.ByOperator}
)

func (w *world) request(startSec int64) booking.Create {
	n := w.n.Add(1)
	return booking.Create{
		Caller: "google", Token: fmt.Sprint("token-", n), Fingerprint: []byte{1},
		Slot:    booking.Slot{MerchantID: clinic, ServiceID: "visit", StartSec: startSec, DurationSec: 3600},
		Contact: booking.Contact{UserID: fmt.Sprint("user-", n), GivenName: "Ada", Telephone: fmt.Sprintf("+82 10-0000-%04d", n)},
	}
}

func (w *world) booked(c booking.Create) booking.Booking {
	w.t.Helper()
	out, err := w.Create(context.Background(), c)
	w.must(err)
	return out.Booking
}

// move is a command of the desk.
func move(b booking.Booking, startSec int64) booking.Change {
	return booking.Change{
		By: theDesk, MerchantID: clinic, ScheduleID: b.ScheduleID, ZoneID: bed,
		Items: []booking.Item{{GroupID: queue, ZoneID: bed, StartSec: startSec, EndSec: startSec + 3600}},
	}
}

func once(token string) *booking.Once {
	return &booking.Once{Caller: "clinic/" + clinic, Token: token, Fingerprint: []byte{1}}
}

func (w *world) block(startSec int64, token string) booking.Booking {
	w.t.Helper()
	out, err := w.Block(context.Background(), booking.Block{
		By: theDesk, MerchantID: clinic, Once: once(token), Item: booking.Item{GroupID: queue, ZoneID: bed, StartSec: startSec, EndSec: startSec + 1800},
	})
	w.must(err)
	return out.Booking
}

// retained goes to the day of the archive and erases what is a year old.
func (w *world) retained() {
	w.t.Helper()
	w.setClock(later)
	_, err := w.Retain(context.Background(), theOperator, 365*24*time.Hour, nil)
	w.must(err)
}

func (w *world) plan(undelivered bool) archive.Plan {
	w.t.Helper()
	rule, err := booking.NewArchival(w.Now(), 400*24*time.Hour, 30*24*time.Hour, undelivered)
	w.must(err)
	return archive.Plan{Dir: w.dir, Rule: rule, Now: w.Now}
}

// archived makes an archive of all that may go, delivered or not.
func (w *world) archived() archive.Done {
	w.t.Helper()
	done, err := archive.Run(context.Background(), w.db.DB, w.plan(true), nil)
	w.must(err)
	return done
}

// stored are the ids of the bookings that the database has.
func (w *world) stored() map[uuid.UUID]bool {
	w.t.Helper()
	all, err := w.db.Bookings(context.Background(), clinic, 0, 1<<60)
	w.must(err)
	ids := map[uuid.UUID]bool{}
	for _, b := range all {
		ids[b.ID] = true
	}
	return ids
}

// files are the archives, by number.
func (w *world) files() []string {
	w.t.Helper()
	names, err := filepath.Glob(filepath.Join(w.dir, "*"))
	w.must(err)
	return names
}

// shown are the bookings that the archives have, with the actions of their history.
func (w *world) shown() map[uuid.UUID]string {
	w.t.Helper()
	found, err := show(w.files()...)
	w.must(err)
	return found
}

func show(names ...string) (map[uuid.UUID]string, error) {
	found, actions := map[uuid.UUID]string{}, map[uuid.UUID][]string{}
	err := archive.Each(context.Background(), names, func(*archive.Booking) bool { return true }, func(l archive.Line, whole *archive.Booking) error {
		if e := l.Event; e != nil {
			actions[e.BookingID] = append(actions[e.BookingID], string(e.Action))
		}
		if whole != nil {
			if _, twice := found[whole.ID]; twice {
				return fmt.Errorf("%s is shown twice", whole.ID)
			}
			found[whole.ID] = strings.Join(actions[whole.ID], " ")
		}
		return nil
	})
	return found, err
}

// execute runs statements past the code under test.
func (w *world) execute(statements ...string) {
	w.t.Helper()
	driver := "sqlite"
	if strings.HasPrefix(w.db.Target, "postgres://") {
		driver = "pgx"
	}
	raw, err := sql.Open(driver, w.db.Target)
	w.must(err)
	defer raw.Close()
	for _, s := range statements {
		if _, err := raw.Exec(s); err != nil {
			w.t.Fatalf("%s: %v", s, err)
		}
	}
}

// Everything that must stay stays, and is as it was; the command says why. What may go
// goes, whatever became of it.
func TestArchiveLeavesWhatMustStay(t *testing.T) {
	each(t, storage.Options{}, func(w *world) {
		gone := []booking.Booking{w.booked(w.request(at(9, 0))), w.block(at(8, 30), "block")}
		moved := w.booked(w.request(at(10, 0)))
		w.must(w.Change(w.t.Context(), move(moved, at(9, 30))))
		canceled := w.booked(w.request(at(9, 0)))
		_, err := w.Settle(w.t.Context(), theOperator, canceled.ID, booking.CallOff)
		w.must(err)
		lease, err := w.Lease(w.t.Context(), booking.Lease{Slot: w.request(at(9, 0)).Slot}) // which nobody will have swept
		w.must(err)
		unblocked := w.block(at(10, 0), "unblocked")
		w.must(w.Unblock(w.t.Context(), theDesk, booking.ScheduleKey{MerchantID: clinic, ScheduleID: unblocked.ScheduleID}))
		gone = append(gone, moved, canceled, lease, unblocked)
		withOffer := w.request(at(9, 0))
		withOffer.OfferID = bonus
		offer := w.booked(withOffer)
		w.setClock(later.Add(-399 * 24 * time.Hour))
		recent := w.booked(w.request(w.Now().Unix() + 3600))
		w.setClock(later.Add(-24 * time.Hour))
		late, err := w.Reserve(w.t.Context(), booking.Reserve{ // the desk writes down what was
			Change: move(booking.Booking{}, at(9, 0)), Once: once("late"), Name: "Ada", Phone: "+82 10-9999-0001",
		})
		w.must(err)
		twice := w.block(at(11, 0), "first")
		w.setClock(later.Add(-12 * time.Hour))
		if b := w.block(at(11, 0), "again"); b.ID != twice.ID {
			t.Fatal("another block")
		}
		w.retained()
		unerased := late.Booking
		late, err = w.Reserve(w.t.Context(), booking.Reserve{Change: move(booking.Booking{}, at(14, 0)), Name: "Eve", Phone: "+82 10-9999-0002"}) // after retain
		w.must(err)

		before := w.stored()
		done, err := archive.Run(w.t.Context(), w.db.DB, w.plan(false), nil)
		w.must(err)
		if done.Bookings != 0 || done.Files != 0 || len(w.files()) != 0 || !maps.Equal(before, w.stored()) {
			t.Errorf("nothing was delivered, and archived is %+v in %v", done, w.files())
		}
		w.execute("UPDATE outbox SET delivered_sec = due_sec WHERE booking_id <> '" + canceled.ID.String() + "'")
		done, err = archive.Run(w.t.Context(), w.db.DB, w.plan(false), nil)
		w.must(err)
		want := map[booking.Stay]int{booking.StaysUnerased: 1, booking.StaysToken: 2, booking.StaysUndelivered: 1, booking.StaysOffer: 1}
		if diff := cmp.Diff(want, done.Stay); diff != "" || done.Bookings != len(gone)-1 {
			t.Errorf("archived %d, stay (-want +got):\n%s", done.Bookings, diff)
		}
		if done := w.archived(); done.Bookings != 1 {
			t.Errorf("of what is not delivered, and is to go nevertheless: %+v", done)
		}
		stay := map[uuid.UUID]bool{offer.ID: true, recent.ID: true, unerased.ID: true, twice.ID: true, late.Booking.ID: true}
		if got := w.stored(); !maps.Equal(got, stay) {
			t.Errorf("there are %v, want %v", got, stay)
		}
		shown := w.shown()
		for _, b := range gone {
			if !strings.HasSuffix(shown[b.ID], "ERASED") {
				t.Errorf("%s has the history %q", b.State, shown[b.ID])
			}
			delete(shown, b.ID)
		}
		if len(shown) > 0 {
			t.Errorf("the archives also have %v", shown)
		}

		// Once the merchant has no such offer, its use counts no more. The room of all
		// that is gone is given back, and prune finds nobody there.
		m := testClinic()
		m.Offers = nil
		w.must(w.db.PutClinic(w.t.Context(), m, later.Unix()))
		if done := w.archived(); done.Bookings != 1 {
			t.Errorf("an offer that is no more: %+v", done)
		}
		pruned, err := w.Prune(w.t.Context(), 500*24*time.Hour, nil)
		w.must(err)
		if pruned < 2 {
			t.Errorf("%d slots are free", pruned)
		}
	})
}

// To ask again is to ask anew, once the token may be gone; and nobody knows the booking.
func TestArchivedIsUnknown(t *testing.T) {
	each(t, storage.Options{}, func(w *world) {
		request := w.request(at(9, 0))
		visit := w.booked(request)
		reserve := booking.Reserve{Change: move(booking.Booking{}, at(10, 0)), Once: once("reserve"), Name: "Ada", Phone: "+82 10-9999-0001"}
		reserved, err := w.Reserve(w.t.Context(), reserve)
		w.must(err)
		w.retained()
		again, err := w.Create(w.t.Context(), request)
		if err != nil || !again.Replay || again.Booking.ID != visit.ID {
			t.Fatalf("before: %+v, %v", again, err)
		}
		if done := w.archived(); done.Bookings != 2 {
			t.Fatalf("archived %+v", done)
		}

		var refused *booking.Failure
		if again, err := w.Create(w.t.Context(), request); !errors.As(err, &refused) || refused.Cause != booking.SlotUnavailable {
			t.Errorf("Google's retry: %+v, %v", again, err)
		}
		out, err := w.Reserve(w.t.Context(), reserve)
		if err != nil || out.Replay || out.Booking.ID == reserved.Booking.ID {
			t.Errorf("the desk's retry: %+v, %v", out, err)
		}
		_, err = w.Booking(w.t.Context(), visit.ID)
		_, err2 := w.Update(w.t.Context(), booking.Update{BookingID: visit.ID, Cancel: true})
		_, _, err3 := w.db.Schedule(w.t.Context(), booking.ScheduleKey{MerchantID: clinic, ScheduleID: visit.ScheduleID}, booking.HistoryPage{})
		err4 := w.Change(w.t.Context(), move(visit, at(11, 0)))
		for _, err := range []error{err, err2, err3, err4} {
			var unknown *booking.Invalid
			if !errors.As(err, &unknown) && !errors.Is(err, booking.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// What changes between the file and its deletion stays, as it is then; the next run takes
// that, and the files tell of it once.
func TestArchiveLeavesWhatChanges(t *testing.T) {
	each(t, storage.Options{}, func(w *world) {
		var visits []booking.Booking
		for range 3 {
			visits = append(visits, w.booked(w.request(at(9, 0))))
		}
		block := w.block(at(11, 0), "block")
		w.retained()
		changed := false
		done, err := archive.Run(w.t.Context(), w.db.DB, w.plan(true), func(d archive.Done) {
			if changed {
				return
			}
			changed = true // everything is in the file, and nothing is deleted
			w.must(w.Change(w.t.Context(), move(visits[1], at(10, 0))))
			if _, err := w.Retain(w.t.Context(), theOperator, 365*24*time.Hour, nil); err != nil { // it may go again
				t.Error(err)
			}
			w.must(w.Change(w.t.Context(), move(visits[0], at(10, 0))))
			if again := w.block(at(11, 0), "again"); again.ID != block.ID {
				t.Error("another block")
			}
		})
		w.must(err)
		if want := map[booking.Stay]int{booking.StaysChanged: 3}; !changed || done.Bookings != 1 || !maps.Equal(done.Stay, want) {
			t.Errorf("archived %+v", done)
		}
		if got, want := w.stored(), (map[uuid.UUID]bool{visits[0].ID: true, visits[1].ID: true, block.ID: true}); !maps.Equal(got, want) {
			t.Errorf("there are %v, want %v", got, want)
		}
		w.setClock(later.Add(31 * 24 * time.Hour))
		_, err = w.Retain(w.t.Context(), theOperator, 365*24*time.Hour, nil)
		w.must(err)
		if done := w.archived(); done.Bookings != 3 || len(w.stored()) != 0 {
			t.Errorf("the next run: %+v", done)
		}
		const twice = "CREATED ERASED CHANGED ERASED"
		if got := w.shown(); len(got) != 4 || got[visits[0].ID] != twice || got[visits[1].ID] != twice {
			t.Errorf("the files have %v", got)
		}
	})
}

// The database fails once the file is there: everything is in both. The next run loses
// nothing, and the files tell of nothing twice.
func TestArchiveBrokenOff(t *testing.T) {
	var fail atomic.Bool
	broken := errors.New("the power is gone")
	o := storage.Options{Fault: func(point string) error {
		if fail.Load() && point == "before COMMIT" {
			return broken
		}
		return nil
	}}
	each(t, o, func(w *world) {
		want := map[uuid.UUID]bool{}
		for range 120 {
			want[w.booked(w.request(at(9, 0))).ID] = true
		}
		w.retained()
		n := 0
		_, err := archive.Run(w.t.Context(), w.db.DB, w.plan(true), func(d archive.Done) { fail.Store(d.Bookings > 0); n = d.Bookings })
		fail.Store(false)
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), "70 bookings are in "+w.dir) || n != 50 {
			t.Fatalf("got %v after %d", err, n)
		}
		if stored, shown := w.stored(), w.shown(); len(stored) != 70 || len(shown) != 120 {
			t.Errorf("%d are in the database, %d in the file", len(stored), len(shown))
		}
		if done := w.archived(); done.Bookings != 70 || len(w.stored()) != 0 || len(w.files()) != 2 {
			t.Errorf("the next run: %+v in %v", done, w.files())
		}
		shown := w.shown()
		for id := range want {
			if shown[id] == "" {
				t.Errorf("%s is lost", id)
			}
		}
		if len(shown) != len(want) {
			t.Errorf("the files tell of %d, want %d", len(shown), len(want))
		}
	})
}

// Who interrupts it finds nothing begun and not ended: before the file is complete there
// is none, and afterwards nothing is in both.
func TestArchiveInterrupted(t *testing.T) {
	each(t, storage.Options{}, func(w *world) {
		for range 60 {
			w.booked(w.request(at(9, 0)))
		}
		w.retained()
		ctx, stop := context.WithCancel(w.t.Context())
		_, err := archive.Run(ctx, w.db.DB, w.plan(true), func(archive.Done) { stop() })
		if !errors.Is(err, context.Canceled) || len(w.files()) != 0 || len(w.stored()) != 60 {
			t.Errorf("before the file is complete: %v, files %v, %d in the database", err, w.files(), len(w.stored()))
		}
		ctx, stop = context.WithCancel(w.t.Context())
		defer stop()
		done, err := archive.Run(ctx, w.db.DB, w.plan(true), func(d archive.Done) {
			if d.Files > 0 {
				stop()
			}
		})
		if done.Bookings != 60 || len(w.files()) != 1 || len(w.stored()) != 0 {
			t.Errorf("while it deletes: %+v, %v, files %v, %d in the database", done, err, w.files(), len(w.stored()))
		}
	})
}

// The desk moves visits about in the past, on the slots that are given back, and makes
// others, tokens come again, somebody erases, another archive runs: no promise breaks, and every visit is
// in the database or in a file.
func TestArchiveWhileWorking(t *testing.T) {
	each(t, storage.Options{}, func(w *world) {
		var visits []booking.Booking
		var requests []booking.Create
		for range 150 {
			requests = append(requests, w.request(at(9, 0)))
			visits = append(visits, w.booked(requests[len(requests)-1]))
		}
		w.retained()
		var all sync.Map
		for _, b := range visits {
			all.Store(b.ID, true)
		}
		working, stop := context.WithCancel(context.Background())
		defer stop()
		var helpers, archives sync.WaitGroup
		for i := range 3 {
			helpers.Go(func() {
				for n := i; working.Err() == nil; n += 3 {
					b := visits[n%len(visits)]
					err := w.Change(context.Background(), move(b, at(9, 30*(n%5))))
					var unknown *booking.Invalid
					if err != nil && !errors.As(err, &unknown) && !errors.Is(err, booking.ErrNotFound) {
						t.Errorf("move: %v", err)
					}
					out, err := w.Reserve(context.Background(), booking.Reserve{
						Change: move(booking.Booking{}, at(9, 30*(n%5))), Once: once(fmt.Sprint(i, " ", n)), Name: "Ada", Phone: fmt.Sprintf("+82 10-1%03d-%04d", i, n),
					})
					if err != nil {
						t.Errorf("reserve: %v", err)
					}
					all.Store(out.Booking.ID, true)
				}
			})
		}
		helpers.Go(func() { // Google asks again: it gets the visit, or hears that its time is past
			for n := 0; working.Err() == nil; n++ {
				var refused *booking.Failure
				out, err := w.Create(context.Background(), requests[n%len(requests)])
				if again := err == nil && out.Booking.ID == visits[n%len(visits)].ID; !again && !errors.As(err, &refused) {
					t.Errorf("again: %+v, %v", out, err)
				}
			}
		})
		helpers.Go(func() { // and the desk's copies name a block that may be going
			for n := 0; working.Err() == nil; n++ {
				all.Store(w.block(at(14, 0), fmt.Sprint("block ", n)).ID, true)
			}
		})
		helpers.Go(func() {
			for working.Err() == nil {
				if _, err := w.Retain(context.Background(), theOperator, 365*24*time.Hour, nil); err != nil {
					t.Errorf("retain: %v", err)
				}
			}
		})
		rule := w.plan(true)
		rule.Rule.TokensUntilSec, rule.Now = later.Unix(), time.Now // young ones too
		for range 2 {
			archives.Go(func() {
				for range 4 {
					if _, err := archive.Run(context.Background(), w.db.DB, rule, nil); err != nil {
						t.Errorf("archive: %v", err)
					}
				}
			})
		}
		archives.Wait()
		stop()
		helpers.Wait()
		stored, shown := w.stored(), w.shown()
		n := 0
		all.Range(func(id, _ any) bool {
			if n++; !stored[id.(uuid.UUID)] && shown[id.(uuid.UUID)] == "" {
				t.Errorf("%s is neither in the database nor in a file", id)
			}
			return true
		})
		if n == len(stored) {
			t.Error("nothing was archived")
		}
		t.Logf("of %d visits %d are in the database, and the files have %d", n, len(stored), len(shown))
	})
}

// A retry finds its token, and before it finds the booking both are archived: it is a new
// request, and not an error. (SQLite lets nobody in between.)
func TestArchiveBetweenTokenAndBooking(t *testing.T) {
	var between atomic.Pointer[func()]
	o := storage.Options{Fault: func(point string) error {
		if f := between.Load(); f != nil && point == "after the token" && between.CompareAndSwap(f, nil) {
			(*f)()
		}
		return nil
	}}
	each(t, o, func(w *world) {
		if !strings.HasPrefix(w.db.Target, "postgres://") {
			return
		}
		request := w.request(at(9, 0))
		w.booked(request)
		w.retained()
		archive := func() {
			if done := w.archived(); done.Bookings != 1 {
				t.Errorf("archived %+v", done)
			}
		}
		between.Store(&archive)
		var refused *booking.Failure
		if out, err := w.Create(w.t.Context(), request); !errors.As(err, &refused) || refused.Cause != booking.SlotUnavailable {
			t.Errorf("got %+v, %v", out, err)
		}
		if between.Load() != nil {
			t.Error("nothing was archived in between")
		}
	})
}

// A visit that was changed for years is archived like any other, row by row.
func TestArchiveOfManyEvents(t *testing.T) {
	const changes = 20_000
	each(t, storage.Options{}, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		other := w.booked(w.request(at(9, 0)))
		w.retained()
		w.execute(
			fmt.Sprintf(`INSERT INTO booking_events (booking_id, merchant_id, version, at_sec, actor, action, before, after)
				WITH RECURSIVE n(n) AS (SELECT 3 UNION ALL SELECT n + 1 FROM n WHERE n < %d)
				SELECT '%s', 'clinic-1', n, 1, 'desk', 'CHANGED', '{}', '{}' FROM n`, changes, b.ID),
			fmt.Sprintf(`INSERT INTO outbox (booking_id, version, topic, due_sec) SELECT booking_id, version, 'booking', 1 FROM booking_events WHERE version > 2 AND booking_id = '%s'`, b.ID),
			fmt.Sprintf("UPDATE bookings SET version = %d WHERE id = '%s'", changes, b.ID),
		)
		if done := w.archived(); done.Bookings != 2 || len(w.stored()) != 0 {
			t.Fatalf("archived %+v", done)
		}
		shown := w.shown()
		if n := strings.Count(shown[b.ID], "CHANGED"); n != changes-2 || shown[other.ID] == "" {
			t.Errorf("the file has %d changes, and of the other one %q", n, shown[other.ID])
		}
	})
}

// TestArchiveMany archives more bookings than are read at a time. With ARCHIVE_BOOKINGS
// set it measures: docs/scale.md has the figures.
func TestArchiveMany(t *testing.T) {
	many := 1100
	if n, err := strconv.Atoi(os.Getenv("ARCHIVE_BOOKINGS")); err == nil {
		many = n
	}
	each(t, storage.Options{}, func(w *world) {
		took := func(f func()) time.Duration {
			begin := time.Now()
			f()
			return time.Since(begin).Round(time.Millisecond)
		}
		booking := took(func() {
			var guests sync.WaitGroup
			var next atomic.Int64
			for range 64 {
				guests.Go(func() {
					for i := next.Add(1); i <= int64(many); i = next.Add(1) {
						if _, err := w.Create(context.Background(), w.request(at(9, 0)+i%2000*1800)); err != nil {
							t.Error(err)
						}
					}
				})
			}
			guests.Wait()
		})
		erasing := took(w.retained)
		var done archive.Done
		archiving := took(func() { done = w.archived() })
		if done.Bookings != many || len(done.Stay) != 0 || done.Files != (many+4999)/5000 {
			t.Errorf("archived %+v", done)
		}
		var shown map[uuid.UUID]string
		showing := took(func() { shown = w.shown() })
		if len(shown) != many || len(w.stored()) != 0 {
			t.Errorf("the files have %d, the database %d", len(shown), len(w.stored()))
		}
		t.Logf("%d bookings: booked in %s, erased in %s, archived in %s (%.0f/s), read in %s; %d files, %d bytes a booking",
			many, booking, erasing, archiving, float64(many)/archiving.Seconds(), showing, done.Files, done.Bytes/int64(many))
	})
}

// Files are numbered on, whatever is there, and nobody's is written over.
func TestArchiveFiles(t *testing.T) {
	each(t, storage.Options{}, func(w *world) {
		left := func(name string, age time.Duration) string {
			path := filepath.Join(w.dir, name)
			w.must(os.WriteFile(path, []byte("mine"), 0o600))
			w.must(os.Chtimes(path, later, later.Add(-age)))
			return path
		}
		old := left("holdfast-20270101-000007.jsonl.gz.part", 2*time.Hour)
		young := left("holdfast-20270903-000011.jsonl.gz.part", time.Minute)
		mine := left("holdfast-20270903-000012.jsonl.gz", time.Hour)
		left("notes.txt", 0)
		w.booked(w.request(at(9, 0)))
		w.retained()
		w.archived()
		want := []string{"holdfast-20270903-000011.jsonl.gz.part", "holdfast-20270903-000012.jsonl.gz", "holdfast-20270903-000013.jsonl.gz", "notes.txt"}
		var got []string
		for _, name := range w.files() {
			got = append(got, filepath.Base(name))
		}
		if !slices.Equal(got, want) {
			t.Errorf("there are %v, want %v", got, want)
		}
		for _, name := range []string{young, mine} {
			if text, err := os.ReadFile(name); err != nil || string(text) != "mine" {
				t.Errorf("%s: %q, %v", name, text, err)
			}
		}
		if _, err := os.Stat(old); err == nil {
			t.Error("the file of a run that was killed stays")
		}
	})
}
