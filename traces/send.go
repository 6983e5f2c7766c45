package traces

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// What waits for the collector, and for how long we wait for it.
const (
	queued     = 4096 // spans, of about 1.5 kB
	atOnce     = 512  // spans in one request
	gatherFor  = time.Second
	sendWithin = 5 * time.Second
	sendTries  = 4 // with pauses of 1, 2 and 4 s
	sayEvery   = time.Minute
	answerSize = 64 << 10 // bytes of the collector's answer
)

// queue keeps spans until they are sent. A span that finds it full is dropped: whoever
// ends a span never waits. It is a [sdktrace.SpanProcessor].
type queue struct {
	spans         chan sdktrace.ReadOnlySpan
	exporter      *otlptrace.Exporter
	client        *client
	log           *slog.Logger
	sent, dropped atomic.Int64

	// Of the goroutine that sends.
	trouble    error     // what the last attempt to send came to
	complained int64     // of those that were dropped, those that the log has heard of
	said       time.Time // when it did

	closing chan struct{} // nothing more comes
	once    sync.Once
	ctx     context.Context // ends when nothing more may be sent
	cancel  context.CancelFunc
	over    chan struct{}
}

func newQueue(endpoint string, headers map[string]string, log *slog.Logger) *queue {
	c := &client{endpoint: endpoint, headers: headers, http: &http.Client{
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the headers are for the endpoint alone
	}}
	q := &queue{
		spans: make(chan sdktrace.ReadOnlySpan, queued), exporter: otlptrace.NewUnstarted(c), client: c, log: log,
		closing: make(chan struct{}), over: make(chan struct{}),
	}
	q.ctx, q.cancel = context.WithCancel(context.Background())
	go q.run()
	return q
}

// OnStart implements [sdktrace.SpanProcessor].
func (q *queue) OnStart(context.Context, sdktrace.ReadWriteSpan) {}

// OnEnd implements [sdktrace.SpanProcessor].
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	select {
	case q.spans <- s:
	default:
		q.dropped.Add(1)
	}
}

// Shutdown implements [sdktrace.SpanProcessor].
func (q *queue) Shutdown(ctx context.Context) error { q.close(ctx); return nil }

// ForceFlush implements [sdktrace.SpanProcessor]. Nobody asks for it.
func (q *queue) ForceFlush(context.Context) error { return nil }

// close sends what is left, until ctx ends, and counts the rest as dropped.
func (q *queue) close(ctx context.Context) {
	q.once.Do(func() { close(q.closing) })
	select {
	case <-q.over:
	case <-ctx.Done():
		q.cancel()
		<-q.over
	}
}

// run sends spans until the queue is closed and empty.
func (q *queue) run() {
	defer close(q.over)
	defer q.cancel()
	defer q.client.http.CloseIdleConnections()
	for {
		batch, more := q.gather()
		if len(batch) > 0 {
			q.send(batch)
			q.complain()
		}
		if !more {
			return
		}
	}
}

// gather waits for spans, and then a little for more. more is false once nothing is left.
func (q *queue) gather() (batch []sdktrace.ReadOnlySpan, more bool) {
	var soon <-chan time.Time
	for len(batch) < atOnce {
		select {
		case s := <-q.spans:
			if batch = append(batch, s); soon == nil {
				soon = time.After(gatherFor)
			}
		case <-soon:
			return batch, true
		case <-q.closing:
			select {
			case s := <-q.spans:
				batch = append(batch, s)
			default:
				return batch, false
			}
		}
	}
	return batch, true
}

