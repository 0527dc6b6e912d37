package integration

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// TestChurn goes through what comes and goes, BLINDFOLD_CHURN times each (2,000
// by default): goroutines, tables and memory end where they began.
func TestChurn(t *testing.T) {
	cycles := 2000
	if s := os.Getenv("BLINDFOLD_CHURN"); s != "" {
		var err error
		if cycles, err = strconv.Atoi(s); err != nil {
			t.Fatal("BLINDFOLD_CHURN:", err)
		}
	}
	c := newChurn(t)
	c.run(min(cycles, 400)) // what is made once is made
	before := measure(c.world)
	c.run(cycles)
	after := measure(c.world)
	t.Logf("before %+v, after %+v", before, after)
	if err := c.router.Check(); err != nil {
		t.Error(err)
	}
	if after.stats != before.stats {
		t.Errorf("tables: %+v before, %+v after", before.stats, after.stats)
	}
	if after.goroutines > before.goroutines {
		t.Errorf("goroutines: %d before, %d after", before.goroutines, after.goroutines)
	}
	const slack = 8 << 20
	if after.heap > before.heap+slack || after.rss > before.rss+8*slack {
		t.Errorf("memory: %+v before, %+v after", before, after)
	}
}

// churn is a world in which Alice, Bob and passers-by do much, and a watcher is
// told of it all by the meta API. The three stay.
type churn struct {
	*world
	alice, bob *peer
	together   together
}

func newChurn(t *testing.T) *churn {
	idle := withRouter(func(c *router.Config) { c.Limits.PingEvery = -1 }) // the watcher answers no pings
	c := &churn{world: newWorld(t, idle, withRealm(func(c *router.RealmConfig) {
		c.Testaments, c.Retained = new(router.TestamentLimits), new(router.RetainedLimits)
		c.History = []router.HistoryRule{{URI: "com.example.history", Limit: 100}}
	}))}
	c.alice, c.bob = c.join("alice", "rawsocket", wamp.CBOR), c.join("bob", "rawsocket", wamp.CBOR)
	c.alice.conn, c.bob.conn = c.together.on(c.alice.conn), c.together.on(c.bob.conn)
	c.bob.register("com.example.call", wamp.RegisterOptions{})
	c.bob.register("com.example.limited", wamp.RegisterOptions{Concurrency: 10})
	watcher := c.join("watcher", "memory", wamp.CBOR)
	for _, kinds := range []wamp.URI{"wamp.session.", "wamp.subscription.", "wamp.registration."} {
		watcher.subscribe(kinds, wamp.MatchPrefix)
	}
	_ = watcher.conn.SetReadDeadline(time.Time{})
	go func() {
		for {
			if _, err := watcher.conn.Read(); err != nil {
				return
			}
		}
	}()
	return c
}

// run goes through everything n times: a batch at a time, so that what comes
// next finds more than one of a kind, and time goes into the work and not into
// waiting for each answer.
func (c *churn) run(n int) {
	for _, kind := range []struct {
		name  string
		batch int
		do    func(from, to int)
	}{
		{"subscribe", 100, c.subscribe}, {"register", 100, c.register}, {"publish", 100, c.publish},
		{"call", 100, c.call}, {"cancel", 100, c.cancel}, {"wait", 100, c.wait}, {"timeout", 100, c.timeout},
		{"connect", 24, c.connect},
	} {
		start := time.Now()
		for i := 0; i < n; i += kind.batch {
			kind.do(i, min(n, i+kind.batch))
		}
		c.settle(3)
		c.t.Logf("%d of %s in %v", n, kind.name, time.Since(start).Round(time.Millisecond))
	}
}

// pattern is the i-th URI to match by wamp.Match(i % 3).
func pattern(i int) wamp.URI {
	return wamp.URI(fmt.Sprintf([...]string{"com.churn%d.t", "com.churn%d.", "com.churn%d..t"}[i%3], i))
}

