package inventory

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// memory is slots in memory. It checks what Move promises its store: keys in lock order, once each, and nothing else touched.
type memory struct {
	t     interface{ Fatalf(string, ...any) }
	slots map[SlotKey]Slot
	holds map[uuid.UUID][]Hold
}

func (m *memory) Slots(keys []SlotKey) (map[SlotKey]Slot, error) {
	if !slices.IsSortedFunc(keys, SlotKey.Compare) || len(slices.Compact(slices.Clone(keys))) != len(keys) {
		m.t.Fatalf("keys out of order: %v", keys)
	}
	found := map[SlotKey]Slot{}
	for _, k := range keys {
		if s, ok := m.slots[k]; ok {
			found[k] = s
		}
	}
	return found, nil
}

func (m *memory) Take(changes []Change) {
	for _, c := range changes {
		s := m.slots[c.SlotKey]
		s.Taken += c.Spots
		s.Blocked += c.Blocks
		if s.Taken < 0 || s.Taken > s.Capacity {
			m.t.Fatalf("oversold: %+v", s)
		}
		m.slots[c.SlotKey] = s
	}
}

func (m *memory) SetHolds(owner uuid.UUID, gone, made []Hold) {
	have := slices.DeleteFunc(slices.Clone(m.holds[owner]), func(h Hold) bool { return slices.ContainsFunc(gone, h.sameRoom) })
	m.holds[owner] = append(have, made...)
}

var (
	lane = newResource(Resource{MerchantID: "m", Kind: KindLane, Ref: "lane", SlotSeconds: 1800})
	kim  = StaffResource("m", "kim")
	show = PublishedResource("m", "show", 5400, "", "", 0)
)

func TestHold(t *testing.T) {
	for _, c := range []struct {
		name             string
		r                Resource
		start, end       int64
		wantFrom, wantTo int64
		slots            int
	}{
		{"on the grid", lane, 3600, 7200, 3600, 7200, 2},
		{"rounded outward", lane, 3601, 7199, 3600, 7200, 2},
		{"a second too long", lane, 3600, 7201, 3600, 9000, 3},
		{"a doctor's five minutes", kim, 3600, 7200, 3600, 7200, 12},
		{"published, as it is", show, 61, 61 + 5400, 61, 61 + 5400, 1},
	} {
		h := c.r.Hold(c.start, c.end, 1, 0)
		if h.StartSec != c.wantFrom || h.EndSec != c.wantTo || len(h.Keys()) != c.slots {
			t.Errorf("%s: got %d to %d, %d slots", c.name, h.StartSec, h.EndSec, len(h.Keys()))
		}
	}
}

// block is a hold that closes its slots instead of taking spots.
func block(h Hold) Hold {
	h.Block = true
	return h
}

