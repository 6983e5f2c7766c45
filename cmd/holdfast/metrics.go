package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"holdfast/api/edge"
	"holdfast/storage"
	"holdfast/traces"
)

// metrics are what an operator can watch. No label has anything that a caller made up: routes, status codes
// and causes come from lists of ours.
type metrics struct {
	registry *prometheus.Registry
	counters *edge.Counters
	requests *prometheus.CounterVec
	latency  *prometheus.HistogramVec
	retries  prometheus.Counter
	batch    prometheus.Histogram // operations in one transaction
	wait     prometheus.Histogram
	commit   prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		counters: &edge.Counters{},
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "holdfast_requests_total", Help: "Requests answered, by route, status code and, where one was refused, cause or field.",
		}, []string{"route", "code", "cause"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "holdfast_request_seconds", Help: "Time to answer. Google's limits are 1.5 s for BatchAvailabilityLookup and 4 s for CreateBooking and UpdateBooking.",
			// 15 and 40 ms are a hundredth of Google's limits.
			Buckets: []float64{.002, .005, .01, .015, .025, .04, .1, .25, .5, 1, 1.5, 2.5, 4, 10},
		}, []string{"route"}),
		retries: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "holdfast_transaction_retries_total", Help: "Database transactions that were run again.",
		}),
		// Operators' dashboards know a batch as a group, so the names stay.
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_group_operations", Help: "Operations that shared one database transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 8),
		}),
		wait: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_group_wait_seconds", Help: "How long the first operation of a transaction waited for its turn.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 13),
		}),
		commit: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "holdfast_group_seconds", Help: "Time of a shared transaction, from its first statement to the answer to COMMIT, with what was run again.",
			Buckets: prometheus.ExponentialBuckets(.0005, 2, 13),
		}),
	}
	m.registry.MustRegister(m.requests, m.latency, m.retries, m.batch, m.wait, m.commit,
		counter("holdfast_idempotency_replays_total", "Requests whose idempotency token had made a booking already.", m.counters.Replays.Load),
		counter("holdfast_idempotency_mismatch_total", "Replays that were another request than the first under their token.", m.counters.Mismatches.Load),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the database's pools.
func (m *metrics) watch(db *storage.DB) error {
	pools, err := db.Pools()
	if err != nil {
		return err
	}
	for name, pool := range pools {
		m.registry.MustRegister(collectors.NewDBStatsCollector(pool, name))
	}
	return nil
}

// committed counts one transaction of operations.
func (m *metrics) committed(b storage.Batch) {
	m.batch.Observe(float64(b.Size))
	m.wait.Observe(b.Waited.Seconds())
	m.commit.Observe(b.Took.Seconds())
}

// observe counts one answer.
func (m *metrics) observe(a edge.Answer) {
	cause := a.Cause
	if cause == "" {
		cause = a.Field
	}
	m.requests.WithLabelValues(a.Route, strconv.Itoa(a.Status), cause).Inc()
	m.latency.WithLabelValues(a.Route).Observe(a.Took.Seconds())
}

// connections adds the counts of a listener.
func (m *metrics) connections(l *edge.Listener) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "holdfast_connections", Help: "Connections that are open."},
			func() float64 { open, _ := l.Counts(); return float64(open) }),
		counter("holdfast_connections_closed_total", "Connections that were closed because there were too many.",
			func() int64 { _, closed := l.Counts(); return int64(closed) }),
	)
}

// spans adds the counts of a tracer.
func (m *metrics) spans(t *traces.Tracer) {
	m.registry.MustRegister(
		counter("holdfast_trace_spans_sent_total", "Spans of traces that the collector has taken.",
			func() int64 { sent, _ := t.Counts(); return sent }),
		counter("holdfast_trace_spans_dropped_total", "Spans of traces that were dropped: the collector was away, too slow, or refused them.",
			func() int64 { _, dropped := t.Counts(); return dropped }),
	)
}

// counter exports a number that somebody else counts.
func counter(name, help string, value func() int64) prometheus.Collector {
	return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

// health collects, whenever somebody asks for metrics, whether the server is ready, how far standbys are
// behind, and how full the queue is.
type health struct {
	ready *readiness
	db    *storage.DB
}

var (
	readyDesc    = prometheus.NewDesc("holdfast_ready", "1 if /readyz says so.", nil, nil)
	standbysDesc = prometheus.NewDesc("holdfast_replication_standbys", "Standbys that are connected to PostgreSQL.", nil, nil)
	behindDesc   = prometheus.NewDesc("holdfast_replication_behind_seconds", "How far the slowest standby is behind. 0 if the role may not see it (GRANT pg_monitor).", nil, nil)
	waitingDesc  = prometheus.NewDesc("holdfast_replication_waiting", "1 if COMMITs wait for a standby and none is connected.", nil, nil)
	queuedDesc   = prometheus.NewDesc("holdfast_queue_operations", "Operations that wait for the database or run.", nil, nil)
	placesDesc   = prometheus.NewDesc("holdfast_queue_places", "How many of them there may be; over that they are refused.", nil, nil)
)

// Describe implements prometheus.Collector.
func (h *health) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{readyDesc, standbysDesc, behindDesc, waitingDesc, queuedDesc, placesDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector. It leaves out what the database does not say at the moment.
func (h *health) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*readyWithin)
	defer cancel()
	gauge := func(d *prometheus.Desc, value float64) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value)
	}
	yes := func(is bool) float64 {
		if is {
			return 1
		}
		return 0
	}
	gauge(readyDesc, yes(h.ready.check(ctx) == nil))
	queued, places := h.db.Queued()
	gauge(queuedDesc, float64(queued))
	gauge(placesDesc, float64(places))
	standbys, err := h.db.Replication(ctx)
	if err != nil {
		return
	}
	gauge(standbysDesc, float64(standbys.Standbys))
	gauge(behindDesc, standbys.Behind.Seconds())
	gauge(waitingDesc, yes(standbys.Waiting))
}

// Bounds of the internal address: connections at most, and how long a profile or a trace may be.
const (
	internalConnections = 32
	longestProfile      = 30 * time.Second
)

// brief refuses a profile that would take longer than that.
func brief(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if sec, err := strconv.ParseFloat(r.FormValue("seconds"), 64); err == nil && !(sec <= longestProfile.Seconds()) { // refuses NaN, too
			http.Error(w, fmt.Sprintf("seconds must be at most %v", longestProfile.Seconds()), http.StatusBadRequest)
			return
		}
		h(w, r)
	}
}

// serveInternal serves operators, on an address of its own that is not for the world, until the context
// ends.
func serveInternal(ctx context.Context, listener net.Listener, m *metrics, ready *readiness, i info, log *slog.Logger) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", ready.serve)
	mux.HandleFunc("GET /info", i.serve)
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", brief(pprof.Index))
	// Not pprof.Cmdline, because arguments may contain credentials.
	mux.HandleFunc("GET /debug/pprof/profile", brief(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", brief(pprof.Trace))
	limited := edge.Listen(listener, edge.Limits{Most: internalConnections, Each: internalConnections}, log)
	srv := &http.Server{
		Handler: mux, ConnState: limited.ConnState,
		ReadHeaderTimeout: 3 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		// The read timeout also ends profiles; pprof extends the write timeout by itself.
		ReadTimeout: longestProfile + time.Second, WriteTimeout: 5 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	closed := make(chan error, 1)
	go func() {
		<-ctx.Done()
		closed <- srv.Close()
	}()
	if err := srv.Serve(limited); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return <-closed
}
