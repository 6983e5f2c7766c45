package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"log/slog"

	"holdfast/api/edge"
	"holdfast/storage/storagetest"
)

// The metrics are served, and no label has anything that a caller made up.
func TestMetrics(t *testing.T) {
	storagetest.Each(t, func(t *testing.T, db storagetest.Database) {
		m := newMetrics()
		if err := m.watch(db.DB); err != nil {
			t.Fatal(err)
		}
		m.observe(edge.Answer{Route: "/v3/CreateBooking", Status: 200, Cause: "SLOT_UNAVAILABLE", Took: 30 * time.Millisecond})
		m.counters.Mismatches.Add(1)
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() {
			served <- serveInternal(ctx, listener, m, &readiness{db: db.DB}, info{}, slog.New(slog.DiscardHandler))
		}()
		defer func() {
			stop()
			if err := <-served; err != nil {
				t.Error(err)
			}
		}()
		for path, want := range map[string][]string{
			"/metrics": {
				`holdfast_requests_total{cause="SLOT_UNAVAILABLE",code="200",route="/v3/CreateBooking"} 1`,
				`holdfast_request_seconds_bucket{route="/v3/CreateBooking",le="0.04"} 1`,
				`holdfast_request_seconds_bucket{route="/v3/CreateBooking",le="0.025"} 0`,
				"holdfast_idempotency_mismatch_total 1", "go_sql_open_connections{", "holdfast_transaction_retries_total 0",
			},
			"/debug/pprof/":                      {"goroutine"},
			"/debug/pprof/trace?seconds=86400":   {"at most 30"},
			"/debug/pprof/trace?seconds=NaN":     {"at most 30"},
			"/debug/pprof/trace?seconds=30.1":    {"at most 30"},
			"/debug/pprof/profile?seconds=86400": {"at most 30"},
			"/debug/pprof/heap?seconds=86400":    {"at most 30"},
		} {
			resp, err := http.Get("http://" + listener.Addr().String() + path)
			if err != nil {
				t.Fatal(err)
			}
			if ok := !strings.Contains(path, "seconds"); ok != (resp.StatusCode == 200) {
				t.Errorf("%s: %d", path, resp.StatusCode)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := resp.Body.Close(); err != nil {
				t.Error(err)
			}
			for _, line := range want {
				if !strings.Contains(string(body), line) {
					t.Errorf("%s lacks %q:\n%.3000s", path, line, body)
				}
			}
		}
	})
}
