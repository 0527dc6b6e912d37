package router

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// stalled is a connection whose peer takes nothing until the end.
type stalled struct {
	sink
	end chan struct{}
}

func (c *stalled) TryWrite([][]byte) (int, error) { return 0, nil }
func (c *stalled) Write([][]byte, time.Duration) (int, error) {
	<-c.end
	return 0, transport.ErrClosed
}

// counted is a connection whose peer takes all it is sent.
type counted struct {
	sink
	bytes atomic.Int64
}

func (c *counted) TryWrite(segments [][]byte) (int, error) {
	n := 0
	for _, s := range segments {
		n += len(s)
	}
	c.bytes.Add(int64(n))
	return n, nil
}

// subscribeVia attaches a subscriber to a topic with a connection of its own.
func subscribeVia(t *testing.T, r *Router, conn transport.Conn, topic wamp.URI, limits *sendqueue.Limits) *session {
	t.Helper()
	s := attach(r, wamp.CBOR, transport.FramingRaw)
	say(s, frame(t, wamp.CBOR, &wamp.Subscribe{Request: 1, Topic: topic}))
	s.out.Conn = conn
	s.out.SetLimits(limits)
	return s
}

// Receivers that fall behind in turn, and for each of which a sender would wait long,
// cost it one budget together. Who reads gets everything.
func TestSlowReceiversCostOneBudget(t *testing.T) {
	const receivers, size = 20, 1000
	// For each of these a sender has an hour's patience: six minutes without progress.
	patient := &sendqueue.Limits{Bytes: 200 * size, WriteTimeout: time.Hour, BackpressureTimeout: time.Hour}
	for name, send := range map[string]func(t *testing.T, r *Router, p wamp.Payload, n int){
		"events": func(t *testing.T, r *Router, p wamp.Payload, n int) {
			sender := attach(r, wamp.CBOR, transport.FramingRaw)
			batch := make([]wamp.Message, n)
			for i := range batch {
				batch[i] = &wamp.Publish{Request: 1, Topic: "com.example.topic", Payload: p}
			}
			sendAtOnce(t, sender, batch...)
		},
		"meta events": func(t *testing.T, r *Router, p wamp.Payload, n int) {
			meta := &metaEvents{api: r.order[0].meta.events.api}
			for range n {
				meta.queue = append(meta.queue, metaEvent{"com.example.topic", p})
			}
			meta.run(r)
		},
		"events of other nodes": func(t *testing.T, r *Router, p wamp.Payload, n int) {
			in := r.NewInbound()
			realm := &ClusterRealm{realm: r.order[0], router: r}
			for range n {
				in.Publish(realm, &Publication{Publisher: wamp.Peer{Session: 1, Serializer: wamp.CBOR}, ID: 1,
					Message: &wamp.Publish{Topic: "com.example.topic", Payload: p}})
				in.Flush()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := silentRouter(t)
			limits := DefaultLimits()
			limits.BackpressureTimeout = 20 * time.Millisecond
			r.currentLimits.Store(newLimits(limits))
			end := make(chan struct{})
			defer close(end)
			var slow []*session
			for i := range receivers {
				s := subscribeVia(t, r, &stalled{end: end}, "com.example.topic", patient)
				// They get behind in turn, one with each event.
				b := r.newBatch()
				b.putFrame(s, make([]byte, (100-i)*size), nil)
				b.end()
				slow = append(slow, s)
			}
			reader := &counted{}
			reads := subscribeVia(t, r, reader, "com.example.topic", patient)
			p, err := codec.EncodePayload(wamp.CBOR, []any{string(make([]byte, size))}, nil)
			if err != nil {
				t.Fatal(err)
			}
			const events = 400 // more than fit
			send(t, r, p, events)
			for i, s := range slow {
				if !s.ending.Load() {
					t.Errorf("receiver %d was not cut off: %d bytes wait", i, s.out.Len())
				}
			}
			if got := reader.bytes.Load(); reads.ending.Load() || got < events*size {
				t.Errorf("who reads got %d bytes", got)
			}
		})
	}
}

// A budget is spent by waiting, and earned by sending.
func TestWaitBudget(t *testing.T) {
	limits := DefaultLimits()
	limits.Queue, limits.BackpressureTimeout = 4<<20, time.Second
	l := newLimits(limits)
	var w waitBudget
	expect := func(left time.Duration, over bool) {
		t.Helper()
		if got := w.left(l); got != left || w.over != over {
			t.Errorf("%v left, over: %v; want %v, %v", got, w.over, left, over)
		}
	}
	w.earn(1<<30, l)
	expect(2*time.Second, false) // no more than that is saved up
	w.spend(1500*time.Millisecond, l)
	expect(500*time.Millisecond, false)
	w.spend(500*time.Millisecond, l)
	expect(0, true)
	w.earn(1<<20, l)
	expect(500*time.Millisecond, false)
	w.spend(2*time.Second, l) // as after a reload to less
	expect(-1500*time.Millisecond, true)
	w.earn(2<<20, l)
	expect(-500*time.Millisecond, true)
	w.earn(1<<20, l)
	expect(0, true)
	w.earn(1<<30, l)
	expect(2*time.Second, false)
}

// A sender earns time by what it sends, in the largest encoding of each message.
func TestSentBytes(t *testing.T) {
	r := silentRouter(t)
	for range 3 {
		for _, s := range []wamp.Serializer{wamp.JSON, wamp.CBOR} {
			say(attach(r, s, transport.FramingRaw), frame(t, s, &wamp.Subscribe{Request: 1, Topic: "com.example.topic"}))
		}
	}
	b := r.newBatch()
	defer b.end()
	m := &wamp.Publish{Request: 1, Topic: "com.example.topic", Payload: growing(t, 1000)} // 6,000 bytes in JSON
	sender := attach(r, wamp.MsgPack, transport.FramingRaw)
	for range 10 {
		sender.message(b, frame(t, wamp.MsgPack, m))
	}
	b.resetEncodings()
	if b.sentBytes < 10*6000 || b.sentBytes > 10*6200 {
		t.Errorf("%d bytes were sent", b.sentBytes)
	}
}
