package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"holdfast/storage/storagetest"
)

// rounds describes one round, or each of several.
type rounds struct {
	operations, clients int
	limit               time.Duration
	counts              map[blow]int
	points              []string // where servers die, if not at any of points
	verify              bool     // read the whole database afterwards

	// For a round without a number of operations, which ends when the nemesis is done.
	pause    time.Duration // of a client between two operations
	unharmed bool          // no answer may be missing
	replay   bool          // send all bookings once more afterwards
}

// calm reports whether the same server survives the whole round.
func (r rounds) calm() bool {
	for _, b := range lethal {
		if r.counts[b] > 0 {
			return false
		}
	}
	return true
}

// trial is one database with its servers, under torture.
type trial struct {
	name, dir, binary string
	data              string // the directory of the database
	seed              uint64
	report            *report
	caller            *caller
	fleet             []*supervisor
	direct            string // the database, for everybody who is not tortured

	cluster *storagetest.Cluster // nil: SQLite
	standby *storagetest.Cluster // that COMMITs wait for, or nil
	killed  []*storagetest.Cluster
	admin   string // the same database for a superuser
	proxy   *proxy
	patroni *storagetest.Patroni // nil: no cluster that manages itself

	before func() error // of a variant: what to do before a server is stopped
}

// setup says how to set up a trial.
type setup struct {
	name, dir, binary string
	data              string // where to put the database; empty is dir
	previous          string // the program that the servers run until they are upgraded; empty is binary
	servers           int    // beside one another; 0 is one
	postgres          bool
	standby           bool     // PostgreSQL has one, and waits for it
	patroni           bool     // PostgreSQL is managed by Patroni: one server names both hosts, another uses HAProxy
	settings          []string // of PostgreSQL
	env               []string // of the servers
	seed              uint64
	report            *report
}

func newTrial(ctx context.Context, s setup) (t *trial, err error) {
	if s.data == "" {
		s.data = s.dir
	}
	t = &trial{name: s.name, dir: s.dir, data: s.data, binary: s.binary, seed: s.seed, report: s.report, caller: newCaller(s.seed)}
	if err := os.MkdirAll(s.dir, 0o711); err != nil { //nolint:gosec // PostgreSQL, another user, has to get through
		return nil, err
	}
	t.direct = filepath.Join(s.data, "holdfast.db")
	targets := []string{t.direct}
	defer func() {
		if err != nil {
			err = errors.Join(err, t.close())
		}
	}()
	switch {
	case s.patroni:
		targets, err = t.openPatroni()
	case s.postgres:
		targets[0], err = t.openPostgres(s.settings)
	}
	if err != nil {
		return nil, err
	}
	if s.standby {
		if err := t.follow(); err != nil {
			return nil, err
		}
	}
	first := cmp.Or(s.previous, s.binary)
	arguments := []string{"import", filepath.Join(s.dir, "clinic.yaml")}
	if err := os.WriteFile(arguments[1], []byte(clinic()), 0o600); err != nil {
		return nil, err
	}
	for i, text := range feeds() {
		path := filepath.Join(s.dir, fmt.Sprintf("feed-%d.json", i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
		arguments = append(arguments, path)
	}
	if out, err := command(first, t.direct, nil, arguments...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("import: %w\n%s", err, out)
	}
	key, err := command(first, t.direct, nil, "key", "create", "--merchant", merchant).Output()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	for n := range max(1, s.servers) {
		t.fleet = append(t.fleet, &supervisor{n: n, binary: first, dir: s.dir, target: targets[n%len(targets)], env: s.env, caller: t.caller, report: func(what, text string) {
			t.report.accuse(t.name, 0, what, text)
		}})
	}
	t.keep()
	return t, t.signIn(ctx, strings.TrimSpace(string(key)))
}

func (t *trial) openPostgres(settings []string) (target string, err error) {
	dir := filepath.Join(t.data, "pg")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return "", err
	}
	if t.cluster, err = storagetest.NewCluster(dir, settings...); err != nil {
		return "", err
	}
	if t.direct, err = t.cluster.NewDatabase("torture"); err != nil {
		return "", err
	}
	if t.admin, err = t.cluster.As(t.direct); err != nil {
		return "", err
	}
	if t.proxy, err = startProxy(t.cluster.Socket()); err != nil {
		return "", err
	}
	u := url.URL{Scheme: "postgres", User: url.User("torture"), Host: t.proxy.listener.Addr().String(), Path: "/torture"}
	u.RawQuery = url.Values{"sslmode": {"disable"}, "connect_timeout": {"2"}}.Encode()
	return u.String(), nil
}

// routes are the ways to the primary that servers take, in the order of openPatroni's URLs.
var routes = []string{"URL with both hosts", "HAProxy"}

// openPatroni starts a cluster under Patroni and returns the URLs for two servers.
func (t *trial) openPatroni() (targets []string, err error) {
	dir := filepath.Join(t.data, "patroni")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	if t.patroni, err = storagetest.NewPatroni(dir); err != nil {
		return nil, err
	}
	targets = make([]string, 2)
	t.direct, targets[0], targets[1], err = t.patroni.NewDatabase("torture")
	t.admin = t.patroni.As("torture")
	return targets, err
}

// calmFor is how long the clients work in peace before and after a blow to a cluster.
const calmFor = 3 * time.Second

// disturb strikes the cluster, waits until it is whole again, and records for how long each server could not change
// anything.
func (t *trial) disturb(ctx context.Context, r *round, b blow) error {
	strike := map[blow]func() error{
		switchOver: t.patroni.Switchover, killPrimary: t.patroni.KillPostgres, killNode: t.patroni.KillNode,
		cutOff: func() error { return t.patroni.CutOff(cutFor) },
	}
	err := errors.Join(sleep(ctx, calmFor), strike[b](), t.patroni.Whole(), sleep(ctx, calmFor))
	if err != nil {
		r.accuse("cluster", err.Error())
		return err
	}
	ops, err := replayFile(r.path)
	if err == nil {
		t.report.stalled(t.name, b, gaps(ops, len(t.fleet), r.now()))
	}
	return err
}

// follow gives PostgreSQL a standby that its COMMITs wait for.
func (t *trial) follow() error {
	dir := filepath.Join(t.data, fmt.Sprint("standby-", len(t.killed)))
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		t.standby, err = t.cluster.Replica(dir)
	}
	return err
}

