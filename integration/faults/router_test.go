package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/internal/testenv"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Zoe freezes; 300 MB are published to her and to Bob. Bob gets every event.
// Zoe is cut off, and when she wakes up she reads why, behind whole events in
// their order.
func TestFrozenReader(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) {
		c.Limits = router.Limits{CloseTimeout: time.Minute, WriteTimeout: time.Minute, Queue: 8 << 20}
	}))
	alice, bob, zoe := w.Join("alice", "rawsocket", wamp.MsgPack), w.Join("bob", "rawsocket", wamp.MsgPack), w.Join("zoe", "rawsocket", wamp.MsgPack)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	zoe.Subscribe(routertest.Topic, wamp.MatchExact)
	const events, size = 1200, 256 << 10 // 300 MiB
	blob := bytes.Repeat([]byte{'x'}, size)
	// She is never further ahead of Bob than his queue is long: how fast he reads is
	// not the matter here.
	ahead, done := make(chan struct{}, 16), make(chan struct{})
	go func() {
		defer close(done)
		for i := range events {
			ahead <- struct{}{}
			alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: routertest.Topic, Payload: alice.Clear(i, blob)})
		}
	}()
	number := func(e *wamp.Event) int64 {
		args, _, err := e.Payload.Decode()
		if err != nil || len(args) != 2 {
			t.Fatalf("event: %v", err)
		}
		return args[0].(int64)
	}
	for i := range int64(events) {
		if got := number(routertest.Expect[*wamp.Event](bob)); got != i {
			t.Fatalf("Bob got event %d, and not %d", got, i)
		}
		<-ahead
	}
	<-done
	next := int64(0)
	for {
		m, err := zoe.TryReceive()
		if err != nil {
			t.Fatalf("Zoe was not told why: %v", err)
		}
		if e, ok := m.(*wamp.Event); ok {
			if got := number(e); got != next {
				t.Fatalf("Zoe got event %d, and not %d", got, next)
			}
			next++
			continue
		}
		abort, ok := m.(*wamp.Abort)
		if !ok || abort.Reason != wamp.ErrUnavailable || abort.Details.Message == "" {
			t.Fatalf("Zoe was told %+v", m)
		}
		break
	}
	if next == 0 || next == events {
		t.Errorf("Zoe got %d events", next)
	}
	w.WantMetric(`blindfold_limits_total{limit="queue"} 1`)
	w.WantMetric(`blindfold_sessions_closed_total{realm="realm1",reason="queue_full"} 1`)
	w.WaitSessions(2)
}

// A reader that takes nothing is cut off, though little is sent to it.
func TestStalledReader(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) {
		c.Limits = router.Limits{WriteTimeout: 100 * time.Millisecond, CloseTimeout: 200 * time.Millisecond, Queue: 1 << 30, PingEvery: time.Hour}
	}))
	alice, zoe := w.Join("alice", "rawsocket", wamp.MsgPack), w.Join("zoe", "rawsocket", wamp.MsgPack)
	zoe.Subscribe(routertest.Topic, wamp.MatchExact)
	blob := bytes.Repeat([]byte{'x'}, 512<<10)
	for range 40 { // more than the kernel holds, and far less than the queue
		alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: routertest.Topic, Payload: alice.Clear(blob)})
	}
	w.WaitSessions(1)
	w.WantMetric(`blindfold_limits_total{limit="write_timeout"} 1`)
	alice.ExpectNothing()
}

// Where all queues together are over their limit, those who are furthest behind
// are cut off, and nobody else.
func TestAllQueuesTogether(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) {
		c.Limits = router.Limits{QueueTotal: 16 << 20, Queue: 1 << 30, WriteTimeout: time.Hour, CloseTimeout: 100 * time.Millisecond, PingEvery: time.Hour}
	}))
	alice, bob := w.Join("alice", "rawsocket", wamp.MsgPack), w.Join("bob", "rawsocket", wamp.MsgPack)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	const frozen = 4
	for range frozen {
		w.Join("zoe", "rawsocket", wamp.MsgPack).Subscribe(routertest.Topic, wamp.MatchExact)
	}
	blob := bytes.Repeat([]byte{'x'}, 256<<10)
	for range 200 {
		alice.Publish(routertest.Topic, wamp.Attributes{}, alice.Clear(blob))
		routertest.Expect[*wamp.Event](bob)
		routertest.Expect[*wamp.Published](alice)
	}
	w.WaitSessions(2)
	w.WantMetric(fmt.Sprintf(`blindfold_limits_total{limit="queue_total"} %d`, frozen))
	bob.ExpectNothing()
}

