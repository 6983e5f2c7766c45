//go:build !broken || !faults

package main

import (
	"context"
	"net/http"

	"holdfast/booking"
)

// A server built with the tag broken breaks a promise on purpose, see broken_on.go. This one does not.

func weakened(s booking.Store) booking.Store { return s }

func shutdown(ctx context.Context, srv *http.Server) error { return srv.Shutdown(ctx) }
