package interop

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// needJavaScript skips the test where Node.js or the package is not installed; in
// CI that is a failure.
func needJavaScript(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath("node"); err != nil {
		testenv.SkipMissing(t, "Node.js is not installed: apt-get install nodejs npm")
	}
	if _, err := os.Stat(filepath.Join("js", "node_modules", name)); err != nil {
		testenv.SkipMissing(t, "the package "+name+" is not installed: npm ci --ignore-scripts, in integration/interop/js")
	}
}

// javaScript runs a program of integration/interop/js. A line on its standard input lets
// it go on.
func javaScript(t *testing.T, name string, args ...string) (s *script, goOn func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, "node", append([]string{name}, args...)...)
	cmd.Dir = "js"
	cmd.Stderr = &routertest.LogWriter{T: t}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	s = runScript(t, name, cmd, cancel)
	return s, func() {
		if _, err := stdin.Write([]byte("\n")); err != nil {
			t.Error(err)
		}
	}
}

// TestAutobahnJS is Autobahn|JS on both sides, which knows clear payloads only; a
// sealed event in between does not trouble it.
func TestAutobahnJS(t *testing.T) {
	needJavaScript(t, "autobahn")
	for _, s := range wamp.Serializers {
		t.Run(s.String(), func(t *testing.T) {
			w := routertest.NewWorld(t)
			js, goOn := javaScript(t, "autobahn.mjs", w.URLs["websocket"], s.String())
			js.want(map[string]any{"call": "add", "result": 5.0})
			js.want(map[string]any{"call": "echo", "result": map[string]any{"args": []any{"grüße", []any{1.0, 2.0}}, "kwargs": map[string]any{"key": map[string]any{"nested": true}}}})
			js.want(map[string]any{"call": "fail", "error": "com.example.js.error", "args": []any{"what went wrong"}, "kwargs": map[string]any{"code": 23.0}})
			// A callee that does not announce call_canceling is not asked for progressive results.
			js.want(map[string]any{"call": "steps", "result": 3.0})
			js.want(map[string]any{"call": "some.thing.else", "result": "com.example.js.some.thing.else"})
			js.want(map[string]any{"call": "never", "error": "wamp.error.timeout", "args": []any{"the call took longer than its timeout"}, "kwargs": map[string]any{}})
			js.want(map[string]any{"sessions": 2.0})
			if line := js.next(); line != "ready" {
				t.Fatal(line)
			}
			carol := w.Join("carol", "rawsocket", s)
			for _, form := range wamp.Forms {
				a, p := carol.Opaque(form, []byte("sealed"))
				carol.Publish("com.example.js.topic", a, p)
				routertest.Expect[*wamp.Published](carol)
			}
			goOn()
			for i := range 3 {
				js.want(map[string]any{"topic": "com.example.js.topic", "args": []any{float64(i)}, "kwargs": map[string]any{"mood": "fine"}})
			}
			js.want(map[string]any{"topic": "com.example.js.end", "args": []any{}, "kwargs": map[string]any{}})
			js.wantEnd("done")
			w.WantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 2`)
		})
	}
}

// TestWampy is wampy.js on both sides, with clear payloads and with those of the
// passthru form that it makes: of each serialization, and native.
func TestWampy(t *testing.T) {
	needJavaScript(t, "wampy")
	for _, s := range wamp.Serializers {
		t.Run(s.String(), func(t *testing.T) {
			w := routertest.NewWorld(t)
			js, _ := javaScript(t, "wampy.mjs", w.URLs["websocket"], s.String())
			args, kwargs := []any{"grüße", []any{1.0, 2.0}}, map[string]any{"key": map[string]any{"nested": true}}
			forms, opaque := []string{"clear", "json", "msgpack", "cbor", "native"}, 4
			if s == wamp.JSON { // wampy has no way to write a binary in JSON
				forms, opaque = []string{"clear", "json", "native"}, 2
			}
			for _, form := range forms {
				call := map[string]any{"call": form, "args": args, "kwargs": kwargs}
				event := map[string]any{"event": form, "topic": "com.example.js.topic", "args": args, "kwargs": kwargs}
				if form != "clear" {
					call["scheme"], event["scheme"] = "x_test", "x_test"
					if form != "native" {
						call["keyid"] = "k1"
					}
				}
				js.want(call)
				js.want(event)
			}
			js.want(map[string]any{"call": "fail", "error": "com.example.js.error", "args": []any{"what went wrong"}, "kwargs": map[string]any{"code": 23.0}})
			js.want(map[string]any{"sessions": 2.0})
			js.wantEnd("done")
			for _, kind := range []string{"CALL", "YIELD", "PUBLISH"} {
				w.WantMetric(fmt.Sprintf(`blindfold_opaque_messages_total{form="passthru",realm="realm1",scheme="other",type=%q} %d`, kind, opaque))
			}
		})
	}
}
