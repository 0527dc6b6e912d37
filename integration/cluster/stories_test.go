package cluster

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Events reach subscribers on other nodes, in both forms and all serializers, as the
// bytes that were sent.
func TestEventsAcrossNodes(t *testing.T) {
	nodes := startCluster(t, 3)
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		topic := wamp.URI(fmt.Sprintf("com.example.%s.%d", s, form))
		alice := nodes[0].Join("alice", "rawsocket", s)
		var others []*routertest.Peer
		for _, n := range nodes {
			for _, over := range []string{"websocket", "memory"} {
				bob := n.Join("bob", over, s)
				bob.Subscribe(topic, wamp.MatchExact)
				others = append(others, bob)
			}
		}
		carol := nodes[1].Join("carol", "memory", s) // three patterns, one event each
		ids := map[wamp.ID]bool{carol.Subscribe(topic, wamp.MatchExact): true,
			carol.Subscribe("com.exam", wamp.MatchPrefix):                                     true,
			carol.Subscribe(wamp.URI(fmt.Sprintf("com..%s.%d", s, form)), wamp.MatchWildcard): true}
		a, p := alice.Payload(form, "sealed")
		alice.Publish(topic, a, p)
		for _, bob := range others {
			e := routertest.Expect[*wamp.Event](bob)
			bob.WantPayload(e, form, "sealed")
		}
		for range 3 {
			e := routertest.Expect[*wamp.Event](carol)
			carol.WantPayload(e, form, "sealed")
			if !ids[e.Subscription] {
				t.Errorf("an event of subscription %d twice, or that should have none", e.Subscription)
			}
			ids[e.Subscription] = false
		}
		carol.ExpectNothing()
	})
}

// What one session publishes arrives in order, whatever the topics.
func TestOrderAcrossNodes(t *testing.T) {
	nodes := startCluster(t, 2)
	alice, bob := nodes[0].Join("alice", "memory", wamp.CBOR), nodes[1].Join("bob", "rawsocket", wamp.CBOR)
	for i := range 5 {
		bob.Subscribe(wamp.URI(fmt.Sprintf("com.example.t%d", i)), wamp.MatchExact)
	}
	const count = 2000
	for i := range count {
		alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: wamp.URI(fmt.Sprintf("com.example.t%d", i%5)), Payload: alice.Clear(i)})
	}
	for i := range count {
		e := routertest.Expect[*wamp.Event](bob)
		if args, _, _ := e.Payload.Decode(); fmt.Sprint(args[0]) != fmt.Sprint(i) {
			t.Fatalf("event %v at place %d", args, i)
		}
	}
}

// A call reaches a callee on another node, and its results, progressive ones too, the
// caller.
func TestCallsAcrossNodes(t *testing.T) {
	nodes := startCluster(t, 2)
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		procedure := wamp.URI(fmt.Sprintf("com.example.%s.%d", s, form))
		callee := nodes[1].Join("callee", "websocket", s)
		callee.Register(procedure, wamp.RegisterOptions{})
		caller := nodes[0].Join("caller", "rawsocket", s)
		id := caller.CallWith(procedure, form, "question", wamp.CallOptions{ReceiveProgress: wamp.True})
		inv := routertest.Expect[*wamp.Invocation](callee)
		callee.WantPayload(inv, form, "question")
		invocation := *inv
		callee.Yield(&invocation, form, "part", true)
		callee.Yield(&invocation, form, "answer", false)
		for _, want := range []string{"part", "answer"} {
			result := routertest.Expect[*wamp.Result](caller)
			if result.Request != id || result.Details.Progress != (want == "part") {
				t.Errorf("%+v", result.Details)
			}
			caller.WantPayload(result, form, want)
		}
		callee.Leave()
		caller.ExpectError(caller.CallWith(procedure, form, "question", wamp.CallOptions{}), wamp.ErrNoSuchProcedure)
	})
}

// A call that its caller cancels, or that its callee leaves, ends once, on both sides.
func TestCallsEndAcrossNodes(t *testing.T) {
	nodes := startCluster(t, 2)
	callee := nodes[1].Join("callee", "memory", wamp.CBOR)
	callee.Register("com.example.slow", wamp.RegisterOptions{})
	caller := nodes[0].Join("caller", "memory", wamp.CBOR)
	call := func() (wamp.ID, wamp.ID) {
		id := caller.Call("com.example.slow", wamp.Attributes{}, caller.Clear("x"))
		return id, routertest.Expect[*wamp.Invocation](callee).Request
	}
	for _, mode := range []string{"kill", "killnowait", "skip"} {
		id, invocation := call()
		caller.Send(&wamp.Cancel{Request: id, Options: wamp.CancelOptions{Mode: mode}})
		if mode != "skip" {
			if i := routertest.Expect[*wamp.Interrupt](callee); i.Request != invocation || i.Options.Mode != mode {
				t.Errorf("%s: INTERRUPT %+v", mode, i)
			}
		}
		callee.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation, Error: wamp.ErrCanceled})
		caller.ExpectError(id, wamp.ErrCanceled)
		caller.ExpectNothing()
	}
	id, _ := call()
	callee.Leave()
	caller.ExpectError(id, wamp.ErrCanceled)

	callee = nodes[1].Join("another", "memory", wamp.CBOR)
	callee.Register("com.example.slow", wamp.RegisterOptions{})
	_, invocation := call()
	caller.Leave()
	if i := routertest.Expect[*wamp.Interrupt](callee); i.Request != invocation {
		t.Errorf("INTERRUPT %+v", i)
	}
}

