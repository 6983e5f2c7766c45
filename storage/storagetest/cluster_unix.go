//go:build unix

package storagetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// Cluster is a PostgreSQL for a program that kills it and starts it again on the same data.
// Except for Running and Execute, only one goroutine may use it.
type Cluster struct {
	dir, bin string
	owner    *syscall.Credential
	settings []string
	alive    io.Closer // its end tells the reaper that this process has ended
	reaper   *exec.Cmd

	mu     sync.Mutex
	server *exec.Cmd
	ended  chan struct{}
}

// reaper ends the server when the process dies before it could do so itself.
const reaper = `read -r _; kill -QUIT "$(head -n 1 data/postmaster.pid)" 2>/dev/null; true`

// NewCluster makes a cluster in dir, which must be empty and reachable for the
// user that the server runs as, with settings of the form name=value over the
// service's defaults, and starts it. The directory stays: it is the caller's.
func NewCluster(dir string, settings ...string) (*Cluster, error) {
	bin, err := findBinaries()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return nil, err
		}
	}
	if err := initialize(dir, bin, owner); err != nil {
		return nil, err
	}
	return startCluster(dir, bin, owner, settings)
}

// startCluster starts a server on the data in dir.
func startCluster(dir, bin string, owner *syscall.Credential, settings []string) (c *Cluster, err error) {
	c = &Cluster{dir: dir, bin: bin, owner: owner, settings: settings, reaper: command(dir, owner, "/bin/sh", "-c", reaper)}
	if c.alive, err = c.reaper.StdinPipe(); err != nil {
		return nil, err
	}
	if err := c.reaper.Start(); err != nil {
		return nil, err
	}
	if err := c.Start(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Admin is the URL of the admin database, as a superuser.
func (c *Cluster) Admin() string { return socketURL(c.dir) }

// Socket is the path of the server's socket.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// Start starts the server and returns once it answers. After a crash it may have to wait for
// what is left of the previous one.
func (c *Cluster) Start() error {
	for deadline := time.Now().Add(patience); ; {
		err := c.launch()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		<-time.After(100 * time.Millisecond)
	}
}

func (c *Cluster) launch() error {
	log, err := os.OpenFile(filepath.Join(c.dir, "server.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	args := []string{"-D", filepath.Join(c.dir, "data"), "-p", "5432"}
	for _, s := range append([]string{
		"listen_addresses=", "unix_socket_directories=" + c.dir,
		"fsync=on", "synchronous_commit=on", "shared_buffers=32MB", "max_connections=120",
	}, c.settings...) {
		args = append(args, "-c", s)
	}
	server := command(c.dir, c.owner, filepath.Join(c.bin, "postgres"), args...)
	server.Stdout, server.Stderr = log, log
	if err := server.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = server.Wait() // how it ended is in its log
		close(ended)
	}()
	c.mu.Lock()
	c.server, c.ended = server, ended
	c.mu.Unlock()
	for deadline := time.Now().Add(patience); ; {
		err := ping(c.Admin())
		if err == nil {
			return nil
		}
		select {
		case <-ended:
			return fmt.Errorf("PostgreSQL ended while starting:\n%s", serverLog(c.dir))
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, serverLog(c.dir))
		}
	}
}

// Running reports whether there is a server process.
func (c *Cluster) Running() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ended:
		return false
	default:
		return true
	}
}

// Kill kills every process of the server at once, like a crash: whatever was only in its
// memory is lost.
func (c *Cluster) Kill() error {
	if err := killServer(c.server.Process.Pid); err != nil {
		return err
	}
	<-c.ended
	return nil
}

// killServer kills a server and its children at once.
func killServer(pid int) error {
	// Stop it first, so that it starts no more children while we count them.
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	children, err := childrenOf(pid)
	if err != nil {
		return err
	}
	for _, pid := range append(children, pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			return err
		}
	}
	return nil
}

// KillBackend kills one process that works for a session of application, if
// there is one; the server then ends all its sessions and recovers by itself.
func (c *Cluster) KillBackend(application string) error {
	var pid int
	err := queryOne(c.Admin(), &pid, "SELECT COALESCE(MAX(pid), 0) FROM pg_stat_activity WHERE application_name = $1", application)
	if err != nil || pid == 0 {
		return err
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// StopAtOnce is PostgreSQL's immediate stop: no checkpoint, recovery at the next
// start.
func (c *Cluster) StopAtOnce() error {
	if err := c.server.Process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-c.ended
	return nil
}

// Close ends the server in good order. Its files stay.
func (c *Cluster) Close() error {
	err := c.server.Process.Signal(syscall.SIGINT)
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	if c.ended != nil {
		<-c.ended
	}
	return errors.Join(err, c.alive.Close(), c.reaper.Wait())
}

// NewDatabase creates an empty database, owned by a role of its own without special rights. It
// returns the URL for that role.
func (c *Cluster) NewDatabase(name string) (string, error) { return ownedDatabase(c.Admin(), name) }

func ownedDatabase(admin, name string) (string, error) {
	for _, statement := range []string{
		"CREATE ROLE " + quote(name) + " LOGIN",
		"CREATE DATABASE " + quote(name) + " OWNER " + quote(name),
	} {
		if err := execute(admin, statement); err != nil {
			return "", err
		}
	}
	u, err := url.Parse(databaseURL(admin, name))
	if err != nil {
		return "", err
	}
	u.User = url.User(name)
	return u.String(), nil
}

// As is a URL of the same database for a superuser.
func (c *Cluster) As(database string) (string, error) {
	u, err := url.Parse(database)
	if err != nil {
		return "", err
	}
	return databaseURL(c.Admin(), strings.TrimPrefix(u.Path, "/")), nil
}

// Execute runs one statement on a connection of its own.
func Execute(database, statement string) error { return execute(database, statement) }

// Count runs a query for one number.
func Count(database, query string, args ...any) (n int64, err error) {
	return n, queryOne(database, &n, query, args...)
}

func queryOne(database string, into any, query string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return err
	}
	return errors.Join(conn.QueryRow(ctx, query, args...).Scan(into), conn.Close(ctx))
}

// Occupy opens connections until the server refuses, and returns how many it got
// and what closes them.
func Occupy(database string) (n int, release func()) {
	ctx := context.Background()
	var open []*pgx.Conn
	for {
		conn, err := pgx.Connect(ctx, database)
		if err != nil {
			break
		}
		open = append(open, conn)
	}
	return len(open), func() {
		for _, conn := range open {
			_ = conn.Close(ctx) // the server may be gone
		}
	}
}

// During runs a statement in a transaction and returns what rolls it back.
func During(database, statement string) (undo func(), err error) {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, database)
	if err != nil {
		return nil, err
	}
	_, err = conn.Exec(ctx, "BEGIN")
	if err == nil {
		_, err = conn.Exec(ctx, statement)
	}
	if err != nil {
		return nil, errors.Join(err, conn.Close(ctx))
	}
	return func() { _ = conn.Close(ctx) }, nil // the server may be gone
}

// childrenOf lists a process's children if there is a /proc. Elsewhere they notice the end of
// their parent by themselves, a little later.
func childrenOf(parent int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	var children []int
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended meanwhile
		}
		// "pid (name) state ppid …", and the name may hold anything.
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 1 && f[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			if err != nil {
				return nil, err
			}
			children = append(children, pid)
		}
	}
	return children, nil
}