// Bob is killed in the middle of a call: Alice is told at once.
func TestCalleeKilledInMidCall(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob := w.Join("alice", "rawsocket", wamp.JSON), w.Join("bob", "websocket", wamp.JSON)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	request := alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear(1))
	routertest.Expect[*wamp.Invocation](bob)
	_ = bob.Conn.Close()
	alice.ExpectError(request, wamp.ErrCanceled)
	alice.ExpectError(alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear(1)), wamp.ErrNoSuchProcedure)
}

// Half-open: Zoe's end is gone and nobody said so (her packets are dropped; here,
// she neither reads nor answers). Pings find out, and her call is not held.
func TestHalfOpen(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) {
		c.Limits = router.Limits{PingEvery: 100 * time.Millisecond, PingTimeout: 100 * time.Millisecond}
	}))
	for _, over := range []string{"rawsocket", "websocket"} {
		zoe := w.Join("zoe", over, wamp.JSON)
		zoe.Subscribe(routertest.Topic, wamp.MatchExact)
		w.WaitSessions(0)
	}
	w.WantMetric(`blindfold_limits_total{limit="ping_timeout"} 2`)
	w.WantMetric(`blindfold_subscriptions{realm="realm1"} 0`)
}

// The server is stopped for a while (SIGSTOP), as virtual machines are: nobody
// loses his session, nor a message.
func TestStoppedServer(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config)
	alice, bob := routertest.JoinProcess(t, p, "alice", wamp.JSON), routertest.JoinProcess(t, p, "bob", wamp.JSON)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	if err := p.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	const n = 1000
	for range n {
		alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: routertest.Topic, Payload: alice.Clear("x")})
	}
	stopped := time.Second
	if testenv.All() {
		stopped = 10 * time.Second
	}
	time.Sleep(stopped) // nothing happens meanwhile that could be awaited
	if err := p.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	for range n {
		routertest.Expect[*wamp.Event](bob)
	}
	alice.ExpectNothing()
}

// 2,000 clients lose their connection at once, and all come back at once.
func TestEverybodyReconnectsAtOnce(t *testing.T) {
	clients := 2000
	if routertest.RaceEnabled {
		clients = 400
	}
	p := routertest.StartProcess(t, routertest.Config)
	bob := routertest.JoinProcess(t, p, "bob", wamp.JSON)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	for range 2 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		conns := make([]transport.Conn, clients)
		var all sync.WaitGroup
		for i := range conns {
			all.Go(func() {
				conn, err := transport.Dial(ctx, p.URLs["rawsocket"], transport.DialOptions{Serializer: wamp.MsgPack})
				if err != nil {
					t.Errorf("client %d: %v", i, err)
					return
				}
				conns[i] = conn
				c := &routertest.Peer{T: t, Name: "client", Conn: conn}
				hello := &wamp.Hello{Realm: routertest.Realm}
				routertest.AllFeatures(hello)
				c.Send(hello)
				if m, err := c.TryReceive(); err != nil || m.Type() != wamp.TypeWelcome {
					t.Errorf("client %d: %v, %v", i, m, err)
				}
			})
		}
		all.Wait()
		cancel()
		for _, c := range conns {
			if c != nil {
				_ = c.Close()
			}
		}
		bob.Publish(routertest.Topic, wamp.Attributes{}, bob.Clear("x"))
		routertest.Expect[*wamp.Published](bob)
	}
}

