package spec

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// A callee that has been told that its session is over comes again at once, and
// registers what it had registered.
func TestRegisterAgainAfterClose(t *testing.T) {
	farewells := map[string]func(p *routertest.Peer){
		"GOODBYE": func(p *routertest.Peer) {
			p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			routertest.Expect[*wamp.Goodbye](p)
		},
		"ABORT": func(p *routertest.Peer) {
			p.Send(&wamp.Hello{Realm: "realm1"})
			p.ExpectAbort(wamp.ErrProtocolViolation)
		},
	}
	for name, farewell := range farewells {
		t.Run(name, func(t *testing.T) {
			w := routertest.NewWorld(t)
			for range 200 {
				bob := w.Join("bob", "rawsocket", wamp.CBOR)
				bob.Register("com.example.back", wamp.RegisterOptions{})
				farewell(bob)
			}
		})
	}
}
