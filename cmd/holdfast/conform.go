package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"holdfast/conform"
	"holdfast/letters"
)

type conformCommand struct {
	URL          string        `arg:"" help:"Where the server is, like https://api.example.com/google: /v3/… is appended."`
	Credentials  string        `required:"" placeholder:"USER:PASSWORD" help:"What the server is called with. Prefer the environment variable: arguments can be seen by others on the machine."`
	Feed         []string      `required:"" type:"path" placeholder:"FILE" help:"The availability feed that the server has, all its shards, plain or gzip."`
	JSON         bool          `help:"Print the report as JSON."`
	Groups       []string      `placeholder:"GROUP" help:"Rehearse these only: health, auth, availability, create, replay, tokens, race, retry, list, status, reschedule, cancel, readiness, formats, latency."`
	GuestsPrefix string        `default:"conform" help:"What user ids and email addresses of the made-up guests begin with. (${default})"`
	Timeout      time.Duration `default:"10s" help:"How long to wait for an answer. (${default})"`
}

func (cmd *conformCommand) Help() string {
	return `Sends what Google sends while it decides whether a booking server is ready, holds
every answer against Google's rules, and prints what is wrong and how to repair
it. The server may be any that speaks the Booking Server API v3.

It books slots of the feed that lie in the future, for made-up guests at
example.com, and cancels every booking again, also after Ctrl-C. Use it on a
sandbox. Nothing is sent to any other host. The --database setting is not touched.

The exit status is the number of groups that failed, at most 100; 101 if the
rehearsal could not begin or was interrupted, and 2 if the arguments are wrong.`
}

// What the exit status says.
const (
	mostFailedGroups = 100
	notRehearsed     = 101
)

// Run exits with the number of groups that failed.
func (cmd *conformCommand) Run(ctx context.Context, c *console) error {
	report, err := cmd.rehearse(ctx, c)
	if err != nil {
		fmt.Fprintln(c.err, "holdfast:", err)
		return exitStatus(notRehearsed)
	}
	if cmd.JSON {
		err = letters.WriteJSON(c.out, report)
	} else {
		_, err = fmt.Fprint(c.out, letters.ShownLines(report.Text())) // it repeats what another server said
	}
	failed := report.Count(conform.Failed)
	switch {
	case err != nil:
		return err
	case report.Interrupted:
		return exitStatus(notRehearsed)
	case failed > 0:
		return exitStatus(min(failed, mostFailedGroups))
	}
	return nil
}

func (cmd *conformCommand) rehearse(ctx context.Context, c *console) (*conform.Report, error) {
	feed, err := conform.ReadFeed(ctx, cmd.Feed, time.Now())
	if err != nil {
		return nil, fmt.Errorf("--feed: %w", err)
	}
	return conform.Run(ctx, conform.Options{
		URL: cmd.URL, Credentials: cmd.Credentials, Feed: feed,
		Groups: cmd.Groups, GuestsPrefix: cmd.GuestsPrefix, Timeout: cmd.Timeout,
		Now:      time.Now,
		Progress: func(line string) { fmt.Fprintln(c.err, letters.Shown(strings.TrimSpace(line))) },
	})
}
