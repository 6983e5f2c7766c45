package inventory

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"
)

// Tx is what [Move] needs of a transaction.
type Tx interface {
	// Slots returns the current slots of keys, locked until the transaction ends. A slot of a lane or
	// a staff member that nobody has touched has its default capacity. A slot that was never published
	// is missing in the result.
	Slots(keys []SlotKey) (map[SlotKey]Slot, error)
	// Take adds the spots and blocks of each change to its slot.
	Take(changes []Change)
	// SetHolds deletes the owner's holds in gone and writes those in made.
	SetHolds(owner uuid.UUID, gone, made []Hold)
}

// Change is a signed number of spots and of blocks of one slot. Positive spots take room.
type Change struct {
	SlotKey
	Spots  int
	Blocks int
}

// Full says that there is no room. It is not a fault, and nothing was changed.
type Full struct {
	Slots []Slot // every slot without enough room, in order, as it is now
}

func (f *Full) Error() string { return fmt.Sprintf("%d slots full", len(f.Slots)) }

// Missing says that some of the slots were never published.
type Missing struct {
	Slots []SlotKey
}

func (m *Missing) Error() string { return fmt.Sprintf("%d slots never published", len(m.Slots)) }

// Move makes owner hold exactly want instead of have: it books (have is nil), gives back (want is nil),
// reschedules and resizes. It applies only the signed difference, in one ascending pass. So a booking never
// blocks its own move, and two opposed moves never wait for each other. (Releasing everything and then taking
// everything deadlocks even if each half is sorted.)
//
// An owner either takes spots or blocks. A block always fits, even over what is taken and over other blocks.
//
// It returns *Full if a slot has no room or is blocked, and *Missing if one was never published. Then nothing
// has changed.
func Move(tx Tx, owner uuid.UUID, have, want []Hold) error {
	return move(tx, owner, have, want, true)
}

// Recount is Move for an owner that keeps its place while places begin to be counted differently. It does not
// check for room, which the slots must have.
func Recount(tx Tx, owner uuid.UUID, have, want []Hold) error {
	return move(tx, owner, have, want, false)
}

func move(tx Tx, owner uuid.UUID, have, want []Hold, asks bool) error {
	var asked []Hold // for room
	if asks {
		asked = want
	}
	have, want = Merge(have), Merge(want)
	changes := diff(have, want)
	slots, err := tx.Slots(append(keysOf(changes), sharedKeys(asked)...))
	if err != nil {
		return err
	}
	if asks {
		if err := fit(slots, changes); err != nil {
			return err
		}
		if err := spare(slots, have, asked); err != nil {
			return err
		}
	}
	tx.Take(changes)
	if gone, made := replace(have, want); len(gone)+len(made) > 0 {
		tx.SetHolds(owner, gone, made)
	}
	return nil
}

// Fits returns what Move would return, given the slots: nil, *Missing or *Full.
func Fits(slots map[SlotKey]Slot, have, want []Hold) error {
	if err := fit(slots, Changes(have, want)); err != nil {
		return err
	}
	return spare(slots, Merge(have), want)
}

// spare returns *Full if there is no room in what the wanted holds share.
func spare(slots map[SlotKey]Slot, have, want []Hold) error {
	if full := crowded(slots, have, want); full != nil {
		return &Full{Slots: full}
	}
	return nil
}

func fit(slots map[SlotKey]Slot, changes []Change) error {
	var full []Slot
	var missing []SlotKey
	for _, c := range changes {
		s, ok := slots[c.SlotKey]
		switch {
		case !ok:
			missing = append(missing, c.SlotKey)
		case c.Spots > 0 && c.Spots > s.Free():
			full = append(full, s)
		}
	}
	if missing != nil {
		return &Missing{Slots: missing}
	}
	if full != nil {
		return &Full{Slots: full}
	}
	return nil
}

// Keys returns the slots that any of the holds covers and the keys of what they share, once each, in lock
// order.
func Keys(holds ...Hold) []SlotKey {
	keys := sharedKeys(holds)
	for _, h := range holds {
		keys = append(keys, h.Keys()...)
	}
	slices.SortFunc(keys, SlotKey.Compare)
	return slices.Compact(keys)
}

func sharedKeys(holds []Hold) []SlotKey {
	var keys []SlotKey
	for _, h := range holds {
		for _, s := range h.Shares {
			keys = append(keys, SlotKey{s.ID, h.StartSec})
		}
	}
	return keys
}

