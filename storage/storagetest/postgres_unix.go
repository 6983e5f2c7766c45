//go:build unix

package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// dirPrefix, followed by the process id and a random part, names the directory
// of a private server: the id says whose it is when its owner could not tidy up.
const dirPrefix = "holdfast-postgres-"

// supervisor is the shell between this process and its server. It waits on a pipe that only this
// process holds open, so it notices the process's end, be it a return, a panic, a timeout or
// kill -9. Then it ends the server at once (QUIT; there is nothing to save) and removes the
// directory.
//
// The shell's standard output is a pipe as well, which only the server holds after the exec: its
// end shows startServer that the server did not come up.
const supervisor = `
dir=$1
shift
"$@" 2>server.log &
server=$!
exec >&-
read -r _
kill -QUIT "$server" 2>/dev/null
wait "$server"
cd / && rm -rf "$dir"
`

// startServer starts a private server with these additional settings. It listens only on a
// socket in its own directory.
func startServer(settings ...string) (admin string, stop func() error, err error) {
	removeLeftovers()
	bin, err := findBinaries()
	if err != nil {
		return "", nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return "", nil, err
	}
	dir, err := makeDir(owner)
	if err != nil {
		return "", nil, err
	}
	stop, err = startIn(dir, bin, owner, settings...)
	if err != nil {
		return "", nil, errors.Join(err, os.RemoveAll(dir))
	}
	return socketURL(dir), stop, nil
}

// initialize makes a new cluster without syncing it, because a power cut here loses nothing. The
// server itself does sync.
func initialize(dir, bin string, owner *syscall.Credential) error {
	initdb := command(dir, owner, filepath.Join(bin, "initdb"), "--pgdata="+filepath.Join(dir, "data"),
		"--username=postgres", "--auth=trust", "--no-locale", "--encoding=UTF8", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", initdb.Path, err, output)
	}
	return nil
}

// startIn fills dir with a new cluster, starts it with these additional settings, as postgres -c
// takes them, and waits until it answers.
func startIn(dir, bin string, owner *syscall.Credential, settings ...string) (stop func() error, err error) {
	data := filepath.Join(dir, "data")
	if err := initialize(dir, bin, owner); err != nil {
		return nil, err
	}
	args := []string{
		"-c", supervisor, "sh", dir,
		filepath.Join(bin, "postgres"), "-D", data, "-p", "5432",
		"-c", "listen_addresses=", "-c", "unix_socket_directories=" + dir,
		// The service insists on these two. They are the defaults, spelled out.
		"-c", "fsync=on", "-c", "synchronous_commit=on",
		"-c", "shared_buffers=32MB", "-c", "max_connections=300",
	}
	for _, setting := range settings {
		args = append(args, "-c", setting)
	}
	run := command(dir, owner, "/bin/sh", args...)
	alive, err := run.StdinPipe() // referenced by stop: collected, it would close
	if err != nil {
		return nil, err
	}
	ended, stdout, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ended.Close()
	run.Stdout = stdout
	err = run.Start()
	stdout.Close()
	if err != nil {
		return nil, err
	}
	stop = func() error {
		return errors.Join(alive.Close(), run.Wait())
	}
	if err := awaitServer(dir, ended); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// PostgresWithLog starts a server for one test alone, with additional settings as postgres -c
// takes them. It returns the URL of an empty database, as a superuser, and a function that
// reads everything that the server has logged so far.
func PostgresWithLog(t testing.TB, settings ...string) (url string, log func() string) {
	t.Helper()
	bin, err := findBinaries()
	if err != nil {
		t.Fatal(err)
	}
	owner, err := serverUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := makeDir(owner)
	if err != nil {
		t.Fatal(err)
	}
	stop, err := startIn(dir, bin, owner, settings...)
	if err != nil {
		t.Fatal(errors.Join(err, os.RemoveAll(dir)))
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return socketURL(dir), func() string { return string(serverLog(dir)) }
}

// awaitServer returns nil once the server in dir answers, or an error that says why it will not.
func awaitServer(dir string, ended *os.File) error {
	for deadline := time.Now().Add(patience); ; {
		err := ping(socketURL(dir))
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, serverLog(dir))
		}
		// Between two tries wait for the server's end, which is worth knowing at once.
		if err := ended.SetReadDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
			return err
		}
		if _, err := ended.Read(make([]byte, 512)); errors.Is(err, io.EOF) {
			return fmt.Errorf("PostgreSQL ended while starting:\n%s", serverLog(dir))
		}
	}
}

