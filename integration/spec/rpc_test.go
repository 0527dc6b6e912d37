package spec

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Bob answers Alice in parts (WAMP, "Progressive Call Results").
func TestProgressiveCallResults(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		request := alice.CallWith(routertest.Procedure, form, "go", wamp.CallOptions{ReceiveProgress: wamp.True})
		i := routertest.Expect[*wamp.Invocation](bob)
		if !i.Details.ReceiveProgress {
			t.Error("Bob does not learn that Alice wants progress")
		}
		for _, part := range []string{"one", "two", "three"} {
			bob.Yield(i, form, part, part != "three")
			r := routertest.Expect[*wamp.Result](alice)
			if r.Request != request || r.Details.Progress != (part != "three") {
				t.Errorf("%s: %+v", part, r)
			}
			alice.WantPayload(r, form, part)
		}
		// Who did not ask for parts gets none.
		alice.CallWith(routertest.Procedure, form, "go", wamp.CallOptions{})
		i = routertest.Expect[*wamp.Invocation](bob)
		if i.Details.ReceiveProgress {
			t.Error("Bob is told that Alice wants progress")
		}
		bob.Yield(i, form, "one", true)
		bob.Yield(i, form, "all", false)
		alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "all")
	})
}

// Alice calls in parts, while Bob answers in parts (WAMP, "Progressive Call
// Invocations"). The options of the first part stay in force.
func TestProgressiveCallInvocations(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		bob.Register("com.example", wamp.RegisterOptions{Match: "prefix"})
		request := alice.CallWith(routertest.Procedure, form, "one", wamp.CallOptions{Progress: wamp.True, ReceiveProgress: wamp.True, DiscloseMe: wamp.True})
		first := routertest.Expect[*wamp.Invocation](bob)
		bob.WantPayload(first, form, "one")
		bob.Yield(first, form, "first result", true)
		alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "first result")
		for _, part := range []string{"two", "three"} {
			_, payload := alice.Payload(form, part)
			a := wamp.Attributes{} // frozen for the passthru form; the bare binary of the other speaks for itself
			alice.Send(&wamp.Call{Request: request, Procedure: routertest.Procedure, Payload: payload,
				Options: wamp.CallOptions{Progress: flag(part != "three"), Attributes: a}})
			i := routertest.Expect[*wamp.Invocation](bob)
			d := i.Details
			if i.Request != first.Request || d.Progress != (part != "three") || d.Caller != alice.ID || !d.ReceiveProgress || d.Procedure != routertest.Procedure {
				t.Errorf("%s: %+v", part, i)
			}
			bob.WantPayload(i, form, part)
		}
		bob.Yield(first, form, "done", false)
		if r := routertest.Expect[*wamp.Result](alice); r.Request != request || r.Details.Progress {
			t.Errorf("result: %+v", r)
		}
	})
}

// What Alice declared with the first part of a call holds for a part that
// declares nothing: it is opaque, too, and not decoded for Bob, who speaks another
// serializer.
func TestProgressiveCallInvocationsStayOpaque(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithPassthrough(func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }))
	alice, bob := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.MsgPack)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	request := alice.CallWith(routertest.Procedure, wamp.FormPassthru, "one", wamp.CallOptions{Progress: wamp.True})
	bob.WantPayload(routertest.Expect[*wamp.Invocation](bob), wamp.FormPassthru, "one")
	_, two := alice.Payload(wamp.FormPassthru, "two")
	alice.Send(&wamp.Call{Request: request, Procedure: routertest.Procedure, Payload: two, Options: wamp.CallOptions{Progress: wamp.True}})
	bob.WantPayload(routertest.Expect[*wamp.Invocation](bob), wamp.FormPassthru, "two")
	alice.Send(&wamp.Call{Request: request, Procedure: routertest.Procedure, Payload: alice.Clear(map[string]any{"not": "a binary"}),
		Options: wamp.CallOptions{Progress: wamp.True}})
	if e := alice.ExpectError(request, wamp.ErrConversionRefused); strings.Contains(e.Details.Message, "conversion: reframe") {
		t.Errorf("the way out is taken already: %s", e.Details.Message)
	}
	routertest.Expect[*wamp.Interrupt](bob)
}

