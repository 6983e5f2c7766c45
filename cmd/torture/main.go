// Command torture tries to break the promises of a real server. Clients with a journal of their own book, move and
// cancel over HTTP, while a seeded nemesis kills the server and its database, cuts connections and swallows the answers
// to COMMITs. Afterwards the clients repeat every request with an unknown outcome until they know it, and the judge
// compares the answers with what is stored: nothing may be lost or doubled, nothing may exist that nobody asked for,
// `holdfast verify` must find nothing, and each slot's history must be possible one step after the other.
//
//	go run ./cmd/torture                                # a quick run on both databases
//	go run ./cmd/torture -operations 1000000 -blows 50  # a long one
//	go run ./cmd/torture -selftest                      # broken servers: each is caught
//	go run ./cmd/torture -databases postgres -trials patroni -blows 4  # a cluster under Patroni
//
// It needs PostgreSQL's programs and Linux. docs/reliability.md has the promises
// and what a run found.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are the command line's.
type options struct {
	seed              uint64
	operations, round int
	clients           int
	blows             float64
	limit             time.Duration
	databases, trials string
	dir               string
}

func main() {
	var o options
	selftest := flag.Bool("selftest", false, "run the proofs against broken servers and demand that each is caught")
	only := flag.String("only", "", "of the selftest: this variant alone")
	flag.Uint64Var(&o.seed, "seed", 0, "of everything that is random; 0 draws one")
	flag.IntVar(&o.operations, "operations", 12000, "for each database")
	flag.IntVar(&o.round, "round", 3000, "operations between two judgements")
	flag.IntVar(&o.clients, "clients", 24, "at the same time")
	flag.Float64Var(&o.blows, "blows", 1, "how often the nemesis strikes: 1 is 14 server kills, 6 database kills and 60 swallowed COMMITs")
	flag.DurationVar(&o.limit, "limit", 0, "end each database after so long; 0 is when the operations are done")
	flag.StringVar(&o.databases, "databases", "sqlite,postgres", "which")
	flag.StringVar(&o.trials, "trials", "rounds,disk,failover,upgrade", "which; failover and upgrade are of PostgreSQL, like patroni, which is also there")
	flag.StringVar(&o.dir, "dir", "", "where to keep the data; empty is a temporary directory, removed after a good run")
	flag.Parse()
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32)
	}
	run := torture
	if *selftest {
		run = func(ctx context.Context, o options) (bool, error) { return testSelf(ctx, o, *only) }
	}
	good, err := run(context.Background(), o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "torture:", err)
	}
	if err != nil || !good {
		os.Exit(1)
	}
}

// wants reports whether a trial was asked for.
func (o options) wants(trial string) bool {
	return slices.Contains(strings.Split(o.trials, ","), trial)
}

// workDir makes the run's directory. PostgreSQL's user must be able to pass through it, and its name must be short,
// because it contains a socket.
func workDir(o options) (string, error) {
	if o.dir != "" {
		return o.dir, os.MkdirAll(o.dir, 0o711) //nolint:gosec // see above
	}
	dir, err := os.MkdirTemp("", "holdfast-torture-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o711) //nolint:gosec // see above
}

// quick is what the nemesis does in a run of ordinary length.
var quick = map[blow]int{
	killServer: 4, dieAtPoint: 10, cutAnswer: 60, freezeServer: 2, takeOver: 2,
	swallowCommit: 60, killPostgres: 2, killBackend: 2, stopPostgres: 2, terminate: 6, exhaust: 2, lockTable: 2,
}

// torture runs everything and prints the report.
func torture(ctx context.Context, o options) (good bool, err error) {
	dir, err := workDir(o)
	if err != nil {
		return false, err
	}
	fmt.Fprintf(os.Stderr, "seed %d, data in %s\n", o.seed, dir)
	binary, err := build(".", dir, "faults")
	if err != nil {
		return false, err
	}
	rep := newReport()
	var errs []error
	var notRun []string
	for _, database := range strings.Split(o.databases, ",") {
		s := setup{name: database, dir: filepath.Join(dir, database), binary: binary, postgres: database == "postgres", servers: 1, seed: o.seed, report: rep}
		if s.postgres {
			s.servers = 2
		}
		if o.wants("rounds") {
			errs = append(errs, endure(ctx, o, s))
		}
		if o.wants("disk") {
			why, err := fullDisk(ctx, o, s)
			if why != "" {
				notRun = append(notRun, fmt.Sprintf("disk full on %s: %s", database, why))
			}
			errs = append(errs, err)
		}
		if s.postgres && o.wants("failover") {
			errs = append(errs, failovers(ctx, o, s))
		}
		if s.postgres && o.wants("upgrade") {
			errs = append(errs, upgrades(ctx, o, s))
		}
		if s.postgres && o.wants("patroni") {
			errs = append(errs, manage(ctx, o, s))
		}
	}
	err = errors.Join(errs...)
	head := fmt.Sprintf("seed %d, %s, %s, %s\n%d processors, %s, %s", o.seed, runtime.Version(), version("git", "describe", "--always", "--dirty"), postgresVersion(),
		runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly), time.Since(rep.began).Round(time.Second))
	for _, n := range notRun {
		head += "\nnot run: " + n
	}
	rep.print(os.Stdout, head)
	good = err == nil && !rep.guilty()
	if !good || o.dir != "" {
		fmt.Fprintln(os.Stderr, "the data are in", dir)
		return good, err
	}
	return good, os.RemoveAll(dir)
}

