package booking

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/inventory"
)

// Available reports for each slot of a merchant whether it can be booked right now (Google's
// BatchAvailabilityLookup). If there never was such a merchant or service, it returns *Invalid
// with the slot's number. Any other slot that is closed, full, past, no longer offered or never
// existed is simply not available. It reads the database once, without a lock.
func (s *Service) Available(ctx context.Context, merchantID string, slots []Slot) ([]bool, error) {
	rooms, err := s.Rooms(ctx, merchantID, slots)
	if err != nil {
		return nil, err
	}
	available := make([]bool, len(rooms))
	for i, n := range rooms {
		available[i] = n > 0
	}
	return available, nil
}

// Rooms counts how often each slot could be booked right now, on the terms of
// [Service.Available].
func (s *Service) Rooms(ctx context.Context, merchantID string, slots []Slot) ([]int, error) {
	now := s.Now()
	for range replans {
		m, err := s.Store.Merchant(ctx, merchantID)
		if errors.Is(err, ErrNotFound) {
			return nil, unknown(FieldMerchant, "no such merchant")
		}
		if err != nil {
			return nil, fmt.Errorf("read catalogue: %w", err)
		}
		plans := make([]plan, len(slots))
		var holds []inventory.Hold
		var wrong *Invalid
		for i, slot := range slots {
			slot.MerchantID = merchantID
			if svc := m.Service(slot.ServiceID); svc != nil && slot.DurationSec == 0 {
				slot.DurationSec = svc.DurationSec // SlotTime.duration_sec is optional
			}
			plans[i] = slot.plan(m, nil, now)
			if f := plans[i].invalid; f != nil && f.Field == FieldService && wrong == nil {
				f.Resource, wrong = i, f
			}
			if plans[i].closed == nil {
				holds = append(holds, plans[i].holds()...)
			}
		}
		found, err := s.Store.Slots(ctx, m.ID, m.Version, inventory.Keys(holds...), inventory.Spans(holds...), now.Unix())
		if errors.Is(err, ErrStale) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("look for room: %w", err)
		}
		if wrong != nil { // and Slots has just confirmed that the catalogue is the newest
			return nil, wrong
		}
		untouched(found, holds)
		rooms := make([]int, len(plans))
		for i, p := range plans {
			if p.invalid == nil && p.closed == nil {
				rooms[i] = p.room(found, now)
			}
		}
		return rooms, nil
	}
	return nil, fmt.Errorf("%w: the catalogue keeps changing", ErrUnavailable)
}

// untouched adds the slots of lanes and staff that have no row, because nobody has touched them.
func untouched(found map[inventory.SlotKey]inventory.Slot, holds []inventory.Hold) {
	for _, h := range holds {
		if h.Resource.Kind == inventory.KindPublished {
			continue
		}
		for _, k := range h.Keys() {
			if _, there := found[k]; !there {
				found[k] = inventory.Slot{SlotKey: k, Capacity: h.Resource.DefaultCapacity}
			}
		}
	}
}

// room counts how often the plan's places could be taken, one after the other.
func (p plan) room(slots map[inventory.SlotKey]inventory.Slot, now time.Time) int {
	n := 0
	for _, pl := range p.places {
		if p.notNow(pl, slots, now) != nil {
			continue
		}
		if pl.items[0].DoctorID != nil { // every place has the same doctor
			n = max(n, pl.room(slots))
		} else {
			n += pl.room(slots)
		}
	}
	return n
}

func (pl place) room(slots map[inventory.SlotKey]inventory.Slot) int {
	return inventory.Room(slots, pl.holds)
}
