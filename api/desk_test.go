package api

import (
	"testing"

	"holdfast/booking"
)

// Every state and every actor has its words.
func TestStatesHaveWords(t *testing.T) {
	for _, s := range []booking.State{
		booking.Held, booking.Expired, booking.Pending, booking.Confirmed, booking.InProgress, booking.Completed,
		booking.Canceled, booking.Declined, booking.Failed, booking.NoShow,
	} {
		if w := statuses[s]; w.status == "" || w.flowStep == "" {
			t.Errorf("%s has no words: %+v", s, w)
		}
		if s.Reserved() != (statuses[s].status == "RESERVED") {
			t.Errorf("%s is %s", s, statuses[s].status)
		}
	}
	for _, a := range []booking.Actor{booking.ByGuest, booking.ByDesk, booking.ByOperator, booking.ByClock} {
		if actors[a] == "" {
			t.Errorf("%s has no word", a)
		}
	}
}