// send sends spans, again if that may help, and drops them if it does not.
func (q *queue) send(batch []sdktrace.ReadOnlySpan) {
	lost := int64(len(batch))
	pause := time.Second
	for try := 1; q.ctx.Err() == nil; try++ { // once it is over, there is no time to try the rest
		q.trouble = q.exporter.ExportSpans(q.ctx, batch)
		var rejected *rejectedError
		if q.trouble == nil || errors.As(q.trouble, &rejected) {
			lost = 0
			if rejected != nil {
				lost = min(rejected.spans, int64(len(batch)))
			}
			break
		}
		if try == sendTries || errors.Is(q.trouble, errFinal) {
			break
		}
		select {
		case <-time.After(pause):
		case <-q.closing:
			try = sendTries - 1 // once more, at once
		}
		pause *= 2
	}
	q.sent.Add(int64(len(batch)) - lost)
	q.dropped.Add(lost)
}

// complain says once in a while that spans were dropped.
func (q *queue) complain() {
	now, dropped := time.Now(), q.dropped.Load() //nolint:forbidigo // it decides what is logged only
	if dropped == q.complained || now.Sub(q.said) < sayEvery {
		return
	}
	why := "the collector is too slow"
	if q.trouble != nil {
		why = q.trouble.Error()
	}
	q.log.Warn("traces not sent", "spans", dropped-q.complained, "error", why)
	q.said, q.complained = now, dropped
}

// client is OTLP over HTTP. OpenTelemetry's own links gRPC into the program, see
// docs/dependencies.md. It is an [otlptrace.Client].
type client struct {
	endpoint string
	headers  map[string]string
	http     *http.Client
}

// Start implements [otlptrace.Client].
func (c *client) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (c *client) Stop(context.Context) error { return nil }

// errFinal: to send the same again would not help.
var errFinal = errors.New("the collector does not take them")

// rejectedError is an answer that some spans were not taken.
type rejectedError struct{ spans int64 }

func (r *rejectedError) Error() string {
	return fmt.Sprintf("the collector rejected %d spans", r.spans)
}

// UploadTraces implements [otlptrace.Client].
func (c *client) UploadTraces(ctx context.Context, spans []*tracepb.ResourceSpans) error {
	// An ExportTraceServiceRequest has the same one field, but gRPC in its package.
	body, err := proto.Marshal(&tracepb.TracesData{ResourceSpans: spans})
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	ctx, cancel := context.WithTimeout(ctx, sendWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%w: %w", errFinal, err)
	}
	for name, value := range c.headers {
		r.Header.Set(name, value)
	}
	r.Header.Set("Content-Type", "application/x-protobuf")
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerSize))
	switch {
	case resp.StatusCode == http.StatusOK && err == nil:
		if n := rejectedSpans(answer); n > 0 {
			return &rejectedError{n}
		}
		return nil
	case resp.StatusCode == http.StatusOK: // it has them; what it wanted to say of them got lost
		return nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusBadGateway,
		resp.StatusCode == http.StatusServiceUnavailable, resp.StatusCode == http.StatusGatewayTimeout:
		return fmt.Errorf("the collector answered %d", resp.StatusCode)
	}
	return fmt.Errorf("%w: it answered %d", errFinal, resp.StatusCode)
}

// rejectedSpans is the member partial_success.rejected_spans of an
// ExportTraceServiceResponse: field 1 of its field 1.
func rejectedSpans(answer []byte) (n int64) {
	eachField(answer, func(number protowire.Number, _ uint64, partial []byte) {
		if number == 1 {
			eachField(partial, func(number protowire.Number, value uint64, _ []byte) {
				if number == 1 {
					n = max(0, int64(value)) //nolint:gosec // a negative one is no number of spans
				}
			})
		}
	})
	return n
}

// eachField goes through the fields of a message, as far as it can be read.
func eachField(message []byte, f func(number protowire.Number, value uint64, text []byte)) {
	for len(message) > 0 {
		number, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return
		}
		message = message[n:]
		var value uint64
		var text []byte
		switch kind {
		case protowire.VarintType:
			value, n = protowire.ConsumeVarint(message)
		case protowire.BytesType:
			text, n = protowire.ConsumeBytes(message)
		default:
			n = protowire.ConsumeFieldValue(number, kind, message)
		}
		if n < 0 {
			return
		}
		f(number, value, text)
		message = message[n:]
	}
}
