package conform

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// The methods, as their paths spell them.
const (
	healthCheck   = "HealthCheck"
	batchLookup   = "BatchAvailabilityLookup"
	createBooking = "CreateBooking"
	updateBooking = "UpdateBooking"
	bookingStatus = "GetBookingStatus"
	listBookings  = "ListBookings"
)

// Exchange is a request and its answer, as they went over the wire.
type Exchange struct {
	Group   string
	Method  string // CreateBooking
	Verb    string
	Path    string
	Request []byte
	Good    bool // it had the right credentials

	Status  int // 0: no answer
	Failure string
	unsent  bool
	Type    string // Content-Type
	Body    []byte
	Latency time.Duration // until the last byte, or until it failed

	Answer     proto.Message // of a success that could be read; unknown words are zero
	Raw        any           // the same as JSON, to see what is present and how it is spelled
	Unreadable string        // why a success could not be read
}

// ok reports whether the answer is a success that could be read.
func (x *Exchange) ok() bool { return x.Status >= 200 && x.Status < 300 && x.Unreadable == "" }

// fault returns what is wrong with the answer as such, or "".
func (x *Exchange) fault() string {
	switch {
	case x.Status == 0:
		return "no answer: " + x.Failure
	case x.Status < 200 || x.Status > 299:
		return fmt.Sprintf("HTTP %d%s", x.Status, x.Failure)
	}
	return x.Unreadable
}

// absent reports whether the server does not seem to offer the method.
func (x *Exchange) absent() bool {
	return x.Status == http.StatusNotFound || x.Status == http.StatusNotImplemented
}

// Client sends requests to one server only, and records every exchange. It follows no redirects and uses no
// proxy.
type Client struct {
	base           *url.URL
	user, password string
	slash          bool // end paths with a slash
	timeout        time.Duration
	now            func() time.Time
	http           *http.Client

	mu        sync.Mutex
	exchanges []*Exchange
}

const (
	usualTimeout = 10 * time.Second
	longestBody  = 4 << 20
)

func newClient(address, credentials string, timeout time.Duration, now func() time.Time) (*Client, error) {
	base, err := url.Parse(address)
	switch {
	case err != nil: // the error may repeat a password
		return nil, errors.New("the URL cannot be read")
	case base.User != nil:
		return nil, errors.New("the URL must not have credentials in it; give them apart")
	case base.Scheme != "http" && base.Scheme != "https" || base.Host == "":
		return nil, errors.New("the URL must begin with https:// or http:// and a host")
	case base.RawQuery != "" || base.Fragment != "":
		return nil, errors.New("the URL must not have a query or a fragment: /v3/… is appended to it")
	}
	base = base.JoinPath() // cleans the path
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), ""
	if strings.HasSuffix(base.Path, "/v3") {
		return nil, errors.New("give the URL without /v3, which is appended to it")
	}
	user, password, found := strings.Cut(credentials, ":")
	if !found || user == "" || password == "" {
		return nil, errors.New("credentials: must be user:password")
	}
	if timeout <= 0 {
		timeout = usualTimeout
	}
	dialer := net.Dialer{Timeout: timeout}
	return &Client{
		base: base, user: user, password: password, timeout: timeout, now: now,
		http: &http.Client{
			Transport: &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
			CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse
			},
		},
	}, nil
}

func (c *Client) close() { c.http.CloseIdleConnections() }

// root is the beginning of the API's URLs.
func (c *Client) root() string { return c.base.String() + "/v3" }

func (c *Client) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.exchanges)
}

// all returns the exchanges so far.
func (c *Client) all() []*Exchange {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.exchanges[:len(c.exchanges):len(c.exchanges)]
}

// shown says which credentials a request has.
type shown int

const (
	good shown = iota
	none
	wrong
)

// call is a request to send.
type call struct {
	method string
	body   []byte        // nil: GET
	answer proto.Message // to read a success into; nil: do not read it
	shows  shown
	flip   bool // use the other form of the path
}

// send sends a request and records the outcome.
func (c *Client) send(ctx context.Context, group string, k call) *Exchange {
	x := &Exchange{Group: group, Method: k.method, Verb: http.MethodPost, Request: k.body, Good: k.shows == good}
	if k.body == nil {
		x.Verb = http.MethodGet
	}
	address := c.base.JoinPath("v3", k.method)
	if c.slash != k.flip {
		address.Path += "/"
	}
	x.Path = "/" + strings.TrimPrefix(address.Path, "/")
	started := c.now()
	if err := c.exchange(ctx, address, k, x); err != nil {
		x.Status, x.Failure = 0, reason(err)
	}
	x.Latency = c.now().Sub(started)
	if k.answer != nil && x.Status >= 200 && x.Status < 300 {
		x.read(k.answer)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.exchanges = append(c.exchanges, x)
	return x
}

func (c *Client) exchange(ctx context.Context, address *url.URL, k call, x *Exchange) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, x.Verb, address.String(), bytes.NewReader(k.body))
	if err != nil {
		return err
	}
	r.Header.Set("User-Agent", "holdfast-conform")
	r.Header.Set("Accept", "application/json")
	if k.body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	switch k.shows {
	case good:
		r.SetBasicAuth(c.user, c.password)
	case wrong:
		r.SetBasicAuth(c.user, "not-the-password")
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, longestBody))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("after status %d: %w", resp.StatusCode, err)
	}
	x.Status, x.Body, x.Type = resp.StatusCode, body, resp.Header.Get("Content-Type")
	if to := resp.Header.Get("Location"); to != "" && x.Status >= 300 && x.Status < 400 {
		x.Failure = " to " + to + ", which is not followed"
	}
	return nil
}

// reason returns why there was no answer, without the address, which the report has.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "it took too long"
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// read reads the body generously: it accepts either spelling of names, unknown fields and unknown words. The
// group "formats" is strict.
func (x *Exchange) read(into proto.Message) {
	d := json.NewDecoder(bytes.NewReader(x.Body))
	d.UseNumber()
	if err := d.Decode(&x.Raw); err != nil {
		x.Unreadable = fmt.Sprintf("HTTP %d, but the body is not JSON: %v", x.Status, err)
		return
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(x.Body, into); err != nil {
		// protojson varies the space in its messages on purpose.
		x.Unreadable = fmt.Sprintf("HTTP %d, but the body is no %s: %s", x.Status,
			into.ProtoReflect().Descriptor().Name(), strings.ReplaceAll(err.Error(), "\u00a0", " "))
		return
	}
	x.Answer = into
}

const redacted = "[redacted]"

// redact removes the credentials from a text, because a server may repeat them.
func (c *Client) redact(s string) string {
	pair := c.user + ":" + c.password
	s = strings.NewReplacer(base64.StdEncoding.EncodeToString([]byte(pair)), redacted, pair, redacted).Replace(s)
	if len(c.password) >= 4 { // a shorter one occurs in every other word
		s = strings.ReplaceAll(s, c.password, redacted)
	}
	return s
}
