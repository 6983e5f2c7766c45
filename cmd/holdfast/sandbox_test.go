package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/oauth2/google"

	"holdfast/storage/storagetest"
)

// A guest books at holdfast through the sandbox, the desk cancels, and the sandbox shows that nobody told the guest,
// until somebody with the key file does.
func TestSandbox(t *testing.T) {
	p := program{database: storagetest.SQLite(t)}
	p.ok(t, "import", file(t, "c", catalogue2))
	s := p.serve(t, "--google-credentials", googleCredentials)
	defer s.stop(t)
	keyFile := filepath.Join(t.TempDir(), "key.json")
	start := func() (url string, stop func()) {
		t.Helper()
		ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
		log, status := newWatched(), make(chan int, 1)
		go func() {
			status <- run(ctx, []string{
				"sandbox", "--address", "127.0.0.1:0", "--google-key-file", keyFile, "--booking-server", s.url, "--credentials", googleCredentials,
			}, io.Discard, log)
		}()
		page, err := log.await(t.Context(), `msg=sandbox page=(\S+)`)
		if err != nil {
			cancel()
			t.Fatalf("%v, exit status %d\n%s", err, <-status, log)
		}
		return strings.TrimSuffix(page, "/"), func() {
			http.DefaultClient.CloseIdleConnections()
			cancel()
			if status := <-status; status != 0 {
				t.Errorf("exit status %d\n%s", status, log)
			}
		}
	}
	_, stop := start()
	stop()
	key, err := os.ReadFile(keyFile)
	must(t, err)
	url, stop := start() // with the same key, at another address
	defer stop()

	ask := func(client *http.Client, method, path, body string) (int, string) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		must(t, err)
		resp, err := client.Do(r)
		must(t, err)
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		must(t, err)
		return resp.StatusCode, string(answer)
	}
	wish, err := json.Marshal(map[string]any{"merchant_id": "seoul", "service_id": "skin-care", "start_sec": ahead(9), "duration_sec": 3600})
	must(t, err)
	status, answer := ask(http.DefaultClient, http.MethodPost, "/sandbox/book", string(wish))
	var b struct {
		ID string `json:"booking_id"`
	}
	if err := json.Unmarshal([]byte(answer), &b); err != nil || status != http.StatusOK {
		t.Fatal(status, answer, err)
	}
	p.ok(t, "booking", "cancel", b.ID)
	if _, page := ask(http.DefaultClient, http.MethodGet, "/", ""); !strings.Contains(page, "disagree about 1 thing.") {
		t.Errorf("the page does not show the difference:\n%s", page)
	}

	fresh, err := os.ReadFile(keyFile)
	must(t, err)
	if string(fresh) == string(key) {
		t.Error("the key file still has the old address")
	}
	config, err := google.JWTConfigFromJSON(fresh, "https://www.googleapis.com/auth/mapsbooking")
	must(t, err)
	tell := `{"name":"partners/20001234/bookings/` + b.ID + `","merchantId":"seoul","serviceId":"skin-care","status":"CANCELED"}`
	if status, answer := ask(config.Client(t.Context()), http.MethodPatch, "/v1alpha/notification/partners/20001234/bookings/"+b.ID+"?updateMask=status", tell); status != http.StatusOK {
		t.Error(status, answer)
	}
	if _, page := ask(http.DefaultClient, http.MethodGet, "/", ""); !strings.Contains(page, "The guests see what the partner says.") {
		t.Errorf("the page still shows a difference:\n%s", page)
	}
}

// Bad settings are named before anything is written.
func TestSandboxRefuses(t *testing.T) {
	precious := file(t, "precious.json", `{"type":"service_account","client_email":"real@example.com"}`)
	for want, args := range map[string][]string{
		"--google-key-file":     {"--google-key-file", precious},
		"--google-partner-id":   {"--google-partner-id", "acme", "--google-key-file", filepath.Join(t.TempDir(), "k.json")},
		"--booking-server":      {"--booking-server", "ftp://x", "--credentials", "a:b", "--google-key-file", filepath.Join(t.TempDir(), "k.json")},
		"must be user:password": {"--booking-server", "http://127.0.0.1:1", "--google-key-file", filepath.Join(t.TempDir(), "k.json")},
	} {
		r := program{}.runWith(t.Context(), append([]string{"sandbox", "--address", "127.0.0.1:0"}, args...)...)
		if r.status != 1 || !strings.Contains(r.err, want) {
			t.Errorf("%v: exit status %d\n%s, want %s", args, r.status, r.err, want)
		}
	}
	content, err := os.ReadFile(precious)
	must(t, err)
	if !strings.Contains(string(content), "real@example.com") {
		t.Error("it wrote over somebody else's key")
	}
}
