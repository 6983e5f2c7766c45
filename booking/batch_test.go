package booking_test

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"pgregory.net/rapid"

	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// gate lets operations gather until there are as many as a test wants in one transaction.
type gate struct {
	sync.Mutex
	*sync.Cond
	want    int // 0: nobody waits
	waiting int
	batches []storage.Batch
	retried []error
}

func newGate() *gate {
	g := &gate{}
	g.Cond = sync.NewCond(g)
	return g
}

// options returns the options of a store with one committer, large batches whatever TEST_BATCH says, and the gate.
func (g *gate) options() storage.Options {
	return storage.Options{
		Committers: 1, Batch: 64,
		Gather: func(waiting int) bool {
			g.Lock()
			defer g.Unlock()
			g.waiting = waiting
			g.Broadcast()
			if waiting < g.want {
				return true
			}
			g.want = 0
			return false
		},
		Observed: func(seen storage.Batch) {
			g.Lock()
			defer g.Unlock()
			g.batches = append(g.batches, seen)
		},
		Retried: func(reason error) {
			g.Lock()
			defer g.Unlock()
			g.retried = append(g.retried, reason)
		},
	}
}

// await returns once n operations have been waiting.
func (g *gate) await(n int) {
	g.Lock()
	defer g.Unlock()
	for g.waiting < n {
		g.Wait()
	}
}

// arm lets the next n operations gather.
func (g *gate) arm(n int) {
	g.Lock()
	defer g.Unlock()
	g.want, g.waiting, g.batches = n, 0, nil
}

// together calls the functions, each of which begins with one operation, so that these operations share a transaction
// in this order.
func (g *gate) together(t *testing.T, calls ...func()) {
	t.Helper()
	g.arm(len(calls))
	var done sync.WaitGroup
	for i, call := range calls {
		done.Go(call)
		g.await(i + 1)
	}
	done.Wait()
	g.Lock()
	defer g.Unlock()
	if len(g.batches) > 0 && g.batches[0].Size != len(calls) {
		t.Errorf("%d operations in the first transaction, want %d", g.batches[0].Size, len(calls))
	}
}

// inOneList makes all operations wait in the clinic's list, in the order in which they come: without it those that name
// no merchant wait elsewhere.
type inOneList struct{ booking.Store }

func (s inOneList) InTx(ctx context.Context, k booking.Footprint, f func(booking.Tx) error) error {
	if k.MerchantID == "" && k.Schedule.ScheduleID == "" {
		k.Schedule.MerchantID = clinic
	}
	return s.Store.InTx(ctx, k, f)
}

// eachGathered runs a test on each database with a gate.
func eachGathered(t *testing.T, change func(*storage.Options), test func(w *world, g *gate)) {
	t.Helper()
	for _, k := range storagetest.Kinds() {
		kind := k.Name
		t.Run(kind, func(t *testing.T) {
			g := newGate()
			o := g.options()
			if change != nil {
				change(&o)
			}
			on(t, kind, o, func(w *world) {
				w.Store = inOneList{w.Store}
				test(w, g)
			})
		})
	}
}

// ids makes ids that are known beforehand.
func ids(prefix byte) func() uuid.UUID { return idsFrom(prefix, 0) }

func idsFrom(prefix byte, given int) func() uuid.UUID {
	var n atomic.Uint32
	n.Store(uint32(given))
	return func() uuid.UUID {
		id := uuid.UUID{0: prefix, 6: 0x70, 8: 0x80, 9: prefix}
		binary.BigEndian.PutUint32(id[12:], n.Add(1))
		return id
	}
}

// scheduleMadeOf is the clinic's name of a booking with that id, made at eight.
func scheduleMadeOf(id uuid.UUID) string {
	return hex.EncodeToString(append(binary.BigEndian.AppendUint32(nil, uint32(eight.Unix())), id[8:]...))
}

