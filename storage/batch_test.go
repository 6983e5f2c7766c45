package storage_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// gate lets operations gather until as many wait as a test wants.
type gate struct {
	sync.Mutex
	*sync.Cond
	want, waiting int
}

func newGate(want int) *gate {
	g := &gate{want: want}
	g.Cond = sync.NewCond(g)
	return g
}

func (g *gate) gather(waiting int) bool {
	g.Lock()
	defer g.Unlock()
	g.waiting = waiting
	g.Broadcast()
	return waiting < g.want
}

func (g *gate) await(n int) {
	g.Lock()
	defer g.Unlock()
	for g.waiting < n {
		g.Wait()
	}
}

// 500 operations of one clinic wait when one of another comes: it is in the
// first transaction.
func TestFairness(t *testing.T) {
	const crowd = 500
	g := newGate(crowd + 1)
	storagetest.EachWith(t, storage.Options{Limit: time.Minute, Committers: 1, Batch: 64, Gather: g.gather}, func(t *testing.T, db storagetest.Database) {
		g.waiting = 0
		var mu sync.Mutex
		var order []string
		var done sync.WaitGroup
		ask := func(clinic string) {
			k := booking.Footprint{Schedule: booking.ScheduleKey{MerchantID: clinic, ScheduleID: "none"}}
			err := db.InTx(t.Context(), k, func(booking.Tx) error {
				mu.Lock()
				defer mu.Unlock()
				order = append(order, clinic)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		}
		for range crowd {
			done.Go(func() { ask("crowded") })
		}
		g.await(crowd)
		done.Go(func() { ask("quiet") })
		done.Wait()
		if len(order) != crowd+1 || order[1] != "quiet" {
			t.Errorf("%d ran, the second of %q", len(order), order[1])
		}
	})
}

// Operations beyond the queue's limit, or one merchant's beyond half of it, are told to come again at once; those that wait too
// long for their turn, later. None of them runs, and afterwards there is room again.
func TestBackPressure(t *testing.T) {
	g := newGate(100)
	storagetest.EachWith(t, storage.Options{Limit: time.Second, Queue: 4, Gather: g.gather}, func(t *testing.T, db storagetest.Database) {
		g.waiting = 0
		ask := func(merchant string) error {
			k := booking.Footprint{Schedule: booking.ScheduleKey{MerchantID: merchant, ScheduleID: "none"}}
			return db.InTx(t.Context(), k, func(booking.Tx) error {
				t.Error("it was run")
				return nil
			})
		}
		const share, all, turn = "2 operations of one merchant", "4 operations", "waited"
		refused := func(merchant, why string) {
			t.Helper()
			if err := ask(merchant); !errors.Is(err, booking.ErrUnavailable) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s: got %v, want %s", merchant, err, why)
			}
		}
		for range 2 {
			var done sync.WaitGroup
			wait := func(merchant string) { done.Go(func() { refused(merchant, turn) }) }
			wait("crowded")
			wait("crowded")
			g.await(2)
			refused("crowded", share)
			wait("quiet")
			wait("quiet")
			g.await(4)
			refused("another", all)
			done.Wait()
			g.waiting = 0
		}
	})
}

// Accepted operations are answered before the database is closed; later ones are refused.
func TestCloseDrains(t *testing.T) {
	g := newGate(100)
	for _, kind := range storagetest.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			g.waiting = 0
			db, err := storage.Open(t.Context(), kind.New(t), storage.Options{Limit: time.Minute, Gather: g.gather})
			if err != nil {
				t.Fatal(err)
			}
			ask := func() error {
				return db.InTx(context.Background(), booking.Footprint{Bookings: []uuid.UUID{{1}}}, func(booking.Tx) error { return nil })
			}
			var done sync.WaitGroup
			for range 3 {
				done.Go(func() {
					if err := ask(); err != nil {
						t.Error(err)
					}
				})
			}
			g.await(3)
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			done.Wait()
			if err := ask(); !errors.Is(err, booking.ErrUnavailable) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