func flag(b bool) wamp.Flag {
	if b {
		return wamp.True
	}
	return wamp.False
}

// Bob ends a call while Alice still sends parts of it: these begin nothing new. And
// who can't cope with parts gets none.
func TestProgressiveCallInvocationsEnded(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		carol := w.Join("carol", "unix", s, routertest.NoFeatures, announcing(form))
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		carol.Register("com.example.old", wamp.RegisterOptions{})
		request := alice.CallWith(routertest.Procedure, form, "one", wamp.CallOptions{Progress: wamp.True})
		i := routertest.Expect[*wamp.Invocation](bob)
		bob.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: i.Request, Error: routertest.Failure})
		alice.ExpectError(request, routertest.Failure)
		for _, more := range []wamp.Flag{wamp.True, wamp.Unset} {
			a, payload := alice.Payload(form, "more")
			alice.Send(&wamp.Call{Request: request, Procedure: routertest.Procedure, Payload: payload, Options: wamp.CallOptions{Progress: more, Attributes: a}})
		}
		alice.ExpectNothing()
		bob.ExpectNothing()
		alice.ExpectError(alice.CallWith("com.example.old", form, "one", wamp.CallOptions{Progress: wamp.True}), wamp.ErrFeatureNotSupported)
		carol.ExpectNothing()
	})
}

// Alice cancels, in every mode (WAMP, "Call Canceling").
func TestCallCanceling(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		old := w.Join("old", "unix", s, routertest.NoFeatures, announcing(form))
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		old.Register("com.example.old", wamp.RegisterOptions{})
		call := func(callee *routertest.Peer, procedure wamp.URI, mode string) (wamp.ID, *wamp.Invocation) {
			t.Helper()
			request := alice.CallWith(procedure, form, "go", wamp.CallOptions{})
			i := routertest.Expect[*wamp.Invocation](callee)
			alice.Send(&wamp.Cancel{Request: request, Options: wamp.CancelOptions{Mode: mode}})
			return request, i
		}
		for _, mode := range []string{"killnowait", ""} {
			request, i := call(bob, routertest.Procedure, mode)
			alice.ExpectError(request, wamp.ErrCanceled)
			if in := routertest.Expect[*wamp.Interrupt](bob); in.Request != i.Request || in.Options.Mode != "killnowait" {
				t.Errorf("%q: %+v", mode, in)
			}
			bob.Yield(i, form, "too late", false)
			bob.ExpectNothing()
		}
		request, i := call(bob, routertest.Procedure, "skip")
		alice.ExpectError(request, wamp.ErrCanceled)
		bob.ExpectNothing()
		bob.Yield(i, form, "too late", false)
		bob.ExpectNothing()

		request, i = call(bob, routertest.Procedure, "kill")
		if in := routertest.Expect[*wamp.Interrupt](bob); in.Request != i.Request || in.Options.Mode != "kill" {
			t.Errorf("kill: %+v", in)
		}
		a, payload := bob.Payload(form, "stopped")
		bob.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: i.Request, Error: wamp.ErrCanceled, Payload: payload,
			Details: wamp.ErrorDetails{Attributes: a}})
		alice.WantPayload(alice.ExpectError(request, wamp.ErrCanceled), form, "stopped")

		for _, mode := range []string{"kill", "killnowait"} { // a callee that can't: skip
			request, _ = call(old, "com.example.old", mode)
			alice.ExpectError(request, wamp.ErrCanceled)
			old.ExpectNothing()
		}
		alice.ExpectNothing()
	})
}

// announcing announces a form, after noFeatures.
func announcing(form wamp.Form) func(*wamp.Hello) {
	return func(h *wamp.Hello) {
		r := &h.Details.Roles
		for _, role := range []*wamp.Role{&r.Publisher, &r.Subscriber, &r.Caller, &r.Callee} {
			switch form {
			case wamp.FormTransparency:
				role.Features.Add(wamp.PayloadTransparency)
			case wamp.FormPassthru:
				role.Features.Add(wamp.PayloadPassthruMode)
			}
		}
	}
}

