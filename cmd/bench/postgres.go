package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// database is a PostgreSQL database of a server of our own, with the programs
// that came with it.
type database struct {
	url        string
	bin        string // where psql and pgbench are
	postmaster int    // process id
	dir        string // for pgbench's logs
}

// newDatabase finds the process behind a URL from storagetest: its server is in the socket's directory.
func newDatabase(target, dir string) (database, error) {
	u, err := url.Parse(target)
	if err != nil {
		return database{}, err
	}
	text, err := os.ReadFile(filepath.Join(u.Query().Get("host"), "data", "postmaster.pid"))
	if err != nil {
		return database{}, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return database{}, fmt.Errorf("postmaster.pid: %w", err)
	}
	binary, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	return database{url: target, bin: filepath.Dir(binary), postmaster: pid, dir: dir}, err
}

// sql runs a script with psql's variables and returns its rows: columns separated by |, rows by newlines.
func (db database) sql(ctx context.Context, script string, variables map[string]any) (string, error) {
	args := []string{"-XAtq", "-v", "ON_ERROR_STOP=1", "-d", db.url, "-f", "-"}
	for name, value := range variables {
		args = append(args, "-v", fmt.Sprintf("%s=%v", name, value))
	}
	cmd := exec.CommandContext(ctx, filepath.Join(db.bin, "psql"), args...)
	cmd.Stdin = strings.NewReader(script)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("psql: %w\n%s", err, tail(complaint.Bytes()))
	}
	return strings.TrimSpace(out.String()), nil
}

// textbook is a transaction for pgbench.
type textbook struct {
	script    string
	variables map[string]int64
}

//go:embed sql/create.sql
var createSQL string

//go:embed sql/move.sql
var moveSQL string

// textbookSpread books all over the stock.
func (s stock) textbookSpread() textbook {
	return textbook{createSQL, s.variables(lanes, s.blocks(), blockLen-1)}
}

// textbookHot books the first slot of the stock.
func (s stock) textbookHot() textbook { return textbook{createSQL, s.variables(1, 1, 1)} }

// textbookMove moves the loaded visits.
func (s stock) textbookMove() textbook {
	return textbook{moveSQL, s.variables(lanes, s.blocks(), blockLen-1)}
}

// textbookFetch reads the slots of one lookup with one statement.
func (s stock) textbookFetch() textbook {
	starts := make([]string, lookupSlots)
	for i := range starts {
		starts[i] = fmt.Sprintf(":start::bigint + %d", i*slotSec)
	}
	return textbook{`\set lane random(0, :lanes - 1)
\set start :base + 1800 * random(0, :starts - ` + strconv.Itoa(lookupSlots) + `)
SELECT s.* FROM slots s WHERE s.resource_id = (SELECT resource_id FROM bench_lanes WHERE lane = :lane)
AND s.start_sec IN (` + strings.Join(starts, ", ") + `);
`, s.variables(lanes, s.blocks(), blockLen-1)}
}

func (s stock) variables(lanes, blocks, perBlock int) map[string]int64 {
	return map[string]int64{
		"lanes": int64(lanes), "lanes_per_merchant": lanesPerMerchant, "base": s.baseSec, "starts": int64(s.starts),
		"blocks": int64(blocks), "per_block": int64(perBlock), "movable": int64(s.movable()),
	}
}

// pgbench runs a textbook transaction for warm and then length, both in whole seconds, and measures only the latter, so that
// filling caches and preparing statements does not count.
func (db database) pgbench(ctx context.Context, t textbook, protocol string, clients int, warm, length time.Duration) (round, error) {
	dir, err := os.MkdirTemp(db.dir, "pgbench-")
	if err != nil {
		return round{}, err
	}
	cmd, err := db.pgbenchCommand(ctx, dir, t, protocol, "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, runtime.NumCPU())),
		"-T", strconv.Itoa(int(math.Ceil((warm + length).Seconds()))), "-l", "--log-prefix="+filepath.Join(dir, "log"))
	if err != nil {
		return round{}, err
	}
	var before time.Duration
	var cpuErr error
	from := time.Now().Add(warm)
	sampled := make(chan struct{})
	timer := time.AfterFunc(time.Until(from), func() { before, cpuErr = cpuOfTree(db.postmaster); close(sampled) })
	if out, err := cmd.CombinedOutput(); err != nil {
		timer.Stop()
		return round{}, fmt.Errorf("pgbench: %w\n%s", err, tail(out))
	}
	<-sampled
	after, err := cpuOfTree(db.postmaster)
	if err := errors.Join(cpuErr, err); err != nil {
		return round{}, err
	}
	each, took, err := readLogs(dir, from)
	if err != nil {
		return round{}, err
	}
	return newRound(each, took, after-before), os.RemoveAll(dir)
}

// pgbenchOnce runs a textbook transaction a single time.
func (db database) pgbenchOnce(ctx context.Context, t textbook, protocol string) error {
	dir, err := os.MkdirTemp(db.dir, "pgbench-")
	if err != nil {
		return err
	}
	cmd, err := db.pgbenchCommand(ctx, dir, t, protocol, "-c", "1", "-t", "1")
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("pgbench: %w\n%s", err, tail(out))
	}
	return os.RemoveAll(dir)
}

