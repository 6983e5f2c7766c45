package booking_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// shared is a row of an hour; what it names, and what it has, is in the name.
func shared(service string, startSec int64, total int, staff, room string, party int) inventory.Published {
	return inventory.Published{
		MerchantID: restaurant, ServiceID: service, StartSec: startSec, DurationSec: 3600, SpotsTotal: total, SpotsOpen: total,
		StaffID: staff, RoomID: room, PartySize: party,
	}
}

// of is a request for a row.
func (w *world) of(p inventory.Published) booking.Create {
	c := w.request(p.StartSec)
	c.MerchantID, c.ServiceID, c.DurationSec = p.MerchantID, p.ServiceID, p.DurationSec
	c.StaffID, c.RoomID, c.PartySize = p.StaffID, p.RoomID, p.PartySize
	return c
}

// sells tries to book rows in this order, and returns which succeed. A lookup before each must say the same.
func (w *world) sells(rows ...inventory.Published) (had string) {
	w.t.Helper()
	for _, p := range rows {
		c := w.of(p)
		told, err := w.Available(w.t.Context(), p.MerchantID, []booking.Slot{c.Slot})
		w.must(err)
		_, err = w.create(c)
		if err != nil {
			w.wantCause(err, booking.SlotUnavailable)
		}
		if told[0] != (err == nil) {
			w.t.Errorf("%+v: told %v, but booking it: %v", p, told[0], err)
		}
		had += map[bool]string{true: "+", false: "-"}[err == nil]
	}
	return had
}

// Rows that share a person, a room or a chair are counted by the moment, in bookings,
// lookups, leases and moves.
func TestSharedRows(t *testing.T) {
	each(t, func(w *world) {
		kim := func(hour, minute int) inventory.Published { return shared("class", at(hour, minute), 1, "kim", "", 0) }
		table := func(hour, minute int) inventory.Published {
			return shared("class", at(hour, minute), 2, "", "table", 0)
		}
		chair := func(hour, minute int) inventory.Published { return shared("class", at(hour, minute), 1, "", "", 0) }
		session := func(hour, minute int) inventory.Published {
			return shared("dinner", at(hour, minute), 2, "", "", 0)
		}
		var rows []inventory.Published
		for _, row := range []func(hour, minute int) inventory.Published{kim, table, chair, session} {
			for _, half := range []int{0, 30, 60, 90, 120} {
				rows = append(rows, row(10, half))
			}
		}
		other := shared("dinner", at(10, 0), 12, "kim", "", 0)
		w.feed(eight.Unix(), true, append(rows, other)...)
		for _, c := range []struct {
			want string
			rows []inventory.Published
		}{
			{"+--++", []inventory.Published{kim(10, 0), kim(10, 30), other, kim(11, 0), kim(12, 0)}},
			{"++-+", []inventory.Published{table(10, 30), table(10, 0), table(10, 30), table(11, 30)}},
			{"+-+", []inventory.Published{chair(10, 0), chair(10, 30), chair(11, 0)}},
			{"++++-", []inventory.Published{session(10, 0), session(10, 30), session(10, 0), session(10, 30), session(10, 0)}},
		} {
			if got := w.sells(c.rows...); got != c.want {
				w.t.Errorf("%+v: got %s, want %s", c.rows[0], got, c.want)
			}
		}

		// A visit does not stand in its own way, and what it leaves is free at once.
		// There are visits at 10:00, 10:30 and 11:30.
		own := w.booked(w.of(table(12, 0)))
		_, err := w.update(booking.Update{BookingID: own.ID, StartSec: ptr(at(10, 0))})
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(booking.Update{BookingID: own.ID, StartSec: ptr(at(11, 30))})
		w.must(err)
		_, err = w.create(w.of(table(12, 0)))
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.update(booking.Update{BookingID: own.ID, StartSec: ptr(at(11, 0))})
		w.must(err)
		_, err = w.update(booking.Update{BookingID: own.ID, Cancel: true})
		w.must(err)
		w.booked(w.of(table(11, 0)))

		// A lease that has lapsed on a neighbour is in nobody's way.
		lease, err := w.Lease(w.t.Context(), booking.Lease{Slot: w.of(chair(12, 0)).Slot, UserID: "u"})
		w.must(err)
		_, err = w.Lease(w.t.Context(), booking.Lease{Slot: w.of(chair(11, 30)).Slot, UserID: "v"})
		w.wantCause(err, booking.SlotUnavailable)
		_, err = w.db.PutPublished(w.t.Context(), []inventory.Published{shared("class", at(12, 30), 1, "", "", 0)}, eight.Unix())
		w.must(err)
		if got := w.sells(shared("class", at(12, 30), 1, "", "", 0)); got != "-" {
			w.t.Errorf("over a lease: %s", got)
		}
		w.later(20 * time.Minute)
		if got := w.sells(shared("class", at(12, 30), 1, "", "", 0)); got != "+" {
			w.t.Errorf("over a lease that has lapsed: %s", got)
		}
		if b := w.stored(lease); b.State != booking.Expired {
			w.t.Errorf("the lease is %s", b.State)
		}
	})
}

