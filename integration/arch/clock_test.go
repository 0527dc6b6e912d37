package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// A step of the wall clock ends no session and no call, and lets nobody in: deadlines
// and durations go by the monotonic clock, which package time carries along in what
// time.Now returns, until one of these is called. So whatever calls one is listed here
// with what it is for, and none is for measuring how long something takes.
//
// (A process can't be shown another wall clock without the machine's being set:
// Linux's time namespaces have the other clocks only, and Go's programs don't ask
// the C library, which faketime replaces. Certificates are valid by the wall clock
// by definition.)
func TestDurationsAreMonotonic(t *testing.T) {
	stripping := []string{"Unix", "UnixMilli", "UnixMicro", "UnixNano", "UTC", "Local", "In", "Round", "Truncate", "Date", "Parse", "ParseInLocation",
		"MarshalBinary", "MarshalJSON", "MarshalText", "AppendFormat"}
	allowed := map[string]string{
		"router/eventstore/event.go New UTC":          "when an event was published, as it is shown",
		"router/eventstore/event.go New Truncate":     "the same",
		"router/eventstore/event.go Append UnixMilli": "the same, in a file",
		"router/eventstore/event.go Read UnixMilli":   "the same, read again",
		"router/eventstore/event.go Read UTC":         "the same",
		"router/slow.go disconnectSlow Unix":          "a deadline that has passed, whatever the clock says",
		"router/meta_events.go timestamp UTC":         "shown by the meta API",
		"router/meta_history.go setField Parse":       "a time that a client asks for",
		"transport/dial.go dialed Unix":               "a deadline that has passed",
		"auth/cra.go Authenticate UTC":                "shown to the client in the challenge, and not looked at again",
		"dashboard/recorder.go envelope UnixMilli":    "shown on the page",
		"cmd/router/configmetrics.go inForce Unix":    "when a certificate expires, which is by the wall clock",
		"cmd/router/debug.go printEnvelope UnixMilli": "shown to the operator",
	}
	seen := map[string]bool{}
	for _, folder := range []string{"router", "transport", "auth", "client", "cmd/router", "metrics", "passthrough", "dashboard", "wamp"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool { return i.Path.Value == `"time"` }) {
				return nil
			}
			name, err := filepath.Rel("../..", path)
			if err != nil {
				return err
			}
			for _, decl := range file.Decls {
				function := "(package)"
				if f, ok := decl.(*ast.FuncDecl); ok {
					function = f.Name.Name
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					s, ok := n.(*ast.SelectorExpr)
					if ok && slices.Contains(stripping, s.Sel.Name) && !ofAnotherPackage(file, s.X) {
						place := filepath.ToSlash(name) + " " + function + " " + s.Sel.Name
						if seen[place] = true; allowed[place] == "" {
							t.Errorf("%s: is this about how long something takes? Then it must not; else list it here", place)
						}
					}
					return true
				})
			}
			return nil
		})
		routertest.NoError(t, err)
	}
	for place := range allowed {
		if !seen[place] {
			t.Errorf("%s is listed, and isn't there", place)
		}
	}
}

// ofAnotherPackage reports whether x is the name of a package that file imports, and
// not that of package time.
func ofAnotherPackage(file *ast.File, x ast.Expr) bool {
	name, ok := x.(*ast.Ident)
	return ok && name.Name != "time" && slices.ContainsFunc(file.Imports, func(i *ast.ImportSpec) bool {
		return strings.HasSuffix(strings.Trim(i.Path.Value, "\""), name.Name)
	})
}
