//go:build unix

package storagetest

import (
	"context"
	"net"
	"sync"
)

// wire is one machine's way to another's address. It passes everything on until it is cut. From
// then on neither side hears anything from the other, not even its end, as if a network dropped
// every packet. Once mended, it passes on what has piled up.
type wire struct {
	from, to party
	target   string
	listener net.Listener
	over     chan struct{}

	mu    sync.Mutex
	whole chan struct{} // closed unless the wire is cut
	open  map[net.Conn]bool
	done  sync.WaitGroup
}

func newWire(from, to party, target string) (*wire, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{from: from, to: to, target: target, listener: l, over: make(chan struct{}), whole: make(chan struct{}), open: map[net.Conn]bool{}}
	w.mend()
	w.done.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.done.Go(func() { w.serve(c) })
		}
	})
	return w, nil
}

// cut cuts the wire.
func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.whole = make(chan struct{})
}

// mend joins it again.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.whole)
}

// passes waits until the wire is whole. It returns false if the wire was closed meanwhile.
func (w *wire) passes() bool {
	w.mu.Lock()
	whole := w.whole
	w.mu.Unlock()
	select {
	case <-whole:
		return true
	case <-w.over:
		return false
	}
}

// hold registers a connection for close, and returns a function that closes it.
func (w *wire) hold(c net.Conn) func() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open[c] = true
	return func() {
		w.mu.Lock()
		delete(w.open, c)
		w.mu.Unlock()
		_ = c.Close()
	}
}

func (w *wire) serve(client net.Conn) {
	defer w.hold(client)()
	if !w.passes() {
		return
	}
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", w.target)
	if err != nil {
		return // the client sees the connection close
	}
	defer w.hold(server)()
	var both sync.WaitGroup
	both.Go(func() { w.pass(client, server) })
	w.pass(server, client)
	both.Wait()
}

// pass passes on what one side says until that ends. The end of either direction ends both.
func (w *wire) pass(to, from net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !w.passes() || err != nil && n == 0 {
			break
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			break
		}
	}
	_, _ = to.Close(), from.Close()
}

func (w *wire) close() error {
	err := w.listener.Close()
	close(w.over)
	w.mu.Lock()
	for c := range w.open {
		_ = c.Close()
	}
	w.mu.Unlock()
	w.done.Wait()
	return err
}
