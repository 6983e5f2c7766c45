package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

// stored is a booking as `holdfast bookings --json` shows it.
type stored struct {
	ID      string `json:"booking_id"`
	State   string `json:"state"`
	Contact struct {
		UserID string `json:"user_id"`
	} `json:"contact"`
	Resources []struct {
		GroupID  string `json:"group_id"`
		StartSec int64  `json:"start_sec"`
		EndSec   int64  `json:"end_sec"`
	} `json:"occupied_resources"`
}

func parseStored(text []byte) ([]stored, error) {
	var all []stored
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("read the list of bookings: %w", err)
	}
	return all, nil
}

// slots returns the slots that the booking occupies on the round's day; -1 stands for one outside this world.
func (s stored) slots(round int) []int {
	if s.State == "CANCELED" {
		return nil
	}
	var all []int
	for _, r := range s.Resources {
		lane := -1
		for i := range lanes {
			if group(i) == r.GroupID {
				lane = i
			}
		}
		for at := r.StartSec; at < r.EndSec; at += slotSec {
			n := (at - place{}.startSec(round)) / slotSec
			if lane < 0 || n < 0 || n >= slotsPerLane {
				all = append(all, -1)
			} else {
				all = append(all, lane*slotsPerLane+int(n))
			}
		}
	}
	slices.Sort(all)
	return all
}

// charge is something that is wrong.
type charge struct {
	What string // lost, doubled, phantom, …
	Text string
}

// verdict is the result of comparing the journal with the database.
type verdict struct {
	charges   []charge
	booked    int // bookings that were acknowledged
	moved     int // changes that were acknowledged
	doubts    int // operations that had a try without an answer
	overtaken int // refused, although an earlier try booked later
	unsettled int
	histories map[int][]entry
	vague     []vague
}

// vague is a time during which nobody knew whether an operation on some slots had happened.
type vague struct {
	slots       []int
	from, until int64
}

func (v *verdict) accuse(what, format string, args ...any) {
	v.charges = append(v.charges, charge{what, fmt.Sprintf(format, args...)})
}

// A lease ends by the server's clock, which counts seconds; for an operation that began earlier it ends when that
// operation does.
const (
	lapseEarly = time.Second
	lapseLate  = 12 * time.Second
)

// judge compares the answers that clients got with what the database has at the end of the round, when everything is
// settled. began is the start of the round in Unix nanoseconds, end its end in nanoseconds since then.
func judge(ops []*operation, kept []stored, round int, began, end int64) *verdict {
	v := &verdict{histories: map[int][]entry{}}
	byUser := map[string][]stored{}
	for _, b := range kept {
		byUser[b.Contact.UserID] = append(byUser[b.Contact.UserID], b)
	}
	byName := map[string]*operation{}
	changes := map[string][]*operation{} // of a booking, by the operation that made it
	for _, op := range ops {
		byName[op.name] = op
		if slices.Contains([]deed{move, desk, cancel}, op.Deed) {
			changes[op.Of] = append(changes[op.Of], op)
		}
		if _, ok := op.doubt(); ok {
			v.doubts++
		}
		for _, t := range op.tries {
			if t.outcome == odd {
				v.accuse("odd", "%s %s: %s", op.Deed, op.name, t.text)
			}
		}
		if !op.settled() && op.Deed != lease && op.Deed != look {
			v.unsettled++
			v.accuse("unsettled", "%s %s is still not known", op.Deed, op.name)
		}
	}
	used := map[string]bool{} // leases that became bookings
	for _, op := range ops {
		switch op.Deed {
		case create, use:
			made, there := v.making(op, byUser[op.user()], end)
			delete(byUser, op.user())
			if !there {
				continue
			}
			if op.Deed == use {
				used[op.Of] = true
			}
			at := v.follow(op, changes[op.name], made, round, end)
			if !slices.Equal(at, made.slots(round)) {
				v.accuse("wrong place", "%s (%s) is at %v, and clients know it at %v", made.ID, op.name, made.slots(round), at)
			}
		case look:
			for _, t := range op.tries {
				if t.outcome != done {
					continue
				}
				for i, free := range t.free {
					s := isFull
					if free {
						s = isFree
					}
					v.note(op.Looks[i].slots(), s, t.sent, t.told, op)
				}
			}
		}
	}
	for user, bookings := range byUser {
		for _, b := range bookings {
			v.accuse("phantom", "%s of %q: nobody asked for it", b.ID, user)
		}
	}
	v.leases(ops, used, began)
	return v
}

// user returns the guest of a booking: whoever took a lease also uses it.
func (op *operation) user() string {
	if op.Deed == use {
		return op.Of
	}
	return op.name
}

// making judges what made a booking: made is what the database has of it.
func (v *verdict) making(op *operation, kept []stored, end int64) (made stored, there bool) {
	first := op.acknowledged()
	doubt, inDoubt := op.doubt()
	v.doubtful(op, op.To.slots(), end)
	ids := map[string]bool{}
	for _, t := range op.tries {
		if t.outcome == done {
			ids[t.booking] = true
		}
		if t.outcome == refused && first != nil && t.sent > first.told {
			v.accuse("sticky", "%s %s was refused (%s) after it had been made", op.Deed, op.name, t.cause)
		}
		if t.outcome == refused && t.cause == full {
			v.note(op.To.slots(), isFull, t.sent, t.told, op)
		}
	}
	if len(ids) > 1 || len(kept) > 1 {
		v.accuse("doubled", "%s %s: %d booking ids were told, %d bookings are kept", op.Deed, op.name, len(ids), len(kept))
	}
	if len(kept) > 0 {
		made, there = kept[0], true
	}
	switch {
	case first != nil:
		v.booked++
		if !slices.ContainsFunc(kept, func(b stored) bool { return b.ID == first.booking }) {
			v.accuse("lost", "%s %s: %s was acknowledged and is not there", op.Deed, op.name, first.booking)
		}
		if op.Deed == create {
			v.note(op.To.slots(), take, op.tries[0].sent, first.told, op)
		}
	case there && !inDoubt:
		v.accuse("phantom", "%s %s was refused, and %s is there", op.Deed, op.name, made.ID)
	case there:
		v.overtaken++
		if op.Deed == create {
			v.note(op.To.slots(), take, doubt, end, op)
		}
	}
	return made, there
}

