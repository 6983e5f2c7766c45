package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"holdfast/booking"
	"holdfast/storage"
)

type feedResetCommand struct {
	Kind storage.FeedKind `arg:"" enum:"merchants,services,availability" help:"merchants, services or availability."`
}

func (cmd *feedResetCommand) Help() string {
	return `An import refuses a feed that is older than the last complete one of its kind. If
that one was dated in the future, every later feed is refused; this command is the
way out. It changes nothing that is on sale and no booking. Import a complete feed
next: it withdraws what it leaves out, whichever feed brought it.`
}

func (cmd *feedResetCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	was, err := db.ResetFeed(ctx, cmd.Kind, time.Now().Unix())
	if errors.Is(err, booking.ErrNotFound) {
		return fmt.Errorf("no complete %s feed has been loaded", cmd.Kind)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "forgot the %s feed that was generated at %d (%s)\n", cmd.Kind, was.GenerationSec, time.Unix(was.GenerationSec, 0).UTC().Format(time.RFC3339))
	return err
}
