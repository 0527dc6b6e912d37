package integration

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Bob answers at most two calls at a time, Carol one: what is over that waits, in
// order, as it was sealed.
func TestConcurrency(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob, carol := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s), w.join("carol", "unix", s)
		bob.register(procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 2})
		carol.register(procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1})
		requests := make(map[string]wamp.ID)
		for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
			requests[name] = alice.callWith(procedure, form, name, wamp.CallOptions{DiscloseMe: wamp.True})
		}
		begun := func(p *peer, name string) *wamp.Invocation {
			t.Helper()
			i := expect[*wamp.Invocation](p)
			p.carries(i, form, name)
			if i.Details.Caller != alice.id {
				t.Errorf("%s: %+v", name, i)
			}
			return i
		}
		done := func(p *peer, i *wamp.Invocation, name string) {
			t.Helper()
			p.yield(i, form, name, false)
			r := expect[*wamp.Result](alice)
			if r.Request != requests[name] {
				t.Errorf("%s: a result of call %d", name, r.Request)
			}
			alice.carries(r, form, name)
		}
		one, two, three := begun(bob, "1"), begun(carol, "2"), begun(bob, "3")
		bob.expectNothing()
		carol.expectNothing()
		done(carol, two, "2")
		four := begun(carol, "4")
		done(bob, one, "1")
		five := begun(bob, "5")
		// A call that waits can be canceled, and leaves its place.
		alice.send(&wamp.Cancel{Request: requests["6"]})
		alice.expectError(requests["6"], wamp.ErrCanceled)
		requests["7"] = alice.callWith(procedure, form, "7", wamp.CallOptions{DiscloseMe: wamp.True})
		done(bob, three, "3")
		seven := begun(bob, "7")
		done(bob, five, "5")
		done(bob, seven, "7")
		done(carol, four, "4")
		bob.expectNothing()
		carol.expectNothing()
	})
}

// With the policy first, a call waits for the first callee, not for its stand-by;
// and goes to that one when the first is gone.
func TestConcurrencyStandBy(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob, carol := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s), w.join("carol", "unix", s)
		bob.register(procedure, wamp.RegisterOptions{Invoke: "first", Concurrency: 1})
		alice.callWith(procedure, form, "1", wamp.CallOptions{})
		expect[*wamp.Invocation](bob)
		waits := alice.callWith(procedure, form, "2", wamp.CallOptions{})
		alice.expectNothing()
		carol.register(procedure, wamp.RegisterOptions{Invoke: "first", Concurrency: 1})
		carol.expectNothing()
		bob.leave()
		alice.expectError(waits-1, wamp.ErrCanceled)
		i := expect[*wamp.Invocation](carol)
		carol.carries(i, form, "2")
		carol.yield(i, form, "done", false)
		if r := expect[*wamp.Result](alice); r.Request != waits {
			t.Errorf("result: %+v", r)
		}
	})
}

