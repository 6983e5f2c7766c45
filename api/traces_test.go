package api_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/storage"
	"holdfast/traces/tracestest"
)

// named is the one span of a name.
func (w *world) named(name string) tracestest.Span {
	w.t.Helper()
	found := w.traces.Named(name)
	if len(found) != 1 {
		w.t.Fatalf("got %d spans %q", len(found), name)
	}
	return found[0]
}

const bookedSteps = "begin fetch decide write commit"

// wantAttributes compares some attributes of a span.
func (w *world) wantAttributes(s tracestest.Span, want ...string) {
	w.t.Helper()
	for i := 0; i < len(want); i += 2 {
		if got := s.Attributes[want[i]]; got != want[i+1] {
			w.t.Errorf("%s: %s is %q instead of %q", s.Name, want[i], got, want[i+1])
		}
	}
}

// Two operations that share a transaction show one batch, in the trace of one, with a
// link from each.
func TestSharedBatchIsLinked(t *testing.T) {
	var open atomic.Bool
	o := options{traced: "always_on", storage: storage.Options{Gather: func(waiting int) bool { return !open.Load() && waiting < 2 }}}
	eachWith(t, o, func(w *world) {
		open.Store(false)
		var both sync.WaitGroup
		for n := range 2 {
			both.Go(func() {
				if a, err := w.send("POST", createPath, canaryCreate(n, at(9, 0), ""), "Authorization", "google"); err != nil || a.status != 200 {
					w.t.Errorf("%d %s, %v", a.status, a.body, err)
				}
			})
		}
		both.Wait()
		open.Store(true)
		w.traced()
		batch, operations := w.named("batch"), w.traces.Named("operation")
		w.wantAttributes(batch, "holdfast.operations", "2", "holdfast.try", "1", "holdfast.outcome", "committed")
		if got := w.traces.Tree(batch); got != "batch("+bookedSteps+")" {
			w.t.Error(got)
		}
		if len(operations) != 2 || operations[0].Trace == operations[1].Trace || !slices.ContainsFunc(operations, func(s tracestest.Span) bool { return s.ID == batch.Parent }) {
			w.t.Errorf("%+v\n%+v", operations, batch)
		}
		for _, op := range operations {
			if !slices.Equal(op.Links, []string{batch.ID}) {
				w.t.Errorf("an operation links to %v, not to the batch %s", op.Links, batch.ID)
			}
		}
		if got := len(w.traces.Named("queue")); got != 2 {
			w.t.Errorf("%d waits in the queue", got)
		}
	})
}

// A transaction that the database undoes, or of whose COMMIT nobody knows, shows beside
// the one that is run instead.
func TestRerunShowsTwice(t *testing.T) {
	var fails atomic.Value
	fails.Store("")
	o := options{traced: "always_on", storage: storage.Options{Fault: func(point string) error {
		if fails.CompareAndSwap(point, "") {
			return io.ErrUnexpectedEOF
		}
		return nil
	}}}
	eachWith(t, o, func(w *world) {
		runs := []struct{ fails, outcome, first, second string }{
			{"after the token", storage.Disconnected, "begin fetch", bookedSteps},
			{"before COMMIT", storage.Disconnected, "begin fetch decide write", bookedSteps},
			{"after COMMIT", storage.Unknown, bookedSteps, "begin fetch write commit"}, // it has happened
		}
		for n, run := range runs {
			fails.Store(run.fails)
			a, err := w.send("POST", createPath, canaryCreate(n, at(9+n, 0), ""), "Authorization", "google")
			if err != nil || !strings.Contains(a.body, "CONFIRMED") {
				w.t.Errorf("%s: %s, %v", run.fails, a.body, err)
			}
		}
		w.traced()
		for n, op := range w.traces.Named("operation") {
			run := runs[n]
			if got := w.traces.Tree(op); got != fmt.Sprintf("operation(queue batch(%s) batch(%s))", run.first, run.second) {
				w.t.Errorf("%s: %s", run.fails, got)
			}
			if len(op.Links) != 2 {
				w.t.Errorf("%d links", len(op.Links))
			}
			batches := slices.DeleteFunc(w.traces.Named("batch"), func(s tracestest.Span) bool { return s.Parent != op.ID })
			w.wantAttributes(batches[0], "holdfast.outcome", run.outcome, "holdfast.try", "1", "error.type", run.outcome)
			w.wantAttributes(batches[1], "holdfast.outcome", "committed", "holdfast.try", "2", "error.type", "")
			if !batches[0].Failed || batches[1].Failed || op.Failed {
				w.t.Errorf("failed: %v, %v, %v", batches[0].Failed, batches[1].Failed, op.Failed)
			}
		}
	})
}

// A refusal tells its cause, what is no operation its time, and the log which trace to
// look at.
func TestTraceOfRefusal(t *testing.T) {
	eachWith(t, options{traced: "always_on"}, func(w *world) {
		_, err := w.db.Merchant(context.Background(), clinic1) // so that nobody below has to read it
		w.must(err)
		trees := map[string]string{}
		for path, c := range map[string]struct{ who, body, tree string }{
			createPath:                    {"google", canaryCreate(1, at(13, 0), ""), "operation(queue batch(begin fetch decide))"}, // closed
			"/v3/ListBookings":            {"google", `{"user_id":"nobody"}`, "read"},
			"/v3/SetMarketingPreference":  {"google", `{"user_information":{"user_id":"nobody"},"user_to_receive_marketing":true}`, "operation(batch(begin run commit))"},
			"/v3/BatchAvailabilityLookup": {"google", `{"merchant_id":"clinic-1","slot_time":[{"service_id":"skin-care","start_sec":"1772409600"}]}`, "read"},
			zonesPath:                     {clinic1, `{}`, "read read"}, // the first: whose token it is
			"/v3/HealthCheck":             {"google", "", "read"},
		} {
			method := "POST"
			if c.body == "" {
				method = "GET"
			}
			a, err := w.send(method, path, c.body, "Authorization", c.who)
			w.must(err)
			if a.status == 400 {
				w.t.Errorf("%s: %s", path, a.body)
			}
			trees[method+" "+path] = c.tree
		}
		w.traced()
		for name, tree := range trees {
			if got := w.traces.Tree(w.named(name)); got != name+"("+tree+")" {
				w.t.Errorf("%s instead of %s", got, tree)
			}
		}
		request := w.named("POST /v3/CreateBooking")
		of := func(name string) tracestest.Span {
			return slices.DeleteFunc(w.traces.Named(name), func(s tracestest.Span) bool { return s.Trace != request.Trace })[0]
		}
		operation, batch := of("operation"), of("batch")
		w.wantAttributes(request, "http.request.method", "POST", "http.route", createPath, "http.response.status_code", "200",
			"holdfast.caller", "google", "holdfast.cause", "SLOT_UNAVAILABLE", "service.name", "holdfast")
		w.wantAttributes(operation, "holdfast.merchant_id", clinic1, "holdfast.outcome", "refused", "holdfast.cause", "slot unavailable")
		w.wantAttributes(batch, "holdfast.outcome", "unchanged")
		if request.Failed || operation.Failed || batch.Failed {
			w.t.Error("a refusal is no failure of ours")
		}
		if line := fmt.Sprintf(`"cause":"SLOT_UNAVAILABLE","trace_id":"%s"`, request.Trace); !strings.Contains(w.log.String(), line) {
			w.t.Errorf("no %s in\n%s", line, w.log)
		}
	})
}
