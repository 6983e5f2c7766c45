package booking_test

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage/storagetest"
)

// raw is a direct connection to the world's database.
func (w *world) raw() *sql.DB {
	w.t.Helper()
	db, done, err := storagetest.Raw(w.db.Target)
	w.must(err)
	w.t.Cleanup(func() {
		if err := done(); err != nil {
			w.t.Error(err)
		}
	})
	return db
}

// asBefore reduces a number's keys to what a server of an earlier release makes: the number as written.
func (w *world) asBefore(written string) {
	w.t.Helper()
	plain := strings.NewReplacer(" ", "", "-", "", "(", "", ")", "").Replace(written)
	db := w.raw()
	for _, statement := range []string{
		"DELETE FROM guest_keys WHERE normalized AND key LIKE 'phone:%' AND key <> 'phone:" + plain + "' AND guest_id = (SELECT guest_id FROM guest_keys WHERE key = 'phone:" + plain + "')",
		"UPDATE guest_keys SET normalized = false WHERE key = 'phone:" + plain + "'",
	} {
		_, err := db.Exec(statement)
		w.must(err)
	}
}

// call makes a visit by telephone.
func (w *world) call(name, phone string, startSec int64) booking.Booking {
	w.t.Helper()
	r := w.reservation(bed, startSec, startSec+1800)
	r.Name, r.Phone = name, phone
	b, err := w.reserve(r)
	w.must(err)
	return b
}

func (w *world) guests(phone string) []booking.Guest {
	w.t.Helper()
	found, _, err := w.Guests(w.t.Context(), booking.GuestSearch{MerchantID: clinic, Phone: phone, Phones: booking.PhoneSpellings("82", phone), Limit: 10})
	w.must(err)
	return found
}

var koreanSpellings = []string{"010-1234-5678", "+82 10-1234-5678", "0082 10 1234 5678", "+82 (0)10-1234-5678", "821012345678", "０１０ １２３４ ５６７８"}

// However a number is written, it belongs to one person: for the desk, for Google's guests, for a ban, for the search and for erasing.
func TestOneNumberOneChart(t *testing.T) {
	each(t, func(w *world) {
		first := w.call("김민수", koreanSpellings[0], at(9, 0))
		for i, phone := range koreanSpellings {
			r := w.reservation(suite, at(9, 0), at(9, 30))
			r.Name, r.Phone = "김민수", phone
			_, err := w.reserve(r)
			w.wantCause(err, booking.OverlappingReservation)
			again := w.call("김민수", phone, at(10, 30*i))
			if again.GuestID != first.GuestID || again.Contact.Telephone != phone {
				t.Errorf("%s has chart %s, want %s", phone, again.GuestID, first.GuestID)
			}
		}
		google := w.request(at(17, 0))
		google.Contact.Telephone = koreanSpellings[3]
		if b := w.booked(google); b.GuestID != first.GuestID || b.Contact != google.Contact {
			t.Errorf("Google's guest has chart %s, want %s", b.GuestID, first.GuestID)
		}
		family := w.request(at(16, 0)) // is another of Google's users
		family.Contact.Telephone = koreanSpellings[2]
		other := w.booked(family)
		if other.GuestID == first.GuestID {
			t.Error("a family has one chart")
		}
		for _, phone := range []string{"+821012345678", "+82010-1234-5678"} {
			var charts []string
			for _, g := range w.guests(phone) {
				charts = append(charts, g.ID.String())
			}
			slices.Sort(charts) // they were made in one second
			if want := []string{first.GuestID.String(), other.GuestID.String()}; !slices.Equal(charts, want) {
				t.Errorf("%s finds %v, want %v", phone, charts, want)
			}
		}

		m := testClinic()
		for _, banned := range koreanSpellings {
			m.Guests.Banned = []string{"somebody@example.com", "+82 10-9999-5678", banned}
			w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
			for _, phone := range koreanSpellings {
				c := w.request(at(15, 0))
				c.Contact.Telephone = phone
				_, err := w.create(c)
				w.wantCause(err, booking.BannedUser)
			}
		}
		done, err := w.Erase(t.Context(), theOperator, booking.Subject{MerchantID: clinic, Phone: koreanSpellings[3]}, true)
		w.must(err)
		if done.Guests != 1 || done.Visits != 8 {
			t.Errorf("erased %+v", done)
		}
		left, err := w.Sharing(t.Context(), clinic, koreanSpellings[1])
		w.must(err)
		if len(left) != 1 || left[0].ID != other.GuestID {
			t.Errorf("left are %v, want the family's", left)
		}
	})
}

