package integration

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

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
	idle := withRouter(func(c *router.Config) { c.Limits.PingEvery = -1 }) // the watcher answers no pings
	w := newWorld(t, idle, withRealm(func(c *router.RealmConfig) {
		c.Testaments, c.Retained = new(router.TestamentLimits), new(router.RetainedLimits)
		c.History = []router.HistoryRule{{URI: "com.example.history", Limit: 100}}
	}))
	alice, bob := w.join("alice", "rawsocket", wamp.CBOR), w.join("bob", "rawsocket", wamp.CBOR)
	watcher := w.join("watcher", "memory", wamp.CBOR)
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
	patient := map[string]func(i int){
		"subscribe": func(i int) {
			match := wamp.Match(i % 3)
			id := alice.subscribe(wamp.URI(fmt.Sprintf("com.churn.t%d", i)), match)
			alice.send(&wamp.Unsubscribe{Request: alice.next(), Subscription: id})
			expect[*wamp.Unsubscribed](alice)
		},
		"register": func(i int) {
			o := wamp.RegisterOptions{Match: wamp.Match(i % 3).String(), Invoke: "roundrobin", Concurrency: uint64(i % 2)}
			id := bob.register(wamp.URI(fmt.Sprintf("com.churn.p%d", i)), o)
			bob.send(&wamp.Unregister{Request: bob.next(), Registration: id})
			expect[*wamp.Unregistered](bob)
		},
		"call": func(int) {
			a, p := alice.sealed(wamp.FormPassthru, []byte("sealed"))
			request := alice.call("com.example.call", a, p)
			i := expect[*wamp.Invocation](bob)
			bob.send(&wamp.Yield{Request: i.Request, Payload: p, Options: wamp.ResultDetails{Attributes: a}})
			if r := expect[*wamp.Result](alice); r.Request != request {
				t.Fatal("another result")
			}
		},
		"cancel": func(i int) {
			request := alice.callWith("com.example.call", wamp.FormNone, "x", wamp.CallOptions{Timeout: 3600_000, Progress: flag(i%2 == 0)})
			expect[*wamp.Invocation](bob)
			alice.send(&wamp.Cancel{Request: request})
			alice.expectError(request, wamp.ErrCanceled)
			expect[*wamp.Interrupt](bob)
		},
		"wait": func(int) { // for a callee, and in vain
			alice.callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{})
			i := expect[*wamp.Invocation](bob)
			request := alice.callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{Timeout: 3600_000})
			alice.send(&wamp.Cancel{Request: request})
			alice.expectError(request, wamp.ErrCanceled)
			bob.yield(i, wamp.FormNone, "x", false)
			expect[*wamp.Result](alice)
		},
		"publish": func(i int) {
			alice.say("com.example.history", wamp.FormTransparency, fmt.Sprint(i), func(o *wamp.PublishOptions) { o.Retain = wamp.True })
		},
		"connect": func(i int) {
			over := transports[i%len(transports)]
			p := &peer{t: t, name: "passer-by", conn: w.dial(over, wamp.Serializers[i%3])}
			p.hello()
			p.subscribe("com.example.passing", wamp.MatchPrefix)
			itself := wamp.URI(fmt.Sprintf("com.example.passing%d", i))
			p.register(itself, wamp.RegisterOptions{Invoke: "random", Concurrency: 3})
			p.addTestament("com.example.gone", wamp.FormNone, "will", "")
			expect[*wamp.Result](p)
			p.send(&wamp.Call{Request: p.next(), Procedure: itself}) // to itself, unanswered
			if i%2 == 0 {
				expect[*wamp.Invocation](p)
				p.leave()
			}
			_ = p.conn.Close()
		},
	}
	hasty := map[string]func(n int){
		"timeout": func(n int) { // many at a time, or it would take n milliseconds
			const batch = 100
			for range n / batch {
				for range batch {
					alice.callWith("com.example.call", wamp.FormNone, "x", wamp.CallOptions{Timeout: 1})
				}
				for range batch {
					if e := expect[*wamp.Error](alice); e.Error != wamp.ErrTimeout {
						t.Fatalf("%s", e.Error)
					}
					for expected := 2; expected > 0; expected-- { // INVOCATION and INTERRUPT
						bob.receive()
					}
				}
			}
		},
	}
	bob.register("com.example.call", wamp.RegisterOptions{})
	bob.register("com.example.limited", wamp.RegisterOptions{Concurrency: 1})
	run := func(n int) {
		for _, once := range patient {
			for i := range n {
				once(i)
			}
		}
		for _, all := range hasty {
			all(n)
		}
		w.settle(3)
	}
	run(min(cycles, 200)) // what is made once is made
	before := measure(w)
	run(cycles)
	after := measure(w)
	t.Logf("before %+v, after %+v", before, after)
	if err := w.router.Check(); err != nil {
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
