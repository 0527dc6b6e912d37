package integration

import (
	"context"
	"errors"
	"os"
	"testing"

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
	*world
	over             string // Bob's way to the router
	root, alice, bob *peer
	joined           []router.RealmStats // before Bob
	subscription     wamp.ID
	ofBob, ofAlice   wamp.ID // requests of the calls that Bob, and Alice, made
}

// endings tells a story for each way to the router.
func endings(t *testing.T, ways []string, story func(e *ending)) {
	for i, over := range ways {
		t.Run(over, func(t *testing.T) {
			e := &ending{world: newWorld(t, withRoles(t)), over: over}
			e.root = e.join("root", "unix", wamp.JSON, as("root", "admin"))
			e.alice = e.join("alice", "rawsocket", wamp.CBOR)
			e.subscription = e.alice.subscribe(topic, wamp.MatchExact)
			e.alice.register("com.example.alice", wamp.RegisterOptions{})
			e.joined = e.router.Stats()
			e.bob = e.join("bob", over, wamp.Serializers[i%3])
			e.bob.subscribe(topic, wamp.MatchExact)
			e.bob.register("com.example.bob", wamp.RegisterOptions{})
			e.ofAlice = e.alice.callWith("com.example.bob", wamp.FormNone, "are you there?", wamp.CallOptions{})
			expect[*wamp.Invocation](e.bob)
			e.ofBob = e.bob.callWith("com.example.alice", wamp.FormNone, "are you there?", wamp.CallOptions{})
			expect[*wamp.Invocation](e.alice)
			story(e)
			e.gone()
		})
	}
}

// gone checks that Bob is, and that Alice and the router go on.
func (e *ending) gone() {
	e.t.Helper()
	e.alice.expectOneOfEach(
		func(m wamp.Message) bool { // her call has ended
			r, ok := m.(*wamp.Error)
			return ok && r.Request == e.ofAlice && r.Error == wamp.ErrCanceled
		},
		func(m wamp.Message) bool { // she need not answer his
			_, ok := m.(*wamp.Interrupt)
			return ok
		})
	e.settle(2)
	if now := e.router.Stats(); len(now) != 1 || now[0] != e.joined[0] {
		e.t.Errorf("the router has %+v; before Bob, %+v", now, e.joined)
	}
	if err := e.router.Check(); err != nil {
		e.t.Error(err)
	}
	e.alice.expectError(e.alice.callWith("com.example.bob", wamp.FormNone, "x", wamp.CallOptions{}), wamp.ErrNoSuchProcedure)
	e.root.publish(topic, wamp.Attributes{}, e.root.clear("who is left?"))
	expect[*wamp.Published](e.root)
	if event := expect[*wamp.Event](e.alice); event.Subscription != e.subscription {
		e.t.Errorf("an event of another subscription: %+v", event)
	}
	e.alice.expectNothing()
	e.root.expectNothing()
}

// expectOneOfEach receives as many messages as there are predicates, of which
// each admits one.
func (p *peer) expectOneOfEach(each ...func(wamp.Message) bool) {
	p.t.Helper()
	for left := len(each); left > 0; left-- {
		m := p.receive()
		found := false
		for i, f := range each {
			if f != nil && f(m) {
				each[i], found = nil, true
				break
			}
		}
		if !found {
			p.t.Fatalf("%s: %v, which was not to come: %+v", p.name, m.Type(), m)
		}
	}
}

// expectEnd reads the end of the connection, and no message before it.
func (p *peer) expectEnd() {
	p.t.Helper()
	if m, err := p.tryReceive(); err == nil {
		p.t.Fatalf("%s: %v, and not the end", p.name, m.Type())
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: the connection is left open", p.name)
	}
}

// expectGoodbye receives GOODBYE.
func (p *peer) expectGoodbye(reason wamp.URI) {
	p.t.Helper()
	if g := expect[*wamp.Goodbye](p); g.Reason != reason {
		p.t.Fatalf("%s: GOODBYE %s, not %s", p.name, g.Reason, reason)
	}
}

// talk sends all that a client might, with nobody to answer it.
func (p *peer) talk() {
	p.t.Helper()
	p.publish(topic, wamp.Attributes{}, p.clear("too late"))
	p.callWith("com.example.alice", wamp.FormNone, "too late", wamp.CallOptions{})
	p.send(&wamp.Subscribe{Request: p.next(), Topic: "com.example.late"})
	p.send(&wamp.Register{Request: p.next(), Procedure: "com.example.late"})
}

func (e *ending) kill() {
	e.root.ask("wamp.session.kill", nil, e.bob.id)
}

func TestClosingByClient(t *testing.T) {
	for name, story := range map[string]func(e *ending){
		"GOODBYE": func(e *ending) {
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			e.bob.expectGoodbye(wamp.CloseGoodbyeAndOut)
			e.bob.expectEnd()
		},
		"GOODBYE, and more behind it": func(e *ending) { // which is ignored
			together := together{}
			e.bob.conn = together.on(e.bob.conn)
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			e.bob.talk()
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			e.bob.expectGoodbye(wamp.CloseGoodbyeAndOut)
			e.bob.expectEnd()
		},
		"ABORT": func(e *ending) { // which nobody answers
			e.bob.send(&wamp.Abort{Reason: wamp.CloseNormal})
			e.bob.expectEnd()
		},
		"FIN": func(e *ending) {
			if err := e.bob.conn.CloseWrite(); err != nil {
				e.t.Fatal(err)
			}
			e.bob.expectEnd()
		},
		"nothing": func(e *ending) { _ = e.bob.conn.Close() },
	} {
		t.Run(name, func(t *testing.T) { endings(t, transports, story) })
	}
}

