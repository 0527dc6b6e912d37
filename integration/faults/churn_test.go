package faults

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
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
	before := measure(c.World)
	c.run(cycles)
	after := measure(c.World)
	t.Logf("before %+v, after %+v", before, after)
	if err := c.Router.Check(); err != nil {
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
	*routertest.World
	alice, bob *routertest.Peer
	together   routertest.HeldWrites
}

func newChurn(t *testing.T) *churn {
	idle := routertest.WithRouter(func(c *router.Config) { c.Limits.PingEvery = -1 }) // the watcher answers no pings
	c := &churn{World: routertest.NewWorld(t, idle, routertest.WithRealm(func(c *router.RealmConfig) {
		c.Testaments, c.Retained = new(router.TestamentLimits), new(router.RetainedLimits)
		c.History = []router.HistoryRule{{URI: "com.example.history", Limit: 100}}
	}))}
	c.alice, c.bob = c.Join("alice", "rawsocket", wamp.CBOR), c.Join("bob", "rawsocket", wamp.CBOR)
	c.alice.Conn, c.bob.Conn = c.together.On(c.alice.Conn), c.together.On(c.bob.Conn)
	c.bob.Register("com.example.call", wamp.RegisterOptions{})
	c.bob.Register("com.example.limited", wamp.RegisterOptions{Concurrency: 10})
	watcher := c.Join("watcher", "memory", wamp.CBOR)
	for _, kinds := range []wamp.URI{"wamp.session.", "wamp.subscription.", "wamp.registration."} {
		watcher.Subscribe(kinds, wamp.MatchPrefix)
	}
	_ = watcher.Conn.SetReadDeadline(time.Time{})
	go func() {
		for {
			if _, err := watcher.Conn.Read(); err != nil {
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
		c.WaitSessions(3)
		c.T.Logf("%d of %s in %v", n, kind.name, time.Since(start).Round(time.Millisecond))
	}
}

// pattern is the i-th URI to match by wamp.Match(i % 3).
func pattern(i int) wamp.URI {
	return wamp.URI(fmt.Sprintf([...]string{"com.churn%d.t", "com.churn%d.", "com.churn%d..t"}[i%3], i))
}

func (c *churn) subscribe(from, to int) {
	for i := from; i < to; i++ {
		m := &wamp.Subscribe{Request: c.alice.NextID(), Topic: pattern(i), Options: wamp.SubscribeOptions{Match: wamp.Match(i % 3).String()}}
		c.alice.Send(m)
	}
	for i := from; i < to; i++ {
		subscription := routertest.Expect[*wamp.Subscribed](c.alice).Subscription
		c.alice.Send(&wamp.Unsubscribe{Request: c.alice.NextID(), Subscription: subscription})
	}
	for i := from; i < to; i++ {
		routertest.Expect[*wamp.Unsubscribed](c.alice)
	}
}

func (c *churn) register(from, to int) {
	for i := from; i < to; i++ {
		o := wamp.RegisterOptions{Match: wamp.Match(i % 3).String(), Invoke: "roundrobin", Concurrency: uint64(i % 2)}
		c.bob.Send(&wamp.Register{Request: c.bob.NextID(), Procedure: pattern(i), Options: o})
	}
	for i := from; i < to; i++ {
		registration := routertest.Expect[*wamp.Registered](c.bob).Registration
		c.bob.Send(&wamp.Unregister{Request: c.bob.NextID(), Registration: registration})
	}
	for i := from; i < to; i++ {
		routertest.Expect[*wamp.Unregistered](c.bob)
	}
}

func (c *churn) publish(from, to int) {
	for i := from; i < to; i++ {
		a, payload := c.alice.Opaque(wamp.FormTransparency, fmt.Append(nil, i))
		c.alice.Send(&wamp.Publish{Request: c.alice.NextID(), Topic: "com.example.history", Payload: payload,
			Options: wamp.PublishOptions{Acknowledge: wamp.True, Retain: wamp.True, Attributes: a}})
	}
	for i := from; i < to; i++ {
		routertest.Expect[*wamp.Published](c.alice)
	}
}

func (c *churn) call(from, to int) {
	a, payload := c.alice.Opaque(wamp.FormPassthru, []byte("sealed"))
	requests := make([]wamp.ID, 0, to-from)
	for i := from; i < to; i++ {
		requests = append(requests, c.alice.Call("com.example.call", a, payload))
	}
	for range requests {
		i := routertest.Expect[*wamp.Invocation](c.bob)
		c.bob.Send(&wamp.Yield{Request: i.Request, Payload: payload, Options: wamp.ResultDetails{Attributes: a}})
	}
	for _, request := range requests {
		if r := routertest.Expect[*wamp.Result](c.alice); r.Request != request {
			c.T.Fatal("another result")
		}
	}
}

const hour = 3600_000 // a CALL's timeout that is not to come

func (c *churn) cancel(from, to int) {
	requests := make([]wamp.ID, 0, to-from)
	for i := from; i < to; i++ {
		requests = append(requests, c.alice.CallWith("com.example.call", wamp.FormNone, "x", wamp.CallOptions{Timeout: hour, Progress: []wamp.Flag{wamp.True, wamp.False}[i%2]}))
	}
	for range requests {
		routertest.Expect[*wamp.Invocation](c.bob)
	}
	for _, request := range requests {
		c.alice.Send(&wamp.Cancel{Request: request})
	}
	for _, request := range requests {
		c.alice.ExpectError(request, wamp.ErrCanceled)
		routertest.Expect[*wamp.Interrupt](c.bob)
	}
}

// wait is for a callee that is free: half of the calls, which Bob answers, and
// in vain: the other half.
func (c *churn) wait(from, to int) {
	inVain := make([]wamp.ID, 0, to-from)
	for i := from; i < to; i++ {
		c.alice.CallWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{})
	}
	for i := from; i < to; i++ {
		inVain = append(inVain, c.alice.CallWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{Timeout: hour}))
	}
	for _, request := range inVain {
		c.alice.Send(&wamp.Cancel{Request: request})
	}
	for _, request := range inVain {
		c.alice.ExpectError(request, wamp.ErrCanceled)
	}
	for range inVain {
		c.bob.Yield(routertest.Expect[*wamp.Invocation](c.bob), wamp.FormNone, "x", false)
	}
	for range inVain {
		routertest.Expect[*wamp.Result](c.alice)
	}
}

