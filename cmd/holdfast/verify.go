package main

import (
	"context"
	"fmt"
	"holdfast/letters"
)

type verifyCommand struct {
	JSON bool `help:"Print the broken rows as a JSON array."`
}

// Run exits with 1 if an invariant is broken.
func (cmd *verifyCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	checked := 0
	broken, err := db.Verify(ctx, func(invariant string) {
		checked++
		if !cmd.JSON {
			fmt.Fprintln(c.err, "checking that", invariant)
		}
	})
	if err != nil {
		return err
	}
	if cmd.JSON {
		if err := letters.WriteJSON(c.out, broken); err != nil {
			return err
		}
	} else {
		for _, v := range broken {
			fmt.Fprintf(c.out, "BROKEN: %s: %s\n", v.Invariant, letters.Shown(v.Row))
		}
		if len(broken) == 0 {
			fmt.Fprintf(c.out, "%d invariants hold\n", checked)
		}
	}
	if len(broken) > 0 {
		return exitStatus(1)
	}
	return nil
}
