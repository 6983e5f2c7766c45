package storagetest

import (
	"cmp"
	"os"
	"syscall"
	"testing"
)

// needed is more than enough memory for the databases of all packages' tests.
const needed = 4 << 30

// inMemory returns a directory in memory for the databases of tests: TMPDIR, or /dev/shm
// if that is not set. It has none if that is on a disk, or has no room. Databases sync as
// they always do, but wait for no disk. No test is weaker for it: what tests kill is
// processes, and what a process has written outlives it on any file system.
func inMemory() (dir string, ok bool) {
	const tmpfs = 0x01021994
	dir = cmp.Or(os.Getenv("TMPDIR"), "/dev/shm")
	var system syscall.Statfs_t
	if !testing.Testing() || syscall.Statfs(dir, &system) != nil {
		return "", false
	}
	return dir, system.Type == tmpfs && system.Bavail*uint64(system.Bsize) >= needed
}
