package spec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Bob answers at most two calls at a time, Carol one: what is over that waits, in
// order, as it was sealed.
func TestConcurrency(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob, carol := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s), w.Join("carol", "unix", s)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 2})
		carol.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1})
		requests := make(map[string]wamp.ID)
		for _, name := range []string{"1", "2", "3", "4", "5", "6"} {
			requests[name] = alice.CallWith(routertest.Procedure, form, name, wamp.CallOptions{DiscloseMe: wamp.True})
		}
		begun := func(p *routertest.Peer, name string) *wamp.Invocation {
			t.Helper()
			i := routertest.Expect[*wamp.Invocation](p)
			p.WantPayload(i, form, name)
			if i.Details.Caller != alice.ID {
				t.Errorf("%s: %+v", name, i)
			}
			return i
		}
		done := func(p *routertest.Peer, i *wamp.Invocation, name string) {
			t.Helper()
			p.Yield(i, form, name, false)
			r := routertest.Expect[*wamp.Result](alice)
			if r.Request != requests[name] {
				t.Errorf("%s: a result of call %d", name, r.Request)
			}
			alice.WantPayload(r, form, name)
		}
		one, two, three := begun(bob, "1"), begun(carol, "2"), begun(bob, "3")
		bob.ExpectNothing()
		carol.ExpectNothing()
		done(carol, two, "2")
		four := begun(carol, "4")
		done(bob, one, "1")
		five := begun(bob, "5")
		// A call that waits can be canceled, and leaves its place.
		alice.Send(&wamp.Cancel{Request: requests["6"]})
		alice.ExpectError(requests["6"], wamp.ErrCanceled)
		requests["7"] = alice.CallWith(routertest.Procedure, form, "7", wamp.CallOptions{DiscloseMe: wamp.True})
		done(bob, three, "3")
		seven := begun(bob, "7")
		done(bob, five, "5")
		done(bob, seven, "7")
		done(carol, four, "4")
		bob.ExpectNothing()
		carol.ExpectNothing()
	})
}

// With the policy first, a call waits for the first callee, not for its stand-by;
// and goes to that one when the first is gone.
func TestConcurrencyStandBy(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob, carol := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s), w.Join("carol", "unix", s)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "first", Concurrency: 1})
		alice.CallWith(routertest.Procedure, form, "1", wamp.CallOptions{})
		routertest.Expect[*wamp.Invocation](bob)
		waits := alice.CallWith(routertest.Procedure, form, "2", wamp.CallOptions{})
		alice.ExpectNothing()
		carol.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "first", Concurrency: 1})
		carol.ExpectNothing()
		bob.Leave()
		alice.ExpectError(waits-1, wamp.ErrCanceled)
		i := routertest.Expect[*wamp.Invocation](carol)
		carol.WantPayload(i, form, "2")
		carol.Yield(i, form, "done", false)
		if r := routertest.Expect[*wamp.Result](alice); r.Request != waits {
			t.Errorf("result: %+v", r)
		}
	})
}

