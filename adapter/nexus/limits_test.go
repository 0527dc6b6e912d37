package nexus

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A client that does not read is told why its session ends, and holds up nobody.
func TestSlowClientEndsWithAReason(t *testing.T) {
	w := newWorld(t, func(s *settings) {
		s.limits.Message, s.limits.Queue = 64<<10, 256<<10
		s.limits.BackpressureTimeout = 50 * time.Millisecond
	})
	slow, bob, alice := w.join("Slow", wamp.CBOR), w.join("Bob", wamp.CBOR), w.join("Alice", wamp.CBOR)
	slow.Subscribe("com.t", wamp.MatchExact)
	bob.Subscribe("com.t", wamp.MatchExact)
	const events = 50
	a, payload := alice.Opaque(wamp.FormTransparency, make([]byte, 32<<10))
	for range events {
		alice.Publish("com.t", a, payload)
		routertest.Expect[*wamp.Published](alice)
		routertest.Expect[*wamp.Event](bob)
	}
	w.wantMetric(`blindfold_sessions_closed_total{realm="realm1",reason="queue_full"} 1`)
	w.wantMetric(`blindfold_limits_total{limit="queue"} 1`)
	received := 0
	for {
		m := slow.Receive()
		if abort, ok := m.(*wamp.Abort); ok {
			if abort.Reason != wamp.ErrUnavailable || abort.Details.Message == "" {
				t.Errorf("%+v", abort)
			}
			break
		}
		received++
	}
	if received >= events {
		t.Errorf("all %d events came, and yet it was slow", received)
	}
}

// A client that reads gets every event, RESULT and ERROR, however many come at a time,
// and whether or not their sender waits for it.
func TestNothingIsLostForAClientThatReads(t *testing.T) {
	w := newWorld(t)
	local, alice, bob := w.local(), w.join("Alice", wamp.CBOR), w.join("Bob", wamp.CBOR)
	bob.Register("com.p", wamp.RegisterOptions{})
	alice.Subscribe("com.t", wamp.MatchExact)
	const n = 3000
	go func() {
		for range n {
			_ = local.Publish("com.t", nil, nexus.List{"event"}, nil)
		}
	}()
	go func() {
		for i := range n {
			inv, ok := bob.Receive().(*wamp.Invocation)
			switch {
			case !ok:
				return
			case i%2 == 0:
				bob.Send(&wamp.Yield{Request: inv.Request, Payload: bob.Clear("result")})
			default:
				bob.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: inv.Request, Error: routertest.Failure})
			}
		}
	}()
	go func() {
		for range n {
			alice.Call("com.p", wamp.Attributes{}, wamp.Payload{})
		}
	}()
	got := map[string]int{}
	for range 2 * n {
		got[alice.Receive().Type().String()]++
	}
	if got["EVENT"] != n || got["RESULT"] != n/2 || got["ERROR"] != n/2 {
		t.Errorf("of %d calls and %d events: %v", n, n, got)
	}
}

// The bounds of what a client can make the adapter keep.
func TestLimitsOfASession(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.limits.Subscriptions, s.limits.Calls = 2, 2 })
	alice, bob := w.join("Alice", wamp.CBOR), w.join("Bob", wamp.CBOR)
	for n := range 2 {
		bob.Subscribe(wamp.URI(fmt.Sprint("com.t", n)), wamp.MatchPrefix)
	}
	request := bob.NextID()
	bob.Send(&wamp.Subscribe{Request: request, Topic: "com.t3", Options: wamp.SubscribeOptions{Match: "prefix"}})
	bob.ExpectError(request, wamp.ErrLimitExceeded)
	w.wantMetric(`blindfold_limits_total{limit="subscriptions"} 1`)
	bob.Register("com.p", wamp.RegisterOptions{})
	for range 2 {
		alice.Call("com.p", wamp.Attributes{}, wamp.Payload{})
		routertest.Expect[*wamp.Invocation](bob)
	}
	alice.ExpectError(alice.Call("com.p", wamp.Attributes{}, wamp.Payload{}), wamp.ErrLimitExceeded)
	carol := w.join("Carol", wamp.CBOR)
	carol.ExpectError(carol.Call("com.p", wamp.Attributes{}, wamp.Payload{}), wamp.ErrLimitExceeded)
	w.wantMetric(`blindfold_limits_total{limit="calls"} 2`)
	bob.Send(&wamp.Yield{Request: 1})
	routertest.Expect[*wamp.Result](alice)
	alice.Call("com.p", wamp.Attributes{}, wamp.Payload{})
	routertest.Expect[*wamp.Invocation](bob)
}