// Waiting is bounded in number and time, and ends with the callees and the caller.
func TestConcurrencyEnds(t *testing.T) {
	w := newWorld(t, withRouter(func(c *router.Config) { c.Limits.WaitingCalls = 3 }))
	alice, eve := w.join("alice", "websocket", wamp.JSON), w.join("eve", "websocket", wamp.CBOR)
	bob := w.join("bob", "rawsocket", wamp.CBOR)
	bob.register(procedure, wamp.RegisterOptions{Concurrency: 1})
	alice.callWith(procedure, wamp.FormNone, "runs", wamp.CallOptions{})
	running := expect[*wamp.Invocation](bob)
	timed := alice.callWith(procedure, wamp.FormNone, "timed", wamp.CallOptions{Timeout: 20})
	alice.expectError(timed, wamp.ErrTimeout) // while it waits
	alice.callWith(procedure, wamp.FormNone, "waits", wamp.CallOptions{})
	alice.expectNothing() // Alice's calls have come, before Eve's
	eve.callWith(procedure, wamp.FormNone, "leaves", wamp.CallOptions{})
	eve.callWith(procedure, wamp.FormNone, "leaves", wamp.CallOptions{})
	eve.expectError(eve.callWith(procedure, wamp.FormNone, "too many", wamp.CallOptions{}), wamp.ErrUnavailable)
	alice.expectError(alice.callWith(procedure, wamp.FormNone, "in parts", wamp.CallOptions{Progress: wamp.True}), wamp.ErrUnavailable)
	w.wantMetric(`blindfold_limits_total{limit="waiting_calls"} 1`) // that call never could have waited
	eve.leave()
	w.settle(2)
	bob.yield(running, wamp.FormNone, "done", false)
	expect[*wamp.Result](alice)
	running = expect[*wamp.Invocation](bob)
	bob.carries(running, wamp.FormNone, "waits")
	last := alice.callWith(procedure, wamp.FormNone, "never", wamp.CallOptions{})
	alice.expectNothing()
	bob.send(&wamp.Unregister{Request: bob.next(), Registration: running.Registration})
	expect[*wamp.Unregistered](bob)
	alice.expectError(last, wamp.ErrNoSuchProcedure)
	bob.yield(running, wamp.FormNone, "done", false)
	expect[*wamp.Result](alice)
}

// A procedure that is registered anew has always been served: calls that waited for
// Bob are told that it is Carol's now, and to call again.
func TestConcurrencyRegisteredAnew(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.join("alice", "websocket", wamp.JSON), w.join("bob", "rawsocket", wamp.CBOR), w.join("carol", "unix", wamp.JSON)
	bob.register(procedure, wamp.RegisterOptions{Concurrency: 1})
	alice.callWith(procedure, wamp.FormNone, "runs", wamp.CallOptions{})
	running := expect[*wamp.Invocation](bob)
	waits := alice.callWith(procedure, wamp.FormNone, "waits", wamp.CallOptions{})
	alice.expectNothing() // it has come
	carol.register(procedure, wamp.RegisterOptions{ForceReregister: wamp.True})
	alice.expectError(waits, wamp.ErrUnavailable)
	alice.callWith(procedure, wamp.FormNone, "again", wamp.CallOptions{})
	carol.carries(expect[*wamp.Invocation](carol), wamp.FormNone, "again")
	bob.yield(running, wamp.FormNone, "done", false)
	alice.carries(expect[*wamp.Result](alice), wamp.FormNone, "done")
}

// Bob leaves a registration and comes back to it while he answers a call: that counts
// still.
func TestConcurrencyComesBack(t *testing.T) {
	w := newWorld(t)
	alice, bob, carol := w.join("alice", "websocket", wamp.JSON), w.join("bob", "rawsocket", wamp.CBOR), w.join("carol", "unix", wamp.JSON)
	o := wamp.RegisterOptions{Invoke: "last", Concurrency: 1}
	carol.register(procedure, o)
	id := bob.register(procedure, o)
	alice.callWith(procedure, wamp.FormNone, "1", wamp.CallOptions{})
	first := expect[*wamp.Invocation](bob)
	bob.send(&wamp.Unregister{Request: bob.next(), Registration: id})
	expect[*wamp.Unregistered](bob)
	bob.register(procedure, o)
	alice.callWith(procedure, wamp.FormNone, "2", wamp.CallOptions{})
	alice.expectNothing() // it has come
	bob.expectNothing()
	bob.yield(first, wamp.FormNone, "done", false)
	bob.carries(expect[*wamp.Invocation](bob), wamp.FormNone, "2")
}

// With a policy that names one callee, a call that this one can't take goes to the
// next, whether it has waited or not.
func TestConcurrencyNamed(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice, bob, carol := w.join("alice", "websocket", wamp.CBOR), w.join("bob", "rawsocket", wamp.JSON), w.join("carol", "unix", wamp.CBOR)
		for _, p := range []*peer{bob, carol} {
			p.register(procedure, wamp.RegisterOptions{Invoke: "first", Concurrency: 1})
		}
		alice.callWith(procedure, wamp.FormNone, "clear", wamp.CallOptions{})
		i := expect[*wamp.Invocation](bob)
		alice.callWith(procedure, form, "sealed", wamp.CallOptions{})
		alice.expectNothing() // it has come
		bob.yield(i, wamp.FormNone, "done", false)
		carol.carries(expect[*wamp.Invocation](carol), form, "sealed")
	})
}

