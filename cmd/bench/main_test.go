package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is a run that is soon over, with a directory for temporary files of its
// own in which PostgreSQL's user can make its.
func small(t *testing.T) options {
	t.Helper()
	chart := filepath.Join(t.TempDir(), "bench.svg")
	dir, err := os.MkdirTemp("", "b-") // a short name, for the sockets in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TMPDIR", dir)
	return options{
		clients: 4, rounds: 1, round: 100 * time.Millisecond, slots: 8000, sizes: []int{8000, 16000},
		sections: allSections, protocol: "prepared", chart: chart,
	}
}

// leftovers are what a run has left in the directory for temporary files.
func leftovers(t *testing.T) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))
	if err != nil {
		t.Fatal(err)
	}
	return left
}

// A change of the schema or of an answer that the benchmark does not know fails here, and not when somebody wants to measure.
func TestRun(t *testing.T) {
	o := small(t)
	var out strings.Builder
	if err := run(t.Context(), o, &out); err != nil {
		t.Fatal(err)
	}
	text := strings.TrimRight(out.String(), "\n")
	last := text[strings.LastIndex(text, "\n")+1:]
	number := `([0-9]+(\.[0-9]+)?|-)` // on a busy machine a short round may see no answer at all
	form := strings.ReplaceAll(`^spread=N hot=N move=N bal=N growth=N sqlite=N p99create=N(ms)? rss=N(MB)?$`, "N", number)
	if !regexp.MustCompile(form).MatchString(last) {
		t.Errorf("the last line is %q", last)
	}
	for _, want := range []string{"fsync on", "a booking 11, a move 7", "| SQLite | update-reservation |", "| index slots_pkey |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if _, err := os.Stat(o.chart); err != nil {
		t.Error(err)
	}
	if left := leftovers(t); left != nil {
		t.Errorf("left behind: %v", left)
	}
}

func TestInterruptedRunLeavesNothing(t *testing.T) {
	o := small(t)
	o.sections, o.round = []string{"pairs"}, time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	var out strings.Builder
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, o, &out) }()
	// Interrupt it once the server is there.
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for logs := []string(nil); logs == nil; {
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		case <-poll.C:
		}
		var err error
		if logs, err = filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*", "serve-*.log")); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if left := leftovers(t); left != nil || out.Len() > 0 {
		t.Errorf("left behind: %v; said %q", left, out.String())
	}
}
