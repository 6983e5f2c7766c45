package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"holdfast/storage/storagetest"
)

// variant is a server that breaks a promise, with the blows that make this visible. Its name is the value of
// HOLDFAST_BROKEN.
type variant struct {
	promise, name string
	outside       string               // what is broken outside the server, if its name is empty
	prepare       func(t *trial) error // breaks the database as well
	settings      []string
	counts        map[blow]int // in each round
	operations    int          // in a round, at least
	standby       bool
	points        []string // where servers die, unless at any of points
}

// That a lease does not end shows only once it has certainly lapsed, which takes longer than a round. That a move is two
// transactions shows only if a server dies between them, so that is where these servers die.
var variants = []variant{
	{"none", "", "", nil, nil, map[blow]int{killServer: 1, dieAtPoint: 2, cutAnswer: 10, swallowCommit: 10, killPostgres: 1, takeOver: 1}, 0, false, nil},
	{"P1 no slot is oversold", "read-then-save", "", dropCheck, nil, nil, 0, false, nil},
	{"P1, with the CHECK in place", "read-then-save", "", nil, nil, nil, 0, false, nil},
	{"P1, of what rows of a feed share", "rows-sold-separately", "", nil, nil, nil, 0, false, nil},
	{"P2 what is acknowledged survives the server", "answer-before-commit", "", nil, nil, map[blow]int{killServer: 6, dieAtPoint: 6}, 0, false, nil},
	{"P3 … and the database", "", "synchronous_commit=off", forgetful, []string{"wal_writer_delay=10s", "wal_writer_flush_after=0"}, map[blow]int{killPostgres: 4}, 0, false, nil},
	{"P4 one booking per token", "no-unique-key", "", nil, nil, nil, 0, false, nil},
	{"P5 asked again is a success", "slot-before-token", "", nil, nil, nil, 0, false, nil},
	{"P6 unknown is never told as a failure", "error-told-as-failure", "", nil, nil, map[blow]int{killPostgres: 3, lockTable: 2, swallowCommit: 60}, 0, false, nil},
	{"P7 nothing runs twice, or in part", "autocommit", "", nil, nil, map[blow]int{killServer: 2, dieAtPoint: 8, swallowCommit: 10, terminate: 4}, 0, false, nil},
	{"P8 a failure leaves no trace", "token-kept", "", nil, nil, nil, 0, false, nil},
	{"P9 a move is atomic", "move-in-two-transactions", "", nil, nil, map[blow]int{dieAtPoint: 6}, 0, false, []string{"between two transactions"}},
	{"P10 leases end by the clock", "sweeper-needed", "", nil, nil, nil, 15000, false, nil},
	{"P11 one truth for both channels", "cached-availability", "", nil, nil, nil, 0, false, nil},
	{"P12 a change has its outbox row", "", "outbox row written after the commit", outboxLater, nil, map[blow]int{killPostgres: 2, stopPostgres: 1}, 0, false, nil},
	{"P16 SIGTERM answers what was accepted", "close-instead-of-shutdown", "", nil, nil, map[blow]int{takeOver: 4}, 0, false, nil},
	{"P19 what is acknowledged is replicated", "replay-not-replicated", "", nil, nil, map[blow]int{failOver: 1}, 0, true, nil},
	{"P19, and waited for", "", "synchronous_commit=local", impatient, nil, map[blow]int{failOver: 1}, 0, true, nil},
}

// dropCheck removes the safety net below the locks.
func dropCheck(t *trial) error {
	return storagetest.Execute(t.admin, "ALTER TABLE slots DROP CONSTRAINT slots_not_oversold")
}

// forgetful turns synchronous_commit off behind the back of a running server, which would refuse to start like that.
func forgetful(t *trial) error {
	t.before = func() error { return storagetest.Execute(t.admin, "ALTER ROLE torture RESET synchronous_commit") }
	return commitsAre(t, "off")
}

// impatient makes COMMITs not wait for the standby.
func impatient(t *trial) error { return commitsAre(t, "local") }

func commitsAre(t *trial, value string) error {
	if err := storagetest.Execute(t.admin, "ALTER ROLE torture SET synchronous_commit = "+value); err != nil {
		return err
	}
	_, err := storagetest.Count(t.admin, "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'holdfast'")
	return err
}

