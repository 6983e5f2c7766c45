//go:build unix

package storagetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Replica starts a hot standby of the cluster in dir, which must be empty and
// reachable for the user that the server runs as, and returns once it follows. From
// then on every COMMIT on the cluster waits until the standby has it on disk.
func (c *Cluster) Replica(dir string) (*Cluster, error) {
	if c.owner != nil {
		if err := os.Chown(dir, int(c.owner.Uid), int(c.owner.Gid)); err != nil {
			return nil, err
		}
	}
	backup := command(dir, c.owner, filepath.Join(c.bin, "pg_basebackup"), "--pgdata="+filepath.Join(dir, "data"),
		"--host="+c.dir, "--port=5432", "--username=postgres", "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
	if output, err := backup.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w\n%s", backup.Path, err, output)
	}
	r, err := startCluster(dir, c.bin, c.owner, c.settings)
	if err != nil {
		return nil, err
	}
	err = errors.Join(c.Set("synchronous_standby_names", "*"), eventually("the standby follows", func() (bool, error) {
		n, err := Count(c.Admin(), "SELECT COUNT(*) FROM pg_stat_replication WHERE sync_state = 'sync'")
		return n > 0, err
	}))
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// Set changes a setting of the running server.
func (c *Cluster) Set(name, value string) error {
	return errors.Join(execute(c.Admin(), "ALTER SYSTEM SET "+name+" = "+literal(value)), execute(c.Admin(), "SELECT pg_reload_conf()"))
}

// Deafen ends a standby's replication like a failing network: the standby goes on serving what
// it has, and the primary's COMMITs wait.
func (c *Cluster) Deafen() error {
	if err := c.Set("primary_conninfo", ""); err != nil {
		return err
	}
	return eventually("the standby has no receiver", func() (bool, error) {
		n, err := Count(c.Admin(), "SELECT COUNT(*) FROM pg_stat_wal_receiver")
		return n == 0, err
	})
}

// Promote makes a standby the primary. Its COMMITs wait for nobody.
func (c *Cluster) Promote() error {
	return errors.Join(execute(c.Admin(), "SELECT pg_promote(true, 60)"), c.Set("synchronous_standby_names", ""))
}

func literal(text string) string { return "'" + text + "'" }

func eventually(what string, is func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		yes, err := is()
		if yes {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(fmt.Errorf("still not so: %s", what), err)
		}
	}
}

// Alone starts a cluster for one test alone.
func Alone(t testing.TB) *Cluster {
	t.Helper()
	c, err := NewCluster(ownDir(t))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, c)
	return c
}

// Pair starts a cluster with a standby that its COMMITs wait for, for one test alone.
func Pair(t testing.TB) (primary, standby *Cluster) {
	t.Helper()
	primary = Alone(t)
	standby, err := primary.Replica(ownDir(t))
	if err != nil {
		t.Fatal(err)
	}
	closing(t, standby)
	return primary, standby
}

// ownDir is an empty directory for a server of one test.
func ownDir(t testing.TB) string {
	t.Helper()
	owner, err := serverUser()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := makeDir(owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func closing(t testing.TB, c *Cluster) {
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}