func (c *churn) subscribe(from, to int) {
	for i := from; i < to; i++ {
		m := &wamp.Subscribe{Request: c.alice.next(), Topic: pattern(i), Options: wamp.SubscribeOptions{Match: wamp.Match(i % 3).String()}}
		c.alice.send(m)
	}
	for i := from; i < to; i++ {
		subscription := expect[*wamp.Subscribed](c.alice).Subscription
		c.alice.send(&wamp.Unsubscribe{Request: c.alice.next(), Subscription: subscription})
	}
	for i := from; i < to; i++ {
		expect[*wamp.Unsubscribed](c.alice)
	}
}

func (c *churn) register(from, to int) {
	for i := from; i < to; i++ {
		o := wamp.RegisterOptions{Match: wamp.Match(i % 3).String(), Invoke: "roundrobin", Concurrency: uint64(i % 2)}
		c.bob.send(&wamp.Register{Request: c.bob.next(), Procedure: pattern(i), Options: o})
	}
	for i := from; i < to; i++ {
		registration := expect[*wamp.Registered](c.bob).Registration
		c.bob.send(&wamp.Unregister{Request: c.bob.next(), Registration: registration})
	}
	for i := from; i < to; i++ {
		expect[*wamp.Unregistered](c.bob)
	}
}

func (c *churn) publish(from, to int) {
	for i := from; i < to; i++ {
		a, payload := c.alice.sealed(wamp.FormTransparency, fmt.Append(nil, i))
		c.alice.send(&wamp.Publish{Request: c.alice.next(), Topic: "com.example.history", Payload: payload,
			Options: wamp.PublishOptions{Acknowledge: wamp.True, Retain: wamp.True, Attributes: a}})
	}
	for i := from; i < to; i++ {
		expect[*wamp.Published](c.alice)
	}
}

func (c *churn) call(from, to int) {
	a, payload := c.alice.sealed(wamp.FormPassthru, []byte("sealed"))
	requests := make([]wamp.ID, 0, to-from)
	for i := from; i < to; i++ {
		requests = append(requests, c.alice.call("com.example.call", a, payload))
	}
	for range requests {
		i := expect[*wamp.Invocation](c.bob)
		c.bob.send(&wamp.Yield{Request: i.Request, Payload: payload, Options: wamp.ResultDetails{Attributes: a}})
	}
	for _, request := range requests {
		if r := expect[*wamp.Result](c.alice); r.Request != request {
			c.t.Fatal("another result")
		}
	}
}

const hour = 3600_000 // a CALL's timeout that is not to come

func (c *churn) cancel(from, to int) {
	requests := make([]wamp.ID, 0, to-from)
	for i := from; i < to; i++ {
		requests = append(requests, c.alice.callWith("com.example.call", wamp.FormNone, "x", wamp.CallOptions{Timeout: hour, Progress: flag(i%2 == 0)}))
	}
	for range requests {
		expect[*wamp.Invocation](c.bob)
	}
	for _, request := range requests {
		c.alice.send(&wamp.Cancel{Request: request})
	}
	for _, request := range requests {
		c.alice.expectError(request, wamp.ErrCanceled)
		expect[*wamp.Interrupt](c.bob)
	}
}

// wait is for a callee that is free: half of the calls, which Bob answers, and
// in vain: the other half.
func (c *churn) wait(from, to int) {
	inVain := make([]wamp.ID, 0, to-from)
	for i := from; i < to; i++ {
		c.alice.callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{})
	}
	for i := from; i < to; i++ {
		inVain = append(inVain, c.alice.callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{Timeout: hour}))
	}
	for _, request := range inVain {
		c.alice.send(&wamp.Cancel{Request: request})
	}
	for _, request := range inVain {
		c.alice.expectError(request, wamp.ErrCanceled)
	}
	for range inVain {
		c.bob.yield(expect[*wamp.Invocation](c.bob), wamp.FormNone, "x", false)
	}
	for range inVain {
		expect[*wamp.Result](c.alice)
	}
}

