package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"holdfast/api/google"
	"holdfast/storage/storagetest"
)

// hangUp sends SIGHUP to the servers of this process and waits until the log has
// one more line of the kind.
func (s *serving) hangUp(t *testing.T, line string) {
	t.Helper()
	n := strings.Count(s.log.String(), line)
	self, err := os.FindProcess(os.Getpid())
	must(t, err)
	must(t, self.Signal(syscall.SIGHUP))
	if _, err := s.log.await(t.Context(), fmt.Sprintf(`(?s)(%s.*){%d}`, line, n+1)); err != nil {
		t.Fatal(err)
	}
}

// as asks for health with these credentials and returns the status.
func (s *serving) as(credentials string) (int, error) {
	r, err := http.NewRequest(http.MethodGet, s.url+"/v3/HealthCheck", nil)
	if err != nil {
		return 0, err
	}
	user, password, _ := strings.Cut(credentials, ":")
	r.SetBasicAuth(user, password)
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func (s *serving) wantAs(t *testing.T, credentials string, want int) {
	t.Helper()
	if got, err := s.as(credentials); err != nil || got != want {
		t.Errorf("got %d, %v; want %d", got, err, want)
	}
}

// Google's credentials are replaced while Google calls, and no call is refused. A
// file that is wrong, or gone, changes nothing, and the log says so.
func TestRotateGoogleCredentials(t *testing.T) {
	const (
		before, after = "google:bef0re", "google:aft3r-as-long-as-it-should-be"
		read, refused = `msg="read again"`, `msg="not read again, the old one stays"`
	)
	path := file(t, "google", before+" 2030-01-31\n")
	write := func(text string) { must(t, os.WriteFile(path, []byte(text), 0o600)) }
	p := program{database: storagetest.SQLite(t)}
	s := p.serve(t, "--google-credentials-file", path)
	defer s.stop(t)

	// Google calls all the time, with one pair and then, after it was entered in
	// the portal, with the other.
	var using atomic.Value
	using.Store(before)
	calling, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	var calls atomic.Int64
	var google sync.WaitGroup
	for range 4 {
		google.Go(func() {
			for calling.Err() == nil {
				if got, err := s.as(using.Load().(string)); err != nil || got != 200 {
					t.Errorf("a call was refused: %d, %v", got, err)
					return
				}
				calls.Add(1)
			}
		})
	}
	some := func() { // further calls are answered
		for start := calls.Load(); calls.Load() < start+20 && !t.Failed(); {
			if got, err := s.as(using.Load().(string)); err != nil || got != 200 {
				t.Fatalf("%d, %v", got, err)
			}
		}
	}

	some()
	s.wantAs(t, after, 401)
	write("# until Google has the second\n" + before + " 2030-01-31\n" + after + "\n")
	s.hangUp(t, read)
	s.wantAs(t, after, 200)
	some()

	for _, broken := range []string{"", "# nothing\n", before + "\nno-colon-s3cret\n", after + " tomorrow-s3cret\n",
		"\ufeff" + after, "\ufeff# from an editor\n" + after, before + "\n\ufeff" + after, "\xff\xfeg\x00:\x00p\x00", "g\x00:\x00p\x00", before + " # l\xe4ngst",
		"google:s3cr\xe9t", "google:\u200bs3cret", "goo\u202egle:s3cret"} {
		write(broken)
		s.hangUp(t, refused)
		s.wantAs(t, before, 200)
		s.wantAs(t, after, 200)
	}
	must(t, os.Remove(path))
	s.hangUp(t, refused)
	some()

	using.Store(after)
	some()
	hangUp()
	google.Wait()
	write(after + " 2030-07-31\n")
	s.hangUp(t, read)
	s.wantAs(t, after, 200)
	s.wantAs(t, before, 401)
	// One of the two is short: at the start, and when it was read again.
	if n := strings.Count(s.log.String(), `could be guessed: choose one with openssl rand -hex 24" what="Google credentials" pair=1`); n != 2 {
		t.Errorf("%d warnings of a short password:\n%s", n, s.log)
	}
	for _, secret := range []string{"bef0re", "aft3r", "s3cret"} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, s.log)
		}
	}
}

