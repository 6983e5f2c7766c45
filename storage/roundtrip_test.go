package storage_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/idempotency"
	"holdfast/inventory"
	"holdfast/storage/storagetest"
)

// fill sets every field below v to a value that is not zero and differs from its neighbours, so that forgotten or swapped columns
// show.
func fill(v reflect.Value, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *uuid.UUID:
		*x = uuid.NewSHA1(uuid.Nil, []byte{byte(*n)})
		return
	case *json.RawMessage:
		*x = json.RawMessage(fmt.Sprintf(`{"n":%d}`, *n))
		return
	case **time.Location:
		*x = time.UTC
		return
	case *booking.State:
		*x = booking.InProgress
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.String:
		v.SetString(fmt.Sprintf("text %d, 한글 'quoted' \"twice\" \\", *n))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Map: // inventory.Merchant.Former, which no catalogue says
	default:
		panic("fill: " + v.Type().String())
	}
}

func filled[T any]() T {
	var v T
	n := 0
	fill(reflect.ValueOf(&v).Elem(), &n)
	return v
}

// Every member of a booking, its guest, its event and its token comes back as written, and again after a change.
func TestBookingRoundTrip(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		b := filled[booking.Booking]()
		b.Version, b.StartSec, b.EndSec = 1, 1000, 2000
		for i := range b.Resources {
			b.Resources[i].StartSec, b.Resources[i].EndSec = 1000, 2000
		}
		event := filled[booking.Event]()
		guest := filled[booking.Guest]()
		key := booking.GuestKey{MerchantID: b.MerchantID, Key: "user:1"}
		claim := filled[idempotency.Claim]()
		claim.Subject = b.ID
		touches := booking.Footprint{Claim: &claim, GuestKeys: []booking.GuestKey{key}, NewGuest: guest.ID}

		write := func(touches booking.Footprint, f func(tx booking.Tx)) {
			t.Helper()
			err := db.InTx(t.Context(), touches, func(tx booking.Tx) error { f(tx); return nil })
			if err != nil {
				t.Fatal(err)
			}
		}
		read := func(want booking.Booking, events ...booking.Event) {
			t.Helper()
			got, err := db.Bookings(t.Context(), b.MerchantID, 0, 1<<60)
			if err != nil || len(got) != 1 {
				t.Fatalf("%d bookings, %v", len(got), err)
			}
			if diff := cmp.Diff(want, got[0]); diff != "" {
				t.Errorf("booking (-want +got):\n%s", diff)
			}
			happened, err := db.Events(t.Context(), b.ID)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(events, happened); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		}
		write(touches, func(tx booking.Tx) { tx.PutGuest(guest); tx.PutBooking(b, event) })
		read(b, event)

		// The token knows its booking, the key its guest.
		write(touches, func(tx booking.Tx) {
			prior, found := tx.Claimed(claim)
			if diff := cmp.Diff(claim, prior); !found || diff != "" {
				t.Errorf("claim: found %v (-want +got):\n%s", found, diff)
			}
			if got, found := tx.Booking(b.ID); !found || !cmp.Equal(b, got) {
				t.Errorf("the token's booking (-want +got):\n%s", cmp.Diff(b, got))
			}
		})
		write(booking.Footprint{GuestKeys: []booking.GuestKey{key}, NewGuest: uuid.New()}, func(tx booking.Tx) {
			if diff := cmp.Diff(map[booking.GuestKey]booking.Guest{key: guest}, tx.Guests()); diff != "" {
				t.Errorf("guest (-want +got):\n%s", diff)
			}
		})

		// The next version: everything that may be absent is, and comes back so.
		next := booking.Booking{
			ID: b.ID, ScheduleID: b.ScheduleID, MerchantID: b.MerchantID, GuestID: b.GuestID, State: booking.Confirmed,
			Version: 2, StartSec: 5000, EndSec: 6000,
			Resources: []booking.OccupiedResource{{ResourceID: uuid.New(), StartSec: 5000, EndSec: 6000, Spots: 1}},
		}
		write(booking.Footprint{Schedule: booking.ScheduleKey{MerchantID: b.MerchantID, ScheduleID: b.ScheduleID}}, func(tx booking.Tx) {
			if got, found := tx.Schedule(); !found || !cmp.Equal(b, got) {
				t.Errorf("the schedule's booking (-want +got):\n%s", cmp.Diff(b, got))
			}
			tx.PutBooking(next, event)
		})
		read(next, event, event)
	})
}

