package docs

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// docs/testing.md quotes promises that the pages make, and names tests that exist.
func TestPromises(t *testing.T) {
	text, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| promise | page | shown by |\n|---|---|---|\n")
	if !ok {
		t.Fatal("docs/testing.md has no table of promises")
	}
	pages := map[string]string{}
	for name, file := range map[string]string{"README": "../../README.md", "threat-model": "../../docs/threat-model.md"} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		pages[name] = strings.Join(strings.Fields(string(page)), " ")
	}
	tests, rows := testNames(t), 0
	for line := range strings.Lines(table) {
		cells := regexp.MustCompile(` \| |^\| | \|\s*$`).Split(line, -1)
		if len(cells) != 5 {
			t.Errorf("not a row of three cells: %s", line)
			continue
		}
		promise, page, shown := cells[1], cells[2], strings.Split(cells[3], ", ")
		if rows++; !strings.Contains(pages[page], promise) && !strings.Contains(pages[page], strings.ReplaceAll(promise, `\|`, "|")) {
			t.Errorf("%s does not say %q", page, promise)
		}
		for _, name := range shown {
			if !tests[name] {
				t.Errorf("%q: there is no %s", promise, name)
			}
		}
	}
	if rows < 25 {
		t.Errorf("only %d promises", rows)
	}
}
