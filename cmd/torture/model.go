package main

import "github.com/anishathalye/porcupine"

// step is what happens in the history of one slot.
type step string

const (
	take    step = "take"
	release step = "release"
	isFull  step = "full" // a refusal, or availability: no room
	isFree  step = "free" // availability: room
)

// entry is one step of a slot's history. It happened at some moment between call and end.
type entry struct {
	step
	call, end int64 // nanoseconds since the round began
	op        string
}

// slotModel is how a slot with room for capacity behaves if everything happens one after the other: it is never oversold,
// and nobody is refused while it has room.
func slotModel(capacity int) porcupine.Model {
	return porcupine.Model{
		Init: func() any { return 0 },
		Step: func(state, input, _ any) (bool, any) {
			taken := state.(int)
			switch input.(step) {
			case take:
				return taken < capacity, taken + 1
			case release:
				return taken > 0, taken - 1
			case isFull:
				return taken == capacity, taken
			default:
				return taken < capacity, taken
			}
		},
	}
}

func operations(history []entry) []porcupine.Operation {
	ops := make([]porcupine.Operation, len(history))
	for i, e := range history {
		ops[i] = porcupine.Operation{ClientId: i, Input: e.step, Call: e.call, Return: e.end}
	}
	return ops
}