// cutFor is how long a primary runs without its standby before it dies: longer than a server waits for a COMMIT, so that
// anything acknowledged too early is lost.
const cutFor = 5 * time.Second

// failOver cuts the standby off, kills the primary, lets the standby take over and gives it a new standby.
func (t *trial) failOver(ctx context.Context) error {
	if t.standby == nil {
		return errors.New("there is no standby")
	}
	if err := errors.Join(t.standby.Deafen(), sleep(ctx, cutFor), t.cluster.Kill(), t.standby.Promote()); err != nil {
		return err
	}
	t.killed = append(t.killed, t.cluster)
	t.cluster, t.standby = t.standby, nil
	var err error
	if t.admin, err = t.cluster.As(t.direct); err != nil {
		return err
	}
	t.direct = t.admin
	t.proxy.lead(t.cluster.Socket())
	return t.follow()
}

// signIn fetches the clinic's token.
func (t *trial) signIn(ctx context.Context, key string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://server/open/authorization/commands/exchange-token", strings.NewReader(fmt.Sprintf(`{"key":%q}`, key)))
	if err != nil {
		return err
	}
	resp, err := t.caller.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		return err
	}
	_, rest, _ := strings.Cut(b.String(), `"token":"`)
	token, _, found := strings.Cut(rest, `"`)
	if !found {
		return fmt.Errorf("no token for the clinic's key: %d %s", resp.StatusCode, b.String())
	}
	t.caller.token.Store(token)
	return nil
}