// At start the file has to be right, and only one place may have credentials.
func TestCredentialsFileRefused(t *testing.T) {
	p := program{database: storagetest.SQLite(t)}
	for _, c := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"--google-credentials-file", filepath.Join(t.TempDir(), "none")}, 1, "--google-credentials-file: "},
		{[]string{"--google-credentials-file", file(t, "empty", "")}, 1, "there is no line with user:password"},
		{[]string{"--google-credentials-file", file(t, "half", "a:b\nhunter2")}, 1, "line 2: no colon"},
		{[]string{"--google-credentials-file", file(t, "good", "a:b"), "--google-credentials", "a:b"}, 2, "--google-credentials"},
		{[]string{"--google-credentials-file", file(t, "mark", "\ufeffa:hunter2")}, 1, "byte-order mark"},
		{[]string{"--google-credentials", "a:b,\ufeffa:hunter2"}, 1, "credential 2: there is a character that nobody can see"},
		{[]string{"--trusted-proxies", "10.0.0.0/33"}, 1, `--trusted-proxies: "10.0.0.0/33" is no network`},
	} {
		r := p.run(t, append([]string{"serve"}, c.args...)...)
		if r.status != c.status || !strings.Contains(r.err, c.want) || strings.Contains(r.err, "hunter2") {
			t.Errorf("%v: exit status %d\n%s", c.args, r.status, r.err)
		}
	}
}

// The log warns a month before something expires, and there is always a metric.
func TestReminders(t *testing.T) {
	now := time.Date(2026, 12, 1, 6, 0, 0, 0, time.UTC)
	day := func(n int) time.Time { return now.Add(time.Duration(n) * 24 * time.Hour) }
	var log bytes.Buffer
	s := &secrets{log: slog.New(slog.NewTextHandler(&log, nil)), credentials: google.NewCredentials(
		google.Credential{User: "a", Password: "b", Expires: day(-1)}, google.Credential{User: "a", Password: "c"},
		google.Credential{User: "a", Password: "d", Expires: day(29)}, google.Credential{User: "a", Password: "e", Expires: day(30)},
	)}
	s.certificate.Store(&tls.Certificate{Leaf: &x509.Certificate{NotAfter: day(7).Add(-time.Second)}})
	s.remind(now)
	want := []string{
		`what="Google credentials" days_left=-1 on=2026-11-30 pair=1`,
		`what="Google credentials" days_left=29 on=2026-12-30 pair=3`,
		`what="TLS certificate" days_left=6 on=2026-12-08`,
	}
	for _, line := range want {
		if !strings.Contains(log.String(), line) {
			t.Errorf("%s is missing in\n%s", line, &log)
		}
	}
	if n := strings.Count(log.String(), "expires soon"); n != len(want) {
		t.Errorf("%d lines:\n%s", n, &log)
	}

	m := newMetrics()
	m.registry.MustRegister(s)
	families, err := m.registry.Gather()
	must(t, err)
	got := map[string]float64{}
	for _, f := range families {
		for _, v := range f.GetMetric() {
			name := f.GetName()
			for _, l := range v.GetLabel() {
				name += "/" + l.GetValue()
			}
			got[name] = v.GetGauge().GetValue()
		}
	}
	for name, at := range map[string]time.Time{"holdfast_google_credentials_days_left/1": day(-1), "holdfast_google_credentials_days_left/3": day(29), "holdfast_tls_certificate_days_left": day(7)} {
		if left := time.Until(at).Hours() / 24; got[name] < left-1 || got[name] > left+1 {
			t.Errorf("%s is %g, want about %g", name, got[name], left)
		}
	}
	if _, known := got["holdfast_google_credentials_days_left/2"]; known {
		t.Error("a pair without a day has a metric")
	}
}

