package cluster

import (
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// startProcess starts the built server as a node.
func startProcess(t *testing.T, name string, servers ...string) *routertest.Process {
	t.Helper()
	return routertest.StartProcess(t, fmt.Sprintf("listeners:\n  - websocket: 127.0.0.1:0\n  - rawsocket: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"+
		"cluster: {nats: [%q], node: %s, lease: 1s}\n", strings.Join(servers, `", "`), name))
}

// killed ends a process at once.
func killed(p *routertest.Process) {
	p.Stopped = true
	_ = p.Cmd.Process.Kill()
	_ = p.Cmd.Wait()
}

// clock returns a check that something took no longer than a few leases. It is a bound
// on what a user was promised, far above what is usual.
func within(t *testing.T, what string, limit time.Duration) (check func()) {
	began := time.Now()
	return func() {
		t.Helper()
		if d := time.Since(began); d > limit {
			t.Errorf("%s took %v", what, d)
		}
	}
}

// A node is killed with calls in flight: their callers are told, its registrations are
// free, and the other node goes on.
func TestNodeKilled(t *testing.T) {
	s := natstest.Start(t)
	a, b := startProcess(t, "a", s.URL), startProcess(t, "b", s.URL)
	callee := routertest.JoinProcess(t, b, "callee", wamp.CBOR)
	callee.Register("com.example.slow", wamp.RegisterOptions{})
	caller := routertest.JoinProcess(t, a, "caller", wamp.CBOR)
	id := caller.Call("com.example.slow", wamp.Attributes{}, wamp.Payload{})
	routertest.Expect[*wamp.Invocation](callee)
	told := within(t, "an answer of a dead callee", 20*lease)
	killed(b)
	caller.ExpectError(id, wamp.ErrCanceled)
	told()
	waitFor(t, "the dead node's registration to be free", func() bool {
		request := caller.NextID()
		caller.Send(&wamp.Register{Request: request, Procedure: "com.example.slow"})
		_, registered := caller.Receive().(*wamp.Registered)
		return registered
	})
	if n := a.Metric("blindfold_cluster_nodes"); n != 1 {
		t.Errorf("%v nodes live", n)
	}
}

// A node's caller is killed: the callee is told to stop.
func TestCallersNodeKilled(t *testing.T) {
	s := natstest.Start(t)
	a, b := startProcess(t, "a", s.URL), startProcess(t, "b", s.URL)
	callee := routertest.JoinProcess(t, b, "callee", wamp.CBOR)
	callee.Register("com.example.slow", wamp.RegisterOptions{})
	caller := routertest.JoinProcess(t, a, "caller", wamp.CBOR)
	caller.Call("com.example.slow", wamp.Attributes{}, wamp.Payload{})
	inv := routertest.Expect[*wamp.Invocation](callee).Request
	killed(a)
	if i := routertest.Expect[*wamp.Interrupt](callee); i.Request != inv {
		t.Errorf("INTERRUPT of %d", i.Request)
	}
}

// A node that was frozen for longer than the lease takes its place again: what its
// sessions hold is in the directory again, or they are told that it was taken.
func TestNodeFrozen(t *testing.T) {
	s := natstest.Start(t)
	a, b := startProcess(t, "a", s.URL), startProcess(t, "b", s.URL)
	callee := routertest.JoinProcess(t, b, "callee", wamp.CBOR)
	callee.Register("com.example.kept", wamp.RegisterOptions{})
	callee.Register("com.example.taken", wamp.RegisterOptions{})
	caller := routertest.JoinProcess(t, a, "caller", wamp.CBOR)
	id := caller.Call("com.example.kept", wamp.Attributes{}, wamp.Payload{})
	frozen := routertest.Expect[*wamp.Invocation](callee).Request
	if err := b.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	caller.ExpectError(id, wamp.ErrCanceled)
	waitFor(t, "the frozen node's registration to be free", func() bool {
		request := caller.NextID()
		caller.Send(&wamp.Register{Request: request, Procedure: "com.example.taken"})
		_, registered := caller.Receive().(*wamp.Registered)
		return registered
	})
	if err := b.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	// In any order: the call that was given up, and the registration that was taken.
	for range 2 {
		switch m := callee.Receive().(type) {
		case *wamp.Interrupt:
			if m.Request != frozen {
				t.Errorf("INTERRUPT of %d", m.Request)
			}
		case *wamp.Unregistered:
			if m.Details.Registration == 0 {
				t.Errorf("%+v", m)
			}
		default:
			t.Fatalf("%T", m)
		}
	}
	go func() { // until the connection ends
		for {
			m, err := callee.TryReceive()
			if inv, ok := m.(*wamp.Invocation); err != nil {
				return
			} else if ok {
				callee.Send(&wamp.Yield{Request: inv.Request})
			}
		}
	}()
	waitFor(t, "a call of what the frozen node's session still holds", func() bool {
		id := caller.Call("com.example.kept", wamp.Attributes{}, wamp.Payload{})
		switch m := caller.Receive().(type) {
		case *wamp.Result:
			return m.Request == id
		case *wamp.Error:
			return false
		default:
			t.Fatalf("%T", m)
			return false
		}
	})
}

// A node that was frozen for shorter than the lease loses nothing.
func TestNodeFrozenShortly(t *testing.T) {
	s := natstest.Start(t)
	a, b := startProcess(t, "a", s.URL), startProcess(t, "b", s.URL)
	callee := routertest.JoinProcess(t, b, "callee", wamp.CBOR)
	callee.Register("com.example.slow", wamp.RegisterOptions{})
	caller := routertest.JoinProcess(t, a, "caller", wamp.CBOR)
	if err := b.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	id := caller.Call("com.example.slow", wamp.Attributes{}, wamp.Payload{})
	time.Sleep(lease / 10) // how long it is frozen is what this is about
	if err := b.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	callee.Send(&wamp.Yield{Request: routertest.Expect[*wamp.Invocation](callee).Request})
	if r := routertest.Expect[*wamp.Result](caller); r.Request != id {
		t.Errorf("RESULT of %d", r.Request)
	}
}

// NATS is killed, and comes back with nothing of what it had: local traffic goes on,
// what needs others is refused, and afterwards all is as before.
func TestNATSKilled(t *testing.T) {
	s := natstest.Start(t)
	a, b := startNode(t, "a", []string{s.URL}), startNode(t, "b", []string{s.URL})
	callee := b.Join("callee", "memory", wamp.CBOR)
	callee.Register("com.example.far", wamp.RegisterOptions{})
	near := a.Join("near", "memory", wamp.CBOR)
	near.Register("com.example.near", wamp.RegisterOptions{})
	near.Subscribe("com.example.topic", wamp.MatchExact)
	caller := a.Join("caller", "memory", wamp.CBOR)
	answer := func(p *routertest.Peer, procedure wamp.URI) {
		t.Helper()
		id := caller.Call(procedure, wamp.Attributes{}, wamp.Payload{})
		p.Send(&wamp.Yield{Request: routertest.Expect[*wamp.Invocation](p).Request})
		if r := routertest.Expect[*wamp.Result](caller); r.Request != id {
			t.Errorf("RESULT of %d", r.Request)
		}
	}
	answer(callee, "com.example.far")
	inFlight := caller.Call("com.example.far", wamp.Attributes{}, wamp.Payload{})
	interrupted := routertest.Expect[*wamp.Invocation](callee).Request

	s.Kill()
	caller.ExpectError(inFlight, wamp.ErrCanceled)
	if i := routertest.Expect[*wamp.Interrupt](callee); i.Request != interrupted {
		t.Errorf("INTERRUPT of %d", i.Request)
	}
	answer(near, "com.example.near")
	caller.ExpectError(caller.Call("com.example.far", wamp.Attributes{}, wamp.Payload{}), wamp.ErrClusterUnavailable)
	id := caller.NextID()
	caller.Send(&wamp.Register{Request: id, Procedure: "com.example.new"})
	caller.ExpectError(id, wamp.ErrClusterUnavailable)
	id = caller.NextID()
	caller.Send(&wamp.Publish{Request: id, Topic: "com.example.topic", Options: wamp.PublishOptions{Acknowledge: wamp.True}})
	caller.ExpectError(id, wamp.ErrClusterUnavailable)
	caller.Send(&wamp.Publish{Request: caller.NextID(), Topic: "com.example.topic"})
	routertest.Expect[*wamp.Event](near)
	if a.node.Ready() == nil {
		t.Error("the node is ready without NATS")
	}
	if n := a.node.Stats().Dropped["unavailable"]; n == 0 {
		t.Error("nothing is counted")
	}

	s.Start()
	for _, n := range []*node{a, b} {
		waitFor(t, "a node to be part of the cluster again", func() bool { return n.node.Ready() == nil && len(n.node.Stats().Others) == 1 })
	}
	waitFor(t, "the directory to be as before", func() bool {
		return a.node.Stats().Entries == 2 && b.node.Stats().Entries == 2
	})
	answer(callee, "com.example.far")
	caller.Send(&wamp.Publish{Request: caller.NextID(), Topic: "com.example.topic"})
	routertest.Expect[*wamp.Event](near)
}

// Two clusters on one NATS server don't see each other; two nodes of one name do.
func TestNamesOfNodesAndClusters(t *testing.T) {
	s := natstest.Start(t)
	subject := func(name string) func(*cluster.Options) { return func(o *cluster.Options) { o.Subject = name } }
	one, two := startNode(t, "same", []string{s.URL}, subject("one")), startNode(t, "same", []string{s.URL}, subject("two"))
	three := startNode(t, "same", []string{s.URL}, subject("one"))
	bob, carol := two.Join("bob", "memory", wamp.CBOR), three.Join("carol", "memory", wamp.CBOR)
	bob.Subscribe("com.example.topic", wamp.MatchExact)
	carol.Subscribe("com.example.topic", wamp.MatchExact)
	alice := one.Join("alice", "memory", wamp.CBOR)
	alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: "com.example.topic"})
	routertest.Expect[*wamp.Event](carol)
	bob.ExpectNothing()
}

