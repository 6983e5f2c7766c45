package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// TestMetricsHaveNothingPersonal asks a server that has served a guest, and refused strangers who put words everywhere, for everything that
// it shows operators: metrics and every profile. Both need no credentials.
func TestMetricsHaveNothingPersonal(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		const bird = "Kanarienvogel"
		p.ok(t, "import", file(t, "c", catalogue2))
		key := strings.TrimSpace(p.ok(t, "key", "create", "--merchant", "seoul"))
		s := p.serve(t, "--google-credentials", googleCredentials, "--internal-address", "127.0.0.1:0")
		defer s.stop(t)
		internal, err := s.log.await(t.Context(), `msg="serving metrics" address=(\S+)`)
		must(t, err)

		booking := strings.Replace(createBody(bird, 9), `"idempotency_token"`, `"additional_request":"`+bird+`","idempotency_token"`, 1)
		s.want(t, booking, 200, `"status":"CONFIRMED"`)
		s.want(t, booking, 200, `"status":"CONFIRMED"`)
		s.want(t, strings.Replace(booking, `"idempotency_token":"`, `"idempotency_token":"x`, 1), 200, "OVERLAPPING_RESERVATION")
		s.want(t, strings.NewReplacer("skin-care", bird, `"idempotency_token":"`, `"idempotency_token":"y`).Replace(booking), 400, "slot.service_id")
		s.want(t, strings.Replace(booking, `"given_name"`, `"`+bird+`":1,"`+bird+`":2,"given_name"`, 1), 400, "twice")
		for _, r := range []struct{ method, path, body, auth string }{
			{"POST", "/open/authorization/commands/exchange-token", `{"key":"` + key + `"}`, ""},
			{"POST", "/open/authorization/commands/exchange-token", `{"key":"` + bird + `"}`, ""},
			{bird, "/v3/" + bird + "?" + bird, bird, "Basic " + bird},
			{"GET", "/" + bird, "", "Bearer " + bird},
			{"POST", "/schedule/open/v2/commands/update-reservation", `{"reservationMemo":"` + bird + `"}`, "Bearer " + bird},
		} {
			q, err := http.NewRequest(r.method, s.url+r.path, strings.NewReader(r.body))
			must(t, err)
			q.Header = http.Header{"Authorization": {r.auth}, "X-Request-Id": {bird + "@example.com"}, "User-Agent": {bird}, bird: {bird}, "X-Forwarded-For": {bird}}
			resp, err := s.client.Do(q)
			must(t, err)
			must(t, resp.Body.Close())
		}

		user, password, _ := strings.Cut(googleCredentials, ":")
		for _, path := range []string{
			"/metrics", "/debug/pprof/", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1", "/debug/pprof/allocs?debug=1", "/debug/pprof/block?debug=1",
			"/debug/pprof/mutex?debug=1", "/debug/pprof/threadcreate?debug=1", "/debug/pprof/cmdline", "/debug/pprof/symbol", "/debug/vars", "/",
		} {
			resp, err := s.client.Get("http://" + internal + path)
			must(t, err)
			text, err := io.ReadAll(resp.Body)
			must(t, err)
			must(t, resp.Body.Close())
			if path == "/debug/pprof/cmdline" && resp.StatusCode != 404 { // credentials can be arguments
				t.Errorf("%s: got %s", path, resp.Status)
			}
			for _, secret := range []string{bird, strings.ToLower(bird), strings.ToUpper(bird), key, password, user + ":", "+82 2-123-4567", fmt.Sprintf("%x", bird)} {
				if strings.Contains(string(text), secret) {
					t.Errorf("%s has %q", path, secret)
				}
			}
			if path == "/metrics" && !strings.Contains(string(text), `cause="OVERLAPPING_RESERVATION"`) {
				t.Errorf("there are no metrics of these requests:\n%.2000s", text)
			}
		}
		for _, secret := range []string{bird, strings.ToLower(bird), strings.ToUpper(bird), key, password, "+82 2-123-4567"} {
			if strings.Contains(s.log.String(), secret) {
				t.Errorf("%q is in the log:\n%s", secret, s.log)
			}
		}
	})
}
