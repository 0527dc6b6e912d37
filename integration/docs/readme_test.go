package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
)

// What the README shows of an example is what the example says.
func TestReadmeShowsTheExamples(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile("(?s)<!-- (\\S+) -->\n```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(shown) < 4 {
		t.Fatalf("%d examples are shown", len(shown))
	}
	for _, match := range shown {
		source, err := os.ReadFile(filepath.Join("..", "..", string(match[1])))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(source), string(match[2])) {
			t.Errorf("%s does not hold:\n%s", match[1], match[2])
		}
	}
}

// The README's configuration is one that the server takes.
func TestReadmeConfiguration(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(readme)
	if match == nil {
		t.Fatal("no configuration is shown")
	}
	text := regexp.MustCompile(`:80\d\d`).ReplaceAllString(string(match[1]), ":0")
	text = strings.ReplaceAll(text, "/tmp/blindfold.sock", "%[1]s/blindfold.sock")
	server := routertest.StartProcess(t, text)
	if got := server.Get("/healthz"); !strings.HasPrefix(got, "ok") {
		t.Errorf("/healthz says %q", got)
	}
}

// examples/sealed runs against the server.
func TestSealedExample(t *testing.T) {
	server := routertest.StartProcess(t, routertest.Config)
	out, err := routertest.GoRun("../../examples/sealed", server.URLs["websocket"])
	if want := `Bob reads "for Bob's eyes only", sealed: true`; err != nil || !strings.Contains(out, want) {
		t.Errorf("%v: %s", err, out)
	}
	if metrics := server.Get("/metrics"); !strings.Contains(metrics, `blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="PUBLISH"} 1`+"\n") {
		t.Error("/metrics does not show the opaque message")
	}
}
