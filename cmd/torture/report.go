package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// report is the result of a run.
type report struct {
	mu     sync.Mutex
	began  time.Time
	trials []*tally
	wrong  []accusation
	first  time.Duration // until the first accusation
}

type accusation struct {
	trial      string
	round      int
	what, text string
}

// tally counts what happened in one trial.
type tally struct {
	name                        string
	operations                  int64
	took                        time.Duration
	answers                     map[deed]map[outcome]int
	blows                       map[string]int
	missed                      map[string]int
	lastMissed                  string
	booked, moved, doubts       int
	overtaken, unsettled, again int
	slots, steps, undecided     int
	rounds                      int
	largest                     size
	calm                        []string
	stalls                      []string
	slowest                     time.Duration
	deaths                      int
}

func newReport() *report { return &report{began: time.Now()} }

// of runs f on a trial's tally.
func (r *report) of(name string, f func(*tally)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, t := range r.trials {
		if t.name == name {
			f(t)
			return
		}
	}
	t := &tally{name: name, answers: map[deed]map[outcome]int{}, blows: map[string]int{}, missed: map[string]int{}}
	r.trials = append(r.trials, t)
	f(t)
}

// mostTold is how many faults the report lists: if there are thousands, the first are enough.
const mostTold = 40

func (r *report) accuse(trial string, round int, what, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) == 0 {
		r.first = time.Since(r.began)
	}
	r.wrong = append(r.wrong, accusation{trial, round, what, text})
	if len(r.wrong) <= mostTold {
		fmt.Fprintf(os.Stderr, "WRONG: %s, round %d: %s: %s\n", trial, round, what, text)
	}
}

func (r *report) guilty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.wrong) > 0
}

func (r *report) answered(trial string, d deed, o outcome) {
	r.of(trial, func(t *tally) {
		if t.answers[d] == nil {
			t.answers[d] = map[outcome]int{}
		}
		t.answers[d][o]++
	})
}

func (r *report) struck(trial, what string) { r.of(trial, func(t *tally) { t.blows[what]++ }) }

func (r *report) missed(trial string, b blow, why string) {
	r.of(trial, func(t *tally) { t.missed[string(b)]++; t.lastMissed = why })
}

func (r *report) asked(trial string) { r.of(trial, func(t *tally) { t.again++ }) }

func (r *report) played(trial string, operations int64, took time.Duration) {
	r.of(trial, func(t *tally) { t.rounds++; t.operations += operations; t.took += took })
}

func (r *report) measured(trial string, s size) {
	r.of(trial, func(t *tally) {
		t.largest.Resident = max(t.largest.Resident, s.Resident)
		t.largest.Heap = max(t.largest.Heap, s.Heap)
		t.largest.Goroutines = max(t.largest.Goroutines, s.Goroutines)
	})
	if s.Resident > maxResident {
		r.accuse(trial, 0, "memory", fmt.Sprintf("the server holds %d MB", s.Resident>>20))
	}
}

// How much a server may use, and may grow in a round without restarts.
const (
	maxResident    = 256 << 20
	heapGrowth     = 16 << 20
	goroutinesMore = 48 // connections of the pools and of clients come and go
)

// maxStall is for how long nothing may be acknowledged after a blow to a cluster, on a machine that is busy with tests.
// docs/reliability.md says what is usual.
const maxStall = time.Minute

// stalled records for how long each server of a cluster could not change anything.
func (r *report) stalled(trial string, b blow, gaps []time.Duration) {
	text := string(b)
	for i, gap := range gaps {
		text += fmt.Sprintf(" | %.1f s", gap.Seconds())
		if gap > maxStall {
			r.accuse(trial, 0, "stalled", fmt.Sprintf("%s, %s: nothing was acknowledged for %s", b, routes[i], gap))
		}
	}
	r.of(trial, func(t *tally) { t.stalls = append(t.stalls, text) })
}

func (r *report) flat(trial string, round int, before, after size) {
	r.of(trial, func(t *tally) {
		t.calm = append(t.calm, fmt.Sprintf("heap %.1f to %.1f MB, goroutines %d to %d", mb(before.Heap), mb(after.Heap), before.Goroutines, after.Goroutines))
	})
	if after.Heap > before.Heap+heapGrowth || after.Goroutines > before.Goroutines+goroutinesMore {
		r.accuse(trial, round, "growth", fmt.Sprintf("heap %d to %d bytes, goroutines %d to %d", before.Heap, after.Heap, before.Goroutines, after.Goroutines))
	}
}

