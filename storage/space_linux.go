package storage

import (
	"fmt"
	"syscall"
)

// Magic numbers of statfs(2).
const (
	magicNFS  = 0x6969
	magicCIFS = 0xff534d42
	magicSMB2 = 0xfe534d42
)

// space returns how many bytes are free on the file system of a directory, and whether that
// is on another machine.
func space(dir string) (free uint64, network bool, err error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, false, fmt.Errorf("look at the file system of %s: %w", dir, err)
	}
	switch uint32(s.Type) { //nolint:gosec // magic numbers have 32 bits
	case magicNFS, magicCIFS, magicSMB2:
		network = true
	}
	return s.Bavail * uint64(s.Bsize), network, nil //nolint:gosec // a size of blocks
}