// causeOf returns the cause of a refusal, or one that does not exist.
func causeOf(err error) booking.Cause {
	var f *booking.Failure
	if errors.As(err, &f) {
		return f.Cause
	}
	return -1
}

// Two operations for the last spot in one batch: the first gets it.
func TestBatchLastSpot(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		var first, second error
		create := func(err *error) func() {
			c := w.request(at(9, 0))
			c.RoomID = suite
			return func() { _, *err = w.create(c) }
		}
		g.together(w.t, create(&first), create(&second))
		if first != nil || causeOf(second) != booking.SlotUnavailable {
			w.t.Errorf("%v and %v, want a booking and SLOT_UNAVAILABLE", first, second)
		}
		if g.retried != nil { // then the database has noticed, not the rules
			w.t.Errorf("run again: %v", g.retried)
		}
	})
}

// The next operation of the batch does not sell room again that was given back but is no longer on offer.
func TestBatchShrunk(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		first := w.booked(in(w, at(9, 0), bed))
		w.booked(in(w, at(9, 0), bed))
		m := testClinic()
		m.Groups[0].Zones[0].Capacity = 1
		w.must(w.db.PutClinic(w.t.Context(), m, eight.Unix()))
		_, err := w.Store.Refreshed(w.t.Context(), clinic)
		w.must(err)
		var called, booked error
		g.together(w.t,
			func() { _, called = w.Settle(w.t.Context(), theDesk, first.ID, booking.CallOff) },
			func() { _, booked = w.create(in(w, at(9, 0), bed)) })
		if called != nil || causeOf(booked) != booking.SlotUnavailable {
			w.t.Errorf("got %v and %v", called, booked)
		}
	})
}

// A token twice in one batch: the second operation gets the first one's booking. If the first is refused, the second is a
// new attempt.
func TestBatchToken(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		ctx := context.Background()
		c := w.request(at(9, 0))
		c.RoomID = suite
		var outs [3]booking.Outcome
		var errs [3]error
		create := func(i int, c booking.Create) func() {
			return func() { outs[i], errs[i] = w.Create(ctx, c) }
		}
		g.together(w.t, create(0, c), create(1, c))
		if errs[0] != nil || errs[1] != nil || outs[0].Replay || !outs[1].Replay || outs[1].Mismatch || !cmp.Equal(outs[0].Booking, outs[1].Booking) {
			w.t.Errorf("got %+v and %+v, %v", outs[0], outs[1], errs)
		}

		full := w.request(at(9, 0))
		full.RoomID = suite
		free := full
		free.StartSec, free.Fingerprint = at(10, 0), []byte("another")
		g.together(w.t, create(0, full), create(1, free), create(2, free))
		if causeOf(errs[0]) != booking.SlotUnavailable || errs[1] != nil || errs[2] != nil || outs[1].Replay || !outs[2].Replay || outs[2].Mismatch {
			w.t.Errorf("got %+v and %+v, %v", outs[1], outs[2], errs)
		}
		later, err := w.Create(ctx, free)
		if err != nil || !later.Replay || later.Mismatch || later.Booking.ID != outs[1].Booking.ID {
			w.t.Errorf("later: %+v, %v", later, err)
		}
	})
}

// Created, confirmed in vain, moved and cancelled in one batch: four versions of one booking, of which the last is
// written, with the events of all.
func TestBatchCreateMoveCancel(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		w.NewID = ids(1)
		id := ids(1)() // the first id it will return
		c := w.request(at(9, 0))
		c.RoomID = suite
		b := booking.Booking{MerchantID: clinic, ScheduleID: scheduleMadeOf(id)}
		var errs [5]error
		g.together(w.t,
			func() { _, errs[0] = w.create(c) },
			func() { errs[1] = w.change(move(b, bed, at(9, 30), at(10, 30))) },
			func() { errs[2] = w.change(move(b, suite, at(14, 0), at(15, 0))) },
			func() { _, errs[3] = w.Settle(context.Background(), theDesk, id, booking.CallOff) },
			func() { errs[4] = w.change(move(b, bed, at(9, 30), at(10, 30))) },
		)
		if want := [5]error{4: errs[4]}; errs != want || causeOf(errs[4]) != booking.NotReserved {
			w.t.Fatalf("got %v", errs)
		}
		b.ID = id
		if got := w.stored(b); got.State != booking.Canceled || got.Version != 4 || got.ZoneID != suite {
			w.t.Errorf("stored %+v", got)
		}
		events, err := w.db.Events(context.Background(), id)
		w.must(err)
		if len(events) != 4 {
			w.t.Errorf("%d events, want 4", len(events))
		}
		w.booked(in(w, at(9, 30), bed)) // all its room is free again
	})
}

