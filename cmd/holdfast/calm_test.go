package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The packages whose tests run without the race detector start no goroutines, not even in their tests.
func TestCalmPackages(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	must(t, err)
	list := regexp.MustCompile(`(?m)^calm = (.*)$`).FindSubmatch(makefile)
	if list == nil {
		t.Fatal("the Makefile has no list of calm packages")
	}
	looked := 0
	for _, place := range strings.Fields(string(list[1])) {
		dir := filepath.Join(root, strings.TrimSuffix(place, "/..."))
		must(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case entry.IsDir() && path != dir && !strings.HasSuffix(place, "/..."):
				return filepath.SkipDir
			case filepath.Ext(path) != ".go":
				return nil
			}
			looked++
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				starts := false
				switch n := n.(type) {
				case *ast.GoStmt:
					starts = true
				case *ast.CallExpr:
					f, ok := n.Fun.(*ast.SelectorExpr)
					starts = ok && (f.Sel.Name == "Go" || f.Sel.Name == "AfterFunc")
				}
				if starts {
					t.Errorf("%s starts a goroutine: take its package from the list in the Makefile", fset.Position(n.Pos()))
				}
				return true
			})
			return nil
		}))
	}
	if looked < 20 {
		t.Errorf("only %d files were looked at", looked)
	}
}
