package booking_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
)

// readAll reads all pages of changes from a cursor on. It returns the last version of each visit, the number of entries, and where to begin
// the next time.
func (w *world) readAll(c booking.ChangesCursor, limit int) (seen map[uuid.UUID]int64, told int, next booking.ChangesCursor) {
	w.t.Helper()
	seen = map[uuid.UUID]int64{}
	for range 1000 {
		found, n, more, err := w.Changes(w.t.Context(), booking.ChangesQuery{MerchantID: clinic, Cursor: c, Limit: limit})
		w.must(err)
		for _, v := range found {
			seen[v.Booking.ID] = v.Booking.Version
			told++
		}
		if c = n; !more {
			return seen, told, c
		}
	}
	w.t.Fatal("the pages do not end")
	return nil, 0, c
}

// Whoever reads the changes page by page, with any page size, gets the newest version of every visit. The next time they get what has changed
// since, including changes that were written later than their own time.
func TestChangesAreTold(t *testing.T) {
	each(t, func(w *world) {
		var visits []booking.Booking
		for i := range 6 {
			w.later(time.Duration(i/2) * time.Second) // two at a time
			visits = append(visits, w.booked(w.request(at(9+i/2, 0))))
		}
		w.block(block(bed, at(15, 0), at(16, 0)))
		w.leased(at(16, 0), "somebody")
		w.must(w.change(move(visits[0], bed, at(16, 30), at(17, 0))))
		_, err := w.Update(t.Context(), booking.Update{BookingID: visits[1].ID, Cancel: true})
		w.must(err)

		start := booking.ChangesCursor{SinceSec: eight.Unix()}
		var later booking.ChangesCursor
		for _, limit := range []int{1, 2, 3, 100} {
			var seen map[uuid.UUID]int64
			seen, _, later = w.readAll(start, limit)
			for i, v := range visits {
				if want := w.stored(v).Version; seen[v.ID] != want {
					t.Errorf("pages of %d: visit %d was told at version %d, want %d", limit, i, seen[v.ID], want)
				}
			}
			if len(seen) != len(visits) {
				t.Errorf("pages of %d: %d visits", limit, len(seen))
			}
		}
		if _, told, _ := w.readAll(booking.ChangesCursor{SinceSec: eight.Unix() + 2}, 100); told != 4 { // the last two, and the two that changed
			t.Errorf("%d visits told since the last second", told)
		}

		// Long after that nothing is repeated, but a change that is written now with the time of four minutes ago appears.
		w.later(time.Hour)
		_, _, later = w.readAll(later, 2)
		if _, told, _ := w.readAll(later, 2); told != 0 {
			t.Errorf("%d told again", told)
		}
		w.later(time.Hour - 4*time.Minute)
		w.must(w.change(move(visits[0], bed, at(17, 0), at(17, 30))))
		w.later(time.Hour + time.Minute)
		if seen, _, _ := w.readAll(later, 2); len(seen) != 1 || seen[visits[0].ID] != 3 {
			t.Errorf("told %v", seen)
		}
		// And while somebody reads one page after the other, too.
		w.later(2 * time.Hour)
		w.must(w.change(move(visits[0], bed, at(16, 30), at(17, 0))))
		w.must(w.change(move(visits[2], bed, at(14, 0), at(15, 0))))
		_, next, more, err := w.Changes(t.Context(), booking.ChangesQuery{MerchantID: clinic, Cursor: later, Limit: 1})
		w.must(err)
		w.later(2*time.Hour - time.Minute)
		w.must(w.change(move(visits[4], bed, at(17, 30), at(18, 0))))
		w.later(2*time.Hour + 20*time.Minute) // slowly
		_, _, later = w.readAll(next, 1)
		if seen, _, _ := w.readAll(later, 1); !more || seen[visits[4].ID] != 2 {
			t.Errorf("more %v, then told %v", more, seen)
		}
		if found, _, _, err := w.Changes(t.Context(), booking.ChangesQuery{MerchantID: "clinic-2", Cursor: start, Limit: 9}); err != nil || len(found) > 0 {
			t.Errorf("another clinic: %d, %v", len(found), err)
		}
	})
}

// Closed times come page by page, by start and id, each once.
func TestBlocksArePaged(t *testing.T) {
	each(t, func(w *world) {
		var want []uuid.UUID
		for i := range 7 {
			b := block(bed, at(9+i/3, 0), at(12, 0)) // three start together, and are not the same
			b.Memo = ptr(fmt.Sprint(i))
			want = append(want, w.block(b).ID)
		}
		w.must(w.unblock(w.block(block(suite, at(9, 0), at(10, 0)))))
		w.booked(w.request(at(14, 0)))
		for _, limit := range []int{1, 2, 7, 9} {
			q := booking.BlocksQuery{MerchantID: clinic, FromSec: at(0, 0), ToSec: at(24, 0), Limit: limit}
			var got []uuid.UUID
			for more := true; more; {
				var found []booking.Booking
				var err error
				found, more, err = w.Blocks(t.Context(), q)
				w.must(err)
				for _, b := range found {
					got = append(got, b.ID)
					q.AfterSec, q.AfterID = b.StartSec, b.ID
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("pages of %d: got %v, want %v", limit, got, want)
			}
		}
	})
}
