//go:build !linux

package storagetest

// inMemory knows of a file system in memory on Linux alone.
func inMemory() (dir string, ok bool) { return "", false }
