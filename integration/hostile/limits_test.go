package hostile

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// heap is what a router in this process holds, after all garbage is gone.
func heap() uint64 {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// Mallory subscribes to 10⁵ topics, makes 10⁴ calls that nobody answers, and
// publishes to 10⁶ distinct topics. She gets as far as the limits; Bob is not
// disturbed; and when she has left, so has what she held.
func TestLimitsOfASession(t *testing.T) {
	subscribes, publishes := 100_000, 1_000_000
	if routertest.RaceEnabled {
		subscribes, publishes = 10_000, 50_000
	}
	w := routertest.NewWorld(t)
	bob := w.Join("bob", "rawsocket", wamp.JSON)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	before := heap()
	mallory := w.Join("mallory", "rawsocket", wamp.JSON)
	answers := make(chan map[wamp.URI]int, 1)
	expected := 0
	count := func(n int) {
		expected = n
		go func() {
			got := map[wamp.URI]int{}
			for range expected {
				switch m := mallory.Receive().(type) {
				case *wamp.Error:
					got[m.Error]++
				default:
					got["ok"]++
				}
			}
			answers <- got
		}()
	}

	count(subscribes)
	for i := range subscribes {
		mallory.Send(&wamp.Subscribe{Request: mallory.NextID(), Topic: wamp.URI(fmt.Sprintf("com.example.t%d", i))})
	}
	if got := <-answers; got["ok"] != 1024 || got[wamp.ErrLimitExceeded] != subscribes-1024 {
		t.Errorf("subscriptions: %v", got)
	}
	w.WantMetric(fmt.Sprintf(`blindfold_limits_total{limit="subscriptions"} %d`, subscribes-1024))

	const calls = 10_000
	count(calls - 4096)
	invoked := make(chan struct{})
	go func() {
		defer close(invoked)
		for range 4096 {
			routertest.Expect[*wamp.Invocation](bob)
		}
	}()
	for range calls {
		mallory.Send(&wamp.Call{Request: mallory.NextID(), Procedure: routertest.Procedure})
	}
	if got := <-answers; got[wamp.ErrLimitExceeded] != calls-4096 {
		t.Errorf("calls: %v", got)
	}
	<-invoked

	mallory.Send(&wamp.Publish{Request: mallory.NextID(), Topic: "com.example.p"})
	mallory.ExpectNothing() // series appear with the first use of what they count
	series := strings.Count(w.Scrape(), "\n")
	for i := range publishes {
		mallory.Send(&wamp.Publish{Request: mallory.NextID(), Topic: wamp.URI(fmt.Sprintf("com.example.p%d", i))})
	}
	mallory.ExpectNothing()
	if n := strings.Count(w.Scrape(), "\n"); n != series {
		t.Errorf("there are %d lines of metrics, and were %d", n, series)
	}
	_ = mallory.Conn.Close()
	w.WaitSessions(1)
	// She leaves 4,096 interrupts, if Bob can be interrupted, and nothing else.
	if after := heap(); after > before+before/10+4<<20 {
		t.Errorf("the heap has %d bytes, and had %d", after, before)
	}
	if err := w.Router.Check(); err != nil {
		t.Error(err)
	}
}

// Bob announced that he takes messages of 1 KiB. A larger call to him is refused
// to Alice; of a larger event he is spared, and Carol is not.
func TestReceiverWithASmallerMaximum(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, carol := w.Join("alice", "rawsocket", wamp.MsgPack), w.Join("carol", "rawsocket", wamp.MsgPack)
	ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
	defer cancel()
	conn, err := transport.Dial(ctx, w.URLs["rawsocket"], transport.DialOptions{Serializer: wamp.MsgPack, MaxMessage: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	bob := &routertest.Peer{T: t, Name: "bob", Conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	bob.Hello()
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	carol.Subscribe(routertest.Topic, wamp.MatchExact)
	big := alice.Clear(strings.Repeat("x", 2000))
	alice.ExpectError(alice.Call(routertest.Procedure, wamp.Attributes{}, big), wamp.ErrPayloadSizeExceeded)
	alice.Publish(routertest.Topic, wamp.Attributes{}, big)
	routertest.Expect[*wamp.Published](alice)
	routertest.Expect[*wamp.Event](carol)
	bob.ExpectNothing()
	w.WantMetric(`blindfold_dropped_total{realm="realm1",reason="size"} 1`)
}

// Each limit that was reached says so: in its answer, and in its counter.
func TestLimitsCount(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) {
		c.Limits = router.Limits{Message: 16 << 10, FirstMessage: 4 << 10, Sessions: 2, Registrations: 1, Nesting: 4, Elements: 100,
			URIBytes: 60, URIComponents: 4, MessageRate: 200, PingEvery: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond, Hello: 2 * time.Second}
	}))
	struck := func(limit string) {
		t.Helper()
		if text := w.Scrape(); strings.Contains(text, fmt.Sprintf("blindfold_limits_total{limit=%q} 0\n", limit)) {
			t.Errorf("limit %s did not count", limit)
		}
	}
	join := func() *routertest.Peer { return w.Join("mallory", "rawsocket", wamp.JSON) }
	alice := join()
	go func() { // she has nothing to say, and answers pings
		for {
			f, err := alice.Conn.Read()
			if err != nil {
				return
			}
			if f.Op == transport.OpPing {
				_, _ = alice.Conn.Write([][]byte{alice.Conn.Framing().AppendFrame(nil, transport.OpPong, f.Body)}, routertest.Timeout)
			}
		}
	}()
	m := join()
	third := &routertest.Peer{T: t, Name: "third", Conn: w.Dial("rawsocket", wamp.JSON)}
	third.ExpectAbort(wamp.ErrUnavailable)
	struck("sessions")
	for _, uri := range []wamp.URI{"a.b.c.d.e", wamp.URI(strings.Repeat("a", 61))} {
		request := m.NextID()
		m.Send(&wamp.Subscribe{Request: request, Topic: uri})
		m.ExpectError(request, wamp.ErrInvalidURI)
	}
	struck("uri")
	m.Register("com.one", wamp.RegisterOptions{})
	request := m.NextID()
	m.Send(&wamp.Register{Request: request, Procedure: "com.two"})
	m.ExpectError(request, wamp.ErrLimitExceeded)
	struck("registrations")
	for range 300 {
		m.Send(&wamp.Publish{Request: m.NextID(), Topic: routertest.Topic})
	}
	m.ExpectNothing()
	struck("messages_per_second")
	m.ExpectAbort(wamp.ErrTimeout) // it does not answer pings
	struck("ping_timeout")
	w.WaitSessions(1)
	for limit, body := range map[string]string{
		"nesting":  `[16,1,{"x":[[[[[]]]]]},"com.a"]`,
		"elements": `[16,1,{"x":[` + strings.Repeat("1,", 100) + `1]},"com.a"]`,
	} {
		m := join()
		m.SendRaw([]byte(body))
		m.ExpectAbort(wamp.ErrProtocolViolation)
		struck(limit)
		w.WaitSessions(1)
	}
	m = join()
	m.SendRaw(make([]byte, 17<<10))
	if _, err := m.TryReceive(); err == nil {
		t.Error("a message over the limit is answered")
	}
	struck("message")
	w.WaitSessions(1)
	first := &routertest.Peer{T: t, Name: "first", Conn: w.Dial("rawsocket", wamp.JSON)}
	first.SendRaw(make([]byte, 5<<10))
	if _, err := first.TryReceive(); err == nil {
		t.Error("a first message over the limit is answered")
	}
	struck("first_message")
	w.WaitSessions(1)
	silent := &routertest.Peer{T: t, Name: "silent", Conn: w.Dial("websocket", wamp.JSON)}
	silent.ExpectAbort(wamp.ErrTimeout)
	struck("hello")
	_ = alice.Conn.Close()
}

// With few descriptors the server goes on with whom it has, and takes new
// connections as soon as there are descriptors again.
func TestFewDescriptors(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Fatal("prlimit (util-linux) is needed")
	}
	p := routertest.StartProcess(t, routertest.Config)
	bob := routertest.JoinProcess(t, p, "bob", wamp.JSON)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.Cmd.Process.Pid), "--nofile=64:64").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	address := regexp.MustCompile(`[^/]+$`).FindString(p.URLs["rawsocket"])
	var conns []net.Conn
	for range 100 {
		c, err := net.DialTimeout("tcp", address, routertest.Timeout)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	bob.Publish(routertest.Topic, wamp.Attributes{}, bob.Clear("x"))
	routertest.Expect[*wamp.Published](bob)
	for _, c := range conns {
		_ = c.Close()
	}
	alice := routertest.JoinProcess(t, p, "alice", wamp.JSON)
	alice.Publish(routertest.Topic, wamp.Attributes{}, alice.Clear("back"))
	routertest.Expect[*wamp.Event](bob)
}

// A listener with room for two connections tells the third.
func TestConnectionsOfAListener(t *testing.T) {
	p := routertest.StartProcess(t, `
listeners: [{rawsocket: "127.0.0.1:0", connections: 2}]
admin: 127.0.0.1:0
`)
	routertest.JoinProcess(t, p, "alice", wamp.JSON)
	routertest.JoinProcess(t, p, "bob", wamp.JSON)
	ctx, cancel := context.WithTimeout(context.Background(), routertest.Timeout)
	defer cancel()
	_, err := transport.Dial(ctx, p.URLs["rawsocket"], transport.DialOptions{})
	var refused *transport.HandshakeError
	if !errors.As(err, &refused) || refused.Code != 4 {
		t.Errorf("the third: %v", err)
	}
	// The answer goes out before it is counted.
	routertest.WaitUntil(t, "the refusal is counted", func() bool { return p.Metric(`blindfold_limits_total{limit="connections"}`) == 1 })
}
