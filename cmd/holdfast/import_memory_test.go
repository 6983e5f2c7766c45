//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mostOfImport is how much memory, in MiB, an import of any file may ever use. The test measures the real program, because the race
// detector's takes several times as much.
const mostOfImport = 256

// imported is the result of an import.
type imported struct {
	exit   int
	err    string
	memory int // the most at any time, in MiB
	took   time.Duration
}

var (
	peak = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)
	over = regexp.MustCompile(`State:\s+Z`)
)

// importFile runs the program on a file and watches its memory. stop, if not 0, is when to interrupt it.
func importFile(t *testing.T, binary, database, path string, stop time.Duration) (r imported) {
	t.Helper()
	var errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), binary, "import", "--database", database, path)
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
	cmd.Stderr = &errs
	begin := time.Now()
	must(t, cmd.Start())
	for told := false; ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
		must(t, err)
		if over.Match(text) {
			break
		}
		if found := peak.FindSubmatch(text); found != nil {
			kb, err := strconv.Atoi(string(found[1]))
			must(t, err)
			r.memory = max(r.memory, kb>>10)
		}
		if stop > 0 && !told && time.Since(begin) > stop {
			told = true
			must(t, cmd.Process.Signal(syscall.SIGTERM))
		}
	}
	r.took = time.Since(begin) - stop
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	r.exit, r.err = cmd.ProcessState.ExitCode(), errs.String()
	return r
}

// squeezed is a gzip file of this text with the filling repeated in it.
func squeezed(t *testing.T, before, filling string, times int, after string) []byte {
	t.Helper()
	member := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write([]byte(text))
		must(t, errors.Join(err, w.Close()))
		return b.Bytes()
	}
	file := member(before) // members that follow one another are one file
	for m := member(strings.Repeat(filling, max(1, (1<<20)/len(filling)))); times > 0; times-- {
		file = append(file, m...)
	}
	return append(file, member(after)...)
}

