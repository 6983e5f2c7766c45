// Package traces tells where the time of requests goes, in OpenTelemetry's words. The
// edge and the store measure; this package makes spans of that when a request is over,
// and sends them to a collector by OTLP over HTTP. No other package knows OpenTelemetry.
//
// A span has methods, routes, merchants' ids, causes, counts and times. It never has
// anything that a guest or a caller wrote: the identity that the traceparent header of
// an authenticated caller gives its trace is the only thing taken over from a request,
// and tracestate and baggage are not read.
//
// No request waits for a collector, and none fails for one. A nil [Tracer] is off.
package traces

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"holdfast/api/edge"
	"holdfast/storage"
)

// Config says where traces go, and of which requests there are any. The names are those
// of OpenTelemetry's environment variables.
type Config struct {
	Endpoint string            // OTEL_EXPORTER_OTLP_ENDPOINT: an http(s) URL; /v1/traces is added
	Headers  map[string]string // OTEL_EXPORTER_OTLP_HEADERS: sent with every request to the collector
	Service  string            // OTEL_SERVICE_NAME
	Version  string            // of this program
	Sampler  string            // OTEL_TRACES_SAMPLER: which requests
	Ratio    float64           // OTEL_TRACES_SAMPLER_ARG: of the samplers that need one, from 0 to 1
}

var samplers = []string{
	"always_on", "always_off", "traceidratio", "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
}

// How many requests a second are traced, beyond those that the sampler chooses by
// itself: because their caller asked for it, or because something went wrong; and how
// many at most of those whose callers nobody knows. A flood of any of them does not
// push out what the operator wants to see.
const (
	askedEach     = 50
	faultsEach    = 10
	strangersEach = 10
)

// Tracer makes and sends the spans of requests. A nil one does nothing.
type Tracer struct {
	ratio       float64
	parentBased bool
	off         bool // the sampler chooses nothing, and does not ask the parent

	asked, faults, strangers bucket

	now    func() time.Time
	queue  *queue
	tracer trace.Tracer
}

// Check returns what is wrong with the settings, by the names of the flags. It does not
// repeat the endpoint: there may be a secret in it.
func (c Config) Check() error {
	if c.Endpoint == "" {
		return nil
	}
	switch u, err := url.Parse(c.Endpoint); {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("--otlp-endpoint must be a URL like http://localhost:4318")
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return errors.New("--otlp-endpoint must have no user, password, query or fragment; credentials belong into --otlp-headers")
	case !slices.Contains(samplers, c.Sampler):
		return fmt.Errorf("--traces-sampler must be one of %s", strings.Join(samplers, ", "))
	case !(c.Ratio >= 0 && c.Ratio <= 1): // NaN is not either
		return errors.New("--traces-sampler-arg must be from 0 to 1")
	}
	return nil
}

// New returns a tracer, and nil if there is no endpoint. The settings have passed
// [Config.Check]. It does not look whether anybody listens at the endpoint.
// [Tracer.Close] ends it.
func New(c Config, log *slog.Logger) *Tracer {
	if c.Endpoint == "" {
		return nil
	}
	choice, parentBased := strings.CutPrefix(c.Sampler, "parentbased_")
	t := &Tracer{
		ratio: c.Ratio, parentBased: parentBased, off: choice == "always_off" && !parentBased,
		asked: bucket{each: askedEach}, faults: bucket{each: faultsEach}, strangers: bucket{each: strangersEach},
		now:   time.Now, //nolint:forbidigo // for measuring, and for bounds on what is measured
		queue: newQueue(strings.TrimSuffix(c.Endpoint, "/")+"/v1/traces", c.Headers, log),
	}
	switch choice {
	case "always_on":
		t.ratio = 1
	case "always_off":
		t.ratio = 0
	}
	t.tracer = sdktrace.NewTracerProvider(
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", c.Service), attribute.String("service.version", c.Version), attribute.String("service.instance.id", uuid.NewString()),
		)),
		sdktrace.WithSampler(sdktrace.AlwaysSample()), // what is started here has been chosen, see decide
		sdktrace.WithIDGenerator(ids{}),
		sdktrace.WithRawSpanLimits(sdktrace.SpanLimits{AttributeValueLengthLimit: 256, AttributeCountLimit: 16, LinkCountLimit: 64}),
		sdktrace.WithSpanProcessor(t.queue),
	).Tracer("holdfast")
	return t
}

// Headers reads OTEL_EXPORTER_OTLP_HEADERS: name=value, with commas between several, and
// percent signs before what is escaped. Its errors do not repeat it.
func Headers(text string) (map[string]string, error) {
	headers := map[string]string{}
	for i, pair := range strings.Split(text, ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		plain, err := url.PathUnescape(value)
		if !found || err != nil || !tokenOf(name) || strings.ContainsAny(plain, "\r\n\x00") {
			return nil, fmt.Errorf("pair %d is not like name=value", i+1)
		}
		headers[name] = plain
	}
	return headers, nil
}