// Merge puts holds into their normal form: sorted, disjoint, with equal neighbours joined. Overlapping holds of
// one lane add up (two beds are two places); those of one staff member do not (one person's time counts once),
// nor do blocks.
func Merge(holds []Hold) []Hold {
	resources := map[uuid.UUID]Resource{}
	type place struct {
		spots    int
		block    bool
		sinceSec int64
		endSec   int64
	}
	places := map[SlotKey]place{}
	for _, h := range holds {
		resources[h.Resource.ID] = h.Resource
		for _, k := range h.Keys() {
			p := places[k]
			if h.Resource.Kind == KindStaff || h.Block {
				p.spots = max(p.spots, h.Spots)
			} else {
				p.spots += h.Spots
			}
			p.block = h.Block
			p.sinceSec = max(p.sinceSec, h.SinceSec)
			p.endSec = k.StartSec + h.Resource.SlotSeconds
			places[k] = p
		}
	}
	var merged []Hold
	for _, k := range slices.SortedFunc(maps.Keys(places), SlotKey.Compare) {
		p := places[k]
		r := resources[k.Resource]
		if n := len(merged) - 1; n >= 0 && r.Kind != KindPublished {
			if last := &merged[n]; last.Resource.ID == r.ID && last.EndSec == k.StartSec && last.Spots == p.spots && last.Block == p.block {
				last.EndSec, last.SinceSec = p.endSec, max(last.SinceSec, p.sinceSec)
				continue
			}
		}
		merged = append(merged, Hold{Resource: r, StartSec: k.StartSec, EndSec: p.endSec, Spots: p.spots, Block: p.block, SinceSec: p.sinceSec})
	}
	return merged
}

// Changes returns what [Move] changes, slot by slot in lock order.
func Changes(have, want []Hold) []Change { return diff(Merge(have), Merge(want)) }

// diff returns the signed difference of two merged lists of holds, slot by slot, in lock order, without slots
// that do not change.
func diff(have, want []Hold) []Change {
	total := map[SlotKey]Change{}
	add := func(holds []Hold, sign int) {
		for _, h := range holds {
			for _, k := range h.Keys() {
				c := total[k]
				if h.Block {
					c.Blocks += sign
				} else {
					c.Spots += sign * h.Spots
				}
				c.SlotKey = k
				total[k] = c
			}
		}
	}
	add(have, -1)
	add(want, 1)
	var changes []Change
	for _, c := range total {
		if c.Spots != 0 || c.Blocks != 0 {
			changes = append(changes, c)
		}
	}
	slices.SortFunc(changes, func(a, b Change) int { return a.Compare(b.SlotKey) })
	return changes
}

func keysOf(changes []Change) []SlotKey {
	keys := make([]SlotKey, len(changes))
	for i, c := range changes {
		keys[i] = c.SlotKey
	}
	return keys
}

// replace returns what to delete and write to get from have to want. A stretch that stays keeps its row, and
// with it the time since when it is held.
func replace(have, want []Hold) (gone, made []Hold) {
	for _, h := range have {
		if !slices.ContainsFunc(want, h.sameRoom) {
			gone = append(gone, h)
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(have, w.sameRoom) {
			made = append(made, w)
		}
	}
	return gone, made
}

// Without subtracts holds from what is taken of the slots, as if they had been given back. It ignores slots
// that are not in the map.
func Without(slots map[SlotKey]Slot, holds []Hold) {
	without(slots, holds, func(*Slot) {})
}

// Leaving is Without for the holds of one owner that is about to move: it may return to what it holds, even if
// that has been blocked since.
func Leaving(slots map[SlotKey]Slot, holds []Hold) {
	without(slots, holds, func(s *Slot) { s.Blocked = 0 })
}

func without(slots map[SlotKey]Slot, holds []Hold, more func(*Slot)) {
	for _, h := range holds {
		for _, k := range h.Keys() {
			if s, there := slots[k]; there && !h.Block {
				s.Taken -= h.Spots
				more(&s)
				slots[k] = s
			}
		}
	}
}

// SameHolds reports whether two lists of holds take the same room, whenever they were taken.
func SameHolds(a, b []Hold) bool {
	return slices.EqualFunc(Merge(a), Merge(b), Hold.sameRoom)
}

func (h Hold) sameRoom(o Hold) bool {
	return h.Resource.ID == o.Resource.ID && h.StartSec == o.StartSec && h.EndSec == o.EndSec && h.Spots == o.Spots && h.Block == o.Block
}