func serverLog(dir string) []byte {
	log, err := os.ReadFile(filepath.Join(dir, "server.log"))
	if err != nil {
		return []byte(err.Error())
	}
	return bytes.TrimSpace(log)
}

func socketURL(dir string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/postgres"}
	u.RawQuery = url.Values{"host": {dir}, "port": {"5432"}}.Encode()
	return u.String()
}

// command prepares a program that runs in dir as owner, outside this process's group: a signal
// that a terminal or a test runner sends to the whole group must end the parent, and must not
// reach the supervisor itself.
func command(dir string, owner *syscall.Credential, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir // the package's directory may be closed to owner
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "PG") { // PGDATA, PGPORT and the like change what starts
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	return cmd
}

// findBinaries returns the directory of initdb and postgres: the newest that Debian's packages
// installed (they are not on PATH), or the one on PATH.
func findBinaries() (string, error) {
	newest, version := "", 0.0
	installed, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil {
		return "", err
	}
	for _, postgres := range installed {
		bin := filepath.Dir(postgres)
		v, err := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64) // 17, but also 9.6
		if err == nil && v > version {
			newest, version = bin, v
		}
	}
	if newest != "" {
		return newest, nil
	}
	initdb, err := exec.LookPath("initdb")
	if err == nil {
		_, err = exec.LookPath(filepath.Join(filepath.Dir(initdb), "postgres"))
	}
	if err != nil {
		return "", errors.New("these tests need PostgreSQL: install it (Debian: apt-get install postgresql) or set TEST_POSTGRES_URL")
	}
	return filepath.Dir(initdb), nil
}

// serverUser returns the user that the server runs as: nil for ourselves, or an unprivileged
// user if we are root, because PostgreSQL refuses root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		u, err = user.Lookup("nobody")
	}
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user postgres or nobody: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// makeDir makes the server's directory, which only owner can enter.
func makeDir(owner *syscall.Credential) (string, error) {
	dir, err := os.MkdirTemp(baseDir(), fmt.Sprintf("%s%d-", dirPrefix, os.Getpid()))
	if err != nil {
		return "", err
	}
	if owner != nil {
		if err := os.Chown(dir, int(owner.Uid), int(owner.Gid)); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	return dir, nil
}

// baseDir is where directories for servers are made: in memory for tests, if there is room, and
// otherwise not in a TMPDIR with a long name, because a socket's path is limited to about 100
// bytes.
func baseDir() string {
	if dir, ok := inMemory(); ok && len(dir) <= 40 {
		return dir
	}
	if base := os.TempDir(); len(base) <= 40 {
		return base
	}
	return "/tmp"
}

// removeLeftovers removes what dead processes have left: the directories of servers whose
// supervisor was killed too, and SQLite files in memory. If such a server still runs, it notices
// within a minute that its files are gone, and ends.
func removeLeftovers() {
	for _, prefix := range []string{dirPrefix, sqlitePrefix} {
		dirs, err := filepath.Glob(filepath.Join(baseDir(), prefix+"*"))
		if err != nil {
			continue
		}
		for _, dir := range dirs {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), prefix), "-")
			id, err := strconv.Atoi(pid)
			if err == nil && errors.Is(syscall.Kill(id, 0), syscall.ESRCH) {
				_ = os.RemoveAll(dir) // it may be another user's, who will do it
			}
		}
	}
}
