package integration

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A callee that has been told that its session is over comes again at once, and
// registers what it had registered.
func TestComesAgainAtOnce(t *testing.T) {
	farewells := map[string]func(p *peer){
		"GOODBYE": func(p *peer) {
			p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
			expect[*wamp.Goodbye](p)
		},
		"ABORT": func(p *peer) {
			p.send(&wamp.Hello{Realm: "realm1"})
			p.expectAbort(wamp.ErrProtocolViolation)
		},
	}
	for name, farewell := range farewells {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			for range 200 {
				bob := w.join("bob", "rawsocket", wamp.CBOR)
				bob.register("com.example.back", wamp.RegisterOptions{})
				farewell(bob)
			}
		})
	}
}
