package main

import (
	"fmt"
	"slices"
	"time"
)

// round is the result of one short round of one side.
type round struct {
	done     int           // operations that succeeded
	took     time.Duration // in which they did
	p50, p99 time.Duration
	cpu      time.Duration // of the server and the database; 0: not measured
}

// rate returns operations per second.
func (r round) rate() float64 { return float64(r.done) / r.took.Seconds() }

// cpuEach returns the CPU time for one operation.
func (r round) cpuEach() time.Duration {
	if r.done == 0 {
		return 0
	}
	return r.cpu / time.Duration(r.done)
}

// newRound sums up operations; each has their durations.
func newRound(each []time.Duration, took, cpu time.Duration) round {
	slices.Sort(each)
	return round{done: len(each), took: took, cpu: cpu, p50: percentile(each, 50), p99: percentile(each, 99)}
}

// percentile returns the smallest of the sorted durations that p percent do not exceed (nearest rank); 0 if there are none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	rank := (len(sorted)*p + 99) / 100
	return sorted[max(rank, 1)-1]
}

// median returns the middle of the values, or the mean of the two in the middle; 0 if there are none.
func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	switch n := len(s); {
	case n == 0:
		return 0
	case n%2 == 1:
		return s[n/2]
	default:
		return (s[n/2-1] + s[n/2]) / 2
	}
}

// medianOf returns the median of one figure of the rounds.
func medianOf(rounds []round, figure func(round) float64) float64 {
	values := make([]float64, len(rounds))
	for i, r := range rounds {
		values[i] = figure(r)
	}
	return median(values)
}

func p50(r round) float64      { return r.p50.Seconds() }
func p99(r round) float64      { return r.p99.Seconds() }
func cpuEach(r round) float64  { return r.cpuEach().Seconds() }
func rateOf(r round) float64   { return r.rate() }
func millis(s float64) float64 { return s * 1000 }

// ratio is the median of the pairs' ratios, with the smallest and the largest. A machine's speed drifts within minutes, so the
// two rounds of a pair are compared only with each other.
type ratio struct{ median, min, max float64 }

// ratioOf compares the rounds pair by pair: ours to theirs.
func ratioOf(ours, theirs []round, figure func(round) float64) ratio {
	var each []float64
	for i, o := range ours {
		if i < len(theirs) && figure(theirs[i]) > 0 {
			each = append(each, figure(o)/figure(theirs[i]))
		}
	}
	if len(each) == 0 {
		return ratio{}
	}
	return ratio{median: median(each), min: slices.Min(each), max: slices.Max(each)}
}

func (r ratio) String() string {
	if r.median == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f (%.2f–%.2f)", r.median, r.min, r.max)
}

// due returns when to send request i of a steady load of rate requests per second, counted from the start.
func due(i int, rate float64) time.Duration {
	return time.Duration(float64(i) / rate * float64(time.Second))
}
