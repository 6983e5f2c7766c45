//go:build abuse && linux

package main

import (
	"cmp"
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
	{1, "all clinics have one account", []swap{{"who = owner{kind: k.channel.Kind, name: caller.Name}", "who = owner{kind: k.channel.Kind}"}, waits}, "", "TestAbuseAnnouncedBodies/HTTP/SQLite"},
	{1, "bodies are charged when announced", []swap{
		{"size = min(size, length+1) // one more, to see the end", "size = length + 1\nif err := p.charge(2*size); err != nil { return nil, err }"},
	}, "./api/edge", "TestReadBody|TestBytesAreCharged"},
	{2, "who waits keeps its place", []swap{waits}, "", "TestAbuseExchangeToken/HTTP/SQLite"},
	{3, "one clinic may have all places and connections", []swap{
		{"Each: min(maxConnectionsEach, most/4), Trusted", "Each: maxConnections, Trusted"},
		{"edge.Use{Places: 128, Working: 128, Refused: 128, Bytes: 12 << 20}", "edge.Use{Places: 1024, Working: 128, Refused: 128, Bytes: 12 << 20}"}, waits,
	}, "", "TestAbuseOneToken/HTTP/SQLite"},
	{4, "streams without a bound, no places for strangers", []swap{
		{"MaxConcurrentStreams: 32,", "MaxConcurrentStreams: 1000,"},
		{"Use{Places: 64, Working: 8, Refused: 64, Bytes: 1 << 20}", "Use{Places: 1 << 20, Working: 8, Refused: 64, Bytes: 1 << 40}"},
		{"Use{Places: 512, Working: 64, Refused: 512, Bytes: 4 << 20}", "Use{Places: 1 << 20, Working: 64, Refused: 512, Bytes: 1 << 40}"},
	}, "", "TestAbuseStreams/SQLite/openapi.yaml"},
	{5, "the newest connection is refused, and nobody has to hurry", []swap{
		{"Each: min(maxConnectionsEach, most/4), Trusted", "Each: maxConnections, Trusted"},
		{"victim = cmp.Or(first(l.leaving, any), first(l.waiting[unproven], l.overdrawn), first(l.waiting[unproven], any), first(l.waiting[proven], any))", "victim = c"},
		{"hurry = 2 * time.Second", "hurry = time.Minute"},
	}, "", "TestAbuseReaders/HTTP/SQLite"},
	{5, "no connections for Google alone", []swap{{"l.open-l.kept >= l.limits.Most-l.limits.Reserved, l.open >= l.limits.Most", "l.open >= l.limits.Most"}}, "./api/edge", "TestConnections"},
	{6, "answers are held without a bound", []swap{{"most > 0 && p.in.unread > 0 && p.in.unread+more > most", "most < 0"}}, "./api/edge", "TestUnreadAnswersAreCharged"},
	{6, "a history on one page", []swap{{"i > 0 && total > booking.PageBytes", "i > 0 && total > 1<<40"}}, "./storage", "TestPages"},
	{7, "reads without turns", []swap{{"queriesEach = 2", "queriesEach = 1000"}, {"queriesAll  = 4", "queriesAll = 1000"}}, "./api", "TestOneClinicsQueries"},
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

// sourcesOf are the files of Go that are tests, or are none, by path.
func sourcesOf(t *testing.T, tests bool) map[string]string {
	t.Helper()
	sources := map[string]string{}
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") != tests {
			return err
		}
		text, err := os.ReadFile(path)
		sources[path] = string(text)
		return err
	}))
	return sources
}

// TestAbuseVariantsFit finds a variant that no longer fits the program or its tests before TestBroken does, which
// takes half an hour.
func TestAbuseVariantsFit(t *testing.T) {
	sources, tests := sourcesOf(t, false), sourcesOf(t, true)
	for _, v := range weakenings {
		t.Run(fmt.Sprintf("%d %s", v.attack, v.name), func(t *testing.T) {
			overlaid(t, sources, v.swaps)
			for name := range strings.SplitSeq(v.test, "|") {
				name, _, _ = strings.Cut(name, "/")
				found := name == "."
				for path, text := range tests {
					found = found || filepath.Dir(path) == filepath.Join(root, cmp.Or(v.pkg, "cmd/holdfast")) && strings.Contains(text, "func "+name+"(t *testing.T)")
				}
				if !found {
					t.Errorf("%s is no test of %s", name, v.pkg)
				}
			}
		})
	}
}

// TestBroken demands that a trial notices each missing bound.
func TestBroken(t *testing.T) {
	sources := sourcesOf(t, false)
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