// in is a request for a room.
func in(w *world, start int64, room string) booking.Create {
	c := w.request(start)
	c.RoomID = room
	return c
}

// A lease that one operation of a batch uses is gone for the next.
func TestBatchLease(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		slot := booking.Slot{MerchantID: clinic, ServiceID: skinCare, StartSec: at(9, 0), DurationSec: 3600, RoomID: suite}
		w.NewID = ids(2)
		id := ids(2)()
		take := func(err *error) func() {
			c := in(w, at(9, 0), suite)
			c.LeaseID = &id
			return func() { _, *err = w.create(c) }
		}
		var leased, other, first, second error
		g.together(w.t,
			func() { _, leased = w.Lease(context.Background(), booking.Lease{Slot: slot}) },
			func() { _, other = w.create(in(w, at(9, 0), suite)) },
			take(&first), take(&second))
		if leased != nil || causeOf(other) != booking.SlotUnavailable || first != nil || causeOf(second) != booking.LeaseExpired {
			w.t.Errorf("got %v, %v, %v, %v", leased, other, first, second)
		}
	})
}

// One guest several times in a batch: one chart, and no two visits at a time, unless the first has been cancelled
// meanwhile.
func TestBatchGuest(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		w.NewID = ids(3)
		id := ids(3)()
		by := func(start int64, email string) booking.Create {
			c := w.request(start)
			c.Contact.UserID, c.Contact.Email, c.Contact.Telephone = "the one", email, ""
			return c
		}
		var errs [5]error
		create := func(i int, c booking.Create) func() {
			return func() { _, errs[i] = w.create(c) }
		}
		g.together(w.t,
			create(0, by(at(9, 0), "a@example.com")),
			create(1, by(at(9, 30), "b@example.com")),
			create(2, by(at(10, 0), "c@example.com")),
			func() { _, errs[3] = w.Settle(context.Background(), theDesk, id, booking.CallOff) },
			create(4, by(at(9, 0), "d@example.com")))
		if want := [5]error{1: errs[1]}; errs != want || causeOf(errs[1]) != booking.OverlappingReservation {
			w.t.Fatalf("got %v", errs)
		}
		dump, err := storagetest.DumpTables(w.db.Target, "guests", "guest_keys")
		w.must(err)
		if n := len(slices.Collect(lines(dump["guests"]))); n != 1 {
			w.t.Errorf("%d charts:\n%s", n, dump["guests"])
		}
		// The refused request's key belongs to nobody.
		if n := len(slices.Collect(lines(dump["guest_keys"]))); n != 4 {
			w.t.Errorf("%d keys, want a user id and three addresses:\n%s", n, dump["guest_keys"])
		}
	})
}

func lines(text string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for len(text) > 0 {
			i := slices.Index([]byte(text), '\n')
			if !yield(text[:i]) {
				return
			}
			text = text[i+1:]
		}
	}
}

