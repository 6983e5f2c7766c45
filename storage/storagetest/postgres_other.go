//go:build !unix

package storagetest

import "errors"

// startServer needs Unix: its sockets, its users and its shell.
func startServer() (admin string, stop func() error, err error) {
	return "", nil, errors.New("these tests start PostgreSQL only on Unix: set TEST_POSTGRES_URL")
}
