package cluster

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The network between a node and NATS stops for longer than the lease, without any
// connection being closed: both sides end their calls, local ones go on, and afterwards
// the directory is what the sessions hold.
func TestPartition(t *testing.T) {
	s := natstest.Start(t)
	p := startProxy(t, s.URL)
	a, b := startNode(t, "a", []string{s.URL}), startNode(t, "b", []string{p.url})
	callee := b.Join("callee", "memory", wamp.CBOR)
	callee.Register("com.example.far", wamp.RegisterOptions{})
	caller, near := a.Join("caller", "memory", wamp.CBOR), b.Join("near", "memory", wamp.CBOR)
	inFlight := caller.Call("com.example.far", wamp.Attributes{}, wamp.Payload{})
	interrupted := routertest.Expect[*wamp.Invocation](callee).Request

	p.stop()
	caller.ExpectError(inFlight, wamp.ErrCanceled)
	if i := routertest.Expect[*wamp.Interrupt](callee); i.Request != interrupted {
		t.Errorf("INTERRUPT of %d", i.Request)
	}
	waitFor(t, "the node to know that it is cut off", func() bool { return b.node.Ready() != nil })
	id := near.Call("com.example.far", wamp.Attributes{}, wamp.Payload{})
	callee.Send(&wamp.Yield{Request: routertest.Expect[*wamp.Invocation](callee).Request})
	if r := routertest.Expect[*wamp.Result](near); r.Request != id {
		t.Errorf("RESULT of %d", r.Request)
	}
	request := near.NextID()
	near.Send(&wamp.Register{Request: request, Procedure: "com.example.new"})
	near.ExpectError(request, wamp.ErrClusterUnavailable)

	p.resume()
	for _, n := range []*node{a, b} {
		waitFor(t, "a node to be part of the cluster again", func() bool {
			return n.node.Ready() == nil && len(n.node.Stats().Others) == 1 && n.node.Stats().Entries == 1
		})
	}
	id = caller.Call("com.example.far", wamp.Attributes{}, wamp.Payload{})
	callee.Send(&wamp.Yield{Request: routertest.Expect[*wamp.Invocation](callee).Request})
	if r := routertest.Expect[*wamp.Result](caller); r.Request != id {
		t.Errorf("RESULT of %d", r.Request)
	}
}

// It stops for shorter than the lease: what was under way arrives, and no call ends.
func TestShortPartition(t *testing.T) {
	s := natstest.Start(t)
	p := startProxy(t, s.URL)
	long := func(o *cluster.Options) { o.Lease = 10 * time.Second }
	a, b := startNode(t, "a", []string{s.URL}, long), startNode(t, "b", []string{p.url}, long)
	callee := b.Join("callee", "memory", wamp.CBOR)
	callee.Register("com.example.far", wamp.RegisterOptions{})
	callee.Subscribe("com.example.topic", wamp.MatchExact)
	caller := a.Join("caller", "memory", wamp.CBOR)
	p.stop()
	id := caller.Call("com.example.far", wamp.Attributes{}, wamp.Payload{})
	caller.Send(&wamp.Publish{Request: caller.NextID(), Topic: "com.example.topic"})
	time.Sleep(lease / 2) // how long it lasts is what this is about
	p.resume()
	var invocation wamp.ID
	event := false
	for range 2 { // they come on two ways
		switch m := callee.Receive().(type) {
		case *wamp.Invocation:
			invocation = m.Request
		case *wamp.Event:
			event = true
		default:
			t.Fatalf("%T", m)
		}
	}
	callee.Send(&wamp.Yield{Request: invocation})
	if r := routertest.Expect[*wamp.Result](caller); r.Request != id || !event {
		t.Errorf("RESULT of %d, event %t", r.Request, event)
	}
}

// Without JetStream a node does not start, and says what is needed.
func TestJetStreamRefused(t *testing.T) {
	s := natstest.StartPlain(t)
	n, err := cluster.New(cluster.Options{Servers: []string{s.URL}, Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) { c.Cluster = n }))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := n.Start(ctx, w.Router); err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("%v", err)
	}
}

// An envelope of a version that the node does not know is refused and counted, and so
// is what is none; what comes after it arrives.
func TestUnknownEnvelope(t *testing.T) {
	s := natstest.Start(t)
	a, b := startNode(t, "a", []string{s.URL}), startNode(t, "b", []string{s.URL})
	bob := b.Join("bob", "memory", wamp.CBOR)
	bob.Subscribe("com.example.topic", wamp.MatchExact)
	conn, err := nats.Connect(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	bodies := [][]byte{{}, {2, 1}, {255}, {1, 9}, []byte("1 hello"), make([]byte, 64<<10)}
	for _, subject := range []string{"blindfold.realm1.e.com.example.topic", "blindfold.node." + b.node.Stats().Node.ID} {
		for _, body := range bodies {
			if err := conn.Publish(subject, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "all of them to be counted", func() bool { return b.node.Stats().Dropped["unknown"] == uint64(2*len(bodies)) })
	alice := a.Join("alice", "memory", wamp.CBOR)
	alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: "com.example.topic"})
	routertest.Expect[*wamp.Event](bob)
}

// Nodes with other realms configured serve together, and tell that they differ.
func TestDifferentConfigurations(t *testing.T) {
	s := natstest.Start(t)
	configuration := func(name, more string) *routertest.Process {
		return routertest.StartProcess(t, fmt.Sprintf("listeners:\n  - websocket: 127.0.0.1:0\n  - rawsocket: 127.0.0.1:0\nadmin: 127.0.0.1:0\n"+
			"realms: [{name: realm1, anonymous: {role: guest}, roles: [{name: guest, permissions: [{uri: \"\", match: prefix, allow: [publish, subscribe]}]}]%s}]\ncluster: {nats: [%q], node: %s, lease: 1s}\n", more, s.URL, name))
	}
	a, b := configuration("a", ""), configuration("b", ", meta: false")
	for _, p := range []*routertest.Process{a, b} {
		waitFor(t, "the difference to be counted", func() bool { return p.Metric("blindfold_cluster_nodes_differing") == 1 })
	}
}
