package storagetest

import (
	"os"
	"sync"
	"syscall"
	"testing"
)

// needed is how much memory the databases of all packages' tests may take, with
// plenty to spare.
const needed = 4 << 30

// inMemory returns a file system in memory for the databases of tests, if there is
// one with room and TMPDIR asks for no other place. Databases sync as they always
// do, but wait for no disk. No test is weaker for it: what tests kill is processes,
// and what a process has written outlives it on any file system.
var inMemory = sync.OnceValues(func() (dir string, ok bool) {
	const shm = "/dev/shm"
	var free syscall.Statfs_t
	if !testing.Testing() || os.Getenv("TMPDIR") != "" || syscall.Statfs(shm, &free) != nil {
		return "", false
	}
	return shm, free.Bavail*uint64(free.Bsize) >= needed
})
