package cluster

import (
	"runtime"
	"testing"

	"github.com/nats-io/nats.go"
)

// What waits is bounded in bytes, also if the messages carry none; and it is all routed,
// or counted as dropped.
func TestInboxIsBounded(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	dropped, routed, first := 0, 0, true
	const limit, sent = 100 * 256, 1000
	x := newInbox(limit, func(n int) { dropped += n }, func(batch []*nats.Msg) {
		if first {
			first = false
			close(begun)
			<-release
		}
		routed += len(batch)
	})
	x.arrived <- &nats.Msg{}
	<-begun
	for range sent {
		x.arrived <- &nats.Msg{}
	}
	for len(x.arrived) > 0 { // until all were taken or dropped
		runtime.Gosched()
	}
	close(release)
	x.close()
	if routed+dropped != sent+1 || routed > 102 { // the last one may come when there is room again
		t.Errorf("%d routed, %d dropped of %d", routed, dropped, sent+1)
	}
}
