package storagetest

import (
	"os"
	"sync"
	"syscall"
	"testing"
)

// needed is more than enough memory for the databases of all packages' tests.
const needed = 4 << 30

// inMemory returns a file system in memory for the databases of tests, if there is one with
// enough room and TMPDIR does not name another place. Databases sync as always, but do not wait
// for a disk. That weakens no test: tests kill processes, and what a process has written
// outlives it on any file system.
var inMemory = sync.OnceValues(func() (dir string, ok bool) {
	const shm = "/dev/shm"
	var free syscall.Statfs_t
	if !testing.Testing() || os.Getenv("TMPDIR") != "" || syscall.Statfs(shm, &free) != nil {
		return "", false
	}
	return shm, free.Bavail*uint64(free.Bsize) >= needed
})