// Waiting is bounded in number and time, and ends with the callees and the caller.
func TestConcurrencyEnds(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) { c.Limits.WaitingCalls = 4 }))
	alice, eve := w.Join("alice", "websocket", wamp.JSON), w.Join("eve", "websocket", wamp.CBOR)
	bob := w.Join("bob", "rawsocket", wamp.CBOR)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{Concurrency: 1})
	alice.CallWith(routertest.Procedure, wamp.FormNone, "runs", wamp.CallOptions{})
	running := routertest.Expect[*wamp.Invocation](bob)
	timed := alice.CallWith(routertest.Procedure, wamp.FormNone, "timed", wamp.CallOptions{Timeout: 20})
	alice.ExpectError(timed, wamp.ErrTimeout) // while it waits
	alice.CallWith(routertest.Procedure, wamp.FormNone, "waits", wamp.CallOptions{})
	alice.ExpectNothing() // Alice's calls have come, before Eve's
	eve.CallWith(routertest.Procedure, wamp.FormNone, "leaves", wamp.CallOptions{})
	eve.CallWith(routertest.Procedure, wamp.FormNone, "leaves", wamp.CallOptions{})
	eve.ExpectError(eve.CallWith(routertest.Procedure, wamp.FormNone, "too many", wamp.CallOptions{}), wamp.ErrUnavailable)
	alice.ExpectError(alice.CallWith(routertest.Procedure, wamp.FormNone, "in parts", wamp.CallOptions{Progress: wamp.True}), wamp.ErrUnavailable)
	w.WantMetric(`blindfold_limits_total{limit="waiting_calls"} 1`) // that call never could have waited
	eve.Leave()
	w.WaitSessions(2)
	bob.Yield(running, wamp.FormNone, "done", false)
	routertest.Expect[*wamp.Result](alice)
	running = routertest.Expect[*wamp.Invocation](bob)
	bob.WantPayload(running, wamp.FormNone, "waits")
	last := alice.CallWith(routertest.Procedure, wamp.FormNone, "never", wamp.CallOptions{})
	alice.ExpectNothing()
	bob.Send(&wamp.Unregister{Request: bob.NextID(), Registration: running.Registration})
	routertest.Expect[*wamp.Unregistered](bob)
	alice.ExpectError(last, wamp.ErrNoSuchProcedure)
	bob.Yield(running, wamp.FormNone, "done", false)
	routertest.Expect[*wamp.Result](alice)
}

// A procedure that is registered anew has always been served: calls that waited for
// Bob are told that it is Carol's now, and to call again.
func TestConcurrencyReplacedRegistration(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob, carol := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.CBOR), w.Join("carol", "unix", wamp.JSON)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{Concurrency: 1})
	alice.CallWith(routertest.Procedure, wamp.FormNone, "runs", wamp.CallOptions{})
	running := routertest.Expect[*wamp.Invocation](bob)
	waits := alice.CallWith(routertest.Procedure, wamp.FormNone, "waits", wamp.CallOptions{})
	alice.ExpectNothing() // it has come
	carol.Register(routertest.Procedure, wamp.RegisterOptions{ForceReregister: wamp.True})
	alice.ExpectError(waits, wamp.ErrUnavailable)
	alice.CallWith(routertest.Procedure, wamp.FormNone, "again", wamp.CallOptions{})
	carol.WantPayload(routertest.Expect[*wamp.Invocation](carol), wamp.FormNone, "again")
	bob.Yield(running, wamp.FormNone, "done", false)
	alice.WantPayload(routertest.Expect[*wamp.Result](alice), wamp.FormNone, "done")
}

// Bob leaves a registration and comes back to it while he answers a call: that counts
// still.
func TestConcurrencyCalleeReturns(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob, carol := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.CBOR), w.Join("carol", "unix", wamp.JSON)
	o := wamp.RegisterOptions{Invoke: "last", Concurrency: 1}
	carol.Register(routertest.Procedure, o)
	id := bob.Register(routertest.Procedure, o)
	alice.CallWith(routertest.Procedure, wamp.FormNone, "1", wamp.CallOptions{})
	first := routertest.Expect[*wamp.Invocation](bob)
	bob.Send(&wamp.Unregister{Request: bob.NextID(), Registration: id})
	routertest.Expect[*wamp.Unregistered](bob)
	bob.Register(routertest.Procedure, o)
	alice.CallWith(routertest.Procedure, wamp.FormNone, "2", wamp.CallOptions{})
	alice.ExpectNothing() // it has come
	bob.ExpectNothing()
	bob.Yield(first, wamp.FormNone, "done", false)
	bob.WantPayload(routertest.Expect[*wamp.Invocation](bob), wamp.FormNone, "2")
}

