package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// round is a stretch of operations on a day of its own, judged when it is over.
type round struct {
	n       int
	caller  *caller
	journal *journal
	path    string
	began   time.Time
	report  *report
	name    string // the trial's

	quota            int64
	until            time.Time
	pause            time.Duration // of a client between two operations, on average
	enough           atomic.Bool   // ends the round, whatever the quota
	unharmed         bool          // the servers and their clients' connections survive all of it
	issued, finished atomic.Int64
}

// next reports whether to do another operation.
func (r *round) next() bool {
	return r.issued.Add(1) <= r.quota && time.Now().Before(r.until) && !r.enough.Load()
}

func (r *round) now() int64 { return int64(time.Since(r.began)) }

func (r *round) accuse(what, text string) { r.report.accuse(r.name, r.n, what, text) }

// try sends a request once, and writes the journal before and after.
func (r *round) try(ctx context.Context, rec record, req request) answer {
	rec.At = r.now()
	n, err := r.journal.sent(rec)
	if err != nil {
		r.accuse("journal", err.Error())
		return answer{outcome: unknown}
	}
	return r.tell(rec, n, r.caller.send(ctx, rec.Via, rec.Deed, req))
}

func (r *round) tell(rec record, try int, got answer) answer {
	err := r.journal.told(record{
		At: r.now(), Op: rec.Op, Try: try, Outcome: got.outcome, Cause: got.cause, Booking: got.booking,
		ExpireSec: got.expireSec, Free: got.free, Text: got.text,
	})
	if err != nil {
		r.accuse("journal", err.Error())
	}
	r.report.answered(r.name, rec.Deed, got.outcome)
	if r.unharmed && got.outcome == unknown && !strings.HasPrefix(got.text, "503") {
		r.accuse("no answer", fmt.Sprintf("%s %s: %s", rec.Deed, rec.Op, got.text))
	}
	if got.outcome == odd {
		r.accuse("odd", fmt.Sprintf("%s %s: %s", rec.Deed, rec.Op, got.text))
	}
	return got
}

// play runs one round and judges it.
func (t *trial) play(ctx context.Context, n int, plan rounds) error {
	r := &round{
		n: n, caller: t.caller, path: filepath.Join(t.dir, fmt.Sprintf("journal-%d.jsonl", n)), began: time.Now(),
		report: t.report, name: t.name, quota: int64(plan.operations), until: time.Now().Add(plan.limit),
		pause: plan.pause, unharmed: plan.unharmed,
	}
	if plan.operations == 0 {
		r.quota = math.MaxInt64
	}
	var err error
	if r.journal, err = openJournal(r.path); err != nil {
		return err
	}
	before, err := t.measure(ctx)
	if err != nil {
		return err
	}
	seed := t.seed + uint64(n) //nolint:gosec // rounds are counted from 1
	deaths := plan.points
	if deaths == nil {
		deaths = points
	}
	events := schedule(seed, plan.operations, plan.counts, deaths)
	var clients, nemesis sync.WaitGroup
	for i := range plan.clients {
		c := &client{r: r, n: i, rng: rand.New(rand.NewPCG(seed, uint64(100+i)))}
		if t.patroni != nil {
			c.via = 1 + i%len(t.fleet)
		}
		clients.Go(func() { c.work(ctx) })
	}
	over := make(chan struct{})
	nemesis.Go(func() { t.torment(ctx, r, events, over) })
	clients.Wait()
	close(over)
	nemesis.Wait()
	took := time.Since(r.began)
	t.report.played(t.name, r.finished.Load(), took)

	if plan.calm() { // the same server all the time
		after, err := t.measure(ctx)
		if err != nil {
			return err
		}
		for i := range before {
			t.report.flat(t.name, n, before[i], after[i])
		}
	}
	if err := t.quiesce(); err != nil {
		r.accuse("SIGTERM", err.Error())
	}
	defer func() { _ = r.journal.close() }()
	if err := t.settle(ctx, r); err != nil {
		return err
	}
	if plan.replay {
		if err := replayAll(ctx, r); err != nil {
			return err
		}
	}
	return t.judge(r, plan.verify)
}

