package cluster

import (
	"fmt"
	"testing"

	"github.com/blindfold-wamp/blindfold/cluster"
	"github.com/blindfold-wamp/blindfold/internal/natstest"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func retaining(limits router.RetainedLimits) routertest.Option {
	return routertest.WithRealm(func(c *router.RealmConfig) { c.Retained = &limits })
}

func retain(p *routertest.Peer, topic wamp.URI, form wamp.Form, data string, change ...func(*wamp.PublishOptions)) {
	p.T.Helper()
	a, payload := p.Payload(form, data)
	m := &wamp.Publish{Request: p.NextID(), Topic: topic, Payload: payload,
		Options: wamp.PublishOptions{Acknowledge: wamp.True, Retain: wamp.True, Attributes: a}}
	for _, f := range change {
		f(&m.Options)
	}
	p.Send(m)
	routertest.Expect[*wamp.Published](p)
}

func getRetained(p *routertest.Peer, topic wamp.URI, match string) {
	p.T.Helper()
	p.Send(&wamp.Subscribe{Request: p.NextID(), Topic: topic, Options: wamp.SubscribeOptions{Match: match, GetRetained: wamp.True}})
	routertest.Expect[*wamp.Subscribed](p)
}

// retained waits until a new subscriber of a node gets want, "" for nothing, as what is
// retained.
func (n *node) retained(topic wamp.URI, role, want string) {
	n.T.Helper()
	got := ""
	waitFor(n.T, fmt.Sprintf("%q to be retained for %s", want, role), func() bool {
		p := n.Join("late", "memory", wamp.CBOR, routertest.As(role, role))
		defer p.Leave()
		getRetained(p, topic, "")
		request := p.NextID()
		p.Send(&wamp.Unsubscribe{Request: request, Subscription: 1}) // answered after what was retained
		got = ""
		for {
			switch m := p.Receive().(type) {
			case *wamp.Event:
				if args, _, _ := m.Payload.Decode(); m.Details.Retained && len(args) > 0 {
					got = fmt.Sprint(args[0])
				}
			case *wamp.Error:
				return got == want
			}
		}
	})
}

// What is retained on one node is retained on all: on those that had no subscriber, and
// on one that comes when nobody is left who has it.
func TestRetainedAcrossNodes(t *testing.T) {
	s := natstest.Start(t)
	with := retaining(router.RetainedLimits{})
	a := startNodeWith(t, "a", []string{s.URL}, []routertest.Option{with})
	b := startNodeWith(t, "b", []string{s.URL}, []routertest.Option{with})
	alice := a.Join("alice", "memory", wamp.CBOR)
	retain(alice, "com.example.weather", wamp.FormNone, "rain")
	retain(alice, "com.example.weather", wamp.FormNone, "sun")
	retain(alice, "com.example.weather", wamp.FormNone, "snow", func(o *wamp.PublishOptions) { o.EligibleAuthRole = []string{"staff"} })
	retain(alice, "com.example.other", wamp.FormNone, "else")
	for _, n := range []*node{a, b} {
		n.retained("com.example.weather", "anonymous", "sun")
		n.retained("com.example.weather", "staff", "snow")
	}
	routertest.EachPayload(t, func(t *testing.T, ser wamp.Serializer, form wamp.Form) {
		topic := wamp.URI(fmt.Sprintf("com.example.%s.%d", ser, form))
		from, live := a.Join("from", "websocket", ser), b.Join("live", "rawsocket", ser)
		live.Subscribe(topic, wamp.MatchExact)
		retain(from, topic, form, "sealed")
		live.WantPayload(routertest.Expect[*wamp.Event](live), form, "sealed")
		late := b.Join("late", "rawsocket", ser)
		getRetained(late, topic, "")
		e := routertest.Expect[*wamp.Event](late)
		if !e.Details.Retained {
			t.Errorf("%+v", e.Details)
		}
		late.WantPayload(e, form, "sealed")
		live.ExpectNothing()
	})
	alice.Leave()
	if err := b.node.Close(); err != nil {
		t.Error(err)
	}
	if err := a.node.Close(); err != nil {
		t.Error(err)
	}
	c := startNodeWith(t, "c", []string{s.URL}, []routertest.Option{with})
	c.retained("com.example.weather", "anonymous", "sun")
	c.retained("com.example.weather", "staff", "snow")
	c.retained("com.example.other", "anonymous", "else")
}

// A node that was cut off takes over what was retained in between, and all nodes agree
// on what was published last, also when several publish at the same time.
func TestRetainedAgreed(t *testing.T) {
	s := natstest.Start(t)
	proxy := startProxy(t, s.URL)
	with := []routertest.Option{retaining(router.RetainedLimits{})}
	nodes := []*node{startNodeWith(t, "a", []string{s.URL}, with), startNodeWith(t, "b", []string{s.URL}, with),
		startNodeWith(t, "c", []string{proxy.url}, with)}
	proxy.stop()
	waitFor(t, "the node to know that it is cut off", func() bool { return nodes[2].node.Ready() != nil })
	retain(nodes[0].Join("alice", "memory", wamp.CBOR), "com.example.topic", wamp.FormNone, "in between")
	nodes[1].retained("com.example.topic", "anonymous", "in between")
	proxy.resume()
	waitFor(t, "the node to be back", func() bool { return nodes[2].node.Ready() == nil })
	nodes[2].retained("com.example.topic", "anonymous", "in between")

	const each = 50
	done := make(chan struct{})
	for i, n := range nodes {
		p := n.Join(fmt.Sprint("publisher", i), "memory", wamp.CBOR)
		go func() {
			for j := range each {
				p.Send(&wamp.Publish{Request: p.NextID(), Topic: "com.example.topic", Payload: p.Clear(fmt.Sprint(i, " ", j)),
					Options: wamp.PublishOptions{Retain: wamp.True}})
			}
			retain(p, wamp.URI(fmt.Sprint("com.example.end", i)), wamp.FormNone, "end")
			done <- struct{}{}
		}()
	}
	for range nodes {
		<-done
	}
	for _, n := range nodes {
		for i := range nodes { // what a session publishes arrives in order
			n.retained(wamp.URI(fmt.Sprint("com.example.end", i)), "anonymous", "end")
		}
	}
	want := ""
	for _, n := range nodes {
		p := n.Join("p", "memory", wamp.CBOR)
		getRetained(p, "com.example.topic", "")
		args, _, _ := routertest.Expect[*wamp.Event](p).Payload.Decode()
		if want == "" {
			want = fmt.Sprint(args[0])
		}
		if got := fmt.Sprint(args[0]); got != want {
			t.Errorf("one node has %q, another %q", got, want)
		}
	}
}

// The bounds of one node hold on all: what is over them is retained nowhere, and nobody
// gets what it should have replaced.
func TestRetainedBoundsAcrossNodes(t *testing.T) {
	s := natstest.Start(t)
	with := []routertest.Option{retaining(router.RetainedLimits{Topics: 2, Bytes: 4000})}
	a, b := startNodeWith(t, "a", []string{s.URL}, with), startNodeWith(t, "b", []string{s.URL}, with)
	alice := a.Join("alice", "memory", wamp.CBOR)
	retain(alice, "com.example.t0", wamp.FormNone, "small")
	retain(alice, "com.example.t1", wamp.FormNone, "small")
	retain(alice, "com.example.t2", wamp.FormNone, "over the number of topics")
	retain(alice, "com.example.t1", wamp.FormNone, string(make([]byte, 5000)))
	c := startNodeWith(t, "c", []string{s.URL}, with, func(o *cluster.Options) {})
	for _, n := range []*node{a, b, c} {
		n.retained("com.example.t0", "anonymous", "small")
		n.retained("com.example.t1", "anonymous", "")
		n.retained("com.example.t2", "anonymous", "")
	}
}
