package catalogue_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/inventory"
	"holdfast/inventory/catalogue"
)

const (
	startSec = 1_770_000_000 // some slot
	clinicID = "clinic-1"
)

// metadata is right, and of a feed in one file.
const metadata = `"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "total_shards": 1, "generation_timestamp": 1769990000}`

// shard is the metadata of one of several files.
func shard(number, total int) string {
	return fmt.Sprintf(`"metadata": {"processing_instruction": "PROCESS_AS_COMPLETE", "shard_number": %d, "total_shards": %d,
		"generation_timestamp": "1769990000", "nonce": 12427072415225169848}`, number, total)
}

func from(name string, content []byte) (*catalogue.File, error) {
	return catalogue.From(context.Background(), name, int64(len(content)), func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	})
}

func mustFrom(t *testing.T, name, content string) *catalogue.File {
	t.Helper()
	f, err := from(name, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func mustOpen(t *testing.T, path string) *catalogue.File {
	t.Helper()
	f, err := catalogue.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// feedOf is the one feed that the files are, by name a.json, b.json …
func feedOf(t *testing.T, contents ...string) catalogue.Feed {
	t.Helper()
	var files []*catalogue.File
	for i, c := range contents {
		files = append(files, mustFrom(t, string(rune('a'+i))+".json", c))
	}
	return oneFeed(t, files...)
}

func oneFeed(t *testing.T, files ...*catalogue.File) catalogue.Feed {
	t.Helper()
	feeds, err := catalogue.Feeds(files)
	if err != nil {
		t.Fatal(err)
	}
	if len(feeds) != 1 {
		t.Fatalf("got %d feeds, want 1", len(feeds))
	}
	return feeds[0]
}

// known has the merchants of the tests: every clinic-… is a clinic, others come from feeds, and all sell everything, except names that begin
// with "no".
type known struct{}

func (known) Merchant(id string) (inventory.MerchantKind, bool) {
	if strings.HasPrefix(id, "clinic-") {
		return inventory.MerchantClinic, true
	}
	return inventory.MerchantFeed, !strings.HasPrefix(id, "no")
}

func (known) Service(_, id string) bool { return !strings.HasPrefix(id, "no") }

// wantProblems fails unless err is exactly these lines.
func wantProblems(t *testing.T, err error, want ...string) {
	t.Helper()
	var problems catalogue.Problems
	if !errors.As(err, &problems) {
		t.Fatalf("got error %v, want Problems", err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

func zip(t *testing.T, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(content)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var byName = cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })

func TestOpenRecognisesContent(t *testing.T) {
	tests := []struct {
		name, content string
		want          catalogue.Kind
	}{
		{"a catalogue in YAML", "# ours\nmerchants:\n  - id: x\n", catalogue.Clinics},
		{"a catalogue in YAML with a quoted key", "---\r\n\"merchants\" : []\r\n", catalogue.Clinics},
		{"a catalogue in YAML that is broken further on", "merchants: [\n", catalogue.Clinics},
		{"a catalogue in JSON", ` {"merchants": []}`, catalogue.Clinics},
		{"a merchants feed", `{` + metadata + `, "merchant": []}`, catalogue.MerchantFeed},
		{"a services feed", `{` + metadata + `, "service": []}`, catalogue.ServiceFeed},
		{"an availability feed", `{` + metadata + `, "service_availability": []}`, catalogue.AvailabilityFeed},
		{"metadata after the rows", `{"merchant": [{"name": "}"}, {}], ` + metadata + `}`, catalogue.MerchantFeed},
		{"a byte order mark", "\ufeff{" + metadata + `, "service": []}`, catalogue.ServiceFeed},
		{"keys spelled in camel case", `{"x": {"service": 1}, ` + metadata + `, "serviceAvailability": []}`, catalogue.AvailabilityFeed},
	}
	for _, tt := range tests {
		for _, zipped := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, gzip %t", tt.name, zipped), func(t *testing.T) {
				content := []byte(tt.content)
				if zipped {
					content = zip(t, tt.content)
				}
				path := filepath.Join(t.TempDir(), "a name that means nothing.csv")
				if err := os.WriteFile(path, content, 0o600); err != nil {
					t.Fatal(err)
				}
				f := mustOpen(t, path)
				if f.Kind != tt.want || f.Size != int64(len(content)) || f.Path != path {
					t.Errorf("got %q of %d bytes at %s, want %q of %d at %s", f.Kind, f.Size, f.Path, tt.want, len(content), path)
				}
			})
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	truncated := zip(t, strings.Repeat(`{`+metadata+`, "service": []}`, 9))
	tests := []struct{ name, content, want string }{
		{"nothing", "", "x: not a file that can be imported"},
		{"a table", "id,name\n1,merchants\n", "x: not a file that can be imported"},
		{"other JSON", `{"merchantz": []}`, "x: not a file that can be imported"},
		{"a JSON list", `[{"merchants": []}]`, "x: not a file that can be imported"},
		{"what only looks like JSON", "{merchants: []}", "line 1, column 2: invalid character 'm'"},
		{"half a gzip file", string(truncated[:len(truncated)/2]), "x: unexpected EOF"},
		{"a gzip file of nothing", "\x1f\x8b", "x: unexpected EOF"},
		{"JSON that breaks before the metadata", "{\n  \"merchant\": [\n    {},\n  ]", "line 4, column 3: invalid character ']'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := from("x", []byte(tt.content))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if _, err := catalogue.Open(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: got %v, want an error", err)
	}
	if _, err := catalogue.Open(t.Context(), "missing"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: got %v, want %v", err, os.ErrNotExist)
	}
}

func TestMetadata(t *testing.T) {
	f := mustFrom(t, "x", `{"metadata": {"processing_instruction": "PROCESS_AS_INCREMENTAL", "shard_number": "1", "total_shards": 2,
		"generation_timestamp": "1524606581", "nonce": "18446744073709551615", "later": {}}, "service": []}`)
	want := catalogue.Metadata{ShardNumber: 1, TotalShards: 2, GenerationSec: 1524606581, Nonce: "18446744073709551615"}
	if f.Meta != want {
		t.Errorf("got %+v, want %+v", f.Meta, want)
	}
	if f := mustFrom(t, "x", `{"service": [], `+metadata+`}`); !f.Meta.Complete || f.Meta.TotalShards != 1 {
		t.Errorf("got %+v, want it complete in one file", f.Meta)
	}

	tests := []struct {
		name, metadata string
		want           []string
	}{
		{"none", `null`, []string{"metadata: required"}},
		{"not an object", `[]`, []string{"metadata: must be an object, not a list"}},
		{"empty", `{}`, []string{
			"metadata.processing_instruction: required",
			"metadata.generation_timestamp: required",
			"metadata.total_shards: required"}},
		{"unknown instruction", `{"processing_instruction": "PROCESS_UNKNOWN", "generation_timestamp": 1769990000, "total_shards": 1}`, []string{
			`metadata.processing_instruction: must be PROCESS_AS_COMPLETE, not "PROCESS_UNKNOWN"`}},
		{"milliseconds", `{"processing_instruction": "PROCESS_AS_COMPLETE", "generation_timestamp": 1769990000000, "total_shards": 1}`, []string{
			"metadata.generation_timestamp: must be in seconds, and 1769990000000 looks like milliseconds"}},
		{"microseconds", `{"processing_instruction": "PROCESS_AS_COMPLETE", "generation_timestamp": "1769990000000000", "total_shards": 1}`, []string{
			"metadata.generation_timestamp: must be in seconds, and 1769990000000000 looks like microseconds"}},
		{"shards", `{"processing_instruction": "PROCESS_AS_COMPLETE", "generation_timestamp": 1769990000, "total_shards": 2, "shard_number": 2}`, []string{
			"metadata.shard_number: must be less than total_shards, and 2 is not less than 2",
			"metadata.nonce: required when total_shards is above 1"}},
		{"numbers that are none", `{"processing_instruction": "PROCESS_AS_COMPLETE", "generation_timestamp": 1.5, "total_shards": "many", "nonce": -1}`, []string{
			"metadata.generation_timestamp: must be a whole number, not 1.5",
			`metadata.total_shards: must be a whole number, not "many"`,
			`metadata.nonce: must be a whole number from 0 to 18446744073709551615, not "-1"`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := from("x", []byte(`{"merchant": [], "metadata": `+tt.metadata+`}`))
			wantProblems(t, err, tt.want...)
		})
	}
	_, err := from("x", []byte(`{"merchant": []}`))
	wantProblems(t, err, "metadata: required")
}

func TestProblemsPrintAHundredLines(t *testing.T) {
	problems := make(catalogue.Problems, 150)
	for i := range problems {
		problems[i] = catalogue.Problem{Path: fmt.Sprintf("a[%d]", i), Message: "no"}
	}
	lines := strings.Split(problems.Error(), "\n")
	if len(lines) != 101 || lines[0] != "a[0]: no" || lines[99] != "a[99]: no" || lines[100] != "… and 50 more" {
		t.Errorf("got %d lines: %q … %q", len(lines), lines[0], lines[len(lines)-1])
	}
	if got := problems[:100].Error(); strings.Contains(got, "more") {
		t.Errorf("100 problems: got %q at the end, want no more", got[len(got)-20:])
	}
}
