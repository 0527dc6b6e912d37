package faults

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// sealProcess is cmd/seal as a process of its own, which can be stopped and
// killed as such.
type sealProcess struct {
	t      *testing.T
	cmd    *exec.Cmd
	events chan int // the number that is the first argument of each event
	done   chan struct{}
	mu     sync.Mutex
	said   strings.Builder // on standard error
}

func startSeal(t *testing.T, command ...string) *sealProcess {
	t.Helper()
	p := &sealProcess{t: t, cmd: exec.Command(command[0], command[1:]...), events: make(chan int, 1<<16), done: make(chan struct{})}
	p.cmd.Stderr = p
	out, err := p.cmd.StdoutPipe()
	routertest.NoError(t, err)
	routertest.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.done)
		defer close(p.events)
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadBytes('\n')
			if err != nil {
				return
			}
			var event struct{ Args []any }
			if json.Unmarshal(line, &event) != nil || len(event.Args) == 0 {
				continue
			}
			if n, ok := event.Args[0].(float64); ok {
				p.events <- int(n)
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		<-p.done
		_ = p.cmd.Wait()
	})
	return p
}

func (p *sealProcess) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

func (p *sealProcess) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.String()
}

func (p *sealProcess) signal(s syscall.Signal) {
	p.t.Helper()
	routertest.NoError(p.t, p.cmd.Process.Signal(s))
}

// nextEvent returns the next event's number; ok is false at the end of them.
func (p *sealProcess) nextEvent() (n int, ok bool) {
	p.t.Helper()
	select {
	case n, ok = <-p.events:
		return n, ok
	case <-time.After(routertest.Timeout):
		p.t.Fatalf("no event came; said so far: %s", p.stderr())
		return 0, false
	}
}

// Two clients are stopped for ten seconds (SIGSTOP), as laptops are. To Zoe's
// topic little is published meanwhile: when she goes on she gets all of it. To
// Yan's more than anybody holds for him: he is cut off, and when he goes on he
// reads why, behind whole events in order. Bob, who subscribes to both, misses
// nothing, and who publishes is answered all the time.
func TestStoppedClient(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config+"limits: {close_timeout: 60s}\n") // longer than he is stopped
	const quiet, busy wamp.URI = "com.example.quiet", "com.example.busy"
	subscribe := func(topic wamp.URI) *sealProcess {
		return startSeal(t, routertest.SealBinary(t), "subscribe", string(topic), "--clear", "--json", "--url", p.URLs["rawsocket"])
	}
	zoe, yan := subscribe(quiet), subscribe(busy)
	routertest.WaitUntil(t, "both are subscribed", func() bool { return p.Metric(`blindfold_subscriptions{realm="realm1"}`) == 2 })
	alice, bob := routertest.JoinProcess(t, p, "alice", wamp.JSON), routertest.JoinProcess(t, p, "bob", wamp.JSON)
	bob.Subscribe(quiet, wamp.MatchExact)
	bob.Subscribe(busy, wamp.MatchExact)

	stopped := time.Second
	if testenv.All() {
		stopped = 10 * time.Second
	}
	zoe.signal(syscall.SIGSTOP)
	yan.signal(syscall.SIGSTOP)
	over := time.After(stopped)
	const few, many = 100, 4000 // of 16 KiB: 64 MiB
	blob := strings.Repeat("x", 16<<10)
	for i := range few {
		alice.Publish(quiet, wamp.Attributes{}, alice.Clear(i))
		routertest.Expect[*wamp.Published](alice)
		routertest.Expect[*wamp.Event](bob)
	}
	for i := range many {
		alice.Publish(busy, wamp.Attributes{}, alice.Clear(i, blob))
		routertest.Expect[*wamp.Published](alice)
		routertest.Expect[*wamp.Event](bob)
	}
	cut := func() float64 {
		return p.Metric(`blindfold_limits_total{limit="write_timeout"}`) + p.Metric(`blindfold_limits_total{limit="queue"}`)
	}
	routertest.WaitUntil(t, "Yan is cut off", func() bool { return cut() == 1 })
	<-over
	zoe.signal(syscall.SIGCONT)
	yan.signal(syscall.SIGCONT)

	alice.Publish(quiet, wamp.Attributes{}, alice.Clear(few))
	routertest.Expect[*wamp.Published](alice)
	routertest.Expect[*wamp.Event](bob)
	for want := range few + 1 {
		if got, ok := zoe.nextEvent(); !ok || got != want {
			t.Fatalf("Zoe got event %d, and not %d: %s", got, want, zoe.stderr())
		}
	}
	last := -1
	for {
		got, ok := yan.nextEvent()
		if !ok {
			break
		}
		if got <= last {
			t.Fatalf("Yan got event %d after %d", got, last)
		}
		last = got
	}
	<-yan.done
	err := yan.cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || last < 0 || last == many-1 {
		t.Errorf("Yan ended with %v, after event %d", err, last)
	}
	if said := yan.stderr(); !strings.Contains(said, string(wamp.ErrUnavailable)) {
		t.Errorf("Yan was not told why: %q", said)
	}
	if n := cut(); n != 1 {
		t.Errorf("%v sessions were cut off", n)
	}
	alice.ExpectNothing()
	bob.ExpectNothing()
}

