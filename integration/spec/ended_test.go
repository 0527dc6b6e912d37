package spec

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// The operator sees how sessions end: what a client did, what an administrator did, and
// what the router did are not the same.
func TestHowSessionsEnd(t *testing.T) {
	for _, over := range []string{"websocket", "rawsocket"} {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		ended := func(reason string, left int) {
			t.Helper()
			w.WaitSessions(left)
			w.WantMetric(`blindfold_sessions_closed_total{realm="realm1",reason="` + reason + `"} 1`)
		}
		join := func(name, role string) *routertest.Peer {
			return w.Join(name, over, wamp.CBOR, routertest.As(name, role))
		}
		root := join("root", "admin")
		join("ann", "staff").Leave()
		ended("goodbye", 1)

		_ = join("ben", "staff").Conn.Close()
		ended("connection_lost", 1)

		carl := join("carl", "staff")
		root.CallMeta("wamp.session.kill", nil, carl.ID)
		routertest.Expect[*wamp.Goodbye](carl)
		carl.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		ended("killed", 1)

		dora := join("dora", "staff")
		dora.SendRaw([]byte{0xff})
		dora.ExpectAbort(wamp.ErrProtocolViolation)
		ended("protocol_violation", 1)

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = w.Router.Close(ctx)
		ended("shutdown", 0)
	}
}

// Another's procedure is not an option that is wrong.
func TestTakenProcedureIsCountedAsSuch(t *testing.T) {
	w := routertest.NewWorld(t)
	w.Join("ann", "rawsocket", wamp.JSON).Register(routertest.Procedure, wamp.RegisterOptions{})
	ben := w.Join("ben", "rawsocket", wamp.JSON)
	request := ben.NextID()
	ben.Send(&wamp.Register{Request: request, Procedure: routertest.Procedure})
	ben.ExpectError(request, wamp.ErrProcedureExists)
	w.WantMetric(`blindfold_refused_total{realm="realm1",reason="already_registered",type="REGISTER"} 1`)
}
