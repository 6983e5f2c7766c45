package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/alecthomas/kong"

	"holdfast/api"
	"holdfast/api/edge"
	"holdfast/booking"
	"holdfast/storage"
	"holdfast/traces"
)

type serveCommand struct {
	Address               string        `default:"127.0.0.1:8080" help:"Where to listen. (${default})"`
	GoogleCredentials     string        `xor:"google" placeholder:"USER:PASSWORD[,USER:PASSWORD]" help:"The credentials that Google calls /v3 with. Give the old and the new pair while you replace them. Without any, every /v3 call is refused. Prefer the environment variable: others on the machine can see arguments."`
	GoogleCredentialsFile string        `xor:"google" type:"path" placeholder:"FILE" help:"The same from a file: one USER:PASSWORD per line, optionally followed by its expiry date, like 2027-01-31. Read again on SIGHUP."`
	LeaseDuration         time.Duration `default:"10m" help:"How long CreateLease may hold a slot. (${default})"`
	DeclineAfter          time.Duration `default:"24h" help:"How long a booking may wait for the merchant's confirmation before it is declined; 0 waits until it starts. (${default})"`
	MaxLeases             int           `default:"10" help:"How many leases one Google user may hold at a merchant whose catalogue does not set it. (${default})"`
	MaxAnonymousLeases    int           `default:"100" help:"How many leases without a Google user one merchant may have. (${default})"`
	MaxTokens             int           `default:"20" help:"How many access tokens of one API key are valid at a time; beyond that the oldest ends. (${default})"`
	MaxBlocks             int           `default:"20" help:"How many different blocks may cover one time of a zone. (${default})"`
	InternalAddress       string        `placeholder:"HOST:PORT" help:"Where to serve /metrics and /debug/pprof/ without credentials. Use an address that only operators can reach. By default they are not served."`
	Drain                 time.Duration `default:"0s" help:"How long to go on serving after SIGTERM, while /readyz already says no: as long as a load balancer takes to notice. (${default})"`
	TrustedProxies        []string      `placeholder:"CIDR" help:"Networks of proxies whose X-Forwarded-For to trust, like 10.0.0.0/8. Without any it is ignored."`
	TLSCert               string        `type:"path" and:"tls" placeholder:"FILE" help:"Certificate chain (PEM), to serve HTTPS. Read again on SIGHUP."`
	TLSKey                string        `type:"path" and:"tls" placeholder:"FILE" help:"Private key (PEM) of the certificate."`
	OTLPEndpoint          string        `name:"otlp-endpoint" env:"OTEL_EXPORTER_OTLP_ENDPOINT" placeholder:"URL" help:"Where to send traces, by OTLP over HTTP, like http://localhost:4318. By default there are none."`
	OTLPHeaders           string        `name:"otlp-headers" env:"OTEL_EXPORTER_OTLP_HEADERS" placeholder:"NAME=VALUE,…" help:"Headers to send with traces, such as the collector's credentials. Prefer the environment variable."`
	ServiceName           string        `env:"OTEL_SERVICE_NAME" default:"holdfast" help:"What this server is called in traces. (${default})"`
	TracesSampler         string        `env:"OTEL_TRACES_SAMPLER" default:"parentbased_always_on" help:"Which requests to trace: always_on, always_off, traceidratio, or one of these with parentbased_ before it. (${default})"`
	TracesSamplerArg      float64       `env:"OTEL_TRACES_SAMPLER_ARG" default:"1" help:"The part of requests, from 0 to 1, that the samplers with traceidratio choose. (${default})"`
}

// Little of the server's heap lives long, so rare collections save time. The heap may grow to five times its
// live part, but from 112 MiB of memory on Go collects as often as necessary. GOGC and GOMEMLIMIT override
// this.
const (
	heapGrowth  = 400       // percent
	memoryLimit = 112 << 20 // bytes
)

func collectSeldom() {
	if chosen := debug.SetGCPercent(heapGrowth); chosen != 100 {
		debug.SetGCPercent(chosen)
	}
	if debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(memoryLimit)
	}
}