// The process that serves a procedure is killed in the middle of a call
// (SIGKILL): who called is told at once.
func TestCalleeProcessKilledInMidCall(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config)
	for _, over := range []string{"rawsocket", "websocket", "unix"} {
		// What it runs ends with it.
		callee := startSeal(t, routertest.SealBinary(t), "register", "com.example.slow", "--clear", "--url", p.URLs[over],
			"--", "sh", "-c", "exec tail --pid=$PPID -f /dev/null")
		alice := routertest.JoinProcess(t, p, "alice", wamp.JSON)
		routertest.WaitUntil(t, "the procedure is there", func() bool { return p.Metric(`blindfold_registrations{realm="realm1"}`) == 1 })
		request := alice.Call("com.example.slow", wamp.Attributes{}, alice.Clear("x"))
		routertest.WaitUntil(t, "the call is in flight", func() bool { return p.Metric(`blindfold_invocations_in_flight{realm="realm1"}`) == 1 })
		callee.signal(syscall.SIGKILL)
		alice.ExpectError(request, wamp.ErrCanceled)
		alice.ExpectError(alice.Call("com.example.slow", wamp.Attributes{}, alice.Clear("x")), wamp.ErrNoSuchProcedure)
	}
}

// Half-open: router and clients are in a network of their own, which loses every
// packet from one moment on, without a word to anybody. Pings find out; who waits
// for a call is told, and what was subscribed is gone. Alice looks on from outside,
// by a Unix socket, and is not disturbed.
func TestHalfOpenNetwork(t *testing.T) {
	for _, program := range []string{"unshare", "nsenter", "ip"} {
		if _, err := exec.LookPath(program); err != nil {
			testenv.SkipMissing(t, program+" is needed (util-linux, iproute2)")
		}
	}
	if out, err := exec.Command("unshare", "--user", "--map-root-user", "--net", "true").CombinedOutput(); err != nil {
		testenv.SkipMissing(t, "no network namespace can be made here: "+string(out))
	}
	seal := routertest.SealBinary(t) // now, as Alice must not be silent for long
	p := routertest.StartProcess(t, `
listeners: [{rawsocket: "127.0.0.1:8081"}, {websocket: "127.0.0.1:8080"}, {rawsocket: "unix:%[1]s/blindfold.sock"}]
admin: 127.0.0.1:8082
limits: {ping_every: 2s, ping_timeout: 2s}
`, "unshare", "--user", "--map-root-user", "--net", "sh", "-c", `ip link set lo up && exec "$@"`, "sh")
	inside := func(command ...string) []string {
		return append([]string{"nsenter", "--target", fmt.Sprint(p.Cmd.Process.Pid), "--user", "--preserve-credentials", "--net"}, command...)
	}
	alice := routertest.JoinProcess(t, &routertest.Process{T: t, URLs: map[string]string{"rawsocket": p.URLs["unix"]}}, "alice", wamp.JSON)
	// sessions asks for their number. An ERROR that comes meanwhile is that of the
	// call.
	var failed *wamp.Error
	sessions := func() int64 {
		request := alice.NextID()
		alice.Send(&wamp.Call{Request: request, Procedure: "wamp.session.count"})
		for {
			switch m := alice.Receive().(type) {
			case *wamp.Error:
				failed = m
			case *wamp.Result:
				args, _, err := m.Payload.Decode()
				if err != nil || m.Request != request || len(args) != 1 {
					t.Fatalf("%+v, %v", m, err)
				}
				return args[0].(int64)
			default:
				t.Fatalf("%v", m.Type())
			}
		}
	}
	startSeal(t, inside(seal, "subscribe", "com.example.topic", "--clear", "--json", "--url", "rs://127.0.0.1:8081")...)
	startSeal(t, inside(seal, "register", "com.example.slow", "--clear", "--url", "ws://127.0.0.1:8080/ws",
		"--", "sh", "-c", "exec tail --pid=$PPID -f /dev/null")...)
	routertest.WaitUntil(t, "both clients are there", func() bool { return sessions() == 3 })
	request := alice.NextID()
	routertest.WaitUntil(t, "the procedure is called", func() bool {
		failed = nil
		request = alice.NextID()
		alice.Send(&wamp.Call{Request: request, Procedure: "com.example.slow"})
		sessions()
		return failed == nil // else it was not registered yet
	})
	if out, err := exec.Command("nsenter", inside("ip", "link", "set", "lo", "down")[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	routertest.WaitUntil(t, "the others are gone, and the call has failed", func() bool { return sessions() == 1 && failed != nil })
	if failed.Request != request || failed.Error != wamp.ErrCanceled {
		t.Errorf("the call that nobody can answer: %+v", failed)
	}
	if out, err := exec.Command("nsenter", inside("ip", "link", "set", "lo", "up")[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	metrics, err := exec.Command("nsenter", inside("curl", "-sS", "http://127.0.0.1:8082/metrics")[1:]...).CombinedOutput()
	routertest.NoError(t, err)
	for _, line := range []string{`blindfold_limits_total{limit="ping_timeout"} 2`, `blindfold_subscriptions{realm="realm1"} 0`, `blindfold_registrations{realm="realm1"} 0`} {
		if !strings.Contains(string(metrics), line+"\n") {
			t.Errorf("/metrics lacks %s", line)
		}
	}
}