// At no moment are more parties sold than a floor plan can seat.
func TestFloorPlan(t *testing.T) {
	each(t, func(w *world) {
		var rows []inventory.Published
		plan := map[int]int{4: 3, 5: 3, 6: 4, 7: 1, 8: 1}
		for size, tables := range plan {
			for half := range 5 {
				rows = append(rows, shared("dinner", at(18, 30*half), tables, "", "", size))
			}
		}
		w.feed(eight.Unix(), true, rows...)
		table := func(size, minute int) inventory.Published {
			return shared("dinner", at(18, minute), plan[size], "", "", size)
		}
		// A party of six sits at a table that could be one for four.
		if got, want := w.sells(table(8, 0), table(7, 30), table(6, 0), table(6, 30), table(6, 0), table(4, 30), table(4, 60)), "+-++--+"; got != want {
			w.t.Errorf("got %s, want %s", got, want)
		}
		rooms, err := w.Rooms(w.t.Context(), restaurant, []booking.Slot{w.of(table(4, 60)).Slot, w.of(table(5, 120)).Slot})
		w.must(err)
		if rooms[0] != 1 || rooms[1] != 3 {
			w.t.Errorf("rooms %v", rooms)
		}
	})
}

// Spots missing from a feed may be what we have sold, of the row or of what it shares; they are available again when that is given back. What
// others have sold stays sold.
func TestSharedFeedAgain(t *testing.T) {
	each(t, func(w *world) {
		now := eight.Unix()
		row := func(minute, open int) inventory.Published {
			p := shared("class", at(10, minute), 1, "", "", 0)
			p.SpotsOpen = open
			return p
		}
		w.feed(now-1, true, row(0, 1), row(30, 1), row(60, 1), row(90, 0))
		b := w.booked(w.of(row(0, 1)))
		// The merchant's own system counts by the moment, too; ten past is a new row.
		w.feed(now+1, true, row(0, 0), row(10, 0), row(30, 0), row(60, 1), row(90, 0))
		if got := w.sells(row(0, 0), row(10, 0), row(30, 0), row(90, 0)); got != "----" {
			w.t.Errorf("with the visit: %s", got)
		}
		_, err := w.update(booking.Update{BookingID: b.ID, Cancel: true})
		w.must(err)
		if got := w.sells(row(90, 0), row(30, 0), row(0, 0), row(60, 1)); got != "-+--" {
			w.t.Errorf("without it: %s", got)
		}

		// A row that comes later over what is sold already, and one that goes.
		w.feed(now+2, true, row(20, 1), row(100, 1))
		if got := w.sells(row(20, 1), row(30, 0), row(100, 1)); got != "--+" {
			w.t.Errorf("over a visit on a row that is withdrawn: %s", got)
		}
	})
}