// certificate writes a certificate for 127.0.0.1 and its key, and returns what
// trusts it.
func certificate(t *testing.T, certFile, keyFile string, serial int64) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "holdfast"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(10 * 24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	must(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	must(t, err)
	must(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	must(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600))
	pool := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	pool.AddCert(parsed)
	return pool
}

// HTTPS is TLS 1.2 or 1.3 and nothing older, says so to browsers, and gets a new
// certificate without a restart.
func TestHTTPS(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pool := certificate(t, certFile, keyFile, 1)
	p := program{database: storagetest.SQLite(t)}
	s := p.serve(t, "--google-credentials", googleCredentials, "--tls-cert", certFile, "--tls-key", keyFile)
	defer s.stop(t)
	address := strings.TrimPrefix(s.url, "http://")
	shake := func(c *tls.Config) (tls.ConnectionState, error) {
		conn, err := tls.Dial("tcp", address, c)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		return conn.ConnectionState(), conn.Close()
	}
	for _, c := range []struct {
		version uint16
		good    bool
	}{{tls.VersionTLS10, false}, {tls.VersionTLS11, false}, {tls.VersionTLS12, true}, {tls.VersionTLS13, true}} {
		state, err := shake(&tls.Config{RootCAs: pool, MinVersion: c.version, MaxVersion: c.version})
		if good := err == nil; good != c.good || good && state.Version != c.version {
			t.Errorf("%s: %s, %v", tls.VersionName(c.version), tls.VersionName(state.Version), err)
		}
		if !c.good && (err == nil || !strings.Contains(err.Error(), "protocol version not supported")) {
			t.Errorf("%s is refused for another reason: %v", tls.VersionName(c.version), err)
		}
	}
	for _, weak := range []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA, tls.TLS_RSA_WITH_RC4_128_SHA, tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA} {
		if _, err := shake(&tls.Config{RootCAs: pool, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{weak}}); err == nil {
			t.Errorf("%s is taken", tls.CipherSuiteName(weak))
		}
	}

	s.url = "https://" + address
	s.client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
	resp, err := s.client.Get(s.url + "/livez")
	must(t, err)
	must(t, resp.Body.Close())
	if got := resp.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" || resp.Proto != "HTTP/2.0" {
		t.Errorf("Strict-Transport-Security: %q by %s", got, resp.Proto)
	}
	s.want(t, "{}", 400, `"field":"slot"`)
	if plain, err := http.Get("http://" + address + "/livez"); err != nil || plain.StatusCode != 400 {
		t.Errorf("plain HTTP on the port of HTTPS: %v, %v", plain, err)
	} else {
		must(t, plain.Body.Close())
	}

	// A renewal of which only one file is there yet changes nothing; the whole
	// one is shown from the next handshake on, and old connections live on.
	pool2 := certificate(t, certFile, filepath.Join(dir, "other.pem"), 2)
	s.hangUp(t, `msg="not read again, the old one stays"`)
	if _, err := shake(&tls.Config{RootCAs: pool}); err != nil {
		t.Error(err)
	}
	must(t, os.Rename(filepath.Join(dir, "other.pem"), keyFile))
	s.hangUp(t, `msg="read again"`)
	if state, err := shake(&tls.Config{RootCAs: pool2}); err != nil || state.PeerCertificates[0].SerialNumber.Int64() != 2 {
		t.Errorf("after a renewal: %v", err)
	}
	if _, err := shake(&tls.Config{RootCAs: pool}); err == nil {
		t.Error("the old certificate is still shown")
	}
	s.want(t, "{}", 400, `"field":"slot"`)
	if !strings.Contains(s.log.String(), `what="TLS certificate" days_left=9`) {
		t.Errorf("nobody is told that it expires soon:\n%s", s.log)
	}
}

// A real server refuses callers who fail too often and trusts only its proxies' X-Forwarded-For, and Google behind the same address does not
// notice.
func TestFailedAttemptsOfServe(t *testing.T) {
	for _, c := range []struct {
		name   string
		args   []string
		others int // what an address gets that has not failed, but stands in X-Forwarded-For
	}{
		{"nobody is trusted", nil, 429},
		{"this machine is a proxy", []string{"--trusted-proxies", "10.0.0.0/8,127.0.0.1"}, 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := program{database: storagetest.SQLite(t)}
			s := p.serve(t, append([]string{"--google-credentials", googleCredentials}, c.args...)...)
			defer s.stop(t)
			ask := func(forwarded, password string) int {
				r, err := http.NewRequest(http.MethodGet, s.url+"/v3/HealthCheck", nil)
				must(t, err)
				r.SetBasicAuth("google", password)
				r.Header.Set("X-Forwarded-For", forwarded)
				resp, err := s.client.Do(r)
				must(t, err)
				must(t, resp.Body.Close())
				return resp.StatusCode
			}
			got := 401
			for range 20 * failuresAtOnce { // the bucket fills up again meanwhile
				if got = ask("203.0.113.7", "guess"); got != 401 {
					break
				}
			}
			if got != 429 {
				t.Errorf("got %d after many failures", got)
			}
			if got := ask("203.0.113.7", "s3cret"); got != 200 {
				t.Errorf("Google from the same address: got %d", got)
			}
			if got := ask("203.0.113.8", "guess"); got != c.others {
				t.Errorf("another address: got %d, want %d", got, c.others)
			}
			if peer := map[int]string{401: "203.0.113.7", 429: "127.0.0.1"}[c.others]; !strings.Contains(s.log.String(), `msg="too many failed attempts" peer=`+peer) {
				t.Errorf("peer %s is not in the log:\n%.2000s", peer, s.log)
			}
		})
	}
}
