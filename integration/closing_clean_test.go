package integration

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// expectClose reads what ends a WebSocket connection in order: a Close frame, and
// no message before it (RFC 6455, section 7.1.1). Without that, clients take a
// session that was closed for one that was lost.
func (p *peer) expectClose() {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	f, err := p.conn.Read()
	if err != nil || f.Op != transport.OpClose || string(f.Body) != string(transport.CloseBody(1000, "")) {
		p.t.Fatalf("%s: %v %q, %v, and not a Close frame", p.name, f.Op, f.Body, err)
	}
	if _, err := p.conn.Read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		p.t.Fatalf("%s: not closed: %v", p.name, err)
	}
}

// Whoever ends a session, WebSocket's own closing handshake follows.
func TestClosingClosesWebSocket(t *testing.T) {
	for name, story := range map[string]func(e *ending){
		"GOODBYE": func(e *ending) {
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			e.bob.expectGoodbye(wamp.CloseGoodbyeAndOut)
		},
		"ABORT": func(e *ending) { e.bob.send(&wamp.Abort{Reason: wamp.CloseNormal}) },
		"killed": func(e *ending) {
			e.kill()
			e.bob.expectGoodbye(wamp.CloseKilled)
			e.bob.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		},
		"killed, without an answer": func(e *ending) {
			e.kill()
			e.bob.expectGoodbye(wamp.CloseKilled)
		},
		"a violation": func(e *ending) {
			e.bob.send(&wamp.Hello{Realm: realm})
			if a := expect[*wamp.Abort](e.bob); a.Reason != wamp.ErrProtocolViolation {
				e.t.Errorf("ABORT %s", a.Reason)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			endings(t, []string{"websocket"}, func(e *ending) {
				story(e)
				e.bob.expectClose()
			})
		})
	}
	t.Run("before WELCOME", func(t *testing.T) {
		w := newWorld(t)
		p := &peer{t: t, name: "stranger", conn: w.dial("websocket", wamp.JSON)}
		defer func() { _ = p.conn.Close() }()
		p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
		expect[*wamp.Abort](p)
		p.expectClose()
	})
}

// Bob says GOODBYE and is killed at the same time, again and again: whoever is
// first, he reads one GOODBYE, and the end.
func TestClosingRace(t *testing.T) {
	w := newWorld(t, withRoles(t))
	root := w.join("root", "unix", wamp.JSON, as("root", "admin"))
	for i := range 200 {
		bob := w.join("bob", transports[i%len(transports)], wamp.Serializers[i%3])
		request := root.asks("wamp.session.kill", nil, bob.id)
		bob.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
		if g := expect[*wamp.Goodbye](bob); g.Reason != wamp.CloseKilled && g.Reason != wamp.CloseGoodbyeAndOut {
			t.Fatalf("GOODBYE %s", g.Reason)
		}
		bob.expectEnd()
		switch m := root.receive().(type) {
		case *wamp.Result:
		case *wamp.Error:
			if m.Request != request || m.Error != wamp.ErrNoSuchSession {
				t.Fatalf("kill: %+v", m)
			}
		default:
			t.Fatalf("kill: %v", m.Type())
		}
	}
	w.settle(1)
}
