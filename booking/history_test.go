package booking_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage/storagetest"
)

// Random histories of both channels and of imports, step by step against a small model: what must be refused is refused, what must work
// works, and after every step all invariants hold.
func TestHistories(t *testing.T) {
	each(t, func(w *world) {
		rapid.Check(w.t, func(r *rapid.T) {
			// A clinic of its own for each history.
			w.must(storagetest.Forget(w.db.Target))
			m := testClinic()
			m.ID = "clinic-" + uuid.NewString()
			m.Groups[0].Timetable = nil
			w.must(w.db.PutClinic(t.Context(), m, eight.Unix()))
			h := &history{w: w, clinic: m, taken: map[[2]any]int{}, blocked: map[[2]any]int{}}
			r.Repeat(map[string]func(*rapid.T){
				"create":  h.create,
				"reserve": h.reserve,
				"replay":  h.replay,
				"move":    h.move,
				"cancel":  h.cancel,
				"block":   h.block,
				"unblock": h.unblock,
				"resize":  h.resize,
				"":        h.check,
			})
		})
	})
}

// history is the model: which zone has how many visits and blocks in which half
// hour.
type history struct {
	w        *world
	clinic   inventory.Merchant
	requests []booking.Create // and what they made:
	made     []booking.Booking
	visits   []booking.Booking // those that are to come, of both channels
	blocks   []booking.Booking
	taken    map[[2]any]int // (zone, start of the half hour) → visits
	blocked  map[[2]any]int // ditto → blocks
}

func (h *history) capacity(zone string) int { return h.clinic.Groups[0].Zone(zone).Capacity }

func (h *history) fits(zone string, from, to int64) bool {
	for s := from; s < to; s += 1800 {
		if at := [2]any{zone, s}; h.taken[at] >= h.capacity(zone) || h.blocked[at] > 0 {
			return false
		}
	}
	return true
}

func (h *history) add(zone string, from, to int64, n int) {
	for s := from; s < to; s += 1800 {
		h.taken[[2]any{zone, s}] += n
	}
}

var halfHours = rapid.Int64Range(0, 5)

func (h *history) create(r *rapid.T) {
	c := h.w.request(at(9, 0) + 1800*halfHours.Draw(r, "start"))
	c.MerchantID = h.clinic.ID
	c.RoomID = rapid.SampledFrom([]string{"", bed, suite}).Draw(r, "room")
	zones := []string{c.RoomID}
	if c.RoomID == "" {
		zones = []string{bed, suite}
	}
	b, err := h.w.create(c)
	for _, zone := range zones {
		if h.fits(zone, c.StartSec, c.StartSec+3600) {
			if err != nil || b.ZoneID != zone {
				r.Fatalf("there is room in %s: got zone %s, %v", zone, b.ZoneID, err)
			}
			h.add(zone, b.StartSec, b.EndSec, 1)
			h.requests, h.made, h.visits = append(h.requests, c), append(h.made, b), append(h.visits, b)
			return
		}
	}
	h.wantFull(r, err)
}

// period draws a zone and a time.
func period(r *rapid.T) (zone string, from, to int64) {
	zone = rapid.SampledFrom([]string{bed, suite}).Draw(r, "zone")
	from = at(9, 0) + 1800*halfHours.Draw(r, "from")
	return zone, from, from + 1800*rapid.Int64Range(1, 3).Draw(r, "length")
}

func (h *history) reserve(r *rapid.T) {
	zone, from, to := period(r)
	c := h.w.reservation(zone, from, to)
	c.MerchantID = h.clinic.ID
	b, err := h.w.reserve(c)
	if !h.fits(zone, from, to) {
		h.wantFull(r, err)
		return
	}
	if err != nil {
		r.Fatalf("there is room in %s: %v", zone, err)
	}
	h.add(zone, from, to, 1)
	h.visits = append(h.visits, b)
}

