package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// What the router makes of payloads is bounded: Payload.Decode, which isn't, is for
// clients.
func TestRouterDecodesWithinLimits(t *testing.T) {
	unbounded := func(dir string) (calls []string) {
		files := token.NewFileSet()
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok && len(call.Args) == 0 {
					if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "Decode" {
						calls = append(calls, files.Position(call.Pos()).String())
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return calls
	}
	if len(unbounded("../../client")) == 0 {
		t.Fatal("clients decode payloads: the test doesn't see it")
	}
	for _, dir := range []string{"router", "adapter", "auth", "passthrough", "transport", "metrics", "cmd/router"} {
		for _, call := range unbounded("../../" + dir) {
			t.Errorf("%s decodes a payload without limits", call)
		}
	}
}
