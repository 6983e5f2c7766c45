//go:build unix

package storagetest

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// A cut wire is silent, for existing connections, for new ones, and about the other side's end. Once mended, it passes on what was
// sent meanwhile.
func TestWire(t *testing.T) {
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	w, err := newWire("a", "b", far.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", w.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	say := func(c net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(c, text+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(c net.Conn, want string) {
		t.Helper()
		if got, err := bufio.NewReaderSize(c, 16).ReadString('\n'); got != want+"\n" {
			t.Fatalf("heard %q, %v, want %q", got, err, want)
		}
	}
	silent := func(c net.Conn) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("heard %d bytes, %v, want silence", n, err)
		}
		if err := c.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	near := dial()
	say(near, "one")
	other, err := far.Accept()
	if err != nil {
		t.Fatal(err)
	}
	hear(other, "one")
	say(other, "two")
	hear(near, "two")

	w.cut()
	say(near, "three")
	silent(other)
	say(other, "four")
	if err := other.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	silent(near)
	late := dial()
	say(late, "five")
	silent(late)

	w.mend()
	hear(near, "four")
	if _, err := near.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the other side's end: %v", err)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
}
