package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/archive"
	"holdfast/booking"
	"holdfast/inventory"
	"holdfast/letters"
)

type archiveCommand struct {
	Run  archiveRunCommand  `cmd:"" default:"withargs" help:"Move bookings that ended long ago, and whose guests were erased, from the database to compressed files. This is what archive does without a subcommand."`
	Show archiveShowCommand `cmd:"" help:"Show the bookings in such files."`
}

func (cmd *archiveCommand) Help() string { return "holdfast archive run --help lists the flags." }

type archiveRunCommand struct {
	Dir         string        `placeholder:"DIR" type:"path" help:"Where to write the files. It is made, for its owner alone, if it is not there. Required, but with --dry-run."`
	After       time.Duration `default:"9600h" help:"How long a booking stays after its visit; 9600h is 400 days. Not shorter than --keep-tokens. (${default})"`
	KeepTokens  time.Duration `default:"720h" help:"How long a booking stays after its last idempotency token was claimed, because a retry may still come; 720h is 30 days. (${default})"`
	Undelivered bool          `help:"Also archive bookings with changes that were not reported to others. This release reports none, so nothing is archived without this flag."`
	DryRun      bool          `help:"Count what would be archived, and write nothing."`
	Vacuum      bool          `help:"Then VACUUM, so that new rows can use the room at once. On SQLite it rewrites the file, which becomes smaller, and nobody can book meanwhile."`
}

func (cmd *archiveRunCommand) Help() string {
	return `Writes bookings that ended so long ago, with their history, to compressed files in
--dir that only their owner can read, and then deletes them from the database. Only
bookings that retain or erase has erased go, so no archive outlives an erasure; run
retain first. There is no way back into the database: archive show reads the files.

It works in small transactions, also while serving. If it is interrupted, it
finishes the file that it has written. If it is killed, run it again: nothing is
lost, and archive show tells of each booking once. Run it daily.`
}

func (cmd *archiveRunCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	rule, err := booking.NewArchival(time.Now(), cmd.After, cmd.KeepTokens, cmd.Undelivered)
	if err != nil {
		return err
	}
	if cmd.Dir == "" && !cmd.DryRun {
		return errors.New("--dir: name the directory to write to")
	}
	db, err := s.open(ctx)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	tell := c.progress()
	plan := archive.Plan{Dir: cmd.Dir, Rule: rule, DryRun: cmd.DryRun, Now: time.Now}
	done, err := archive.Run(ctx, db, plan, func(d archive.Done) { tell("archived: bookings %d, files %d", d.Bookings, d.Files) })
	said := fmt.Sprintf("archived: bookings %d, files %d, bytes %d\n", done.Bookings, done.Files, done.Bytes)
	if cmd.DryRun {
		said = fmt.Sprintf("would be archived: bookings %d\n", done.Bookings)
	}
	_, err2 := fmt.Fprint(c.out, said, stayed(done))
	if err := errors.Join(err, err2); err != nil || cmd.DryRun {
		return err
	}
	return vacuum{cmd.Vacuum}.wipe(ctx, db)
}

// stayed says what has ended and stays, in a line, or nothing.
func stayed(done archive.Done) string {
	var parts []string
	for why, n := range done.Stay {
		parts = append(parts, fmt.Sprintf("%s %d", why, n))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return "stayed: " + strings.Join(parts, ", ") + "\n"
}

type archiveShowCommand struct {
	Files   []string `arg:"" name:"file" type:"path" help:"Files that archive has written."`
	Booking string   `placeholder:"ID" help:"Only this booking, with its history; by booking_id or scheduleId."`
	JSON    bool     `help:"Print every line of the files as a JSON value: bookings, tokens, and events."`
}

func (cmd *archiveShowCommand) Help() string {
	return `Lists the bookings in the files, with times in UTC. It needs no database. A booking
that several of the files have, because a run was killed, is shown once, as it was
last. If a file is damaged, what was whole before the damage is shown, and the exit
status is 1.`
}

// printedAtOnce is how many lines of a table are printed together: they are as wide as
// the widest of them.
const printedAtOnce = 1000

func (cmd *archiveShowCommand) Run(ctx context.Context, c *console) error {
	id, _ := uuid.Parse(cmd.Booking)
	schedule := inventory.PlainID(cmd.Booking)
	want := func(b *archive.Booking) bool {
		return cmd.Booking == "" || b.ID == id || b.ScheduleID == schedule
	}
	tell, read := c.progress(), 0
	counted := func(b *archive.Booking) bool {
		read++
		tell("read: bookings %d", read)
		return want(b)
	}
	var list table
	show := func(l archive.Line, whole *archive.Booking) error {
		switch {
		case cmd.JSON:
			return letters.WriteJSON(c.out, l)
		case cmd.Booking != "" && l.Event != nil:
			if err := list.archived(l.Event); err != nil {
				return err
			}
		case whole != nil:
			list.row(whole.ID.String(), whole.MerchantID, inventory.Period(whole.StartSec, whole.EndSec, time.UTC), whole.ServiceID, string(whole.State))
		}
		return nil
	}
	if cmd.Booking == "" {
		list.row("BOOKING", "MERCHANT", "TIME", "SERVICE", "STATE")
	} else {
		list.row("TIME", "WHO", "WHAT", "MEMBER", "BEFORE", "AFTER")
	}
	shown := 0
	err := archive.Each(ctx, cmd.Files, counted, func(l archive.Line, whole *archive.Booking) error {
		if whole != nil {
			shown++
		}
		if err := show(l, whole); err != nil {
			return err
		}
		if len(list.lines) < printedAtOnce {
			return nil
		}
		return list.flush(c.out)
	})
	if !cmd.JSON {
		err = errors.Join(list.print(c.out), err)
	}
	if err == nil && cmd.Booking != "" && shown == 0 {
		err = fmt.Errorf("there is no booking %q in these files: it is named by its booking_id or its scheduleId", cmd.Booking)
	}
	return err
}

// archived adds the lines of an event.
func (t *table) archived(e *archive.Event) error {
	return t.change(change{
		Version: int(e.Version), At: time.Unix(e.AtSec, 0).UTC(), Actor: e.Actor, KeyID: e.KeyID, Action: e.Action, Before: e.Before, After: e.After,
	}, time.UTC)
}
