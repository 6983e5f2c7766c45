//go:build unix

package storagetest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Pooler starts a PgBouncer in front of a database of the cluster, and returns the database's
// URL through it. mode is its pool_mode; size is how many sessions it keeps with PostgreSQL. It
// does not pass timeouts on.
func (c *Cluster) Pooler(t testing.TB, database, mode string, size int) (target string) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer" // Debian's, which is not on everybody's PATH
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	port := freePort(t)
	dir := ownDir(t)
	config := fmt.Sprintf(`[databases]
%s = host=%s port=5432 user=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = %s
default_pool_size = %d
ignore_startup_parameters = lock_timeout,statement_timeout,idle_in_transaction_session_timeout
`, name, c.dir, u.User.Username(), port, mode, size)
	file := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	pooler := command(dir, c.owner, program, file)
	var log strings.Builder
	pooler.Stderr = &log
	if err := pooler.Start(); err != nil {
		t.Fatalf("PgBouncer (Debian: apt-get install pgbouncer): %v", err)
	}
	t.Cleanup(func() {
		_ = pooler.Process.Kill()
		_ = pooler.Wait() // killed
	})
	through := url.URL{Scheme: "postgres", User: u.User, Host: fmt.Sprintf("127.0.0.1:%d", port), Path: u.Path, RawQuery: "sslmode=disable"}
	if err := eventually("PgBouncer answers", func() (bool, error) { err := ping(through.String()); return err == nil, err }); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	return through.String()
}

// freePort returns a free port of the loopback interface.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // of "tcp" it is one
}
