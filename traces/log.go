package traces

import (
	"context"
	"log/slog"

	"holdfast/api/edge"
)

// logging gives the lines of requests that are traced the ids of their traces.
type logging struct {
	slog.Handler
	tracer *Tracer
}

// Logging returns a handler of log lines that gives each line of a request that is
// traced its trace_id. A warning has its request traced, within bounds. So where there
// is a trace_id, there is a trace to look at.
func (t *Tracer) Logging(h slog.Handler) slog.Handler {
	if t == nil {
		return h
	}
	return &logging{h, t}
}

// Handle implements [slog.Handler].
func (l *logging) Handle(ctx context.Context, line slog.Record) error {
	if r := requestOf(ctx); r != nil && l.tracer.decide(r, edge.CallOf(ctx).Caller, line.Level >= slog.LevelWarn) {
		line = line.Clone()
		line.AddAttrs(slog.String("trace_id", r.traceID()))
	}
	return l.Handler.Handle(ctx, line)
}

// WithAttrs implements [slog.Handler].
func (l *logging) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logging{l.Handler.WithAttrs(attrs), l.tracer}
}

// WithGroup implements [slog.Handler].
func (l *logging) WithGroup(name string) slog.Handler {
	return &logging{l.Handler.WithGroup(name), l.tracer}
}

func (r *request) traceID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id.String()
}
