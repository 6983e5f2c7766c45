//go:build broken && faults

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/inventory"
)

// A server built with the tag broken breaks the one promise that HOLDFAST_BROKEN names, as a plausible
// program would break it. `make torture-selftest` demands that each of them is caught. While the variable
// is unset, nothing is broken.

var broken = os.Getenv("HOLDFAST_BROKEN")

func weakened(s booking.Store) booking.Store { return &weakStore{Store: s, seen: map[string]cached{}} }

func shutdown(ctx context.Context, srv *http.Server) error {
	if broken == "close-instead-of-shutdown" {
		return srv.Close()
	}
	return srv.Shutdown(ctx)
}

type weakStore struct {
	booking.Store
	sync.Mutex
	seen map[string]cached
}

type cached struct {
	slots map[inventory.SlotKey]inventory.Slot
	until time.Time
}

// InTx runs an operation in one of the wrong ways.
func (w *weakStore) InTx(ctx context.Context, k booking.Footprint, f func(booking.Tx) error) error {
	switch broken {
	case "read-then-save": // the state may change between the decision and the write
		var stale map[inventory.SlotKey]inventory.Slot
		err := w.Store.InTx(ctx, k, func(tx booking.Tx) error {
			look := &reader{Tx: tx, slots: map[inventory.SlotKey]inventory.Slot{}}
			if err := f(look); err != nil {
				return err
			}
			stale = look.slots
			return errLooked
		})
		if !errors.Is(err, errLooked) {
			return err
		}
		return w.Store.InTx(ctx, k, func(tx booking.Tx) error { return f(&believer{Tx: tx, slots: stale}) })
	case "answer-before-commit":
		answer := make(chan error, 16)
		go func() {
			answer <- w.Store.InTx(context.WithoutCancel(ctx), k, func(tx booking.Tx) error {
				err := f(tx)
				if err == nil {
					answer <- nil
				}
				return err
			})
		}()
		return <-answer
	case "no-unique-key":
		if k.Claim != nil {
			claim := *k.Claim
			claim.Token += uuid.NewString()
			k.Claim = &claim
		}
	case "slot-before-token":
		if k.Claim != nil && len(k.Bookings) == 0 {
			slots, err := w.Store.Slots(ctx, k.MerchantID, k.CatalogueVersion, k.Slots, k.Shares, time.Now().Unix())
			if err != nil {
				return err
			}
			for _, s := range slots {
				if s.Taken >= s.Capacity {
					return &booking.Failure{Cause: booking.SlotUnavailable, Resource: -1, Detail: "the slot is full"}
				}
			}
		}
	case "error-told-as-failure":
		err := w.Store.InTx(ctx, k, f)
		if errors.Is(err, booking.ErrUnavailable) {
			return &booking.Failure{Cause: booking.SlotUnavailable, Resource: -1, Detail: "something went wrong"}
		}
		return err
	case "token-kept":
		err := w.Store.InTx(ctx, k, f)
		var f *booking.Failure
		if errors.As(err, &f) && k.Claim != nil {
			return errors.Join(err, w.Store.InTx(ctx, booking.Footprint{Claim: k.Claim}, func(booking.Tx) error { return nil }))
		}
		return err
	case "move-in-two-transactions": // first the room, then the booking
		// Not for a new lease: the database would refuse its room without its row.
		if k.Claim == nil && k.NewGuest == uuid.Nil && len(k.Bookings)+len(k.Schedule.ScheduleID) > 0 {
			if err := w.Store.InTx(ctx, k, func(tx booking.Tx) error { return f(&roomOnly{tx}) }); err != nil {
				return err
			}
			if err := fault("between two transactions"); err != nil {
				return err
			}
		}
	}
	return w.Store.InTx(ctx, k, f)
}

// LapsedLeases leaves lapsed leases to the sweeper.
func (w *weakStore) LapsedLeases(ctx context.Context, slots []inventory.SlotKey, nowSec int64) ([]uuid.UUID, error) {
	if broken == "sweeper-needed" && len(slots) > 0 {
		return nil, nil
	}
	return w.Store.LapsedLeases(ctx, slots, nowSec)
}

// Slots caches what it read for a while.
func (w *weakStore) Slots(ctx context.Context, merchantID string, version int64, keys []inventory.SlotKey, shares []inventory.Span, nowSec int64) (map[inventory.SlotKey]inventory.Slot, error) {
	if broken != "cached-availability" {
		return w.Store.Slots(ctx, merchantID, version, keys, shares, nowSec)
	}
	w.Lock()
	defer w.Unlock()
	name := fmt.Sprint(merchantID, keys)
	if c, ok := w.seen[name]; ok && time.Now().Before(c.until) {
		return c.slots, nil
	}
	slots, err := w.Store.Slots(ctx, merchantID, version, keys, shares, nowSec)
	if err == nil {
		w.seen[name] = cached{slots: slots, until: time.Now().Add(2 * time.Second)}
	}
	return slots, err
}

// Merchant drops what a merchant's rows share, as if each had room of its own.
func (w *weakStore) Merchant(ctx context.Context, id string) (*inventory.Merchant, error) {
	m, err := w.Store.Merchant(ctx, id)
	if broken != "rows-sold-separately" || err != nil {
		return m, err
	}
	alone := *m
	alone.Sharing = inventory.SharingIndependent
	return &alone, nil
}

var errLooked = errors.New("looked, and wrote nothing")

// reader records which slots an operation looks at, and writes nothing.
type reader struct {
	booking.Tx
	slots map[inventory.SlotKey]inventory.Slot
}

func (r *reader) Slots(keys []inventory.SlotKey) (map[inventory.SlotKey]inventory.Slot, error) {
	found, err := r.Tx.Slots(keys)
	for k, s := range found {
		r.slots[k] = s
	}
	return found, err
}

func (r *reader) Take([]inventory.Change)                                {}
func (r *reader) SetHolds(uuid.UUID, []inventory.Hold, []inventory.Hold) {}
func (r *reader) PutGuest(booking.Guest, ...booking.GuestKey)            {}
func (r *reader) PutBooking(booking.Booking, booking.Event)              {}

// believer shows an operation slots as they were.
type believer struct {
	booking.Tx
	slots map[inventory.SlotKey]inventory.Slot
}

func (b *believer) Slots(keys []inventory.SlotKey) (map[inventory.SlotKey]inventory.Slot, error) {
	found, err := b.Tx.Slots(keys)
	if err != nil {
		return nil, err
	}
	now := make(map[inventory.SlotKey]inventory.Slot, len(found))
	for k, s := range found {
		if was, ok := b.slots[k]; ok {
			s = was
		}
		now[k] = s
	}
	return now, nil
}

// roomOnly moves room and writes no booking.
type roomOnly struct{ booking.Tx }

func (r *roomOnly) PutGuest(booking.Guest, ...booking.GuestKey) {}
func (r *roomOnly) PutBooking(booking.Booking, booking.Event)   {}

// variants are what HOLDFAST_BROKEN may name.
var variants = []string{
	"", "read-then-save", "answer-before-commit", "no-unique-key", "slot-before-token", "error-told-as-failure", "token-kept",
	"move-in-two-transactions", "sweeper-needed", "cached-availability", "close-instead-of-shutdown", "autocommit", "replay-not-replicated",
	"rows-sold-separately",
}

func init() {
	if !slices.Contains(variants, broken) {
		panic("no variant is called " + broken)
	}
}
