package api_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/labstack/echo/v4"

	"holdfast/api"
	"holdfast/api/google"
	"holdfast/storage/storagetest"
)

// openRoutes are all routes that answer without credentials.
var openRoutes = map[string]bool{"/livez": true, "/openapi.yaml": true, "/docs": true, exchangePath: true}

// gate is the service on a world's database, with credentials that can be
// replaced.
type gate struct {
	w           *world
	credentials *google.Credentials
	router      *echo.Echo
}

func newGate(w *world) *gate {
	g := &gate{w: w, credentials: google.NewCredentials()}
	g.router = api.New(api.Config{Bookings: w.service, Credentials: g.credentials, Healthy: w.db.Ping}).(*echo.Echo)
	return g
}

// ask sends a request to the handler with an Authorization, "" for none.
func (g *gate) ask(method, path, body, authorization string) answer {
	r := httptest.NewRequest(method, "/", strings.NewReader(body))
	r.URL.Path, r.URL.RawPath = path, ""
	r.RequestURI = path
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	rec := httptest.NewRecorder()
	g.router.ServeHTTP(rec, r)
	return answer{rec.Code, rec.Header(), rec.Body.String()}
}

func basicHeader(user, password string) string {
	r := http.Request{Header: http.Header{}}
	r.SetBasicAuth(user, password)
	return r.Header.Get("Authorization")
}

// TestEveryRouteWantsItsCredentials walks the router: every route, with every kind of credentials,
// including valid ones of the other channel.
func TestEveryRouteWantsItsCredentials(t *testing.T) {
	each(t, func(w *world) {
		g := newGate(w)
		old, fresh := google.Credential{User: "google", Password: "old"}, google.Credential{User: "google-2", Password: "fresh"}
		oldHeader, freshHeader := basicHeader("google", "old"), basicHeader("google-2", "fresh")
		token := w.credentials("", clinic1)
		bad := map[string]string{
			"none": "", "an empty pair": basicHeader("", ""), "only a user": basicHeader("google", ""), "only a password": basicHeader("", "old"),
			"a wrong password": basicHeader("google", "olds"), "the password of another user": basicHeader("google", "fresh"),
			"a wrong token": "Bearer 00000000-0000-4000-8000-000000000000", "an empty token": "Bearer ", "the API key": "Bearer " + w.key(clinic1),
			"no scheme": strings.TrimPrefix(token, "Bearer "), "another scheme": "Digest " + strings.TrimPrefix(oldHeader, "Basic "),
			"a token with a line end": token + "\r\nX: y", "SQL": "Bearer ' OR ''='", "a token of NULs": "Bearer \x00\x00",
		}
		steps := []struct {
			name string
			now  []google.Credential
			good map[string]string // of Google
			bad  map[string]string
		}{
			{"nothing is set", nil, nil, map[string]string{"old": oldHeader, "new": freshHeader}},
			{"the old pair", []google.Credential{old}, map[string]string{"old": oldHeader}, map[string]string{"new": freshHeader}},
			{"both, while it is replaced", []google.Credential{old, fresh}, map[string]string{"old": oldHeader, "new": freshHeader}, nil},
			{"the new pair", []google.Credential{fresh}, map[string]string{"new": freshHeader}, map[string]string{"old": oldHeader}},
		}
		walked := 0
		for i, step := range steps {
			g.credentials.Replace(step.now)
			for _, r := range g.router.Routes() {
				if openRoutes[strings.TrimSuffix(r.Path, "/")] {
					continue
				}
				walked++
				good, wrong := map[string]string{}, map[string]string{}
				if i == 2 { // once is enough, when most could let it in
					maps.Copy(wrong, bad)
				}
				if strings.HasPrefix(r.Path, "/v3/") {
					good["old"], good["new"] = step.good["old"], step.good["new"]
					maps.Copy(wrong, step.bad)
					wrong["a clinic's token"] = token
				} else {
					good["a clinic's token"] = token
					wrong["Google's pair"], wrong["Google's other pair"] = oldHeader, freshHeader
				}
				for name, header := range wrong {
					methods := []string{r.Method}
					if name == "none" {
						methods = append(methods, "HEAD", "OPTIONS", "PUT", "BREW")
					}
					for _, method := range methods {
						a := g.ask(method, r.Path, "{}", header)
						if a.status != 401 || a.header.Get("WWW-Authenticate") == "" || a.header.Get("Allow") != "" {
							w.t.Errorf("%s: %s %s with %s: got %d %s, want 401 and no more", step.name, method, r.Path, name, a.status, a.body)
						}
					}
				}
				for name, header := range good {
					if header == "" {
						continue
					}
					if a := g.ask(r.Method, r.Path, "{}", header); a.status == 401 || a.status >= 500 {
						w.t.Errorf("%s: %s %s with %s: got %d %s", step.name, r.Method, r.Path, name, a.status, a.body)
					}
				}
			}
		}
		if walked < 4*20 {
			w.t.Errorf("walked %d routes only", walked)
		}

		// A day later the token has expired.
		w.clock.Add(int64(24 * time.Hour / time.Second))
		for _, r := range g.router.Routes() {
			if first, _, _ := strings.Cut(r.Path[1:], "/"); first == "v3" || openRoutes[strings.TrimSuffix(r.Path, "/")] {
				continue
			}
			if a := g.ask(r.Method, r.Path, "{}", token); a.status != 401 {
				w.t.Errorf("%s with yesterday's token: got %d, want 401", r.Path, a.status)
			}
		}
	})
}