func (c *churn) timeout(from, to int) {
	for i := from; i < to; i++ {
		c.alice.CallWith("com.example.call", wamp.FormNone, "x", wamp.CallOptions{Timeout: 1})
	}
	for i := from; i < to; i++ {
		if e := routertest.Expect[*wamp.Error](c.alice); e.Error != wamp.ErrTimeout {
			c.T.Fatalf("%s", e.Error)
		}
		c.bob.Receive() // INVOCATION
		c.bob.Receive() // and INTERRUPT
	}
}

// connect brings passers-by, who leave traces everywhere, and of whom half
// leave politely and half are cut off.
func (c *churn) connect(from, to int) {
	passers := make([]*routertest.Peer, 0, to-from)
	for i := from; i < to; i++ {
		conn := c.Dial(routertest.Transports[i%len(routertest.Transports)], wamp.Serializers[i/len(routertest.Transports)%3])
		p := &routertest.Peer{T: c.T, Name: "passer-by", Conn: c.together.On(conn)}
		passers = append(passers, p)
		h := &wamp.Hello{Realm: routertest.Realm}
		routertest.AllFeatures(h)
		p.Send(h)
	}
	for i, p := range passers {
		routertest.Expect[*wamp.Welcome](p)
		itself := wamp.URI(fmt.Sprintf("com.example.passing%d", from+i))
		p.Send(&wamp.Subscribe{Request: p.NextID(), Topic: "com.example.passing", Options: wamp.SubscribeOptions{Match: "prefix"}})
		p.Send(&wamp.Register{Request: p.NextID(), Procedure: itself, Options: wamp.RegisterOptions{Invoke: "random", Concurrency: 3}})
		p.AddTestament("com.example.gone", wamp.FormNone, "will", "")
		p.Send(&wamp.Call{Request: p.NextID(), Procedure: itself}) // unanswered
	}
	for i, p := range passers {
		routertest.Expect[*wamp.Subscribed](p)
		routertest.Expect[*wamp.Registered](p)
		routertest.Expect[*wamp.Result](p)
		routertest.Expect[*wamp.Invocation](p)
		if i%2 == 0 {
			p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
		}
	}
	for i, p := range passers {
		if i%2 == 0 {
			farewell(p)
		}
		c.together.Off(p.Conn)
		_ = p.Conn.Close()
	}
}

// farewell receives the router's GOODBYE. Whom it interrupts in the peer's own
// call is the peer itself.
func farewell(p *routertest.Peer) {
	p.T.Helper()
	m := p.Receive()
	if _, interrupted := m.(*wamp.Interrupt); interrupted {
		m = p.Receive()
	}
	if _, ok := m.(*wamp.Goodbye); !ok {
		p.T.Fatalf("%s: want GOODBYE, got %v", p.Name, m.Type())
	}
}

type measured struct {
	goroutines int
	heap, rss  uint64
	stats      router.RealmStats
}

// measure waits until goroutines that are ending have ended.
func measure(w *routertest.World) (m measured) {
	for deadline := time.Now().Add(routertest.Timeout); ; time.Sleep(time.Millisecond) {
		n := runtime.NumGoroutine()
		runtime.GC()
		if m.goroutines == n && w.Router.Stats()[0].Invocations == 0 || time.Now().After(deadline) {
			break
		}
		m.goroutines = n
	}
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	m.heap, m.stats = s.HeapAlloc, w.Router.Stats()[0]
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		fields := strings.Fields(string(text))
		pages, _ := strconv.ParseUint(fields[1], 10, 64)
		m.rss = pages * uint64(os.Getpagesize())
	}
	return m
}
