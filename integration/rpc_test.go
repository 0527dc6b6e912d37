package integration

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// callWith sends a CALL with options.
func (p *peer) callWith(procedure wamp.URI, form wamp.Form, data string, o wamp.CallOptions) wamp.ID {
	p.t.Helper()
	a, payload := p.payload(form, data)
	o.Attributes = a
	m := &wamp.Call{Request: p.next(), Procedure: procedure, Payload: payload, Options: o}
	p.send(m)
	return m.Request
}

// yield answers an invocation.
func (p *peer) yield(i *wamp.Invocation, form wamp.Form, data string, progress bool) {
	p.t.Helper()
	a, payload := p.payload(form, data)
	p.send(&wamp.Yield{Request: i.Request, Payload: payload, Options: wamp.ResultDetails{Progress: progress, Attributes: a}})
}

// Bob answers Alice in parts (WAMP, "Progressive Call Results").
func TestProgressiveCallResults(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		bob.register(procedure, wamp.RegisterOptions{})
		request := alice.callWith(procedure, form, "go", wamp.CallOptions{ReceiveProgress: wamp.True})
		i := expect[*wamp.Invocation](bob)
		if !i.Details.ReceiveProgress {
			t.Error("Bob does not learn that Alice wants progress")
		}
		for _, part := range []string{"one", "two", "three"} {
			bob.yield(i, form, part, part != "three")
			r := expect[*wamp.Result](alice)
			if r.Request != request || r.Details.Progress != (part != "three") {
				t.Errorf("%s: %+v", part, r)
			}
			alice.carries(r, form, part)
		}
		// Who did not ask for parts gets none.
		alice.callWith(procedure, form, "go", wamp.CallOptions{})
		i = expect[*wamp.Invocation](bob)
		if i.Details.ReceiveProgress {
			t.Error("Bob is told that Alice wants progress")
		}
		bob.yield(i, form, "one", true)
		bob.yield(i, form, "all", false)
		alice.carries(expect[*wamp.Result](alice), form, "all")
	})
}

// Alice calls in parts, while Bob answers in parts (WAMP, "Progressive Call
// Invocations"). The options of the first part stay in force.
func TestProgressiveCallInvocations(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		bob.register("com.example", wamp.RegisterOptions{Match: "prefix"})
		request := alice.callWith(procedure, form, "one", wamp.CallOptions{Progress: wamp.True, ReceiveProgress: wamp.True, DiscloseMe: wamp.True})
		first := expect[*wamp.Invocation](bob)
		bob.carries(first, form, "one")
		bob.yield(first, form, "first result", true)
		alice.carries(expect[*wamp.Result](alice), form, "first result")
		for _, part := range []string{"two", "three"} {
			_, payload := alice.payload(form, part)
			a := wamp.Attributes{} // frozen for the passthru form; the bare binary of the other speaks for itself
			alice.send(&wamp.Call{Request: request, Procedure: procedure, Payload: payload,
				Options: wamp.CallOptions{Progress: flag(part != "three"), Attributes: a}})
			i := expect[*wamp.Invocation](bob)
			d := i.Details
			if i.Request != first.Request || d.Progress != (part != "three") || d.Caller != alice.id || !d.ReceiveProgress || d.Procedure != procedure {
				t.Errorf("%s: %+v", part, i)
			}
			bob.carries(i, form, part)
		}
		bob.yield(first, form, "done", false)
		if r := expect[*wamp.Result](alice); r.Request != request || r.Details.Progress {
			t.Errorf("result: %+v", r)
		}
	})
}

// What Alice declared with the first part of a call holds for a part that
// declares nothing: it is opaque, too, and not decoded for Bob, who speaks another
// serializer.
func TestProgressiveCallInvocationsStayOpaque(t *testing.T) {
	w := newWorld(t, withPassthrough(func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }))
	alice, bob := w.join("alice", "websocket", wamp.JSON), w.join("bob", "rawsocket", wamp.MsgPack)
	bob.register(procedure, wamp.RegisterOptions{})
	request := alice.callWith(procedure, wamp.FormPassthru, "one", wamp.CallOptions{Progress: wamp.True})
	bob.carries(expect[*wamp.Invocation](bob), wamp.FormPassthru, "one")
	_, two := alice.payload(wamp.FormPassthru, "two")
	alice.send(&wamp.Call{Request: request, Procedure: procedure, Payload: two, Options: wamp.CallOptions{Progress: wamp.True}})
	bob.carries(expect[*wamp.Invocation](bob), wamp.FormPassthru, "two")
	alice.send(&wamp.Call{Request: request, Procedure: procedure, Payload: alice.clear(map[string]any{"not": "a binary"}),
		Options: wamp.CallOptions{Progress: wamp.True}})
	if e := alice.expectError(request, wamp.ErrConversionRefused); strings.Contains(e.Details.Message, "conversion: reframe") {
		t.Errorf("the way out is taken already: %s", e.Details.Message)
	}
	expect[*wamp.Interrupt](bob)
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
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		carol := w.join("carol", "unix", s, noFeatures, announcing(form))
		bob.register(procedure, wamp.RegisterOptions{})
		carol.register("com.example.old", wamp.RegisterOptions{})
		request := alice.callWith(procedure, form, "one", wamp.CallOptions{Progress: wamp.True})
		i := expect[*wamp.Invocation](bob)
		bob.send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: i.Request, Error: failure})
		alice.expectError(request, failure)
		for _, more := range []wamp.Flag{wamp.True, wamp.Unset} {
			a, payload := alice.payload(form, "more")
			alice.send(&wamp.Call{Request: request, Procedure: procedure, Payload: payload, Options: wamp.CallOptions{Progress: more, Attributes: a}})
		}
		alice.expectNothing()
		bob.expectNothing()
		alice.expectError(alice.callWith("com.example.old", form, "one", wamp.CallOptions{Progress: wamp.True}), wamp.ErrFeatureNotSupported)
		carol.expectNothing()
	})
}

