//go:build abuse && linux

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// swap is a change of the program's text: from must occur exactly once, in one file, and to replaces it.
type swap struct{ from, to string }

// waits makes requests that wait for their caller keep their places.
var waits = swap{"fair   = 250 * time.Millisecond", "fair = time.Hour"}

// weakenings are programs that plausibly lack one bound each, and the trial or test that must notice it; attack is its number in
// docs/security.md. They are changes of the text during the build, so the program itself has no hooks for them.
var weakenings = []struct {
	attack int
	name   string
	swaps  []swap
	pkg    string // "": a trial of make abuse
	test   string
}{
	{1, "all clinics have one account", []swap{{"who = owner{kind: clinics, merchant: caller}", "who = owner{kind: clinics}"}, waits}, "", "TestAbuseAnnouncedBodies/HTTP/SQLite"},
	{1, "bodies are charged when announced", []swap{
		{"size = min(size, length+1) // one more, to see the end", "size = length + 1\nif err := p.charge(2*size); err != nil { return nil, err }"},
	}, "./api", "TestReadBody|TestBytesAreCharged"},
	{2, "who waits keeps its place", []swap{waits}, "", "TestAbuseExchangeToken/HTTP/SQLite"},
	{3, "one clinic may have all places and connections", []swap{
		{"most/8, min(maxConnectionsEach, most/4), proxies", "most/8, maxConnections, proxies"},
		{"each: use{places: 128, working: 128, refused: 128, bytes: 12 << 20}", "each: use{places: 1024, working: 128, refused: 128, bytes: 12 << 20}"}, waits,
	}, "", "TestAbuseOneToken/HTTP/SQLite"},
	{4, "streams without a bound, no places for strangers", []swap{
		{"MaxConcurrentStreams: 32,", "MaxConcurrentStreams: 1000,"},
		{"each: use{places: 64, working: 8, refused: 64, bytes: 1 << 20}", "each: use{places: 1 << 20, working: 8, refused: 64, bytes: 1 << 40}"},
		{"all:  use{places: 512, working: 64, refused: 512, bytes: 4 << 20}", "all: use{places: 1 << 20, working: 64, refused: 512, bytes: 1 << 40}"},
	}, "", "TestAbuseStreams/SQLite/openapi.yaml"},
	{5, "the newest connection is refused, and nobody has to hurry", []swap{
		{"most/8, min(maxConnectionsEach, most/4), proxies", "most/8, maxConnections, proxies"},
		{"victim = cmp.Or(first(l.leaving, any), first(l.waiting[nobody], l.overdrawn), first(l.waiting[nobody], any), first(l.waiting[aClinic], any))", "victim = c"},
		{"hurry = 2 * time.Second", "hurry = time.Minute"},
	}, "", "TestAbuseReaders/HTTP/SQLite"},
	{5, "no connections for Google alone", []swap{{"l.open-l.google >= l.most-l.reserved, l.open >= l.most", "l.open >= l.most"}}, "./cmd/holdfast", "TestConnections"},
	{6, "answers are held without a bound", []swap{{"if h.held+bytes > h.all || h.by[who] > 0 && h.by[who]+bytes > h.each {", "if h.held < 0 {"}}, "./api", "TestHoldings"},
	{6, "a history on one page", []swap{{"i > 0 && total > booking.PageBytes", "i > 0 && total > 1<<40"}}, "./storage", "TestPages"},
	{7, "reads without turns", []swap{{"queriesEach = 2", "queriesEach = 1000"}, {"queriesAll  = 4", "queriesAll = 1000"}}, "./api", "TestTurns|TestOneClinicsQueries"},
	{8, "the internal address has no limits", []swap{
		{"internalConnections = 32", "internalConnections = 1 << 20"},
		{"ReadHeaderTimeout: 3 * time.Second, IdleTimeout: time.Minute", "IdleTimeout: time.Minute"},
	}, "", "TestAbuseInternalListener/HTTP/SQLite"},
	{9, "YAML as deep as it likes", []swap{{"mostNested = 64", "mostNested = 500"}}, "./inventory/catalogue", "."},
	{10, "leases are not counted", []swap{{"case held < most:", "case held >= 0:"}}, "./booking", "TestLeasesOfAUser|TestLeasesOfNobody"},
	{11, "what is deleted stays in the file", []swap{{`{"secure_delete", "ON"}`, `{"secure_delete", "OFF"}`}, {`{"secure_delete", "1", "ON",`, `{"secure_delete", "0", "OFF",`}}, "./cmd/holdfast", "TestNothingErasedStaysInTheFile"},
	{12, "numbers are compared as written", []swap{{"GuestsWithNumber(ctx, merchants, phoneKeys(country, phone), numbers)", "GuestsWithNumber(ctx, merchants, []string{phoneKey + phone + country[:0]}, numbers[:0])"}}, "./cmd/holdfast", "TestEraseByNumber"},
	{13, "fingerprints outlive erasure", []swap{{"UPDATE idempotency_tokens SET fingerprint = '' WHERE booking_id IN ?", "UPDATE idempotency_tokens SET fingerprint = fingerprint WHERE booking_id IN ?"}}, "./booking", "TestErasedMembers|TestErase|TestRetain"},
	{14, "the file is made as the umask says", []swap{{"os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o600)", "os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o666)"}}, "./storage", "TestFilesArePrivate"},
	{15, "an address is a file's name", []swap{{"if strange {", "if strange && false {"}}, "./storage", "TestRefusesAddressesAsFiles"},
	{16, "names with control characters", []swap{{"return r == braille || unicode.In(r, unicode.Cc, unicode.Cf,", "return r == braille || unicode.In(r,"}}, "./letters", "."},
	{17, "guesses are answered at once", []swap{{"penalty: time.Second", "penalty: 0"}}, "", "TestAbuseGuesses/HTTP/SQLite"},
	{18, "the connection stays open behind chunks", []swap{{"if r.ProtoMajor == 1 && len(r.TransferEncoding) > 0 {", "if r.ProtoMajor == 0 {"}}, "./api", "TestChunkedEndsItsConnection"},
	{18, "an entry with a port is no address", []swap{{"return withPort.Addr().Unmap().String(), true", "return withPort.Addr().Unmap().String(), false"}}, "./api", "TestForgedForwardedFor"},
	{19, "a stranger's traceparent counts", []swap{{`if caller != "" && r.remote.IsValid() {`, "if r.remote.IsValid() {"}}, "./traces", "TestSampling"},
	{19, "who asks for traces gets all of them", []swap{{"return wanted || t.asked.take(t.now())", "return true"}}, "./traces", "TestSampling"},
}

