package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const credentials = "google:bench"

// program is the built holdfast on one database.
type program struct {
	binary, target string
	dir            string // for its log
}

// build compiles holdfast, without cgo as it is shipped.
func build(ctx context.Context, binary string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", binary, "holdfast/cmd/holdfast")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
}

func (p program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Env = append(os.Environ(), "HOLDFAST_DATABASE="+p.target, "HOLDFAST_GOOGLE_CREDENTIALS="+credentials)
	// When interrupted, it answers what it has accepted; give it 15 seconds.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 15 * time.Second
	return cmd
}

// run runs a command of holdfast and returns what it prints.
func (p program) run(ctx context.Context, args ...string) (string, error) {
	cmd := p.command(ctx, args...)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("holdfast %s: %w\n%s%s", args[0], err, tail(out.Bytes()), tail(complaint.Bytes()))
	}
	return out.String(), nil
}

// verify fails if an invariant is broken.
func (p program) verify(ctx context.Context) error {
	_, err := p.run(ctx, "verify")
	return err
}

// bookings counts what `holdfast bookings` lists: all but leases.
func (p program) bookings(ctx context.Context) (int, error) {
	out, err := p.run(ctx, "bookings")
	return strings.Count(out, "\n") - 1, err // the first line is a heading
}

// server is a `holdfast serve` process.
type server struct {
	program
	address string
	cmd     *exec.Cmd
	ended   chan error
}

// serve starts the server on a port of its own choice and waits until it listens. Its log goes to a file, so that nobody has to
// read a pipe.
func (p program) serve(ctx context.Context) (*server, error) {
	log, err := os.CreateTemp(p.dir, "serve-*.log")
	if err != nil {
		return nil, err
	}
	s := &server{program: p, ended: make(chan error, 1)}
	s.cmd = p.command(ctx, "serve", "--address", "127.0.0.1:0", "--log-format", "json")
	s.cmd.Stderr = log
	if err := errors.Join(s.cmd.Start(), log.Close()); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.cmd.Wait() }()
	for poll := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case err := <-s.ended:
			poll.Stop()
			said, readErr := os.ReadFile(log.Name())
			return nil, errors.Join(fmt.Errorf("the server did not start: %w\n%s", err, tail(said)), readErr)
		case <-poll.C:
		}
		said, err := os.ReadFile(log.Name())
		if err != nil {
			return nil, errors.Join(err, s.stop())
		}
		if s.address = listensAt(said); s.address != "" {
			poll.Stop()
			return s, nil
		}
	}
}

// listensAt finds in a server's log where it listens.
func listensAt(log []byte) string {
	for line := range bytes.Lines(log) {
		var l struct{ Msg, Address string }
		if json.Unmarshal(line, &l) == nil && l.Msg == "serving" {
			return l.Address
		}
	}
	return ""
}

// stop ends the server as an operator would. It is no error if an interruption of the whole run has already ended it.
func (s *server) stop() error {
	err := s.cmd.Process.Signal(os.Interrupt)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, <-s.ended)
}

// tail returns the end of a program's output.
func tail(text []byte) []byte { return text[max(0, len(text)-2000):] }

// tick is how Linux counts a process's CPU time (USER_HZ).
const tick = time.Second / 100

// stat is what /proc says about a process.
type stat struct {
	parent int
	own    time.Duration // CPU time, user and system
	ended  time.Duration // CPU time of its ended children
}

// parseStat reads a /proc/PID/stat. The name in parentheses may itself contain spaces and parentheses.
func parseStat(text string) (stat, error) {
	f := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(f) < 15 {
		return stat{}, fmt.Errorf("/proc stat has %d fields behind the name", len(f))
	}
	var n [5]int
	for i, field := range []string{f[1], f[11], f[12], f[13], f[14]} {
		var err error
		if n[i], err = strconv.Atoi(field); err != nil {
			return stat{}, fmt.Errorf("/proc stat: %w", err)
		}
	}
	return stat{parent: n[0], own: time.Duration(n[1]+n[2]) * tick, ended: time.Duration(n[3]+n[4]) * tick}, nil
}

func statOf(pid int) (stat, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}, err
	}
	return parseStat(string(text))
}

// cpuOfTree returns the CPU time of a process and its children, including ended ones: for PostgreSQL all its backends and
// helpers. A child that ends during the sum would be missed or counted twice, so then it adds up again.
func cpuOfTree(pid int) (time.Duration, error) {
	for {
		before, err := statOf(pid)
		if err != nil {
			return 0, err
		}
		children, err := cpuOfChildren(pid)
		if err != nil {
			return 0, err
		}
		after, err := statOf(pid)
		if err != nil {
			return 0, err
		}
		if before.ended == after.ended {
			return after.own + after.ended + children, nil
		}
	}
}

// cpuOfChildren returns the CPU time of the children that still run, or that nobody has waited for.
func cpuOfChildren(pid int) (total time.Duration, err error) {
	entries, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, path := range entries {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		if s, err := parseStat(string(text)); err == nil && s.parent == pid {
			total += s.own
		}
	}
	return total, nil
}

// peakMemory returns the peak resident memory of a process in bytes.
func peakMemory(pid int) (int64, error) {
	kB, err := kilobytes(fmt.Sprintf("/proc/%d/status", pid), "VmHWM")
	return kB << 10, err
}

// quarterOfMemory returns what PostgreSQL's manual advises for shared_buffers.
func quarterOfMemory() (string, error) {
	kB, err := kilobytes("/proc/meminfo", "MemTotal")
	return fmt.Sprintf("%dMB", kB>>12), err
}

// kilobytes reads one line of a file of /proc.
func kilobytes(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), name+":")
	if !found {
		return 0, fmt.Errorf("%s has no %s", file, name)
	}
	var kB int64
	if _, err := fmt.Sscan(rest, &kB); err != nil {
		return 0, fmt.Errorf("%s: %s: %w", file, name, err)
	}
	return kB, nil
}