// With a policy that names one callee, a call that this one can't take goes to the
// next, whether it has waited or not.
func TestConcurrencyFirstCalleeFull(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob, carol := w.Join("alice", "websocket", wamp.CBOR), w.Join("bob", "rawsocket", wamp.JSON), w.Join("carol", "unix", wamp.CBOR)
		for _, p := range []*routertest.Peer{bob, carol} {
			p.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "first", Concurrency: 1})
		}
		alice.CallWith(routertest.Procedure, wamp.FormNone, "clear", wamp.CallOptions{})
		i := routertest.Expect[*wamp.Invocation](bob)
		alice.CallWith(routertest.Procedure, form, "sealed", wamp.CallOptions{})
		alice.ExpectNothing() // it has come
		bob.Yield(i, wamp.FormNone, "done", false)
		carol.WantPayload(routertest.Expect[*wamp.Invocation](carol), form, "sealed")
	})
}

// Whatever ends a call before Bob has answered it, he is told to stop before he is
// given the next one.
func TestConcurrencyInterrupted(t *testing.T) {
	for name, end := range map[string]func(alice *routertest.Peer, request wamp.ID){
		"canceled":  func(alice *routertest.Peer, request wamp.ID) { alice.Send(&wamp.Cancel{Request: request}) },
		"timed out": func(*routertest.Peer, wamp.ID) {},
		"left":      func(alice *routertest.Peer, _ wamp.ID) { alice.Leave() },
		"refused":   nil, // a progressive result that Alice's serializer has no counterpart for
	} {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t)
			alice, bob, carol := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.CBOR), w.Join("carol", "unix", wamp.JSON)
			bob.Register(routertest.Procedure, wamp.RegisterOptions{Concurrency: 1})
			var o wamp.CallOptions
			switch name {
			case "timed out":
				o.Timeout = 200
			case "refused":
				o.ReceiveProgress = wamp.True
			}
			request := alice.CallWith(routertest.Procedure, wamp.FormNone, "runs", o)
			running := routertest.Expect[*wamp.Invocation](bob)
			carol.CallWith(routertest.Procedure, wamp.FormNone, "waits", wamp.CallOptions{})
			carol.ExpectNothing() // it has come
			if end == nil {
				bob.Yield(running, wamp.FormTransparency, "sealed", true)
				alice.ExpectError(request, wamp.ErrConversionRefused)
			} else {
				end(alice, request)
			}
			if i := routertest.Expect[*wamp.Interrupt](bob); i.Request != running.Request {
				t.Errorf("interrupt: %+v", i)
			}
			bob.WantPayload(routertest.Expect[*wamp.Invocation](bob), wamp.FormNone, "waits")
		})
	}
}

// A new callee gets what waits; an opaque call waits for one that can take it.
func TestConcurrencyOpaque(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "websocket", wamp.CBOR)
		other, fit := w.Join("other", "rawsocket", wamp.JSON), w.Join("fit", "unix", wamp.CBOR)
		for _, p := range []*routertest.Peer{other, fit} {
			p.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1})
		}
		alice.CallWith(routertest.Procedure, form, "1", wamp.CallOptions{})
		first := routertest.Expect[*wamp.Invocation](fit)
		alice.CallWith(routertest.Procedure, form, "2", wamp.CallOptions{})
		alice.CallWith(routertest.Procedure, wamp.FormNone, "clear", wamp.CallOptions{})
		i := routertest.Expect[*wamp.Invocation](other) // passes by what Other can't take
		other.Yield(i, wamp.FormNone, "done", false)
		routertest.Expect[*wamp.Result](alice)
		late := w.Join("late", "unix", wamp.CBOR)
		late.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1})
		i = routertest.Expect[*wamp.Invocation](late)
		late.WantPayload(i, form, "2")
		late.Yield(i, form, "done", false)
		routertest.Expect[*wamp.Result](alice)
		fit.Yield(first, form, "done", false)
		routertest.Expect[*wamp.Result](alice)
		// With both that could take it gone, a call that waits ends.
		alice.CallWith(routertest.Procedure, form, "3", wamp.CallOptions{})
		alice.CallWith(routertest.Procedure, form, "4", wamp.CallOptions{})
		routertest.Expect[*wamp.Invocation](fit)
		routertest.Expect[*wamp.Invocation](late)
		five := alice.CallWith(routertest.Procedure, form, "5", wamp.CallOptions{})
		alice.ExpectNothing()
		fit.Leave()
		late.Leave()
		ended := map[wamp.ID]wamp.URI{}
		for range 3 {
			e := routertest.Expect[*wamp.Error](alice)
			ended[e.Request] = e.Error
		}
		if ended[five] != wamp.ErrConversionRefused || ended[five-1] != wamp.ErrCanceled || ended[five-2] != wamp.ErrCanceled {
			t.Errorf("ended: %v", ended)
		}
		other.ExpectNothing()
	})
}