// Run serves until the context ends. Then it answers accepted requests and stops.
func (cmd *serveCommand) Run(ctx context.Context, s *settings, c *console, parsed *kong.Context) (err error) {
	collectSeldom()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	secrets, err := newSecrets(cmd, c.log)
	if err != nil {
		return err
	}
	if err := cmd.check(); err != nil {
		return err
	}
	proxies, err := networks(cmd.TrustedProxies)
	if err != nil {
		return fmt.Errorf("--trusted-proxies: %w", err)
	}
	traced, err := cmd.traces()
	if err != nil {
		return err
	}
	tracer := traces.New(traced, c.log)
	defer flush(tracer)
	watched := newMetrics()
	options := s.options()
	options.Retried, options.Observed, options.Fault = func(error) { watched.retries.Inc() }, watched.committed, fault
	db, err := storage.Open(ctx, s.Database, options)
	if err != nil {
		return err
	}
	defer closing(db, &err)
	exposed, err := storage.Exposed(s.Database)
	if err != nil {
		return fmt.Errorf("look at the permissions of the database: %w", err)
	}
	if exposed != nil {
		c.log.Warn("others on this machine can read the database: chmod 600", "files", strings.Join(exposed, ", "))
	}
	if err := watched.watch(db); err != nil {
		return err
	}
	ready := &readiness{db: db}
	watched.registry.MustRegister(secrets, &health{ready: ready, db: db})
	watched.spans(tracer)
	service := newService(db)
	service.LeaseLife = cmd.LeaseDuration
	service.MaxLeases, service.MaxAnonymousLeases = cmd.MaxLeases, cmd.MaxAnonymousLeases
	service.MaxTokens, service.MaxBlocks = cmd.MaxTokens, cmd.MaxBlocks
	service.Store = weakened(service.Store)
	var left leftDatabase
	srv := newServer(api.Config{
		Closed: left.closed, Bookings: service, Credentials: secrets.credentials, Healthy: db.Ping, Log: slog.New(tracer.Logging(c.log.Handler())),
		Attempts: edge.NewAttempts(failuresAtOnce, failuresEvery), Proxies: proxies,
		Counters: watched.counters, Observe: func(ctx context.Context, a edge.Answer) {
			watched.observe(a)
			tracer.Observe(ctx, a)
		},
	})
	srv.Handler = tracer.Handler(srv.Handler)
	srv.TLSConfig = secrets.tlsConfig()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmd.Address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	// Half of the files that the system lets us open are for the database and everything else.
	most := min(maxConnections, maxFiles()/2)
	limits := edge.Limits{Most: most, Reserved: most / 8, Each: min(maxConnectionsEach, most/4), Trusted: proxies}
	limited := edge.Listen(listener, limits, c.log)
	srv.ConnState, srv.ConnContext = limited.ConnState, limited.ConnContext
	watched.connections(limited)
	// Everything that runs beside the server ends with it.
	beside, stop := context.WithCancel(context.WithoutCancel(ctx))
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	running.Go(func() { secrets.watch(beside, hangups) })
	running.Go(func() { left.watch(beside, db, c.log) })
	running.Go(func() { tidyNumbers(beside, service, c.log) })
	running.Go(func() { sweep(beside, service, cmd.DeclineAfter, c.log) })
	running.Go(func() { index(beside, service, c.log) })
	if cmd.InternalAddress != "" {
		internal, err := new(net.ListenConfig).Listen(ctx, "tcp", cmd.InternalAddress)
		if err != nil {
			return errors.Join(fmt.Errorf("--internal-address: %w", err), listener.Close())
		}
		c.log.Info("serving metrics", "address", internal.Addr().String())
		running.Go(func() {
			if err := serveInternal(beside, internal, watched, ready, newInfo(parsed, time.Now()), c.log); err != nil {
				c.log.Error("serve metrics", "error", err.Error())
			}
		})
	}
	if traced.Endpoint != "" {
		c.log.Info("sending traces", "endpoint", traced.Endpoint, "sampler", traced.Sampler)
	}
	c.log.Info("serving", "address", listener.Addr().String(), "tls", srv.TLSConfig != nil)
	return serve(ctx, srv, limited, ready, cmd.Drain, c.log)
}

// traces says where traces go, and of which requests.
func (cmd *serveCommand) traces() (traces.Config, error) {
	c := traces.Config{
		Endpoint: cmd.OTLPEndpoint, Service: cmd.ServiceName, Version: newInfo(nil, time.Time{}).Version,
		Sampler: cmd.TracesSampler, Ratio: cmd.TracesSamplerArg,
	}
	var err error
	if c.Headers, err = traces.Headers(cmd.OTLPHeaders); err != nil {
		return c, fmt.Errorf("--otlp-headers: %w", err)
	}
	return c, c.Check()
}

// flushWithin is how long the last traces may take on their way to the collector.
const flushWithin = 2 * time.Second

func flush(t *traces.Tracer) {
	ctx, cancel := context.WithTimeout(context.Background(), flushWithin)
	defer cancel()
	t.Close(ctx)
}

