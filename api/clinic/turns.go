package clinic

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"holdfast/booking"
)

// A desk's query can keep the database busy for long. So the queries of each clinic take turns, and
// bookings, other channels' lookups and other clinics do not wait for a clinic that asks too much.
// Its account (kind.Unread) bounds the answers that it has not fetched.

// How many queries run at a time, for one clinic and in all, how many more of one clinic may wait,
// and for how long.
const (
	queriesEach = 2
	queriesAll  = 4
	queriesLine = 64
	queriesWait = time.Second
)

// turns limits how many requests run at a time, of all callers and of each. Callers with waiting
// requests take turns; each one's requests run in the order in which they came.
type turns struct {
	all, each, line int
	patience        time.Duration

	mu      sync.Mutex
	running int
	by      map[string]*caller // those with a request that runs or waits
	waiting []string           // those with a waiting request, the next one first
}

type caller struct {
	running int
	waiting []chan struct{} // closed when it is a request's turn
}

func newTurns() *turns {
	return &turns{all: queriesAll, each: queriesEach, line: queriesLine, patience: queriesWait, by: map[string]*caller{}}
}

// enter waits for a turn. Whoever gets one must call leave.
func (t *turns) enter(ctx context.Context, who string) (leave func(), err error) {
	turn, err := t.stand(who)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(t.patience)
	defer patience.Stop()
	select {
	case <-turn:
	case <-patience.C:
		err = t.withdraw(who, turn)
	case <-ctx.Done():
		err = t.withdraw(who, turn)
	}
	if err != nil {
		return nil, err
	}
	return func() { t.leave(who) }, nil
}

// stand puts a request into the line.
func (t *turns) stand(who string) (turn chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.by[who]
	if c == nil {
		c = &caller{}
		t.by[who] = c
	}
	if len(c.waiting) == t.line {
		return nil, fmt.Errorf("%w: %d queries of the clinic are waiting", booking.ErrUnavailable, t.line)
	}
	turn = make(chan struct{})
	if c.waiting = append(c.waiting, turn); len(c.waiting) == 1 {
		t.waiting = append(t.waiting, who)
	}
	t.next()
	return turn, nil
}

// next starts the requests whose turn it is.
func (t *turns) next() {
	for t.running < t.all {
		i := slices.IndexFunc(t.waiting, func(who string) bool { return t.by[who].running < t.each })
		if i < 0 {
			return
		}
		who := t.waiting[i]
		c := t.by[who]
		t.waiting = slices.Delete(t.waiting, i, i+1)
		close(c.waiting[0])
		if c.waiting = c.waiting[1:]; len(c.waiting) > 0 {
			t.waiting = append(t.waiting, who)
		}
		c.running++
		t.running++
	}
}

// withdraw removes a request from the line, unless its turn has just come.
func (t *turns) withdraw(who string, turn chan struct{}) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.by[who]
	i := slices.Index(c.waiting, turn)
	if i < 0 {
		return nil
	}
	if c.waiting = slices.Delete(c.waiting, i, i+1); len(c.waiting) == 0 {
		t.waiting = slices.DeleteFunc(t.waiting, func(w string) bool { return w == who })
	}
	t.forget(who, c)
	return fmt.Errorf("%w: waited %s for a turn to read", booking.ErrUnavailable, t.patience)
}

func (t *turns) leave(who string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.by[who]
	c.running--
	t.running--
	t.forget(who, c)
	t.next()
}

// forget removes a caller that has no more requests.
func (t *turns) forget(who string, c *caller) {
	if c.running == 0 && len(c.waiting) == 0 {
		delete(t.by, who)
	}
}