// A callee that was not told to stop is at work until it answers, and is given no other
// call meanwhile.
func TestConcurrencyUntilAnswered(t *testing.T) {
	without := func(h *wamp.Hello) { h.Details.Roles.Callee.Features = 0 }
	for name, end := range map[string]func(alice *routertest.Peer, request wamp.ID){
		"timed out": func(alice *routertest.Peer, request wamp.ID) { alice.ExpectError(request, wamp.ErrTimeout) },
		"canceled": func(alice *routertest.Peer, request wamp.ID) {
			alice.Send(&wamp.Cancel{Request: request})
			alice.ExpectError(request, wamp.ErrCanceled)
		},
		"skipped": func(alice *routertest.Peer, request wamp.ID) {
			alice.Send(&wamp.Cancel{Request: request, Options: wamp.CancelOptions{Mode: "skip"}})
			alice.ExpectError(request, wamp.ErrCanceled)
		},
		"left": func(alice *routertest.Peer, _ wamp.ID) { alice.Leave() },
	} {
		for _, answer := range []string{"yields", "fails", "leaves"} {
			t.Run(name+", "+answer, func(t *testing.T) {
				w := routertest.NewWorld(t)
				alice, carol := w.Join("alice", "websocket", wamp.JSON), w.Join("carol", "unix", wamp.JSON)
				bob := w.Join("bob", "rawsocket", wamp.CBOR, func(h *wamp.Hello) {
					if name != "skipped" {
						without(h)
					}
				})
				options := wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1}
				bob.Register(routertest.Procedure, options)
				var o wamp.CallOptions
				if name == "timed out" {
					o.Timeout = 50
				}
				request := alice.CallWith(routertest.Procedure, wamp.FormNone, "runs", o)
				running := routertest.Expect[*wamp.Invocation](bob)
				end(alice, request)
				if name == "left" {
					w.WaitSessions(2)
				}
				carol.CallWith(routertest.Procedure, wamp.FormNone, "waits", wamp.CallOptions{})
				carol.ExpectNothing() // it has come
				bob.ExpectNothing()
				bob.Yield(running, wamp.FormNone, "a part", true) // which is no answer
				bob.ExpectNothing()
				switch answer {
				case "yields":
					bob.Yield(running, wamp.FormNone, "late", false)
				case "fails":
					bob.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: running.Request, Error: "com.example.error.late"})
				case "leaves":
					dave := w.Join("dave", "rawsocket", wamp.CBOR)
					dave.Register(routertest.Procedure, options)
					dave.WantPayload(routertest.Expect[*wamp.Invocation](dave), wamp.FormNone, "waits")
					bob.Leave()
					w.WaitSessions(map[bool]int{true: 2, false: 3}[name == "left"])
					return
				}
				i := routertest.Expect[*wamp.Invocation](bob)
				bob.WantPayload(i, wamp.FormNone, "waits")
				bob.Yield(i, wamp.FormNone, "done", false)
				carol.WantPayload(routertest.Expect[*wamp.Result](carol), wamp.FormNone, "done")
			})
		}
	}
}
