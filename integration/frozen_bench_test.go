package integration

import (
	"bytes"
	bigendian "encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

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
	p := startServer(b, "listeners: [{rawsocket: \"127.0.0.1:0\"}]\nadmin: 127.0.0.1:0\nlog: {level: error}\n")
	defer p.stop()
	alice, bob := joinServer(b, p, "alice", wamp.MsgPack), joinServer(b, p, "bob", wamp.MsgPack)
	bob.subscribe(topic, wamp.MatchExact)
	for range frozen {
		joinServer(b, p, "zoe", wamp.MsgPack).subscribe(topic, wamp.MatchExact)
	}
	begin := time.Now()
	took := make([]time.Duration, 0, b.N)
	done := make(chan error, 1)
	go func() {
		_ = bob.conn.SetReadDeadline(time.Now().Add(5 * time.Minute))
		for len(took) < b.N {
			f, err := bob.conn.Read()
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
		alice.send(&wamp.Publish{Request: alice.next(), Topic: topic, Payload: alice.clear(body)})
	}
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	slices.Sort(took)
	return took
}