// A subscriber that does not read holds up nobody on another node.
func TestSlowSubscriberElsewhere(t *testing.T) {
	nodes := startCluster(t, 3)
	frozen := nodes[1].Join("frozen", "rawsocket", wamp.CBOR)
	frozen.Subscribe("com.example.topic", wamp.MatchExact)
	bob := nodes[2].Join("bob", "rawsocket", wamp.CBOR)
	bob.Subscribe("com.example.topic", wamp.MatchExact)
	alice := nodes[0].Join("alice", "memory", wamp.CBOR)
	const count = 3000
	a, p := alice.Opaque(wamp.FormTransparency, make([]byte, 32<<10))
	go func() {
		for range count {
			alice.Publish("com.example.topic", a, p)
		}
	}()
	for range count {
		routertest.Expect[*wamp.Event](bob)
	}
}

// The server's own command shows the nodes.
func TestClusterStatus(t *testing.T) {
	s := natstest.Start(t)
	a := startProcess(t, "first", s.URL)
	startProcess(t, "second", s.URL)
	out, err := exec.Command(routertest.RouterBinary(t), "cluster", "status", "--url", a.URLs["admin"]).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "first") || !strings.Contains(string(out), "second") || !strings.Contains(string(out), "this node") {
		t.Errorf("%v\n%s", err, out)
	}
}

// With credentials that NATS refuses the server does not start, and says why.
func TestWrongCredentials(t *testing.T) {
	s := natstest.Start(t, "--user", "blindfold", "--pass", "a password")
	_, err := cluster.New(cluster.Options{Servers: []string{s.URL}})
	if err == nil || !strings.Contains(err.Error(), "Authorization Violation") {
		t.Errorf("%v", err)
	}
}
