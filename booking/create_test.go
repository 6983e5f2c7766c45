package booking_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
)

func TestCreate(t *testing.T) {
	each(t, func(w *world) {
		want := w.booked(w.request(at(9, 0)))
		if diff := cmp.Diff(want, w.stored(want)); diff != "" {
			t.Errorf("stored booking differs (-returned +stored):\n%s", diff)
		}
		if want.ZoneID != bed || want.State != booking.Confirmed || want.Version != 1 || len(want.ScheduleID) != 24 {
			t.Errorf("got %+v", want)
		}
	})
}

// Bookings take the first zone with room: 2 get the beds, 1 the suite, then nobody gets in.
func TestCreateTakesTheZoneThatHasRoom(t *testing.T) {
	each(t, func(w *world) {
		for _, zone := range []string{bed, bed, suite} {
			if b := w.booked(w.request(at(9, 0))); b.ZoneID != zone {
				w.t.Errorf("booked in zone %s, want %s", b.ZoneID, zone)
			}
		}
		_, err := w.create(w.request(at(9, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		// Half an hour later the slots overlap.
		_, err = w.create(w.request(at(9, 30)))
		w.wantCause(err, booking.SlotUnavailable)
		w.booked(w.request(at(10, 0)))
	})
}

func TestReplay(t *testing.T) {
	each(t, func(w *world) {
		c := w.request(at(9, 0))
		c.RoomID = suite
		first := w.booked(c)

		again, err := w.Create(context.Background(), c)
		w.must(err)
		if diff := cmp.Diff(booking.Outcome{Booking: first, Replay: true}, again); diff != "" {
			w.t.Errorf("replay of the last spot (-want +got):\n%s", diff)
		}

		other := c
		other.StartSec, other.Fingerprint = at(15, 0), []byte("other")
		again, err = w.Create(context.Background(), other)
		w.must(err)
		if diff := cmp.Diff(booking.Outcome{Booking: first, Replay: true, Mismatch: true}, again); diff != "" {
			w.t.Errorf("another request under the same token (-want +got):\n%s", diff)
		}

		// The token alone decides, even for a merchant that does not exist.
		other.MerchantID = "nobody"
		again, err = w.Create(context.Background(), other)
		w.must(err)
		if again.Booking.ID != first.ID {
			w.t.Errorf("got %s, want %s", again.Booking.ID, first.ID)
		}

		// A replay shows the booking as it is now.
		w.must(w.change(move(first, bed, at(16, 0), at(17, 0))))
		again, err = w.Create(context.Background(), c)
		w.must(err)
		if again.Booking.StartSec != at(16, 0) || again.Booking.RoomID != bed || again.Booking.Version != 2 {
			w.t.Errorf("replay after a move: %+v", again.Booking)
		}
	})
}

// A refusal stores nothing, so the same request is a new attempt.
func TestFailureIsNotSticky(t *testing.T) {
	each(t, func(w *world) {
		first := w.request(at(9, 0))
		first.RoomID = suite
		b := w.booked(first)
		second := w.request(at(9, 0))
		second.RoomID = suite
		before := w.rows()
		_, err := w.create(second)
		w.wantCause(err, booking.SlotUnavailable)
		if diff := cmp.Diff(before, w.rows()); diff != "" {
			w.t.Errorf("a refusal left traces (-before +after):\n%s", diff)
		}
		w.must(w.change(move(b, bed, at(11, 0), at(12, 0))))
		w.booked(second)
	})
}

// Every refusal leaves the database as it was.
func TestRefusalsLeaveNoTrace(t *testing.T) {
	lease := uuid.New()
	for _, c := range []struct {
		name   string
		change func(*booking.Create)
		cause  booking.Cause
		field  booking.Field
	}{
		{"merchant unknown", func(c *booking.Create) { c.MerchantID = "nobody" }, 0, booking.FieldMerchant},
		{"service unknown", func(c *booking.Create) { c.ServiceID = "nothing" }, 0, booking.FieldService},
		{"staff unknown", func(c *booking.Create) { c.StaffID = "nobody" }, 0, booking.FieldStaff},
		{"room unknown", func(c *booking.Create) { c.RoomID = "nowhere" }, 0, booking.FieldRoom},
		{"room of another group", func(c *booking.Create) { c.RoomID = attic }, 0, booking.FieldRoom},
		{"room switched off", func(c *booking.Create) { c.RoomID = closed }, booking.SlotUnavailable, 0},
		{"duration is not the service's", func(c *booking.Create) { c.DurationSec = 1800 }, 0, booking.FieldDuration},
		{"start off the grid", func(c *booking.Create) { c.StartSec += 60 }, 0, booking.FieldStart},
		{"past", func(c *booking.Create) { c.StartSec = at(7, 30) }, booking.SlotUnavailable, 0},
		{"in the break", func(c *booking.Create) { c.StartSec = at(12, 30) }, booking.SlotUnavailable, 0},
		{"after closing", func(c *booking.Create) { c.StartSec = at(17, 30) }, booking.SlotUnavailable, 0},
		{"on a closed day", func(c *booking.Create) { c.StartSec = at(9+3*24, 0) }, booking.SlotUnavailable, 0},
		{"on a Sunday", func(c *booking.Create) { c.StartSec = at(9+6*24, 0) }, booking.SlotUnavailable, 0},
		{"with a lease", func(c *booking.Create) { c.LeaseID = &lease }, booking.LeaseExpired, 0},
		{"with an offer", func(c *booking.Create) { c.OfferID = "half-price" }, booking.OfferUnavailable, 0},
		{"to be charged by us", func(c *booking.Create) { c.Payment = &booking.Payment{ProcessedBy: booking.ProcessedByPartner} }, booking.PaymentError, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				request := w.request(at(9, 0))
				c.change(&request)
				before := w.rows()
				_, err := w.create(request)
				if c.cause != 0 {
					w.wantCause(err, c.cause)
				} else {
					w.wantField(err, c.field)
				}
				if diff := cmp.Diff(before, w.rows()); diff != "" {
					w.t.Errorf("it left traces (-before +after):\n%s", diff)
				}
			})
		})
	}
}

