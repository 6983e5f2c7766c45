package traces

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protowire"

	"holdfast/api/edge"
	"holdfast/traces/tracestest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// answer has a tracer follow one request that is answered.
func answer(t *Tracer, traceparent string, a edge.Answer) {
	h := t.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Observe(r.Context(), a) }))
	r := httptest.NewRequest("POST", "/", nil)
	if traceparent != "" {
		r.Header.Set("traceparent", traceparent)
		r.Header.Set("tracestate", "canary=1")
		r.Header.Set("baggage", "canary=1")
	}
	h.ServeHTTP(httptest.NewRecorder(), r)
}

const (
	theirTrace = "0af7651916cd43dd8448eb211c80319c"
	theirSpan  = "b7ad6b7169203331"
	sampled    = "00-" + theirTrace + "-" + theirSpan + "-01"
	unsampled  = "00-" + theirTrace + "-" + theirSpan + "-00"
)

// What the caller says of its trace counts only if it has shown credentials, and then
// within bounds; a fault has a trace whoever the caller is, within bounds, too.
func TestSampling(t *testing.T) {
	known, stranger := edge.Answer{Status: 200, Caller: "google"}, edge.Answer{Status: 401}
	fault, strange := edge.Answer{Status: 503, Caller: "google"}, edge.Answer{Status: 503}
	for _, c := range []struct {
		name, sampler string
		ratio         float64
		traceparent   string
		answer        edge.Answer
		least, most   int // of 1,300 requests
		theirs        bool
	}{
		{"everything", "always_on", 1, "", known, 1300, 1300, false},
		{"everything, whatever the caller says", "always_on", 1, unsampled, known, 1300, 1300, true},
		{"nothing", "always_off", 1, sampled, known, 0, 0, false},
		{"nothing, also no faults", "always_off", 1, sampled, fault, 0, 0, false},
		{"a part", "traceidratio", .1, "", known, 60, 220, false},
		{"a part, whatever the caller says", "traceidratio", .1, sampled, known, 60, 220, true},
		{"as the parent says: no", "parentbased_always_on", 1, unsampled, known, 0, 0, false},
		{"as the parent says: yes", "parentbased_always_on", 1, sampled, known, 1300, 1300, true},
		{"without a parent", "parentbased_always_on", 1, "", known, 1300, 1300, false},
		{"the parent asks for all", "parentbased_always_off", 1, sampled, known, askedEach, askedEach, true},
		{"the parent asks for all, and a part is wanted", "parentbased_traceidratio", .1, sampled, known, askedEach + 60, askedEach + 220, true},
		{"a stranger asks for all", "parentbased_always_off", 1, sampled, stranger, 0, 0, false},
		{"strangers, when everything is wanted", "parentbased_always_on", 1, sampled, stranger, strangersEach, strangersEach, false},
		{"faults", "parentbased_always_off", 1, "", fault, faultsEach, faultsEach, false},
		{"faults of strangers", "traceidratio", 0, sampled, strange, faultsEach, faultsEach, false},
		{"a fault that the parent does not want", "parentbased_always_on", 1, unsampled, fault, faultsEach, faultsEach, true},
		{"a parent that is none", "parentbased_always_off", 1, "00-" + strings.Repeat("0", 32) + "-" + theirSpan + "-01", known, 0, 0, false},
		{"a parent that is too long", "parentbased_always_off", 1, sampled + strings.Repeat("-00", 1000), known, 0, 0, false},
		{"a parent of the next version", "parentbased_always_off", 1, "cc" + sampled[2:] + "-what", known, askedEach, askedEach, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			collector := tracestest.New(t)
			tracer := New(Config{Endpoint: collector.URL, Sampler: c.sampler, Ratio: c.ratio}, quiet)
			at := time.Now()
			tracer.now = func() time.Time { return at } // a second is long enough
			for range 1300 {
				answer(tracer, c.traceparent, c.answer)
			}
			tracer.Close(t.Context())
			spans := collector.Spans()
			if n := len(spans); n < c.least || n > c.most {
				t.Errorf("%d traces instead of %d to %d", n, c.least, c.most)
			}
			for _, s := range spans {
				if theirs := s.Trace == theirTrace && s.Parent == theirSpan; theirs != c.theirs || !theirs && s.Parent != "" {
					t.Fatalf("trace %s, parent %q", s.Trace, s.Parent)
				}
			}
			if strings.Contains(collector.Received(), "canary") {
				t.Error("tracestate or baggage is sent on")
			}
			if sent, dropped := tracer.Counts(); sent != int64(len(spans)) || dropped != 0 {
				t.Errorf("%d sent, %d dropped", sent, dropped)
			}
		})
	}
}

