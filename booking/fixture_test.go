package booking_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

func TestMain(m *testing.M) {
	// Each step of a random history is a transaction and a look at everything, so it takes long.
	for name, value := range map[string]string{"rapid.checks": "20", "rapid.steps": "25"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(storagetest.Main(m))
}

// The clinic of these tests, in Seoul: one group of half hours in two zones,
// with room for two visits in the first and one in the second.
const (
	clinic   = "clinic-1"
	bed      = "65a000000000000000000001" // room for 2
	suite    = "65a000000000000000000002" // room for 1
	closed   = "65a000000000000000000003" // switched off
	attic    = "65a000000000000000000004" // not in the group
	queue    = "65b000000000000000000001"
	drKim    = "65c000000000000000000001" // exclusive
	drLee    = "65c000000000000000000002" // not exclusive
	skinCare = "skin-care"                // an hour
)

var seoul = mustLocation("Asia/Seoul")

func mustLocation(name string) *time.Location {
	loc, err := time.LoadLocation(name)
	if err != nil {
		panic(err)
	}
	return loc
}

// today is a Monday; the tests' clock stands at 08:00 of it.
var (
	today = time.Date(2026, 3, 2, 0, 0, 0, 0, seoul)
	eight = today.Add(8 * time.Hour)
)

// at is hh:mm of today, in Unix seconds.
func at(hh, mm int) int64 {
	return today.Add(time.Duration(hh)*time.Hour + time.Duration(mm)*time.Minute).Unix()
}

func testClinic() inventory.Merchant {
	hours := &inventory.Day{Start: 9 * 60, End: 18 * 60, Breaks: []inventory.Break{{Start: 13 * 60, End: 14 * 60}}}
	return inventory.Merchant{
		ID: clinic, Name: "서울 피부과", Kind: inventory.MerchantClinic, TimeZone: "Asia/Seoul", Location: seoul,
		Zones: []inventory.Zone{{ID: bed, Name: "베드"}, {ID: suite, Name: "스위트"}, {ID: closed, Name: "공사중"}, {ID: attic, Name: "다락"}},
		Groups: []inventory.Group{{
			ID: queue, Title: "피부", IntervalSec: 1800, AnchorSec: inventory.GridAnchor(1800, seoul),
			Zones:      []inventory.GroupZone{{ZoneID: bed, Capacity: 2, Enabled: true}, {ZoneID: suite, Capacity: 1, Enabled: true}, {ZoneID: closed, Capacity: 9}},
			Timetable:  &inventory.Timetable{time.Monday: hours, time.Tuesday: hours, time.Wednesday: hours, time.Thursday: hours, time.Friday: hours},
			ClosedDays: []inventory.Date{{Year: 2026, Month: 3, Day: 5}},
		}},
		Staff:    []inventory.Staff{{ID: drKim, Name: "김의사", Role: "DOCTOR", Exclusive: true}, {ID: drLee, Name: "이의사", Role: "DOCTOR"}},
		Services: []inventory.Service{{ID: skinCare, GroupID: queue, DurationSec: 3600}},
	}
}

// world is a service on one database, with a stopped clock and the test clinic loaded.
type world struct {
	*booking.Service
	t  *testing.T
	db storagetest.Database
	n  atomic.Int64

	gate *gate // of a race whose first operations share a transaction
}

func each(t *testing.T, test func(w *world)) { eachWith(t, storage.Options{}, test) }

// patience is the limit of a transaction, so that a busy machine does not look like a broken promise.
const patience = time.Minute

func eachWith(t *testing.T, o storage.Options, test func(w *world)) {
	t.Helper()
	o.Limit = patience
	for _, kind := range storagetest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) { inWorld(t, kind, o, test) })
	}
}

// on is eachWith on one of the databases.
func on(t *testing.T, kind string, o storage.Options, test func(w *world)) {
	t.Helper()
	if o.Limit == 0 {
		o.Limit = patience
	}
	make := map[string]func(testing.TB) string{"SQLite": storagetest.SQLite, "Postgres": storagetest.Postgres}[kind]
	inWorld(t, storagetest.Kind{Name: kind, New: make}, o, test)
}