func TestOverlap(t *testing.T) {
	for _, c := range []struct {
		name   string
		second func(first booking.Create, second *booking.Create)
		cause  booking.Cause
	}{
		{"same user, same slot", func(f booking.Create, s *booking.Create) { s.Contact.UserID = f.Contact.UserID }, booking.OverlappingReservation},
		{"same user, half an hour later", func(f booking.Create, s *booking.Create) {
			s.Contact.UserID, s.StartSec = f.Contact.UserID, at(9, 30)
		}, booking.OverlappingReservation},
		{"same user, right after", func(f booking.Create, s *booking.Create) {
			s.Contact.UserID, s.StartSec = f.Contact.UserID, at(10, 0)
		}, 0},
		{"same email in other case", func(_ booking.Create, s *booking.Create) { s.Contact.Email = "JOHN1@Example.com" }, booking.OverlappingReservation},
		{"same user and slot, another party size", func(f booking.Create, s *booking.Create) {
			s.Contact.UserID, s.PartySize = f.Contact.UserID, 3
		}, booking.SlotAlreadyBookedByUser},
		{"a family shares a phone", func(f booking.Create, s *booking.Create) { s.Contact.Telephone = f.Contact.Telephone }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				first, second := w.request(at(9, 0)), w.request(at(9, 0))
				w.booked(first)
				c.second(first, &second)
				_, err := w.create(second)
				if c.cause == 0 {
					w.must(err)
				} else {
					w.wantCause(err, c.cause)
				}
			})
		})
	}
}

