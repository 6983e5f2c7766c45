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
	return `Writes a copy of the SQLite database as of one moment, checks it, and gives it its
name only when it is complete and on disk. Servers keep running. The command does
not migrate the database, so run it before an upgrade. Only the file's owner can
read it, because it contains guests' names.

For PostgreSQL use pg_dump: docs/operations.md has the commands.`
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
