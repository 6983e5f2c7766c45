// Command bench measures the real server. It starts a PostgreSQL of its own with fsync on, loads it, runs `holdfast serve` as a
// process of its own, books over HTTP and checks every answer. In short alternating rounds on the same database, pgbench runs
// textbook transactions that write the same rows. At the end `holdfast verify` checks every database. A wrong answer, a lost
// booking or a broken invariant fails the run.
//
// docs/performance.md says what each figure means.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/storage/storagetest"
)

// options are the settings of a run.
type options struct {
	clients  int
	rounds   int // pairs of each comparison
	round    time.Duration
	slots    int   // loaded for the comparison with pgbench
	sizes    []int // slots of the databases of growth
	sections []string
	protocol string // pgbench's -M
	chart    string // where to write the SVG; "": nowhere
}

func (o options) wants(section string) bool { return slices.Contains(o.sections, section) }

var allSections = []string{"pairs", "paced", "race", "sqlite", "clients", "methods", "growth"}

func parse(args []string) (options, error) {
	var o options
	var sizes, sections string
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.clients, "clients", 64, "connections of the load, and of pgbench")
	f.IntVar(&o.rounds, "pairs", 9, "pairs of rounds in each comparison")
	f.DurationVar(&o.round, "round", 3*time.Second, "length of a round; pgbench's is rounded up to seconds")
	f.IntVar(&o.slots, "slots", 100_000, "slots loaded for the comparison with pgbench")
	f.StringVar(&sizes, "growth", "10000,1000000,10000000", "slots of the databases compared for growth")
	f.StringVar(&sections, "only", strings.Join(allSections, ","), "what to measure")
	f.StringVar(&o.protocol, "protocol", "prepared", "how pgbench sends statements: simple, extended or prepared")
	f.StringVar(&o.chart, "chart", "", "where to write the chart (SVG)")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	o.sections = strings.Split(sections, ",")
	for _, s := range o.sections {
		if !slices.Contains(allSections, s) {
			return o, fmt.Errorf("-only: there is no %q, only %s", s, strings.Join(allSections, ", "))
		}
	}
	if o.clients < 1 || o.rounds < 1 || o.round <= 0 {
		return o, errors.New("-clients, -pairs and -round must be above zero")
	}
	for s := range strings.SplitSeq(sizes, ",") {
		n, err := strconv.Atoi(s)
		if err != nil {
			return o, fmt.Errorf("-growth: %w", err)
		}
		o.sizes = append(o.sizes, n)
	}
	return o, nil
}

func main() {
	o, err := parse(os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, o, os.Stdout)
		stop()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is a run.
type bench struct {
	options
	dir     string
	binary  string
	admin   string // URL of the PostgreSQL server
	figures figures
}

// run measures what the options ask for and prints it. It leaves nothing behind, however it ends.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	// The bench could neither start nor measure somebody else's server.
	if err := os.Unsetenv("TEST_POSTGRES_URL"); err != nil {
		return err
	}
	b := &bench{options: o}
	if b.dir, err = os.MkdirTemp("", "holdfast-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	note("building holdfast")
	b.binary = filepath.Join(b.dir, "holdfast")
	if err := build(ctx, b.binary); err != nil {
		return err
	}
	note("starting PostgreSQL")
	buffers, err := quarterOfMemory()
	if err != nil {
		return err
	}
	admin, stop, err := storagetest.StartPostgres("shared_buffers=" + buffers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	b.admin = admin
	if err := b.measureAll(ctx); err != nil {
		return errors.Join(ctx.Err(), err) // report an interruption first
	}
	return b.report(ctx, out)
}

func (b *bench) measureAll(ctx context.Context) error {
	for _, part := range []struct {
		sections []string
		measure  func(context.Context) error
	}{
		{[]string{"pairs", "paced", "race"}, b.loaded},
		{[]string{"sqlite", "clients", "methods"}, b.fresh},
		{[]string{"growth"}, b.growth},
	} {
		if slices.ContainsFunc(part.sections, b.wants) {
			if err := part.measure(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// loaded is what is measured on a loaded PostgreSQL.
func (b *bench) loaded(ctx context.Context) (err error) {
	s, err := b.open(ctx, "PostgreSQL", newStock(b.slots, true, time.Now()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close(ctx, s)) }()
	if err := s.call.unlock(ctx, s.server); err != nil {
		return err
	}
	if b.wants("race") {
		if err := b.race(ctx, s); err != nil {
			return err
		}
	}
	if b.wants("pairs") {
		if err := b.pairs(ctx, s); err != nil {
			return err
		}
		if b.wants("paced") {
			return b.paced(ctx, s)
		}
	}
	return nil
}

// fresh is what is measured on both databases, with only the catalogue loaded.
func (b *bench) fresh(ctx context.Context) (err error) {
	var sites []*site
	defer func() {
		for _, s := range sites {
			err = errors.Join(err, b.close(ctx, s))
		}
	}()
	for _, name := range []string{sqlite, "PostgreSQL, empty"} {
		s, err := b.open(ctx, name, newStock(0, false, time.Now()))
		if err != nil {
			return err
		}
		sites = append(sites, s)
	}
	if b.wants("sqlite") {
		if err := b.embedded(ctx, sites[0], sites[1]); err != nil {
			return err
		}
	}
	for _, s := range sites {
		if b.wants("race") {
			if err := b.race(ctx, s); err != nil {
				return err
			}
		}
		if b.wants("clients") {
			if err := b.perClients(ctx, s); err != nil {
				return err
			}
		}
		if b.wants("methods") {
			if err := b.perMethod(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}
