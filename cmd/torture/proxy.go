package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

// What the proxy does with a COMMIT.
type mishap string

const (
	answerLost    mishap = "answer lost"    // COMMIT is passed on, its answer is not, and the connection breaks
	neverSent     mishap = "never sent"     // the connection breaks instead
	answerLate    mishap = "answer late"    // the answer waits
	sentLate      mishap = "sent late"      // COMMIT waits, and is sent even if nobody waits for it any more
	answerMissing mishap = "answer missing" // the answer never comes, but the connection stays
)

var mishaps = []mishap{answerLost, neverSent, answerLate, sentLate, answerMissing}

// proxy stands between the server and PostgreSQL.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	target string    // a socket
	next   []planned // for the COMMITs to come
	count  map[mishap]int
	open   map[net.Conn]bool
	done   sync.WaitGroup
}

type planned struct {
	mishap
	pause time.Duration
}

func startProxy(target string) (*proxy, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{listener: l, target: target, count: map[mishap]int{}, open: map[net.Conn]bool{}}
	p.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.done.Go(func() { p.serve(c) })
		}
	})
	return p, nil
}

// plan arranges a mishap for the next COMMIT that has none.
func (p *proxy) plan(m mishap, pause time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = append(p.next, planned{m, pause})
}

// lead sends new connections to another socket.
func (p *proxy) lead(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// heal cancels what was planned.
func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = nil
}

func (p *proxy) take() planned {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.next) == 0 {
		return planned{}
	}
	first := p.next[0]
	p.next = p.next[1:]
	p.count[first.mishap]++
	return first
}

func (p *proxy) counts() map[mishap]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := map[mishap]int{}
	for m, n := range p.count {
		all[m] = n
	}
	return all
}

func (p *proxy) close() error {
	err := p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.done.Wait()
	return err
}

// track registers a connection for close, and returns a function that closes it.
func (p *proxy) track(c net.Conn) func() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
	return func() {
		p.mu.Lock()
		delete(p.open, c)
		p.mu.Unlock()
		_ = c.Close()
	}
}

// link is one connection through the proxy.
type link struct {
	client, server net.Conn

	mu   sync.Mutex
	fate planned // of the answer that is awaited
}

func (p *proxy) serve(client net.Conn) {
	defer p.track(client)()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := new(net.Dialer).DialContext(context.Background(), "unix", target)
	if err != nil {
		return // the client sees the connection close, as if there were no proxy
	}
	closeServer := p.track(server)
	l := &link{client: client, server: server}
	var both sync.WaitGroup
	both.Go(func() { // either direction's end is the end of both
		defer func() { _ = client.Close() }()
		l.answers()
	})
	l.requests(p)
	closeServer()
	both.Wait()
}

var errBroken = errors.New("broken on purpose")

// requests passes on what the client says, until it ends.
func (l *link) requests(p *proxy) {
	from, to := bufio.NewReaderSize(l.client, 16<<10), bufio.NewWriterSize(l.server, 16<<10)
	for startup := true; ; startup = false {
		kind, message, err := readMessage(from, startup)
		if err != nil {
			return
		}
		if isCommit(kind, message) {
			fate := p.take()
			if fate.mishap == neverSent {
				return
			}
			if fate.mishap == sentLate {
				// A server that gave up meanwhile has closed the connection, so the COMMIT is the last thing that
				// PostgreSQL reads from it.
				time.Sleep(fate.pause)
				fate.mishap = answerLost
			}
			l.mu.Lock()
			l.fate = fate
			l.mu.Unlock()
		}
		_, err = to.Write(message)
		if err == nil && from.Buffered() == 0 {
			err = to.Flush()
		}
		if err != nil {
			return
		}
	}
}

// answers passes on what PostgreSQL says, until it ends.
func (l *link) answers() {
	from, to := bufio.NewReaderSize(l.server, 16<<10), bufio.NewWriterSize(l.client, 16<<10)
	for {
		kind, message, err := readMessage(from, false)
		if err != nil {
			return
		}
		l.mu.Lock()
		fate := l.fate
		if kind == 'Z' { // ready for the next query: the answer is complete
			l.fate = planned{}
		}
		l.mu.Unlock()
		switch fate.mishap {
		case answerLost:
			if kind == 'Z' {
				return
			}
			continue
		case answerMissing:
			continue
		case answerLate:
			if kind == 'Z' {
				time.Sleep(fate.pause)
			}
		}
		_, err = to.Write(message)
		if err == nil && from.Buffered() == 0 {
			err = to.Flush()
		}
		if err != nil {
			return
		}
	}
}

// maxMessage is far larger than any real message.
const maxMessage = 64 << 20

// readMessage reads one whole message of PostgreSQL's protocol. A client's first message has no kind.
func readMessage(r *bufio.Reader, startup bool) (kind byte, message []byte, err error) {
	head := 5
	if startup {
		head = 4
	}
	message = make([]byte, head, 512)
	if _, err := io.ReadFull(r, message); err != nil {
		return 0, nil, err
	}
	if !startup {
		kind = message[0]
	}
	length := int(binary.BigEndian.Uint32(message[head-4:])) - 4
	if length < 0 || length > maxMessage {
		return 0, nil, fmt.Errorf("%w: a message of %d bytes", errBroken, length)
	}
	message = append(message, make([]byte, length)...)
	_, err = io.ReadFull(r, message[head:])
	return kind, message, err
}

// isCommit reports whether a client's message is a COMMIT: a simple query, or a statement to parse.
func isCommit(kind byte, message []byte) bool {
	if len(message) < 6 {
		return false
	}
	text := message[5:]
	switch kind {
	case 'P': // the statement's name, its text, and types of parameters
		_, rest, found := bytes.Cut(text, []byte{0})
		if !found {
			return false
		}
		text = rest
	case 'Q':
	default:
		return false
	}
	text, _, _ = bytes.Cut(text, []byte{0})
	switch strings.Join(strings.Fields(strings.ToLower(strings.TrimRight(string(text), "; \n\t"))), " ") {
	case "commit", "commit work", "commit transaction", "end", "end work", "end transaction":
		return true
	}
	return false
}