// quiesce ends the servers, so that no request is still on its way, and starts others.
func (t *trial) quiesce() error {
	t.caller.cuts.Store(0)
	t.caller.http.CloseIdleConnections()
	for _, s := range t.fleet {
		if _, err := s.up(); err != nil {
			return err
		}
	}
	if t.before != nil {
		if err := t.before(); err != nil {
			return err
		}
	}
	err := errors.Join(t.halt(), t.drained())
	t.keep()
	return err
}

// settle repeats all requests with unknown outcomes until the outcomes are known.
func (t *trial) settle(ctx context.Context, r *round) error {
	ops, err := replayFile(r.path)
	if err != nil {
		return err
	}
	byName := map[string]*operation{}
	for _, op := range ops {
		byName[op.name] = op
		if op.Deed == lease || op.Deed == look || op.settled() {
			continue
		}
		req, err := again(r.n, op, byName)
		if err != nil {
			return err
		}
		t.report.asked(t.name)
		for range 40 {
			got := r.try(ctx, op.record, req)
			if got.outcome != unknown || t.report.guilty() { // whose database may never answer all
				break
			}
			time.Sleep(250 * time.Millisecond)
		}
	}
	return nil
}

// replayAll repeats the request of every acknowledged booking. The judge sees the answers.
func replayAll(ctx context.Context, r *round) error {
	ops, err := replayFile(r.path)
	if err != nil {
		return err
	}
	byName := map[string]*operation{}
	for _, op := range ops {
		byName[op.name] = op
		if op.Deed != create && op.Deed != use || op.acknowledged() == nil {
			continue
		}
		req, err := again(r.n, op, byName)
		if err != nil {
			return err
		}
		rec := op.record
		rec.Via = 0
		if got := r.try(ctx, rec, req); got.outcome != done {
			r.accuse("no replay", fmt.Sprintf("%s %s: %s %s", op.Deed, op.name, got.outcome, got.text))
		}
	}
	return nil
}

// again returns the request of an operation, from the journal alone.
func again(round int, op *operation, byName map[string]*operation) (request, error) {
	switch op.Deed {
	case create:
		return createRequest(round, op.name, op.name, *op.To, ""), nil
	case use:
		t := byName[op.Of].acknowledged()
		if t == nil {
			return request{}, fmt.Errorf("%s uses a lease that nobody got", op.name)
		}
		return createRequest(round, op.name, op.Of, *op.To, t.booking), nil
	case move:
		return moveRequest(round, op.ID, *op.To), nil
	case cancel:
		return cancelRequest(op.ID), nil
	case desk:
		schedule, err := scheduleID(op.ID)
		return deskRequest(round, schedule, *op.To), err
	}
	return request{}, fmt.Errorf("%s is not asked again", op.Deed)
}

func replayFile(path string) ([]*operation, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return replay(file)
}

// judge compares the journal with the database and runs verify.
func (t *trial) judge(r *round, verify bool) error {
	text, err := command(t.binary, t.direct, nil, "bookings", "--json", "--merchant", merchant, "--day", day(r.n)).Output()
	if err != nil {
		return fmt.Errorf("list the bookings: %w", err)
	}
	end := r.now()
	kept, err := parseStored(text)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(t.dir, fmt.Sprintf("bookings-%d.json", r.n)), text, 0o600); err != nil {
		return err
	}
	ops, err := replayFile(r.path)
	if err != nil {
		return err
	}
	v := judge(ops, kept, r.n, r.began.UnixNano(), end)
	if t.patroni != nil || t.standby != nil {
		v.forgive()
	}
	undecided := v.linearize(20 * time.Second)
	for _, c := range v.charges {
		if c.What != "odd" { // odd answers were reported when they came
			r.accuse(c.What, c.Text)
		}
	}
	t.report.judged(t.name, v, undecided)
	if !verify {
		return nil
	}
	if out, err := command(t.binary, t.direct, nil, "verify").CombinedOutput(); err != nil {
		r.accuse("verify", fmt.Sprintf("%v: %s", err, tail(out, 600)))
	}
	return nil
}

func tail(text []byte, n int) string {
	if len(text) > n {
		text = text[len(text)-n:]
	}
	return string(text)
}
