package booking_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
)

// An equal block is not made again, whoever asks for it, concurrently and under names of their own. One that differs is another block.
func TestSameBlock(t *testing.T) {
	each(t, func(w *world) {
		memo := func(s string) booking.Block {
			c := block(suite, at(10, 0), at(11, 0))
			if s != "" {
				c.Memo = &s
			}
			return c
		}
		var mu sync.Mutex
		ids := map[uuid.UUID]int{}
		w.together(16, 0, func(i int) {
			c := memo("")
			if i%2 == 0 {
				c.Once = &booking.Once{Caller: "clinic/" + clinic, Token: fmt.Sprint("t", i), Fingerprint: []byte{byte(i)}}
			}
			out, err := w.Block(w.t.Context(), c)
			if err != nil {
				w.t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[out.Booking.ID]++
		})
		if len(ids) != 1 {
			w.t.Errorf("%d blocks were made", len(ids))
		}
		first := w.block(memo(""))
		doctor, zone, longer := memo(""), memo(""), memo("")
		doctor.Doctor, zone.ZoneID = &booking.Person{ID: "d", Name: "D"}, bed
		longer.EndSec += 60
		for _, c := range []booking.Block{memo("x"), doctor, zone, longer} {
			if b := w.block(c); b.ID == first.ID || w.block(c).ID != b.ID {
				w.t.Errorf("%+v: got %s", c, b.ID)
			}
		}
		w.must(w.unblock(first))
		again := memo("") // the name stays with the block that it found, even when that is gone
		again.Once = &booking.Once{Caller: "clinic/" + clinic, Token: "t4", Fingerprint: []byte{4}}
		out, err := w.Block(w.t.Context(), again)
		w.must(err)
		if out.Booking.ID != first.ID || !out.Replay {
			w.t.Errorf("a late copy got %s, replay: %t", out.Booking.ID, out.Replay)
		}
		if b := w.block(memo("")); b.ID == first.ID {
			w.t.Error("it is not there any more")
		}
		w.verify()
	})
}

// However blocks differ, their number over one time is bounded.
func TestMaxBlocks(t *testing.T) {
	each(t, func(w *world) {
		w.MaxBlocks = 3
		c := block(suite, at(10, 0), at(11, 0))
		var last booking.Booking
		for i := range 3 {
			c.Memo = new(fmt.Sprint(i))
			last = w.block(c)
		}
		c.Memo = new("one more")
		_, err := w.Block(w.t.Context(), c)
		w.wantField(err, booking.FieldBlockTime)
		c.StartSec += 1800
		_, err = w.Block(w.t.Context(), c)
		w.wantField(err, booking.FieldBlockTime)
		c.StartSec, c.EndSec = at(11, 0), at(12, 0)
		w.block(c)
		w.must(w.unblock(last))
		c.StartSec, c.EndSec = at(10, 0), at(11, 0)
		w.block(c)
	})
}

// The number of a user's leases is bounded, even if the catalogue sets no limit.
func TestLeasesOfAUser(t *testing.T) {
	each(t, func(w *world) {
		w.MaxLeases = 2
		w.leased(at(9, 0), "user-a")
		w.leased(at(10, 0), "user-a")
		_, err := w.Lease(w.t.Context(), booking.Lease{Slot: w.request(at(11, 0)).Slot, UserID: "user-a"})
		w.wantCause(err, booking.UserOverBookingLimit)
		w.leased(at(11, 0), "user-b")
		w.later(time.Hour)
		w.leased(at(14, 0), "user-a")
	})
}

// Leases without a user are counted together for each merchant, including concurrent ones.
func TestLeasesOfNobody(t *testing.T) {
	each(t, func(w *world) {
		w.MaxAnonymousLeases = 3
		leases := w.leasedAtOnce(3)

		w.leased(at(15, 0), "user-a") // who has a name is counted apart
		lease := booking.Lease{Slot: w.request(at(16, 0)).Slot}
		_, err := w.Lease(w.t.Context(), lease)
		w.wantCause(err, booking.SlotUnavailable)
		held := slices.IndexFunc(leases, func(b booking.Booking) bool { return b.State == booking.Held })
		c := w.request(leases[held].StartSec)
		c.LeaseID = &leases[held].ID
		w.booked(c) // one that is used counts no longer
		_, err = w.Lease(w.t.Context(), lease)
		w.must(err)
		_, err = w.Lease(w.t.Context(), lease)
		w.wantCause(err, booking.SlotUnavailable)
		w.later(time.Hour) // nor do those that have lapsed, swept or not
		_, err = w.Lease(w.t.Context(), lease)
		w.must(err)
	})
}

// Only the newest tokens of a key are valid, even among those of one second; other keys keep theirs.
func TestTokensOfAKey(t *testing.T) {
	each(t, func(w *world) {
		ctx := w.t.Context()
		w.MaxTokens = 3
		good := func(token string) bool { _, _, err := w.Clinic(ctx, token); return err == nil }
		mine, err := w.NewKey(ctx, clinic, "")
		w.must(err)
		other, err := w.NewKey(ctx, clinic, "")
		w.must(err)
		kept, err := w.ExchangeKey(ctx, other)
		w.must(err)
		var tokens []string
		for range 8 {
			token, err := w.ExchangeKey(ctx, mine)
			w.must(err)
			tokens = append(tokens, token)
		}
		for i, token := range tokens {
			if good(token) != (i >= 5) {
				w.t.Errorf("token %d of 8: %t", i, good(token))
			}
		}
		if !good(kept) {
			w.t.Error("the token of another key has ended")
		}
	})
}

// leasedAtOnce asks for 12 leases without a user at once, of which granted must succeed.
func (w *world) leasedAtOnce(granted int) []booking.Booking {
	w.t.Helper()
	leases := make([]booking.Booking, 12)
	slots := make([]booking.Slot, len(leases))
	for i := range slots {
		slots[i] = w.request(at(9, 0) + int64(i%4)*3600).Slot
		if i%4 == 3 {
			slots[i].StartSec = at(14, 0)
		}
	}
	var got tally
	together(len(slots), func(i int) {
		var err error
		leases[i], err = w.Lease(w.t.Context(), booking.Lease{Slot: slots[i]})
		got.add(err)
	})
	got.want(w.t, granted, len(slots)-granted)
	return leases
}
