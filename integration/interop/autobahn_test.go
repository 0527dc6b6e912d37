package interop

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
)

// needAutobahn skips the test where Autobahn|Python is not installed; in CI
// that is a failure.
func needAutobahn(t *testing.T) {
	t.Helper()
	check := exec.Command(testenv.Python(), "-c", "import autobahn.wamp.cryptobox as c, cbor2, msgpack; assert c.HAS_CRYPTOBOX")
	if out, err := check.CombinedOutput(); err != nil {
		testenv.SkipMissing(t, "Autobahn|Python with cryptobox is not installed: apt-get install python3-autobahn python3-nacl python3-trie python3-cbor2 python3-msgpack\n"+string(out))
	}
}

// TestAutobahn is the published cryptobox example with real clients: a caller
// and publisher, and a callee and subscriber, with keyrings on a URI prefix,
// encrypted and clear procedures, topics and errors side by side.
func TestAutobahn(t *testing.T) {
	needAutobahn(t)
	for _, transport := range []string{"websocket", "rawsocket"} {
		for _, serializer := range []string{"json", "msgpack", "cbor"} {
			t.Run(transport+"/"+serializer, func(t *testing.T) {
				server := routertest.StartProcess(t, routertest.Config)
				responder := python(t, "responder.py", server.URLs[transport], serializer)
				if line := responder.next(); line != "ready" {
					t.Fatalf("responder: %s", line)
				}
				originator := python(t, "originator.py", server.URLs[transport], serializer)
				for _, prefix := range []string{"com.example.secret.", "com.example.open."} {
					wantAnswers(originator, prefix)
				}
				originator.wantEnd("done")
				wantEvents(responder)
				responder.wantEnd("")
				wantOpaque(t, server.Get("/metrics"))
			})
		}
	}
}

func wantAnswers(p *script, prefix string) {
	p.t.Helper()
	p.want(map[string]any{"call": prefix + "add", "result": 5.0})
	p.want(map[string]any{"call": prefix + "echo", "args": []any{"grüße", []any{1.0, 2.0}}, "kwargs": map[string]any{"key": map[string]any{"nested": true}}})
	for _, uri := range []string{"com.example.secret.", "com.example.open."} {
		p.want(map[string]any{"call": prefix + "fail", "error": uri + "error", "args": []any{"what went wrong"}, "kwargs": map[string]any{"code": 23.0}})
	}
	p.want(map[string]any{"call": prefix + "steps", "progress": []any{0.0, 1.0, 2.0}, "result": 3.0})
}

func wantEvents(p *script) {
	p.t.Helper()
	for _, e := range []struct {
		prefix string
		algo   any
	}{{"com.example.secret.", "cryptobox"}, {"com.example.open.", nil}} {
		for i := range 3 {
			p.want(map[string]any{"topic": e.prefix + "topic", "enc_algo": e.algo, "args": []any{float64(i)}, "kwargs": map[string]any{"mood": "fine"}})
		}
	}
}

// wantOpaque counts the story's messages in the router's metrics.
func wantOpaque(t *testing.T, metrics string) {
	t.Helper()
	for _, line := range []string{
		`blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="PUBLISH"} 3`,
		`blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="CALL"} 5`,
		`blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="YIELD"} 6`,
		`blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="ERROR"} 2`,
		`blindfold_clear_messages_total{realm="realm1",type="ERROR"} 2`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}

// script is a program that writes a line for each thing that happened, running.
type script struct {
	t     *testing.T
	name  string
	lines chan string
}

// python runs a program of testdata/autobahn.
func python(t *testing.T, name string, args ...string) *script {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, testenv.Python(), append([]string{name}, args...)...)
	cmd.Dir = "testdata/autobahn"
	cmd.Stderr = &routertest.LogWriter{T: t}
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1")
	return runScript(t, name, cmd, cancel)
}

// runScript starts a program; cancel ends it.
func runScript(t *testing.T, name string, cmd *exec.Cmd, cancel context.CancelFunc) *script {
	t.Helper()
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s := &script{t: t, name: name, lines: make(chan string, 100)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer close(s.lines)
		for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
			// Autobahn itself prints lines that begin with a time.
			if line := scanner.Text(); strings.HasPrefix(line, "{") || line == "ready" || line == "done" {
				s.lines <- line
			} else {
				t.Logf("%s: %s", name, line)
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		for range s.lines {
			continue
		}
		<-done
		_ = cmd.Wait()
	})
	return s
}

// next returns the next line, or "" at the end.
func (s *script) next() string {
	s.t.Helper()
	select {
	case line := <-s.lines:
		return line
	case <-time.After(time.Minute):
		s.t.Fatalf("%s: nothing for a minute", s.name)
		return ""
	}
}

// want compares the next line, as JSON.
func (s *script) want(want map[string]any) {
	s.t.Helper()
	line := s.next()
	var got map[string]any
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		s.t.Fatalf("%s: %q: %v", s.name, line, err)
	}
	if !reflect.DeepEqual(got, want) {
		s.t.Errorf("%s: want %v, got %v", s.name, want, got)
	}
}

// wantEnd expects a last line, if it is not "", and then no more.
func (s *script) wantEnd(last string) {
	s.t.Helper()
	if last != "" {
		if line := s.next(); line != last {
			s.t.Errorf("%s: want %s, got %s", s.name, last, line)
		}
	}
	if line := s.next(); line != "" {
		s.t.Errorf("%s: want no more, got %s", s.name, line)
	}
}
