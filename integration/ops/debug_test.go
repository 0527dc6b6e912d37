package ops

import (
	"bufio"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The operator is told that Bob gets no events: they find his session, what he is
// subscribed to, and that the events are skipped because of his serializer; and they see
// what Alice sends, without its content.
func TestDebugFindsWhyEventsDoNotArrive(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config)
	alice := routertest.JoinProcess(t, p, "alice", wamp.CBOR)
	bob := routertest.JoinProcess(t, p, "bob", wamp.JSON)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})

	debug := func(args ...string) *exec.Cmd {
		return exec.Command(routertest.RouterBinary(t), append([]string{"debug"}, append(args, "--url", p.URLs["admin"])...)...)
	}
	output := func(args ...string) string {
		t.Helper()
		out, err := debug(args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	if out := output("sessions"); !strings.Contains(out, fmt.Sprint(alice.ID)) || !strings.Contains(out, fmt.Sprint(bob.ID)) || !strings.Contains(out, "json") {
		t.Error(out)
	}
	if out := output("session", fmt.Sprint(bob.ID)); !strings.Contains(out, "subscribed  "+string(routertest.Topic)+" (exact)") ||
		!strings.Contains(out, "registered  "+string(routertest.Procedure)+" (exact)") {
		t.Error(out)
	}

	trace := debug("trace", "--session", fmt.Sprint(alice.ID))
	stdout, err := trace.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := trace.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = trace.Process.Kill(), trace.Wait() })
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			select {
			case lines <- s.Text():
			case <-t.Context().Done():
				return
			}
		}
	}()
	a, payload := alice.Opaque(wamp.FormTransparency, []byte("canary"))
	var line string
	routertest.WaitUntil(t, "the trace shows what alice publishes", func() bool {
		alice.Publish(routertest.Topic, a, payload)
		routertest.Expect[*wamp.Published](alice)
		select {
		case line = <-lines:
			return true
		default:
			return false
		}
	})
	if !strings.Contains(line, "PUBLISH") || !strings.Contains(line, string(routertest.Topic)) || !strings.Contains(line, "opaque, 6 bytes") {
		t.Error(line)
	}
	out := output("refusals", "--session", fmt.Sprint(bob.ID))
	if !strings.Contains(out, "conversion: ") || !strings.Contains(out, "same serializer") || !strings.Contains(out, fmt.Sprint(bob.ID)) || strings.Contains(out, "canary") {
		t.Error(out)
	}
	if out, err := debug("session", "1").CombinedOutput(); err == nil || !strings.Contains(string(out), "no such session") {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := debug("trace").CombinedOutput(); err == nil || !strings.Contains(string(out), "name an authid") {
		t.Errorf("%v: %s", err, out)
	}
}

// blindfold ready is what a container's health check runs.
func TestReady(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config)
	ready := func() (string, error) {
		out, err := exec.Command(routertest.RouterBinary(t), "ready", "--url", p.URLs["admin"]).CombinedOutput()
		return string(out), err
	}
	if out, err := ready(); err != nil || out != "ready\n" {
		t.Errorf("%v: %s", err, out)
	}
	p.Stop()
	if out, err := ready(); err == nil || !strings.Contains(out, "does not answer") {
		t.Errorf("%v: %s", err, out)
	}
}
