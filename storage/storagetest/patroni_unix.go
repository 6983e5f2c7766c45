//go:build unix

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Patroni is two PostgreSQL servers under Patroni with synchronous_mode, an etcd and an
// HAProxy, for a program that switches, kills and cuts off the primary. Everything listens
// only on loopback. Only one goroutine may use it.
//
// Each node, etcd, HAProxy and every user of the URL with both nodes counts as a machine of its
// own: whatever goes from one machine to another goes through a wire that can be cut.
type Patroni struct {
	dir, bin string
	owner    *syscall.Credential
	nodes    [2]node
	services []*service
	wires    []*wire
	etcd     string // its address, like all that follow
	haproxy  string
	alive    io.Closer // its end tells the reaper that this process has ended
	reaper   *exec.Cmd
}

// node is one PostgreSQL with its Patroni.
type node struct {
	name, dir      string
	postgres, rest string
	patroni        *service
}

// party is something that counts as a machine.
type party string

const (
	theEtcd    party = "etcd"
	theHAProxy party = "HAProxy"
	theHosts   party = "whoever names both hosts"
)

func (n *node) party() party { return party(n.name) }

// admin is the URL of the node's admin database, as a superuser, whatever its role.
func (n *node) admin() string {
	return "postgres://postgres@" + n.postgres + "/postgres?sslmode=disable&connect_timeout=2"
}

// config is the file with Patroni's settings.
func (n *node) config() string { return filepath.Join(n.dir, "patroni.yml") }

// patroniReaper kills what is left when the process dies before it could end everything itself.
const patroniReaper = `read -r _; for f in *.pid */data/postmaster.pid; do [ -e "$f" ] && kill -9 "$(head -n 1 "$f")"; done 2>/dev/null; true`

