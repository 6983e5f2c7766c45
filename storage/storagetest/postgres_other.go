//go:build !unix

package storagetest

import (
	"errors"
	"testing"
)

// startServer needs Unix: its sockets, its users and its shell.
func startServer(...string) (admin string, stop func() error, err error) {
	return "", nil, errors.New("these tests start PostgreSQL only on Unix: set TEST_POSTGRES_URL")
}

// PostgresWithLog fails the test, for the same reason.
func PostgresWithLog(t testing.TB, _ ...string) (url string, log func() string) {
	t.Helper()
	t.Fatal("this test starts PostgreSQL, only on Unix")
	return "", nil
}
