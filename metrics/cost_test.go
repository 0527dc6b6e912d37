package metrics

import (
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// observations is one of each kind.
func observations() map[string]*router.Observation {
	crypto := wamp.Attributes{EncAlgo: "cryptobox"}
	peer := &wamp.Peer{Transport: "rawsocket", Serializer: wamp.CBOR}
	opaque := carry(&wamp.Publish{}, crypto, wamp.ShapeBinary, 1000)
	return map[string]*router.Observation{
		"opened":        {Kind: router.SessionOpened, Realm: "r", Peer: peer},
		"closed":        {Kind: router.SessionClosed, Realm: "r", Peer: peer, End: router.EndGoodbye},
		"routed opaque": {Kind: router.Routed, Realm: "r", Routed: opaque, Deliveries: 100, Elapsed: 20 * time.Microsecond},
		"routed clear":  {Kind: router.Routed, Realm: "r", Routed: carry(&wamp.Call{}, wamp.Attributes{}, wamp.ShapeList, 10), Deliveries: 1, Elapsed: time.Microsecond},
		"refused":       {Kind: router.Refused, Realm: "r", Routed: opaque, Refusal: refusal(wamp.ReasonUnannounced)},
		"dropped":       {Kind: router.Dropped, Realm: "r", Routed: opaque, Refusal: refusal(wamp.ReasonConversion)},
		"turned":        {Kind: router.Rejected, Refusal: refusal(wamp.ReasonLimit)},
		"unknown realm": {Kind: router.Routed, Realm: "x", Routed: opaque},
	}
}

func TestObserveDoesNotAllocate(t *testing.T) {
	m, _ := newMetrics(t, "r")
	for name, o := range observations() {
		if n := testing.AllocsPerRun(100, func() { m.Observe(o) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkObserve(b *testing.B) {
	m, _ := newMetrics(b, "r")
	for name, o := range observations() {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					m.Observe(o)
				}
			})
		})
	}
}