// Alice cancels, in every mode (WAMP, "Call Canceling").
func TestCallCanceling(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		old := w.join("old", "unix", s, noFeatures, announcing(form))
		bob.register(procedure, wamp.RegisterOptions{})
		old.register("com.example.old", wamp.RegisterOptions{})
		call := func(callee *peer, procedure wamp.URI, mode string) (wamp.ID, *wamp.Invocation) {
			t.Helper()
			request := alice.callWith(procedure, form, "go", wamp.CallOptions{})
			i := expect[*wamp.Invocation](callee)
			alice.send(&wamp.Cancel{Request: request, Options: wamp.CancelOptions{Mode: mode}})
			return request, i
		}
		for _, mode := range []string{"killnowait", ""} {
			request, i := call(bob, procedure, mode)
			alice.expectError(request, wamp.ErrCanceled)
			if in := expect[*wamp.Interrupt](bob); in.Request != i.Request || in.Options.Mode != "killnowait" {
				t.Errorf("%q: %+v", mode, in)
			}
			bob.yield(i, form, "too late", false)
			bob.expectNothing()
		}
		request, i := call(bob, procedure, "skip")
		alice.expectError(request, wamp.ErrCanceled)
		bob.expectNothing()
		bob.yield(i, form, "too late", false)
		bob.expectNothing()

		request, i = call(bob, procedure, "kill")
		if in := expect[*wamp.Interrupt](bob); in.Request != i.Request || in.Options.Mode != "kill" {
			t.Errorf("kill: %+v", in)
		}
		a, payload := bob.payload(form, "stopped")
		bob.send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: i.Request, Error: wamp.ErrCanceled, Payload: payload,
			Details: wamp.ErrorDetails{Attributes: a}})
		alice.carries(alice.expectError(request, wamp.ErrCanceled), form, "stopped")

		for _, mode := range []string{"kill", "killnowait"} { // a callee that can't: skip
			request, _ = call(old, "com.example.old", mode)
			alice.expectError(request, wamp.ErrCanceled)
			old.expectNothing()
		}
		alice.expectNothing()
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
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
		bob.register(procedure, wamp.RegisterOptions{})
		bob.register("com.example.forwarded", wamp.RegisterOptions{ForwardTimeout: wamp.True})
		request := alice.callWith(procedure, form, "go", wamp.CallOptions{Timeout: 20})
		i := expect[*wamp.Invocation](bob)
		if i.Details.Timeout != 0 {
			t.Errorf("the timeout is the router's: %+v", i)
		}
		alice.expectError(request, wamp.ErrTimeout)
		if in := expect[*wamp.Interrupt](bob); in.Request != i.Request || in.Options.Mode != "killnowait" || in.Options.Reason != string(wamp.ErrTimeout) {
			t.Errorf("%+v", in)
		}
		bob.yield(i, form, "too late", false)

		alice.callWith(procedure, form, "go", wamp.CallOptions{Timeout: 3600_000})
		bob.yield(expect[*wamp.Invocation](bob), form, "in time", false)
		alice.carries(expect[*wamp.Result](alice), form, "in time")

		alice.callWith("com.example.forwarded", form, "go", wamp.CallOptions{Timeout: 20})
		i = expect[*wamp.Invocation](bob)
		if i.Details.Timeout != 20 {
			t.Errorf("the timeout is not forwarded: %+v", i)
		}
		bob.yield(i, form, "whenever", false)
		alice.carries(expect[*wamp.Result](alice), form, "whenever")
	})
}

