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
	URL          string        `arg:"" help:"The server's address, like https://api.example.com/google; /v3/… is appended."`
	Credentials  string        `required:"" placeholder:"USER:PASSWORD" help:"The credentials to call the server with. Prefer the environment variable: others on the machine can see arguments."`
	Feed         []string      `required:"" type:"path" placeholder:"FILE" help:"The availability feed that the server has loaded, all its shards, plain or gzip."`
	JSON         bool          `help:"Print the report as JSON."`
	Groups       []string      `placeholder:"GROUP" help:"Rehearse only these: health, auth, availability, create, replay, tokens, race, retry, list, status, reschedule, cancel, readiness, formats, latency."`
	GuestsPrefix string        `default:"conform" help:"The prefix of the test guests' user ids and email addresses. (${default})"`
	Timeout      time.Duration `default:"10s" help:"How long to wait for an answer. (${default})"`
}

func (cmd *conformCommand) Help() string {
	return `Sends what Google sends to decide whether a booking server is ready, compares every
answer with Google's rules, and prints what is wrong and how to fix it. It works
with any server that speaks the Booking Server API v3.

It books future slots of the feed for made-up guests at example.com, and cancels
every booking again, also after Ctrl-C. Use it on a sandbox. It sends nothing to
any other host, and does not use the --database setting.

The exit status is the number of groups that failed, at most 100; 101 if the
rehearsal could not start or was interrupted, and 2 if the arguments are wrong.`
}

// The exit statuses.
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
