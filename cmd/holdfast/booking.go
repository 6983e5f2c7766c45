package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"holdfast/booking"
)

// bookingCommand carries out the merchant's decisions on single bookings.
type bookingCommand struct {
	Confirm settleCommand `cmd:"" help:"Confirm a booking that waits for the merchant."`
	Decline settleCommand `cmd:"" help:"Decline a booking that waits for the merchant, and free its place."`
	Cancel  settleCommand `cmd:"" help:"Cancel a booking for the merchant, and free its place."`
	NoShow  settleCommand `cmd:"" help:"Record that the guest did not come, and free the place."`
	Refund  refundCommand `cmd:"" help:"Record that the guest's prepayment was refunded. Moves no money."`

	History historyCommand `cmd:"" help:"Show who changed what in a booking, and when."`
}

// named is a booking by its name.
type named struct {
	ID string `arg:"" help:"The booking_id."`
}

type (
	settleCommand struct{ named }
	refundCommand struct{ named }
)

// settlementOf maps subcommands to settlements.
var settlementOf = map[string]booking.Settlement{
	"booking confirm <id>": booking.Confirm,
	"booking decline <id>": booking.Decline,
	"booking cancel <id>":  booking.CallOff,
	"booking no-show <id>": booking.Missed,
}

func (cmd *settleCommand) Run(ctx context.Context, s *settings, c *console, as booking.Settlement) error {
	b, err := cmd.change(ctx, s, func(service *booking.Service, id uuid.UUID) (booking.Booking, error) {
		return service.Settle(ctx, operator, id, as)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s %s\n", b.ID, b.State)
	return err
}

func (cmd *refundCommand) Run(ctx context.Context, s *settings, c *console) error {
	b, err := cmd.change(ctx, s, func(service *booking.Service, id uuid.UUID) (booking.Booking, error) {
		return service.Refund(ctx, operator, id)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s %s\n", b.ID, b.Payment.PrepaymentStatus)
	return err
}

// change runs an operation on the booking, and puts a refusal into words.
func (n *named) change(ctx context.Context, s *settings, f func(*booking.Service, uuid.UUID) (booking.Booking, error)) (b booking.Booking, err error) {
	id, err := uuid.Parse(n.ID)
	if err != nil {
		return b, fmt.Errorf("%q is no booking_id: that is a UUID", n.ID)
	}
	db, err := s.open(ctx)
	if err != nil {
		return b, err
	}
	defer closing(db, &err)
	b, err = f(newService(db), id)
	var unknown *booking.Invalid
	var refused *booking.Failure
	switch {
	case errors.As(err, &unknown):
		return b, fmt.Errorf("there is no booking %s", id)
	case errors.As(err, &refused):
		return b, errors.New(refused.Detail)
	}
	return b, err
}