// SIGTERM: a call in flight may finish; then everybody is told GOODBYE, and the
// process ends with status 0.
func TestShutdown(t *testing.T) {
	p := routertest.StartProcess(t, routertest.Config)
	alice, bob := routertest.JoinProcess(t, p, "alice", wamp.JSON), routertest.JoinProcess(t, p, "bob", wamp.JSON)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	request := alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear(1))
	invocation := routertest.Expect[*wamp.Invocation](bob)
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	late := func() error { // is turned away, once the signal has arrived
		ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
		defer cancel()
		conn, err := transport.Dial(ctx, p.URLs["rawsocket"], transport.DialOptions{})
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		c := &routertest.Peer{T: t, Name: "late", Conn: conn}
		hello := &wamp.Hello{Realm: routertest.Realm}
		routertest.AllFeatures(hello)
		c.Send(hello)
		switch m, err := c.TryReceive(); m := m.(type) {
		case *wamp.Abort:
			if m.Reason != wamp.CloseSystemShutdown {
				t.Errorf("turned away with %s", m.Reason)
			}
			return errors.New("turned away")
		default:
			return err
		}
	}
	for late() == nil {
	}
	bob.Send(&wamp.Yield{Request: invocation.Request})
	if got := routertest.Expect[*wamp.Result](alice); got.Request != request {
		t.Errorf("result of %d", got.Request)
	}
	for _, c := range []*routertest.Peer{alice, bob} {
		if g := routertest.Expect[*wamp.Goodbye](c); g.Reason != wamp.CloseSystemShutdown {
			t.Errorf("%s was told %s", c.Name, g.Reason)
		}
		c.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		if m, err := c.TryReceive(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v, %v after GOODBYE", c.Name, m, err)
		}
	}
	p.Stopped = true // once is enough: a second signal ends it at once
	if err := p.Cmd.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
}

// A new configuration holds for the sessions that are there; a bad one is
// refused, and the old one stays.
func TestReload(t *testing.T) {
	p := routertest.StartProcess(t, routertest.ReloadableConfig("com.old.", 1024))
	alice := routertest.JoinProcess(t, p, "alice", wamp.JSON)
	may := func(topic wamp.URI) bool {
		request := alice.Publish(topic, wamp.Attributes{}, alice.Clear(1))
		switch m := alice.Receive().(type) {
		case *wamp.Published:
			return m.Request == request
		case *wamp.Error:
			return false
		default:
			t.Fatalf("%v", m.Type())
			return false
		}
	}
	until := func(want bool, topic wamp.URI) {
		t.Helper()
		for deadline := time.Now().Add(routertest.Timeout); may(topic) != want; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("the new configuration does not hold for %s", topic)
			}
		}
	}
	if !may("com.old.a") || may("com.new.a") {
		t.Fatal("the first configuration does not hold")
	}
	p.Rewrite(routertest.ReloadableConfig("com.new.", 2))
	until(true, "com.new.a")
	if may("com.old.a") {
		t.Error("the old permissions hold besides the new ones")
	}
	for i := range 3 {
		request := alice.NextID()
		alice.Send(&wamp.Subscribe{Request: request, Topic: wamp.URI(fmt.Sprintf("com.t%d", i))})
		if i < 2 {
			routertest.Expect[*wamp.Subscribed](alice)
		} else {
			alice.ExpectError(request, wamp.ErrLimitExceeded)
		}
	}
	p.Rewrite("realms: [{name: realm1, unknown_key: 1}]")
	p.Rewrite(routertest.ReloadableConfig("com.third.", 2) + "  - name: realm2\n") // realms can't be added
	if !may("com.new.a") {
		t.Error("a bad configuration was taken")
	}
	p.Rewrite(routertest.ReloadableConfig("com.last.", 2))
	until(true, "com.last.a")
	if alice.LastRequest == 0 {
		t.Error("the session was not the same")
	}
	// Without a signal: the file is looked at now and then.
	file := p.Cmd.Args[len(p.Cmd.Args)-1]
	if err := os.WriteFile(file, []byte(routertest.ReloadableConfig("com.watched.", 2)), 0o600); err != nil {
		t.Fatal(err)
	}
	until(true, "com.watched.a")
}

// The binary is the same, bit for bit, wherever it is built.
func TestReproducibleBuild(t *testing.T) {
	testenv.SkipSlow(t, "half a minute, as it builds twice")
	top, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		t.Fatal(err)
	}
	var sums [2][]byte
	for i := range sums {
		dir := t.TempDir()
		script := fmt.Sprintf(`cd %q && git ls-files -z '*.go' go.mod go.sum cmd dashboard | xargs -0 -r cp --parents -t %q 2>/dev/null; cd %q && go build -trimpath -buildvcs=false -o router.out ./cmd/router`,
			string(bytes.TrimSpace(top)), dir, dir)
		if out, err := exec.Command("sh", "-c", script).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		if sums[i], err = os.ReadFile(dir + "/router.out"); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(sums[0], sums[1]) {
		t.Error("two builds of the same source differ")
	}
}