func mb(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func (r *report) judged(trial string, v *verdict, undecided int) {
	r.of(trial, func(t *tally) {
		t.booked += v.booked
		t.moved += v.moved
		t.doubts += v.doubts
		t.overtaken += v.overtaken
		t.unsettled += v.unsettled
		t.undecided += undecided
		t.slots += len(v.histories)
		for _, h := range v.histories {
			t.steps += len(h)
		}
		fmt.Fprintf(os.Stderr, "%s: round %d: %d operations so far in %s; booked %d, in doubt %d\n",
			t.name, t.rounds, t.operations, t.took.Round(time.Second), t.booked, t.doubts)
	})
}

// ended adds what a trial has counted itself.
func (r *report) ended(t *trial) {
	r.of(t.name, func(c *tally) {
		t.caller.mu.Lock()
		c.slowest = t.caller.slow
		t.caller.mu.Unlock()
		for _, s := range t.fleet {
			s.mu.Lock()
			c.deaths += s.deaths
			s.mu.Unlock()
		}
		if t.proxy != nil {
			for m, n := range t.proxy.counts() {
				c.blows["COMMIT: "+string(m)] += n
			}
		}
	})
}

// print writes the report as Markdown.
func (r *report) print(w io.Writer, head string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(w, "%s\n", head)
	booked := 0
	for _, t := range r.trials {
		booked += t.booked
		fmt.Fprintf(w, "\n### %s\n\n", t.name)
		rate := 0.0
		if t.took > 0 {
			rate = float64(t.operations) / t.took.Seconds()
		}
		fmt.Fprintf(w, "%d operations in %d rounds, %s (%.0f/s); %d bookings and %d changes acknowledged\n\n",
			t.operations, t.rounds, t.took.Round(time.Second), rate, t.booked, t.moved)
		fmt.Fprintln(w, "| requests | done | refused | unknown | odd |\n|---|---|---|---|---|")
		for _, d := range sortedKeys(t.answers) {
			a := t.answers[d]
			fmt.Fprintf(w, "| %s | %d | %d | %d | %d |\n", d, a[done], a[refused], a[unknown], a[odd])
		}
		fmt.Fprintln(w, "\n| done to it | times |\n|---|---|")
		for _, b := range sortedKeys(t.blows) {
			fmt.Fprintf(w, "| %s | %d |\n", b, t.blows[b])
		}
		for _, b := range sortedKeys(t.missed) {
			fmt.Fprintf(w, "| not done: %s (%s) | %d |\n", b, t.lastMissed, t.missed[b])
		}
		fmt.Fprintf(w, "\n- in doubt for a time: %d operations; asked again at the end: %d; still unknown: %d\n", t.doubts, t.again, t.unsettled)
		fmt.Fprintf(w, "- refused, though an earlier try of it was still on its way and booked: %d\n", t.overtaken)
		fmt.Fprintf(w, "- porcupine: %d histories of a slot, %d steps, %d undecided\n", t.slots, t.steps, t.undecided)
		fmt.Fprintf(w, "- slowest request with an answer: %s; servers that died on purpose: %d\n", t.slowest.Round(time.Millisecond), t.deaths)
		fmt.Fprintf(w, "- a server's resident memory: at most %.0f MB; goroutines at rest: at most %d\n", mb(t.largest.Resident), t.largest.Goroutines)
		if t.stalls != nil {
			fmt.Fprintf(w, "\n| no change acknowledged for, after | %s |\n|---|---|---|\n| %s |\n\n", strings.Join(routes, " | "), strings.Join(t.stalls, " |\n| "))
		}
		for _, c := range t.calm {
			fmt.Fprintf(w, "- a round without a restart: %s\n", c)
		}
	}
	counts := map[string]int{}
	for _, a := range r.wrong {
		counts[a.what]++
	}
	fmt.Fprintf(w, "\nlost %d, doubled %d, phantom %d", counts["lost"], counts["doubled"], counts["phantom"])
	delete(counts, "lost")
	delete(counts, "doubled")
	delete(counts, "phantom")
	for _, what := range sortedKeys(counts) {
		fmt.Fprintf(w, ", %s %d", what, counts[what])
	}
	fmt.Fprintf(w, "\n")
	if len(r.wrong) == 0 && booked > 0 {
		fmt.Fprintf(w, "0 in %d acknowledged bookings: with 95%% confidence fewer than 1 in %d is lost or doubled (3/N)\n", booked, booked/3)
	}
}
