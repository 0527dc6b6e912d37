package speed

import (
	"bytes"
	bigendian "encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// BenchmarkNeighbours measures how long events of 4 KiB take to a subscriber, at
// 4,000 a second: by itself, and right after that beside others that have frozen
// and in that time fill their queues, slow down their sender and are cut off. Use
// it with -benchtime 12000x -count 9, and look at the median of the ratio: what
// else the machine does is in single ones.
func BenchmarkNeighbours(b *testing.B) {
	for _, frozen := range []int{1, 20} {
		b.Run(fmt.Sprintf("frozen=%d", frozen), func(b *testing.B) {
			alone := neighbour(b, 0)
			beside := neighbour(b, frozen)
			p99 := len(alone) * 99 / 100
			b.ReportMetric(float64(alone[p99].Microseconds()), "p99-alone-µs")
			b.ReportMetric(float64(beside[p99].Microseconds()), "p99-beside-µs")
			b.ReportMetric(float64(beside[p99])/float64(alone[p99]), "p99-ratio")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// neighbour returns how long b.N events took to a subscriber beside some that
// never read, sorted.
func neighbour(b *testing.B, frozen int) []time.Duration {
	p := routertest.StartProcess(b, "listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: 127.0.0.1:0\nlog: {level: error}\n")
	defer p.Stop()
	alice, bob := routertest.JoinProcess(b, p, "alice", wamp.MsgPack), routertest.JoinProcess(b, p, "bob", wamp.MsgPack)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	for range frozen {
		routertest.JoinProcess(b, p, "zoe", wamp.MsgPack).Subscribe(routertest.Topic, wamp.MatchExact)
	}
	begin := time.Now()
	took := make([]time.Duration, 0, b.N)
	done := make(chan error, 1)
	go func() {
		_ = bob.Conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
		for len(took) < b.N {
			f, err := bob.Conn.Read()
			if err != nil {
				done <- err
				return
			}
			if f.Op == transport.OpMessage {
				sent := bigendian.BigEndian.Uint64(f.Body[len(f.Body)-8:])
				took = append(took, time.Since(begin)-time.Duration(sent))
			}
		}
		done <- nil
	}()
	body := bytes.Repeat([]byte{'x'}, 4<<10)
	const every = time.Second / 4000
	for i := range b.N {
		due := time.Duration(i) * every // open loop: late is late
		if wait := due - time.Since(begin); wait > time.Millisecond {
			time.Sleep(wait)
		}
		bigendian.BigEndian.PutUint64(body[len(body)-8:], uint64(min(due, time.Since(begin))))
		alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: routertest.Topic, Payload: alice.Clear(body)})
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	return took
}