// Two headers contradict each other, so neither counts.
func TestTwoParents(t *testing.T) {
	if got := parentOf(http.Header{"Traceparent": {sampled, sampled}}); got.IsValid() {
		t.Errorf("%+v", got)
	}
	if got := parentOf(http.Header{"Traceparent": {sampled}, "Tracestate": {"a=b"}}); !got.IsSampled() || got.TraceState().Len() != 0 {
		t.Errorf("%+v", got)
	}
}

// A line has the id of the trace if there will be one, and a warning sees to that.
func TestTraceIDInLines(t *testing.T) {
	collector := tracestest.New(t)
	var text bytes.Buffer
	tracer := New(Config{Endpoint: collector.URL, Sampler: "parentbased_always_off"}, quiet)
	log := slog.New(tracer.Logging(slog.NewTextHandler(&text, nil))).With("with", 1)
	for _, warns := range []bool{false, true} {
		h := tracer.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if warns {
				log.WarnContext(r.Context(), "warning")
			}
			tracer.Observe(r.Context(), edge.Answer{Status: 200})
			log.InfoContext(r.Context(), "request")
		}))
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}
	log.Warn("nobody's")
	tracer.Close(t.Context())
	spans := collector.Spans()
	if len(spans) != 1 {
		t.Fatalf("%d spans", len(spans))
	}
	var got string
	for line := range strings.Lines(text.String()) {
		_, line, _ = strings.Cut(line, "msg=")
		got += line
	}
	if want := "request with=1\nwarning with=1 trace_id=ID\nrequest with=1 trace_id=ID\nnobody's with=1\n"; strings.ReplaceAll(got, spans[0].Trace, "ID") != want {
		t.Errorf("got\n%s", got)
	}
}