// An operation that looks at something that the batch has not fetched for it runs alone: here the visits of a guest who got
// the visit only by the operation before. One that asks for a slot that nobody announced fails, and its neighbours do not
// notice.
func TestBatchStray(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		regular := func(start int64) booking.Create {
			c := in(w, start, bed)
			c.Contact.UserID, c.Contact.Email, c.Contact.Telephone = "regular", "regular@example.com", ""
			return c
		}
		w.booked(regular(at(16, 0)))
		w.NewID = ids(4)
		b := booking.Booking{MerchantID: clinic, ScheduleID: scheduleMadeOf(ids(4)())}
		var created, moved, stray, other error
		g.together(w.t,
			func() { _, created = w.create(regular(at(9, 0))) },
			func() { moved = w.change(move(b, suite, at(16, 30), at(17, 30))) },
			func() {
				stray = w.Store.InTx(context.Background(), booking.Footprint{}, func(tx booking.Tx) error {
					_, err := tx.Slots([]inventory.SlotKey{{StartSec: 1800}})
					return err
				})
			},
			func() { _, other = w.create(in(w, at(10, 0), suite)) })
		if created != nil || causeOf(moved) != booking.OverlappingReservation || stray == nil || other != nil {
			w.t.Errorf("got %v, %v, %v, %v", created, moved, stray, other)
		}
		if n := len(g.batches); n != 1 {
			w.t.Errorf("%d turns, want one", n)
		}
	})
}

// A row that the database refuses fails only the operation that wrote it, and so does a panic; the others in the batch
// succeed.
func TestBatchPoison(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		var errs [3]error
		var poison error
		var panicked any
		create := func(i int) func() {
			c := in(w, at(9+i, 0), suite)
			return func() { _, errs[i] = w.create(c) }
		}
		g.together(w.t, create(0),
			func() {
				poison = w.Store.InTx(context.Background(), booking.Footprint{}, func(tx booking.Tx) error {
					b := booking.Booking{ID: uuid.New(), Version: 1, StartSec: 2, EndSec: 1}
					b.Resources = []booking.OccupiedResource{{StartSec: 1, EndSec: 2, Spots: 1}}
					tx.PutBooking(b, booking.Event{Before: []byte("{}"), After: []byte("{}")})
					return nil
				})
			},
			create(1),
			func() {
				defer func() { panicked = recover() }()
				w.must(w.Store.InTx(context.Background(), booking.Footprint{}, func(booking.Tx) error { panic("oh") }))
			},
			create(2))
		if errs != [3]error{} {
			w.t.Errorf("neighbours: %v", errs)
		}
		if poison == nil || errors.Is(poison, booking.ErrUnavailable) {
			w.t.Errorf("the poison: %v", poison)
		}
		if p, ok := panicked.(*storage.Panic); !ok || p.Value != "oh" || len(p.Stack()) == 0 {
			w.t.Errorf("panicked with %v", panicked)
		}
	})
}

// A conflict for which the database undoes the transaction, and a COMMIT without an answer: the batch runs again, and each
// operation has happened once. A lease has no token, so it is found by its id.
func TestBatchRunAgain(t *testing.T) {
	for _, c := range []struct {
		name, point string
		err         error
	}{
		{"conflict", "before COMMIT", &pgconn.PgError{Code: "40001"}},
		{"deadlock", "after the slots", &pgconn.PgError{Code: "40P01"}},
		{"connection lost", "before COMMIT", errCutOff},
		{"unknown", "after COMMIT", errCutOff},
	} {
		t.Run(c.name, func(t *testing.T) {
			var armed atomic.Bool
			eachGathered(t, func(o *storage.Options) {
				o.Fault = func(point string) error {
					if point == c.point && armed.CompareAndSwap(true, false) {
						return c.err
					}
					return nil
				}
			}, func(w *world, g *gate) {
				ctx := context.Background()
				before := w.booked(in(w, at(16, 0), suite))
				w.NewID = ids(5)
				b := booking.Booking{MerchantID: clinic, ScheduleID: scheduleMadeOf(ids(5)())}
				slot := booking.Slot{MerchantID: clinic, ServiceID: skinCare, StartSec: at(14, 0), DurationSec: 3600, RoomID: suite}
				var errs [6]error
				var lease booking.Booking
				create, full := in(w, at(9, 0), suite), in(w, at(10, 0), suite)
				armed.Store(true)
				g.together(w.t,
					func() { _, errs[0] = w.create(create) },
					func() { lease, errs[1] = w.Lease(ctx, booking.Lease{Slot: slot}) },
					func() { errs[2] = w.change(move(b, suite, at(10, 0), at(11, 0))) },
					func() { _, errs[3] = w.Settle(ctx, theDesk, before.ID, booking.CallOff) },
					func() { _, errs[4] = w.create(full) },
					func() { _, errs[5] = w.create(create) })
				if want := [6]error{4: errs[4]}; errs != want || causeOf(errs[4]) != booking.SlotUnavailable {
					w.t.Errorf("got %v", errs)
				}
				if armed.Load() {
					w.t.Error("nothing failed")
				}
				if got := w.stored(lease); got.State != booking.Held || got.Version != 1 {
					w.t.Errorf("the lease is %+v", got)
				}
				if got := w.stored(before); got.State != booking.Canceled || got.Version != 2 {
					w.t.Errorf("what was called off is %+v", got)
				}
			})
		})
	}
}

