package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type pruneCommand struct {
	Keep time.Duration `default:"720h" help:"How long after its start a slot that nobody has booked is kept; 720h are 30 days. (${default})"`
}

func (cmd *pruneCommand) Help() string {
	return `Deletes the slots that started so long ago and that nobody has booked or blocked:
what feeds have published and nobody wanted. Bookings stay, and so do their
slots. It works in small transactions, also while serving; broken off, run it
again. Run it daily.`
}

func (cmd *pruneCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	if cmd.Keep < 0 {
		return errors.New("--keep must not be below zero")
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	tell := c.progress()
	pruned, err := newService(db).Prune(ctx, cmd.Keep, func(pruned int) { tell("deleted: slots %d", pruned) })
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "deleted: slots %d\n", pruned)
	return err
}
