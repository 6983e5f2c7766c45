// Command holdfast is the booking server and everything around it: one binary that serves both channels,
// loads catalogues and feeds, lists who is coming, and checks that no promise is broken. This package reads
// the settings, wires the packages together and stops them cleanly; it decides nothing.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
	_ "time/tzdata" // clinics' time zones, wherever the binary runs

	"github.com/alecthomas/kong"
	"github.com/google/uuid"

	"holdfast/booking"
	"holdfast/storage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// settings belong to every command. Each is a flag and an environment variable.
type settings struct {
	Database     string        `default:"holdfast.db" placeholder:"FILE|postgres://…" help:"SQLite file, or URL of a PostgreSQL database. (${default})"`
	DatabaseWait time.Duration `default:"30s" help:"How long to wait for a PostgreSQL that accepts writes, if there is none yet because it is starting or failing over; 0 does not wait. (${default})"`
	LogFormat    string        `default:"text" enum:"text,json" help:"The format of log lines on standard error: text or json. (${default})"`

	log *slog.Logger
}

type commands struct {
	settings

	Serve     serveCommand     `cmd:"" help:"Serve Google's Booking Server API and the clinic Open API."`
	Health    healthCommand    `cmd:"" help:"Ask a server on this machine whether it runs; exit 1 if not."`
	Import    importCommand    `cmd:"" help:"Load catalogues (YAML or JSON) and Google feeds (JSON, plain or gzip), also while serving."`
	FeedReset feedResetCommand `cmd:"" help:"Forget which feed of a kind was loaded last, so that the next one is accepted."`
	Key       keyCommand       `cmd:"" help:"Create, list, replace and revoke API keys of clinics."`
	Bookings  bookingsCommand  `cmd:"" help:"Show who is coming."`
	Booking   bookingCommand   `cmd:"" help:"Confirm, decline or cancel a booking, record a no-show, or show its history."`
	Prune     pruneCommand     `cmd:"" help:"Delete past slots that nobody booked."`
	Retain    retainCommand    `cmd:"" help:"Erase the personal data of guests whose visits were long ago."`
	Erase     eraseCommand     `cmd:"" help:"Erase the personal data of one person."`
	Archive   archiveCommand   `cmd:"" help:"Move old, erased bookings to compressed files, and show those."`
	Backup    backupCommand    `cmd:"" help:"Write a copy of an SQLite database to a new file, also while serving."`
	Copy      copyCommand      `cmd:"" help:"Copy everything from SQLite to PostgreSQL, or back, and close the source."`
	Doctor    doctorCommand    `cmd:"" help:"Look for what is refused or doubtful in settings, database, replication, clocks, disks and secrets."`
	Verify    verifyCommand    `cmd:"" help:"Check every invariant on the live database; exit 1 if one is broken."`
	Conform   conformCommand   `cmd:"" help:"Rehearse Google's checks against any booking server; exit with the number of groups that failed."`
	Sandbox   sandboxCommand   `cmd:"" help:"Be a Google to try against: accept real-time updates, book as a guest, and show where both sides differ."`
	Demo      demoCommand      `cmd:"" help:"Demonstrate everything on a fresh database: book, retry, compete, move, refuse, verify."`
}

// console is where a command writes: results to out, everything else to err.
type console struct {
	out io.Writer
	err io.Writer
	log *slog.Logger
}

// progress returns a function that prints a line of progress at most once a second.
func (c *console) progress() func(format string, args ...any) {
	said := time.Now()
	return func(format string, args ...any) {
		if now := time.Now(); now.Sub(said) >= time.Second {
			said = now
			fmt.Fprintf(c.err, format+"\n", args...)
		}
	}
}

// operator is who gives the commands of this program.
var operator = booking.By{Actor: booking.ByOperator}

// run is the program. main adds signals; tests call run directly. It returns the exit status.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var cli commands
	status := -1
	parser, err := kong.New(&cli,
		kong.Name("holdfast"),
		kong.Description("A booking partner backend: Google's Booking Server API v3 and a clinic's Open API on one inventory that never sells a place twice.\n\n"+
			"Every flag is also an environment variable: --database is HOLDFAST_DATABASE. Those for traces have OpenTelemetry's names."),
		kong.DefaultEnvars("HOLDFAST"),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { status = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "holdfast:", err)
		return 2
	}
	parsed, err := parser.Parse(args)
	if status >= 0 { // --help
		return status
	}
	if err != nil {
		fmt.Fprintf(stderr, "holdfast: %v\nTry holdfast --help.\n", err)
		return 2
	}
	var handler slog.Handler = slog.NewTextHandler(stderr, nil)
	if cli.LogFormat == "json" {
		handler = slog.NewJSONHandler(stderr, nil)
	}
	c := &console{out: stdout, err: stderr, log: slog.New(handler)}
	cli.log = c.log
	if err := parsed.Run(&cli.settings, c, settlementOf[parsed.Command()]); err != nil {
		var quiet exitStatus
		if errors.As(err, &quiet) {
			return int(quiet)
		}
		fmt.Fprintln(stderr, "holdfast:", err)
		return 1
	}
	return 0
}

// exitStatus is an error that has been printed already.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

// open opens the database that the settings name.
func (s *settings) open(ctx context.Context) (*storage.DB, error) {
	return storage.Open(ctx, s.Database, s.options())
}

// options returns the options with which every command opens the database.
func (s *settings) options() storage.Options {
	return storage.Options{Wait: s.DatabaseWait, Warn: func(message string) { s.log.Warn("database", "message", message) }}
}

// newService returns the booking service with the real time and real ids.
func newService(db *storage.DB) *booking.Service {
	return &booking.Service{Store: db, Now: time.Now, NewID: func() uuid.UUID { return uuid.Must(uuid.NewV7()) }}
}

// closing closes the database and adds the error of that to err.
func closing(db *storage.DB, err *error) { *err = errors.Join(*err, db.Close()) }