// NewPatroni starts a cluster in dir, which must be empty and reachable for the user that the
// servers run as, and returns once COMMITs wait for the standby. It leaves the directory to the
// caller.
func NewPatroni(dir string) (p *Patroni, err error) {
	p = &Patroni{dir: dir}
	if p.bin, err = findBinaries(); err != nil {
		return nil, err
	}
	if p.owner, err = serverUser(); err != nil {
		return nil, err
	}
	ports, err := freePorts(7)
	if err != nil {
		return nil, err
	}
	p.etcd, p.haproxy = ports[0], ports[1]
	for i := range p.nodes {
		name := fmt.Sprintf("node%d", i+1)
		p.nodes[i] = node{name: name, dir: filepath.Join(dir, name), postgres: ports[3+2*i], rest: ports[4+2*i]}
		if err := os.Mkdir(p.nodes[i].dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := p.own(); err != nil {
		return nil, err
	}
	p.reaper = command(dir, p.owner, "/bin/sh", "-c", patroniReaper)
	if p.alive, err = p.reaper.StdinPipe(); err != nil {
		return nil, err
	}
	if err := p.reaper.Start(); err != nil {
		return nil, err
	}
	if err := p.start(ports[2]); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// own gives the directories to the user that the servers run as.
func (p *Patroni) own() error {
	if p.owner == nil {
		return nil
	}
	for _, dir := range []string{p.dir, p.nodes[0].dir, p.nodes[1].dir} {
		if err := os.Chown(dir, int(p.owner.Uid), int(p.owner.Gid)); err != nil {
			return err
		}
	}
	return nil
}

func (p *Patroni) start(peer string) error {
	_, err := p.run("etcd", "etcd", "--data-dir", filepath.Join(p.dir, "etcd"), "--logger", "zap", "--log-level", "warn",
		"--listen-client-urls", "http://"+p.etcd, "--advertise-client-urls", "http://"+p.etcd,
		"--listen-peer-urls", "http://"+peer, "--initial-advertise-peer-urls", "http://"+peer, "--initial-cluster", "default=http://"+peer)
	if err != nil {
		return err
	}
	answers := func() (bool, error) {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.etcd)
		if err != nil {
			return false, err
		}
		return true, conn.Close()
	}
	if err := eventually("etcd answers", answers); err != nil {
		return err
	}
	for i := range p.nodes {
		if err := p.join(i); err != nil {
			return err
		}
	}
	if err := p.balance(); err != nil {
		return err
	}
	return p.Whole()
}

// patroniConfig is a node's configuration, with places for its name, the addresses of its REST
// API (its own and the one that others use), of etcd and of its PostgreSQL, and directories.
const patroniConfig = `scope: holdfast
name: %[1]s
restapi: {listen: %[2]s, connect_address: %[3]s}
etcd3: {hosts: '%[4]s', use_proxies: true} # it is to use that address and no other
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 3
    retry_timeout: 5
    primary_start_timeout: 0
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {max_connections: 120, shared_buffers: 32MB}
  initdb: [{encoding: UTF8}, {locale: C}, {auth: trust}, no-sync]
postgresql:
  listen: %[5]s
  connect_address: %[6]s
  data_dir: %[7]s/data
  bin_dir: %[8]s
  pgpass: %[7]s/pgpass
  authentication:
    superuser: {username: postgres}
    replication: {username: replicator}
    rewind: {username: rewinder}
  basebackup: [{checkpoint: fast}, no-sync]
  remove_data_directory_on_rewind_failure: true
  parameters: {unix_socket_directories: %[7]s, wal_retrieve_retry_interval: 500ms}
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
`

// join starts a node's Patroni, which starts PostgreSQL. The first node creates the cluster,
// the other one copies it. join does not wait for that.
func (p *Patroni) join(i int) error {
	n, other := &p.nodes[i], &p.nodes[1-i]
	var wires [3]string
	for w, ends := range []struct {
		from, to party
		target   string
	}{{other.party(), n.party(), n.rest}, {n.party(), theEtcd, p.etcd}, {other.party(), n.party(), n.postgres}} {
		var err error
		if wires[w], err = p.wire(ends.from, ends.to, ends.target); err != nil {
			return err
		}
	}
	config := fmt.Sprintf(patroniConfig, n.name, n.rest, wires[0], wires[1], n.postgres, wires[2], n.dir, p.bin)
	if err := os.WriteFile(n.config(), []byte(config), 0o644); err != nil {
		return err
	}
	if err := p.resume(i); err != nil {
		return err
	}
	return eventually(n.name+" runs", func() (bool, error) { err := ping(n.admin()); return err == nil, err })
}

// resume starts the Patroni of a node that has joined before.
func (p *Patroni) resume(i int) (err error) {
	n := &p.nodes[i]
	n.patroni, err = p.run(n.name, "patroni", n.config())
	return err
}

// haproxyConfig is the settings with the shortest gap (docs/operations.md).
const haproxyConfig = `global
  maxconn 1000
defaults
  mode tcp
  timeout connect 2s
  timeout client 30m
  timeout server 30m
  timeout check 2s
listen primary
  bind %s
  option httpchk OPTIONS /primary
  http-check expect status 200
  default-server inter 1s fall 2 rise 1 on-marked-down shutdown-sessions
`

func (p *Patroni) balance() error {
	config := fmt.Sprintf(haproxyConfig, p.haproxy)
	for i := range p.nodes {
		n := &p.nodes[i]
		server, err := p.wire(theHAProxy, n.party(), n.postgres)
		if err != nil {
			return err
		}
		check, err := p.wire(theHAProxy, n.party(), n.rest)
		if err != nil {
			return err
		}
		_, port, _ := net.SplitHostPort(check)
		config += fmt.Sprintf("  server %s %s check port %s\n", n.name, server, port)
	}
	file := filepath.Join(p.dir, "haproxy.cfg")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		return err
	}
	_, err := p.run("haproxy", "haproxy", "-db", "-f", file)
	return err
}

// wire makes a wire between two parties and returns the address at which from reaches target.
func (p *Patroni) wire(from, to party, target string) (address string, err error) {
	w, err := newWire(from, to, target)
	if err != nil {
		return "", err
	}
	p.wires = append(p.wires, w)
	return w.listener.Addr().String(), nil
}

// Admin is the URL of the admin database on the primary, as a superuser, through no wire.
func (p *Patroni) Admin() string {
	return "postgres://postgres@" + p.nodes[0].postgres + "," + p.nodes[1].postgres + "/postgres?sslmode=disable&connect_timeout=2&target_session_attrs=read-write"
}

// NewDatabase creates an empty database, owned by a role of its own, and returns three URLs for
// that role: without wires, with both hosts, and through HAProxy.
func (p *Patroni) NewDatabase(name string) (direct, hosts, haproxy string, err error) {
	if direct, err = ownedDatabase(p.Admin(), name); err != nil {
		return "", "", "", err
	}
	var both []string
	for i := range p.nodes {
		address, err := p.wire(theHosts, p.nodes[i].party(), p.nodes[i].postgres)
		if err != nil {
			return "", "", "", err
		}
		both = append(both, address)
	}
	through := func(host string) string {
		u := url.URL{Scheme: "postgres", User: url.User(name), Host: host, Path: "/" + name, RawQuery: "sslmode=disable"}
		return u.String()
	}
	return direct, through(strings.Join(both, ",")), through(p.haproxy), nil
}

// As is a URL of the same database for a superuser.
func (p *Patroni) As(name string) string { return databaseURL(p.Admin(), name) }

// Whole waits until there is a primary, and a standby that its COMMITs wait for.
func (p *Patroni) Whole() error {
	return eventually("the standby follows", func() (bool, error) {
		n, err := Count(p.Admin(), "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'")
		return n > 0, err
	})
}

// primary is the index of the node that takes writes.
func (p *Patroni) primary() (int, error) {
	for i := range p.nodes {
		if p.writable(i) {
			return i, nil
		}
	}
	return 0, errors.New("there is no primary")
}

func (p *Patroni) writable(i int) bool {
	n, err := Count(p.nodes[i].admin(), "SELECT COUNT(*) WHERE NOT pg_is_in_recovery()")
	return err == nil && n == 1
}

// Switchover makes Patroni promote the standby, in good order.
func (p *Patroni) Switchover() error {
	i, err := p.primary()
	if err != nil {
		return err
	}
	from, to := &p.nodes[i], &p.nodes[1-i]
	path, err := program("patronictl")
	if err != nil {
		return err
	}
	ctl := command(p.dir, p.owner, path, "-c", from.config(), "switchover", "holdfast", "--leader", from.name, "--candidate", to.name, "--force")
	if out, err := ctl.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", path, err, out)
	}
	return p.takes(1 - i)
}

