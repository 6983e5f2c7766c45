package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"holdfast/api"
	"holdfast/booking"
	"holdfast/storage"
)

type serveCommand struct {
	Address           string        `default:"127.0.0.1:8080" help:"Where to listen. (${default})"`
	GoogleCredentials string        `placeholder:"USER:PASSWORD[,USER:PASSWORD]" help:"What Google calls /v3 with. Give the old and the new pair while rotating. Without any, every /v3 call is refused. Prefer the environment variable: arguments can be seen by others on the machine."`
	LeaseDuration     time.Duration `default:"10m" help:"How long CreateLease may hold a slot. (${default})"`
	DeclineAfter      time.Duration `default:"24h" help:"How long a booking may wait for the merchant's word before it is declined; 0 is until it starts. (${default})"`
	InternalAddress   string        `placeholder:"HOST:PORT" help:"Where to serve /metrics and /debug/pprof/, without credentials: an address that only operators reach. Without it they are not served."`
	TLSCert           string        `type:"path" and:"tls" placeholder:"FILE" help:"Certificate chain (PEM), to serve HTTPS."`
	TLSKey            string        `type:"path" and:"tls" placeholder:"FILE" help:"Private key (PEM) of the certificate."`
}

// Run serves until the context ends, then answers what it has accepted and
// stops.
func (cmd *serveCommand) Run(ctx context.Context, s *settings, c *console) (err error) {
	credentials, err := api.ParseCredentials(cmd.GoogleCredentials)
	if err != nil {
		return fmt.Errorf("--google-credentials: %w", err)
	}
	if len(credentials) == 0 {
		c.log.Warn("no Google credentials are set: every /v3 call is refused with 401; set HOLDFAST_GOOGLE_CREDENTIALS")
	}
	if cmd.LeaseDuration <= 0 || cmd.DeclineAfter < 0 {
		return errors.New("--lease-duration must be above zero, --decline-after not below")
	}
	watched := newMetrics()
	db, err := storage.Open(ctx, s.Database, storage.Options{
		Retried: func(error) { watched.retries.Inc() }, Observed: watched.committed,
	})
	if err != nil {
		return err
	}
	defer closing(db, &err)
	if err := watched.watch(db); err != nil {
		return err
	}
	service := newService(db)
	service.LeaseLife = cmd.LeaseDuration
	srv := newServer(api.Config{
		Bookings: service, Credentials: credentials, Healthy: db.Ping, Log: c.log,
		Counters: watched.counters, Observe: watched.observe,
	})
	if cmd.TLSCert != "" {
		pair, err := tls.LoadX509KeyPair(cmd.TLSCert, cmd.TLSKey)
		if err != nil {
			return fmt.Errorf("--tls-cert, --tls-key: %w", err)
		}
		srv.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", cmd.Address)
	if err != nil {
		return fmt.Errorf("--address: %w", err)
	}
	// What runs beside the server ends with it.
	beside, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer func() { stop(); running.Wait() }()
	running.Go(func() { sweep(beside, service, cmd.DeclineAfter, c.log) })
	if cmd.InternalAddress != "" {
		internal, err := new(net.ListenConfig).Listen(ctx, "tcp", cmd.InternalAddress)
		if err != nil {
			return errors.Join(fmt.Errorf("--internal-address: %w", err), listener.Close())
		}
		c.log.Info("serving metrics", "address", internal.Addr().String())
		running.Go(func() {
			if err := watched.serveInternal(beside, internal, c.log); err != nil {
				c.log.Error("serve metrics", "error", err.Error())
			}
		})
	}
	c.log.Info("serving", "address", listener.Addr().String(), "tls", srv.TLSConfig != nil)
	return serve(ctx, srv, listener, c.log)
}

// newServer is the HTTP server with the limits that we ship: slow callers and
// large headers cost us little.
func newServer(config api.Config) *http.Server {
	return &http.Server{
		Handler:           api.New(config),
		ReadHeaderTimeout: 3 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(config.Log.Handler(), slog.LevelDebug),
	}
}

// sweepEvery is how often lapsed leases are tidied away, for which nobody waits,
// and bookings declined that nobody has confirmed.
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
		if err := errors.Join(err, err2); err != nil && ctx.Err() == nil {
			log.Warn("sweep", "error", err.Error())
		}
		if leases+declined > 0 {
			log.Info("swept", "leases", leases, "declined", declined)
		}
	}
}

// stopWithin is how long accepted requests may still take after we are told to
// stop.
const stopWithin = 10 * time.Second

// serve serves until ctx ends, then finishes what was accepted.
func serve(ctx context.Context, srv *http.Server, listener net.Listener, log *slog.Logger) error {
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		log.Info("stopping")
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		stopped <- srv.Shutdown(limited)
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
