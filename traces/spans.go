package traces

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"holdfast/api/edge"
	"holdfast/booking"
	"holdfast/storage"
)

// tell makes the spans of one request:
//
//	request
//	├── read, settle               what else the database was asked
//	└── operation                  each operation, with a link to each batch that ran it
//	    ├── queue                  its wait for a committer
//	    └── batch                  each database transaction that was tried
//	        └── begin, fetch, decide, write, commit, settle, or begin, run, commit
//
// A batch that several requests share is in the trace of the one that is told first. The
// others link to it.
func (t *Tracer) tell(r *request, a edge.Answer) {
	ctx := context.WithValue(context.Background(), traceIDKey{}, r.id)
	if r.parent.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, r.parent)
	}
	attrs := []attribute.KeyValue{
		attribute.String("http.request.method", a.Method), attribute.String("http.route", a.Route), attribute.Int("http.response.status_code", a.Status),
	}
	for _, one := range []struct{ name, value string }{{"holdfast.caller", a.Caller}, {"holdfast.cause", a.Cause}, {"holdfast.field", a.Field}} {
		if one.value != "" {
			attrs = append(attrs, attribute.String(one.name, one.value))
		}
	}
	ctx, span := t.start(ctx, a.Method+" "+a.Route, r.since, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attrs...))
	operations, others := r.course.Noted()
	for _, other := range others {
		t.whole(ctx, other.Name, other.Since, other.Until)
	}
	for _, op := range operations {
		t.operation(ctx, op)
	}
	if a.Status >= http.StatusInternalServerError {
		fail(span, strconv.Itoa(a.Status))
	}
	end(span, t.now())
}

func (t *Tracer) operation(ctx context.Context, op storage.Operation) {
	outcome, cause := outcomeOf(op.Err)
	attrs := []attribute.KeyValue{attribute.String("holdfast.outcome", outcome)}
	if cause != "" {
		attrs = append(attrs, attribute.String("holdfast.cause", cause))
	}
	if op.MerchantID != "" {
		attrs = append(attrs, attribute.String("holdfast.merchant_id", op.MerchantID))
	}
	ctx, span := t.start(ctx, "operation", op.Since, trace.WithAttributes(attrs...))
	switch {
	case op.Turn.IsZero(): // it never had one
		t.whole(ctx, "queue", op.Since, op.Until)
	case op.Turn.After(op.Since):
		t.whole(ctx, "queue", op.Since, op.Turn)
	}
	for _, tx := range op.Transactions {
		told := tx.Told(func() any { return t.batch(ctx, tx) })
		span.AddLink(trace.Link{SpanContext: told.(trace.SpanContext)})
	}
	if outcome == unavailable || outcome == failed {
		fail(span, outcome)
	}
	end(span, op.Until)
}

// batch makes the span of one transaction, and returns what leads to it.
func (t *Tracer) batch(ctx context.Context, tx *storage.Transaction) trace.SpanContext {
	ctx, span := t.start(ctx, "batch", tx.Steps[0].Since, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("db.system.name", tx.System), attribute.Int("holdfast.operations", tx.Operations),
		attribute.Int("holdfast.try", tx.Try), attribute.String("holdfast.outcome", tx.Outcome),
	))
	for i, step := range tx.Steps {
		until := tx.Until
		if i+1 < len(tx.Steps) {
			until = tx.Steps[i+1].Since
		}
		t.whole(ctx, step.Name, step.Since, until)
	}
	switch {
	case tx.Code != "":
		fail(span, tx.Code)
	case tx.Outcome != storage.Committed && tx.Outcome != storage.Unchanged:
		fail(span, tx.Outcome)
	}
	end(span, tx.Until)
	return span.SpanContext()
}

// The outcomes of operations.
const (
	done        = "done"
	refused     = "refused"
	stale       = "stale" // it is planned again
	unavailable = "unavailable"
	failed      = "failed"
)

// outcomeOf is what an operation came to, in words of ours. The text of an error never
// gets out: there may be anything in it.
func outcomeOf(err error) (outcome, cause string) {
	var failure *booking.Failure
	var invalid *booking.Invalid
	switch {
	case err == nil:
		return done, ""
	case errors.As(err, &failure):
		return refused, failure.Cause.String()
	case errors.As(err, &invalid), errors.Is(err, booking.ErrNotFound):
		return refused, ""
	case errors.Is(err, booking.ErrStale):
		return stale, ""
	case errors.Is(err, booking.ErrUnavailable):
		return unavailable, ""
	}
	return failed, ""
}

func (t *Tracer) start(ctx context.Context, name string, at time.Time, o ...trace.SpanStartOption) (context.Context, trace.Span) {
	return t.tracer.Start(ctx, name, append(o, trace.WithTimestamp(at))...)
}

// whole makes a span that nothing more is said of.
func (t *Tracer) whole(ctx context.Context, name string, since, until time.Time) {
	_, span := t.start(ctx, name, since)
	end(span, until)
}

func end(span trace.Span, at time.Time) { span.End(trace.WithTimestamp(at)) }

// fail says that a span has failed, by a kind of ours.
func fail(span trace.Span, kind string) {
	span.SetAttributes(attribute.String("error.type", kind))
	span.SetStatus(codes.Error, "")
}