// A number without a country code is read for the merchant's country.
func TestNumbersAreReadAtHome(t *testing.T) {
	each(t, func(w *world) {
		m := testClinic()
		first := w.call("Kim", "010-1234-5678", at(9, 0))
		m.Country = "EG" // where that is a number, too
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		if got := w.call("Kim", "+82 10-1234-5678", at(10, 0)); got.GuestID != first.GuestID {
			t.Error("what was known of a number is forgotten")
		}
		if got := w.call("Ali", "+20 10 1234 5678", at(11, 0)); got.GuestID == first.GuestID {
			t.Error("Cairo is in Korea")
		}
		w.must(w.db.PutClinic(t.Context(), testClinic(), eight.Unix()))
		_, err := w.NormalizeNumbers(t.Context(), nil)
		w.must(err)
	})
}

// Charts that a server of an earlier release has made for one number become one if they are the same person's, and nothing is lost.
func TestChartsAreJoined(t *testing.T) {
	for name, c := range map[string]struct {
		older, younger string // names
		google         bool   // the younger one is Google's
		joined         bool
	}{
		"one name":              {"김민수", "김민수", false, true},
		"taken apart":           {"김민수", "\u1100\u1175\u11b7\u1106\u1175\u11ab\u1109\u116e", false, true},
		"in another order":      {"Smith, John", "John", true, true},
		"of a family":           {"김민수", "이영희", false, false},
		"of a family, Google's": {"Ann Smith", "John", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				a := w.call(c.older, "010-1234-5678", at(9, 0))
				w.asBefore("010-1234-5678")
				var b booking.Booking
				if c.google {
					r := w.request(at(10, 0))
					r.Contact.GivenName, r.Contact.Telephone = c.younger, "+82 10-1234-5678"
					b = w.booked(r)
				} else {
					b = w.call(c.younger, "+82 10-1234-5678", at(10, 0))
				}
				w.asBefore("+82 10-1234-5678")
				if a.GuestID == b.GuestID {
					t.Fatal("they have one chart already")
				}
				charts, err := w.db.GuestsNamed(t.Context(), clinic, []string{"phone:+821012345678"}, "")
				w.must(err)
				done, err := w.NormalizeNumbers(t.Context(), nil)
				w.must(err)
				if (done.Joined == 1) != c.joined || done.Keys < 1 {
					t.Errorf("did %+v", done)
				}
				w.verify()
				if got := w.stored(b); (got.GuestID == a.GuestID) != c.joined || got.Contact != b.Contact {
					t.Errorf("the younger one's visit is of %s", got.GuestID)
				}
				for _, phone := range koreanSpellings { // the number is the older one's
					r := w.reservation(bed, at(9, 0), at(9, 30))
					r.Phone = phone
					_, err := w.reserve(r)
					w.wantCause(err, booking.OverlappingReservation)
				}
				// The younger one's name still names a chart, and the right one.
				byID := w.reservation(suite, at(9, 0), at(9, 30))
				byID.Phone, byID.VisitorID = "", charts[0].VisitorID
				if _, err := w.reserve(byID); c.joined {
					w.wantCause(err, booking.OverlappingReservation)
				} else {
					w.must(err)
				}
				found, _, err := w.Guests(t.Context(), booking.GuestSearch{MerchantID: clinic, VisitorID: charts[0].VisitorID, Limit: 10})
				w.must(err)
				if len(found) != 1 || (found[0].ID == a.GuestID) != c.joined {
					t.Errorf("its name finds %v", found)
				}
				if n := len(w.guests("+821012345678")); (n == 1) != c.joined {
					t.Errorf("the number finds %d charts", n)
				}
				if c.joined && c.google {
					ahead, err := w.Ahead(t.Context(), b.Contact.UserID)
					w.must(err)
					if len(ahead) != 1 || ahead[0].ID != b.ID {
						t.Errorf("Google's user has %v ahead", ahead)
					}
				}
				before := w.rows()
				again, err := w.NormalizeNumbers(t.Context(), nil)
				if after := w.rows(); err != nil || again != (booking.Numbers{}) || !maps.Equal(before, after) {
					t.Errorf("again: %+v, %v", again, err)
				}

				erased, err := w.Erase(t.Context(), theOperator, booking.Subject{Phone: "0082-10-1234-5678"}, true)
				w.must(err)
				if want := map[bool]int{true: 2, false: 1}[c.joined]; erased.Guests != want {
					t.Errorf("erased %+v, want %d charts", erased, want)
				}
				if dump := fmt.Sprint(w.rows()); c.joined && strings.Contains(dump, "1234-5678") {
					t.Error("the number outlives its erasure")
				}
			})
		})
	}
}

