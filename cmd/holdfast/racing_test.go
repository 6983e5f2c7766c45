package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// `make test` runs with the race detector whatever starts a goroutine: here, all tests
// that plainly do, and some that do so through others.
func TestRacingTests(t *testing.T) {
	list := exec.CommandContext(t.Context(), "go", "run", ".ci/racing.go")
	list.Dir = root
	out, err := list.Output()
	must(t, err)
	fields := strings.Fields(string(out))
	if len(fields) < 2 {
		t.Fatalf("no pattern and packages, but %q", out)
	}
	racing := regexp.MustCompile(fields[0])
	packages := strings.Join(fields[1:], " ") + " "

	for _, name := range []string{"TestRaceForThreePlaces", "TestRightServerPasses", "TestHTTPS", "TestFairness", "TestBatchLastSpot"} {
		if !racing.MatchString(name) {
			t.Errorf("%s runs without the race detector", name)
		}
	}
	if racing.MatchString("TestChangeRefusals") {
		t.Error("TestChangeRefusals does one thing after another, and runs with the race detector")
	}

	test := regexp.MustCompile(`(?ms)^func (Test\w+)\(t \*testing\.T\) \{\n(.*?)^\}`)
	starts := regexp.MustCompile(`(?m)^\s*go |\.Go\(|\btogether\(`)
	dirs := 0
	for _, dir := range []string{"booking", "api", "storage", "conform", "cmd/holdfast"} {
		files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
		must(t, err)
		for _, file := range files {
			content, err := os.ReadFile(file)
			must(t, err)
			text := string(content)
			if strings.HasPrefix(text, "//go:build abuse") || strings.HasPrefix(text, "//go:build ha") {
				continue // they have a make target of their own
			}
			for _, found := range test.FindAllStringSubmatch(text, -1) {
				if starts.MatchString(found[2]) && !racing.MatchString(found[1]) {
					t.Errorf("%s: %s starts goroutines, and runs without the race detector", file, found[1])
				}
			}
		}
		if strings.Contains(packages, "./"+dir+"/ ") {
			dirs++
		}
	}
	if dirs != 5 {
		t.Errorf("of five packages with goroutines, %d run with the race detector: %s", dirs, packages)
	}
}
