package main

import (
	"context"
	"errors"
	"fmt"

	"holdfast/importer"
	"holdfast/storage"
)

type importCommand struct {
	Files  []string `arg:"" name:"file" help:"Catalogues and feeds, in any order; their content shows which is which. Import all shards of a feed together."`
	DryRun bool     `help:"Show what the import would add, change and remove, and which visits it affects, and write nothing."`

	AllowWithdraw bool `help:"Accept a complete feed that is empty, or that withdraws more than half of what is on sale."`
}

func (cmd *importCommand) Help() string {
	return `Checks all of a file before it writes a row of it, and reports all errors at once,
each with its path. Changes take effect at once, also in running servers. If an
import is interrupted, run it again.

A complete Google feed replaces what earlier feeds made and nothing else: it never
touches the clinics of a catalogue. Slots that are no longer in it are withdrawn;
their bookings stay. A feed that is empty, or that would withdraw more than half of
what is on sale, is most likely a mistake, and needs --allow-withdraw.

The import lists upcoming visits that no longer fit a clinic's new catalogue by
their schedule id, with the reasons: over capacity, group or zone gone, zone
switched off, closed at that time, doctor gone or not at work. They stay. It
also warns of opening times at which no slot starts.`
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
	// The previous catalogue may have banned somebody whom this one no longer names.
	err = db.Wipe(ctx, false)
	if errors.Is(err, storage.ErrNotWiped) {
		fmt.Fprintln(c.err, "imported, but what it replaced:", err)
		return nil
	}
	return err
}