func TestHandshakeLimits(t *testing.T) {
	w := newWorld(t, func(s *settings) { s.limits.Hello, s.limits.FirstMessage = 200*time.Millisecond, 8192 })
	silent := w.dial(wamp.CBOR)
	silent.ExpectAbort(wamp.ErrTimeout)
	w.wantMetric(`blindfold_limits_total{limit="hello"} 1`)
	large := w.dial(wamp.CBOR)
	hello := &wamp.Hello{Realm: routertest.Realm, Details: wamp.HelloDetails{Agent: strings.Repeat("a", 10000)}}
	routertest.AllFeatures(hello)
	large.Send(hello)
	if m, err := large.TryReceive(); err == nil {
		t.Errorf("a HELLO over the limit is answered: %+v", m)
	}
	w.wantMetric(`blindfold_limits_total{limit="first_message"} 1`)
	early := w.dial(wamp.CBOR)
	early.Send(&wamp.Publish{Request: 1, Topic: "com.t"})
	early.ExpectAbort(wamp.ErrProtocolViolation)
	lost := w.dial(wamp.CBOR)
	stranger := &wamp.Hello{Realm: "com.elsewhere"}
	routertest.AllFeatures(stranger)
	lost.Send(stranger)
	lost.ExpectAbort(wamp.ErrNoSuchRealm)
}

func TestSilentClientIsPinged(t *testing.T) {
	w := newWorld(t, func(s *settings) {
		s.limits.PingEvery, s.limits.PingTimeout = 20*time.Millisecond, 20*time.Millisecond
	})
	silent := w.join("Silent", wamp.CBOR)
	pings := 0
	for {
		f, err := silent.Conn.Read()
		routertest.NoError(t, err)
		if f.Op == transport.OpPing {
			pings++
			continue
		}
		break // ABORT
	}
	if pings == 0 {
		t.Error("no PING came")
	}
	w.wantMetric(`blindfold_limits_total{limit="ping_timeout"} 1`)
}

// Whoever comes when nexus is closed is told, and does not end the process.
func TestLateClients(t *testing.T) {
	w := newWorld(t)
	url := w.listen()["websocket"]
	late := w.dialOver(url, wamp.JSON)
	alice := w.joinOver(url, "Alice", wamp.JSON)
	w.router.Close()
	if g := routertest.Expect[*wamp.Goodbye](alice); g.Reason != wamp.CloseSystemShutdown {
		t.Errorf("%+v", g)
	}
	hello := &wamp.Hello{Realm: routertest.Realm}
	routertest.AllFeatures(hello)
	late.Send(hello)
	w.wantMetric(`blindfold_sessions_closed_total{realm="realm1",reason="shutdown"} 1`)
	w.wantMetric(`blindfold_turned_away_total{reason="shutdown"} 1`)
	if a := routertest.Expect[*wamp.Abort](late); a.Reason != wamp.CloseSystemShutdown {
		t.Errorf("%+v", a)
	}
}

// A client that vanishes in the middle of whatever it does leaves nothing behind.
func TestVanishingClients(t *testing.T) {
	w := newWorld(t)
	urls := w.listen()
	alice := w.join("Alice", wamp.CBOR)
	for n := range 30 {
		c, err := net.Dial("tcp", urls["websocket"][len("ws://"):len(urls["websocket"])-1])
		routertest.NoError(t, err)
		if n%2 == 0 {
			_, _ = c.Write([]byte{0x7f, 0xf3, 0, 0, 0, 0, 0, 9, 0x83, 1})
		}
		_ = c.Close()
		bob := w.joinOver(urls["rawsocket"], "Bob", wamp.CBOR)
		bob.Register("com.p", wamp.RegisterOptions{Match: "prefix"})
		id := alice.Call("com.p", wamp.Attributes{}, wamp.Payload{})
		routertest.Expect[*wamp.Invocation](bob)
		_ = bob.Conn.Close()
		alice.ExpectError(id, wamp.ErrCanceled)
	}
	w.wantMetric(`blindfold_sessions{realm="realm1",serializer="cbor",transport="rawsocket"} 0`)
}