// The router ends a call whose time is over; a callee that wants to take care of
// it is told the time instead (WAMP, "Call Timeouts").
func TestCallTimeout(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		bob.Register("com.example.forwarded", wamp.RegisterOptions{ForwardTimeout: wamp.True})
		request := alice.CallWith(routertest.Procedure, form, "go", wamp.CallOptions{Timeout: 20})
		i := routertest.Expect[*wamp.Invocation](bob)
		if i.Details.Timeout != 0 {
			t.Errorf("the timeout is the router's: %+v", i)
		}
		alice.ExpectError(request, wamp.ErrTimeout)
		if in := routertest.Expect[*wamp.Interrupt](bob); in.Request != i.Request || in.Options.Mode != "killnowait" || in.Options.Reason != string(wamp.ErrTimeout) {
			t.Errorf("%+v", in)
		}
		bob.Yield(i, form, "too late", false)

		alice.CallWith(routertest.Procedure, form, "go", wamp.CallOptions{Timeout: 3600_000})
		bob.Yield(routertest.Expect[*wamp.Invocation](bob), form, "in time", false)
		alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "in time")

		alice.CallWith("com.example.forwarded", form, "go", wamp.CallOptions{Timeout: 20})
		i = routertest.Expect[*wamp.Invocation](bob)
		if i.Details.Timeout != 20 {
			t.Errorf("the timeout is not forwarded: %+v", i)
		}
		bob.Yield(i, form, "whenever", false)
		alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "whenever")
	})
}

// Bob learns who calls if Alice says so (WAMP, "Caller Identification").
func TestCallerIdentification(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		alice, bob := w.Join("alice", "websocket", s, routertest.As("alice", "staff")), w.Join("bob", "rawsocket", s)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		for _, disclose := range []wamp.Flag{wamp.Unset, wamp.True} {
			alice.CallWith(routertest.Procedure, form, "go", wamp.CallOptions{DiscloseMe: disclose})
			i := routertest.Expect[*wamp.Invocation](bob)
			bob.WantPayload(i, form, "go")
			var id wamp.ID
			var authID, role string
			if disclose == wamp.True {
				id, authID, role = alice.ID, "alice", "staff"
			}
			if i.Details.Caller != id || i.Details.CallerAuthID != authID || i.Details.CallerAuthRole != role {
				t.Errorf("%+v", i)
			}
		}
	})
}

