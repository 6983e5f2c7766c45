package conform

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/api/mapsbooking"
)

// limit is how slow a method may be, and in how many percent of the calls it may be slower: the thresholds at
// which Google takes an integration down.
type limit struct {
	method  string
	most    time.Duration
	percent int
}

var limits = []limit{
	{batchLookup, 1500 * time.Millisecond, 3},
	{createBooking, 4 * time.Second, 5},
	{updateBooking, 4 * time.Second, 5},
}

// advised is how long any call should take at most.
const advised = time.Second

// Timing is how long the calls of a method took.
type Timing struct {
	Method string  `json:"method"`
	Calls  int     `json:"calls"`
	P50    float64 `json:"p50_ms"`
	P90    float64 `json:"p90_ms"`
	P95    float64 `json:"p95_ms"`
	P99    float64 `json:"p99_ms"`
	Most   float64 `json:"max_ms"`
	Limit  float64 `json:"limit_ms,omitempty"` // 0: none
	Slower int     `json:"slower"`             // than the limit
}

// latency asks five times a second for a while, and then looks at how long all requests of this run took.
func latency(ctx context.Context, g *results) {
	sustained(ctx, g)
	seen := g.client.all()
	for rule, methods := range map[string][]limit{"latency.lookup": limits[:1], "latency.booking": limits[1:]} {
		for _, l := range methods {
			x, n, slower := tooSlow(seen, l)
			if n == 0 {
				continue
			}
			fault := fmt.Sprintf("%d of %d calls of %s took longer than %s, the slowest %s", slower, n, l.method, l.most, rounded(x.Latency))
			switch {
			case slower == 0:
				g.check(ctx, rule, nil, "")
			case slower*100 > n*l.percent:
				g.check(ctx, rule, x, fault)
			default:
				g.advise(rule, fault)
			}
		}
		if g.checks[rule] == nil {
			g.skip(rule, "nothing of it was sent")
		}
	}
	for _, t := range latencies(seen) {
		if t.P95 >= float64(advised.Milliseconds()) {
			g.advise("latency.second", fmt.Sprintf("%s: 5 of 100 calls take %.0f ms or more", t.Method, t.P95))
		} else {
			g.check(ctx, "latency.second", nil, "")
		}
	}
}

// sustained sends five lookups a second for five seconds, each on time even if the one before it has no answer
// yet.
func sustained(ctx context.Context, g *results) {
	const perSecond, seconds = 5, 5
	page := g.pool.page(pageSlots)
	if len(page) == 0 {
		g.skip("latency.sustained", "the feed has no slot: %s", g.feed.none())
		return
	}
	body := encode(lookupOf(page))
	started := g.now()
	var got [perSecond][seconds]*Exchange
	var done sync.WaitGroup
	for i := range perSecond {
		done.Go(func() {
			for j := range seconds {
				due := started.Add(time.Duration(j)*time.Second + time.Duration(i)*time.Second/perSecond)
				g.sleep(ctx, due.Sub(g.now()))
				got[i][j] = g.send(ctx, call{method: batchLookup, body: body, answer: &mapsbooking.BatchAvailabilityLookupResponse{}})
			}
		})
	}
	done.Wait()
	slow, failed := 0, 0
	var example *Exchange
	for _, x := range slices.Concat(got[0][:], got[1][:], got[2][:], got[3][:], got[4][:]) {
		switch {
		case !x.ok():
			failed++
			example = x
		case x.Latency >= advised:
			slow++
			example = firstOf(example, x)
		}
	}
	fault := ""
	if failed > 0 || slow*100 > 5*perSecond*seconds {
		fault = fmt.Sprintf("of %d lookups at %d a second %d took a second or more and %d failed", perSecond*seconds, perSecond, slow, failed)
	}
	g.check(ctx, "latency.sustained", example, fault)
}

// tooSlow counts the calls of a method and those over the limit, and returns the slowest.
func tooSlow(seen []*Exchange, l limit) (slowest *Exchange, n, slower int) {
	for _, x := range seen {
		if x.Method != l.method || !x.Good {
			continue
		}
		n++
		if x.Latency > l.most {
			slower++
		}
		if slowest == nil || x.Latency > slowest.Latency {
			slowest = x
		}
	}
	return slowest, n, slower
}

// latencies returns the timings by method, of calls with the right credentials.
func latencies(seen []*Exchange) []Timing {
	var all []Timing
	for _, method := range []string{healthCheck, batchLookup, createBooking, updateBooking, bookingStatus, listBookings} {
		var took []time.Duration
		for _, x := range seen {
			if x.Method == method && x.Good {
				took = append(took, x.Latency)
			}
		}
		if len(took) == 0 {
			continue
		}
		slices.SortFunc(took, cmp.Compare)
		t := Timing{
			Method: method, Calls: len(took),
			P50: percentile(took, 50), P90: percentile(took, 90), P95: percentile(took, 95), P99: percentile(took, 99), Most: percentile(took, 100),
		}
		for _, l := range limits {
			if l.method == method {
				t.Limit = millis(l.most)
				_, _, t.Slower = tooSlow(seen, l)
			}
		}
		all = append(all, t)
	}
	return all
}

// percentile returns the smallest of the sorted durations that percent of them do not exceed.
func percentile(sorted []time.Duration, percent int) float64 {
	return millis(sorted[max(0, (len(sorted)*percent+99)/100-1)])
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func rounded(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