// eachRace runs a test on each database with operations that do not share transactions, that share them as they come, and that all
// share the first one.
func eachRace(t *testing.T, test func(w *world)) {
	t.Helper()
	for _, k := range storagetest.Kinds() {
		kind := k.Name
		t.Run(kind+"/one by one", func(t *testing.T) { on(t, kind, storage.Options{Batch: 1}, test) })
		t.Run(kind+"/as it comes", func(t *testing.T) { on(t, kind, storage.Options{}, test) })
		t.Run(kind+"/gathered", func(t *testing.T) {
			g := newGate()
			on(t, kind, g.options(), func(w *world) { w.gate = g; test(w) })
		})
	}
}

// together runs f n times, all released at once. Each begins with an operation, except for others of them.
func (w *world) together(n, others int, f func(i int)) {
	w.t.Helper()
	if w.gate == nil {
		together(n, f)
		return
	}
	w.gate.arm(n - others)
	together(n, f)
	if got := w.gate.batches[0].Size; got != n-others {
		w.t.Errorf("%d operations shared the first transaction, want %d", got, n-others)
	}
}

func inWorld(t *testing.T, kind storagetest.Kind, o storage.Options, test func(w *world)) {
	t.Helper()
	w := newWorld(t, storagetest.Prepared(t, kind, "clinic", o, func(db storagetest.Database) {
		if err := db.PutClinic(context.Background(), testClinic(), eight.Unix()); err != nil {
			t.Fatal(err)
		}
	}))
	test(w)
	w.verify()
}

// worldOn is a world on a database that has no clinic yet.
func worldOn(t *testing.T, db storagetest.Database) *world {
	t.Helper()
	w := newWorld(t, db)
	w.must(db.PutClinic(context.Background(), testClinic(), eight.Unix()))
	return w
}

func newWorld(t *testing.T, db storagetest.Database) *world {
	w := &world{t: t, db: db}
	w.Service = &booking.Service{Store: db, Now: func() time.Time { return eight }, NewID: func() uuid.UUID {
		return uuid.Must(uuid.NewV7())
	}}
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// verify checks every invariant.
func (w *world) verify() {
	w.t.Helper()
	broken, err := w.db.Verify(context.Background(), nil)
	w.must(err)
	for _, v := range broken {
		w.t.Errorf("invariant broken: %s: %s", v.Invariant, v.Row)
	}
}

// request is a request of a new guest with a new token, for an hour at the
// clinic.
func (w *world) request(startSec int64) booking.Create {
	n := w.n.Add(1)
	return booking.Create{
		Caller: "google", Token: fmt.Sprint("token-", n), Fingerprint: []byte(fmt.Sprint(n)),
		Slot: booking.Slot{MerchantID: clinic, ServiceID: skinCare, StartSec: startSec, DurationSec: 3600},
		Contact: booking.Contact{
			UserID: fmt.Sprint("user-", n), GivenName: "John", FamilyName: "Smith",
			Telephone: fmt.Sprintf("+82 10-0000-%04d", n), Email: fmt.Sprintf("john%d@example.com", n),
		},
	}
}

func (w *world) create(c booking.Create) (booking.Booking, error) {
	out, err := w.Create(context.Background(), c)
	return out.Booking, err
}

// booked makes a booking that must succeed.
func (w *world) booked(c booking.Create) booking.Booking {
	w.t.Helper()
	b, err := w.create(c)
	w.must(err)
	return b
}

// stored reads a booking back.
func (w *world) stored(b booking.Booking) booking.Booking {
	w.t.Helper()
	all, err := w.db.Bookings(context.Background(), b.MerchantID, 0, 1<<60)
	w.must(err)
	for _, got := range all {
		if got.ID == b.ID {
			return got
		}
	}
	w.t.Fatalf("booking %s is not stored", b.ID)
	return booking.Booking{}
}

// Who asks, besides guests.
var (
	theDesk     = booking.By{Actor: booking.ByDesk}
	theOperator = booking.By{Actor: booking.ByOperator}
)

// move is a command that moves a visit to one stretch.
func move(b booking.Booking, zone string, startSec, endSec int64) booking.Change {
	return booking.Change{
		By: theDesk, MerchantID: b.MerchantID, ScheduleID: b.ScheduleID, ZoneID: zone,
		Items: []booking.Item{{GroupID: queue, ZoneID: zone, StartSec: startSec, EndSec: endSec}},
	}
}

func (w *world) change(c booking.Change) error { return w.Change(context.Background(), c) }

// rows is everything in the tables that an operation can touch.
func (w *world) rows() map[string]string {
	w.t.Helper()
	dump, err := storagetest.Dump(w.db.Target)
	w.must(err)
	return dump
}