// The examples of WAMP, "Pattern-based Registrations": exact, then the longest
// prefix, then the wildcard with the longest first literal part, and so on. The
// section has a1.b2.c3 as no prefix of a1.b2.c33.d4.e5, although a prefix is one
// by characters where it is defined (com.myapp.myobject1-mysubobject1); so that
// example is told without the prefix.
func TestPatternBasedRegistration(t *testing.T) {
	type registered struct {
		uri   wamp.URI
		match string
	}
	all := []registered{
		{"a1.b2.c3.d4.e55", ""},
		{"a1.b2.c3", "prefix"},
		{"a1.b2.c3.d4", "prefix"},
		{"a1.b2..d4.e5", "wildcard"},
		{"a1.b2.c33..e5", "wildcard"},
		{"a1.b2..d4.e5..g7", "wildcard"},
		{"a1.b2..d4..f6.g7", "wildcard"},
	}
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		for _, world := range []struct {
			registered []registered
			calls      map[wamp.URI]wamp.URI
		}{
			{all, map[wamp.URI]wamp.URI{
				"a1.b2.c3.d4.e55":       "a1.b2.c3.d4.e55",
				"a1.b2.c3.d98.e74":      "a1.b2.c3",
				"a1.b2.c3.d4.e325":      "a1.b2.c3.d4",
				"a1.b2.c55.d4.e5":       "a1.b2..d4.e5",
				"a1.b2.c88.d4.e5.f6.g7": "a1.b2..d4.e5..g7",
				"a2.b2.c2.d2.e2":        "",
			}},
			{all[3:], map[wamp.URI]wamp.URI{"a1.b2.c33.d4.e5": "a1.b2.c33..e5"}},
			{[]registered{{"com.myapp.myobject1", "prefix"}}, map[wamp.URI]wamp.URI{
				"com.myapp.myobject1.myprocedure1":              "com.myapp.myobject1",
				"com.myapp.myobject1-mysubobject1":              "com.myapp.myobject1",
				"com.myapp.myobject1.mysubobject1.myprocedure1": "com.myapp.myobject1",
				"com.myapp.myobject1":                           "com.myapp.myobject1",
				"com.myapp.myobject2":                           "",
				"com.myapp.myobject":                            "",
			}},
			{[]registered{{"com.myapp..myprocedure1", "wildcard"}}, map[wamp.URI]wamp.URI{
				"com.myapp.myobject1.myprocedure1":                 "com.myapp..myprocedure1",
				"com.myapp.myobject2.myprocedure1":                 "com.myapp..myprocedure1",
				"com.myapp.myobject1.myprocedure1.mysubprocedure1": "",
				"com.myapp.myobject1.myprocedure2":                 "",
				"com.myapp2.myobject1.myprocedure1":                "",
			}},
		} {
			w := routertest.NewWorld(t)
			alice, bob := w.Join("alice", "websocket", s), w.Join("bob", "rawsocket", s)
			ids := make(map[wamp.ID]registered)
			for _, r := range world.registered {
				ids[bob.Register(r.uri, wamp.RegisterOptions{Match: r.match})] = r
			}
			for uri, want := range world.calls {
				request := alice.CallWith(uri, form, "go", wamp.CallOptions{})
				if want == "" {
					alice.ExpectError(request, wamp.ErrNoSuchProcedure)
					continue
				}
				i := routertest.Expect[*wamp.Invocation](bob)
				bob.WantPayload(i, form, "go")
				// The concrete procedure is told, where the registration does not.
				if r := ids[i.Registration]; r.uri != want || (i.Details.Procedure == uri) != (r.match != "") {
					t.Errorf("%s goes to %s, as %q", uri, r.uri, i.Details.Procedure)
				}
				bob.Yield(i, form, "done", false)
				routertest.Expect[*wamp.Result](alice)
			}
		}
	})
}

// How calls are spread over callees (WAMP, "Shared Registration").
func TestSharedRegistration(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "websocket", s)
		callees := []*routertest.Peer{w.Join("bob", "rawsocket", s), w.Join("carol", "unix", s), w.Join("dave", "websocket", s)}
		for policy, want := range map[string][]int{"first": {0, 0, 0, 0}, "last": {2, 2, 2, 2}, "roundrobin": {0, 1, 2, 0}} {
			uri := wamp.URI("com.example." + policy)
			for _, p := range callees {
				p.Register(uri, wamp.RegisterOptions{Invoke: policy})
			}
			for _, n := range want {
				alice.CallWith(uri, form, policy, wamp.CallOptions{})
				i := routertest.Expect[*wamp.Invocation](callees[n])
				callees[n].WantPayload(i, form, policy)
				callees[n].Yield(i, form, "done", false)
				alice.WantPayload(routertest.Expect[*wamp.Result](alice), form, "done")
			}
		}
		// single is the default: one callee, and no other policy beside it.
		callees[0].Register("com.example.single", wamp.RegisterOptions{})
		for invoke, uri := range map[string]wamp.URI{"": wamp.ErrProcedureExists, "single": wamp.ErrProcedureExists, "random": wamp.ErrProcedureExistsPolicy} {
			request := callees[1].NextID()
			callees[1].Send(&wamp.Register{Request: request, Procedure: "com.example.single", Options: wamp.RegisterOptions{Invoke: invoke}})
			callees[1].ExpectError(request, uri)
		}
	})
}

