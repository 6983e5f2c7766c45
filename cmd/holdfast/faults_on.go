//go:build faults

package main

import (
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// A server built with the tag faults kills itself, as kill -9 would, at a point that the torture program
// names. On SIGUSR1 it reads the file that HOLDFAST_FAULTS names. "before COMMIT@3" there means the third
// time from now that a transaction reaches that point. The points are those of storage.Options.Fault, and
// "half an answer".

const halfAnswer = "half an answer"

var armed struct {
	sync.Mutex
	point string
	left  int
}

func init() {
	file := os.Getenv("HOLDFAST_FAULTS")
	if file == "" {
		return
	}
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGUSR1)
	go func() {
		for range told {
			text, err := os.ReadFile(file)
			if err != nil {
				panic(err)
			}
			point, times, _ := strings.Cut(strings.TrimSpace(string(text)), "@")
			n, err := strconv.Atoi(times)
			if err != nil {
				panic(err)
			}
			armed.Lock()
			armed.point, armed.left = point, n
			armed.Unlock()
		}
	}()
}

// reached reports whether this is the time to die.
func reached(point string) bool {
	armed.Lock()
	defer armed.Unlock()
	if armed.point != point {
		return false
	}
	armed.left--
	return armed.left == 0
}

func die() {
	_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	select {} // wait for the signal
}

func fault(point string) error {
	if reached(point) {
		die()
	}
	return nil
}

func breaking(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&breakingWriter{w}, r)
	})
}

// breakingWriter may die after the first half of an answer.
type breakingWriter struct{ http.ResponseWriter }

func (w *breakingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *breakingWriter) Write(b []byte) (int, error) {
	if len(b) > 1 && reached(halfAnswer) {
		w.Header().Set("Content-Length", strconv.Itoa(len(b)))
		_, _ = w.ResponseWriter.Write(b[:len(b)/2])
		_ = http.NewResponseController(w.ResponseWriter).Flush()
		die()
	}
	return w.ResponseWriter.Write(b)
}
