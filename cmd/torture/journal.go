package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// The outcome of a try. A try is one request; an operation is tried until its outcome is known.
type outcome string

const (
	done    outcome = "done"    // the whole 200 was read, and it says so
	refused outcome = "refused" // the whole answer was read, and it is a business "no"
	unknown outcome = "unknown" // 503, or no whole answer
	odd     outcome = "odd"     // an answer that no promise allows
)

// What an operation is.
type deed string

const (
	create deed = "create" // CreateBooking
	lease  deed = "lease"  // CreateLease
	use    deed = "use"    // CreateBooking with a lease
	move   deed = "move"   // UpdateBooking
	desk   deed = "desk"   // update-reservation
	cancel deed = "cancel" // UpdateBooking
	look   deed = "look"   // BatchAvailabilityLookup
)

// record is a line of the journal: a request about to be sent, or its outcome.
type record struct {
	At  int64  `json:"at"` // nanoseconds since the round began
	Op  string `json:"op"`
	Try int    `json:"try"`

	// Of a request; only the first try of an operation says more than Sent.
	Sent  bool    `json:"sent,omitempty"`
	Deed  deed    `json:"deed,omitempty"`
	Of    string  `json:"of,omitempty"` // the operation that made the booking, or took the lease
	To    *place  `json:"to,omitempty"`
	ID    string  `json:"id,omitempty"` // booking or lease
	Looks []place `json:"looks,omitempty"`
	Via   int     `json:"via,omitempty"` // the server that gets it, counted from 1; 0 is any

	// Of an answer.
	Outcome   outcome `json:"outcome,omitempty"`
	Cause     string  `json:"cause,omitempty"`
	Booking   string  `json:"booking,omitempty"`
	ExpireSec int64   `json:"expire_sec,omitempty"`
	Free      []bool  `json:"free,omitempty"`
	Text      string  `json:"text,omitempty"`
}

// journal is the clients' own list of what they asked and what the answers were. An answer is on the disk before
// the client continues, so the judge does not depend on anybody's memory. One fsync serves all who wait for one.
type journal struct {
	file *os.File

	mu      sync.Mutex
	tries   map[string]int
	buffer  *bufio.Writer
	waiting []chan error
	wake    chan struct{}
	ended   chan struct{}
}

func openJournal(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{file: file, tries: map[string]int{}, buffer: bufio.NewWriterSize(file, 1<<16), wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go j.sync()
	return j, nil
}

// sync writes and syncs new lines until the journal is closed.
func (j *journal) sync() {
	defer close(j.ended)
	for range j.wake {
		j.mu.Lock()
		waiting := j.waiting
		j.waiting = nil
		err := j.buffer.Flush()
		j.mu.Unlock()
		if err == nil {
			err = j.file.Sync()
		}
		for _, w := range waiting {
			w <- err
		}
	}
}

// sent records a request and returns which try of its operation it is. It does not wait for the disk, because the
// answer after it will.
func (j *journal) sent(r record) (try int, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	r.Sent, r.Try = true, j.tries[r.Op]
	j.tries[r.Op]++
	return r.Try, j.write(r)
}

// told records an answer and returns once it is on the disk.
func (j *journal) told(r record) error {
	synced := make(chan error, 1)
	j.mu.Lock()
	err := j.write(r)
	j.waiting = append(j.waiting, synced)
	j.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return <-synced
}

func (j *journal) write(r record) error {
	line, err := json.Marshal(r)
	if err == nil {
		_, err = j.buffer.Write(append(line, '\n'))
	}
	return err
}

func (j *journal) close() error {
	close(j.wake)
	<-j.ended
	j.mu.Lock()
	defer j.mu.Unlock()
	return errors.Join(j.buffer.Flush(), j.file.Sync(), j.file.Close())
}

// operation is what the journal says about one operation.
type operation struct {
	name string
	record
	tries []try
}

// try is one request of an operation; its outcome is unknown if no answer was recorded.
type try struct {
	sent, told int64
	outcome
	cause, booking, text string
	expireSec            int64
	free                 []bool
}

// replay reads a journal: its operations in the order of their first tries. It ignores a line that is cut off at
// the end.
func replay(r io.Reader) ([]*operation, error) {
	var ops []*operation
	byName := map[string]*operation{}
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return ops, nil
		}
		if err != nil {
			return nil, err
		}
		var rec record
		if err := json.Unmarshal(line, &rec); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		op := byName[rec.Op]
		switch {
		case rec.Sent && op == nil:
			op = &operation{name: rec.Op, record: rec}
			byName[rec.Op] = op
			ops = append(ops, op)
			fallthrough
		case rec.Sent:
			if rec.Try != len(op.tries) {
				return nil, fmt.Errorf("line %d: try %d of %s follows %d", n, rec.Try, rec.Op, len(op.tries))
			}
			op.tries = append(op.tries, try{sent: rec.At, outcome: unknown})
		case op == nil || rec.Try >= len(op.tries):
			return nil, fmt.Errorf("line %d: an answer to what was not sent", n)
		default:
			t := &op.tries[rec.Try]
			t.told, t.outcome, t.cause, t.booking = rec.At, rec.Outcome, rec.Cause, rec.Booking
			t.text, t.expireSec, t.free = rec.Text, rec.ExpireSec, rec.Free
		}
	}
}

// acknowledged returns the first try that was done, or nil.
func (op *operation) acknowledged() *try {
	var first *try
	for i := range op.tries {
		if t := &op.tries[i]; t.outcome == done && (first == nil || t.told < first.told) {
			first = t
		}
	}
	return first
}

// doubt returns when the first try with an unknown outcome was sent.
func (op *operation) doubt() (sent int64, ok bool) {
	for _, t := range op.tries {
		if t.outcome == unknown {
			return t.sent, true
		}
	}
	return 0, false
}

// settled reports whether the last try shows the operation's outcome.
func (op *operation) settled() bool {
	last := op.tries[len(op.tries)-1].outcome
	return op.acknowledged() != nil || last == refused || last == odd
}
