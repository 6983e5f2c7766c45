package main

import (
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"holdfast/storage"
	"holdfast/storage/storagetest"
)

// ask asks the internal address.
func (s *serving) ask(t *testing.T, path string) (status int, body string) {
	t.Helper()
	address, err := s.log.await(t.Context(), `msg="serving metrics" address=(\S+)`)
	must(t, err)
	resp, err := http.Get("http://" + address + path)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(text)
}

// A server is ready while it can take bookings. Once it is stopping it says that it is not, and keeps serving until it has drained.
func TestReady(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		s := p.serve(t, "--internal-address", "127.0.0.1:0", "--drain", "2s", "--google-credentials", "google:s3cret-word")
		if status, body := s.ask(t, "/readyz"); status != 200 || body != "ready\n" {
			t.Errorf("%d %s", status, body)
		}
		if status, _ := s.ask(t, "/livez"); status != 200 {
			t.Errorf("/livez: %d", status)
		}
		_, body := s.ask(t, "/info")
		var i info
		must(t, json.Unmarshal([]byte(body), &i))
		if i.Settings["drain"] != "2s" || i.Settings["google-credentials"] != "set" || strings.Contains(body, "s3cret") {
			t.Errorf("%s", body)
		}
		_, metrics := s.ask(t, "/metrics")
		for _, want := range []string{"holdfast_ready 1", "holdfast_queue_places 1024", "holdfast_replication_waiting 0"} {
			if !strings.Contains(metrics, want) {
				t.Errorf("no %s in\n%s", want, metrics)
			}
		}
		stopped := make(chan bool)
		go func() { s.stop(t); close(stopped) }()
		for status := 200; status != 503; {
			status, body = s.ask(t, "/readyz")
		}
		if !strings.Contains(body, "stopping") {
			t.Error(body)
		}
		resp, err := http.Get(s.url + "/livez") // on a new connection, too
		must(t, err)
		must(t, resp.Body.Close())
		<-stopped
	})
}

// A server whose database has become a standby, or waits for one in vain, is not ready.
func TestNotReady(t *testing.T) {
	primary, _ := storagetest.Pair(t)
	target, err := primary.NewDatabase("ready")
	must(t, err)
	target, err = primary.As(target) // who may see the states of standbys
	must(t, err)
	db := storagetest.Open(t, target, storage.Options{Limit: time.Second})
	r := &readiness{db: db}
	// A setting is reloaded a moment after it is made.
	await := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			err := r.check(t.Context())
			if err == nil && what == "" || err != nil && what != "" && strings.Contains(err.Error(), what) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("want %q: %v", what, err)
			}
		}
	}
	await("")
	must(t, primary.Set("synchronous_standby_names", "nobody"))
	await("wait for a standby")
	must(t, primary.Set("synchronous_standby_names", ""))
	await("")
	must(t, primary.Set("default_transaction_read_only", "on"))
	await("cannot take bookings")
}

var metricName = regexp.MustCompile(`\bholdfast_[a-z_]+`)

// Alerts and the dashboard use only metrics that exist.
func TestDeployNamesWhatExists(t *testing.T) {
	m := newMetrics()
	m.registry.MustRegister(&secrets{}, &health{})
	m.connections(nil)
	m.spans(nil)
	described := make(chan *prometheus.Desc, 1000)
	m.registry.Describe(described)
	close(described)
	exist := map[string]bool{}
	for d := range described {
		for _, name := range metricName.FindAllString(d.String(), 1) {
			for _, suffix := range []string{"", "_bucket", "_sum", "_count"} {
				exist[name+suffix] = true
			}
		}
	}
	asked := 0
	must(t, filepath.WalkDir(filepath.Join(root, "deploy"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if filepath.Ext(path) == ".json" && !json.Valid(text) {
			t.Errorf("%s is no JSON", path)
		}
		for _, name := range metricName.FindAllString(string(text), -1) {
			if asked++; !exist[name] {
				t.Errorf("%s asks for %s", path, name)
			}
		}
		return nil
	}))
	if asked < 50 {
		t.Errorf("only %d metrics are asked for", asked)
	}
}

// What systemd starts once a day has the flags that those commands know.
func TestDeployedTimerHasKnownFlags(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "deploy/systemd/holdfast-daily.service"))
	must(t, err)
	starts := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/holdfast (\w+)(.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(starts) != 3 {
		t.Errorf("it starts %v", starts)
	}
	for _, start := range starts {
		command := []string{start[1]}
		if start[1] == "archive" {
			command = []string{"archive", "run"}
		}
		help := helpOf(t, command...)
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(start[2], -1) {
			if !strings.Contains(help, flag) {
				t.Errorf("%s %s", start[1], flag)
			}
		}
	}
}

// systemd and Kubernetes start serve with flags that it knows.
func TestDeployHasKnownFlags(t *testing.T) {
	for _, path := range []string{"systemd/holdfast.service", "kubernetes/holdfast.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, "deploy", path))
		must(t, err)
		help := program{}.run(t, "serve", "--help").out
		for _, flag := range regexp.MustCompile(`[ ,\[]--([a-z-]+)[ ,]`).FindAllStringSubmatch(string(text), -1) {
			if !strings.Contains(help, "--"+flag[1]) {
				t.Errorf("%s: --%s", path, flag[1])
			}
		}
	}
}
