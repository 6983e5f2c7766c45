package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// answer is the outcome of a request.
type answer struct {
	outcome
	cause     string
	booking   string
	expireSec int64
	free      []bool
	text      string
}

// caller sends requests to any of the servers.
type caller struct {
	token atomic.Value // string, the clinic's
	cuts  atomic.Int64 // how many answers to cut off
	http  *http.Client

	mu      sync.Mutex
	rng     *rand.Rand
	servers []string      // their addresses
	slow    time.Duration // the slowest request with an answer
}

// call sets the address of the n-th server, from 0 on.
func (c *caller) call(n int, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.servers) <= n {
		c.servers = append(c.servers, address)
	}
	c.servers[n] = address
}

// server returns the host for URLs of the n-th server, from 1 on; 0 is any.
func server(n int) string { return fmt.Sprintf("server%d", n) }

// address returns where the server with such a host listens.
func (c *caller) address(host string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.servers {
		if host == server(n+1) {
			return c.servers[n]
		}
	}
	return c.servers[c.rng.IntN(len(c.servers))]
}

// patience is longer than the server takes to answer anything.
const patience = 15 * time.Second

func newCaller(seed uint64) *caller {
	c := &caller{rng: rand.New(rand.NewPCG(seed, 1))}
	c.http = &http.Client{Timeout: patience, Transport: &http.Transport{
		MaxIdleConnsPerHost: 256, DisableCompression: true, IdleConnTimeout: 10 * time.Second, // before a server closes one
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(address)
			conn, err := new(net.Dialer).DialContext(ctx, network, c.address(host))
			if err != nil {
				return nil, err
			}
			return &cutConn{Conn: conn, caller: c}, nil
		},
	}}
	return c
}

// cutConn breaks in the middle of an answer if it is its turn.
type cutConn struct {
	net.Conn
	caller *caller
}

var errCut = errors.New("connection cut on purpose")

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && c.caller.cuts.Load() > 0 && c.caller.cuts.Add(-1) >= 0 {
		_ = c.Close()
		c.caller.mu.Lock()
		defer c.caller.mu.Unlock()
		return c.caller.rng.IntN(n), errCut
	}
	return n, err
}

// send sends a request once to a server, from 1 on, or to any (0), and returns the outcome.
func (c *caller) send(ctx context.Context, via int, d deed, r request) answer {
	started := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+server(via)+r.path, strings.NewReader(r.body))
	if err != nil {
		return answer{outcome: odd, text: err.Error()}
	}
	req.GetBody = nil // the transport must not send it again by itself
	if r.desk {
		token, _ := c.token.Load().(string)
		req.Header.Set("Authorization", "Bearer "+token)
	} else {
		user, password, _ := strings.Cut(credentials, ":")
		req.SetBasicAuth(user, password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{outcome: unknown, text: err.Error()}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{outcome: unknown, text: err.Error()}
	}
	c.mu.Lock()
	c.slow = max(c.slow, time.Since(started))
	c.mu.Unlock()
	return read(d, resp.StatusCode, resp.Header.Get("Retry-After"), body)
}

// read judges a whole answer.
func read(d deed, status int, retryAfter string, body []byte) answer {
	wrong := answer{outcome: odd, text: fmt.Sprintf("%d %s", status, body)}
	if status == http.StatusServiceUnavailable {
		if retryAfter == "" {
			return wrong
		}
		return answer{outcome: unknown, text: wrong.text}
	}
	if d == desk {
		return readDesk(status, body, wrong)
	}
	var a struct {
		Booking *struct {
			BookingID string `json:"booking_id"`
		}
		Lease *struct {
			LeaseID string `json:"lease_id"`
			Expires string `json:"lease_expiration_time_sec"`
		}
		Failure *struct{ Cause string }    `json:"booking_failure"`
		Slots   []struct{ Available bool } `json:"slot_time_availability"`
	}
	if status != http.StatusOK || json.Unmarshal(body, &a) != nil {
		return wrong
	}
	switch {
	case a.Failure != nil:
		possible := a.Failure.Cause == full && slices.Contains([]deed{create, lease, move}, d) ||
			a.Failure.Cause == leaseExpired && d == use
		if !possible {
			return wrong
		}
		return answer{outcome: refused, cause: a.Failure.Cause}
	case d == look && a.Slots != nil:
		free := make([]bool, len(a.Slots))
		for i, s := range a.Slots {
			free[i] = s.Available
		}
		return answer{outcome: done, free: free}
	case d == lease && a.Lease != nil:
		expires, err := strconv.ParseInt(a.Lease.Expires, 10, 64)
		if err != nil {
			return wrong
		}
		return answer{outcome: done, booking: a.Lease.LeaseID, expireSec: expires}
	case slices.Contains([]deed{create, use, move, cancel}, d) && a.Booking != nil && a.Booking.BookingID != "":
		return answer{outcome: done, booking: a.Booking.BookingID}
	}
	return wrong
}

// The causes of refusals that are possible here.
const (
	full         = "SLOT_UNAVAILABLE"
	leaseExpired = "LEASE_EXPIRED"
)

func readDesk(status int, body []byte, wrong answer) answer {
	if status == http.StatusOK && strings.TrimSpace(string(body)) == "{}" {
		return answer{outcome: done}
	}
	var a struct {
		ErrorProperties []struct{ Key, Reason string }
	}
	if status != http.StatusBadRequest || json.Unmarshal(body, &a) != nil || len(a.ErrorProperties) != 1 {
		return wrong
	}
	if p := a.ErrorProperties[0]; strings.HasSuffix(p.Key, "startDateTimeUtc") && p.Reason == "NotAvailable" {
		return answer{outcome: refused, cause: full}
	}
	return wrong
}
