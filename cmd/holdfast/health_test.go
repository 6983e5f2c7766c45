package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"holdfast/storage/storagetest"
)

// health asks at an address and wants the exit status, and why.
func (p program) health(t *testing.T, status int, why string, args ...string) {
	t.Helper()
	if r := p.run(t, append([]string{"health"}, args...)...); r.status != status || !strings.Contains(r.out+r.err, why) {
		t.Errorf("%v: exit status %d\n%s%s", args, r.status, r.out, r.err)
	}
}

// A server is healthy while it answers, by its own settings, over HTTP and HTTPS,
// whatever name the certificate has.
func TestHealth(t *testing.T) {
	p := program{database: storagetest.SQLite(t)}
	s := p.serve(t)
	address := strings.TrimPrefix(s.url, "http://")
	_, port, err := net.SplitHostPort(address)
	must(t, err)
	p.health(t, 0, "healthy\n", "--address", address)
	for _, every := range []string{":", "0.0.0.0:", "[::]:"} {
		t.Setenv("HOLDFAST_ADDRESS", every+port)
		p.health(t, 0, "healthy\n")
	}
	p.health(t, 1, "not healthy: ", "--address", address, "--tls-cert", "any")
	s.stop(t)
	p.health(t, 1, "not healthy: ", "--address", address)

	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	certificate(t, certFile, keyFile, 1)
	s = p.serve(t, "--tls-cert", certFile, "--tls-key", keyFile)
	defer s.stop(t)
	p.health(t, 0, "healthy\n", "--address", strings.TrimPrefix(s.url, "http://"), "--tls-cert", certFile)
}

// A server that answers late, or something else, is not healthy.
func TestHealthOfSomethingElse(t *testing.T) {
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	var quick atomic.Bool
	late := make(chan struct{})
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !quick.Load() {
			<-late
			return
		}
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	})}
	go func() { _ = server.Serve(listener) }()
	p := program{}
	p.health(t, 1, "not healthy: ", "--address", listener.Addr().String())
	close(late)
	quick.Store(true)
	p.health(t, 1, "not healthy: 302", "--address", listener.Addr().String())
	must(t, server.Close())
}

// What Compose starts is confined, and checks its own health.
func TestComposeIsConfined(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docker-compose.yml"))
	must(t, err)
	var file struct {
		Services map[string]struct {
			ReadOnly    bool     `yaml:"read_only"`
			MemLimit    string   `yaml:"mem_limit"`
			PidsLimit   int      `yaml:"pids_limit"`
			CapDrop     []string `yaml:"cap_drop"`
			SecurityOpt []string `yaml:"security_opt"`
			Healthcheck struct{ Test []string }
		}
	}
	must(t, yaml.Unmarshal(text, &file))
	s := file.Services["holdfast"]
	if !s.ReadOnly || s.MemLimit == "" || s.PidsLimit == 0 || len(s.CapDrop) != 1 || len(s.SecurityOpt) != 1 {
		t.Errorf("got %+v", s)
	}
	if got := strings.Join(s.Healthcheck.Test, " "); got != "CMD /holdfast health" {
		t.Errorf("healthcheck: %s", got)
	}
}
