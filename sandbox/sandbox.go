// Package sandbox is a Google to try against: a server that behaves as Google's documents say it
// does towards a booking partner. It gives tokens to the partner's service account, accepts real-time
// updates after checking them as Google does, books at the partner's booking server as a guest
// would, and shows where the guest's side and the partner's differ. It errs when told to.
//
// It is a rehearsal like conform, for any partner, and shares only messages with our server.
package sandbox

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Options are what a sandbox needs to know.
type Options struct {
	PartnerID string // Google's number of the partner
	URL       string // where the partner reaches the sandbox, like http://127.0.0.1:8090
	Key       *rsa.PrivateKey
	Partner   *Partner // the booking server that guests book at; nil: there is none, and every booking is known
	Now       func() time.Time
}

// Server is a sandbox. It is an http.Handler, safe for concurrent use. It keeps everything in memory, and of
// each kind no more than most.
type Server struct {
	o   Options
	mux *http.ServeMux

	mu       sync.Mutex
	tokens   map[string]time.Time // until when
	bookings map[string]*Booking  // by id
	order    []string             // ids of bookings, oldest first
	slots    map[slotKey]Slot
	calls    []Call
	faults   []Fault
}

// most is how many bookings, slots and tokens are kept.
const most = 10_000

// Of calls as many are kept as are shown, and no longer bodies: anybody can make a call, even without a token.
const (
	mostCalls   = 100
	longestKept = 64 << 10 // bytes
)

// largestBody is the size of the largest request that is read, in bytes.
const largestBody = 8 << 20

// Call is a request of the partner, and its answer.
type Call struct {
	At      time.Time       `json:"at"`
	Method  string          `json:"method"`
	Path    string          `json:"path"` // with its query
	Status  int             `json:"status"`
	Message string          `json:"message,omitempty"` // why it was refused
	Body    json.RawMessage `json:"body,omitempty"`
}

var partnerID = regexp.MustCompile(`^[0-9]{1,20}$`)

// New returns a sandbox.
func New(o Options) (*Server, error) {
	switch {
	case !partnerID.MatchString(o.PartnerID):
		return nil, errors.New("the partner id must be a number")
	case o.Key == nil:
		return nil, errors.New("there is no key")
	}
	o.URL = strings.TrimRight(o.URL, "/")
	s := &Server{o: o, mux: http.NewServeMux(), tokens: map[string]time.Time{}, bookings: map[string]*Booking{}, slots: map[slotKey]Slot{}}
	s.mux.HandleFunc("POST /token", s.token)
	const partner = "/v1alpha/notification/partners/{partner}"
	s.mux.HandleFunc("PATCH "+partner+"/bookings/{booking}", s.google(s.patchBooking))
	const inventory = "/v1alpha/inventory/partners/{partner}"
	s.mux.HandleFunc("POST "+inventory+"/availability:replace", s.google(s.replaceBatch))
	s.mux.HandleFunc("POST "+inventory+"/merchants/{merchant}/services/{service}/availability:replace", s.google(s.replaceOne))
	s.mux.HandleFunc("GET /sandbox/state", s.state)
	ours := http.NewCrossOriginProtection() // no page that a browser has open elsewhere may book or make calls fail
	s.mux.Handle("POST /sandbox/faults", ours.Handler(http.HandlerFunc(s.setFaults)))
	s.mux.Handle("POST /sandbox/book", ours.Handler(http.HandlerFunc(s.book)))
	s.mux.HandleFunc("GET /{$}", s.page)
	return s, nil
}

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, largestBody)
	s.mux.ServeHTTP(w, r)
}

// refusal is an error of Google's APIs.
type refusal struct {
	code    int    // of HTTP
	status  string // its name
	message string
}

func invalid(format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, "INVALID_ARGUMENT", fmt.Sprintf(format, args...)}
}

// google answers a call of the Maps Booking API: it checks the token, errs if told to, and records the call.
func (s *Server) google(do func(r *http.Request, body []byte) (any, *refusal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, no := readBody(r)
		f := s.nextFault()
		if !f.wait(r.Context()) {
			return
		}
		var answer any
		switch {
		case no != nil:
		case f.Status != 0:
			no = &refusal{f.Status, statusName(f.Status), "the sandbox was told to answer this"}
		default:
			if no = s.permitted(r); no == nil {
				answer, no = do(r, body)
			}
		}
		call := Call{At: s.o.Now(), Method: r.Method, Path: r.URL.RequestURI(), Status: http.StatusOK, Body: body}
		if no != nil {
			call.Status, call.Message = no.code, no.message
		}
		if !json.Valid(body) || len(body) > longestKept {
			call.Body = nil
		}
		s.record(call)
		switch {
		case f.Lost:
			panic(http.ErrAbortHandler) // the connection ends without an answer
		case no != nil:
			writeJSON(w, no.code, map[string]any{"error": map[string]any{"code": no.code, "message": no.message, "status": no.status}})
		default:
			writeJSON(w, http.StatusOK, answer)
		}
	}
}

