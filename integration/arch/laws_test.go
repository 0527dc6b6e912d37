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

	"github.com/blindfold-wamp/blindfold/internal/routertest"
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

// opensBoxes are parts of the names of packages that can decrypt a payload.
var opensBoxes = []string{"nacl", "salsa20", "chacha20poly1305", "blindfold/cryptobox", "blindfold/client", "blindfold/scope", "filippo.io/age", "curve25519"}

// isOpener reports whether a package or symbol can decrypt a payload.
// crypto/internal/… is the standard library's TLS.
func isOpener(name string) bool {
	return !strings.HasPrefix(name, "crypto/") && !strings.HasPrefix(name, "vendor/") &&
		slices.ContainsFunc(opensBoxes, func(part string) bool { return strings.Contains(name, part) })
}

// No package of the router may import what can decrypt a payload.
func TestRouterImportsNothingThatDecrypts(t *testing.T) {
	for _, pkg := range []string{"router", "passthrough", "transport/...", "wamp/...", "metrics", "auth", "dashboard"} {
		deps := dependencies(t, "../../"+pkg)
		if len(deps) < 5 {
			t.Fatal("go list does not list what it should")
		}
		for _, dep := range deps {
			if isOpener(dep) {
				t.Errorf("%s imports %s", pkg, dep)
			}
		}
	}
}

// Nothing in the router's program can decrypt a payload. (The client of NATS imports a package that could, for a kind of key that is
// not used: the linker leaves it out.)
func TestRouterLinksNothingThatDecrypts(t *testing.T) {
	if symbols := openers(t, routertest.RouterBinary(t)); len(symbols) > 0 {
		t.Errorf("the router links %v", symbols)
	}
	if len(openers(t, routertest.SealBinary(t))) == 0 {
		t.Error("seal links nothing that decrypts: this test finds nothing")
	}
}

// openers lists the symbols of a program that can decrypt a payload.
func openers(t *testing.T, program string) (found []string) {
	t.Helper()
	out, err := exec.Command("go", "tool", "nm", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		kind, name := fields[len(fields)-2], fields[len(fields)-1]
		// What a package does when a program starts stays, if the package is imported.
		if function := kind == "T" || kind == "t"; function && isOpener(name) && !strings.Contains(name, ".init") && len(found) < 10 {
			found = append(found, name)
		}
	}
	return found
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
		"Binary":     {"client", "verify", "adapter/nexus"}, // codec.Binary; the last for nexus's clients in its own process
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
