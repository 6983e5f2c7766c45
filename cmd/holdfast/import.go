package main

import (
	"context"
	"errors"
	"fmt"

	"holdfast/importer"
	"holdfast/storage"
)

type importCommand struct {
	Files  []string `arg:"" name:"file" help:"Catalogues and feeds, in any order; what each is, is recognised by its content. All shards of a feed go into one import."`
	DryRun bool     `help:"Show what would be added, changed and removed, and which visits it affects, and write nothing."`

	AllowWithdraw bool `help:"Take a complete feed also if it is empty, or withdraws more than half of what is on sale."`
}

func (cmd *importCommand) Help() string {
	return `Each file is checked whole before a row of it is written; everything that is
wrong with it is reported at once, each with its path. What is written takes
effect at once, also in servers that are running, and an import that was
interrupted is simply run again.

A complete Google feed replaces what earlier feeds made and nothing else: the
clinics of a catalogue are never touched by it. Slots that are no longer in it
are withdrawn, their bookings stay. One that is empty, or that would withdraw more
than half of what is on sale, is most likely a mistake, and is refused without
--allow-withdraw.

Visits to come that a clinic's new catalogue does not provide for are listed by
their schedule id, with the reasons: over capacity, group or zone gone, zone
switched off, closed at that time, doctor gone or not at work. They stay. Of times
at which a group opens and none of its slots starts there is a warning.`
}

func (cmd *importCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	i := &importer.Importer{
		Service: newService(db), DB: db, By: operator, AllowWithdraw: cmd.AllowWithdraw, Out: c.out, Warn: c.err, Progress: c.progress,
	}
	if cmd.DryRun {
		return i.Preview(ctx, cmd.Files)
	}
	if err := i.Load(ctx, cmd.Files); err != nil {
		return err
	}
	// A catalogue may have banned somebody whom this one does not name any more.
	err = db.Wipe(ctx, false)
	if errors.Is(err, storage.ErrNotWiped) {
		fmt.Fprintln(c.err, "imported, but what it replaced:", err)
		return nil
	}
	return err
}
