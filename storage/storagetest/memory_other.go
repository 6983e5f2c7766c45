//go:build !linux

package storagetest

// inMemory knows a file system in memory only on Linux.
func inMemory() (dir string, ok bool) { return "", false }
