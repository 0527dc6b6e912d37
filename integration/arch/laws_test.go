package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// dependencies lists every package that a package of ours links.
func dependencies(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", pkg).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Fields(string(out))
}

// Nothing that the router links may be able to decrypt a payload.
func TestRouterLinksNothingThatDecrypts(t *testing.T) {
	deps := dependencies(t, "../../cmd/router")
	if !slices.Contains(deps, "github.com/blindfold-wamp/blindfold/router") {
		t.Fatal("go list does not list what it should")
	}
	for _, dep := range deps {
		for _, forbidden := range []string{"nacl", "salsa20", "chacha20poly1305", "blindfold/cryptobox", "blindfold/client", "blindfold/scope", "filippo.io/age", "curve25519"} {
			// crypto/internal/... is the standard library's TLS.
			if strings.Contains(dep, forbidden) && !strings.HasPrefix(dep, "crypto/") && !strings.HasPrefix(dep, "vendor/") {
				t.Errorf("cmd/router links %s", dep)
			}
		}
	}
}

// What describes a binary is not in it.
func TestProgramsLinkNoSBOM(t *testing.T) {
	linked := func(pkg string) bool {
		return slices.Contains(dependencies(t, pkg), "github.com/CycloneDX/cyclonedx-go")
	}
	if !linked("../../deploy/sbom") {
		t.Fatal("go list does not list what it should")
	}
	for _, pkg := range []string{"../../cmd/router", "../../cmd/seal"} {
		if linked(pkg) {
			t.Errorf("%s links it", pkg)
		}
	}
}

// The bytes of a payload are touched in one place: where the codec splices them
// behind an envelope. Its digest and the binary in it are for those at the ends.
func TestOnlyTheCodecTouchesPayloadBytes(t *testing.T) {
	allowed := map[string][]string{
		"AppendTail": {"wamp/codec"},
		"Binary":     {"client", "verify"}, // codec.Binary
	}
	seen := map[string]int{}
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path == filepath.Join("..", "..", "integration", "sabotage") {
			return fs.SkipDir // routers that break the law, for seal verify to find out
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		folder, err := filepath.Rel("../..", filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, isIdent := call.X.(*ast.Ident)
			if call.Sel.Name == "Binary" && (!isIdent || x.Name != "codec") {
				return true
			}
			if folders, guarded := allowed[call.Sel.Name]; guarded {
				seen[call.Sel.Name]++
				if !slices.Contains(folders, filepath.ToSlash(folder)) {
					t.Errorf("%s uses %s", path, call.Sel.Name)
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen["AppendTail"] == 0 {
		t.Error("AppendTail is not even used by the codec: has it another name?")
	}
}
