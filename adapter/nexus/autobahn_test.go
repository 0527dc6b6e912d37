package nexus

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// The published cryptobox example with real clients, as integration/interop runs it
// against our own router.
func TestAutobahn(t *testing.T) {
	check := exec.Command(testenv.Python(), "-c", "import autobahn.wamp.cryptobox as c, cbor2, msgpack; assert c.HAS_CRYPTOBOX")
	if out, err := check.CombinedOutput(); err != nil {
		testenv.SkipMissing(t, "Autobahn|Python with cryptobox is not installed: see .ci/install\n"+string(out))
	}
	for _, over := range []string{"websocket", "rawsocket"} {
		for _, serializer := range []string{"json", "msgpack", "cbor"} {
			t.Run(over+"/"+serializer, func(t *testing.T) {
				w := newWorld(t)
				url := w.listen()[over]
				responder := python(t, "responder.py", url, serializer)
				if line := routertest.Receive(t, responder); line != "ready" {
					t.Fatalf("responder: %s", line)
				}
				originator := python(t, "originator.py", url, serializer)
				for _, prefix := range []string{"com.example.secret.", "com.example.open."} {
					want(t, originator, map[string]any{"call": prefix + "add", "result": 5.0})
					want(t, originator, map[string]any{"call": prefix + "echo", "args": []any{"grüße", []any{1.0, 2.0}},
						"kwargs": map[string]any{"key": map[string]any{"nested": true}}})
					for _, uri := range []string{"com.example.secret.", "com.example.open."} {
						want(t, originator, map[string]any{"call": prefix + "fail", "error": uri + "error", "args": []any{"what went wrong"}, "kwargs": map[string]any{"code": 23.0}})
					}
					want(t, originator, map[string]any{"call": prefix + "steps", "progress": []any{0.0, 1.0, 2.0}, "result": 3.0})
				}
				if line := routertest.Receive(t, originator); line != "done" {
					t.Errorf("originator: %s", line)
				}
				wantEvents(t, responder, "com.example.secret.", "cryptobox")
				wantEvents(t, responder, "com.example.open.", nil)
				for typ, n := range map[string]string{"PUBLISH": "3", "CALL": "5", "YIELD": "6", "ERROR": "2"} {
					w.wantMetric(`blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="` + typ + `"} ` + n)
				}
			})
		}
	}
}

func wantEvents(t *testing.T, from chan string, prefix string, algo any) {
	t.Helper()
	for i := range 3 {
		want(t, from, map[string]any{"topic": prefix + "topic", "enc_algo": algo, "args": []any{float64(i)}, "kwargs": map[string]any{"mood": "fine"}})
	}
}

func want(t *testing.T, from chan string, want map[string]any) {
	t.Helper()
	line := routertest.Receive(t, from)
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %s (%v), want %v", line, err, want)
	}
}

// python runs one of the programs of integration/interop until the test ends, and returns
// the lines that it writes.
func python(t *testing.T, args ...string) chan string {
	t.Helper()
	cmd := exec.CommandContext(routertest.Context(t), testenv.Python(), args...)
	cmd.Dir = "../../integration/interop/testdata/autobahn"
	cmd.Stderr = &routertest.LogWriter{T: t}
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	stdout, err := cmd.StdoutPipe()
	routertest.NoError(t, err)
	routertest.NoError(t, cmd.Start())
	lines, done := make(chan string, 100), make(chan struct{})
	go func() {
		defer close(done)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			if line := scanner.Text(); line == "ready" || line == "done" || line[:min(1, len(line))] == "{" {
				lines <- line
			} else {
				t.Logf("%s: %s", args[0], line)
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		_ = cmd.Wait()
	})
	return lines
}
