package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// call is one request and what its answer must be.
type call struct {
	path, auth string
	body       []byte // nil: a GET
	// check returns an error if the answer is wrong: then the whole run fails.
	check func(status int, answer []byte) error
	// apart says that the request is checked but not counted: a replay, or one that must be refused. A refusal is no
	// booking.
	apart bool
}

// maker makes the next call of one of the clients. Each client has a random
// source of its own.
type maker func(client int, r *rand.Rand) call

// load is a load on a server.
type load struct {
	clients int
	warm    time.Duration // at the beginning, not counted
	length  time.Duration
	rate    float64 // requests per second, all clients together; 0: as many as possible
	limit   int     // requests, all clients together; 0: any number
	next    maker
	started func() // called when counting begins, if not nil
}

// sent is the result of a load.
type sent struct {
	each  []time.Duration // how long each counted request took
	took  time.Duration   // all of them
	again int             // requests that the server asked to repeat
}

// run sends the load. A steady load (rate) counts a request's time from when it was due, so a server that stalls cannot slow its
// own examination.
func (l load) run(ctx context.Context, address string) (sent, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	begin := time.Now()
	from, end := begin.Add(l.warm), begin.Add(l.warm+l.length)
	if l.started != nil {
		timer := time.AfterFunc(l.warm, l.started)
		defer timer.Stop()
	}
	var next atomic.Int64
	parts := make([]sent, l.clients)
	errs := make([]error, l.clients)
	var clients sync.WaitGroup
	for c := range l.clients {
		clients.Go(func() {
			parts[c], errs[c] = l.client(ctx, address, c, begin, from, end, &next)
			if errs[c] != nil {
				cancel()
			}
		})
	}
	clients.Wait()
	all := sent{took: time.Since(from)}
	for _, p := range parts {
		all.each = append(all.each, p.each...)
		all.again += p.again
	}
	return all, firstError(errs)
}

// firstError prefers what went wrong to what was cancelled because of that.
func firstError(errs []error) error {
	for _, err := range errs {
		if err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
	}
	return errors.Join(errs...)
}

// client is one of the clients: a connection that sends one request at a time.
func (l load) client(ctx context.Context, address string, c int, begin, from, end time.Time, next *atomic.Int64) (done sent, err error) {
	conn, err := dial(ctx, address)
	if err != nil {
		return sent{}, err
	}
	defer conn.close()
	defer func() { done.again = conn.again }()
	r := rand.New(rand.NewPCG(rand.Uint64(), uint64(c))) //nolint:gosec // a load, no secret
	for {
		i := int(next.Add(1)) - 1
		start := time.Now()
		if l.rate > 0 {
			start = begin.Add(due(i, l.rate))
		}
		if !start.Before(end) || l.limit > 0 && i >= l.limit {
			return done, nil
		}
		if err := wait(ctx, time.Until(start)); err != nil {
			return done, err
		}
		call := l.next(c, r)
		if err := conn.do(ctx, call); err != nil {
			return done, err
		}
		if !call.apart && !start.Before(from) {
			done.each = append(done.each, time.Since(start))
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// conn is a persistent connection to the server. It takes a third of http.Client's CPU time, and so leaves more to the server.
type conn struct {
	net.Conn
	in    *bufio.Reader
	out   []byte
	again int
}

func dial(ctx context.Context, address string) (*conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, in: bufio.NewReader(c)}, nil
}

func (c *conn) close() { _ = c.Close() } // only answers count

// send sends a request and returns the answer, and what it says in Retry-After.
func (c *conn) send(call call) (status int, answer []byte, later string, err error) {
	method := http.MethodPost
	if call.body == nil {
		method = http.MethodGet
	}
	c.out = fmt.Appendf(c.out[:0], "%s %s HTTP/1.1\r\nHost: bench\r\nAuthorization: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
		method, call.path, call.auth, len(call.body))
	c.out = append(c.out, call.body...)
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return 0, nil, "", err
	}
	if _, err := c.Write(c.out); err != nil {
		return 0, nil, "", err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return 0, nil, "", err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, resp.Header.Get("Retry-After"), err
}

// tries is how often to send a request at most.
const tries = 5

// do sends a request and checks its answer. A 503 with Retry-After is not a wrong answer: it asks to repeat the request.
func (c *conn) do(ctx context.Context, call call) error {
	for try := 1; ; try++ {
		status, answer, later, err := c.send(call)
		if err != nil {
			return errors.Join(ctx.Err(), fmt.Errorf("%s: %w", call.path, err))
		}
		if seconds, err := strconv.Atoi(later); err == nil && status == http.StatusServiceUnavailable && try < tries {
			c.again++
			if err := wait(ctx, time.Duration(seconds)*time.Second); err != nil {
				return err
			}
			continue
		}
		if err := call.check(status, answer); err != nil {
			return fmt.Errorf("%s: %w\nsent     %s\nanswered %d %s", call.path, err, call.body, status, answer)
		}
		return nil
	}
}

// once sends a single request.
func once(ctx context.Context, address string, call call) error {
	c, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer c.close()
	return c.do(ctx, call)
}