// What the catalogue says about a merchant's rows takes effect at once. Visits sold over one another stay, and are reported.
func TestSharingSetting(t *testing.T) {
	each(t, func(w *world) {
		ctx, now := w.t.Context(), eight.Unix()
		row := func(minute int) inventory.Published { return shared("class", at(10, minute), 2, "", "", 0) }
		kim := func(minute int) inventory.Published {
			return shared("class", at(10, minute), 1, "kim", "", 0)
		}
		set := func(sharing inventory.Sharing) {
			w.must(w.db.PutPolicy(ctx, inventory.Merchant{ID: restaurant, Kind: inventory.MerchantFeed, Sharing: sharing}))
		}
		told := func() int {
			visits, err := w.db.SoldOverAt(ctx, restaurant, now, 100)
			w.must(err)
			return len(visits)
		}
		w.feed(now, true, row(0), row(30), row(60), kim(0), kim(30), kim(60))
		set(inventory.SharingIndependent)
		if got := w.sells(kim(0), kim(30), row(0), row(0)); got != "++++" {
			w.t.Errorf("independent: %s", got)
		}
		set(inventory.SharingDefault)
		w.verify()
		if n := told(); n != 2 {
			w.t.Errorf("%d visits are told to be sold over others, want the two of one person", n)
		}
		if got := w.sells(kim(60), row(30)); got != "-+" {
			w.t.Errorf("by default: %s", got)
		}
		set(inventory.SharingShared)
		w.verify()
		if n := told(); n != 5 {
			w.t.Errorf("%d visits are told to be sold over others, want all", n)
		}
		if got := w.sells(row(30), row(60)); got != "-+" {
			w.t.Errorf("shared: %s", got)
		}
		over, err := w.db.PutPublished(ctx, []inventory.Published{row(0), row(60), kim(60)}, now+1)
		w.must(err)
		if len(over) != 1 || over[0] != row(0).Key() {
			w.t.Errorf("sold over one another: %v", over)
		}
	})
}

// Random histories of bookings, moves, cancellations and feeds of a merchant whose
// rows share in every way, with a look at every moment after each step.
func TestSharedHistories(t *testing.T) {
	each(t, func(w *world) {
		rapid.Check(w.t, func(r *rapid.T) {
			w.must(storagetest.Forget(w.db.Target))
			h := &sharedHistory{w: w, id: "feed-" + uuid.NewString(), generation: eight.Unix() - 1000, visits: map[uuid.UUID]inventory.Published{}}
			ctx := w.t.Context()
			_, err := w.db.PutFeedMerchants(ctx, feedMerchants(h.id), storage.Feed{GenerationSec: 1}, 1)
			w.must(err)
			services := func(each func(string, []inventory.Service) error) error {
				return each(h.id, []inventory.Service{{ID: "a"}, {ID: "b"}})
			}
			w.must(w.db.PutFeedServices(ctx, services, storage.Feed{GenerationSec: 1}, 1))
			for range rapid.IntRange(3, 12).Draw(r, "rows") {
				p := inventory.Published{
					MerchantID: h.id, ServiceID: rapid.SampledFrom([]string{"a", "b"}).Draw(r, "service"),
					StartSec: at(9, 0) + 1800*rapid.Int64Range(0, 5).Draw(r, "start"), DurationSec: 1800 * rapid.Int64Range(1, 4).Draw(r, "length"),
					SpotsTotal: rapid.IntRange(1, 3).Draw(r, "spots"), StaffID: rapid.SampledFrom([]string{"", "", "kim"}).Draw(r, "staff"),
					RoomID: rapid.SampledFrom([]string{"", "z"}).Draw(r, "room"), PartySize: rapid.SampledFrom([]int{0, 0, 2, 3}).Draw(r, "party"),
				}
				p.SpotsOpen = p.SpotsTotal
				if !slices.ContainsFunc(h.rows, func(o inventory.Published) bool { return o.Key() == p.Key() }) {
					h.rows = append(h.rows, p)
				}
			}
			_, err = w.db.PutPublished(ctx, h.rows, h.generation)
			w.must(err)
			r.Repeat(map[string]func(*rapid.T){"book": h.book, "book more": h.book, "move": h.move, "cancel": h.cancel, "feed": h.feed, "": h.check})
		})
	})
}

