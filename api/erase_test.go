package api_test

import (
	"strings"
	"testing"

	"holdfast/booking"
)

// An erased guest is in no answer any more: a repeated CreateBooking gets the booking as it is now, and ListBookings
// finds nobody.
func TestErasedOverHTTP(t *testing.T) {
	each(t, func(w *world) {
		body := canaryCreate(1, at(9, 0), "")
		tell := func(path, body string) answer {
			t.Helper()
			a, err := w.send("POST", path, body, "Authorization", "google")
			w.must(err)
			return a
		}
		id := bookingID.FindStringSubmatch(tell(createPath, body).body)[1]
		done, err := w.service.Erase(t.Context(), booking.By{Actor: booking.ByOperator}, booking.Subject{Email: canaryEmail(1)}, true)
		w.must(err)
		if done.Visits != 1 {
			t.Fatalf("got %+v", done)
		}
		for _, again := range []answer{tell(createPath, body), tell("/v3/GetBookingStatus", `{"booking_id":"`+id+`"}`)} {
			if again.status != 200 || !strings.Contains(again.body, id) || !strings.Contains(again.body, `"CANCELED"`) {
				t.Errorf("got %d %s", again.status, again.body)
			}
			for _, c := range canaries() {
				if strings.Contains(strings.ToLower(again.body), strings.ToLower(c)) {
					t.Errorf("%q in %s", c, again.body)
				}
			}
		}
		if a := tell("/v3/ListBookings", `{"user_id":"`+canaryUser+`1"}`); a.status != 404 {
			t.Errorf("got %d %s, want 404", a.status, a.body)
		}
	})
}
