package booking

import (
	"errors"
	"fmt"

	"holdfast/inventory"
)

// vacate puts a booking into a state in which it holds no room.
func vacate(tx Tx, b Booking, state State, e Event) (Booking, error) {
	if err := inventory.Move(tx, b.ID, tx.Holds(b.ID), nil); err != nil {
		return b, fmt.Errorf("give back room: %w", err)
	}
	next := b
	next.State = state
	return putNext(tx, b, next, e)
}

// putNext writes the next version of a booking, unless it is no different.
func putNext(tx Tx, b, next Booking, e Event) (Booking, error) {
	if e.Action != Erased {
		next.ErasedSec = 0 // what we write now must be erased again later
	}
	was, is, err := difference(b, next)
	if err != nil {
		return b, err
	}
	if string(was) == "{}" && string(is) == "{}" {
		return b, nil
	}
	if e.Actor == "" {
		return b, errors.New("a change that nobody made")
	}
	next.Version++
	e.Before, e.After = was, is
	tx.PutBooking(next, e)
	return next, nil
}
