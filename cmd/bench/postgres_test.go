package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	s, err := parseStat("77 (a (b) c) S 12 77 77 0 -1 4194560 5 6 7 8 100 20 3000 400 20 0 1 0 5 6 7")
	if want := (stat{parent: 12, own: 1200 * time.Millisecond, ended: 34 * time.Second}); err != nil || s != want {
		t.Errorf("got %+v, %v, want %+v", s, err, want)
	}
	if _, err := parseStat("77 (short) S 1"); err == nil {
		t.Error("a short line: got no error")
	}
}

func TestProcOfThisProcess(t *testing.T) {
	memory, err := peakMemory(os.Getpid())
	if err != nil || memory < 1<<20 {
		t.Errorf("peak memory: got %d, %v, want a megabyte at least", memory, err)
	}
	own, err := statOf(os.Getpid())
	if err != nil || own.parent != os.Getppid() {
		t.Errorf("got parent %d, %v, want %d", own.parent, err, os.Getppid())
	}
	if tree, err := cpuOfTree(os.Getpid()); err != nil || tree < own.own {
		t.Errorf("CPU of the tree: got %v, %v, want %v at least", tree, err, own.own)
	}
}

func TestReadLogs(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"log.1":   "0 1 5000 0 1000 500000\n0 2 7000 0 1002 0\n",
		"log.1.1": "1 1 9000 0 1003 250000\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	each, took, err := readLogs(dir, time.Unix(1001, 0))
	if err != nil {
		t.Fatal(err)
	}
	r := newRound(each, took, 0)
	if r.done != 2 || r.took != 2250*time.Millisecond || r.p50 != 7*time.Millisecond || r.p99 != 9*time.Millisecond {
		t.Errorf("got %+v, want the two that ended after the warm-up, in 2.25 s", r)
	}
	if _, _, err := readLogs(dir, time.Unix(2000, 0)); err == nil {
		t.Error("nothing after the warm-up: got no error")
	}
	if _, _, err := parseTransaction("0 1 failed 0 1000 1"); err == nil {
		t.Error("a transaction that failed: got no error")
	}
}

func TestSameRows(t *testing.T) {
	ours := rows{"bookings": {1, 300}, "guest_keys": {3, 180}}
	for name, theirs := range map[string]rows{
		"the same":       {"bookings": {1, 310}, "guest_keys": {3, 170}},
		"a row less":     {"bookings": {1, 300}, "guest_keys": {2, 180}},
		"no such rows":   {"bookings": {1, 300}},
		"narrower by 40": {"bookings": {1, 150}, "guest_keys": {3, 180}},
	} {
		if err := same("CreateBooking", ours, theirs); (err == nil) != (name == "the same") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if got := ours.total(); got != 4 {
		t.Errorf("rows: got %d, want 4", got)
	}
}

// A pgbench script takes every colon before a letter, a digit or an underscore for a variable, even within quotes.
func TestTextbooksKnowTheirVariables(t *testing.T) {
	s := someStock(true)
	for name, book := range map[string]textbook{"spread": s.textbookSpread(), "hot": s.textbookHot(), "move": s.textbookMove(), "fetch": s.textbookFetch()} {
		known := map[string]bool{}
		for v := range book.variables {
			known[v] = true
		}
		for _, set := range regexp.MustCompile(`\\set (\w+)| AS "?(\w+)`).FindAllStringSubmatch(book.script, -1) {
			known[set[1]+set[2]] = true
		}
		text := regexp.MustCompile(`(?m)^--.*$|::`).ReplaceAllString(book.script, " ")
		for _, used := range regexp.MustCompile(`:(\w+)`).FindAllStringSubmatch(text, -1) {
			if !known[used[1]] {
				t.Errorf("%s: :%s is used and not set", name, used[1])
			}
		}
	}
}
