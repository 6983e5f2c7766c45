package booking_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

const canary = "kanarienvogel"

// canaryVisit is a booking with a canary in everything that anybody may write about a guest.
func (w *world) canaryVisit(startSec int64) (booking.Booking, booking.Create) {
	w.t.Helper()
	c := w.request(startSec)
	c.Fingerprint = []byte(canary) // stands for a digest of all this
	c.Contact = booking.Contact{
		UserID: canary + "-user", GivenName: canary + "-given", FamilyName: canary + "-family", Telephone: "+82 10-9753-1864",
		Email: canary + "@example.com", LanguageCode: canary, Address: &booking.Address{Country: canary, StreetAddress: canary},
	}
	c.AdditionalRequest = canary + " wish"
	c.Payment = &booking.Payment{PrepaymentStatus: booking.PrepaymentProvided, TransactionID: canary + "-transaction"}
	b := w.booked(c)
	w.must(w.db.InTx(w.t.Context(), booking.Footprint{Bookings: []uuid.UUID{b.ID}}, func(tx booking.Tx) error { // as it was booked once
		next, _ := tx.Booking(b.ID)
		payment := *next.Payment
		payment.UserPaymentOptionID = canary + "-option"
		next.Payment, next.Version = &payment, next.Version+1
		tx.PutBooking(next, booking.Event{By: theOperator, Action: booking.Changed, Before: []byte("{}"), After: []byte("{}")})
		return nil
	}))
	command := move(b, b.ZoneID, b.StartSec, b.EndSec)
	command.Memo, command.ConnectedChannel = booking.Set(canary+" memo"), booking.Set(canary+" channel")
	command.Funnel = booking.Set(json.RawMessage(`{"funnelDetail":"` + canary + `"}`))
	command.SedationRequired = booking.Set(true)
	command.RequestedProcedures = booking.Set(json.RawMessage(`[{"title":"` + canary + `"}]`))
	w.must(w.change(command))
	w.must(w.SetMarketing(w.t.Context(), c.Contact.UserID, false))
	return w.stored(b), c
}

// sings lists the tables of the whole database in which a canary is left.
func (w *world) sings() (tables []string) {
	w.t.Helper()
	dump, err := storagetest.DumpAll(w.db.Target)
	w.must(err)
	if len(dump) < 15 || !strings.Contains(dump["merchants"], clinic) {
		w.t.Fatalf("the dump is not of everything: %v", slices.Sorted(maps.Keys(dump)))
	}
	for table, rows := range dump {
		rows = strings.ToLower(rows)
		if strings.Contains(rows, canary) || strings.Contains(rows, "9753") || strings.Contains(rows, `sedation_required":true`) {
			tables = append(tables, table)
		}
	}
	slices.Sort(tables)
	return tables
}

// kept are the members of a booking that erasing leaves, because none of them says who the guest is. A new member belongs either here
// or in Booking.erased, and if it is text about the guest also in private in event.go.
var kept = []string{
	"ID", "ScheduleID", "MerchantID", "ServiceID", "GuestID", "State", "Version", "StartSec", "EndSec", "ExpiresSec",
	"PartySize", "StaffID", "RoomID", "AvailabilityTag", "ConfirmationMode", "OfferID", "Payment", "ZoneID", "Resources",
	"Assignee", "ConsultationRequired", "Counselor", "CreatedBy", "CreatedSec", "ErasedSec",
}

// Every member of a booking is either kept on purpose or gone once it is erased.
func TestErasedMembers(t *testing.T) {
	each(t, func(w *world) {
		b, _ := w.canaryVisit(at(9, 0))
		before := reflect.ValueOf(b)
		if _, err := w.Erase(t.Context(), theOperator, booking.Subject{UserID: canary + "-user"}, true); err != nil {
			t.Fatal(err)
		}
		after := reflect.ValueOf(w.stored(b))
		for i := range before.NumField() {
			name := before.Type().Field(i).Name
			switch {
			case slices.Contains(kept, name):
			case before.Field(i).IsZero():
				t.Errorf("%s: the test says nothing of it", name)
			case !after.Field(i).IsZero():
				t.Errorf("%s is neither kept on purpose nor erased: %v", name, after.Field(i))
			}
		}
		if got := w.stored(b); got.Payment.PrepaymentStatus != booking.PrepaymentProvided || got.ErasedSec != eight.Unix() {
			t.Errorf("got %+v", got)
		}
	})
}