// KillPostgres kills every process of the primary's PostgreSQL at once.
func (p *Patroni) KillPostgres() error {
	i, err := p.primary()
	if err != nil {
		return err
	}
	return p.killPostgres(i)
}

func (p *Patroni) killPostgres(i int) error {
	text, err := os.ReadFile(filepath.Join(p.nodes[i].dir, "data", "postmaster.pid"))
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return err
	}
	return killServer(pid)
}

// KillNode kills the primary's PostgreSQL and its Patroni, and starts Patroni again
// once the standby has taken over.
func (p *Patroni) KillNode() error {
	i, err := p.primary()
	if err != nil {
		return err
	}
	// Kill Patroni first: it would start PostgreSQL again.
	if err := errors.Join(p.nodes[i].patroni.end(syscall.SIGKILL), p.killPostgres(i), p.takes(1-i)); err != nil {
		return err
	}
	return p.resume(i)
}

// CutOff cuts the primary off from etcd, the standby and HAProxy, but not from clients with both
// hosts in their URL, until the standby has been the primary for a while.
func (p *Patroni) CutOff(while time.Duration) error {
	i, err := p.primary()
	if err != nil {
		return err
	}
	for _, w := range p.wires {
		if inside := func(x party) bool { return x == p.nodes[i].party() || x == theHosts }; inside(w.from) != inside(w.to) {
			w.cut()
			defer w.mend()
		}
	}
	err = p.takes(1 - i)
	time.Sleep(while)
	return err
}

// takes waits until a node takes writes.
func (p *Patroni) takes(i int) error {
	return eventually(p.nodes[i].name+" takes writes", func() (bool, error) { return p.writable(i), nil })
}

// Close ends everything. The files stay.
func (p *Patroni) Close() error {
	var errs []error
	for i := len(p.services) - 1; i >= 0; i-- { // etcd last: without it Patroni does not end in good order
		errs = append(errs, p.services[i].end(syscall.SIGTERM))
	}
	for _, w := range p.wires {
		errs = append(errs, w.close())
	}
	return errors.Join(append(errs, p.alive.Close(), p.reaper.Wait())...)
}

// service is a program that runs until it is ended.
type service struct {
	cmd   *exec.Cmd
	pid   string // the file that the reaper reads
	ended chan struct{}
}

// program returns the path of a program from a Debian package, which may not be on PATH.
func program(name string) (path string, err error) {
	if path, err = exec.LookPath(name); err != nil {
		if path, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			return "", fmt.Errorf("%s is missing (Debian: apt-get install patroni etcd-server haproxy): %w", name, err)
		}
	}
	return path, nil
}

// run starts a program that logs into a file with this name.
func (p *Patroni) run(name, of string, args ...string) (*service, error) {
	path, err := program(of)
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(filepath.Join(p.dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	s := &service{cmd: command(p.dir, p.owner, path, args...), pid: filepath.Join(p.dir, name+".pid"), ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	p.services = append(p.services, s)
	go func() {
		_ = s.cmd.Wait() // how it ended is in its log
		close(s.ended)
	}()
	return s, os.WriteFile(s.pid, strconv.AppendInt(nil, int64(s.cmd.Process.Pid), 10), 0o644)
}

// end sends a signal, unless the service has ended already, and waits for its end.
func (s *service) end(signal syscall.Signal) error {
	err := s.cmd.Process.Signal(signal)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	select {
	case <-s.ended:
	case <-time.After(patience):
		err = errors.Join(err, fmt.Errorf("%s did not end", s.cmd.Path), s.cmd.Process.Kill())
		<-s.ended
	}
	if gone := os.Remove(s.pid); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return err
}

// freePorts finds free addresses on loopback. It avoids the ports that the kernel gives to
// clients, because a client could take such an address while its server is down.
func freePorts(n int) (free []string, err error) {
	const first, last = 20000, 32000
	for range 100 * n {
		address := fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(last-first))
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(context.Background(), "tcp", address); err != nil {
			continue
		}
		defer l.Close()
		if free = append(free, address); len(free) == n {
			return free, nil
		}
	}
	return nil, fmt.Errorf("no free ports: %w", err)
}
