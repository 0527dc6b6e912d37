package arch

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/blindfold-wamp/blindfold"

// row is a row of the table in imports.md.
type row struct{ own, modules []string }

func (r row) String() string {
	quoted := func(names []string) string {
		if len(names) == 0 {
			return ""
		}
		return "`" + strings.Join(names, "` `") + "` "
	}
	return quoted(r.own) + "| " + quoted(r.modules) + "|"
}

// testsOnly is the row of the modules that only tests import.
const testsOnly = "tests only"

// Code imports what imports.md says, and nothing else.
func TestImports(t *testing.T) {
	want, got := importTable(t), importsOf(t, "../..")
	if len(want) < 20 || len(got) < 20 {
		t.Fatalf("only %d rows and %d packages", len(want), len(got))
	}
	for _, pkg := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[pkg]; !ok {
			t.Errorf("imports.md has no row for %s. If it may import this, add:\n| `%s` | %v", pkg, pkg, got[pkg])
		}
	}
	for pkg, r := range want {
		if _, err := os.Stat(filepath.Join("../..", pkg)); err != nil && pkg != testsOnly {
			t.Errorf("imports.md has a row for %s: %v", pkg, err)
		}
		for _, name := range append(slices.Clone(got[pkg].own), got[pkg].modules...) {
			if !slices.Contains(r.own, name) && !slices.Contains(r.modules, name) {
				t.Errorf("%s imports %s, which its row in imports.md does not allow", pkg, name)
			}
		}
		for _, name := range append(slices.Clone(r.own), r.modules...) {
			if !slices.Contains(got[pkg].own, name) && !slices.Contains(got[pkg].modules, name) {
				t.Errorf("%s does not import %s, which stands in its row in imports.md", pkg, name)
			}
		}
	}
}

// importTable reads imports.md.
func importTable(t *testing.T) map[string]row {
	t.Helper()
	text, err := os.ReadFile("imports.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]row)
	names := func(cell string) (found []string) {
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(cell, -1) {
			found = append(found, m[1])
		}
		return found
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 3 || !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| package ") {
			continue
		}
		pkg := strings.Trim(strings.TrimSpace(cells[0]), "`")
		if _, twice := rows[pkg]; twice {
			t.Errorf("imports.md has two rows for %s", pkg)
		}
		rows[pkg] = row{names(cells[1]), names(cells[2])}
	}
	return rows
}

// importsOf reads the imports of all packages under a folder, whatever the
// platform or build tag is that a file is for. Packages that import nothing but
// the standard library are left out.
func importsOf(t *testing.T, top string) map[string]row {
	t.Helper()
	modules := requirements(t, filepath.Join(top, "go.mod"))
	found := map[string]row{testsOnly: {}}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(top, path)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if d.IsDir() {
			_, nested := os.Stat(filepath.Join(path, "go.mod"))
			if name != "." && (nested == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" ||
				name == "integration/sabotage") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(filepath.Dir(name))
		test := strings.HasSuffix(name, "_test.go")
		if test {
			pkg = testsOnly
		}
		r := found[pkg]
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			own, isOwn := strings.CutPrefix(imported, module+"/")
			switch first, _, _ := strings.Cut(imported, "/"); {
			case isOwn:
				if !test {
					r.own = append(r.own, own)
				}
			case strings.Contains(first, "."):
				r.modules = append(r.modules, moduleOf(t, modules, imported))
			}
		}
		if len(r.own)+len(r.modules) > 0 {
			found[pkg] = r
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for pkg, r := range found {
		slices.Sort(r.own)
		slices.Sort(r.modules)
		found[pkg] = row{slices.Compact(r.own), slices.Compact(r.modules)}
		for _, m := range r.modules {
			used[m] = used[m] || pkg != testsOnly
		}
	}
	found[testsOnly] = row{modules: slices.DeleteFunc(found[testsOnly].modules, func(m string) bool { return used[m] })}
	return found
}

// requirements returns the modules that a go.mod requires, longest path first.
func requirements(t *testing.T, file string) (modules []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^\s+(\S+) v\S+`).FindAllStringSubmatch(string(text), -1) {
		modules = append(modules, m[1])
	}
	slices.SortFunc(modules, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return modules
}

func moduleOf(t *testing.T, modules []string, imported string) string {
	t.Helper()
	for _, m := range modules {
		if imported == m || strings.HasPrefix(imported, m+"/") {
			return m
		}
	}
	t.Errorf("go.mod requires no module with %s", imported)
	return imported
}
