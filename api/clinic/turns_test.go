package clinic

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/booking"
)

// Callers take turns, within the limits for each and for all. A request that waits too long, or in too long
// a line, is refused and forgotten.
func TestTurns(t *testing.T) {
	turns := newTurns()
	turns.all, turns.each, turns.line, turns.patience = 3, 2, 2, time.Hour
	ctx := t.Context()
	enter := func(who string) func() {
		t.Helper()
		leave, err := turns.enter(ctx, who)
		if err != nil {
			t.Fatal(err)
		}
		return leave
	}
	wait := func(who string) chan func() { // stands in line when it returns
		t.Helper()
		before := func() int { turns.mu.Lock(); defer turns.mu.Unlock(); return len(turns.by[who].waiting) }
		n, let := before(), make(chan func(), 1)
		go func() { let <- enter(who) }()
		for before() == n {
			time.Sleep(time.Millisecond)
		}
		return let
	}
	one, two, other := enter("a"), enter("a"), enter("b")
	third, fourth := wait("a"), wait("a")
	if _, err := turns.enter(ctx, "a"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("the line is full: %v", err)
	}
	second := wait("b")
	other()
	(<-second)() // of a two run
	select {
	case <-third:
		t.Error("three of a run")
	default:
	}
	enter("c")()
	one()
	three := <-third
	canceled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := turns.enter(canceled, "a"); !errors.Is(err, booking.ErrUnavailable) {
		t.Errorf("hung up: %v", err)
	}
	two()
	(<-fourth)()
	three()
	if turns.running != 0 || len(turns.by) != 0 || len(turns.waiting) != 0 {
		t.Errorf("left: %d run, %v, %v", turns.running, turns.by, turns.waiting)
	}
}

// However requests come and go, never more run than may, and all that may do run.
func TestTurnsOfMany(t *testing.T) {
	turns := newTurns()
	turns.patience = time.Minute
	var mu sync.Mutex
	running, most := map[string]int{}, 0
	var all sync.WaitGroup
	for i := range 500 {
		who := string(rune('a' + i%10))
		all.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
			defer cancel()
			leave, err := turns.enter(ctx, who)
			if err != nil {
				if !errors.Is(err, booking.ErrUnavailable) {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			running[who]++
			total := 0
			for _, n := range running {
				total += n
			}
			if most = max(most, total); running[who] > queriesEach || total > queriesAll {
				t.Errorf("%d of %s run, %d of all", running[who], who, total)
			}
			mu.Unlock()
			time.Sleep(time.Millisecond)
			mu.Lock()
			running[who]--
			mu.Unlock()
			leave()
		})
	}
	all.Wait()
	if most != queriesAll || turns.running != 0 || len(turns.by) != 0 || len(turns.waiting) != 0 {
		t.Errorf("%d ran at once; left: %d run, %v, %v", most, turns.running, turns.by, turns.waiting)
	}
}

// The longest answer with slots fits into what one clinic may leave unread, so it is not refused for ever.
func TestLongestSlotsAnswer(t *testing.T) {
	const most = 10_000 // of a capacity
	slot := booking.GroupSlot{GroupID: strings.Repeat("f", 24), StartSec: 1_800_000_000, EndSec: 1_800_000_060, Capacity: most, Taken: most}
	slot.Zone.ID, slot.Zone.Name = slot.GroupID, strings.Repeat(`"`, booking.MostZoneNames/booking.MostSlots) // nothing is longer in JSON
	slots := reservationSlots(slices.Repeat([]booking.GroupSlot{slot}, booking.MostSlots))
	for _, answer := range []interface{ text() ([]byte, error) }{
		list[reservationSlot]{Data: slots},
		list[resourceSlots]{Data: []resourceSlots{{OccupiedResourceID: "49", ReservationGroupID: slot.GroupID, ZoneID: slot.Zone.ID, Slots: slots}}},
	} {
		text, err := answer.text()
		if err != nil || int64(len(text)) > kind.Unread || int64(len(text)) > kind.Each.Bytes {
			t.Errorf("%T: %d bytes, %v", answer, len(text), err)
		}
	}
}
