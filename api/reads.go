package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"holdfast/booking"
)

// What a desk asks can take the database long, and what it is told can be long and
// be fetched slowly. So the queries of each clinic take turns, and what is held for
// those who have not fetched it has a bound, for each clinic and for all of them:
// bookings, Google's lookups and the other clinics do not wait for one that asks too
// much.

// How many queries are worked on at a time, of one clinic and of all, and how many of
// one clinic may wait for how long.
const (
	queriesEach = 2
	queriesAll  = 4
	queriesLine = 64
	queriesWait = time.Second
)

// How many bytes of answers are held for one clinic, and for all, until they have
// been fetched. One answer a clinic may have however long it is.
const (
	answersEach = 8 << 20
	answersAll  = 40 << 20
)

// query makes an endpoint of the clinic family out of a query: a command that has to
// wait for its turn, and whose answer is charged to the clinic until it is written.
func query[Req, Resp any](s *server, op func(context.Context, Req) (Resp, error)) echo.HandlerFunc {
	return func(c echo.Context) error {
		req, err := requested[Req](c)
		if err != nil {
			return err
		}
		ctx := c.Request().Context()
		caller := callOf(ctx).caller
		text, err := func() ([]byte, error) {
			leave, err := s.turns.enter(ctx, caller)
			if err != nil {
				return nil, err
			}
			defer leave()
			resp, err := op(ctx, req)
			if err != nil {
				return nil, err
			}
			if long, ok := any(resp).(interface{ text() ([]byte, error) }); ok {
				return long.text()
			}
			return compactJSON(resp)
		}()
		if err != nil {
			return err
		}
		if !s.answers.hold(caller, int64(cap(text))) {
			return fmt.Errorf("%w: answers of the clinic, or of all, have not been fetched", booking.ErrUnavailable)
		}
		defer s.answers.drop(caller, int64(cap(text)))
		return writeJSON(c, http.StatusOK, text)
	}
}

// text is the list in JSON, written element by element: encoding/json would have all
// of it twice.
func (l list[T]) text() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	b.WriteString(`{"data":[`)
	for i := range l.Data {
		if i > 0 {
			b.WriteByte(',')
		}
		if err := e.Encode(&l.Data[i]); err != nil {
			return nil, fmt.Errorf("encode JSON: %w", err)
		}
		b.Truncate(b.Len() - 1) // the line's end
	}
	b.WriteByte(']')
	if l.Next != "" {
		fmt.Fprintf(&b, `,"next":%q`, l.Next) // ASCII
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// turns lets so many requests go on at a time, of all callers and of each. Those who
// wait are let in by turns, one caller after the other, and of one caller in the order
// in which they came.
type turns struct {
	all, each, line int
	patience        time.Duration

	mu      sync.Mutex
	running int
	by      map[string]*caller // those with a request that runs or waits
	waiting []string           // those with a request that waits, the next one first
}

type caller struct {
	running int
	waiting []chan struct{} // closed when it is a request's turn
}

func newTurns() *turns {
	return &turns{all: queriesAll, each: queriesEach, line: queriesLine, patience: queriesWait, by: map[string]*caller{}}
}

// enter waits for a turn. Who is given one leaves.
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

// stand puts a request in line.
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

// next lets in whose turn it is.
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

// withdraw takes a request out of the line, unless its turn has just come.
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

// forget forgets who has no request any more.
func (t *turns) forget(who string, c *caller) {
	if c.running == 0 && len(c.waiting) == 0 {
		delete(t.by, who)
	}
}

// holdings are bytes that are held for callers.
type holdings struct {
	all, each int64

	mu   sync.Mutex
	held int64
	by   map[string]int64
}

func newHoldings() *holdings {
	return &holdings{all: answersAll, each: answersEach, by: map[string]int64{}}
}

// hold charges bytes to a caller, and reports whether there was room for them.
func (h *holdings) hold(who string, bytes int64) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held+bytes > h.all || h.by[who] > 0 && h.by[who]+bytes > h.each {
		return false
	}
	h.held += bytes
	h.by[who] += bytes
	return true
}

// drop gives them back.
func (h *holdings) drop(who string, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.held -= bytes
	if h.by[who] -= bytes; h.by[who] == 0 {
		delete(h.by, who)
	}
}