type sharedHistory struct {
	w          *world
	id         string
	generation int64
	rows       []inventory.Published
	visits     map[uuid.UUID]inventory.Published
}

func (h *sharedHistory) one(r *rapid.T) uuid.UUID {
	if len(h.visits) == 0 {
		r.Skip()
	}
	ids := []uuid.UUID{}
	for id := range h.visits {
		ids = append(ids, id)
	}
	slices.SortFunc(ids, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	return rapid.SampledFrom(ids).Draw(r, "visit")
}

// settled fails on anything except success or a full slot, as the lookup has said.
func (h *sharedHistory) settled(r *rapid.T, told bool, err error) bool {
	var f *booking.Failure
	if err != nil && (!errors.As(err, &f) || f.Cause != booking.SlotUnavailable) || told != (err == nil) {
		r.Fatalf("told %v: %v", told, err)
	}
	return err == nil
}

func (h *sharedHistory) book(r *rapid.T) {
	p := rapid.SampledFrom(h.rows).Draw(r, "row")
	c := h.w.of(p)
	told, err := h.w.Available(h.w.t.Context(), h.id, []booking.Slot{c.Slot})
	h.w.must(err)
	b, err := h.w.create(c)
	if h.settled(r, told[0], err) {
		h.took(r, b, p)
	}
}

// took keeps the row that a visit has: the one asked for, or its seats when no table was left.
func (h *sharedHistory) took(r *rapid.T, b booking.Booking, p inventory.Published) {
	got := b.Resources[0]
	if got.ResourceID != p.Resource().ID {
		seats := slices.IndexFunc(h.rows, func(o inventory.Published) bool {
			return o.PartySize == 0 && o.Resource().ID == got.ResourceID && o.StartSec == b.StartSec
		})
		if p.PartySize == 0 || seats < 0 {
			r.Fatalf("asked for %+v, got %+v", p, b)
		}
		p = h.rows[seats]
	}
	p.SpotsOpen = got.Spots // what it takes
	h.visits[b.ID] = p
}

func (h *sharedHistory) move(r *rapid.T) {
	id, to := h.one(r), rapid.SampledFrom(h.rows).Draw(r, "to")
	was := h.visits[id]
	if to.ServiceID != was.ServiceID || to.PartySize == 0 && was.PartySize != 0 || was.PartySize == 0 && was.SpotsOpen > 1 {
		r.Skip()
	}
	b, err := h.w.update(booking.Update{BookingID: id, StartSec: &to.StartSec, DurationSec: &to.DurationSec, StaffID: &to.StaffID, RoomID: &to.RoomID, PartySize: &to.PartySize})
	var f *booking.Failure
	if err == nil {
		h.took(r, b, to)
	} else if !errors.As(err, &f) {
		r.Fatal(err)
	}
}

func (h *sharedHistory) cancel(r *rapid.T) {
	id := h.one(r)
	if _, err := h.w.update(booking.Update{BookingID: id, Cancel: true}); err != nil {
		r.Fatal(err)
	}
	delete(h.visits, id)
}

// feed publishes some of the rows again, before or after what has been sold since.
func (h *sharedHistory) feed(r *rapid.T) {
	h.generation++
	if rapid.Bool().Draw(r, "knows all") {
		h.generation = max(h.generation, eight.Unix()+1)
	}
	_, err := h.w.db.PutPublished(h.w.t.Context(), rapid.SliceOfN(rapid.SampledFrom(h.rows), 1, 0+len(h.rows)).Draw(r, "published"), h.generation)
	h.w.must(err)
}

func (h *sharedHistory) check(r *rapid.T) {
	broken, err := h.w.db.Verify(h.w.t.Context(), nil)
	if err != nil || len(broken) > 0 {
		r.Fatalf("invariants: %v, %v", broken, err)
	}
	for t := at(9, 0); t < at(14, 0); t += 1800 {
		if what := overfull(h.visits, t); what != "" {
			r.Fatalf("at %d: %s: %v", t, what, h.visits)
		}
	}
}

// overfull says what is sold over one another at a moment: everything that a merchant could see in the rows, without knowing how it is prevented.
// SpotsOpen is what a visit takes.
func overfull(visits map[uuid.UUID]inventory.Published, t int64) string {
	var now []inventory.Published
	for _, v := range visits {
		if v.StartSec <= t && t < v.StartSec+v.DurationSec {
			now = append(now, v)
		}
	}
	for _, v := range now {
		load := func(counts func(o inventory.Published) bool) (n int) {
			for _, o := range now {
				if counts(o) {
					n += o.SpotsOpen
				}
			}
			return n
		}
		switch {
		case v.StaffID != "" && load(func(o inventory.Published) bool { return o.StaffID == v.StaffID && o.Key() != v.Key() }) > 0:
			return "a person is at two rows"
		case v.PartySize > 0:
			if load(func(o inventory.Published) bool {
				return o.ServiceID == v.ServiceID && o.RoomID == v.RoomID && o.PartySize >= v.PartySize
			}) > v.SpotsTotal {
				return "more parties than tables"
			}
		case v.RoomID != "" && load(func(o inventory.Published) bool { return o.RoomID == v.RoomID && o.PartySize == 0 }) > v.SpotsTotal:
			return "a room is too full"
		case v.StaffID == "" && v.RoomID == "" && v.SpotsTotal == 1 && load(func(o inventory.Published) bool {
			return o.ServiceID == v.ServiceID && o.StaffID == "" && o.RoomID == "" && o.PartySize == 0 && o.SpotsTotal == 1
		}) > 1:
			return "a chair is sold twice"
		}
	}
	return ""
}

// Guests book rows that overlap and share, all at once and on two servers: at no moment is more sold than exists.
func TestSharedRowsOfTwoServers(t *testing.T) {
	eachWith(t, storage.Options{}, func(w *world) {
		rows := []inventory.Published{}
		for half := range 6 {
			minute := 30 * half
			rows = append(rows,
				shared("dinner", at(10, minute), 1, "kim", "", 0), shared("class", at(10, minute), 1, "kim", "z", 0), shared("class", at(10, minute), 2, "", "y", 0),
				shared("class", at(10, minute), 1, "", "", 0), shared("dinner", at(10, minute), 2, "", "", 2), shared("dinner", at(10, minute), 2, "", "", 4))
		}
		w.feed(eight.Unix(), true, rows...)
		second := *w.Service
		second.Store = storagetest.Open(w.t, w.db.Target, storage.Options{Limit: patience})
		servers := []*booking.Service{w.Service, &second}
		const rounds = 4
		asked := make([]booking.Create, rounds*len(rows))
		for i := range asked {
			asked[i] = w.of(rows[i%len(rows)])
		}
		made := make([]booking.Booking, len(asked))
		together(len(asked), func(i int) {
			out, err := servers[i%2].Create(context.Background(), asked[i])
			var f *booking.Failure
			if err != nil && (!errors.As(err, &f) || f.Cause != booking.SlotUnavailable) {
				w.t.Errorf("server %d: %v", i%2, err)
			}
			made[i] = out.Booking
		})
		visits, sold := map[uuid.UUID]inventory.Published{}, 0
		for i, b := range made {
			if b.ID != uuid.Nil {
				p := rows[i%len(rows)]
				p.SpotsOpen = b.Resources[0].Spots
				visits[b.ID] = p
				sold++
			}
		}
		for t := at(10, 0); t < at(14, 0); t += 900 {
			if what := overfull(visits, t); what != "" {
				w.t.Errorf("at %d: %s", t, what)
			}
		}
		if sold < 10 {
			w.t.Errorf("%d sold: the test tests nothing", sold)
		}
	})
}