func readBody(r *http.Request) ([]byte, *refusal) {
	var body json.RawMessage
	d := json.NewDecoder(r.Body)
	if err := d.Decode(&body); err != nil {
		return nil, invalid("Invalid JSON payload received: %v", err)
	}
	if d.More() {
		return body, invalid("Invalid JSON payload received: something follows the object")
	}
	return body, nil
}

// permitted checks who calls, and for whom.
func (s *Server) permitted(r *http.Request) *refusal {
	token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	until, known := s.tokens[token]
	s.mu.Unlock()
	switch {
	case !found || !known || s.o.Now().After(until):
		return &refusal{http.StatusUnauthorized, "UNAUTHENTICATED", "Request had invalid authentication credentials. Expected OAuth 2 access token."}
	case r.PathValue("partner") != s.o.PartnerID:
		return &refusal{http.StatusForbidden, "PERMISSION_DENIED", "The caller does not have permission for partner " + r.PathValue("partner")}
	}
	return nil
}

func (s *Server) record(c Call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, c)
	s.calls = slices.Delete(s.calls, 0, max(0, len(s.calls)-mostCalls))
}

// decode reads a message of the API, and refuses members that it does not have.
func decode(body []byte, into any) *refusal {
	d := json.NewDecoder(strings.NewReader(string(body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("Invalid JSON payload received. %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a caller that is gone does not hear it
}

// Fault is how the sandbox errs in the next calls of the Maps Booking API.
type Fault struct {
	Status  int     `json:"status,omitempty"`  // answer this; nothing is done
	Lost    bool    `json:"lost,omitempty"`    // do it, and end the connection without an answer
	Seconds float64 `json:"seconds,omitempty"` // wait as long first
	Times   int     `json:"times"`             // for so many calls
}

func (s *Server) nextFault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return Fault{}
	}
	f := s.faults[0]
	if s.faults[0].Times--; s.faults[0].Times <= 0 {
		s.faults = s.faults[1:]
	}
	return f
}

// wait reports false if the caller has gone meanwhile.
func (f Fault) wait(ctx context.Context) bool {
	select {
	case <-time.After(time.Duration(f.Seconds * float64(time.Second))):
		return true
	case <-ctx.Done():
		return false
	}
}

// Err makes the next calls fail like this, one fault after the other. It replaces the faults that were set before.
// It returns an error that names the member if a fault makes no sense.
func (s *Server) Err(faults ...Fault) error {
	for i, f := range faults {
		switch {
		case f.Times < 1 || f.Times > 1_000_000:
			return fmt.Errorf("[%d].times: must be between 1 and 1000000", i)
		case f.Status != 0 && (f.Status < 400 || f.Status > 599):
			return fmt.Errorf("[%d].status: must be between 400 and 599", i)
		case f.Seconds < 0 || f.Seconds > 600:
			return fmt.Errorf("[%d].seconds: must be between 0 and 600", i)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.Clone(faults)
	return nil
}

func (s *Server) setFaults(w http.ResponseWriter, r *http.Request) {
	var faults []Fault
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(&faults)
	if err == nil {
		err = s.Err(faults...)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, faults)
}

func statusName(code int) string {
	switch code {
	case http.StatusForbidden:
		return "PERMISSION_DENIED"
	case http.StatusNotFound:
		return "NOT_FOUND"
	case http.StatusConflict:
		return "ABORTED"
	case http.StatusTooManyRequests:
		return "RESOURCE_EXHAUSTED"
	case http.StatusUnauthorized:
		return "UNAUTHENTICATED"
	case http.StatusServiceUnavailable:
		return "UNAVAILABLE"
	case http.StatusGatewayTimeout:
		return "DEADLINE_EXCEEDED"
	}
	if code < 500 {
		return "INVALID_ARGUMENT"
	}
	return "INTERNAL"
}
