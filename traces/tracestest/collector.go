// Package tracestest is a collector of traces, for tests.
package tracestest

import (
	"cmp"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Span is what a test wants to know of a span. Ids are in hex.
type Span struct {
	Name              string
	Trace, ID, Parent string
	Links             []string // ids of spans
	Attributes        map[string]string
	Failed            bool
	Start, End        time.Time
}

// Collector keeps what it is sent.
type Collector struct {
	URL string // for OTEL_EXPORTER_OTLP_ENDPOINT

	mu       sync.Mutex
	spans    []Span
	received strings.Builder
}

// New starts a collector that ends with the test.
func New(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = c.take(r, body)
		}
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
			w.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

func (c *Collector) take(r *http.Request, body []byte) error {
	var data tracepb.TracesData
	if err := proto.Unmarshal(body, &data); err != nil {
		return err
	}
	asJSON, err := protojson.Marshal(&data)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := r.Header.Write(&c.received); err != nil {
		return err
	}
	c.received.WriteString(r.Method + " " + r.URL.String() + "\n")
	c.received.Write(body)
	c.received.Write(asJSON)
	for _, resource := range data.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				one := Span{
					Name: s.GetName(), Trace: hex.EncodeToString(s.GetTraceId()), ID: hex.EncodeToString(s.GetSpanId()), Parent: hex.EncodeToString(s.GetParentSpanId()),
					Attributes: map[string]string{}, Failed: s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR,
					Start: time.Unix(0, int64(s.GetStartTimeUnixNano())), //nolint:gosec // until the year 2262
					End:   time.Unix(0, int64(s.GetEndTimeUnixNano())),   //nolint:gosec // the same
				}
				for _, list := range [][]*commonpb.KeyValue{resource.GetResource().GetAttributes(), s.GetAttributes()} {
					for _, a := range list {
						one.Attributes[a.GetKey()] = a.GetValue().GetStringValue()
						if n, is := a.GetValue().GetValue().(*commonpb.AnyValue_IntValue); is {
							one.Attributes[a.GetKey()] = strconv.FormatInt(n.IntValue, 10)
						}
					}
				}
				for _, l := range s.GetLinks() {
					one.Links = append(one.Links, hex.EncodeToString(l.GetSpanId()))
				}
				c.spans = append(c.spans, one)
			}
		}
	}
	return nil
}

// Received is everything that has come, as it was sent and as text.
func (c *Collector) Received() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received.String()
}

// Spans returns the spans that have come, by their start.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	spans := slices.Clone(c.spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End)) })
	return spans
}

// Named returns the spans of a name, by their start.
func (c *Collector) Named(name string) []Span {
	return slices.DeleteFunc(c.Spans(), func(s Span) bool { return s.Name != name })
}

// Tree is a span with everything below it, such as "operation(queue batch(begin commit))".
func (c *Collector) Tree(of Span) string {
	var below []string
	for _, s := range c.Spans() {
		if s.Parent == of.ID {
			below = append(below, c.Tree(s))
		}
	}
	if below == nil {
		return of.Name
	}
	return of.Name + "(" + strings.Join(below, " ") + ")"
}