// Somebody, perhaps an import, holds a slot's lock for long: operations on other slots do not wait for that.
func TestBatchHeldUp(t *testing.T) {
	g := newGate()
	o := g.options()
	o.Limit = 10 * time.Second
	on(t, "Postgres", o, func(w *world) {
		w.booked(in(w, at(9, 0), bed))
		raw, err := sql.Open("pgx", w.db.Target)
		w.must(err)
		defer func() { w.must(raw.Close()) }()
		other, err := raw.BeginTx(t.Context(), nil)
		w.must(err)
		_, err = other.ExecContext(t.Context(), "SELECT * FROM slots FOR UPDATE")
		w.must(err)
		var held, free error
		var done sync.WaitGroup
		g.together(t,
			func() { done.Go(func() { _, held = w.create(in(w, at(9, 0), bed)) }) },
			func() {
				_, free = w.create(in(w, at(14, 0), bed))
				w.must(other.Rollback()) // not before
			})
		done.Wait()
		if held != nil || free != nil {
			t.Errorf("got %v and %v", held, free)
		}
	})
}

// Callers hang up before and while they wait: what was accepted happens completely, and their neighbours do not notice.
func TestBatchHangUp(t *testing.T) {
	eachGathered(t, nil, func(w *world, g *gate) {
		ctx, hangUp := context.WithCancel(context.Background())
		var errs [3]error
		create := func(i int, ctx context.Context, c booking.Create) func() {
			return func() { _, errs[i] = w.Create(ctx, c) }
		}
		g.together(w.t, create(0, ctx, in(w, at(9, 0), suite)),
			func() { hangUp(); _, errs[1] = w.create(in(w, at(10, 0), suite)) },
			create(2, ctx, in(w, at(11, 0), suite)))
		if errs != [3]error{} {
			w.t.Errorf("got %v", errs)
		}
	})
}

// recorder records which operation ran when; for one that ran again, the last time counts.
type recorder struct {
	booking.Store
	mu    sync.Mutex
	order []int
}

type stepKey struct{}

func (s *recorder) InTx(ctx context.Context, k booking.Footprint, f func(booking.Tx) error) error {
	return s.Store.InTx(ctx, k, func(tx booking.Tx) error {
		s.mu.Lock()
		i := ctx.Value(stepKey{}).(int)
		s.order = append(slices.DeleteFunc(s.order, func(o int) bool { return o == i }), i)
		s.mu.Unlock()
		return f(tx)
	})
}

