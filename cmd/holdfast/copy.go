package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"holdfast/storage"
)

type copyCommand struct {
	From   string `required:"" placeholder:"FILE|postgres://…" help:"The database to copy: an SQLite file, or the URL of a PostgreSQL database."`
	To     string `xor:"to" required:"" placeholder:"FILE|postgres://…" help:"An empty database. An SQLite file is created."`
	Cancel bool   `xor:"to" required:"" help:"Give up a copy that was broken off: servers on --from accept bookings again."`
}

func (cmd *copyCommand) Help() string {
	return `Copies everything from SQLite to PostgreSQL, or back, and checks it: the command
reads every copied row again and compares counts and digests, then checks every
invariant. It uses --from and --to instead of --database. Prefer the environment
variables HOLDFAST_FROM and HOLDFAST_TO for URLs with passwords: others on the
machine can see arguments.

From the moment the copy begins, servers on the source answer 503 to whatever
changes something; queries go on. So nothing acknowledged is missing from the copy.
When the copy is complete, the source is closed for good: servers on it answer 503
to everything, and commands refuse. Now start servers on the new database.

If the copy fails or is interrupted, the source accepts bookings again. If the
command is killed, give it again, or --cancel it.`
}

func (cmd *copyCommand) Run(ctx context.Context, s *settings, c *console) error {
	if cmd.Cancel {
		if err := storage.CancelCopy(ctx, cmd.From, s.options()); err != nil {
			return fmt.Errorf("cancel: %w", err)
		}
		_, err := fmt.Fprintln(c.out, "canceled: the database accepts bookings again")
		return err
	}
	tell := c.progress()
	begun := time.Now()
	copied, err := storage.Copy(ctx, cmd.From, cmd.To, s.options(), func(doing string, rows int64) {
		if rows == 0 {
			tell("%s", doing)
			return
		}
		tell("%s, %d rows, after %.0f s", doing, rows, time.Since(begun).Seconds())
	})
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	var t table
	t.row("TABLE", "ROWS", "DIGEST")
	rows := int64(0)
	for _, one := range copied {
		t.row(one.Name, fmt.Sprint(one.Rows), one.Digest)
		rows += one.Rows
	}
	if err := t.print(c.out); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "copied and compared: rows %d; the source is closed\n", rows)
	return err
}

// leftDatabase knows whether a server's database has been copied to another one, which replaces it.
type leftDatabase struct {
	why atomic.Pointer[storage.CopiedError]
}

func (l *leftDatabase) closed() error {
	if why := l.why.Load(); why != nil {
		return why
	}
	return nil
}

// watch polls the database. It ignores errors, because requests run into them, too.
func (l *leftDatabase) watch(ctx context.Context, db *storage.DB, log *slog.Logger) {
	for {
		var why *storage.CopiedError
		if errors.As(db.Copied(ctx), &why) {
			l.why.Store(why)
			log.Error("serving nothing any more", "reason", why.Error())
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(storage.CopiedEvery):
		}
	}
}