// After a year nothing in the database says who came; younger and future visits and their guests do not change.
func TestRetain(t *testing.T) {
	each(t, func(w *world) {
		old, request := w.canaryVisit(at(9, 0))
		young := w.booked(w.request(at(9, 0) + 7*86400))
		if tables := w.sings(); !slices.Equal(tables, []string{"booking_events", "bookings", "guest_keys", "guests", "idempotency_tokens", "marketing_preferences"}) {
			t.Errorf("before, it sings in %v: something else repeats it, or the test tests nothing", tables)
		}
		const year = 365 * 24 * time.Hour
		now := eight
		w.Now = func() time.Time { return now }

		now = time.Unix(old.EndSec, 0).Add(year - time.Second)
		before := w.rows()
		done, err := w.Retain(t.Context(), theOperator, year, nil)
		w.must(err)
		if done != (booking.Retention{}) || !cmp.Equal(before, w.rows()) {
			t.Errorf("a second too early: %+v", done)
		}

		now = now.Add(time.Second)
		var told []booking.Retention
		done, err = w.Retain(t.Context(), theOperator, year, func(r booking.Retention) { told = append(told, r) })
		w.must(err)
		if want := (booking.Retention{Visits: 1, Guests: 1}); done != want || len(told) != 2 || told[1] != want {
			t.Errorf("got %+v, told %v", done, told)
		}
		if tables := w.sings(); tables != nil {
			t.Errorf("it still sings in %v", tables)
		}
		w.verify()
		if got := w.stored(young); !cmp.Equal(got, young) {
			t.Errorf("a young visit changed:\n%s", cmp.Diff(young, got))
		}
		events, err := w.db.Events(t.Context(), old.ID)
		w.must(err)
		if last := events[len(events)-1]; last.Action != booking.Erased || last.Actor != booking.ByOperator || int64(len(events)) != w.stored(old).Version {
			t.Errorf("last event %+v", last)
		}

		// Again, there is nothing to do. A retry gets the booking without the guest.
		before = w.rows()
		done, err = w.Retain(t.Context(), theOperator, year, nil)
		w.must(err)
		if done != (booking.Retention{}) || !cmp.Equal(before, w.rows()) {
			t.Errorf("the second time: %+v", done)
		}
		request.Fingerprint = []byte("what it was, nobody can tell now")
		replay, err := w.Create(t.Context(), request)
		w.must(err)
		if !replay.Replay || replay.Mismatch || replay.Booking.ID != old.ID || replay.Booking.Contact != (booking.Contact{}) || replay.Booking.AdditionalRequest != "" {
			t.Errorf("replayed as %+v", replay)
		}

		// What the desk writes later must be erased later.
		command := move(old, old.ZoneID, old.StartSec, old.EndSec)
		command.Memo = booking.Set(canary)
		w.must(w.change(command))
		done, err = w.Retain(t.Context(), theOperator, year, nil)
		w.must(err)
		if done.Visits != 1 || w.sings() != nil {
			t.Errorf("done %+v, sings in %v", done, w.sings())
		}
		if _, err := w.Retain(t.Context(), theOperator, -time.Second, nil); err == nil {
			t.Error("visits to come may be erased")
		}
	})
}

// A time of the past that is closed again gets the block that is there. If that has been
// erased, its new token says nothing of the request either: verify, at the end, looks.
func TestErasedBlockIsNamedAgain(t *testing.T) {
	each(t, func(w *world) {
		first := w.block(block(bed, at(9, 0), at(10, 0)))
		w.Now = func() time.Time { return eight.Add(48 * time.Hour) }
		if done, err := w.Retain(t.Context(), theOperator, time.Hour, nil); err != nil || done.Visits != 1 {
			t.Fatal(done, err)
		}
		again := block(bed, at(9, 0), at(10, 0))
		again.Once = &booking.Once{Caller: "clinic/" + clinic, Token: "again", Fingerprint: []byte(canary)}
		for range 2 {
			if got := w.block(again); got.ID != first.ID {
				t.Errorf("got %s, want %s", got.ID, first.ID)
			}
		}
	})
}

// A guest who has booked again keeps the chart, whatever happens to old visits. There are more visits to erase than fit into one
// transaction.
func TestRetainKeepsWhoComesBack(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].Zones[0].Capacity = 200
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		for range 60 {
			w.booked(w.request(at(9, 0)))
		}
		_, request := w.canaryVisit(at(9, 0))
		request.Token, request.StartSec = "again", at(9, 0)+7*86400
		again := w.booked(request)
		w.Now = func() time.Time { return time.Unix(at(10, 0), 0) }
		done, err := w.Retain(t.Context(), theOperator, 0, nil)
		w.must(err)
		if done != (booking.Retention{Visits: 61, Guests: 60}) {
			t.Errorf("got %+v", done)
		}
		if got := w.stored(again); got.Contact.GivenName != canary+"-given" {
			t.Errorf("got %+v", got)
		}
		if ahead, err := w.Ahead(t.Context(), canary+"-user"); err != nil || len(ahead) != 1 {
			t.Errorf("%d visits ahead, %v", len(ahead), err)
		}
	})
}

