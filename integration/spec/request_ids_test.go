package spec

import (
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// What the router makes of request ids (WAMP, "IDs"); docs/interop.md says why.

const maxID = wamp.ID(1) << 53

// Alice's request ids have gaps, come again, go down, and wrap: each is
// answered under its own.
func TestRequestIDsInAnyOrder(t *testing.T) {
	for i, s := range wamp.Serializers {
		t.Run(s.String(), func(t *testing.T) {
			w := routertest.NewWorld(t)
			alice := w.Join("alice", routertest.Transports[i%len(routertest.Transports)], s)
			for n, id := range []wamp.ID{1, 2, 7, 1000, 1000, 3, 1 << 32, 1<<32 + 1, maxID - 1, maxID, 1, 2} {
				uri := wamp.URI(fmt.Sprintf("com.example.ids%d", n))
				alice.Send(&wamp.Subscribe{Request: id, Topic: uri})
				subscribed := routertest.Expect[*wamp.Subscribed](alice)
				alice.Send(&wamp.Register{Request: id, Procedure: uri})
				registered := routertest.Expect[*wamp.Registered](alice)
				alice.Send(&wamp.Publish{Request: id, Topic: uri, Options: wamp.PublishOptions{Acknowledge: wamp.True}})
				published := routertest.Expect[*wamp.Published](alice)
				alice.Send(&wamp.Call{Request: id, Procedure: uri})
				invocation := routertest.Expect[*wamp.Invocation](alice)
				alice.Send(&wamp.Yield{Request: invocation.Request})
				result := routertest.Expect[*wamp.Result](alice)
				alice.Send(&wamp.Unsubscribe{Request: id, Subscription: subscribed.Subscription})
				unsubscribed := routertest.Expect[*wamp.Unsubscribed](alice)
				alice.Send(&wamp.Unregister{Request: id, Registration: registered.Registration})
				unregistered := routertest.Expect[*wamp.Unregistered](alice)
				alice.Send(&wamp.Call{Request: id, Procedure: uri})
				alice.ExpectError(id, wamp.ErrNoSuchProcedure)
				for _, got := range []wamp.ID{subscribed.Request, registered.Request, published.Request, result.Request, unsubscribed.Request, unregistered.Request} {
					if got != id {
						t.Errorf("an answer to %d for %d", got, id)
					}
				}
				if invocation.Request != wamp.ID(n+1) {
					t.Errorf("INVOCATION.Request is %d in the place of %d", invocation.Request, n+1)
				}
			}
		})
	}
}

// What is no id ends the session: 0, what is over 2^53, less than 0, a fraction.
func TestRequestIDsInvalid(t *testing.T) {
	for _, id := range []string{"0", "9007199254740993", "18446744073709551615", "-1", "1.5", `"1"`, "null", "true"} {
		for kind, message := range map[string]string{
			"PUBLISH":     `[16,%s,{},"com.example.topic"]`,
			"SUBSCRIBE":   `[32,%s,{},"com.example.topic"]`,
			"UNSUBSCRIBE": `[34,%s,1]`,
			"CALL":        `[48,%s,{},"com.example.procedure"]`,
			"CANCEL":      `[49,%s,{}]`,
			"REGISTER":    `[64,%s,{},"com.example.procedure"]`,
			"UNREGISTER":  `[66,%s,1]`,
			"YIELD":       `[70,%s,{}]`,
			"ERROR":       `[8,68,%s,{},"com.example.error"]`,
		} {
			t.Run(kind+"/"+id, func(t *testing.T) {
				w := routertest.NewWorld(t)
				alice := w.Join("alice", "websocket", wamp.JSON)
				alice.SendRaw(fmt.Appendf(nil, message, id))
				alice.ExpectAbort(wamp.ErrProtocolViolation)
			})
		}
	}
}

// An integer written as a float is one: JavaScript has no other numbers. In JSON
// that does not show.
func TestRequestIDsThatAreFloats(t *testing.T) {
	w := routertest.NewWorld(t)
	for s, frame := range map[wamp.Serializer]string{
		wamp.MsgPack: "\x94\x20\xcb\x40\x1c\x00\x00\x00\x00\x00\x00\x80\xb1com.example.topic",
		wamp.CBOR:    "\x84\x18\x20\xfb\x40\x1c\x00\x00\x00\x00\x00\x00\xa0\x71com.example.topic",
	} {
		alice := w.Join("alice", "websocket", s)
		alice.SendRaw([]byte(frame))
		if m := routertest.Expect[*wamp.Subscribed](alice); m.Request != 7 {
			t.Errorf("%s: 7.0 is answered as %d", s, m.Request)
		}
	}
}

// A request id of a call that is in flight names that call: another CALL under it
// can't be told from it, so it ends the session. The same id is free for other
// requests.
func TestRequestIDInFlight(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "rawsocket", s), w.Join("bob", "websocket", s)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		request := alice.CallWith(routertest.Procedure, form, "one", wamp.CallOptions{})
		bob.WantPayload(routertest.Expect[*wamp.Invocation](bob), form, "one")
		alice.Send(&wamp.Subscribe{Request: request, Topic: routertest.Topic})
		routertest.Expect[*wamp.Subscribed](alice)
		alice.LastRequest--
		alice.CallWith(routertest.Procedure, form, "two", wamp.CallOptions{})
		alice.ExpectAbort(wamp.ErrProtocolViolation)
		if i := routertest.Expect[*wamp.Interrupt](bob); i.Request != 1 {
			t.Errorf("INTERRUPT of %d", i.Request)
		}
		bob.ExpectNothing()
		w.WaitSessions(1)
	})
}

