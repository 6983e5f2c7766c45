package docs

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
)

// vendor.txt lists every file in vendor/ with where it comes from, and no other.
func TestVendored(t *testing.T) {
	list, err := os.ReadFile("vendor.txt")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 7 {
			t.Fatalf("%q has %d fields, want 7", line, len(f))
		}
		name, licence, served := f[0], f[3], f[6]
		listed[name] = true
		text, err := os.ReadFile("vendor/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, ".gz") {
			text = unpacked(t, text)
		}
		if sum := sha256.Sum256(text); hex.EncodeToString(sum[:]) != served {
			t.Errorf("%s is not what vendor.txt says: %x", name, sum)
		}
		if licence != "MIT" {
			t.Errorf("%s has the licence %s", name, licence)
		}
	}
	there, err := os.ReadDir("vendor")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range there {
		if !listed[f.Name()] {
			t.Errorf("vendor.txt does not list %s", f.Name())
		}
	}
	if len(listed) != len(there) {
		t.Errorf("vendor.txt lists %d files, vendor/ has %d", len(listed), len(there))
	}
}

// The page loads its parts and nothing else, and nothing in it asks the policy for more.
func TestPageLoadsItsPartsOnly(t *testing.T) {
	p, ok := Find("")
	if !ok {
		t.Fatal("there is no page")
	}
	loads := regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(string(p.Body), -1)
	parts := 0
	for _, l := range loads {
		part, isPart := strings.CutPrefix(l[1], "?part=")
		switch _, known := Find(part); {
		case l[1] == "data:,": // no icon
		case !isPart || !known:
			t.Errorf("the page loads %q", l[1])
		default:
			parts++
		}
	}
	if parts != 2 || len(files) != 3 {
		t.Errorf("the page loads %d parts of %d", parts, len(files)-1)
	}
	if inline := regexp.MustCompile(`<script>|<style|style=|\son\w+=`).FindString(string(p.Body)); inline != "" {
		t.Errorf("the page has %q inline", inline)
	}
	for _, forbidden := range []string{"unsafe", "http:", "https:", "*", "blob:"} {
		if strings.Contains(policy, forbidden) {
			t.Errorf("the policy allows %s", forbidden)
		}
	}
	if bytes.Contains(unpacked(t, renderer), []byte("cdn.redoc.ly")) {
		t.Error("the renderer loads its maker's logo")
	}
	if _, ok := Find("renderer.js"); ok {
		t.Error("a part is found without its hash")
	}
}

func unpacked(t *testing.T, packed []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