// A batch does exactly what its operations do one by one: the same answers, and the same rows in every table.
func TestBatchIsItsOperations(t *testing.T) {
	for _, k := range storagetest.Kinds() {
		kind := k.Name
		t.Run(kind, func(t *testing.T) {
			g := newGate()
			on(t, kind, g.options(), func(batched *world) {
				on(t, kind, storage.Options{Batch: 1}, func(single *world) {
					ran := &recorder{Store: inOneList{batched.Store}}
					batched.Store = ran
					round := byte(0)
					rapid.Check(t, func(r *rapid.T) {
						round++
						steps := rapid.SliceOfN(rapid.Custom(drawStep), 2, 10).Draw(r, "steps")
						want, got := make([]string, len(steps)), make([]string, len(steps))
						calls := make([]func(), len(steps))
						for i, s := range steps {
							calls[i] = func() { got[i] = s.run(batched, round, i) }
						}
						ran.order = nil
						g.together(t, calls...)
						for _, i := range ran.order {
							want[i] = steps[i].run(single, round, i)
						}
						if g.retried != nil {
							r.Fatalf("run again: %v", g.retried)
						}
						if diff := cmp.Diff(want, got); diff != "" {
							r.Fatalf("answers (-one by one +batched):\n%s", diff)
						}
						if diff := cmp.Diff(single.rows(), batched.rows()); diff != "" {
							r.Fatalf("rows (-one by one +batched):\n%s", diff)
						}
					})
				})
			})
		})
	}
}

// step is one operation, of a random history in which everything is scarce.
type step struct {
	Kind                           string
	User, Token, Hour, Day, Target int
	Room                           string
}

func drawStep(r *rapid.T) step {
	return step{
		Kind:   rapid.SampledFrom([]string{"create", "create", "create", "lease", "take lease", "move", "move", "cancel", "no-show"}).Draw(r, "kind"),
		User:   rapid.IntRange(1, 4).Draw(r, "user"),
		Token:  rapid.IntRange(1, 6).Draw(r, "token"),
		Hour:   rapid.SampledFrom([]int{9, 10, 11, 14}).Draw(r, "hour"),
		Day:    rapid.IntRange(0, 1).Draw(r, "day"),
		Target: rapid.IntRange(0, 5).Draw(r, "target"),
		Room:   rapid.SampledFrom([]string{"", bed, suite}).Draw(r, "room"),
	}
}

// run runs the n-th step in a week of its round, and returns the outcome.
func (s step) run(w *world, round byte, n int) string {
	ctx := context.WithValue(context.Background(), stepKey{}, n)
	start := at(s.Hour+24*(7*int(round)+s.Day), 0)
	w.NewID = idsFrom(round, 2*n)
	target := idsFrom(round, 2*s.Target)()
	c := booking.Create{
		Caller: "google", Token: fmt.Sprint(round, "-", s.Token), Fingerprint: []byte(fmt.Sprint(s)),
		Slot: booking.Slot{MerchantID: clinic, ServiceID: skinCare, StartSec: start, DurationSec: 3600, RoomID: s.Room},
		// Two users share a telephone, and two without ids share an address.
		Contact: booking.Contact{
			UserID: fmt.Sprint("user-", round, s.User), GivenName: "John", FamilyName: "Smith",
			Telephone: fmt.Sprint("+82 10 ", 1000*int(round)+s.User/2), Email: fmt.Sprint("john", s.User%3, "@example.com"),
		},
	}
	if s.User == 4 {
		c.Contact.UserID = ""
	}
	var b booking.Booking
	var err error
	switch s.Kind {
	case "take lease":
		c.LeaseID = &target
		fallthrough
	case "create":
		var out booking.Outcome
		out, err = w.Create(ctx, c)
		b = out.Booking
		if err == nil && (out.Replay || out.Mismatch) {
			return fmt.Sprintf("%v %v %+v", out.Replay, out.Mismatch, b.ID)
		}
	case "lease": // without a user, so that nobody gives it up
		b, err = w.Lease(ctx, booking.Lease{Slot: c.Slot})
	case "move":
		if s.Room == "" {
			s.Room = bed
		}
		err = w.Change(ctx, move(booking.Booking{MerchantID: clinic, ScheduleID: scheduleMadeOf(target)}, s.Room, start, start+5400))
	case "cancel":
		b, err = w.Settle(ctx, theDesk, target, booking.CallOff)
	case "no-show":
		b, err = w.Settle(ctx, theDesk, target, booking.Missed)
	}
	var invalid *booking.Invalid
	if err != nil && causeOf(err) == -1 && !errors.As(err, &invalid) {
		w.t.Errorf("%+v: %v", s, err)
	}
	return fmt.Sprintf("%s %s %d %v", b.ID, b.State, b.Version, err)
}