// Off, nothing is in the way of a request: the handler and the log are what they were.
func TestOff(t *testing.T) {
	tracer := New(Config{}, quiet)
	if tracer != nil {
		t.Fatal("there is a tracer without an endpoint")
	}
	next, lines := http.NewServeMux(), slog.DiscardHandler
	if tracer.Handler(next) != http.Handler(next) || tracer.Logging(lines) != lines {
		t.Error("something is wrapped")
	}
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { tracer.Observe(ctx, edge.Answer{}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	tracer.Close(ctx)
}

// A collector that takes connections and never answers: who ends a span does not wait,
// what does not fit is dropped and counted, and the end comes in time.
func TestSilentCollector(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var text bytes.Buffer
	tracer := New(Config{Endpoint: "http://" + listener.Addr().String(), Sampler: "always_on"}, slog.New(slog.NewTextHandler(&text, nil)))
	const spans = 4 * queued
	span := tracetest.SpanStub{Name: "span"}.Snapshot()
	began := time.Now()
	for range spans {
		tracer.queue.OnEnd(span)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the ends of %d spans took %s", spans, took)
	}
	if _, dropped := tracer.Counts(); dropped < spans-queued-atOnce {
		t.Errorf("only %d spans were dropped: what waits is not bounded", dropped)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began = time.Now()
	tracer.Close(ctx)
	if took := time.Since(began); took > time.Second {
		t.Errorf("it took %s to stop", took)
	}
	if sent, dropped := tracer.Counts(); sent != 0 || dropped != spans {
		t.Errorf("%d sent, %d dropped", sent, dropped)
	}
	if n := strings.Count(text.String(), "traces not sent"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, &text)
	}
}

// What the collector answers decides whether the same is sent again, and what counts as
// sent.
func TestCollectorAnswers(t *testing.T) {
	partial := protowire.AppendTag(nil, 1, protowire.BytesType)
	partial = protowire.AppendBytes(partial, append(protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), 1), 0x12, 1, 'x'))
	for _, c := range []struct {
		name          string
		statuses      []int // of one answer after the other; then 200
		body          []byte
		sent, dropped int64
		requests      int
	}{
		{"taken", nil, nil, 2, 0, 1},
		{"not now", []int{503, 429}, nil, 2, 0, 3},
		{"never", []int{400}, nil, 0, 2, 1},
		{"moved", []int{307}, nil, 0, 2, 1},
		{"one of two rejected", nil, partial, 1, 1, 1},
		{"nonsense", nil, []byte("<html>"), 2, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it waits for more spans, and for the pauses between tries
			requests := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/base/v1/traces" || r.Header.Get("Authorization") != "Bearer a,b" || r.Header.Get("Content-Type") != "application/x-protobuf" {
					t.Errorf("%s %v", r.URL, r.Header)
				}
				if requests++; requests <= len(c.statuses) {
					w.Header().Set("Location", "/elsewhere")
					w.WriteHeader(c.statuses[requests-1])
				}
				_, _ = w.Write(c.body)
			}))
			defer server.Close()
			headers, err := Headers("Authorization=Bearer%20a%2Cb")
			if err != nil {
				t.Fatal(err)
			}
			tracer := New(Config{Endpoint: server.URL + "/base/", Headers: headers, Sampler: "always_on"}, quiet)
			for range 2 {
				answer(tracer, "", edge.Answer{Caller: "google"})
			}
			for sent, dropped := int64(0), int64(0); sent+dropped < 2; sent, dropped = tracer.Counts() {
				time.Sleep(10 * time.Millisecond)
			}
			tracer.Close(t.Context())
			if sent, dropped := tracer.Counts(); sent != c.sent || dropped != c.dropped || requests != c.requests {
				t.Errorf("%d sent, %d dropped in %d requests", sent, dropped, requests)
			}
		})
	}
}

// Settings that cannot be right are refused, and not repeated.
func TestCheck(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Sampler: "whatever"}, ""}, // it is off
		{Config{Endpoint: "http://c:4318", Sampler: "always_on"}, ""},
		{Config{Endpoint: "https://c/base", Sampler: "parentbased_traceidratio", Ratio: .01}, ""},
		{Config{Endpoint: "c:4317", Sampler: "always_on"}, "must be a URL"},
		{Config{Endpoint: "grpc://c:4317", Sampler: "always_on"}, "must be a URL"},
		{Config{Endpoint: "http://u:s3cret@c", Sampler: "always_on"}, "no user"},
		{Config{Endpoint: "http://c/?key=s3cret", Sampler: "always_on"}, "no user"},
		{Config{Endpoint: "http://s3cret\x7f", Sampler: "always_on"}, "must be a URL"},
		{Config{Endpoint: "http://c", Sampler: "jaeger_remote"}, "one of always_on"},
		{Config{Endpoint: "http://c", Sampler: "traceidratio", Ratio: 1.5}, "from 0 to 1"},
	} {
		err := c.config.Check()
		if (err == nil) != (c.want == "") || err != nil && (!strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("%+v: %v", c.config, err)
		}
	}
	for _, text := range []string{"s3cret", "a b=s3cret", "=s3cret", "a=%zz-s3cret", "ok=1,a=s3cret%0d%0ab", "a:=s3cret"} {
		if h, err := Headers(text); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, %v", text, h, err)
		}
	}
	if h, err := Headers(" a = 1 ,, b=x=y, "); err != nil || len(h) != 2 || h["a"] != "1" || h["b"] != "x=y" {
		t.Errorf("%v, %v", h, err)
	}
}