func version(program string, args ...string) string {
	out, err := exec.CommandContext(context.Background(), program, args...).Output()
	if err != nil {
		return program + " unknown"
	}
	return strings.TrimSpace(string(out))
}

func postgresVersion() string {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(found) == 0 {
		return "PostgreSQL unknown"
	}
	return version(found[len(found)-1], "--version")
}

// endure is one database's trial, round after round. The last round has no restarts, to see whether the server grows.
func endure(ctx context.Context, o options, s setup) (err error) {
	t, err := newTrial(ctx, s)
	if err != nil {
		return err
	}
	defer func() { t.report.ended(t); err = errors.Join(err, t.close()) }()
	n := max(2, o.operations/o.round)
	counts := share(quick, o.blows, n-1)
	started := time.Now()
	for i := range n {
		plan := rounds{operations: o.round, clients: o.clients, limit: time.Hour, counts: counts[min(i, n-2)]}
		plan.verify = i < 5 || i%5 == 0 || i == n-1 // not always: it reads everything, which grows with every round
		if o.limit > 0 {
			plan.limit = o.limit - time.Since(started)
		}
		if i == n-1 {
			plan.counts = map[blow]int{cutAnswer: 8, swallowCommit: 8, terminate: 2}
		}
		plan.counts = possible(plan.counts, s.postgres)
		if plan.limit <= 0 {
			break
		}
		if err := t.play(ctx, i+1, plan); err != nil {
			return fmt.Errorf("%s: round %d: %w", s.name, i+1, err)
		}
	}
	return nil
}

// share distributes the blows over n rounds.
func share(all map[blow]int, times float64, n int) []map[blow]int {
	dealt := make([]map[blow]int, n)
	for i := range dealt {
		dealt[i] = map[blow]int{}
	}
	at := 0
	for _, b := range sortedKeys(all) {
		for range int(float64(all[b])*times + 0.5) {
			dealt[at%n][b]++
			at++
		}
	}
	return dealt
}

func possible(counts map[blow]int, postgres bool) map[blow]int {
	can := map[blow]int{}
	for b, n := range counts {
		can[b] = n
	}
	if !postgres {
		for _, b := range needsPostgres {
			delete(can, b)
		}
	}
	return can
}

// fullDisk is a short trial on a file system of its own, which it fills. If it cannot run, it returns why.
func fullDisk(ctx context.Context, o options, s setup) (why string, err error) {
	s.name += ", disk full"
	s.dir += "-full"
	s.data = filepath.Join(s.dir, "disk")
	if err := os.MkdirAll(s.data, 0o711); err != nil { //nolint:gosec // PostgreSQL, another user, has to get through
		return "", err
	}
	if err := mountSmall(s.data, 256<<20); err != nil {
		return err.Error(), nil
	}
	defer func() { err = errors.Join(err, unmount(s.data)) }()
	s.settings = []string{"min_wal_size=32MB", "max_wal_size=64MB"}
	t, err := newTrial(ctx, s)
	if err != nil {
		return "", err
	}
	defer func() { t.report.ended(t); err = errors.Join(err, t.close()) }()
	return "", t.play(ctx, 1, rounds{operations: o.round, clients: o.clients, limit: time.Minute, verify: true, counts: map[blow]int{fillDisk: 3, killServer: 1}})
}