// Bob's INVOCATIONs count from 1, by 1, whatever they are of and from whom: those
// that are refused on the way to him are not among them.
func TestInvocationIDs(t *testing.T) {
	w := routertest.NewWorld(t)
	bob := w.Join("bob", "rawsocket", wamp.CBOR)
	bob.Register("com.example.a", wamp.RegisterOptions{})
	bob.Register("com.example.b", wamp.RegisterOptions{Match: "prefix"})
	bob.Register("com.example.limited", wamp.RegisterOptions{Concurrency: 1})
	callers := []*routertest.Peer{w.Join("alice", "websocket", wamp.CBOR), w.Join("carol", "unix", wamp.CBOR), w.Join("dave", "websocket", wamp.JSON)}
	next := wamp.ID(0)
	invoked := func() *wamp.Invocation {
		t.Helper()
		next++
		i := routertest.Expect[*wamp.Invocation](bob)
		if i.Request != next {
			t.Fatalf("INVOCATION.Request is %d in the place of %d", i.Request, next)
		}
		return i
	}
	for range 3 {
		dave := callers[2]
		dave.ExpectError(dave.CallWith("com.example.a", wamp.FormPassthru, "x", wamp.CallOptions{}), wamp.ErrConversionRefused)
		dave.ExpectError(dave.CallWith("com.example.limited", wamp.FormPassthru, "x", wamp.CallOptions{}), wamp.ErrConversionRefused)
		for _, p := range callers {
			for _, procedure := range []wamp.URI{"com.example.a", "com.example.b.c", "com.example.limited"} {
				request := p.CallWith(procedure, wamp.FormNone, "x", wamp.CallOptions{})
				bob.Yield(invoked(), wamp.FormNone, "x", false)
				if r := routertest.Expect[*wamp.Result](p); r.Request != request {
					t.Fatalf("a result of %d", r.Request)
				}
			}
		}
		first := callers[0].CallWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{})
		one := invoked()
		second := callers[1].CallWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{}) // waits, in vain
		callers[1].Send(&wamp.Cancel{Request: second})
		callers[1].ExpectError(second, wamp.ErrCanceled)
		third := callers[1].CallWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{}) // waits
		bob.Yield(one, wamp.FormNone, "x", false)
		bob.Yield(invoked(), wamp.FormNone, "x", false)
		if routertest.Expect[*wamp.Result](callers[0]).Request != first || routertest.Expect[*wamp.Result](callers[1]).Request != third {
			t.Fatal("another result")
		}
	}
	again := w.Join("bob", "rawsocket", wamp.CBOR) // a session of its own
	again.Register("com.example.again", wamp.RegisterOptions{})
	callers[0].CallWith("com.example.again", wamp.FormNone, "x", wamp.CallOptions{})
	if i := routertest.Expect[*wamp.Invocation](again); i.Request != 1 {
		t.Errorf("the first INVOCATION.Request of a session is %d", i.Request)
	}
}