func TestFree(t *testing.T) {
	for _, c := range []struct {
		name string
		slot Slot
		want int
	}{
		{"untouched", Slot{Capacity: 3}, 3},
		{"partly taken", Slot{Capacity: 3, Taken: 2}, 1},
		{"full", Slot{Capacity: 3, Taken: 3}, 0},
		{"blocked", Slot{Capacity: 3, Blocked: 1}, 0},
		{"blocked twice", Slot{Capacity: 3, Taken: 1, Blocked: 2}, 0},
		{"more than there is, while it shrinks", Slot{Capacity: 1, Taken: 2}, 0},
	} {
		if got := c.slot.Free(); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMerge(t *testing.T) {
	hold := func(r Resource, from, to int64, spots int) Hold {
		return Hold{Resource: r, StartSec: from, EndSec: to, Spots: spots}
	}
	for _, c := range []struct {
		name       string
		have, want []Hold
	}{
		{"neighbours join", []Hold{hold(lane, 0, 1800, 1), hold(lane, 1800, 3600, 1)}, []Hold{hold(lane, 0, 3600, 1)}},
		{"two beds at once add up", []Hold{hold(lane, 0, 3600, 1), hold(lane, 1800, 5400, 1)},
			[]Hold{hold(lane, 0, 1800, 1), hold(lane, 1800, 3600, 2), hold(lane, 3600, 5400, 1)}},
		{"one doctor twice is once", []Hold{hold(kim, 0, 600, 1), hold(kim, 300, 900, 1)}, []Hold{hold(kim, 0, 900, 1)}},
		{"published slots never join", []Hold{hold(show, 0, 5400, 1), hold(show, 5400, 10800, 1)},
			[]Hold{hold(show, 0, 5400, 1), hold(show, 5400, 10800, 1)}},
		{"one block twice is once", []Hold{block(hold(lane, 0, 3600, 1)), block(hold(lane, 1800, 5400, 1))}, []Hold{block(hold(lane, 0, 5400, 1))}},
		{"nothing", nil, nil},
	} {
		if diff := cmp.Diff(c.want, Merge(c.have)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

// Move against a plain count: for any sequence of wishes, what is taken is the sum of what is held, a move that fits works, one that does not changes
// nothing, and unchanged stretches keep their rows.
func TestMove(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := &memory{t: r, slots: map[SlotKey]Slot{}, holds: map[uuid.UUID][]Hold{}}
		for i := range int64(6) {
			m.slots[SlotKey{lane.ID, i * 1800}] = Slot{SlotKey: SlotKey{lane.ID, i * 1800}, Capacity: 2}
			m.slots[SlotKey{show.ID, i * 1800}] = Slot{SlotKey: SlotKey{show.ID, i * 1800}, Capacity: 3}
		}
		for i := range int64(36) {
			m.slots[SlotKey{kim.ID, i * 300}] = Slot{SlotKey: SlotKey{kim.ID, i * 300}, Capacity: 1}
		}
		blocker := uuid.UUID{4}
		owners := []uuid.UUID{{1}, {2}, {3}, blocker}
		for now := range int64(rapid.IntRange(1, 12).Draw(r, "moves")) {
			owner := rapid.SampledFrom(owners).Draw(r, "owner")
			var want []Hold
			for range rapid.IntRange(0, 3).Draw(r, "holds") {
				from := rapid.Int64Range(0, 5).Draw(r, "from") * 1800
				to := min(from+rapid.Int64Range(1, 4).Draw(r, "length")*900, 6*1800)
				switch res := rapid.SampledFrom([]Resource{lane, kim, show}).Draw(r, "resource"); res.Kind {
				case KindPublished:
					want = append(want, res.Hold(from, from+res.SlotSeconds, rapid.IntRange(1, 2).Draw(r, "spots"), now))
				default:
					want = append(want, res.Hold(from, to, 1, now))
				}
			}
			have := m.holds[owner]
			if owner == blocker {
				want = slices.DeleteFunc(want, func(h Hold) bool { return h.Resource.Kind == KindPublished })
				for i := range want {
					want[i].Block = true
				}
			}
			room := owner == blocker || func() bool { // by counting, without Move's difference
				need, own := map[SlotKey]int{}, map[SlotKey]int{}
				for _, h := range have {
					for _, k := range h.Keys() {
						own[k] += h.Spots
					}
				}
				for _, h := range Merge(want) {
					for _, k := range h.Keys() {
						need[k] += h.Spots
					}
				}
				mine := maps.Clone(need)
				for o, holds := range m.holds {
					if o == owner {
						continue
					}
					for _, h := range holds {
						for _, k := range h.Keys() {
							switch {
							case h.Block && mine[k] > own[k]:
								return false
							case need[k] > 0 && !h.Block:
								need[k] += h.Spots
							}
						}
					}
				}
				for k, n := range need {
					if n > m.slots[k].Capacity {
						return false
					}
				}
				return true
			}()
			before := cmp.Diff(nil, m.slots)
			err := Move(m, owner, have, want)
			var full *Full
			switch {
			case room && err != nil:
				r.Fatalf("there is room: %v", err)
			case !room && !errors.As(err, &full):
				r.Fatalf("there is no room: got %v", err)
			case !room && before != cmp.Diff(nil, m.slots):
				r.Fatalf("a refused move changed slots")
			case room && !SameHolds(m.holds[owner], want):
				r.Fatalf("holds %v, want %v", m.holds[owner], want)
			}
			taken, blocked := map[SlotKey]int{}, map[SlotKey]int{}
			for _, holds := range m.holds {
				for _, h := range holds {
					for _, k := range h.Keys() {
						if h.Block {
							blocked[k]++
						} else {
							taken[k] += h.Spots
						}
					}
				}
			}
			for k, s := range m.slots {
				if s.Taken != taken[k] || s.Blocked != blocked[k] {
					r.Fatalf("slot %v: taken %d, held %d, blocked %d by %d", k, s.Taken, taken[k], s.Blocked, blocked[k])
				}
			}
		}
	})
}

func TestMoveNeverPublished(t *testing.T) {
	m := &memory{t: t, slots: map[SlotKey]Slot{}, holds: map[uuid.UUID][]Hold{}}
	var missing *Missing
	if err := Move(m, uuid.UUID{1}, nil, []Hold{show.Hold(0, 5400, 1, 0)}); !errors.As(err, &missing) {
		t.Errorf("got %v, want *Missing", err)
	}
}

func TestPublishedCapacity(t *testing.T) {
	for _, c := range []struct {
		name                            string
		total, open, known, taken, want int
	}{
		{"nothing booked", 4, 4, 0, 0, 4},
		{"others have booked three", 4, 1, 0, 0, 1},
		{"sold out", 4, 0, 0, 0, 0},
		{"ours are not counted twice", 4, 2, 2, 2, 4},
		{"ours since then come off", 4, 4, 0, 1, 4},
		{"never below what is taken", 4, 0, 0, 2, 2},
		{"never above the total", 4, 4, 2, 2, 4},
	} {
		p := Published{SpotsTotal: c.total, SpotsOpen: c.open}
		if got := p.Capacity(c.known, c.taken); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

// Two resources that differ in anything are two.
func TestResourceIDs(t *testing.T) {
	g := &Group{ID: "g", IntervalSec: 1800}
	other := &Group{ID: "g", IntervalSec: 3600}
	seen := map[uuid.UUID]Resource{}
	for _, r := range []Resource{
		LaneResource("m", g, GroupZone{ZoneID: "z"}), LaneResource("m", other, GroupZone{ZoneID: "z"}),
		LaneResource("n", g, GroupZone{ZoneID: "z"}), LaneResource("m", g, GroupZone{ZoneID: "y"}),
		StaffResource("m", "g/z"), PublishedResource("m", "s", 1800, "a", "", 0), PublishedResource("m", "s", 1800, "", "a", 0),
		PublishedResource("m", "s", 1800, "", "", 1), PublishedResource("m", "s", 1800, `"`, "", 0), PublishedResource("m", `s" "`, 1800, "", "", 0),
	} {
		if twin, ok := seen[r.ID]; ok {
			t.Errorf("%+v and %+v are one resource", r, twin)
		}
		seen[r.ID] = r
	}
	if LaneResource("m", g, GroupZone{ZoneID: "z", Capacity: 9}).ID != LaneResource("m", g, GroupZone{ZoneID: "z"}).ID {
		t.Error("a lane is another one when its capacity changes")
	}
	// Ids are stored, so they must not change from one release to the next.
	if got, want := PublishedResource("dining-1", `din"ner`, 5400, "", "방", 2).ID.String(), "728e9a4f-02fc-5bf2-863c-0108b295d217"; got != want {
		t.Errorf("got %s, want %s as ever", got, want)
	}
}
