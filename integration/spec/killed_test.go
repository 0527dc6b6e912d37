package spec

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A killed session is over when the kill is answered, whether its client has read that
// or not: its procedures are free, nobody's call goes to it, and GOODBYE is the last
// that it gets.
func TestSessionKillIsOver(t *testing.T) {
	for i, serializer := range wamp.Serializers {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		root := w.Join("root", "websocket", serializer, routertest.As("root", "admin"))
		ann := w.Join("ann", []string{"rawsocket", "websocket", "unix"}[i], serializer, routertest.As("ann", "staff"))
		bob := w.Join("bob", "rawsocket", serializer)
		bob.Register("com.example.bob", wamp.RegisterOptions{})
		ann.Register(routertest.Procedure, wamp.RegisterOptions{})
		ann.Subscribe(routertest.Topic, wamp.MatchExact)
		root.CallWith(routertest.Procedure, wamp.FormNone, "in flight", wamp.CallOptions{})
		routertest.Expect[*wamp.Invocation](ann)
		ann.CallWith("com.example.bob", wamp.FormNone, "in flight", wamp.CallOptions{})
		invocation := routertest.Expect[*wamp.Invocation](bob)

		request := root.SendCallMeta("wamp.session.kill", nil, ann.ID)
		root.ExpectError(request-1, wamp.ErrCanceled)
		if r := routertest.Expect[*wamp.Result](root); r.Request != request {
			t.Errorf("result: %+v", r)
		}
		root.ExpectError(root.CallWith(routertest.Procedure, wamp.FormNone, "too late", wamp.CallOptions{}), wamp.ErrNoSuchProcedure)
		root.Publish(routertest.Topic, wamp.Attributes{}, root.Clear("too late"))
		routertest.Expect[*wamp.Published](root)
		bob.Yield(invocation, wamp.FormNone, "too late", false)
		root.Register(routertest.Procedure, wamp.RegisterOptions{})
		again := w.Join("ann", "websocket", serializer, routertest.As("ann", "staff"))
		again.Leave()

		routertest.Expect[*wamp.Goodbye](ann)
		ann.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		if m, err := ann.TryReceive(); err == nil {
			t.Errorf("%v comes behind GOODBYE", m.Type())
		}
	}
}

// When the router closes, GOODBYE is the last for everybody, whatever they have to do
// with each other.
func TestNothingFollowsGoodbye(t *testing.T) {
	w := routertest.NewWorld(t)
	var peers []*routertest.Peer
	for i := range 6 {
		peers = append(peers, w.Join("peer", []string{"rawsocket", "websocket", "unix"}[i%3], wamp.Serializers[i%3]))
	}
	for _, p := range peers {
		p.Register("com.example.shared", wamp.RegisterOptions{Invoke: "roundrobin"})
	}
	for range 20 {
		for _, p := range peers {
			p.Send(&wamp.Call{Request: p.NextID(), Procedure: "com.example.shared"})
		}
	}
	for range 20 {
		for _, p := range peers {
			routertest.Expect[*wamp.Invocation](p) // and does not answer
		}
	}
	now, cancel := context.WithCancel(t.Context())
	cancel()
	closed := make(chan error, 1)
	go func() { closed <- w.Router.Close(now) }()
	for _, p := range peers {
		for bye := false; !bye; {
			switch m := p.Receive().(type) {
			case *wamp.Goodbye:
				bye = true
			case *wamp.Error, *wamp.Interrupt:
			default:
				t.Errorf("%v", m.Type())
			}
		}
	}
	for _, p := range peers {
		p.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		if m, err := p.TryReceive(); err == nil {
			t.Errorf("%v comes behind GOODBYE", m.Type())
		}
	}
	routertest.NoError(t, <-closed)
}
