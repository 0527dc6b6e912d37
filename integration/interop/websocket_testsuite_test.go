package interop

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/transport"
)

// inFragments are the cases of Autobahn's testsuite that send 4 MiB in fragments of
// 64 or 256 bytes: over the limit on fragments, so they end with close code 1008.
var inFragments = []string{"9.3.1", "9.3.2", "9.4.1", "9.4.2"}

// TestWebSocketTestsuite runs Autobahn's WebSocket testsuite, sections 1 to 10 (11
// does not exist; 12 and 13 are about compression, which is never negotiated). The
// server is transport.Server with a handler that returns messages to their sender,
// as the suite wants it. A WAMP subprotocol has text or binary messages; so text
// cases are run with wamp.2.json, and binary ones with wamp.2.msgpack.
func TestWebSocketTestsuite(t *testing.T) {
	testenv.SkipSlow(t, "half a minute")
	program, err := filepath.Abs("venv-wstest/bin/wstest")
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil {
		testenv.SkipMissing(t, "Autobahn's testsuite is not installed: .ci/install")
	}
	binary := []any{"1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*"}
	for _, c := range []struct {
		subprotocol       string
		cases, exceptions []any
	}{
		{"wamp.2.json", []any{"1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"}, binary},
		{"wamp.2.msgpack", binary, []any{}},
	} {
		t.Run(c.subprotocol, func(t *testing.T) {
			dir := t.TempDir()
			spec, err := json.Marshal(map[string]any{
				"outdir":  filepath.Join(dir, "reports"),
				"servers": []any{map[string]any{"agent": "blindfold", "url": echoServer(t), "protocols": []string{c.subprotocol}}},
				"cases":   c.cases, "exclude-cases": c.exceptions, "exclude-agent-cases": map[string]any{},
			})
			routertest.NoError(t, err)
			file := filepath.Join(dir, "spec.json")
			routertest.NoError(t, os.WriteFile(file, spec, 0o600))
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
			defer cancel()
			if out, err := exec.CommandContext(ctx, program, "--mode", "fuzzingclient", "--spec", file).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			wantReport(t, filepath.Join(dir, "reports", "index.json"))
		})
	}
}

// wantReport checks that each case has passed, or is a known exception.
func wantReport(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	routertest.NoError(t, err)
	var report struct {
		Blindfold map[string]struct {
			Behavior      string
			BehaviorClose string
			RemoteClose   int `json:"remoteCloseCode"`
		}
	}
	routertest.NoError(t, json.Unmarshal(text, &report))
	if len(report.Blindfold) < 30 {
		t.Fatalf("only %d cases were run", len(report.Blindfold))
	}
	passed := 0
	for name, r := range report.Blindfold {
		good := func(s string) bool { return s == "OK" || s == "NON-STRICT" || s == "INFORMATIONAL" }
		if slices.Contains(inFragments, name) {
			if r.RemoteClose != 1008 {
				t.Errorf("case %s: %s, close code %d, not 1008", name, r.Behavior, r.RemoteClose)
			}
			continue
		}
		if passed++; !good(r.Behavior) || !good(r.BehaviorClose) {
			t.Errorf("case %s: %s, close: %s (code %d)", name, r.Behavior, r.BehaviorClose, r.RemoteClose)
		}
	}
	t.Logf("%d of %d cases passed", passed, len(report.Blindfold))
}

// echoServer returns the URL of a server that returns every message to its sender,
// and otherwise behaves as the router does.
func echoServer(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	routertest.NoError(t, err)
	server := &transport.Server{Handle: echo, Limits: transport.Limits{MaxMessage: 16 << 20, MaxFirst: 16 << 20}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l, transport.ListenOptions{})
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return "ws://" + l.Addr().String() + "/ws"
}

func echo(conn transport.Conn) {
	defer func() { _ = conn.Close() }()
	conn.SetReadLimit(0)
	write := func(op transport.Op, body []byte) bool {
		_, err := conn.Write([][]byte{conn.Framing().AppendFrame(nil, op, body)}, routertest.Timeout)
		return err == nil
	}
	for {
		frame, err := conn.Read()
		var broken *transport.ProtocolError
		switch {
		case errors.As(err, &broken):
			write(transport.OpClose, transport.CloseBody(broken.CloseCode, broken.Text))
			_ = conn.CloseWrite()
			conn.Linger(time.Second)
			return
		case err != nil:
			return
		case frame.Op == transport.OpPing:
			write(transport.OpPong, frame.Body)
		case frame.Op == transport.OpMessage:
			write(transport.OpMessage, frame.Body)
		case frame.Op == transport.OpClose:
			write(transport.OpClose, frame.Body)
			_ = conn.CloseWrite()
			conn.Linger(time.Second)
			return
		}
	}
}