// With the policy random, every callee has its turn sooner or later.
func TestSharedRegistrationRandom(t *testing.T) {
	w := routertest.NewWorld(t)
	alice := w.Join("alice", "websocket", wamp.JSON)
	seen := make(chan string)
	for _, name := range []string{"bob", "carol", "dave"} {
		p := w.Join(name, "rawsocket", wamp.CBOR)
		p.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "random"})
		go func() {
			for {
				m, err := p.TryReceive()
				if err != nil {
					return
				}
				seen <- p.Name
				p.Yield(m.(*wamp.Invocation), wamp.FormNone, "done", false)
			}
		}()
	}
	count := map[string]int{}
	for range 200 { // that one of three is left out has a chance of 1 in 10^35
		alice.CallWith(routertest.Procedure, wamp.FormNone, "go", wamp.CallOptions{})
		count[<-seen]++
		routertest.Expect[*wamp.Result](alice)
	}
	if len(count) != 3 {
		t.Errorf("calls: %v", count)
	}
}

// An opaque call goes to a callee that can take it, whoever's turn it is; and if
// there is none, Alice learns why.
func TestSharedRegistrationOpaque(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "websocket", wamp.CBOR)
		other, old, fit := w.Join("other", "rawsocket", wamp.JSON), w.Join("old", "rawsocket", wamp.CBOR, routertest.NoFeatures), w.Join("fit", "unix", wamp.CBOR)
		for _, p := range []*routertest.Peer{other, old, fit} {
			p.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "roundrobin"})
		}
		for range 6 {
			alice.CallWith(routertest.Procedure, form, "sealed", wamp.CallOptions{})
			i := routertest.Expect[*wamp.Invocation](fit)
			fit.WantPayload(i, form, "sealed")
			fit.Yield(i, form, "done", false)
			routertest.Expect[*wamp.Result](alice)
		}
		fit.Leave()
		w.WaitSessions(3)
		alice.ExpectError(alice.CallWith(routertest.Procedure, form, "sealed", wamp.CallOptions{}), wamp.ErrConversionRefused)
		other.ExpectNothing()
		old.ExpectNothing()
	})
}

// Bob is asked for progressive results if he can send them and be told to stop; what he
// sends unasked is left out (WAMP, "Progressive Call Results").
func TestProgressiveCallResultsUnannounced(t *testing.T) {
	for name, features := range map[string]wamp.Features{
		"neither":      0,
		"no canceling": wamp.NewFeatures(wamp.ProgressiveCallResults),
		"no results":   wamp.NewFeatures(wamp.CallCanceling),
	} {
		for _, concurrency := range []uint64{0, 1} {
			t.Run(name, func(t *testing.T) {
				w := routertest.NewWorld(t)
				alice := w.Join("alice", "websocket", wamp.JSON)
				bob := w.Join("bob", "rawsocket", wamp.CBOR, func(h *wamp.Hello) { h.Details.Roles.Callee.Features = features })
				bob.Register(routertest.Procedure, wamp.RegisterOptions{Concurrency: concurrency})
				for range 2 { // the second waits for the first, if Bob has one at a time
					alice.CallWith(routertest.Procedure, wamp.FormNone, "go", wamp.CallOptions{ReceiveProgress: wamp.True})
				}
				for range 2 {
					i := routertest.Expect[*wamp.Invocation](bob)
					if i.Details.ReceiveProgress {
						t.Error("Bob is asked for progressive results")
					}
					bob.Yield(i, wamp.FormNone, "a part", true)
					bob.Yield(i, wamp.FormNone, "all", false)
					alice.WantPayload(routertest.Expect[*wamp.Result](alice), wamp.FormNone, "all")
				}
			})
		}
	}
}

// A caller that did not announce progressive call invocations breaks the protocol with
// one.
func TestProgressiveCallInvocationsUnannounced(t *testing.T) {
	w := routertest.NewWorld(t)
	bob := w.Join("bob", "rawsocket", wamp.CBOR)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	for _, procedure := range []wamp.URI{routertest.Procedure, "com.example.nobody", "wamp.session.count"} {
		alice := w.Join("alice", "websocket", wamp.JSON, func(h *wamp.Hello) {
			h.Details.Roles.Caller.Features = wamp.NewFeatures(wamp.ProgressiveCallResults, wamp.CallCanceling)
		})
		alice.CallWith(procedure, wamp.FormNone, "one", wamp.CallOptions{Progress: wamp.True})
		alice.ExpectAbort(wamp.ErrProtocolViolation)
	}
	bob.ExpectNothing()
}