// One person is erased by each name, at one merchant or at all; others are not touched, and future visits are cancelled only on
// request.
func TestErase(t *testing.T) {
	for name, subject := range map[string]booking.Subject{
		"user id": {UserID: canary + "-user"}, "email": {Email: " Kanarienvogel@Example.com"}, "phone": {Phone: "+821097531864"},
		"visitor id": {}, "at the merchant": {MerchantID: clinic, UserID: canary + "-user"},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				b, request := w.canaryVisit(at(9, 0))
				other := w.booked(w.request(at(9, 0)))
				if name == "visitor id" {
					guests, err := w.db.GuestsNamed(t.Context(), clinic, []string{"user:" + canary + "-user"}, "")
					w.must(err)
					subject.VisitorID = guests[0].VisitorID
				}
				before := w.rows()
				_, err := w.Erase(t.Context(), theOperator, subject, false)
				var ahead *booking.StillAhead
				if !errors.As(err, &ahead) || !slices.Equal(ahead.Visits, []string{b.ScheduleID}) || !cmp.Equal(before, w.rows()) {
					t.Errorf("got %v", err)
				}
				_, err = w.Erase(t.Context(), theOperator, booking.Subject{MerchantID: "elsewhere", UserID: canary + "-user", Phone: "+82 10 9753 1864"}, true)
				if !errors.Is(err, booking.ErrNotFound) || !cmp.Equal(before, w.rows()) {
					t.Errorf("at another merchant: %v", err)
				}

				done, err := w.Erase(t.Context(), theOperator, subject, true)
				w.must(err)
				if done != (booking.Erasure{Guests: 1, Visits: 1, Canceled: 1}) {
					t.Errorf("got %+v", done)
				}
				if tables := w.sings(); tables != nil {
					t.Errorf("it still sings in %v", tables)
				}
				w.verify()
				if got := w.stored(other); !cmp.Equal(got, other) {
					t.Errorf("somebody else changed:\n%s", cmp.Diff(other, got))
				}
				replay, err := w.Create(t.Context(), request)
				w.must(err)
				if !replay.Replay || replay.Booking.State != booking.Canceled || replay.Booking.Contact != (booking.Contact{}) {
					t.Errorf("replayed as %+v", replay)
				}
				if _, err := w.Erase(t.Context(), theOperator, subject, true); !errors.Is(err, booking.ErrNotFound) {
					t.Errorf("the second time: %v", err)
				}

				// The same person is somebody new.
				request.Token = "new"
				if again := w.booked(request); again.GuestID == b.GuestID {
					t.Error("the chart is there again")
				}
			})
		})
	}
}

// The marketing preference of somebody who has never booked is kept as long as a visit, and a guest's as long as the guest. There are
// more than fit into one transaction.
func TestRetainForgetsWhoNeverCame(t *testing.T) {
	each(t, func(w *world) {
		guest := w.request(at(9, 0) + 7*86400)
		w.booked(guest)
		say := func(user string, now time.Time) {
			w.must(w.db.PutMarketing(t.Context(), user, true, now.Unix()))
		}
		say(guest.Contact.UserID, eight)
		var all []string
		for i := range 120 {
			all = append(all, fmt.Sprint(canary, i))
			say(all[i], eight)
		}
		say("later", eight.Add(time.Second))
		w.Now = func() time.Time { return eight.Add(time.Hour) }
		done, err := w.Retain(t.Context(), theOperator, time.Hour, nil)
		w.must(err)
		if done != (booking.Retention{Preferences: 120}) || w.sings() != nil {
			t.Errorf("got %+v, sings in %v", done, w.sings())
		}
		kept, err := w.db.Marketing(t.Context(), append(all, "later", guest.Contact.UserID))
		w.must(err)
		if !cmp.Equal(kept, map[string]bool{"later": true, guest.Contact.UserID: true}) {
			t.Errorf("kept %v", kept)
		}
	})
}

// Erases somebody who has only a marketing preference, and somebody who has only a lease.
func TestEraseOfLittle(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.SetMarketing(t.Context(), canary, true))
		done, err := w.Erase(t.Context(), theOperator, booking.Subject{UserID: canary}, false)
		w.must(err)
		if done != (booking.Erasure{}) || w.sings() != nil {
			t.Errorf("got %+v, sings in %v", done, w.sings())
		}
		slot := w.request(at(9, 0)).Slot
		slot.RoomID = suite
		_, err = w.Lease(t.Context(), booking.Lease{Slot: slot, UserID: canary})
		w.must(err)
		done, err = w.Erase(t.Context(), theOperator, booking.Subject{UserID: canary}, false)
		w.must(err)
		if done != (booking.Erasure{Guests: 1, Visits: 1}) || w.sings() != nil {
			t.Errorf("got %+v, sings in %v", done, w.sings())
		}
		c := w.request(at(9, 0))
		c.RoomID = suite
		w.booked(c) // the lease has given its room back
	})
}

