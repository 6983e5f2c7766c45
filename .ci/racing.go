//go:build ignore

// Racing prints a pattern of the tests that do two things at once, and the packages they
// are in. `make test` runs these with the race detector, and all others without it. A name
// counts in every package, so it is an error if it also stands in a package that has no
// such test: there it would run in neither way.
//
// A test is one of them if it, or a function of its package that it calls, starts a
// goroutine. Functions are told apart by name alone, so that a test is taken rather once
// too often. A test that is merely parallel to others does one thing itself. Programs are an exception: each test of theirs would be one, because their
// main function can serve. There only what the tests start counts.
package main

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// code is what the files of one directory declare.
type code struct {
	names  map[string][]string // that a function has in it
	starts map[string]bool     // the functions that start a goroutine
	tests  []string
}

func main() {
	build.Default.BuildTags = []string{"race"}
	dirs := map[string]*code{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".go" {
			return err
		}
		dir, name := filepath.Split(path)
		if built, err := build.Default.MatchFile(dir, name); err != nil || !built {
			return err
		}
		if strings.HasPrefix(path, "cmd/") && !strings.HasSuffix(name, "_test.go") {
			return nil
		}
		if dirs[dir] == nil {
			dirs[dir] = &code{names: map[string][]string{}, starts: map[string]bool{}}
		}
		return dirs[dir].read(path)
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var packages, tests []string
	for dir, c := range dirs {
		for _, test := range c.tests {
			if c.startsGoroutine(test, map[string]bool{}) {
				packages, tests = append(packages, "./"+dir), append(tests, test)
			}
		}
	}
	for dir, c := range dirs {
		for _, test := range c.tests {
			if slices.Contains(tests, test) && !slices.Contains(packages, "./"+dir) {
				fmt.Fprintf(os.Stderr, "%s: %s has the name of a test that runs with the race detector: give it another\n", dir, test)
				os.Exit(1)
			}
		}
	}
	slices.Sort(packages)
	slices.Sort(tests)
	fmt.Printf("^(%s)$ %s\n", strings.Join(slices.Compact(tests), "|"), strings.Join(slices.Compact(packages), " "))
}

func (c *code) read(path string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			name := d.Name.Name
			if d.Recv == nil && strings.HasSuffix(path, "_test.go") && strings.HasPrefix(name, "Test") && name != "TestMain" {
				c.tests = append(c.tests, name)
			}
			c.readNamed(name, d)
		case *ast.GenDecl:
			for _, s := range d.Specs {
				if v, ok := s.(*ast.ValueSpec); ok {
					c.readNamed(v.Names[0].Name, v) // a table of functions
				}
			}
		}
	}
	return nil
}

func (c *code) readNamed(name string, n ast.Node) {
	ast.Inspect(n, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			c.starts[name] = true
		case *ast.Ident:
			c.names[name] = append(c.names[name], n.Name)
		case *ast.CallExpr:
			if called, ok := n.Fun.(*ast.SelectorExpr); ok {
				switch called.Sel.Name {
				case "Go", "AfterFunc": // of a WaitGroup and of time
					c.starts[name] = true
				}
			}
		}
		return true
	})
}

func (c *code) startsGoroutine(name string, seen map[string]bool) bool {
	if seen[name] {
		return false
	}
	seen[name] = true
	return c.starts[name] || slices.ContainsFunc(c.names[name], func(called string) bool { return c.startsGoroutine(called, seen) })
}