// Whatever is imported, the program's memory is bounded, even if a small file expands to a lot.
func TestImportMemory(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "holdfast")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const gigabyte = 1 << 10 // in fillings
	aliases := "x:\n  - &a0 [{zone_id: a}]\n"
	for i := range 200 {
		aliases += fmt.Sprintf("  - &a%d [%s*a%d]\n", i+1, strings.Repeat(fmt.Sprintf("*a%d, ", i), 9), i)
	}
	var keys, rows, merchants strings.Builder
	for i := range 90_000 {
		fmt.Fprintf(&keys, "k%d: v\n", i)
	}
	for i := range 4_000 {
		fmt.Fprintf(&rows, `{"merchant_id": "bistro", "service_id": "dinner", "start_sec": 1772000000, "duration_sec": %d, "recurrence": {"repeat_every_sec": 60, "repeat_until_sec": 1772086400}}, `, i+1)
	}
	for i := range 400_000 {
		fmt.Fprintf(&merchants, `{"merchant_id": "merchant-%d", "name": "A merchant of many"}, `, i)
	}
	const twice = `{"merchant_id": "bistro", "name": "Bistro"}`
	const once = `{"merchant_id": "bistro", "service_id": "dinner", "start_sec": 1772000000, "duration_sec": 1, "spots_total": 1}`
	files := []struct {
		name    string
		content []byte
		want    string // of the refusal
	}{
		{"200 kB of brackets", []byte("merchants: " + strings.Repeat("[", 200_000)), "nested too deeply"},
		{"200 kB of dashes", []byte("merchants:\n" + strings.Repeat("- ", 100_000)), "nested too deeply"},
		{"18 kB of aliases", []byte(aliases + "merchants: [{id: a, name: A, groups: *a200}]"), "more than 100000 values"},
		{"1 MB of keys", []byte("merchants:\n" + keys.String()), "an object of more than 1000 keys"},
		{"3 MiB of small lists in YAML", []byte("merchants: [" + strings.Repeat("[],", 4<<18)), "more than 300000 signs and lines"},
		{"16 MiB of small objects in JSON", []byte(`{"merchants": [` + strings.Repeat(`{"a":{}},`, 16<<20/9-9) + `{}]}`), "more than 100000 values"},
		{"all tokens that are taken", []byte("merchants: [" + strings.Repeat(`{a: {b: c}},`, 9_000) + "]"), "unknown key"},
		{"all values that are taken", []byte(`{"merchants": [` + strings.Repeat(`{"a":{}},`, 49_000) + `{}]}`), "unknown key"},
		{"a gigabyte of metadata", squeezed(t, `{"merchant": [], "metadata": "`, "a", gigabyte, `"}`), "a value of more than 1 MiB"},
		{"a gigabyte of blanks", squeezed(t, `{"merchant": [], "metadata": `, " ", gigabyte, `{}}`), "a value of more than 1 MiB"},
		{"a gigabyte of what is not read", squeezed(t, `{"x": "`, "a", gigabyte, `", `+feedMeta+`, "merchant": []}`), "a value of more than 1 MiB"},
		{"a gigabyte of nested objects in a row", squeezed(t, `{`+feedMeta+`, "merchant": [{"x": `, `{"a":`, gigabyte, ``), "nested too deeply"},
		{"signs that are taken", []byte("merchants: [" + strings.Repeat(`"",`, 99_000) + "]"), "more than 100000 tokens"},
		{"rows of the largest size", squeezed(t, `{`+feedMeta+`, "merchant": [{"x": [`+strings.Repeat("{},", 349_000)+`0]}`, `,{"merchant_id": "a", "x": [`+strings.Repeat("{},", 349_000)+`0]}`, 50, `]}`), "merchant_id: required"},
		{"a thousand rows that are wrong in a megabyte each", squeezed(t, `{`+feedMeta+`, "service_availability": [{"availability": [0`, `, {"merchant_id": "bistro", "service_id": "dinner", "start_sec": "`+strings.Repeat("\x7f", 1<<20-200)+`"}`, 900, `]}]}`), "start_sec: must be a whole number"},
		{"a gigabyte of YAML", squeezed(t, "merchants: []\n", "# a\n", gigabyte, ""), "more than 4 MiB"},
		{"a gigabyte of nothing", squeezed(t, "", "a\n", gigabyte, ""), "not a file that can be imported"},
		{"5.8 million slots", []byte(`{` + feedMeta + `, "service_availability": [{"availability": [` + rows.String() + once + `]}]}`), "the same slot as service_availability[0].availability[0]"},
		{"400,000 merchants", []byte(`{` + feedMeta + `, "merchant": [` + merchants.String() + twice + `, ` + twice + `]}`), `"bistro" is also merchant[400000].merchant_id`},
	}
	each(t, func(t *testing.T, p program) {
		p.ok(t, "import", file(t, "m", merchantsFeed), file(t, "s", servicesFeed))
		before := p.everything(t)
		for _, f := range files {
			if !p.onSQLite() {
				break // files are checked, and refused, before anything is written anywhere
			}
			t.Run(f.name, func(t *testing.T) {
				r := importFile(t, binary, p.database, file(t, "x", string(f.content)), 0)
				t.Logf("%d bytes took %d MiB and %v", len(f.content), r.memory, r.took.Round(time.Millisecond))
				if r.exit != 1 || !strings.Contains(r.err, f.want) {
					t.Errorf("exit status %d, want %q in\n%.2000s", r.exit, f.want, r.err)
				}
				if r.memory > mostOfImport {
					t.Errorf("it took %d MiB, at most %d are right", r.memory, mostOfImport)
				}
			})
		}
		if after := p.everything(t); fmt.Sprint(after) != fmt.Sprint(before) {
			t.Error("what was refused was written")
		}
		t.Run("what is taken", func(t *testing.T) {
			var some strings.Builder
			for i := range 40 {
				fmt.Fprintf(&some, `{"merchant_id": "bistro", "service_id": "dinner", "start_sec": %d, "duration_sec": %d, "recurrence": {"repeat_every_sec": 60, "repeat_until_sec": %d}}, `, ahead(9), 60+i, ahead(9)+3600)
			}
			r := importFile(t, binary, p.database, file(t, "x", feedOf(1772000001, `"service_availability": [{"availability": [`+strings.TrimSuffix(some.String(), ", ")+`]}]`)), 0)
			if r.exit != 0 || r.memory > mostOfImport {
				t.Errorf("exit status %d, %d MiB\n%s", r.exit, r.memory, r.err)
			}
		})
		t.Run("SIGTERM", func(t *testing.T) {
			r := importFile(t, binary, p.database, file(t, "x", string(squeezed(t, `{"x": [1`, ",1", 16*gigabyte, `], `+feedMeta+`, "merchant": []}`))), time.Second)
			if r.exit != 1 || !strings.Contains(r.err, "context canceled") || r.took > 5*time.Second {
				t.Errorf("exit status %d, %v after it was told\n%s", r.exit, r.took, r.err)
			}
		})
	})
}