func (db database) pgbenchCommand(ctx context.Context, dir string, t textbook, protocol string, args ...string) (*exec.Cmd, error) {
	script := filepath.Join(dir, "script.sql")
	if err := os.WriteFile(script, []byte(t.script), 0o600); err != nil {
		return nil, err
	}
	args = append(args, "-n", "-M", protocol, "-f", script)
	for name, value := range t.variables {
		args = append(args, "-D", fmt.Sprintf("%s=%d", name, value))
	}
	return exec.CommandContext(ctx, filepath.Join(db.bin, "pgbench"), append(args, db.url)...), nil
}

// readLogs reads pgbench's logs of transactions: how long each one took that ended after from, and over what time they did.
func readLogs(dir string, from time.Time) (each []time.Duration, took time.Duration, err error) {
	logs, err := filepath.Glob(filepath.Join(dir, "log.*"))
	if err != nil {
		return nil, 0, err
	}
	var last time.Time
	for _, path := range logs {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, 0, err
		}
		for line := range strings.Lines(string(text)) {
			took, end, err := parseTransaction(line)
			if err != nil {
				return nil, 0, err
			}
			if end.After(from) {
				each = append(each, took)
			}
			if end.After(last) {
				last = end
			}
		}
	}
	if len(each) == 0 {
		return nil, 0, errors.New("pgbench got no transaction done")
	}
	return each, last.Sub(from), nil
}

// parseTransaction reads a line of pgbench's log: client, number, microseconds
// that it took, script, and when it ended as seconds and microseconds.
func parseTransaction(line string) (took time.Duration, end time.Time, err error) {
	var client, number, micros, script, sec, usec int64
	if _, err := fmt.Sscan(line, &client, &number, &micros, &script, &sec, &usec); err != nil {
		return 0, time.Time{}, fmt.Errorf("pgbench's log has %q: %w", strings.TrimSpace(line), err)
	}
	return time.Duration(micros) * time.Microsecond, time.Unix(sec, usec*1000), nil
}

//go:embed sql/written.sql
var writtenSQL string

// rows says how many rows a transaction wrote to each table, and their width.
type rows map[string]struct{ n, bytes int }

func (r rows) total() (n int) {
	for _, t := range r {
		n += t.n
	}
	return n
}

// written returns the rows that f wrote. Nobody else may write meanwhile.
func (db database) written(ctx context.Context, f func() error) (rows, error) {
	since, err := db.sql(ctx, "SELECT pg_current_xact_id()", nil)
	if err != nil {
		return nil, err
	}
	if err := f(); err != nil {
		return nil, err
	}
	out, err := db.sql(ctx, writtenSQL, map[string]any{"since": since})
	if err != nil {
		return nil, err
	}
	r := rows{}
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "|")
		n, err := strconv.Atoi(f[1])
		bytes, err2 := strconv.Atoi(f[2])
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("rows written: %w", err)
		}
		r[f[0]] = struct{ n, bytes int }{n, bytes}
	}
	return r, nil
}

// indexed waits until the server has indexed the guests of earlier bookings, which it does by itself a moment later, and which
// writes their rows.
func (db database) indexed(ctx context.Context) error {
	for {
		left, err := db.sql(ctx, "SELECT COUNT(*) FROM guests WHERE searched <> given_name || E'\\n' || family_name || E'\\n' || email", nil)
		if err != nil || strings.TrimSpace(left) == "0" {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// same fails unless two transactions wrote the same number of rows, of similar width, to each table: otherwise comparing them
// would be meaningless.
func same(what string, ours, theirs rows) error {
	for table, o := range ours {
		t := theirs[table]
		if o.n != t.n {
			return fmt.Errorf("%s writes %d rows of %s, pgbench %d", what, o.n, table, t.n)
		}
		if 4*t.bytes > 5*o.bytes+40 || 4*o.bytes > 5*t.bytes+40 {
			return fmt.Errorf("%s writes %d bytes of %s, pgbench %d", what, o.bytes, table, t.bytes)
		}
	}
	return nil
}

//go:embed sql/sizes.sql
var sizesSQL string

// relation is a table or an index, with its size in bytes.
type relation struct {
	name  string
	index bool
	bytes int64
}

// sizes returns the tables and indexes that grow with bookings.
func (db database) sizes(ctx context.Context) ([]relation, error) {
	out, err := db.sql(ctx, sizesSQL, nil)
	if err != nil {
		return nil, err
	}
	var all []relation
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSpace(line), "|")
		bytes, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("sizes: %w", err)
		}
		all = append(all, relation{name: f[0], index: f[1] == "i", bytes: bytes})
	}
	return all, nil
}

// settings says which PostgreSQL this is, and how safe its settings are.
func (db database) settings(ctx context.Context) (string, error) {
	return db.sql(ctx, `SELECT 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1) || ' (' ||
		string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name) || ')' FROM pg_settings
		WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'shared_buffers')`, nil)
}
