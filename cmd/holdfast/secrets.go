package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/api/google"
)

// secrets are the server's certificate and Google's credentials. Those from files can be replaced while it
// serves.
type secrets struct {
	credentialsFile   string // "" if they came from a setting
	certFile, keyFile string // "" for plain HTTP
	log               *slog.Logger

	credentials *google.Credentials
	certificate atomic.Pointer[tls.Certificate]
}

// newSecrets reads all of them. At the start each must be valid.
func newSecrets(cmd *serveCommand, log *slog.Logger) (*secrets, error) {
	s := &secrets{credentialsFile: cmd.GoogleCredentialsFile, certFile: cmd.TLSCert, keyFile: cmd.TLSKey, log: log, credentials: google.NewCredentials()}
	all, err := google.ParseCredentials(cmd.GoogleCredentials)
	if err != nil {
		return nil, fmt.Errorf("--google-credentials: %w", err)
	}
	s.replaceCredentials(all)
	if s.credentialsFile == "" && len(all) == 0 {
		log.Warn("no Google credentials are set: every /v3 call is refused with 401; set HOLDFAST_GOOGLE_CREDENTIALS")
	}
	if err := errors.Join(s.readCredentials(), s.readCertificate()); err != nil {
		return nil, err
	}
	return s, nil
}

// readCredentials reads the file. On an error it changes nothing.
func (s *secrets) readCredentials() error {
	if s.credentialsFile == "" {
		return nil
	}
	text, err := os.ReadFile(s.credentialsFile)
	if err != nil {
		return fmt.Errorf("--google-credentials-file: %w", err)
	}
	all, err := google.ParseCredentialsFile(string(text))
	if err != nil {
		return fmt.Errorf("--google-credentials-file: %w", err)
	}
	s.replaceCredentials(all)
	return nil
}

func (s *secrets) replaceCredentials(all []google.Credential) {
	s.credentials.Replace(all)
	for i, c := range all {
		if c.Weak() {
			s.log.Warn("short password, which could be guessed: choose one with openssl rand -hex 24", "what", "Google credentials", "pair", i+1)
		}
	}
}

// readCertificate reads certificate and key. On an error it changes nothing.
func (s *secrets) readCertificate() error {
	if s.certFile == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(s.certFile, s.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	s.certificate.Store(&pair)
	return nil
}

// tlsConfig returns nil for plain HTTP. Each handshake gets the current certificate.
func (s *secrets) tlsConfig() *tls.Config {
	if s.certFile == "" {
		return nil
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.certificate.Load(), nil },
	}
}

// watch reads the files again on every signal, and once a day warns of what is about to expire, until the
// context ends. If a file is unreadable or wrong, the old secrets stay.
func (s *secrets) watch(ctx context.Context, again <-chan os.Signal) {
	day := time.NewTicker(24 * time.Hour)
	defer day.Stop()
	s.remind(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case <-day.C:
		case <-again:
			s.reload()
		}
		s.remind(time.Now())
	}
}

func (s *secrets) reload() {
	for _, file := range []struct {
		name string
		read func() error
	}{{s.credentialsFile, s.readCredentials}, {s.certFile, s.readCertificate}} {
		if file.name == "" {
			continue
		}
		if err := file.read(); err != nil {
			s.log.Error("not read again, the old one stays", "error", err.Error())
			continue
		}
		s.log.Info("read again", "file", file.name)
	}
}

// deadline is the time at which a secret expires.
type deadline struct {
	what string
	pair int // which of Google's pairs, from 1; 0: another secret
	at   time.Time
}

func (s *secrets) deadlines() []deadline {
	var all []deadline
	for i, at := range s.credentials.Expiries() {
		if !at.IsZero() {
			all = append(all, deadline{"Google credentials", i + 1, at})
		}
	}
	if pair := s.certificate.Load(); pair != nil {
		all = append(all, deadline{what: "TLS certificate", at: pair.Leaf.NotAfter})
	}
	return all
}

// daysLeft returns the days until the deadline, below zero once it has passed.
func (e deadline) daysLeft(now time.Time) float64 { return e.at.Sub(now).Hours() / 24 }

// remindDays is how many days before something expires the log begins to say so.
const remindDays = 30

func (s *secrets) remind(now time.Time) {
	for _, e := range s.deadlines() {
		left := e.daysLeft(now)
		if left >= remindDays {
			continue
		}
		attrs := []any{"what", e.what, "days_left", math.Floor(left), "on", e.at.UTC().Format(time.DateOnly)}
		if e.pair > 0 {
			attrs = append(attrs, "pair", e.pair)
		}
		s.log.Warn("expires soon", attrs...)
	}
}

var (
	credentialDays = prometheus.NewDesc("holdfast_google_credentials_days_left", "Days until a pair of Google's credentials expires; only of those whose day is known. Below zero: it has.", []string{"pair"}, nil)
	certDays       = prometheus.NewDesc("holdfast_tls_certificate_days_left", "Days until the TLS certificate expires. Below zero: it has.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *secrets) Describe(out chan<- *prometheus.Desc) {
	out <- credentialDays
	out <- certDays
}

// Collect implements prometheus.Collector.
func (s *secrets) Collect(out chan<- prometheus.Metric) {
	now := time.Now()
	for _, e := range s.deadlines() {
		if e.pair > 0 {
			out <- prometheus.MustNewConstMetric(credentialDays, prometheus.GaugeValue, e.daysLeft(now), fmt.Sprint(e.pair))
		} else {
			out <- prometheus.MustNewConstMetric(certDays, prometheus.GaugeValue, e.daysLeft(now))
		}
	}
}