// TestBroken demands that a trial notices each missing bound.
func TestBroken(t *testing.T) {
	const root = "../.."
	sources := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		sources[path] = string(text)
		return err
	}))
	for _, v := range weakenings {
		t.Run(fmt.Sprintf("%d %s", v.attack, v.name), func(t *testing.T) {
			overlay := overlaid(t, sources, v.swaps)
			cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-timeout", "2m", "-run", v.test, v.pkg)
			cmd.Dir = root
			cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false -overlay="+overlay)
			if v.pkg == "" {
				binary := filepath.Join(t.TempDir(), "holdfast")
				build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./cmd/holdfast")
				build.Dir, build.Env = root, cmd.Env
				if out, err := build.CombinedOutput(); err != nil {
					t.Fatalf("go build: %v\n%s", err, out)
				}
				self, err := os.Executable()
				must(t, err)
				exact := "^" + strings.ReplaceAll(v.test, "/", "$/^") + "$"
				cmd = exec.CommandContext(t.Context(), self, "-test.timeout", "2m", "-test.run", exact)
				cmd.Env = append(os.Environ(), "ABUSE_BINARY="+binary)
			}
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "--- FAIL: ") {
				t.Errorf("%s has not noticed it: %v\n%s", v.test, err, out)
			}
		})
	}
}

// overlaid writes the file for the go command's -overlay with these swaps.
func overlaid(t *testing.T, sources map[string]string, swaps []swap) string {
	t.Helper()
	dir, changed := t.TempDir(), map[string]string{}
	for _, s := range swaps {
		var in []string
		for path, text := range sources {
			if n := strings.Count(text, s.from); n > 0 {
				in = slices.Concat(in, slices.Repeat([]string{path}, n))
			}
		}
		if len(in) != 1 {
			t.Fatalf("%q stands in %q, and has to stand in one place", s.from, in)
		}
		if changed[in[0]] == "" {
			changed[in[0]] = sources[in[0]]
		}
		changed[in[0]] = strings.Replace(changed[in[0]], s.from, s.to, 1)
	}
	replace := map[string]string{}
	for path, text := range changed {
		absolute, err := filepath.Abs(path)
		must(t, err)
		replace[absolute] = filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		must(t, os.WriteFile(replace[absolute], []byte(text), 0o600))
	}
	text, err := json.Marshal(map[string]any{"Replace": replace})
	must(t, err)
	file := filepath.Join(dir, "overlay.json")
	must(t, os.WriteFile(file, text, 0o600))
	return file
}
