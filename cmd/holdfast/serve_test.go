package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// serving is a server that runs.
type serving struct {
	url    string
	log    *watched
	status chan int
	cancel context.CancelFunc
	client *http.Client
}

// serve starts the program as a server on a port of its own choice.
func (p program) serve(t *testing.T, args ...string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	s := &serving{log: newWatched(), status: make(chan int, 1), cancel: cancel, client: &http.Client{Transport: &http.Transport{}}}
	go func() {
		s.status <- run(ctx, append([]string{"serve", "--address", "127.0.0.1:0", "--database", p.database}, args...), io.Discard, s.log)
	}()
	address, err := s.log.await(t.Context(), `msg=serving address=(\S+)`)
	if err != nil {
		cancel()
		t.Fatalf("%v, exit status %d", err, <-s.status)
	}
	s.url = "http://" + address
	return s
}

// stop tells the server to stop, as SIGTERM does, and waits until it has.
func (s *serving) stop(t *testing.T) {
	t.Helper()
	s.client.CloseIdleConnections()
	s.cancel()
	if status := <-s.status; status != 0 {
		t.Errorf("exit status %d\n%s", status, s.log)
	}
}

const googleCredentials = "google:s3cret"

// post posts with Google's credentials and returns status and body.
func (s *serving) post(path, body string) (status int, answer string, err error) {
	r, err := http.NewRequest(http.MethodPost, s.url+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	user, password, _ := strings.Cut(googleCredentials, ":")
	r.SetBasicAuth(user, password)
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// want posts a CreateBooking and wants a status and a part of the answer.
func (s *serving) want(t *testing.T, body string, status int, part string) {
	t.Helper()
	got, answer, err := s.post("/v3/CreateBooking", body)
	if err != nil {
		t.Fatal(err)
	}
	if got != status || !strings.Contains(answer, part) {
		t.Errorf("got %d %s\nwant %d and %s", got, answer, status, part)
	}
}

// createBody is a CreateBooking at the clinic in Seoul.
func createBody(name string, hour int) string {
	return fmt.Sprintf(`{"slot":{"merchant_id":"seoul","service_id":"skin-care","start_sec":"%d","duration_sec":"3600"},"user_information":{"user_id":"%s","given_name":"%s","family_name":"Smith","telephone":"+82 2-123-4567","email":"%s@example.com"},"idempotency_token":"%s"}`,
		ahead(hour), name, name, name, name)
}

// An import takes effect at once in a server that is running, whether it brings
// a merchant or changes one.
func TestImportWhileServing(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		s := p.serve(t, "--google-credentials", googleCredentials)
		defer s.stop(t)
		s.want(t, createBody("John", 9), 400, `"field":"slot.merchant_id"`)

		p.ok(t, "import", file(t, "c", catalogue2))
		s.want(t, createBody("John", 9), 200, `"status":"CONFIRMED"`)

		p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 1", 1)))
		s.want(t, createBody("Jane", 9), 200, `"cause":"SLOT_UNAVAILABLE"`)

		p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "capacity: 2", "capacity: 3", 1)))
		s.want(t, createBody("Jane", 9), 200, `"status":"CONFIRMED"`)

		p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "title: 피부", "title: 피부\n        timetable: {monday: {start: \"10:00\", end: \"11:00\"}}", 1)))
		s.want(t, createBody("Ann", 20), 200, `"description":"closed at that time"`)

		p.ok(t, "import", file(t, "c", strings.Replace(catalogue2, "{id: skin-care,", "{id: hair-care,", 1)))
		s.want(t, createBody("Ann", 20), 200, `"description":"the service is not offered any more"`)
		p.ok(t, "verify")
	})
}

// A request that was accepted before the server stops is answered, and its result is stored.
func TestStopAnswersWhatWasAccepted(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		s := p.serve(t, "--google-credentials", googleCredentials)
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		body := createBody("John", 9)
		r, err := http.NewRequest(http.MethodPost, s.url+"/v3/CreateBooking", nil)
		if err != nil {
			t.Fatal(err)
		}
		user, password, _ := strings.Cut(googleCredentials, ":")
		r.SetBasicAuth(user, password)
		fmt.Fprintf(conn, "POST /v3/CreateBooking HTTP/1.1\r\nHost: holdfast\r\nAuthorization: %s\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n",
			r.Header.Get("Authorization"), len(body))
		from := bufio.NewReader(conn)
		// It asks for the body: the request is in the middle of being served.
		if line, err := from.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
			t.Fatalf("got %q, %v", line, err)
		}
		if _, err := from.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, body[:100])

		s.cancel()
		if _, err := s.log.await(t.Context(), `msg=(stopping)`); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, body[100:])
		resp, err := http.ReadResponse(from, r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), `"status":"CONFIRMED"`) {
			t.Errorf("got %s %s, %v", resp.Status, text, err)
		}
		s.stop(t)
		if _, _, err := s.post("/v3/CreateBooking", body); err == nil {
			t.Error("it still answers")
		}
		id := strings.Split(string(text), `"`)[5]
		if out := p.ok(t, "bookings", "--json"); len(id) != 36 || !strings.Contains(out, id) {
			t.Errorf("booking %s is not kept:\n%s", id, out)
		}
	})
}

// Credentials come from the environment, which others on the machine cannot
// see; two are good while they change; without any, nobody gets in.
func TestCredentialsOfServe(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		s := p.serve(t)
		s.want(t, "{}", 401, "credentials are missing or not valid")
		if !strings.Contains(s.log.String(), "HOLDFAST_GOOGLE_CREDENTIALS") {
			t.Errorf("it does not say how to set them:\n%s", s.log)
		}
		s.stop(t)

		t.Setenv("HOLDFAST_GOOGLE_CREDENTIALS", "google:old,"+googleCredentials)
		s = p.serve(t)
		s.want(t, "{}", 400, `"field":"slot"`)
		s.stop(t)
		if strings.Contains(s.log.String(), "s3cret") {
			t.Errorf("a password is in the log:\n%s", s.log)
		}
	})
}

// The server warns at the start about a database that others can read, but not about one that it made itself.
func TestExposedDatabaseIsTold(t *testing.T) {
	p := program{database: filepath.Join(t.TempDir(), "new.db")}
	for _, c := range []struct {
		mode os.FileMode
		told int
	}{{0, 0}, {0o644, 1}} {
		if c.mode != 0 {
			must(t, os.Chmod(p.database, c.mode))
		}
		s := p.serve(t)
		s.stop(t)
		if n := strings.Count(s.log.String(), "can read the database"); n != c.told || c.told > 0 && !strings.Contains(s.log.String(), p.database+" (0644)") {
			t.Errorf("mode %04o:\n%s", c.mode, s.log)
		}
	}
}