// outboxLater keeps outbox rows in an unlogged table, which is empty after a crash, and writes them some time after the
// commit.
func outboxLater(t *trial) error {
	t.before = func() error {
		return storagetest.Execute(t.admin, `SET session_replication_role = replica;
			INSERT INTO outbox SELECT * FROM outbox_later; DELETE FROM outbox_later`)
	}
	return storagetest.Execute(t.admin, `CREATE UNLOGGED TABLE outbox_later (LIKE outbox);
		CREATE FUNCTION later() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
			INSERT INTO public.outbox_later SELECT NEW.*;
			DELETE FROM public.outbox WHERE booking_id = NEW.booking_id AND version = NEW.version;
			RETURN NULL; END $$;
		CREATE TRIGGER later AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION later()`)
}

// testSelf runs every variant until it is caught, and prints which proof caught it and after how long. The server without a
// variant must not be caught. The last lines name every variant with a different result.
func testSelf(ctx context.Context, o options, only string) (good bool, err error) {
	if only != "" && !slices.ContainsFunc(variants, func(v variant) bool { return v.name == only }) {
		return false, fmt.Errorf("there is no variant %q", only)
	}
	dir, err := workDir(o)
	if err != nil {
		return false, err
	}
	binary, err := build(".", dir, "faults broken")
	if err != nil {
		return false, err
	}
	fmt.Printf("seed %d\n\n| promise | broken by | caught by | after | at first |\n|---|---|---|---|---|\n", o.seed)
	var surprises []string
	for i, v := range variants {
		if only != "" && v.name != only {
			continue
		}
		rep := newReport()
		err := v.run(ctx, o, filepath.Join(dir, fmt.Sprint(i)), binary, rep)
		if err != nil && !rep.guilty() {
			return false, errors.Join(fmt.Errorf("%s: %w", v.promise, err), os.RemoveAll(dir))
		}
		caught, text := "nothing", ""
		if rep.guilty() {
			seen := map[string]int{}
			for _, a := range rep.wrong {
				seen[a.what]++
			}
			caught = fmt.Sprint(sortedKeys(seen))
			text = strings.ReplaceAll(strings.Join(strings.Fields(rep.wrong[0].text), " "), "|", "/")
			if len(text) > 90 {
				text = text[:90] + "…"
			}
		}
		fmt.Printf("| %s | %s | %s | %s | %s |\n", v.promise, v.broken(), caught, rep.first.Round(time.Second), text)
		if s := v.surprise(rep); s != "" {
			surprises = append(surprises, s)
		}
	}
	if len(surprises) == 0 {
		fmt.Printf("\nEvery variant was caught, and the healthy server was not accused.\n")
	} else {
		fmt.Printf("\n%s\n", strings.Join(surprises, "\n"))
	}
	return len(surprises) == 0, os.RemoveAll(dir)
}

func (v variant) healthy() bool { return v.promise == "none" }

// broken says what is broken, in the server or outside.
func (v variant) broken() string { return cmp.Or(v.name, v.outside, "nothing") }

// surprise returns a sentence about a report that is not what the variant should give, or "".
func (v variant) surprise(rep *report) string {
	switch guilty := rep.guilty(); {
	case v.healthy() && guilty:
		return fmt.Sprintf("NOT GOOD: the healthy server was accused: %s: %s", rep.wrong[0].what, rep.wrong[0].text)
	case !v.healthy() && !guilty:
		return fmt.Sprintf("NOT GOOD: %s (%s) was not caught in %d rounds.", v.broken(), v.promise, mostRounds)
	}
	return ""
}

// mostRounds is within how many rounds a variant must be caught. Most take one; a variant that needs the server to die
// between two statements takes luck.
const mostRounds = 20

// run gives a variant its rounds.
func (v variant) run(ctx context.Context, o options, dir, binary string, rep *report) (err error) {
	t, err := newTrial(ctx, setup{
		name: "postgres", dir: dir, binary: binary, postgres: true, settings: v.settings, standby: v.standby,
		env: []string{"HOLDFAST_BROKEN=" + v.name}, seed: o.seed, report: rep,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if v.prepare != nil {
		if err := v.prepare(t); err != nil {
			return err
		}
	}
	for i := range mostRounds {
		if rep.guilty() || v.healthy() && i == 1 {
			break
		}
		if i == 0 {
			rep.began = time.Now() // building and starting do not count
		}
		if err := t.play(ctx, i+1, rounds{operations: max(o.round, v.operations), clients: o.clients, limit: time.Minute, counts: v.counts, points: v.points, verify: true}); err != nil {
			return err
		}
	}
	return nil
}