// cancel cancels a visit, twice.
func (h *history) cancel(r *rapid.T) {
	if len(h.visits) == 0 {
		r.Skip()
	}
	i := rapid.IntRange(0, len(h.visits)-1).Draw(r, "visit")
	b := h.visits[i]
	as := rapid.SampledFrom([]booking.Settlement{booking.CallOff, booking.Missed}).Draw(r, "as")
	if err := h.w.SettleVisit(h.w.t.Context(), theDesk, scheduleOf(b), as, nil); err != nil {
		r.Fatalf("%s of %s: %v", as, b.ID, err)
	}
	var f *booking.Failure
	if err := h.w.SettleVisit(h.w.t.Context(), theDesk, scheduleOf(b), as, nil); !errors.As(err, &f) || f.Cause != booking.NotReserved {
		r.Fatalf("%s again: %v", as, err)
	}
	h.add(b.ZoneID, b.StartSec, b.EndSec, -1)
	h.visits = slices.Delete(h.visits, i, i+1)
}

// block closes a time, whatever is there.
func (h *history) block(r *rapid.T) {
	zone, from, to := period(r)
	c := block(zone, from, to)
	c.MerchantID = h.clinic.ID
	b := h.w.block(c)
	if slices.ContainsFunc(h.blocks, func(o booking.Booking) bool { return o.ID == b.ID }) { // it was there
		return
	}
	for s := from; s < to; s += 1800 {
		h.blocked[[2]any{zone, s}]++
	}
	h.blocks = append(h.blocks, b)
}

func (h *history) unblock(r *rapid.T) {
	if len(h.blocks) == 0 {
		r.Skip()
	}
	i := rapid.IntRange(0, len(h.blocks)-1).Draw(r, "block")
	b := h.blocks[i]
	h.w.must(h.w.unblock(b))
	for s := b.StartSec; s < b.EndSec; s += 1800 {
		h.blocked[[2]any{b.ZoneID, s}]--
	}
	h.blocks = slices.Delete(h.blocks, i, i+1)
}

func (h *history) replay(r *rapid.T) {
	if len(h.requests) == 0 {
		r.Skip()
	}
	i := rapid.IntRange(0, len(h.requests)-1).Draw(r, "request")
	want := h.made[i]
	for _, v := range h.visits { // it may have been moved
		if v.ID == want.ID {
			want = v
		}
	}
	b, err := h.w.create(h.requests[i])
	if err != nil || b.ID != want.ID || b.State == booking.Confirmed && b.StartSec != want.StartSec {
		r.Fatalf("replay of %s got %s at %d, %v", want.ID, b.ID, b.StartSec, err)
	}
}

func (h *history) move(r *rapid.T) {
	if len(h.visits) == 0 {
		r.Skip()
	}
	b := &h.visits[rapid.IntRange(0, len(h.visits)-1).Draw(r, "visit")]
	zone, from, to := period(r)
	// The visit may keep what it holds already, however full it is.
	fits := true
	for s := from; s < to; s += 1800 {
		own := zone == b.ZoneID && b.StartSec <= s && s < b.EndSec
		fits = fits && (own || h.fits(zone, s, s+1800))
	}
	err := h.w.change(move(*b, zone, from, to))
	if !fits {
		h.wantFull(r, err)
		return
	}
	if err != nil {
		r.Fatalf("there is room in %s: %v", zone, err)
	}
	h.add(b.ZoneID, b.StartSec, b.EndSec, -1)
	b.ZoneID, b.StartSec, b.EndSec = zone, from, to
	h.add(zone, from, to, 1)
}

// resize imports the catalogue with other capacities. A slot with more taken keeps that, and shrinks as visits leave; the model only needs
// to know that nothing more fits.
func (h *history) resize(r *rapid.T) {
	g := &h.clinic.Groups[0]
	g.Zones[0].Capacity = rapid.IntRange(0, 3).Draw(r, "beds")
	g.Zones[1].Capacity = rapid.IntRange(0, 2).Draw(r, "suites")
	h.w.must(h.w.db.PutClinic(h.w.t.Context(), h.clinic, eight.Unix()))
}

func (h *history) check(r *rapid.T) {
	broken, err := h.w.db.Verify(h.w.t.Context(), nil)
	if err != nil || len(broken) > 0 {
		r.Fatalf("invariants: %v, %v", broken, err)
	}
}

func (h *history) wantFull(r *rapid.T, err error) {
	var f *booking.Failure
	if !errors.As(err, &f) || f.Cause != booking.SlotUnavailable {
		r.Fatalf("got %v, want slot unavailable", err)
	}
}
