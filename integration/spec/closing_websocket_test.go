package spec

import (
	"errors"
	"os"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// expectClose reads what ends a WebSocket connection in order: a Close frame, and
// no message before it (RFC 6455, section 7.1.1). Without that, clients take a
// session that was closed for one that was lost.
func expectClose(p *routertest.Peer) {
	p.T.Helper()
	_ = p.Conn.SetReadDeadline(time.Now().Add(routertest.Timeout))
	f, err := p.Conn.Read()
	if err != nil || f.Op != transport.OpClose || string(f.Body) != string(transport.CloseBody(1000, "")) {
		p.T.Fatalf("%s: %v %q, %v, and not a Close frame", p.Name, f.Op, f.Body, err)
	}
	if _, err := p.Conn.Read(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		p.T.Fatalf("%s: not closed: %v", p.Name, err)
	}
}

// Whoever ends a session, WebSocket's own closing handshake follows.
func TestClosingClosesWebSocket(t *testing.T) {
	for name, story := range map[string]func(e *ending){
		"GOODBYE": func(e *ending) {
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			expectGoodbye(e.bob, wamp.CloseGoodbyeAndOut)
		},
		"ABORT": func(e *ending) { e.bob.Send(&wamp.Abort{Reason: wamp.CloseNormal}) },
		"killed": func(e *ending) {
			e.kill()
			expectGoodbye(e.bob, wamp.CloseKilled)
			e.bob.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		},
		"killed, without an answer": func(e *ending) {
			e.kill()
			expectGoodbye(e.bob, wamp.CloseKilled)
		},
		"a violation": func(e *ending) {
			e.bob.Send(&wamp.Hello{Realm: routertest.Realm})
			if a := routertest.Expect[*wamp.Abort](e.bob); a.Reason != wamp.ErrProtocolViolation {
				e.T.Errorf("ABORT %s", a.Reason)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			endings(t, []string{"websocket"}, func(e *ending) {
				story(e)
				expectClose(e.bob)
			})
		})
	}
	t.Run("before WELCOME", func(t *testing.T) {
		w := routertest.NewWorld(t)
		p := &routertest.Peer{T: t, Name: "stranger", Conn: w.Dial("websocket", wamp.JSON)}
		defer func() { _ = p.Conn.Close() }()
		p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
		routertest.Expect[*wamp.Abort](p)
		expectClose(p)
	})
}

// Bob says GOODBYE and is killed at the same time, again and again: whoever is
// first, he reads one GOODBYE, and the end.
func TestClosingRace(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t))
	root := w.Join("root", "unix", wamp.JSON, routertest.As("root", "admin"))
	for i := range 200 {
		bob := w.Join("bob", routertest.Transports[i%len(routertest.Transports)], wamp.Serializers[i%3])
		request := root.SendCallMeta("wamp.session.kill", nil, bob.ID)
		bob.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
		if g := routertest.Expect[*wamp.Goodbye](bob); g.Reason != wamp.CloseKilled && g.Reason != wamp.CloseGoodbyeAndOut {
			t.Fatalf("GOODBYE %s", g.Reason)
		}
		expectEnd(bob)
		switch m := root.Receive().(type) {
		case *wamp.Result:
		case *wamp.Error:
			if m.Request != request || m.Error != wamp.ErrNoSuchSession {
				t.Fatalf("kill: %+v", m)
			}
		default:
			t.Fatalf("kill: %v", m.Type())
		}
	}
	w.WaitSessions(1)
}