// The closing handshake of WebSocket ends a session without GOODBYE, too, and is
// answered (RFC 6455, section 5.5.1).
func TestClosingByWebSocket(t *testing.T) {
	endings(t, []string{"websocket"}, func(e *ending) {
		const goingAway = 1001
		frame := e.bob.conn.Framing().AppendFrame(nil, transport.OpClose, transport.CloseBody(goingAway, "bye"))
		if _, err := e.bob.conn.Write([][]byte{frame}, patience); err != nil {
			e.t.Fatal(err)
		}
		f, err := e.bob.conn.Read()
		if err != nil || f.Op != transport.OpClose || string(f.Body) != string(transport.CloseBody(goingAway, "bye")) {
			e.t.Fatalf("the answer is %+v, %v", f, err)
		}
		e.bob.expectEnd()
	})
}

func TestClosingByRouter(t *testing.T) {
	for name, story := range map[string]func(e *ending){
		"GOODBYE": func(e *ending) {
			e.kill()
			e.bob.expectGoodbye(wamp.CloseKilled)
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			e.bob.expectEnd()
		},
		"GOODBYE, not answered": func(e *ending) { // for so long that he is given up
			e.kill()
			e.bob.expectGoodbye(wamp.CloseKilled)
			e.bob.expectEnd()
		},
		"GOODBYE, answered late": func(e *ending) { // what comes before the answer is ignored
			e.kill()
			e.bob.expectGoodbye(wamp.CloseKilled)
			e.bob.talk()
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			e.bob.expectEnd()
		},
		"GOODBYE, crossing his": func(e *ending) { // each is the answer to the other
			e.kill()
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			e.bob.expectGoodbye(wamp.CloseKilled)
			e.bob.expectEnd()
		},
		"GOODBYE, answered by ABORT": func(e *ending) {
			e.kill()
			e.bob.expectGoodbye(wamp.CloseKilled)
			e.bob.send(&wamp.Abort{Reason: wamp.CloseNormal})
			e.bob.expectEnd()
		},
		"ABORT": func(e *ending) { // for what must not come in a session
			e.bob.send(&wamp.Hello{Realm: realm, Details: wamp.HelloDetails{}})
			e.bob.expectAbort(wamp.ErrProtocolViolation)
		},
	} {
		t.Run(name, func(t *testing.T) { endings(t, transports, story) })
	}
}

// The router ends: everybody is told; who does not answer does not hold it up.
func TestClosingOfTheRouter(t *testing.T) {
	w := newWorld(t)
	var answers, silent []*peer
	for i, over := range transports {
		answers = append(answers, w.join("polite", over, wamp.Serializers[i%3]))
		silent = append(silent, w.join("silent", over, wamp.Serializers[i%3]))
	}
	done := make(chan error, 1)
	go func() { done <- w.router.Close(context.Background()) }()
	for i, p := range answers {
		p.expectGoodbye(wamp.CloseSystemShutdown)
		p.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		p.expectEnd()
		silent[i].expectGoodbye(wamp.CloseSystemShutdown)
	}
	for _, p := range silent {
		p.expectEnd()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	late := &peer{t: t, name: "late", conn: w.dial("memory", wamp.CBOR)}
	late.expectAbort(wamp.CloseSystemShutdown)
	_ = late.conn.Close()
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
	challenged := func(p *peer) {
		h := &wamp.Hello{Realm: realm}
		allFeatures(h)
		h.Details.AuthMethods = []string{"asking"}
		p.send(h)
		expect[*wamp.Challenge](p)
	}
	for name, story := range map[string]func(p *peer){
		"ABORT from the router": func(p *peer) {
			h := &wamp.Hello{Realm: "com.example.elsewhere"}
			allFeatures(h)
			p.send(h)
			p.expectAbort(wamp.ErrNoSuchRealm)
		},
		"ABORT at once": func(p *peer) {
			p.send(&wamp.Abort{Reason: wamp.CloseNormal})
			p.expectEnd()
		},
		"ABORT, challenged": func(p *peer) {
			challenged(p)
			p.send(&wamp.Abort{Reason: wamp.CloseNormal})
			p.expectEnd()
		},
		"GOODBYE at once": func(p *peer) {
			p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			p.expectAbort(wamp.ErrProtocolViolation)
		},
		"GOODBYE, challenged": func(p *peer) {
			challenged(p)
			p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			p.expectAbort(wamp.ErrProtocolViolation)
		},
		"FIN at once": func(p *peer) {
			if err := p.conn.CloseWrite(); err != nil {
				p.t.Fatal(err)
			}
			p.expectEnd()
		},
		"FIN, challenged": func(p *peer) {
			challenged(p)
			if err := p.conn.CloseWrite(); err != nil {
				p.t.Fatal(err)
			}
			p.expectEnd()
		},
	} {
		t.Run(name, func(t *testing.T) {
			for i, over := range transports {
				t.Run(over, func(t *testing.T) {
					w := newWorld(t, withRealm(func(c *router.RealmConfig) { c.Authenticators = append(c.Authenticators, asking{}) }))
					alice := w.join("alice", "rawsocket", wamp.CBOR)
					joins := alice.subscribe("wamp.session.", wamp.MatchPrefix)
					p := &peer{t: t, name: "stranger", conn: w.dial(over, wamp.Serializers[i%3])}
					defer func() { _ = p.conn.Close() }()
					story(p)
					w.settle(1)
					if err := w.router.Check(); err != nil {
						t.Error(err)
					}
					carol := w.join("carol", over, wamp.Serializers[i%3]) // others come and go
					if got := alice.event(joins); got[0].(map[string]any)["session"] != int64(carol.id) {
						t.Errorf("on_join: %v", got)
					}
					carol.leave()
					alice.event(joins)
					alice.expectNothing()
				})
			}
		})
	}
}
