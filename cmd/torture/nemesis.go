package main

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// blow is one thing that the nemesis does.
type blow string

const (
	killServer    blow = "kill -9 of the server"
	dieAtPoint    blow = "server dies at a named point"
	cutAnswer     blow = "client's connection cut in an answer"
	freezeServer  blow = "server stopped and continued"
	takeOver      blow = "SIGTERM under load, second server takes over"
	upgrade       blow = "SIGTERM under load, server of the next release takes over"
	swallowCommit blow = "COMMIT swallowed or delayed"
	killPostgres  blow = "kill -9 of PostgreSQL"
	killBackend   blow = "kill -9 of one PostgreSQL backend"
	stopPostgres  blow = "immediate stop of PostgreSQL"
	terminate     blow = "backends terminated"
	exhaust       blow = "all connections taken by another client"
	lockTable     blow = "slots locked by another client"
	fillDisk      blow = "disk full"
	failOver      blow = "standby cut off, primary killed, standby promoted"
	switchOver    blow = "switchover"
	killPrimary   blow = "kill -9 of the primary's PostgreSQL"
	killNode      blow = "kill -9 of the primary's PostgreSQL and Patroni"
	cutOff        blow = "primary cut off from etcd and standby"
)

// needsPostgres are the blows that do not work on SQLite.
var needsPostgres = []blow{swallowCommit, killPostgres, killBackend, stopPostgres, terminate, exhaust, lockTable, failOver}

// lethal blows end a server's process.
var lethal = []blow{killServer, dieAtPoint, takeOver, upgrade}

// points are where a server can die on demand.
var points = []string{"after the token", "after the slots", "before COMMIT", "after COMMIT", "half an answer"}

// event is a blow that falls once a number of operations are done.
type event struct {
	after int
	blow
	server int           // the server that it hits; servers take turns
	point  string        // of dieAtPoint
	times  int           // dieAtPoint: when it gets there for the n-th time; terminate: how many backends
	mishap               // of swallowCommit
	pause  time.Duration // how long it lasts
}

// schedule plans what the nemesis does during these operations; the same seed gives the same plan. points are where
// servers die on demand.
func schedule(seed uint64, operations int, counts map[blow]int, points []string) []event {
	rng := rand.New(rand.NewPCG(seed, 2))
	operations = operations * 9 / 10 // the last blow needs operations to hit
	var all []event
	first := rng.IntN(len(points)) // a round may have fewer deaths than there are points
	for _, b := range sortedKeys(counts) {
		for i := range counts[b] {
			e := event{blow: b, after: (2*i+1)*operations/(2*counts[b]) + rng.IntN(operations/counts[b]+1) - operations/(2*counts[b])}
			e.pause = time.Duration(100+rng.IntN(900)) * time.Millisecond
			switch b {
			case dieAtPoint: // each point equally often
				e.point, e.times = points[(first+i)%len(points)], 1+rng.IntN(10)
			case terminate:
				e.times = 1 + rng.IntN(32)
			case freezeServer, lockTable, fillDisk:
				e.pause *= 3
			case swallowCommit:
				// Most are lost answers, the usual case, which takes no time. One in ten is any mishap, and may take
				// longer than the server waits.
				e.mishap = mishaps[i%2]
				if i%10 == 9 {
					e.mishap, e.pause = mishaps[rng.IntN(len(mishaps))], e.pause*5
				}
			}
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b event) int { return cmp.Compare(a.after, b.after) })
	turn := map[blow]int{} // so that each server is upgraded
	for i, e := range all {
		all[i].server = turn[e.blow]
		turn[e.blow]++
	}
	return all
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