// A server of an earlier release makes a visit for a chart that has been joined to another: the visit moves to that one.
func TestStrayVisits(t *testing.T) {
	each(t, func(w *world) {
		a := w.call("Kim", "010-1234-5678", at(9, 0))
		w.asBefore("010-1234-5678")
		b := w.call("Kim", "+82 10-1234-5678", at(10, 0))
		w.asBefore("+82 10-1234-5678")
		_, err := w.NormalizeNumbers(t.Context(), nil)
		w.must(err)
		_, err = w.raw().Exec("UPDATE bookings SET guest_id = '" + b.GuestID.String() + "' WHERE id = '" + b.ID.String() + "'")
		w.must(err)
		if moved, err := w.StrayVisits(t.Context()); err != nil || moved != 1 || w.stored(b).GuestID != a.GuestID {
			t.Errorf("moved %d, %v", moved, err)
		}
	})
}

// Charts are joined while their visitors book, with servers of both releases: nothing is lost, and there is one chart in the end.
func TestChartsAreJoinedWhileBooking(t *testing.T) {
	each(t, func(w *world) {
		w.call("Kim", "010-1234-5678", at(9, 0))
		w.asBefore("010-1234-5678")
		w.call("Kim", "+82 10-1234-5678", at(9, 30))
		w.asBefore("+82 10-1234-5678")
		charts, err := w.db.GuestsNamed(t.Context(), clinic, []string{"phone:+821012345678"}, "")
		w.must(err)
		const n = 8
		var made sync.Map
		together(n+1, func(i int) {
			if i == n {
				if _, err := w.NormalizeNumbers(t.Context(), nil); err != nil {
					t.Error(err)
				}
				return
			}
			r := w.reservation(suite, at(14, 30*i), at(14, 30*i+30))
			if r.Name, r.Phone = "Kim", koreanSpellings[i%len(koreanSpellings)]; i%3 == 2 {
				r.Phone, r.VisitorID = "", charts[0].VisitorID
			}
			b, err := w.reserve(r)
			if err != nil {
				t.Error(err)
			}
			made.Store(b.ID, true)
		})
		_, err = w.NormalizeNumbers(t.Context(), nil)
		w.must(err)
		_, err = w.StrayVisits(t.Context())
		w.must(err)
		all, err := w.db.Bookings(t.Context(), clinic, 0, 1<<60)
		w.must(err)
		of := map[string]int{}
		for _, b := range all {
			of[b.GuestID.String()]++
		}
		if len(all) != n+2 || len(of) != 1 {
			t.Errorf("%d visits of %v", len(all), of)
		}
	})
}

// Numbers that nobody can dial are known as written, and are no reason for a refusal.
func TestNumbersThatAreNone(t *testing.T) {
	each(t, func(w *world) {
		a := w.call("Kim", "12", at(9, 0))
		b := w.call("Kim", "1-2", at(10, 0))
		c := w.call("Kim", "1 2 3", at(11, 0))
		if a.GuestID != b.GuestID || a.GuestID == c.GuestID {
			t.Errorf("charts %s, %s, %s", a.GuestID, b.GuestID, c.GuestID)
		}
		if _, err := w.Erase(t.Context(), theOperator, booking.Subject{Phone: "(12)"}, true); err != nil {
			t.Error(err)
		}
		if _, err := w.Erase(t.Context(), theOperator, booking.Subject{Phone: "(12)"}, true); !errors.Is(err, booking.ErrNotFound) {
			t.Error(err)
		}
		m := testClinic()
		m.Guests = inventory.GuestRules{PhonePattern: `^010`}
		w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
		r := w.request(at(14, 0))
		r.Contact.Telephone = "+82 10-1234-5678"
		_, err := w.create(r)
		w.wantCause(err, booking.UnsupportedPhoneNumber) // the pattern sees what was written
	})
}
