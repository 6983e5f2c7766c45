package main

import (
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"holdfast/traces/tracestest"
)

// traced posts a CreateBooking with a traceparent, and with credentials or without.
func (s *serving) traced(t *testing.T, body, credentials, traceparent string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, s.url+"/v3/CreateBooking", strings.NewReader(body))
	must(t, err)
	if user, password, found := strings.Cut(credentials, ":"); found {
		r.SetBasicAuth(user, password)
	}
	r.Header.Set("traceparent", traceparent)
	resp, err := s.client.Do(r)
	must(t, err)
	must(t, resp.Body.Close())
	return resp.StatusCode
}

// A server that is given an endpoint sends what became of a booking, as part of its
// caller's trace, and its log leads there. A stranger's traceparent leads nowhere.
func TestTraceOfCreateBooking(t *testing.T) {
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		collector := tracestest.New(t)
		t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
		t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-key=c0llector-s3cret")
		t.Setenv("OTEL_SERVICE_NAME", "holdfast-test")
		t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
		t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0")
		s := p.serve(t, "--google-credentials", googleCredentials, "--internal-address", "127.0.0.1:0")
		const theirTrace, theirSpan = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
		for _, c := range []struct {
			name, credentials, flags string
			status                   int
		}{{"John", googleCredentials, "01", 200}, {"Jane", googleCredentials, "00", 200}, {"Mallory", "google:guessed", "01", 401}, {"Mallory", "", "01", 401}} {
			if got := s.traced(t, createBody(c.name, 9), c.credentials, "00-"+theirTrace+"-"+theirSpan+"-"+c.flags); got != c.status {
				t.Errorf("%s: %d", c.name, got)
			}
		}
		if _, body := s.ask(t, "/info"); strings.Contains(body, "c0llector") {
			t.Errorf("a secret is shown:\n%s", body)
		}
		s.stop(t)

		spans := collector.Spans()
		if len(spans) == 0 || spans[0].Trace != theirTrace || spans[0].Parent != theirSpan {
			t.Fatalf("%+v", spans)
		}
		const want = "POST /v3/CreateBooking(read operation(queue batch(begin fetch decide write commit)))"
		if got := collector.Tree(spans[0]); got != want || len(spans) != 10 {
			t.Errorf("%d spans: %s", len(spans), got)
		}
		above := map[string]tracestest.Span{}
		for _, span := range spans {
			above[span.ID] = span
			if over, known := above[span.Parent]; known && (span.Start.Before(over.Start) || span.End.After(over.End)) || span.End.Before(span.Start) {
				t.Errorf("%s is not within %s", span.Name, over.Name)
			}
		}
		attributes := map[string]string{}
		for _, name := range []string{"service.name", "http.route", "http.response.status_code", "holdfast.caller", "holdfast.merchant_id", "db.system.name", "holdfast.operations"} {
			for _, span := range spans {
				if value := span.Attributes[name]; value != "" {
					attributes[name] = value
				}
			}
		}
		system := "sqlite"
		if strings.Contains(p.database, "://") {
			system = "postgresql"
		}
		if got, want := fmt.Sprint(attributes), "map[db.system.name:"+system+" holdfast.caller:google holdfast.merchant_id:seoul holdfast.operations:1 http.response.status_code:200 http.route:/v3/CreateBooking service.name:holdfast-test]"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if n := strings.Count(s.log.String(), "trace_id="+theirTrace); n != 1 || strings.Count(s.log.String(), "trace_id=") != n {
			t.Errorf("%d lines lead to the trace:\n%s", n, s.log)
		}
		if !strings.Contains(collector.Received(), "X-Key: c0llector-s3cret") {
			t.Error("the collector did not get its header")
		}
	})
}

// A collector that is away, or takes connections and never answers, costs a booking
// nothing; what it does not get is counted, and the server stops in time.
func TestDeadCollector(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer silent.Close()
	away, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, away.Close())
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "c", catalogue2))
		for hour, collector := range map[int]net.Listener{9: silent, 15: away} {
			s := p.serve(t, "--google-credentials", googleCredentials, "--internal-address", "127.0.0.1:0", "--otlp-endpoint", "http://"+collector.Addr().String())
			for n := range 100 { // the first two get the places
				began := time.Now()
				want := `"status":"CONFIRMED"`
				if n > 1 {
					want = "SLOT_UNAVAILABLE"
				}
				s.want(t, createBody(fmt.Sprintf("John%c%d", 'a'+hour, n), hour), 200, want)
				if took := time.Since(began); took > time.Second {
					t.Errorf("a booking took %s", took)
				}
			}
			_, metrics := s.ask(t, "/metrics")
			if !regexp.MustCompile(`holdfast_trace_spans_sent_total 0\n`).MatchString(metrics) || !strings.Contains(metrics, "holdfast_trace_spans_dropped_total") {
				t.Error("the metrics do not count spans")
			}
			began := time.Now()
			s.stop(t)
			if took := time.Since(began); took > flushWithin+3*time.Second {
				t.Errorf("it took %s to stop", took)
			}
			if n := strings.Count(s.log.String(), "traces not sent"); n != 1 || strings.Contains(s.log.String(), "level=ERROR") {
				t.Errorf("%d lines say that traces are not sent:\n%s", n, s.log)
			}
		}
	})
}

// Without an endpoint nothing is traced, whatever the caller asks for; settings that
// cannot be right keep the server from starting, and are not repeated.
func TestTracesOffAndRefused(t *testing.T) {
	p := program{database: file(t, "off.db", "")}
	s := p.serve(t, "--google-credentials", googleCredentials)
	s.traced(t, "{}", googleCredentials, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	s.stop(t)
	if strings.Contains(s.log.String(), "trace_id") {
		t.Errorf("%s", s.log)
	}
	for setting, want := range map[string]string{
		"--otlp-endpoint=localhost:4317":                                 "--otlp-endpoint must be a URL",
		"--otlp-endpoint=http://u:s3cret@c":                              "--otlp-endpoint must have no user",
		"--otlp-endpoint=http://c --traces-sampler=all":                  "--traces-sampler must be one of",
		"--otlp-endpoint=http://c --traces-sampler-arg=2":                "--traces-sampler-arg must be from 0 to 1",
		"--otlp-endpoint=http://c --otlp-headers=Authorization:s3cret":   "--otlp-headers: pair 1",
		"--otlp-endpoint=http://c --otlp-headers=Authorization=%zs3cret": "--otlp-headers: pair 1",
	} {
		for _, command := range []string{"serve", "doctor"} {
			r := p.run(t, append([]string{command}, strings.Fields(setting)...)...)
			if said := r.out + r.err; r.status != 1 || !strings.Contains(said, want) || strings.Contains(said, "s3cret") {
				t.Errorf("%s %s: %d %s", command, setting, r.status, said)
			}
		}
	}
}