// The catalogue says whom a merchant accepts.
func TestGuestRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		rules  inventory.GuestRules
		change func(*booking.Create)
		cause  booking.Cause // of the third booking of one guest; 0: none
	}{
		{"anybody", inventory.GuestRules{}, nil, 0},
		{"two ahead", inventory.GuestRules{MaxUpcoming: 2}, nil, booking.UserOverBookingLimit},
		{"three ahead", inventory.GuestRules{MaxUpcoming: 3}, nil, 0},
		{"another guest's do not count", inventory.GuestRules{MaxUpcoming: 2}, func(c *booking.Create) { c.Contact.UserID, c.Contact.Email = "other", "other@example.com" }, 0},
		{"banned by user id", inventory.GuestRules{Banned: []string{"new"}}, func(c *booking.Create) { c.Contact.UserID = "new" }, booking.BannedUser},
		{"banned by email in other case", inventory.GuestRules{Banned: []string{"New@example.com"}}, func(c *booking.Create) { c.Contact.Email = "new@EXAMPLE.com" }, booking.BannedUser},
		{"banned by phone, written otherwise", inventory.GuestRules{Banned: []string{"+82-10 777"}}, func(c *booking.Create) { c.Contact.Telephone = "+8210777" }, booking.BannedUser},
		{"a ban that names nobody", inventory.GuestRules{Banned: []string{"x"}}, nil, 0},
		{"a name in other letters", inventory.GuestRules{NamePattern: `^\p{Latin}+$`}, func(c *booking.Create) { c.Contact.FamilyName = "김" }, booking.UnsupportedName},
		{"a name of one letter that was sent as two", inventory.GuestRules{NamePattern: `^\p{L}+$`}, func(c *booking.Create) { c.Contact.FamilyName = "Jose\u0301" }, 0},
		{"no family name, where names are checked", inventory.GuestRules{NamePattern: `^\p{L}+$`}, func(c *booking.Create) { c.Contact.FamilyName = "" }, 0},
		{"a blank name", inventory.GuestRules{}, func(c *booking.Create) { c.Contact.GivenName = " \u3000\u00a0" }, booking.UnsupportedName},
		{"a number without a digit", inventory.GuestRules{}, func(c *booking.Create) { c.Contact.Telephone = "none" }, booking.UnsupportedPhoneNumber},
		{"a number in Arabic digits", inventory.GuestRules{}, func(c *booking.Create) { c.Contact.Telephone = "٠١٠" }, 0},
		{"a number from elsewhere", inventory.GuestRules{PhonePattern: `^\+82`}, func(c *booking.Create) { c.Contact.Telephone = "+1 415" }, booking.UnsupportedPhoneNumber},
		{"a number from here", inventory.GuestRules{PhonePattern: `^\+8210`}, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(w *world) {
				m := testClinic()
				m.Guests = c.rules
				w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
				first := w.request(at(9, 0))
				w.booked(first)
				second, third := w.request(at(10, 0)), w.request(at(11, 0))
				second.Contact, third.Contact = first.Contact, first.Contact
				w.booked(second)
				if c.change != nil {
					c.change(&third)
				}
				_, err := w.create(third)
				if c.cause == 0 {
					w.must(err)
					return
				}
				w.wantCause(err, c.cause)
				w.must(w.change(move(w.booked(second), bed, at(14, 0), at(15, 0)))) // the desk may
			})
		})
	}
}

// An exclusive doctor is at one visit at a time, in whatever zone.
func TestExclusiveDoctor(t *testing.T) {
	each(t, func(w *world) {
		first := w.request(at(9, 0))
		first.StaffID = drKim
		w.booked(first)
		second := w.request(at(9, 30))
		second.StaffID = drKim
		_, err := w.create(second)
		w.wantCause(err, booking.SlotUnavailable)
		second.StaffID = drLee
		w.booked(second)
	})
}

func (w *world) wantCause(err error, want booking.Cause) *booking.Failure {
	w.t.Helper()
	var f *booking.Failure
	if !errors.As(err, &f) {
		w.t.Fatalf("got %v, want cause %v", err, want)
	}
	if f.Cause != want {
		w.t.Fatalf("got cause %v (%s), want %v", f.Cause, f.Detail, want)
	}
	return f
}

func (w *world) wantField(err error, want booking.Field) *booking.Invalid {
	w.t.Helper()
	var i *booking.Invalid
	if !errors.As(err, &i) {
		w.t.Fatalf("got %v, want an invalid field %v", err, want)
	}
	if i.Field != want {
		w.t.Fatalf("got field %v (%s), want %v", i.Field, i.Detail, want)
	}
	return i
}