func (c *churn) timeout(from, to int) {
	for i := from; i < to; i++ {
		c.alice.callWith("com.example.call", wamp.FormNone, "x", wamp.CallOptions{Timeout: 1})
	}
	for i := from; i < to; i++ {
		if e := expect[*wamp.Error](c.alice); e.Error != wamp.ErrTimeout {
			c.t.Fatalf("%s", e.Error)
		}
		c.bob.receive() // INVOCATION
		c.bob.receive() // and INTERRUPT
	}
}

// connect brings passers-by, who leave traces everywhere, and of whom half
// leave politely and half are cut off.
func (c *churn) connect(from, to int) {
	passers := make([]*peer, 0, to-from)
	for i := from; i < to; i++ {
		conn := c.dial(transports[i%len(transports)], wamp.Serializers[i/len(transports)%3])
		p := &peer{t: c.t, name: "passer-by", conn: c.together.on(conn)}
		passers = append(passers, p)
		h := &wamp.Hello{Realm: realm}
		allFeatures(h)
		p.send(h)
	}
	for i, p := range passers {
		expect[*wamp.Welcome](p)
		itself := wamp.URI(fmt.Sprintf("com.example.passing%d", from+i))
		p.send(&wamp.Subscribe{Request: p.next(), Topic: "com.example.passing", Options: wamp.SubscribeOptions{Match: "prefix"}})
		p.send(&wamp.Register{Request: p.next(), Procedure: itself, Options: wamp.RegisterOptions{Invoke: "random", Concurrency: 3}})
		p.addTestament("com.example.gone", wamp.FormNone, "will", "")
		p.send(&wamp.Call{Request: p.next(), Procedure: itself}) // unanswered
	}
	for i, p := range passers {
		expect[*wamp.Subscribed](p)
		expect[*wamp.Registered](p)
		expect[*wamp.Result](p)
		expect[*wamp.Invocation](p)
		if i%2 == 0 {
			p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
		}
	}
	for i, p := range passers {
		if i%2 == 0 {
			p.farewell()
		}
		c.together.off(p.conn)
		_ = p.conn.Close()
	}
}

// farewell receives the router's GOODBYE. Whom it interrupts in the peer's own
// call is the peer itself.
func (p *peer) farewell() {
	p.t.Helper()
	m := p.receive()
	if _, interrupted := m.(*wamp.Interrupt); interrupted {
		m = p.receive()
	}
	if _, ok := m.(*wamp.Goodbye); !ok {
		p.t.Fatalf("%s: want GOODBYE, got %v", p.name, m.Type())
	}
}

// together is connections that write what they are given when one of them is to
// wait for something to read, and not before.
type together struct{ conns []*batched }

type batched struct {
	transport.Conn
	of   *together
	held [][]byte
}

func (h *together) on(conn transport.Conn) transport.Conn {
	c := &batched{Conn: conn, of: h}
	h.conns = append(h.conns, c)
	return c
}

func (h *together) off(conn transport.Conn) {
	h.conns = slices.DeleteFunc(h.conns, func(c *batched) bool { return c == conn })
}

func (c *batched) Write(segments [][]byte, _ time.Duration) (n int, err error) {
	for _, s := range segments {
		n += len(s)
	}
	c.held = append(c.held, segments...)
	return n, nil
}

func (c *batched) Read() (transport.Frame, error) {
	if !c.Buffered() {
		for _, other := range c.of.conns {
			if _, err := other.Conn.Write(other.held, patience); err != nil {
				return transport.Frame{}, err
			}
			clear(other.held)
			other.held = other.held[:0]
		}
	}
	return c.Conn.Read()
}

type measured struct {
	goroutines int
	heap, rss  uint64
	stats      router.RealmStats
}

// measure waits until goroutines that are ending have ended.
func measure(w *world) (m measured) {
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		n := runtime.NumGoroutine()
		runtime.GC()
		if m.goroutines == n && w.router.Stats()[0].Invocations == 0 || time.Now().After(deadline) {
			break
		}
		m.goroutines = n
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.heap, m.stats = s.HeapAlloc, w.router.Stats()[0]
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		fields := strings.Fields(string(text))
		pages, _ := strconv.ParseUint(fields[1], 10, 64)
		m.rss = pages * uint64(os.Getpagesize())
	}
	return m
}