// Bob learns who calls if Alice says so (WAMP, "Caller Identification").
func TestCallerIdentification(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t))
		alice, bob := w.join("alice", "websocket", s, as("alice", "staff")), w.join("bob", "rawsocket", s)
		bob.register(procedure, wamp.RegisterOptions{})
		for _, disclose := range []wamp.Flag{wamp.Unset, wamp.True} {
			alice.callWith(procedure, form, "go", wamp.CallOptions{DiscloseMe: disclose})
			i := expect[*wamp.Invocation](bob)
			bob.carries(i, form, "go")
			var id wamp.ID
			var authID, role string
			if disclose == wamp.True {
				id, authID, role = alice.id, "alice", "staff"
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
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
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
			w := newWorld(t)
			alice, bob := w.join("alice", "websocket", s), w.join("bob", "rawsocket", s)
			ids := make(map[wamp.ID]registered)
			for _, r := range world.registered {
				ids[bob.register(r.uri, wamp.RegisterOptions{Match: r.match})] = r
			}
			for uri, want := range world.calls {
				request := alice.callWith(uri, form, "go", wamp.CallOptions{})
				if want == "" {
					alice.expectError(request, wamp.ErrNoSuchProcedure)
					continue
				}
				i := expect[*wamp.Invocation](bob)
				bob.carries(i, form, "go")
				// The concrete procedure is told, where the registration does not.
				if r := ids[i.Registration]; r.uri != want || (i.Details.Procedure == uri) != (r.match != "") {
					t.Errorf("%s goes to %s, as %q", uri, r.uri, i.Details.Procedure)
				}
				bob.yield(i, form, "done", false)
				expect[*wamp.Result](alice)
			}
		}
	})
}

// How calls are spread over callees (WAMP, "Shared Registration").
func TestSharedRegistration(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "websocket", s)
		callees := []*peer{w.join("bob", "rawsocket", s), w.join("carol", "unix", s), w.join("dave", "websocket", s)}
		for policy, want := range map[string][]int{"first": {0, 0, 0, 0}, "last": {2, 2, 2, 2}, "roundrobin": {0, 1, 2, 0}} {
			uri := wamp.URI("com.example." + policy)
			for _, p := range callees {
				p.register(uri, wamp.RegisterOptions{Invoke: policy})
			}
			for _, n := range want {
				alice.callWith(uri, form, policy, wamp.CallOptions{})
				i := expect[*wamp.Invocation](callees[n])
				callees[n].carries(i, form, policy)
				callees[n].yield(i, form, "done", false)
				alice.carries(expect[*wamp.Result](alice), form, "done")
			}
		}
		// single is the default: one callee, and no other policy beside it.
		callees[0].register("com.example.single", wamp.RegisterOptions{})
		for invoke, uri := range map[string]wamp.URI{"": wamp.ErrProcedureExists, "single": wamp.ErrProcedureExists, "random": wamp.ErrProcedureExistsPolicy} {
			request := callees[1].next()
			callees[1].send(&wamp.Register{Request: request, Procedure: "com.example.single", Options: wamp.RegisterOptions{Invoke: invoke}})
			callees[1].expectError(request, uri)
		}
	})
}

// With the policy random, every callee has its turn sooner or later.
func TestSharedRegistrationRandom(t *testing.T) {
	w := newWorld(t)
	alice := w.join("alice", "websocket", wamp.JSON)
	seen := make(chan string)
	for _, name := range []string{"bob", "carol", "dave"} {
		p := w.join(name, "rawsocket", wamp.CBOR)
		p.register(procedure, wamp.RegisterOptions{Invoke: "random"})
		go func() {
			for {
				m, err := p.tryReceive()
				if err != nil {
					return
				}
				seen <- p.name
				p.yield(m.(*wamp.Invocation), wamp.FormNone, "done", false)
			}
		}()
	}
	count := map[string]int{}
	for range 200 { // that one of three is left out has a chance of 1 in 10^35
		alice.callWith(procedure, wamp.FormNone, "go", wamp.CallOptions{})
		count[<-seen]++
		expect[*wamp.Result](alice)
	}
	if len(count) != 3 {
		t.Errorf("calls: %v", count)
	}
}

// An opaque call goes to a callee that can take it, whoever's turn it is; and if
// there is none, Alice learns why.
func TestSharedRegistrationOpaque(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "websocket", wamp.CBOR)
		other, old, fit := w.join("other", "rawsocket", wamp.JSON), w.join("old", "rawsocket", wamp.CBOR, noFeatures), w.join("fit", "unix", wamp.CBOR)
		for _, p := range []*peer{other, old, fit} {
			p.register(procedure, wamp.RegisterOptions{Invoke: "roundrobin"})
		}
		for range 6 {
			alice.callWith(procedure, form, "sealed", wamp.CallOptions{})
			i := expect[*wamp.Invocation](fit)
			fit.carries(i, form, "sealed")
			fit.yield(i, form, "done", false)
			expect[*wamp.Result](alice)
		}
		fit.leave()
		w.settle(3)
		alice.expectError(alice.callWith(procedure, form, "sealed", wamp.CallOptions{}), wamp.ErrConversionRefused)
		other.expectNothing()
		old.expectNothing()
	})
}
