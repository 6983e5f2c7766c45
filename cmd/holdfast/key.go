package main

import (
	"context"
	"errors"
	"fmt"

	"holdfast/booking"
)

type keyCommand struct {
	Create keyCreateCommand `cmd:"" help:"Print a new API key for a clinic, alone on standard output. It is stored hashed and cannot be shown again."`
}

type keyCreateCommand struct {
	Merchant string `required:"" placeholder:"ID" help:"The clinic's merchant id."`
}

func (cmd *keyCreateCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	key, err := newService(db).NewKey(ctx, cmd.Merchant)
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("--merchant: there is no clinic %q", cmd.Merchant)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.out, key)
	return err
}
