package arch

import (
	"crypto/sha256"
	"encoding/hex"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// adapter/nexus can't be built here (docs/nexus.md): the Go proxy does not serve nexus.
// These tests are what is left: it was tested as it is, and what it uses of ours exists.

const nexusAdapter = "../../adapter/nexus"

func TestNexusAdapterWasTestedAsItIs(t *testing.T) {
	sources, err := filepath.Glob(nexusAdapter + "/*.go")
	if err != nil || len(sources) < 5 {
		t.Fatal(sources, err)
	}
	slices.Sort(sources)
	hash := sha256.New()
	for _, file := range append(sources, nexusAdapter+"/go.mod") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		hash.Write(text)
	}
	tested, err := os.ReadFile(nexusAdapter + "/TESTED.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"\n- these sources: " + hex.EncodeToString(hash.Sum(nil)) + "\n", "\n- result: passed"} {
		if !strings.Contains(string(tested), line) {
			t.Errorf("adapter/nexus/TESTED.md lacks %q: run make nexus NEXUS=DIR, where DIR is a checkout of github.com/gammazero/nexus", line)
		}
	}
}

// What is renamed here is renamed there.
func TestNexusAdapterUsesWhatThereIs(t *testing.T) {
	imports := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		out, err := exec.Command("go", "list", "-export", "-f", "{{.Export}}", path).Output()
		if err != nil {
			return nil, err
		}
		return os.Open(strings.TrimSpace(string(out)))
	})
	packages := map[string]*types.Package{}
	sources, err := filepath.Glob(nexusAdapter + "/*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := 0
	for _, name := range sources {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours := map[string]*types.Package{}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil || !strings.HasPrefix(path, module+"/") || path == module+"/adapter/nexus" {
				continue
			}
			if packages[path] == nil {
				if packages[path], err = imports.Import(path); err != nil {
					t.Fatalf("%s imports %s: %v", name, path, err)
				}
			}
			ours[packages[path].Name()] = packages[path]
		}
		ast.Inspect(file, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if x, ok := selector.X.(*ast.Ident); ok && ours[x.Name] != nil && x.Obj == nil {
				used++
				if ours[x.Name].Scope().Lookup(selector.Sel.Name) == nil {
					t.Errorf("%s: there is no %s.%s", files.Position(n.Pos()), x.Name, selector.Sel.Name)
				}
			}
			return true
		})
	}
	if used < 100 {
		t.Errorf("only %d names of ours are used", used)
	}
}