// check returns what is wrong with the settings themselves.
func (cmd *serveCommand) check() error {
	var errs []error
	if _, err := networks(cmd.TrustedProxies); err != nil {
		errs = append(errs, fmt.Errorf("--trusted-proxies: %w", err))
	}
	if _, err := cmd.traces(); err != nil {
		errs = append(errs, err)
	}
	if cmd.LeaseDuration <= 0 || cmd.DeclineAfter < 0 || cmd.Drain < 0 {
		errs = append(errs, errors.New("--lease-duration must be above zero, --decline-after and --drain not below"))
	}
	if min(cmd.MaxLeases, cmd.MaxAnonymousLeases, cmd.MaxTokens, cmd.MaxBlocks) < 1 {
		errs = append(errs, errors.New("--max-leases, --max-anonymous-leases, --max-tokens and --max-blocks must be above zero"))
	}
	return errors.Join(errs...)
}

// How many connections may be open: in all, of which an eighth is reserved for Google, and from one address
// without credentials. Each costs about 20 kB, or 50 kB with TLS.
const (
	maxConnections     = 2048
	maxConnectionsEach = 256
)

// How often one address may show wrong credentials: failuresAtOnce times at once, and once more every
// failuresEvery.
const (
	failuresAtOnce = 60
	failuresEvery  = time.Second
)

// networks reads addresses of networks, or of single machines.
func networks(texts []string) ([]*net.IPNet, error) {
	var all []*net.IPNet
	for _, text := range texts {
		if ip := net.ParseIP(text); ip != nil {
			all = append(all, &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))})
			continue
		}
		_, network, err := net.ParseCIDR(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no network like 10.0.0.0/8", text)
		}
		all = append(all, network)
	}
	return all, nil
}

// newServer returns the HTTP server with the limits that we ship, so that slow callers and large headers cost
// us little.
func newServer(config api.Config) *http.Server {
	return &http.Server{
		Handler:           breaking(api.New(config)),
		ReadHeaderTimeout: 3 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(config.Log.Handler(), slog.LevelDebug),
		// A stream costs as much as a connection, and we must buffer what arrives on it before
		// somebody reads it.
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 32, MaxReadFrameSize: 16 << 10,
			MaxReceiveBufferPerConnection: 64 << 10, MaxReceiveBufferPerStream: 64 << 10,
			WriteByteTimeout: 5 * time.Second,
		},
	}
}

// sweepEvery is how often the server removes lapsed leases, for which nobody waits, and declines bookings that
// nobody has confirmed.
const sweepEvery = time.Minute

func sweep(ctx context.Context, service *booking.Service, declineAfter time.Duration, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(sweepEvery):
		}
		leases, err := service.Sweep(ctx)
		declined, err2 := service.DeclineOverdue(ctx, declineAfter)
		_, err3 := service.NormalizeNumbers(ctx, nil) // servers of earlier releases may still run
		if err := errors.Join(err, err2, err3); err != nil && ctx.Err() == nil {
			log.Warn("sweep", "error", err.Error())
		}
		if leases+declined > 0 {
			log.Info("swept", "leases", leases, "declined", declined)
		}
	}
}

// indexEvery is how often the server looks for charts that are new or have changed. Searches find those too,
// one by one.
const indexEvery = 2 * time.Second

// index indexes charts for the search, including all those of a database that had no index. It uses a tenth
// of the time, and leaves the rest to bookings.
func index(ctx context.Context, service *booking.Service, log *slog.Logger) {
	for {
		started := time.Now()
		n, err := service.IndexGuests(ctx)
		if err != nil && ctx.Err() == nil {
			log.Warn("index guests", "error", err.Error())
		}
		pause := indexEvery
		if n > 0 {
			pause = min(9*time.Since(started), indexEvery)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// tidyNumbers normalizes telephone numbers that servers of earlier releases have left. The sweep finishes what
// it does not.
func tidyNumbers(ctx context.Context, service *booking.Service, log *slog.Logger) {
	done, err := service.NormalizeNumbers(ctx, nil)
	moved, err2 := service.StrayVisits(ctx)
	if err := errors.Join(err, err2); err != nil && ctx.Err() == nil {
		log.Warn("normalize telephone numbers", "error", err.Error())
	}
	if done.Keys+moved > 0 {
		log.Info("normalized telephone numbers", "keys", done.Keys, "charts_joined", done.Joined)
	}
}

// stopWithin is how long accepted requests may still take once we are stopping.
const stopWithin = 10 * time.Second

// serve serves until ctx ends. Then it reports that it is not ready, keeps serving for drain, so that load
// balancers send requests elsewhere, and finishes accepted requests.
func serve(ctx context.Context, srv *http.Server, listener net.Listener, ready *readiness, drain time.Duration, log *slog.Logger) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		log.Info("stopping")
		ready.stopping.Store(true)
		<-time.After(drain)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		stopped <- shutdown(limited, srv)
	}()
	start := srv.Serve
	if srv.TLSConfig != nil {
		start = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	if err := start(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return <-stopped
}