// failovers is a short trial with a standby, in which the primary dies twice.
func failovers(ctx context.Context, o options, s setup) (err error) {
	s.name += ", failover"
	s.dir += "-failover"
	s.standby = true
	t, err := newTrial(ctx, s)
	if err != nil {
		return err
	}
	defer func() { t.report.ended(t); err = errors.Join(err, t.close()) }()
	return t.play(ctx, 1, rounds{operations: o.round, clients: o.clients, limit: 2 * time.Minute, verify: true, counts: map[blow]int{failOver: 2, swallowCommit: 10, killServer: 1}})
}

// manage is a trial of a cluster under Patroni with three times o.blows rounds. Each has one blow, of one kind after the
// other.
func manage(ctx context.Context, o options, s setup) (err error) {
	s.name += ", Patroni"
	s.dir += "-patroni"
	s.patroni, s.servers = true, 2
	t, err := newTrial(ctx, s)
	if err != nil {
		return err
	}
	defer func() { t.report.ended(t); err = errors.Join(err, t.close()) }()
	events := []blow{switchOver, killNode, cutOff, killPrimary}
	for i := range int(3 * o.blows) {
		plan := rounds{clients: o.clients, limit: 5 * time.Minute, pause: 100 * time.Millisecond, unharmed: true, replay: true, verify: true, counts: map[blow]int{events[i%len(events)]: 1}}
		if err := t.play(ctx, i+1, plan); err != nil {
			return err
		}
	}
	return nil
}

// upgrades is a short trial of servers of the previous release, which this release's servers replace under load, one
// after the other. The first new one migrates the database.
func upgrades(ctx context.Context, o options, s setup) (err error) {
	s.name += ", upgrade"
	s.dir += "-upgrade"
	if err := os.MkdirAll(s.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL, another user, has to get through
		return err
	}
	if s.previous, err = buildPrevious(ctx, s.dir); err != nil {
		return err
	}
	t, err := newTrial(ctx, s)
	if err != nil {
		return err
	}
	defer func() { t.report.ended(t); err = errors.Join(err, t.close()) }()
	return t.play(ctx, 1, rounds{operations: o.round, clients: o.clients, limit: 2 * time.Minute, verify: true, counts: map[blow]int{upgrade: s.servers, swallowCommit: 10, cutAnswer: 10}})
}

// previousRelease names the commit of the previous release, from which an upgrade to this one needs no downtime.
const previousRelease = ".ci/previous-release"

// buildPrevious builds the server of the previous release.
func buildPrevious(ctx context.Context, dir string) (binary string, err error) {
	text, err := os.ReadFile(previousRelease)
	if err != nil {
		return "", fmt.Errorf("upgrades need the previous release, whose commit and schema stand in %s: %w", previousRelease, err)
	}
	commit, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	source := filepath.Join(dir, "previous")
	if err := os.Mkdir(source, 0o700); err != nil {
		return "", err
	}
	archive := source + ".tar"
	if out, err := exec.CommandContext(ctx, "git", "archive", "--output", archive, commit).CombinedOutput(); err != nil {
		return "", fmt.Errorf("%s names commit %q, which this clone does not have (fetch the whole history): %w\n%s", previousRelease, commit, err, out)
	}
	if out, err := exec.CommandContext(ctx, "tar", "-xf", archive, "-C", source).CombinedOutput(); err != nil {
		return "", fmt.Errorf("unpack the previous release: %w\n%s", err, out)
	}
	return build(source, source, "faults")
}

func mountSmall(dir string, size int) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=711", size)); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	return nil
}

func unmount(dir string) error { return syscall.Unmount(dir, 0) }
