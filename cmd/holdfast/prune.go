package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

type pruneCommand struct {
	Keep time.Duration `default:"720h" help:"How long to keep unbooked slots after they start; 720h is 30 days. (${default})"`
}

func (cmd *pruneCommand) Help() string {
	return `Deletes slots that started so long ago and that nobody has booked or blocked: most
of what feeds publish. Bookings and their slots stay. It works in small
transactions, also while serving; if it is interrupted, run it again. Run it daily.`
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
