package main

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// permitted says which of our packages each of our packages may import. It is the picture in docs/architecture.md. A new package needs a
// line here.
var permitted = map[string][]string{
	"holdfast/inventory":           {},
	"holdfast/idempotency":         {},
	"holdfast/letters":             {},
	"holdfast/inventory/catalogue": {"holdfast/inventory", "holdfast/letters"},
	"holdfast/booking":             {"holdfast/inventory", "holdfast/idempotency", "holdfast/letters"},
	"holdfast/storage":             {"holdfast/booking", "holdfast/inventory", "holdfast/idempotency", "holdfast/letters"},
	"holdfast/storage/storagetest": {"holdfast/storage", "holdfast/booking", "holdfast/inventory"},
	"holdfast/traces":              {"holdfast/api/edge", "holdfast/booking", "holdfast/storage"},
	"holdfast/traces/tracestest":   {},
	"holdfast/importer":            {"holdfast/booking", "holdfast/inventory", "holdfast/inventory/catalogue", "holdfast/letters", "holdfast/storage"},
	"holdfast/archive":             {"holdfast/booking", "holdfast/inventory", "holdfast/storage"},
	"holdfast/api/mapsbooking":     {},
	"holdfast/api/edge":            {"holdfast/booking"},
	"holdfast/api/google":          {"holdfast/api/edge", "holdfast/api/mapsbooking", "holdfast/booking", "holdfast/inventory", "holdfast/idempotency", "holdfast/letters"},
	"holdfast/api/clinic":          {"holdfast/api/edge", "holdfast/booking", "holdfast/inventory", "holdfast/idempotency", "holdfast/letters"},
	"holdfast/api/docs":            {},
	"holdfast/api":                 {"holdfast/api/edge", "holdfast/api/google", "holdfast/api/clinic", "holdfast/api/docs", "holdfast/booking"},
	"holdfast/cmd/bench":           {"holdfast/storage/storagetest"},
	"holdfast/cmd/torture":         {"holdfast/storage/storagetest"},
	"holdfast/conform":             {"holdfast/api/mapsbooking", "holdfast/inventory", "holdfast/inventory/catalogue"},
	"holdfast/sandbox":             {"holdfast/api/mapsbooking"},
	"holdfast/cmd/holdfast": {
		"holdfast/api", "holdfast/api/edge", "holdfast/api/google", "holdfast/archive", "holdfast/booking", "holdfast/conform", "holdfast/importer", "holdfast/inventory", "holdfast/storage", "holdfast/letters", "holdfast/sandbox", "holdfast/traces",
	},
}

// only says which of our packages may import a large library, by the start of its path.
var only = map[string][]string{
	"gorm.io/":                   {"holdfast/storage"},
	"github.com/jackc/":          {"holdfast/storage", "holdfast/storage/storagetest"},
	"modernc.org/":               {"holdfast/storage"},
	"github.com/pressly/":        {"holdfast/storage"},
	"github.com/labstack/":       {"holdfast/api", "holdfast/api/edge", "holdfast/api/google", "holdfast/api/clinic"},
	"google.golang.org/protobuf": {"holdfast/api/edge", "holdfast/api/google", "holdfast/api/mapsbooking", "holdfast/conform", "holdfast/sandbox", "holdfast/traces", "holdfast/traces/tracestest"},
	"github.com/goccy/":          {"holdfast/inventory/catalogue"},
	"golang.org/x/text/":         {"holdfast/letters"},
	"github.com/nyaruka/":        {"holdfast/booking"},
	"github.com/alecthomas/":     {"holdfast/cmd/holdfast"},
	"github.com/prometheus/":     {"holdfast/cmd/holdfast"},
	"go.opentelemetry.io/":       {"holdfast/traces", "holdfast/traces/tracestest"},
	"database/sql":               {"holdfast/storage", "holdfast/storage/storagetest"},
	"net/http":                   {"holdfast/api", "holdfast/api/edge", "holdfast/api/google", "holdfast/api/clinic", "holdfast/cmd/holdfast", "holdfast/cmd/bench", "holdfast/conform", "holdfast/sandbox", "holdfast/cmd/torture", "holdfast/traces", "holdfast/traces/tracestest"},
}

func TestImportsPointDown(t *testing.T) {
	list := exec.Command("go", "list", "-json=ImportPath,Imports", "holdfast/...")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for d := json.NewDecoder(strings.NewReader(string(out))); ; seen++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		allowed, known := permitted[p.ImportPath]
		if !known {
			t.Errorf("%s is a new package: say in imports_test.go what it may import", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "holdfast/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
			for library, places := range only {
				if strings.HasPrefix(imported, library) && !slices.Contains(places, p.ImportPath) {
					t.Errorf("%s imports %s, which belongs into %v", p.ImportPath, imported, places)
				}
			}
		}
	}
	if seen != len(permitted) {
		t.Errorf("looked at %d packages, the map has %d", seen, len(permitted))
	}
}
