package docs

import (
	"cmp"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// featureRow is a row of the tables of features in docs/features.md.
type featureRow struct {
	name, status string
	roles, tests []string
}

var featureRowPattern = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|([^|\n]*)\\|([^|\n]*)\\|([^|\n]*)\\|")

func featureTable(t *testing.T) (rows []featureRow) {
	t.Helper()
	text, err := os.ReadFile("../../docs/features.md")
	if err != nil {
		t.Fatal(err)
	}
	split := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
	}
	for _, m := range featureRowPattern.FindAllStringSubmatch(string(text), -1) {
		rows = append(rows, featureRow{name: m[1], roles: split(m[2]), status: strings.TrimSpace(m[3]), tests: split(m[4])})
	}
	return rows
}

// testNames returns the names of all tests of this module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	defined := regexp.MustCompile(`(?m)^func (Test[A-Z]\w*)\(`)
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (entry.Name() == "node_modules" || entry.Name() == ".git") {
			return cmp.Or(err, fs.SkipDir)
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, m := range defined.FindAllSubmatch(text, -1) {
			found[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Every test that a page of the documentation names is there, in some package.
func TestDocumentedTestsExist(t *testing.T) {
	found, named := testNames(t), regexp.MustCompile(`\bTest[A-Z]\w*`)
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	names := 0
	for _, page := range append(pages, "../../README.md", "../../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range named.FindAllString(string(text), -1) {
			if names++; !found[name] {
				t.Errorf("%s: there is no %s", page, name)
			}
		}
	}
	if names < 50 {
		t.Errorf("the documentation names only %d tests", names)
	}
}

// docs/features.md claims what is announced, and nothing without a test.
func TestFeatureTable(t *testing.T) {
	rows, tests := featureTable(t), testNames(t)
	everything := routertest.WithRealm(func(c *router.RealmConfig) {
		c.TrustLevels = map[string]uint64{"anonymous": 1}
		c.History = []router.HistoryRule{{URI: "com.example.log", Match: wamp.MatchPrefix}}
		c.Retained, c.Testaments = new(router.RetainedLimits), new(router.TestamentLimits)
	})
	full := announcedBy(routertest.NewWorld(t, everything))
	plain := announcedBy(routertest.NewWorld(t))
	documented := make(map[string]bool)
	for _, row := range rows {
		for _, test := range row.tests {
			if !tests[test] {
				t.Errorf("%s: there is no %s", row.name, test)
			}
		}
		if len(row.tests) == 0 && row.status != "no" {
			t.Errorf("%s: no test", row.name)
		}
		for _, role := range row.roles {
			name := role + "." + row.name
			if documented[name] {
				t.Errorf("%s has two rows", name)
			}
			documented[name] = true
			if want := row.status != "no"; full[name] != want {
				t.Errorf("%s: status %q, announced: %v", name, row.status, full[name])
			}
			if want := row.status == "yes"; plain[name] != want {
				t.Errorf("%s: status %q, announced without configuration: %v", name, row.status, plain[name])
			}
		}
		if !slices.Contains([]string{"yes", "no", "if configured"}, row.status) || len(row.roles) == 0 {
			t.Errorf("%s: roles %v, status %q", row.name, row.roles, row.status)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(full)) {
		if !documented[name] {
			t.Errorf("%s is announced, and has no row", name)
		}
	}
	if len(full) < 20 {
		t.Errorf("only %d features are announced", len(full))
	}
}

// announcedBy returns what WELCOME announces, as role.feature.
func announcedBy(w *routertest.World) map[string]bool {
	w.T.Helper()
	found := make(map[string]bool)
	roles := w.Join("alice", "memory", wamp.CBOR).Welcome.Roles
	for _, name := range wamp.RoleNames {
		for _, f := range roles.Named(name).Features.List() {
			found[name+"."+f.String()] = true
		}
	}
	return found
}