// Whatever ends a call before Bob has answered it, he is told to stop before he is
// given the next one.
func TestConcurrencyInterrupted(t *testing.T) {
	for name, end := range map[string]func(alice *peer, request wamp.ID){
		"canceled":  func(alice *peer, request wamp.ID) { alice.send(&wamp.Cancel{Request: request}) },
		"timed out": func(*peer, wamp.ID) {},
		"left":      func(alice *peer, _ wamp.ID) { alice.leave() },
		"refused":   nil, // a progressive result that Alice's serializer has no counterpart for
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			alice, bob, carol := w.join("alice", "websocket", wamp.JSON), w.join("bob", "rawsocket", wamp.CBOR), w.join("carol", "unix", wamp.JSON)
			bob.register(procedure, wamp.RegisterOptions{Concurrency: 1})
			var o wamp.CallOptions
			switch name {
			case "timed out":
				o.Timeout = 200
			case "refused":
				o.ReceiveProgress = wamp.True
			}
			request := alice.callWith(procedure, wamp.FormNone, "runs", o)
			running := expect[*wamp.Invocation](bob)
			carol.callWith(procedure, wamp.FormNone, "waits", wamp.CallOptions{})
			carol.expectNothing() // it has come
			if end == nil {
				bob.yield(running, wamp.FormTransparency, "sealed", true)
				alice.expectError(request, wamp.ErrConversionRefused)
			} else {
				end(alice, request)
			}
			if i := expect[*wamp.Interrupt](bob); i.Request != running.Request {
				t.Errorf("interrupt: %+v", i)
			}
			bob.carries(expect[*wamp.Invocation](bob), wamp.FormNone, "waits")
		})
	}
}

// A new callee gets what waits; an opaque call waits for one that can take it.
func TestConcurrencyOpaque(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "websocket", wamp.CBOR)
		other, fit := w.join("other", "rawsocket", wamp.JSON), w.join("fit", "unix", wamp.CBOR)
		for _, p := range []*peer{other, fit} {
			p.register(procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1})
		}
		alice.callWith(procedure, form, "1", wamp.CallOptions{})
		first := expect[*wamp.Invocation](fit)
		alice.callWith(procedure, form, "2", wamp.CallOptions{})
		alice.callWith(procedure, wamp.FormNone, "clear", wamp.CallOptions{})
		i := expect[*wamp.Invocation](other) // passes by what Other can't take
		other.yield(i, wamp.FormNone, "done", false)
		expect[*wamp.Result](alice)
		late := w.join("late", "unix", wamp.CBOR)
		late.register(procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1})
		i = expect[*wamp.Invocation](late)
		late.carries(i, form, "2")
		late.yield(i, form, "done", false)
		expect[*wamp.Result](alice)
		fit.yield(first, form, "done", false)
		expect[*wamp.Result](alice)
		// With both that could take it gone, a call that waits ends.
		alice.callWith(procedure, form, "3", wamp.CallOptions{})
		alice.callWith(procedure, form, "4", wamp.CallOptions{})
		expect[*wamp.Invocation](fit)
		expect[*wamp.Invocation](late)
		five := alice.callWith(procedure, form, "5", wamp.CallOptions{})
		alice.expectNothing()
		fit.leave()
		late.leave()
		ended := map[wamp.ID]wamp.URI{}
		for range 3 {
			e := expect[*wamp.Error](alice)
			ended[e.Request] = e.Error
		}
		if ended[five] != wamp.ErrConversionRefused || ended[five-1] != wamp.ErrCanceled || ended[five-2] != wamp.ErrCanceled {
			t.Errorf("ended: %v", ended)
		}
		other.expectNothing()
	})
}