// A clinic's catalogue comes back as it went in.
func TestCatalogueRoundTrip(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		m := filled[inventory.Merchant]()
		m.Kind, m.TimeZone, m.Version = inventory.MerchantClinic, "Asia/Kolkata", 1
		m.Chairs = false // availability feeds note it
		m.Location, _ = time.LoadLocation(m.TimeZone)
		for i := range m.Groups {
			m.Groups[i].StartDate = inventory.Date{Year: 2026, Month: 2, Day: 28}
			for j := range m.Groups[i].Zones {
				m.Groups[i].Zones[j].ZoneID = m.Zones[j].ID
			}
		}
		for i := range m.Offers {
			m.Offers[i].First, m.Offers[i].Last = m.Groups[0].StartDate, inventory.Date{Year: 2027, Month: 12, Day: 31}
		}
		m.Offers[1] = inventory.Offer{ID: m.Offers[1].ID}
		m.Groups[1].Timetable, m.Groups[1].StartDate = nil, inventory.Date{}
		for range 2 { // and once more over itself
			if err := db.PutClinic(t.Context(), m, 0); err != nil {
				t.Fatal(err)
			}
		}
		m.Version = 2
		got, err := db.Merchant(t.Context(), m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&m, got, cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// A stored key or token opens exactly one clinic, for as long as it should.
func TestAccess(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		ctx := t.Context()
		now := time.Unix(1_800_000_000, 0)
		s := &booking.Service{Store: db, Now: func() time.Time { return now }}
		if _, err := s.NewKey(ctx, "nobody", ""); !errors.Is(err, booking.ErrNotFound) {
			t.Errorf("a key for nobody: %v", err)
		}
		m := filled[inventory.Merchant]()
		m.ID, m.Kind, m.TimeZone = "clinic-1", inventory.MerchantClinic, "UTC"
		m.Groups, m.Services, m.Offers = nil, nil, nil
		if err := db.PutClinic(ctx, m, 0); err != nil {
			t.Fatal(err)
		}
		key, err := s.NewKey(ctx, m.ID, "")
		if err != nil {
			t.Fatal(err)
		}
		token, err := s.ExchangeKey(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name  string
			token string
			after time.Duration
			want  string
		}{
			{"at once", token, 0, m.ID},
			{"just before its end", token, booking.TokenLife - time.Second, m.ID},
			{"at its end", token, booking.TokenLife, ""},
			{"another token", uuid.NewString(), 0, ""},
			{"the key is no token", key, 0, ""},
		} {
			now = time.Unix(1_800_000_000, 0).Add(c.after)
			got, _, err := s.Clinic(ctx, c.token)
			if got != c.want || (c.want == "") != errors.Is(err, booking.ErrNotFound) {
				t.Errorf("%s: got %q, %v", c.name, got, err)
			}
		}
		for _, wrong := range []string{uuid.NewString(), "x", "", token} {
			if _, err := s.ExchangeKey(ctx, wrong); !errors.Is(err, booking.ErrNotFound) {
				t.Errorf("exchange of a wrong key: %v", err)
			}
		}
		dump, err := storagetest.DumpTables(db.Target, "clinic_keys", "clinic_tokens")
		if err != nil {
			t.Fatal(err)
		}
		for table, rows := range dump {
			for _, secret := range []string{key, token} {
				if strings.Contains(rows, secret) {
					t.Errorf("%s holds a secret as it is", table)
				}
			}
		}
	})
}

// Each user's last word counts, and users who said nothing are not in the result.
func TestMarketing(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		for _, say := range []struct {
			user   string
			wanted bool
		}{{"a", true}, {"b", true}, {"b", false}, {"c", false}, {"c", true}} {
			if err := db.PutMarketing(t.Context(), say.user, say.wanted, 1); err != nil {
				t.Fatal(err)
			}
		}
		got, err := db.Marketing(t.Context(), []string{"a", "b", "c", "d"})
		if diff := cmp.Diff(map[string]bool{"a": true, "b": false, "c": true}, got); err != nil || diff != "" {
			t.Errorf("%v (-want +got):\n%s", err, diff)
		}
	})
}