// Bookings and cancellations of one slot under load, in batches of any size: there is an order, one after the other, that
// explains every answer.
func TestHistoriesAreLinearizable(t *testing.T) {
	type input struct {
		cancel bool
	}
	const capacity = 2
	model := porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, in, out any) (bool, any) {
			taken, ok := state.(int), out.(bool)
			switch {
			case in.(input).cancel:
				return ok && taken > 0, taken - 1
			case ok:
				return taken < capacity, taken + 1
			}
			return taken == capacity, taken
		},
	}
	each(t, func(w *world) {
		hours := []int{9, 10, 11, 14, 15, 16}
		var clock atomic.Int64
		var mu sync.Mutex
		histories := map[int][]porcupine.Operation{}
		together(24, func(client int) {
			record := func(hour int, in input, do func() error) bool {
				called := clock.Add(1)
				err := do()
				returned := clock.Add(1)
				if err != nil && causeOf(err) != booking.SlotUnavailable {
					w.t.Errorf("%+v: %v", in, err)
				}
				mu.Lock()
				defer mu.Unlock()
				histories[hour] = append(histories[hour], porcupine.Operation{ClientId: client, Input: in, Output: err == nil, Call: called, Return: returned})
				return err == nil
			}
			for i := range 12 {
				hour := hours[(client+i)%len(hours)]
				c := in(w, at(hour, 0), bed)
				var b booking.Booking
				if record(hour, input{}, func() (err error) { b, err = w.create(c); return err }) {
					record(hour, input{cancel: true}, func() error {
						_, err := w.Update(context.Background(), booking.Update{BookingID: b.ID, Cancel: true})
						return err
					})
				}
			}
		})
		for _, hour := range slices.Sorted(maps.Keys(histories)) {
			if !porcupine.CheckOperations(model, histories[hour]) {
				w.t.Errorf("the history of %d o'clock, %d operations, has no order", hour, len(histories[hour]))
			}
		}
	})
}

// Two server processes on one database move visits over each other in opposite directions: no deadlock reaches a caller, and
// none is hidden by a rerun.
func TestOpposedMovesOfTwoServers(t *testing.T) {
	var retried tally
	// Many small batches at once collide more often.
	o := storage.Options{Retried: retried.add, Limit: patience, Batch: 2, Committers: 8}
	on(t, "Postgres", o, func(w *world) {
		other := *w.Service
		other.Store = storagetest.Open(t, w.db.Target, o)
		servers := []*booking.Service{w.Service, &other}
		var visits []booking.Booking
		for _, hour := range []int{9, 10, 11, 14, 15, 16} {
			for _, room := range []string{bed, bed, suite} {
				visits = append(visits, w.booked(in(w, at(hour, 0), room)))
			}
		}
		var y tally
		together(len(visits), func(i int) {
			for n := range 30 {
				to := at([]int{9, 10, 11, 14, 15, 16}[(i*5+n*(1+i%3))%6], 30*(n%2))
				c := move(visits[i], []string{bed, suite}[n%2], to, to+3600)
				y.add(servers[i%2].Change(context.Background(), c))
			}
		})
		if y.other != nil || retried.other != nil {
			w.t.Errorf("errors: %v, run again: %v", y.other, retried.other)
		}
		if y.booked == 0 || y.refused == 0 {
			w.t.Errorf("%d moved, %d refused: the test tests nothing", y.booked, y.refused)
		}
	})
}
