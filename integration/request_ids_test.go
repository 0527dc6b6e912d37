package integration

import (
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// What the router makes of request ids (WAMP, "IDs"); docs/interop.md says why.

const maxID = wamp.ID(1) << 53

// Alice's request ids have gaps, come again, go down, and wrap: each is
// answered under its own.
func TestRequestIDsInAnyOrder(t *testing.T) {
	for i, s := range wamp.Serializers {
		t.Run(s.String(), func(t *testing.T) {
			w := newWorld(t)
			alice := w.join("alice", transports[i%len(transports)], s)
			for n, id := range []wamp.ID{1, 2, 7, 1000, 1000, 3, 1 << 32, 1<<32 + 1, maxID - 1, maxID, 1, 2} {
				uri := wamp.URI(fmt.Sprintf("com.example.ids%d", n))
				alice.send(&wamp.Subscribe{Request: id, Topic: uri})
				subscribed := expect[*wamp.Subscribed](alice)
				alice.send(&wamp.Register{Request: id, Procedure: uri})
				registered := expect[*wamp.Registered](alice)
				alice.send(&wamp.Publish{Request: id, Topic: uri, Options: wamp.PublishOptions{Acknowledge: wamp.True}})
				published := expect[*wamp.Published](alice)
				alice.send(&wamp.Call{Request: id, Procedure: uri})
				invocation := expect[*wamp.Invocation](alice)
				alice.send(&wamp.Yield{Request: invocation.Request})
				result := expect[*wamp.Result](alice)
				alice.send(&wamp.Unsubscribe{Request: id, Subscription: subscribed.Subscription})
				unsubscribed := expect[*wamp.Unsubscribed](alice)
				alice.send(&wamp.Unregister{Request: id, Registration: registered.Registration})
				unregistered := expect[*wamp.Unregistered](alice)
				alice.send(&wamp.Call{Request: id, Procedure: uri})
				alice.expectError(id, wamp.ErrNoSuchProcedure)
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
func TestRequestIDsThatAreNone(t *testing.T) {
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
				w := newWorld(t)
				alice := w.join("alice", "websocket", wamp.JSON)
				alice.sendRaw(fmt.Appendf(nil, message, id))
				alice.expectAbort(wamp.ErrProtocolViolation)
			})
		}
	}
}

// An integer written as a float is one: JavaScript has no other numbers. In JSON
// that does not show.
func TestRequestIDsThatAreFloats(t *testing.T) {
	w := newWorld(t)
	for s, frame := range map[wamp.Serializer]string{
		wamp.MsgPack: "\x94\x20\xcb\x40\x1c\x00\x00\x00\x00\x00\x00\x80\xb1com.example.topic",
		wamp.CBOR:    "\x84\x18\x20\xfb\x40\x1c\x00\x00\x00\x00\x00\x00\xa0\x71com.example.topic",
	} {
		alice := w.join("alice", "websocket", s)
		alice.sendRaw([]byte(frame))
		if m := expect[*wamp.Subscribed](alice); m.Request != 7 {
			t.Errorf("%s: 7.0 is answered as %d", s, m.Request)
		}
	}
}

// A request id of a call that is in flight names that call: another CALL under it
// can't be told from it, so it ends the session. The same id is free for other
// requests.
func TestRequestIDInFlight(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "rawsocket", s), w.join("bob", "websocket", s)
		bob.register(procedure, wamp.RegisterOptions{})
		request := alice.callWith(procedure, form, "one", wamp.CallOptions{})
		bob.carries(expect[*wamp.Invocation](bob), form, "one")
		alice.send(&wamp.Subscribe{Request: request, Topic: topic})
		expect[*wamp.Subscribed](alice)
		alice.request--
		alice.callWith(procedure, form, "two", wamp.CallOptions{})
		alice.expectAbort(wamp.ErrProtocolViolation)
		if i := expect[*wamp.Interrupt](bob); i.Request != 1 {
			t.Errorf("INTERRUPT of %d", i.Request)
		}
		bob.expectNothing()
		w.settle(1)
	})
}

// Bob's INVOCATIONs count from 1, by 1, whatever they are of and from whom: those
// that are refused on the way to him are not among them.
func TestInvocationIDs(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob", "rawsocket", wamp.CBOR)
	bob.register("com.example.a", wamp.RegisterOptions{})
	bob.register("com.example.b", wamp.RegisterOptions{Match: "prefix"})
	bob.register("com.example.limited", wamp.RegisterOptions{Concurrency: 1})
	callers := []*peer{w.join("alice", "websocket", wamp.CBOR), w.join("carol", "unix", wamp.CBOR), w.join("dave", "websocket", wamp.JSON)}
	next := wamp.ID(0)
	invoked := func() *wamp.Invocation {
		t.Helper()
		next++
		i := expect[*wamp.Invocation](bob)
		if i.Request != next {
			t.Fatalf("INVOCATION.Request is %d in the place of %d", i.Request, next)
		}
		return i
	}
	for range 3 {
		dave := callers[2]
		dave.expectError(dave.callWith("com.example.a", wamp.FormPassthru, "x", wamp.CallOptions{}), wamp.ErrConversionRefused)
		dave.expectError(dave.callWith("com.example.limited", wamp.FormPassthru, "x", wamp.CallOptions{}), wamp.ErrConversionRefused)
		for _, p := range callers {
			for _, procedure := range []wamp.URI{"com.example.a", "com.example.b.c", "com.example.limited"} {
				request := p.callWith(procedure, wamp.FormNone, "x", wamp.CallOptions{})
				bob.yield(invoked(), wamp.FormNone, "x", false)
				if r := expect[*wamp.Result](p); r.Request != request {
					t.Fatalf("a result of %d", r.Request)
				}
			}
		}
		first := callers[0].callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{})
		one := invoked()
		second := callers[1].callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{}) // waits, in vain
		callers[1].send(&wamp.Cancel{Request: second})
		callers[1].expectError(second, wamp.ErrCanceled)
		third := callers[1].callWith("com.example.limited", wamp.FormNone, "x", wamp.CallOptions{}) // waits
		bob.yield(one, wamp.FormNone, "x", false)
		bob.yield(invoked(), wamp.FormNone, "x", false)
		if expect[*wamp.Result](callers[0]).Request != first || expect[*wamp.Result](callers[1]).Request != third {
			t.Fatal("another result")
		}
	}
	again := w.join("bob", "rawsocket", wamp.CBOR) // a session of its own
	again.register("com.example.again", wamp.RegisterOptions{})
	callers[0].callWith("com.example.again", wamp.FormNone, "x", wamp.CallOptions{})
	if i := expect[*wamp.Invocation](again); i.Request != 1 {
		t.Errorf("the first INVOCATION.Request of a session is %d", i.Request)
	}
}