// A procedure is exclusive in the whole cluster, shared ones are shared by it, and
// force_reregister revokes elsewhere.
func TestRegistrationsAcrossNodes(t *testing.T) {
	nodes := startCluster(t, 2)
	alice, bob := nodes[0].Join("alice", "memory", wamp.CBOR), nodes[1].Join("bob", "memory", wamp.JSON)
	alice.Register("com.example.mine", wamp.RegisterOptions{})
	request := func(p *routertest.Peer, procedure wamp.URI, o wamp.RegisterOptions) wamp.ID {
		id := p.NextID()
		p.Send(&wamp.Register{Request: id, Procedure: procedure, Options: o})
		return id
	}
	bob.ExpectError(request(bob, "com.example.mine", wamp.RegisterOptions{}), wamp.ErrProcedureExists)
	bob.Register("com.example.mine", wamp.RegisterOptions{ForceReregister: wamp.True})
	if u := routertest.Expect[*wamp.Unregistered](alice); u.Details.Registration == 0 {
		t.Errorf("revoked: %+v", u)
	}

	shared := wamp.RegisterOptions{Invoke: "roundrobin"}
	if a, b := alice.Register("com.example.shared", shared), bob.Register("com.example.shared", shared); a != b {
		t.Errorf("registrations %d and %d", a, b)
	} else {
		for _, p := range []*routertest.Peer{alice, bob} {
			waitFor(t, "both callees to be known", func() bool { return fmt.Sprint(p.CallMetaOne("wamp.registration.count_callees", uint64(a))) == "2" })
		}
	}
	// Each caller's node takes the callees by turns.
	for _, n := range nodes {
		caller := n.Join("caller", "memory", wamp.CBOR)
		for range 2 {
			for range 2 {
				caller.Call("com.example.shared", wamp.Attributes{}, wamp.Payload{})
			}
			for _, p := range []*routertest.Peer{alice, bob} {
				p.Send(&wamp.Yield{Request: routertest.Expect[*wamp.Invocation](p).Request})
			}
			for range 2 {
				routertest.Expect[*wamp.Result](caller)
			}
		}
	}
}

// The meta API speaks of all nodes.
func TestMetaAcrossNodes(t *testing.T) {
	nodes := startCluster(t, 3)
	var peers []*routertest.Peer
	for i, n := range nodes {
		for j := range i + 1 {
			p := n.Join(fmt.Sprint("peer", i, j), "memory", wamp.CBOR)
			p.Subscribe("com.example.topic", wamp.MatchExact)
			peers = append(peers, p)
		}
	}
	for _, p := range peers {
		if n := fmt.Sprint(p.CallMetaOne("wamp.session.count")); n != "6" {
			t.Errorf("%s counts %s sessions", p.Name, n)
		}
		id := p.CallMetaOne("wamp.subscription.lookup", "com.example.topic")
		if n := fmt.Sprint(p.CallMetaOne("wamp.subscription.count_subscribers", id)); n != "6" {
			t.Errorf("%s counts %s subscribers", p.Name, n)
		}
		for _, procedure := range []string{"wamp.subscription.list_subscribers", "wamp.session.list"} {
			var args []any
			if procedure != "wamp.session.list" {
				args = []any{id}
			}
			if list := p.CallMetaOne(wamp.URI(procedure), args...).([]any); len(list) != 6 {
				t.Errorf("%s: %v", procedure, list)
			}
		}
		if lists := p.CallMetaOne("wamp.subscription.list").(map[string]any); len(lists["exact"].([]any)) != 1 {
			t.Errorf("subscriptions %v", lists)
		}
		for _, other := range peers {
			d := p.CallMetaOne("wamp.session.get", uint64(other.ID)).(map[string]any)
			if fmt.Sprint(d["session"]) != fmt.Sprint(uint64(other.ID)) {
				t.Errorf("%v", d)
			}
		}
	}
	root := nodes[0].Join("root", "memory", wamp.CBOR, routertest.As("root", "admin"))
	root.CallMeta("wamp.session.kill", map[string]any{"reason": "com.example.out"}, uint64(peers[5].ID))
	if g := routertest.Expect[*wamp.Goodbye](peers[5]); g.Reason != "com.example.out" {
		t.Errorf("GOODBYE %s", g.Reason)
	}
	if n := fmt.Sprint(peers[0].CallMetaOne("wamp.session.count")); n != "6" {
		t.Errorf("%s sessions after a kill", n)
	}
}

// What is too large for NATS is refused, and told.
func TestTooLargeForNATS(t *testing.T) {
	nodes := startCluster(t, 2)
	alice := nodes[0].Join("alice", "memory", wamp.CBOR)
	a, p := alice.Opaque(wamp.FormTransparency, bytes.Repeat([]byte("x"), 2<<20))
	id := alice.NextID()
	alice.Send(&wamp.Publish{Request: id, Topic: "com.example.large", Options: wamp.PublishOptions{Acknowledge: wamp.True, Attributes: a}, Payload: p})
	alice.ExpectError(id, wamp.ErrPayloadSizeExceeded)
}