// People book while they are being erased: afterwards each booking's guest is either forgotten, or found by what the booking says.
func TestEraseWhileBooking(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		m.Groups[0].Zones[0].Capacity = 100
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		contact := w.request(0).Contact
		var y tally
		together(6, func(i int) {
			for n := range 6 {
				if i < 2 {
					_, err := w.Erase(w.t.Context(), theOperator, booking.Subject{UserID: contact.UserID}, true)
					if err != nil && !errors.Is(err, booking.ErrNotFound) && !errors.Is(err, booking.ErrUnavailable) {
						w.t.Error(err)
					}
					continue
				}
				c := w.request(at(9, 0) + int64(n)*3600 + int64(i)*7*86400)
				c.Contact = contact
				_, err := w.create(c)
				y.add(err)
			}
		})
		if y.other != nil {
			w.t.Errorf("errors reached callers: %v", y.other)
		}
		all, err := w.db.Bookings(t.Context(), clinic, 0, 1<<60)
		w.must(err)
		guests, err := w.db.GuestsNamed(t.Context(), clinic, []string{booking.UserKey(contact.UserID)}, "")
		w.must(err)
		for _, b := range all {
			found := slices.ContainsFunc(guests, func(g booking.Guest) bool { return g.ID == b.GuestID })
			if b.ErasedSec == 0 && !found {
				w.t.Errorf("booking %s: its guest cannot be found", b.ID)
			}
		}
		t.Logf("%d booked, %d refused", y.booked, y.refused)
	})
}

// stale is a store that returns visits that have moved meanwhile.
type stale struct {
	booking.Store
	ids []uuid.UUID
}

func (s *stale) Unerased(context.Context, int64, int) ([]uuid.UUID, error) {
	ids := s.ids
	s.ids = nil
	return ids, nil
}

// A visit that moves to the future after it was found to be old is left alone.
func TestRetainLooksAgain(t *testing.T) {
	each(t, func(w *world) {
		b := w.booked(w.request(at(9, 0)))
		w.Store = &stale{w.Store, []uuid.UUID{b.ID}}
		done, err := w.Retain(t.Context(), theOperator, 0, nil)
		w.must(err)
		if got := w.stored(b); done.Visits != 0 || !cmp.Equal(b, got) {
			t.Errorf("got %+v, %+v", done, got)
		}
	})
}

// A guest's keys vanish while a booking waits for them: the booking runs again, and its guest is somebody new, whom the keys find.
// (SQLite has one writer anyway.)
func TestBookingWhileItsGuestIsForgotten(t *testing.T) {
	target := storagetest.Postgres(t)
	retried := make(chan error, 10)
	db := storagetest.Open(t, target, storage.Options{Limit: time.Minute, Retried: func(err error) { retried <- err }})
	w := &world{t: t, db: storagetest.Database{DB: db, Target: target}}
	w.Service = &booking.Service{Store: db, Now: func() time.Time { return eight }, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
	w.must(storagetest.PutClinic(t.Context(), db, testClinic(), eight.Unix()))
	first := w.request(at(9, 0))
	w.booked(first)

	raw, err := sql.Open("pgx", target)
	w.must(err)
	defer raw.Close()
	forgetting, err := raw.BeginTx(t.Context(), nil)
	w.must(err)
	defer forgetting.Rollback()
	_, err = forgetting.ExecContext(t.Context(), "SELECT 1 FROM guest_keys FOR UPDATE")
	w.must(err)
	made := make(chan booking.Booking)
	go func() {
		second := first
		second.Token, second.StartSec = "second", at(10, 0)
		b, err := w.create(second)
		if err != nil {
			t.Error(err)
		}
		made <- b
	}()
	for waiting := 0; waiting == 0; {
		w.must(raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting))
	}
	_, err = forgetting.ExecContext(t.Context(), "DELETE FROM guest_keys")
	w.must(err)
	w.must(forgetting.Commit())
	b := <-made
	guests, err := db.GuestsNamed(t.Context(), clinic, []string{booking.UserKey(first.Contact.UserID)}, "")
	w.must(err)
	if len(guests) != 1 || guests[0].ID != b.GuestID {
		t.Errorf("found %v, the booking's guest is %s", guests, b.GuestID)
	}
	if len(retried) != 1 {
		t.Errorf("run again %d times, want once", len(retried))
	}
	w.verify()
}
