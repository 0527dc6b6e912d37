//go:build !race

package router

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Under the race detector sync.Pool drops things at random, so these tests are
// for a run without it.

// Neither a delivery nor the event itself allocates anything, whether its frame is
// copied or shared.
func TestNoAllocationPerDelivery(t *testing.T) {
	for _, s := range wamp.Serializers {
		for _, c := range []struct{ size, subscribers, most int }{
			{256, 1, 0}, {256, 100, 0}, {4096, 16, 0}, {4096, 100, 0}, {64 << 10, 100, 0},
		} {
			publisher := fanOut(t, s, c.subscribers)
			body := sealedPublish(t, s, c.size)
			say(publisher, body)
			b := publisher.router.newBatch()
			n := testing.AllocsPerRun(100, func() {
				publisher.message(b, body)
				b.flush()
			})
			b.end()
			if n > float64(c.most) {
				t.Errorf("%s, %d B to %d subscribers: %v allocations", s, c.size, c.subscribers, n)
			}
		}
	}
}

// A call and its result allocate at most 4 times.
func TestAllocationsPerCall(t *testing.T) {
	for _, s := range wamp.Serializers {
		call := rpc(t, s, 256)
		b := batchPool.Get().(*batch)
		defer b.end()
		b.router = silentRouter(t)
		if n := testing.AllocsPerRun(1000, func() { call(b) }); n > 4 {
			t.Errorf("%s: %v allocations", s, n)
		}
	}
}
