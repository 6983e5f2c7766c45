package main

import (
	"context"
	"fmt"
	"os"

	"holdfast/storage"
)

type backupCommand struct {
	File string `arg:"" type:"path" help:"Where to write the copy: a file that does not exist yet."`
}

func (cmd *backupCommand) Help() string {
	return `Writes a copy of the SQLite database as it is at one moment, checks it, and gives
it its name only when it is complete and on disk. Servers go on meanwhile. The
database is not migrated, so this is what to run before an upgrade. Only its owner
can read the file: it has guests' names in it.

PostgreSQL has pg_dump for this: docs/operations.md has the commands.`
}

func (cmd *backupCommand) Run(ctx context.Context, s *settings, c *console) error {
	if err := storage.Backup(ctx, s.Database, cmd.File); err != nil {
		return err
	}
	written, err := os.Stat(cmd.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %d bytes\n", cmd.File, written.Size())
	return err
}