// close ends everything; the files stay.
func (t *trial) close() error {
	var errs []error
	t.caller.http.CloseIdleConnections()
	errs = append(errs, t.halt())
	if t.proxy != nil {
		errs = append(errs, t.proxy.close())
	}
	if t.patroni != nil {
		errs = append(errs, t.patroni.Close())
	}
	for _, c := range append([]*storagetest.Cluster{t.standby, t.cluster}, t.killed...) {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// drained waits until PostgreSQL has no more sessions of servers.
func (t *trial) drained() error {
	if t.admin == "" {
		return nil
	}
	for range 200 {
		n, err := storagetest.Count(t.admin, "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'holdfast'")
		if err == nil && n == 0 {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("PostgreSQL has sessions of a server that has ended")
}

// keep starts the servers, and new ones when they end.
func (t *trial) keep() {
	var started sync.WaitGroup
	for _, s := range t.fleet {
		started.Go(s.keep)
	}
	started.Wait()
}

// halt ends the servers in good order, and starts no others.
func (t *trial) halt() error {
	errs := make([]error, len(t.fleet))
	var ended sync.WaitGroup
	for i, s := range t.fleet {
		ended.Go(func() { errs[i] = s.halt() })
	}
	ended.Wait()
	return errors.Join(errs...)
}

// measure asks each server how much it uses.
func (t *trial) measure(ctx context.Context) (all []size, err error) {
	t.caller.http.CloseIdleConnections()
	for _, s := range t.fleet {
		p, err := s.up()
		if err != nil {
			return nil, err
		}
		size, err := p.measure(ctx)
		if err != nil {
			return nil, err
		}
		t.report.measured(t.name, size)
		all = append(all, size)
	}
	return all, nil
}

// torment carries out the schedule, one blow after the other, until the clients are done. Then it heals what is still
// broken.
func (t *trial) torment(ctx context.Context, r *round, events []event, over <-chan struct{}) {
	for _, e := range events {
		for r.finished.Load() < int64(e.after) && !isOver(over) {
			time.Sleep(2 * time.Millisecond)
		}
		if isOver(over) {
			t.report.missed(t.name, e.blow, "the round was over")
			continue
		}
		if err := t.strike(ctx, r, e); err != nil {
			t.report.missed(t.name, e.blow, err.Error())
		}
	}
	r.enough.Store(r.quota == math.MaxInt64)
	<-over
	if t.proxy != nil {
		t.proxy.heal()
	}
}

func isOver(over <-chan struct{}) bool {
	select {
	case <-over:
		return true
	default:
		return false
	}
}

// strike strikes one blow.
func (t *trial) strike(ctx context.Context, r *round, e event) error {
	if e.blow == swallowCommit {
		t.proxy.plan(e.mishap, e.pause) // counted by the proxy, when it happens
		return nil
	}
	server := t.fleet[e.server%len(t.fleet)]
	p, err := server.up()
	if err != nil {
		return err
	}
	struck := string(e.blow)
	switch e.blow {
	case killServer:
		p.kill()
	case dieAtPoint:
		reached, err := p.arm(e.point, e.times, 10*time.Second)
		if err != nil || !reached {
			return errors.Join(err, fmt.Errorf("nobody came to %q", e.point))
		}
		struck = "server dies " + e.point
	case cutAnswer:
		t.caller.cuts.Add(1)
	case freezeServer:
		if err := errors.Join(p.cmd.Process.Signal(syscall.SIGSTOP), sleep(ctx, e.pause), p.cmd.Process.Signal(syscall.SIGCONT)); err != nil {
			return err
		}
	case takeOver:
		if err := server.takeOver(ctx, r, p); err != nil {
			return err
		}
	case upgrade:
		server.run(t.binary)
		if err := server.takeOver(ctx, r, p); err != nil {
			return err
		}
	case killPostgres:
		err = errors.Join(t.cluster.Kill(), sleep(ctx, e.pause), t.cluster.Start())
	case stopPostgres:
		err = errors.Join(t.cluster.StopAtOnce(), sleep(ctx, e.pause), t.cluster.Start())
	case killBackend:
		err = t.cluster.KillBackend("holdfast")
	case terminate:
		_, err = storagetest.Count(t.admin, `SELECT COUNT(pg_terminate_backend(pid)) FROM
			(SELECT pid FROM pg_stat_activity WHERE application_name = 'holdfast' ORDER BY pid LIMIT $1) s`, e.times)
	case exhaust:
		_, release := storagetest.Occupy(t.direct)
		_, err = storagetest.Count(t.admin, "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'holdfast'")
		n, more := storagetest.Occupy(t.direct) // takes the connections that the servers had
		err = errors.Join(err, sleep(ctx, e.pause))
		release()
		more()
		if n == 0 {
			err = errors.Join(err, errors.New("the servers were quicker"))
		}
	case lockTable:
		undo, failed := storagetest.During(t.direct, "LOCK TABLE slots IN EXCLUSIVE MODE")
		if failed != nil {
			return failed
		}
		err = sleep(ctx, e.pause)
		undo()
	case fillDisk:
		err = t.fill(ctx, e.pause)
	case failOver:
		err = t.failOver(ctx)
	case switchOver, killPrimary, killNode, cutOff:
		err = t.disturb(ctx, r, e.blow)
	}
	if err != nil {
		return err
	}
	t.report.struck(t.name, struck)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
	return nil
}

// fill leaves no room on the disk for a while.
func (t *trial) fill(ctx context.Context, pause time.Duration) error {
	path := filepath.Join(t.data, "ballast")
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	for size := 1 << 20; size >= 4096; { // ever smaller pieces, until nothing fits
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 4
		}
	}
	err = errors.Join(file.Close(), sleep(ctx, pause), os.Remove(path))
	if t.cluster != nil && !t.cluster.Running() { // it could not write its log
		err = errors.Join(err, t.cluster.Start())
	}
	return err
}

// takeOver starts a second server, sends clients there, and stops the first under load. The first must answer what it has
// accepted.
func (s *supervisor) takeOver(ctx context.Context, r *round, old *process) error {
	next, err := s.launch()
	if err != nil {
		return err
	}
	old.doom(true)
	// Requests that the old server has begun to read and not finished.
	const halves = 8
	var open []*half
	for i := range halves {
		h, err := r.begin(old.address, fmt.Sprintf("r%dt%d-%d", r.n, old.cmd.Process.Pid, i), place{Lane: i % lanes, Slot: i % slotsPerLane, Len: 1})
		if err != nil {
			return errors.Join(err, next.finish())
		}
		open = append(open, h)
	}
	_ = sleep(ctx, 300*time.Millisecond)
	s.put(next)
	var stopping sync.WaitGroup
	var stopped error
	stopping.Go(func() { stopped = old.finish() })
	_ = sleep(ctx, 200*time.Millisecond)
	for _, h := range open {
		if got := h.finish(); got.outcome == unknown && !strings.HasPrefix(got.text, "503") {
			r.accuse("SIGTERM", "a request that was accepted got no answer: "+got.text)
		}
	}
	stopping.Wait()
	if stopped != nil {
		r.accuse("SIGTERM", stopped.Error())
	}
	return nil
}

// half is a request that has been sent except for its last byte.
type half struct {
	r    *round
	rec  record
	try  int
	last []byte
	conn net.Conn
}

func (r *round) begin(address, op string, to place) (*half, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(context.Background(), "tcp", address)
	if err != nil {
		return nil, err
	}
	h := &half{r: r, rec: record{At: r.now(), Op: op, Deed: create, To: &to}, conn: conn}
	req := createRequest(r.n, op, op, to, "")
	httpReq, err := http.NewRequest(http.MethodPost, "http://"+address+req.path, strings.NewReader(req.body)) //nolint:noctx // it is written by hand
	if err != nil {
		return nil, err
	}
	user, password, _ := strings.Cut(credentials, ":")
	httpReq.SetBasicAuth(user, password)
	var wire bytes.Buffer
	if err := httpReq.Write(&wire); err != nil {
		return nil, err
	}
	if h.try, err = r.journal.sent(h.rec); err != nil {
		return nil, err
	}
	text := wire.Bytes()
	h.last = text[len(text)-1:]
	_, err = conn.Write(text[:len(text)-1])
	return h, err
}

// finish sends the last byte and reads the answer.
func (h *half) finish() answer {
	defer func() { _ = h.conn.Close() }()
	got := answer{outcome: unknown}
	_ = h.conn.SetDeadline(time.Now().Add(patience))
	_, err := h.conn.Write(h.last)
	var resp *http.Response
	if err == nil {
		resp, err = http.ReadResponse(bufio.NewReader(h.conn), nil)
	}
	if err == nil {
		defer resp.Body.Close()
		var b bytes.Buffer
		if _, err = b.ReadFrom(resp.Body); err == nil {
			got = read(create, resp.StatusCode, resp.Header.Get("Retry-After"), b.Bytes())
		}
	}
	if err != nil {
		got.text = err.Error()
	}
	return h.r.tell(h.rec, h.try, got)
}

// build builds the server from a source tree, with what the build tags add: faults, to die at a named point; broken, to
// break a promise.
func build(source, dir, tags string) (binary string, err error) {
	binary = filepath.Join(dir, "holdfast")
	cmd := exec.CommandContext(context.Background(), "go", "build", "-buildvcs=false", "-tags", tags, "-o", binary, "./cmd/holdfast")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	return binary, nil
}