// No spelling of a path gets around the credentials.
func TestNoWayRound(t *testing.T) {
	each(t, func(w *world) {
		g := newGate(w)
		for _, r := range g.router.Routes() {
			path := strings.TrimSuffix(r.Path, "/")
			if openRoutes[path] {
				continue
			}
			for _, spelling := range []string{
				path, "/" + path, path + "//", path + "/x", path + "?", path + ";x", path + "%2f", path + "\x00", "/livez/.." + path, "/livez" + path,
				"/." + path, "/open/.." + path, "/open" + path, strings.ToUpper(path), strings.Replace(path, "/", "//", 2), strings.ReplaceAll(path, "/", "%2F"), strings.ReplaceAll(path, "/", "\\"),
			} {
				for _, method := range []string{r.Method, "GET", "POST", "HEAD"} {
					if a := g.ask(method, spelling, "{}", ""); a.status != 401 && a.status != 404 && a.status != 405 {
						w.t.Errorf("%s %q without credentials: got %d %s", method, spelling, a.status, a.body)
					}
				}
			}
		}
	})
}

// TestClinicsAreApart asks every route of the clinic's API, as another clinic, for everything that
// this one has. The answer must be the same as for ids that do not exist, so that it does not even
// reveal their existence, and nothing may change.
func TestClinicsAreApart(t *testing.T) {
	each(t, func(w *world) {
		a, err := w.send("POST", createPath, canaryCreate(1, at(9, 0), ""), "Authorization", "google")
		w.must(err)
		visit := w.booking(bookingID.FindStringSubmatch(a.body)[1])
		visitor := strings.ReplaceAll(visit.GuestID.String()[11:], "-", "")
		before, err := storagetest.Dump(w.db.Target)
		w.must(err)

		// Every name under which a command or query may look for it.
		body := func(schedule, visitor, group, zone string) string {
			place := fmt.Sprintf(`"reservationGroupId":%q,"zoneId":%q`, group, zone)
			times := `"startDateTimeUtc":"2026-03-02T00:00:00Z","endDateTimeUtc":"2026-03-02T01:00:00Z"`
			return fmt.Sprintf(`{"scheduleId":%[1]q,"scheduleIds":[%[1]q],"occupiedTimeId":%[1]q,"visitorId":%[2]q,"visitorName":"A B","visitorPhoneNumber":"010-1234-5678",
				"reservationGroupIds":[%[3]q],%[4]s,%[5]s,"startDate":"2026-03-02","endDate":"2026-03-03","date":"2026-03-02",
				"reservationGroup":{%[4]s},"occupiedResources":[{%[5]s,"reservationGroup":{%[4]s}}]}`, schedule, visitor, group, place, times)
		}
		g := newGate(w)
		stranger := w.credentials("", "clinic-2")
		const nobody = "0123456789abcdef01234567"
		asked := 0
		for _, r := range g.router.Routes() {
			if strings.HasPrefix(r.Path, "/v3/") || openRoutes[strings.TrimSuffix(r.Path, "/")] {
				continue
			}
			asked++
			got := g.ask(r.Method, r.Path, body(visit.ScheduleID, visitor, skin, bed), stranger)
			want := g.ask(r.Method, r.Path, body(nobody, nobody, nobody, nobody), stranger)
			if got.status != want.status || got.body != want.body {
				w.t.Errorf("%s: got %d %s\nand for ids of nobody %d %s", r.Path, got.status, got.body, want.status, want.body)
			}
			for _, secret := range escaped(got.body, canaries()) {
				w.t.Errorf("%s: %q is told to another clinic: %s", r.Path, secret, got.body)
			}
		}
		if asked < 2 {
			w.t.Errorf("asked %d routes only", asked)
		}
		after, err := storagetest.Dump(w.db.Target)
		w.must(err)
		if diff := cmp.Diff(before, after); diff != "" {
			w.t.Errorf("another clinic changed (-before +after):\n%s", diff)
		}
		if token, err := w.service.ExchangeKey(context.Background(), strings.TrimPrefix(stranger, "Bearer ")); err == nil {
			w.t.Errorf("an access token is taken for a key: %q", token)
		}
	})
}
