package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// supervisor keeps one server running: when it ends, the supervisor starts another.
type supervisor struct {
	n           int    // among those of the trial
	dir, target string // target is the database as the server reaches it
	env         []string
	caller      *caller
	report      func(what, text string) // what is wrong

	mu      sync.Mutex
	binary  string // of the next server
	current *process
	started int
	stop    chan struct{}
	kept    sync.WaitGroup
	deaths  int // deaths on demand
}

// process is one server.
type process struct {
	cmd               *exec.Cmd
	address, internal string
	faults            string // the file that names where it is to die
	ended             chan struct{}
	err               error // how it ended

	mu     sync.Mutex
	doomed bool // we have ended it
}

func (p *process) doom(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doomed = yes
}

func (p *process) isDoomed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.doomed
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// command is the holdfast program on a database.
func command(binary, database string, env []string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.Env = append(append(os.Environ(), "HOLDFAST_DATABASE="+database, "HOLDFAST_GOOGLE_CREDENTIALS="+credentials), env...)
	return cmd
}

// leaseLife is how long leases last in these trials.
const leaseLife = 5 * time.Second

// launch starts one server and returns once the server says where it listens.
func (s *supervisor) launch() (*process, error) {
	s.mu.Lock()
	s.started++
	name, binary := fmt.Sprintf("%d.%d", s.n, s.started), s.binary
	s.mu.Unlock()
	p := &process{faults: filepath.Join(s.dir, "die-"+name), ended: make(chan struct{})}
	p.cmd = command(binary, s.target, append([]string{"HOLDFAST_FAULTS=" + p.faults}, s.env...),
		"serve", "--address", "127.0.0.1:0", "--internal-address", "127.0.0.1:0", "--lease-duration", leaseLife.String(), "--log-format", "json")
	log, err := os.OpenFile(filepath.Join(s.dir, "servers.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	ready := make(chan bool, 1)
	go func() {
		defer func() { _ = log.Close() }()
		lines := bufio.NewReader(stderr)
		for {
			text, err := lines.ReadBytes('\n')
			var line struct{ Msg, Address string }
			if json.Unmarshal(text, &line) == nil {
				switch line.Msg {
				case "serving metrics":
					p.internal = line.Address
				case "serving":
					p.address = line.Address
					ready <- true
				}
			}
			_, _ = fmt.Fprintf(log, "%s %s", name, text)
			if err != nil {
				break
			}
		}
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	select {
	case <-ready:
		return p, nil
	case <-p.ended:
		return nil, fmt.Errorf("the server ended while starting: %w", p.err)
	case <-time.After(time.Minute):
		return nil, errors.Join(errors.New("the server does not start"), p.cmd.Process.Kill())
	}
}

// keep runs servers until halt.
func (s *supervisor) keep() {
	s.stop = make(chan struct{})
	s.replace()
	s.kept.Go(func() {
		for {
			p := s.server()
			select {
			case <-s.stop:
				return
			case <-p.ended:
			}
			if s.server() != p { // another has taken over
				continue
			}
			if p.isDoomed() {
				s.mu.Lock()
				s.deaths++
				s.mu.Unlock()
			} else {
				s.report("died", fmt.Sprintf("the server ended by itself: %v", p.err))
			}
			s.replace()
		}
	})
}

// replace tries to start a server until it succeeds, because none starts without its database.
func (s *supervisor) replace() {
	for {
		p, err := s.launch()
		if err == nil {
			s.put(p)
			return
		}
		select {
		case <-s.stop:
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (s *supervisor) put(p *process) {
	s.mu.Lock()
	s.current = p
	s.mu.Unlock()
	s.caller.call(s.n, p.address)
}

func (s *supervisor) server() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// up waits until a server runs.
func (s *supervisor) up() (*process, error) {
	for range 1200 {
		if p := s.server(); p != nil && p.running() {
			return p, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, errors.New("no server for a minute")
}

// run makes the next server run another program.
func (s *supervisor) run(binary string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.binary = binary
}

// halt ends the server in good order and starts no other. It does nothing if none runs.
func (s *supervisor) halt() error {
	if s.stop == nil {
		return nil
	}
	close(s.stop)
	s.kept.Wait()
	s.stop = nil
	return s.server().finish()
}

// stopWithin is how long a server may take to stop.
const stopWithin = 10 * time.Second

// finish sends SIGTERM and demands a clean end in time. It does not wait for a dead server.
func (p *process) finish() error {
	if !p.running() {
		return nil
	}
	p.doom(true)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return nil //nolint:nilerr // it has just ended
	}
	select {
	case <-p.ended:
		var exit *exec.ExitError
		if errors.As(p.err, &exit) && exit.ExitCode() >= 0 { // killed is -1
			return fmt.Errorf("after SIGTERM it ended with %w", p.err)
		}
		return nil
	case <-time.After(stopWithin + 2*time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("it did not stop within %s of SIGTERM", stopWithin)
	}
}

// kill kills the server.
func (p *process) kill() {
	p.doom(true)
	_ = p.cmd.Process.Kill()
	<-p.ended
}

// arm tells the server to die at a point, and reports whether it got there in time.
func (p *process) arm(point string, times int, within time.Duration) (bool, error) {
	p.doom(true)
	if err := os.WriteFile(p.faults, fmt.Appendf(nil, "%s@%d", point, times), 0o600); err != nil {
		return false, err
	}
	if err := p.cmd.Process.Signal(syscall.SIGUSR1); err != nil {
		return false, nil //nolint:nilerr // it has just ended
	}
	select {
	case <-p.ended:
		return true, nil
	case <-time.After(within):
		err := os.WriteFile(p.faults, []byte("@1"), 0o600)
		return false, errors.Join(err, p.cmd.Process.Signal(syscall.SIGUSR1))
	}
}

// size is what a server needs.
type size struct {
	Resident, Heap int64 // bytes; of the heap, after a collection
	Goroutines     int64
}

// measure asks the server's internal address.
func (p *process) measure(ctx context.Context) (size, error) {
	if _, err := p.fetch(ctx, "/debug/pprof/heap?gc=1"); err != nil {
		return size{}, err
	}
	text, err := p.fetch(ctx, "/metrics")
	if err != nil {
		return size{}, err
	}
	var s size
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case name == "process_resident_memory_bytes":
			s.Resident = int64(n)
		case name == "go_memstats_heap_alloc_bytes":
			s.Heap = int64(n)
		case name == "go_goroutines":
			s.Goroutines = int64(n)
		}
	}
	return s, nil
}

func (p *process) fetch(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.internal+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	_, err = io.Copy(&b, resp.Body)
	return b.Bytes(), err
}
