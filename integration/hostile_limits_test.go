package integration

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

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// metric returns the value of a series of a built server.
func (p *process) metric(series string) float64 {
	p.t.Helper()
	for line := range strings.Lines(p.get("/metrics")) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return v
		}
	}
	p.t.Fatalf("there is no series %s", series)
	return 0
}

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
func TestMalloryHoldsNoMoreThanSheMay(t *testing.T) {
	subscribes, publishes := 100_000, 1_000_000
	if raceEnabled {
		subscribes, publishes = 10_000, 50_000
	}
	w := newWorld(t)
	bob := w.join("bob", "rawsocket", wamp.JSON)
	bob.register(procedure, wamp.RegisterOptions{})
	before := heap()
	mallory := w.join("mallory", "rawsocket", wamp.JSON)
	answers := make(chan map[wamp.URI]int, 1)
	expected := 0
	count := func(n int) {
		expected = n
		go func() {
			got := map[wamp.URI]int{}
			for range expected {
				switch m := mallory.receive().(type) {
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
		mallory.send(&wamp.Subscribe{Request: mallory.next(), Topic: wamp.URI(fmt.Sprintf("com.example.t%d", i))})
	}
	if got := <-answers; got["ok"] != 1024 || got[wamp.ErrLimitExceeded] != subscribes-1024 {
		t.Errorf("subscriptions: %v", got)
	}
	w.wantMetric(fmt.Sprintf(`blindfold_limits_total{limit="subscriptions"} %d`, subscribes-1024))

	const calls = 10_000
	count(calls - 4096)
	invoked := make(chan struct{})
	go func() {
		defer close(invoked)
		for range 4096 {
			expect[*wamp.Invocation](bob)
		}
	}()
	for range calls {
		mallory.send(&wamp.Call{Request: mallory.next(), Procedure: procedure})
	}
	if got := <-answers; got[wamp.ErrLimitExceeded] != calls-4096 {
		t.Errorf("calls: %v", got)
	}
	<-invoked

	series := strings.Count(w.scrape(), "\n")
	for i := range publishes {
		mallory.send(&wamp.Publish{Request: mallory.next(), Topic: wamp.URI(fmt.Sprintf("com.example.p%d", i))})
	}
	mallory.expectNothing()
	if n := strings.Count(w.scrape(), "\n"); n != series {
		t.Errorf("there are %d lines of metrics, and were %d", n, series)
	}
	_ = mallory.conn.Close()
	w.settle(1)
	// She leaves 4,096 interrupts, if Bob can be interrupted, and nothing else.
	if after := heap(); after > before+before/10+4<<20 {
		t.Errorf("the heap has %d bytes, and had %d", after, before)
	}
	if err := w.router.Check(); err != nil {
		t.Error(err)
	}
}

// Bob announced that he takes messages of 1 KiB. A larger call to him is refused
// to Alice; of a larger event he is spared, and Carol is not.
func TestReceiverWithASmallerMaximum(t *testing.T) {
	w := newWorld(t)
	alice, carol := w.join("alice", "rawsocket", wamp.MsgPack), w.join("carol", "rawsocket", wamp.MsgPack)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := transport.Dial(ctx, w.urls["rawsocket"], transport.DialOptions{Serializer: wamp.MsgPack, MaxMessage: 1 << 10})
	if err != nil {
		t.Fatal(err)
	}
	bob := &peer{t: t, name: "bob", conn: conn}
	t.Cleanup(func() { _ = conn.Close() })
	bob.hello()
	bob.register(procedure, wamp.RegisterOptions{})
	bob.subscribe(topic, wamp.MatchExact)
	carol.subscribe(topic, wamp.MatchExact)
	big := alice.clear(strings.Repeat("x", 2000))
	alice.expectError(alice.call(procedure, wamp.Attributes{}, big), wamp.ErrPayloadSizeExceeded)
	alice.publish(topic, wamp.Attributes{}, big)
	expect[*wamp.Published](alice)
	expect[*wamp.Event](carol)
	bob.expectNothing()
	w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="size"} 1`)
}

// Each limit that was reached says so: in its answer, and in its counter.
func TestLimitsCount(t *testing.T) {
	w := newWorld(t, withRouter(func(c *router.Config) {
		c.Limits = router.Limits{Message: 16 << 10, FirstMessage: 4 << 10, Sessions: 2, Registrations: 1, Nesting: 4, Elements: 100,
			URIBytes: 60, URIComponents: 4, MessageRate: 200, PingEvery: 50 * time.Millisecond, PingTimeout: 50 * time.Millisecond, Hello: 2 * time.Second}
	}))
	struck := func(limit string) {
		t.Helper()
		if text := w.scrape(); strings.Contains(text, fmt.Sprintf("blindfold_limits_total{limit=%q} 0\n", limit)) {
			t.Errorf("limit %s did not count", limit)
		}
	}
	join := func() *peer { return w.join("mallory", "rawsocket", wamp.JSON) }
	alice := join()
	go func() { // she has nothing to say, and answers pings
		for {
			f, err := alice.conn.Read()
			if err != nil {
				return
			}
			if f.Op == transport.OpPing {
				_, _ = alice.conn.Write([][]byte{alice.conn.Framing().AppendFrame(nil, transport.OpPong, f.Body)}, patience)
			}
		}
	}()
	m := join()
	third := &peer{t: t, name: "third", conn: w.dial("rawsocket", wamp.JSON)}
	third.expectAbort(wamp.ErrUnavailable)
	struck("sessions")
	for _, uri := range []wamp.URI{"a.b.c.d.e", wamp.URI(strings.Repeat("a", 61))} {
		request := m.next()
		m.send(&wamp.Subscribe{Request: request, Topic: uri})
		m.expectError(request, wamp.ErrInvalidURI)
	}
	struck("uri")
	m.register("com.one", wamp.RegisterOptions{})
	request := m.next()
	m.send(&wamp.Register{Request: request, Procedure: "com.two"})
	m.expectError(request, wamp.ErrLimitExceeded)
	struck("registrations")
	for range 300 {
		m.send(&wamp.Publish{Request: m.next(), Topic: topic})
	}
	m.expectNothing()
	struck("messages_per_second")
	m.expectAbort(wamp.ErrTimeout) // it does not answer pings
	struck("ping_timeout")
	w.settle(1)
	for limit, body := range map[string]string{
		"nesting":  `[16,1,{"x":[[[[[]]]]]},"com.a"]`,
		"elements": `[16,1,{"x":[` + strings.Repeat("1,", 100) + `1]},"com.a"]`,
	} {
		m := join()
		m.sendRaw([]byte(body))
		m.expectAbort(wamp.ErrProtocolViolation)
		struck(limit)
		w.settle(1)
	}
	m = join()
	m.sendRaw(make([]byte, 17<<10))
	if _, err := m.tryReceive(); err == nil {
		t.Error("a message over the limit is answered")
	}
	struck("message")
	w.settle(1)
	first := &peer{t: t, name: "first", conn: w.dial("rawsocket", wamp.JSON)}
	first.sendRaw(make([]byte, 5<<10))
	if _, err := first.tryReceive(); err == nil {
		t.Error("a first message over the limit is answered")
	}
	struck("first_message")
	w.settle(1)
	silent := &peer{t: t, name: "silent", conn: w.dial("websocket", wamp.JSON)}
	silent.expectAbort(wamp.ErrTimeout)
	struck("hello")
	_ = alice.conn.Close()
}

// With few descriptors the server goes on with whom it has, and takes new
// connections as soon as there are descriptors again.
func TestFewDescriptors(t *testing.T) {
	if _, err := exec.LookPath("prlimit"); err != nil {
		t.Fatal("prlimit (util-linux) is needed")
	}
	p := startServer(t, config)
	bob := joinServer(t, p, "bob", wamp.JSON)
	bob.subscribe(topic, wamp.MatchExact)
	if out, err := exec.Command("prlimit", "--pid", strconv.Itoa(p.cmd.Process.Pid), "--nofile=64:64").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	address := regexp.MustCompile(`[^/]+$`).FindString(p.urls["rawsocket"])
	var conns []net.Conn
	for range 100 {
		c, err := net.DialTimeout("tcp", address, patience)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	bob.publish(topic, wamp.Attributes{}, bob.clear("x"))
	expect[*wamp.Published](bob)
	for _, c := range conns {
		_ = c.Close()
	}
	alice := joinServer(t, p, "alice", wamp.JSON)
	alice.publish(topic, wamp.Attributes{}, alice.clear("back"))
	expect[*wamp.Event](bob)
}

// A listener with room for two connections tells the third.
func TestConnectionsOfAListener(t *testing.T) {
	p := startServer(t, `
listeners: [{rawsocket: "127.0.0.1:0", connections: 2}]
admin: 127.0.0.1:0
`)
	joinServer(t, p, "alice", wamp.JSON)
	joinServer(t, p, "bob", wamp.JSON)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err := transport.Dial(ctx, p.urls["rawsocket"], transport.DialOptions{})
	var refused *transport.HandshakeError
	if !errors.As(err, &refused) || refused.Code != 4 {
		t.Errorf("the third: %v", err)
	}
	if n := p.metric(`blindfold_limits_total{limit="connections"}`); n != 1 {
		t.Errorf("counted %v times", n)
	}
}