// tokenOf reports whether a text can be the name of a header.
func tokenOf(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// Close sends what is left, as far as that is done when ctx ends, and stops.
func (t *Tracer) Close(ctx context.Context) {
	if t != nil {
		t.queue.close(ctx)
	}
}

// Counts returns how many spans were sent, and how many were not: the collector was
// away or too slow for them, or refused them.
func (t *Tracer) Counts() (sent, dropped int64) {
	if t == nil {
		return 0, 0
	}
	return t.queue.sent.Load(), t.queue.dropped.Load()
}

// request is what is known of one request for its trace.
type request struct {
	since  time.Time
	remote trace.SpanContext // what the caller says of its trace; not valid: nothing
	course *storage.Course

	mu      sync.Mutex
	id      trace.TraceID
	parent  trace.SpanContext // remote, once its caller has shown credentials
	decided bool
	chosen  bool
	faulty  bool
}

type requestKey struct{}

func requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// Handler follows the requests that next serves. [Tracer.Observe] ends each.
func (t *Tracer) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, course := storage.Watch(r.Context())
		followed := &request{since: t.now(), id: newTraceID(), remote: parentOf(r.Header), course: course}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, requestKey{}, followed)))
	})
}

// parentOf reads a caller's traceparent, and nothing else.
func parentOf(h http.Header) trace.SpanContext {
	given := h["Traceparent"]
	if len(given) != 1 || len(given[0]) > 64 {
		return trace.SpanContext{}
	}
	return trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": given[0]}))
}

// Observe makes the spans of a request that is answered, if it is to have any.
func (t *Tracer) Observe(ctx context.Context, a edge.Answer) {
	if t == nil {
		return
	}
	if r := requestOf(ctx); r != nil && t.decide(r, a.Caller, a.Status >= http.StatusInternalServerError) {
		t.tell(r, a)
	}
}

// decide reports whether a request is traced. That does not change once it is, so that
// the log's lines and the trace agree. caller is who has shown credentials, "" if nobody has.
// A fault is worth a trace even if the sampler has not chosen it.
//
// Who has not shown credentials decides nothing: neither whether there is a trace nor
// what it belongs to.
func (t *Tracer) decide(r *request, caller string, fault bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.decided {
		r.decided = true
		r.chosen = t.choose(caller, r.remote)
		if caller != "" && r.remote.IsValid() {
			r.parent, r.id = r.remote, r.remote.TraceID()
		}
	}
	if !r.chosen && fault && !r.faulty && !t.off {
		r.faulty = true
		r.chosen = t.faults.take(t.now())
	}
	return r.chosen
}

// choose is the sampler. A caller whose traceparent asks for a trace gets one, within
// bounds; one that the operator's ratio chooses does not count for those. The dice are
// ours: a caller chooses the id of its trace, too.
func (t *Tracer) choose(caller string, remote trace.SpanContext) bool {
	wanted := t.ratio == 1 || rand.Float64() < t.ratio //nolint:gosec // it guards no secret
	switch {
	case caller == "":
		return wanted && t.strangers.take(t.now())
	case !t.parentBased || !remote.IsValid():
		return wanted
	case !remote.IsSampled():
		return false
	}
	return wanted || t.asked.take(t.now())
}

// bucket has room for each tokens and gets as many every second. It begins full.
type bucket struct {
	each float64

	mu     sync.Mutex
	tokens float64
	at     time.Time
}

// take takes a token, if there is one.
func (b *bucket) take(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tokens = min(b.each, b.tokens+b.each*now.Sub(b.at).Seconds())
	b.at = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// ids gives spans the ids of their traces, which are known before there is a span.
type ids struct{}

type traceIDKey struct{}

// NewIDs implements [sdktrace.IDGenerator].
func (ids) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	id, _ := ctx.Value(traceIDKey{}).(trace.TraceID)
	return id, newSpanID()
}

// NewSpanID implements [sdktrace.IDGenerator].
func (ids) NewSpanID(context.Context, trace.TraceID) trace.SpanID { return newSpanID() }

func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.LittleEndian.PutUint64(id[:8], rand.Uint64()) //nolint:gosec // it is no secret
		binary.LittleEndian.PutUint64(id[8:], rand.Uint64()) //nolint:gosec // it is no secret
	}
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.LittleEndian.PutUint64(id[:], rand.Uint64()) //nolint:gosec // it is no secret
	}
	return id
}
