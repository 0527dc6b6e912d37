package spec

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Sessions end in every direction (WAMP, "Session Closing" and "Session
// Establishment"): who stays notices just what is due, and the router keeps
// nothing of who has gone.

// ending is a world in which Bob is to go. He and Alice are in the midst of calls
// of each other, and subscribed to the same topic.
type ending struct {
	*routertest.World
	over             string // Bob's way to the router
	root, alice, bob *routertest.Peer
	joined           []router.RealmStats // before Bob
	subscription     wamp.ID
	ofBob, ofAlice   wamp.ID // requests of the calls that Bob, and Alice, made
}

// endings tells a story for each way to the router.
func endings(t *testing.T, ways []string, story func(e *ending)) {
	for i, over := range ways {
		t.Run(over, func(t *testing.T) {
			e := &ending{World: routertest.NewWorld(t, routertest.WithRoles(t)), over: over}
			e.root = e.Join("root", "unix", wamp.JSON, routertest.As("root", "admin"))
			e.alice = e.Join("alice", "rawsocket", wamp.CBOR)
			e.subscription = e.alice.Subscribe(routertest.Topic, wamp.MatchExact)
			e.alice.Register("com.example.alice", wamp.RegisterOptions{})
			e.joined = e.Router.Stats()
			e.bob = e.Join("bob", over, wamp.Serializers[i%3])
			e.bob.Subscribe(routertest.Topic, wamp.MatchExact)
			e.bob.Register("com.example.bob", wamp.RegisterOptions{})
			e.ofAlice = e.alice.CallWith("com.example.bob", wamp.FormNone, "are you there?", wamp.CallOptions{})
			routertest.Expect[*wamp.Invocation](e.bob)
			e.ofBob = e.bob.CallWith("com.example.alice", wamp.FormNone, "are you there?", wamp.CallOptions{})
			routertest.Expect[*wamp.Invocation](e.alice)
			story(e)
			e.gone()
		})
	}
}

// gone checks that Bob is, and that Alice and the router go on.
func (e *ending) gone() {
	e.T.Helper()
	expectOneOfEach(e.alice,
		func(m wamp.Message) bool { // her call has ended
			r, ok := m.(*wamp.Error)
			return ok && r.Request == e.ofAlice && r.Error == wamp.ErrCanceled
		},
		func(m wamp.Message) bool { // she need not answer his
			_, ok := m.(*wamp.Interrupt)
			return ok
		})
	e.WaitSessions(2)
	if now := e.Router.Stats(); len(now) != 1 || now[0] != e.joined[0] {
		e.T.Errorf("the router has %+v; before Bob, %+v", now, e.joined)
	}
	if err := e.Router.Check(); err != nil {
		e.T.Error(err)
	}
	e.alice.ExpectError(e.alice.CallWith("com.example.bob", wamp.FormNone, "x", wamp.CallOptions{}), wamp.ErrNoSuchProcedure)
	e.root.Publish(routertest.Topic, wamp.Attributes{}, e.root.Clear("who is left?"))
	routertest.Expect[*wamp.Published](e.root)
	if event := routertest.Expect[*wamp.Event](e.alice); event.Subscription != e.subscription {
		e.T.Errorf("an event of another subscription: %+v", event)
	}
	e.alice.ExpectNothing()
	e.root.ExpectNothing()
}

// expectOneOfEach receives as many messages as there are predicates, of which
// each admits one.
func expectOneOfEach(p *routertest.Peer, each ...func(wamp.Message) bool) {
	p.T.Helper()
	for left := len(each); left > 0; left-- {
		m := p.Receive()
		found := false
		for i, f := range each {
			if f != nil && f(m) {
				each[i], found = nil, true
				break
			}
		}
		if !found {
			p.T.Fatalf("%s: %v, which was not to come: %+v", p.Name, m.Type(), m)
		}
	}
}

// expectEnd reads the end of the connection, and no message before it.
func expectEnd(p *routertest.Peer) {
	p.T.Helper()
	if m, err := p.TryReceive(); err == nil {
		p.T.Fatalf("%s: %v, and not the end", p.Name, m.Type())
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		p.T.Fatalf("%s: the connection is left open", p.Name)
	}
}

// expectGoodbye receives GOODBYE.
func expectGoodbye(p *routertest.Peer, reason wamp.URI) {
	p.T.Helper()
	if g := routertest.Expect[*wamp.Goodbye](p); g.Reason != reason {
		p.T.Fatalf("%s: GOODBYE %s, not %s", p.Name, g.Reason, reason)
	}
}

// talk sends all that a client might, with nobody to answer it.
func talk(p *routertest.Peer) {
	p.T.Helper()
	p.Publish(routertest.Topic, wamp.Attributes{}, p.Clear("too late"))
	p.CallWith("com.example.alice", wamp.FormNone, "too late", wamp.CallOptions{})
	p.Send(&wamp.Subscribe{Request: p.NextID(), Topic: "com.example.late"})
	p.Send(&wamp.Register{Request: p.NextID(), Procedure: "com.example.late"})
}

func (e *ending) kill() {
	e.root.CallMeta("wamp.session.kill", nil, e.bob.ID)
}

func TestClosingByClient(t *testing.T) {
	for name, story := range map[string]func(e *ending){
		"GOODBYE": func(e *ending) {
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			expectGoodbye(e.bob, wamp.CloseGoodbyeAndOut)
			expectEnd(e.bob)
		},
		"GOODBYE, and more behind it": func(e *ending) { // which is ignored
			together := routertest.HeldWrites{}
			e.bob.Conn = together.On(e.bob.Conn)
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			talk(e.bob)
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			expectGoodbye(e.bob, wamp.CloseGoodbyeAndOut)
			expectEnd(e.bob)
		},
		"ABORT": func(e *ending) { // which nobody answers
			e.bob.Send(&wamp.Abort{Reason: wamp.CloseNormal})
			expectEnd(e.bob)
		},
		"FIN": func(e *ending) {
			if err := e.bob.Conn.CloseWrite(); err != nil {
				e.T.Fatal(err)
			}
			expectEnd(e.bob)
		},
		"nothing": func(e *ending) { _ = e.bob.Conn.Close() },
	} {
		t.Run(name, func(t *testing.T) { endings(t, routertest.Transports, story) })
	}
}

// The closing handshake of WebSocket ends a session without GOODBYE, too, and is
// answered (RFC 6455, section 5.5.1).
func TestClosingByWebSocket(t *testing.T) {
	endings(t, []string{"websocket"}, func(e *ending) {
		const goingAway = 1001
		frame := e.bob.Conn.Framing().AppendFrame(nil, transport.OpClose, transport.CloseBody(goingAway, "bye"))
		if _, err := e.bob.Conn.Write([][]byte{frame}, routertest.Timeout); err != nil {
			e.T.Fatal(err)
		}
		f, err := e.bob.Conn.Read()
		if err != nil || f.Op != transport.OpClose || string(f.Body) != string(transport.CloseBody(goingAway, "bye")) {
			e.T.Fatalf("the answer is %+v, %v", f, err)
		}
		expectEnd(e.bob)
	})
}

func TestClosingByRouter(t *testing.T) {
	for name, story := range map[string]func(e *ending){
		"GOODBYE": func(e *ending) {
			e.kill()
			expectGoodbye(e.bob, wamp.CloseKilled)
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			expectEnd(e.bob)
		},
		"GOODBYE, not answered": func(e *ending) { // for so long that he is given up
			e.kill()
			expectGoodbye(e.bob, wamp.CloseKilled)
			expectEnd(e.bob)
		},
		"GOODBYE, answered late": func(e *ending) { // what comes before the answer is ignored
			e.kill()
			expectGoodbye(e.bob, wamp.CloseKilled)
			talk(e.bob)
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			expectEnd(e.bob)
		},
		"GOODBYE, crossing his": func(e *ending) { // each is the answer to the other
			e.kill()
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			expectGoodbye(e.bob, wamp.CloseKilled)
			expectEnd(e.bob)
		},
		"GOODBYE, answered by ABORT": func(e *ending) {
			e.kill()
			expectGoodbye(e.bob, wamp.CloseKilled)
			e.bob.Send(&wamp.Abort{Reason: wamp.CloseNormal})
			expectEnd(e.bob)
		},
		"ABORT": func(e *ending) { // for what must not come in a session
			e.bob.Send(&wamp.Hello{Realm: routertest.Realm, Details: wamp.HelloDetails{}})
			e.bob.ExpectAbort(wamp.ErrProtocolViolation)
		},
	} {
		t.Run(name, func(t *testing.T) { endings(t, routertest.Transports, story) })
	}
}

// The router ends: everybody is told; who does not answer does not hold it up.
func TestClosingOfTheRouter(t *testing.T) {
	w := routertest.NewWorld(t)
	var answers, silent []*routertest.Peer
	for i, over := range routertest.Transports {
		answers = append(answers, w.Join("polite", over, wamp.Serializers[i%3]))
		silent = append(silent, w.Join("silent", over, wamp.Serializers[i%3]))
	}
	done := make(chan error, 1)
	go func() { done <- w.Router.Close(context.Background()) }()
	for i, p := range answers {
		expectGoodbye(p, wamp.CloseSystemShutdown)
		p.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		expectEnd(p)
		expectGoodbye(silent[i], wamp.CloseSystemShutdown)
	}
	for _, p := range silent {
		expectEnd(p)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	late := &routertest.Peer{T: t, Name: "late", Conn: w.Dial("memory", wamp.CBOR)}
	late.ExpectAbort(wamp.CloseSystemShutdown)
	_ = late.Conn.Close()
}

// asking is an authentication that asks something, and takes any answer.
type asking struct{}

func (asking) Method() string { return "asking" }

func (asking) Authenticate(_ context.Context, h *router.Handshake) (*router.Identity, error) {
	if _, err := h.Challenge(nil); err != nil {
		return nil, err
	}
	return &router.Identity{AuthID: "somebody", AuthRole: "anonymous", Provider: "test"}, nil
}

// Before WELCOME there is no session to close: a client may ABORT, and what it
// does wrong is told by ABORT.
func TestClosingBeforeWelcome(t *testing.T) {
	challenged := func(p *routertest.Peer) {
		h := &wamp.Hello{Realm: routertest.Realm}
		routertest.AllFeatures(h)
		h.Details.AuthMethods = []string{"asking"}
		p.Send(h)
		routertest.Expect[*wamp.Challenge](p)
	}
	for name, story := range map[string]func(p *routertest.Peer){
		"ABORT from the router": func(p *routertest.Peer) {
			h := &wamp.Hello{Realm: "com.example.elsewhere"}
			routertest.AllFeatures(h)
			p.Send(h)
			p.ExpectAbort(wamp.ErrNoSuchRealm)
		},
		"ABORT at once": func(p *routertest.Peer) {
			p.Send(&wamp.Abort{Reason: wamp.CloseNormal})
			expectEnd(p)
		},
		"ABORT, challenged": func(p *routertest.Peer) {
			challenged(p)
			p.Send(&wamp.Abort{Reason: wamp.CloseNormal})
			expectEnd(p)
		},
		"GOODBYE at once": func(p *routertest.Peer) {
			p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			p.ExpectAbort(wamp.ErrProtocolViolation)
		},
		"GOODBYE, challenged": func(p *routertest.Peer) {
			challenged(p)
			p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			p.ExpectAbort(wamp.ErrProtocolViolation)
		},
		"FIN at once": func(p *routertest.Peer) {
			if err := p.Conn.CloseWrite(); err != nil {
				p.T.Fatal(err)
			}
			expectEnd(p)
		},
		"FIN, challenged": func(p *routertest.Peer) {
			challenged(p)
			if err := p.Conn.CloseWrite(); err != nil {
				p.T.Fatal(err)
			}
			expectEnd(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i, over := range routertest.Transports {
				t.Run(over, func(t *testing.T) {
					w := routertest.NewWorld(t, routertest.WithRealm(func(c *router.RealmConfig) { c.Authenticators = append(c.Authenticators, asking{}) }))
					alice := w.Join("alice", "rawsocket", wamp.CBOR)
					joins := alice.Subscribe("wamp.session.", wamp.MatchPrefix)
					p := &routertest.Peer{T: t, Name: "stranger", Conn: w.Dial(over, wamp.Serializers[i%3])}
					defer func() { _ = p.Conn.Close() }()
					story(p)
					w.WaitSessions(1)
					if err := w.Router.Check(); err != nil {
						t.Error(err)
					}
					carol := w.Join("carol", over, wamp.Serializers[i%3]) // others come and go
					if got := alice.MetaEvent(joins); got[0].(map[string]any)["session"] != int64(carol.ID) {
						t.Errorf("on_join: %v", got)
					}
					carol.Leave()
					alice.MetaEvent(joins)
					alice.ExpectNothing()
				})
			}
		})
	}
}