// follow returns where a booking is after all its changes, as far as its clients know. If a change was in doubt and
// then refused, the database decides.
func (v *verdict) follow(op *operation, changes []*operation, made stored, round int, end int64) []int {
	at := op.To.slots()
	for _, c := range changes {
		var next []int
		if c.To != nil {
			next = c.To.slots()
		}
		gone, come := without(at, next), without(next, at)
		v.doubtful(c, append(slices.Clone(gone), come...), end)
		for _, t := range c.tries {
			if t.outcome == refused && t.cause == full {
				v.note(come, isFull, t.sent, t.told, c)
			}
		}
		call, told := c.tries[0].sent, end
		if first := c.acknowledged(); first != nil {
			v.moved++
			told = first.told
		} else if doubt, ok := c.doubt(); ok && slices.Equal(made.slots(round), next) {
			call = doubt
			v.overtaken++
		} else {
			continue
		}
		for _, s := range gone {
			v.note([]int{s}, release, call, told, c)
		}
		for _, s := range come {
			v.note([]int{s}, take, call, told, c)
		}
		at = next
	}
	return at
}

// note adds a step to the history of each slot. A refusal for several slots does not show which of them was full, so
// note ignores it.
func (v *verdict) note(slots []int, s step, call, end int64, op *operation) {
	if s == isFull && len(slots) != 1 {
		return
	}
	for _, slot := range slots {
		v.histories[slot] = append(v.histories[slot], entry{s, call, end, op.name})
	}
}

// doubtful records that an operation's outcome was unknown from its first try without an answer until it was known.
func (v *verdict) doubtful(op *operation, slots []int, end int64) {
	from, ok := op.doubt()
	if !ok {
		return
	}
	until := end
	if first := op.acknowledged(); first != nil {
		until = first.told
	} else if last := op.tries[len(op.tries)-1]; last.outcome == refused {
		until = last.told
	}
	v.vague = append(v.vague, vague{slots, from, until})
}

// forgive removes from the histories what was seen while it was vague. A primary that is about to be lost may show what
// it has done but cannot acknowledge; its successor does not have that until somebody asks again. What a primary shows
// then is provisional, and nobody promises more.
func (v *verdict) forgive() {
	for _, d := range v.vague {
		for _, slot := range d.slots {
			v.histories[slot] = slices.DeleteFunc(v.histories[slot], func(e entry) bool {
				return (e.step == isFull || e.step == isFree) && e.end >= d.from && e.call <= d.until
			})
		}
	}
}

// gaps returns the longest time without an acknowledged change for each server, by its number from 1 on.
func gaps(ops []*operation, servers int, end int64) []time.Duration {
	told := make([][]int64, servers)
	for _, op := range ops {
		if first := op.acknowledged(); first != nil && op.Via > 0 && op.Deed != look {
			told[op.Via-1] = append(told[op.Via-1], first.told)
		}
	}
	longest := make([]time.Duration, servers)
	for i, at := range told {
		slices.Sort(at)
		last := int64(0)
		for _, t := range append(at, end) {
			longest[i] = max(longest[i], time.Duration(t-last))
			last = t
		}
	}
	return longest
}

// leases adds what leases took and, by the clock alone, gave back. A lease that nobody heard of may or may not exist, so
// it excuses refusals for as long as it may.
func (v *verdict) leases(ops []*operation, used map[string]bool, began int64) {
	for _, op := range ops {
		if op.Deed != lease {
			continue
		}
		switch t := op.tries[0]; t.outcome {
		case done:
			v.note(op.To.slots(), take, t.sent, t.told, op)
			if !used[op.name] {
				lapse := t.expireSec*int64(time.Second) - began
				v.note(op.To.slots(), release, lapse-int64(lapseEarly), lapse+int64(lapseLate), op)
			}
		case refused:
			v.note(op.To.slots(), isFull, t.sent, t.told, op)
		}
	}
	for _, op := range ops {
		if op.Deed != lease || op.tries[0].outcome != unknown {
			continue
		}
		from := op.tries[0].sent
		until := from + int64(patience+leaseLife+lapseLate)
		for _, slot := range op.To.slots() {
			v.histories[slot] = slices.DeleteFunc(v.histories[slot], func(e entry) bool {
				return e.step == isFull && e.end >= from && e.call <= until
			})
		}
	}
}

func without(all, some []int) []int {
	return slices.DeleteFunc(slices.Clone(all), func(n int) bool { return slices.Contains(some, n) })
}

// linearize asks porcupine whether each slot's history could have happened one step after the other, and returns how
// many histories it could not decide.
func (v *verdict) linearize(limit time.Duration) (undecided int) {
	for _, slot := range sortedKeys(v.histories) {
		room := capacity(slot / slotsPerLane)
		switch porcupine.CheckOperationsTimeout(slotModel(room), operations(v.histories[slot]), limit) {
		case porcupine.Illegal:
			v.accuse("not linearizable", "slot %d with room for %d, %d steps", slot, room, len(v.histories[slot]))
		case porcupine.Unknown:
			undecided++
		}
	}
	return undecided
}
