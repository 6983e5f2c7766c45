package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"holdfast/booking"
)

// bookingCommand is the merchant's word on single bookings.
type bookingCommand struct {
	Confirm settleCommand `cmd:"" help:"Confirm a booking that waits for the merchant's word."`
	Decline settleCommand `cmd:"" help:"Decline a booking that waits for the merchant's word; its room is free again."`
	Cancel  settleCommand `cmd:"" help:"Cancel a booking for the merchant; its room is free again."`
	NoShow  settleCommand `cmd:"" help:"Note that the guest did not come; the room is free again."`
}

type settleCommand struct {
	ID string `arg:"" help:"The booking_id."`
}

// settlementOf says what each subcommand means.
var settlementOf = map[string]booking.Settlement{
	"booking confirm <id>": booking.Confirm,
	"booking decline <id>": booking.Decline,
	"booking cancel <id>":  booking.CallOff,
	"booking no-show <id>": booking.Missed,
}

func (cmd *settleCommand) Run(ctx context.Context, s *settings, c *console, as booking.Settlement) (err error) {
	id, err := uuid.Parse(cmd.ID)
	if err != nil {
		return fmt.Errorf("%q is no booking_id: that is a UUID", cmd.ID)
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	b, err := newService(db).Settle(ctx, id, as)
	var unknown *booking.Invalid
	var refused *booking.Failure
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("there is no booking %s", id)
	case errors.As(err, &refused):
		return errors.New(refused.Detail)
	case err != nil:
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s %s\n", b.ID, b.State)
	return err
}
