package router

import (
	"fmt"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// sink is a connection that takes everything that is written, at once, and
// keeps what the last write brought, if it is asked to.
type sink struct {
	info    transport.Info
	framing transport.Framing
	keep    bool
	last    []byte
	transport.Conn
}

func (c *sink) Info() *transport.Info           { return &c.info }
func (c *sink) Framing() transport.Framing      { return c.framing }
func (c *sink) Close() error                    { return nil }
func (c *sink) CloseWrite() error               { return nil }
func (c *sink) Linger(time.Duration)            {}
func (c *sink) SetReadDeadline(time.Time) error { return nil }
func (c *sink) TryWrite(segments [][]byte) (int, error) {
	n := 0
	if c.keep {
		c.last = c.last[:0]
	}
	for _, s := range segments {
		n += len(s)
		if c.keep {
			c.last = append(c.last, s...)
		}
	}
	return n, nil
}

func (c *sink) Write(segments [][]byte, _ time.Duration) (int, error) { return c.TryWrite(segments) }

// silentRouter has no observers and no interceptors.
func silentRouter(t testing.TB) *Router {
	t.Helper()
	r, err := New(Config{Realms: []RealmConfig{{Name: "realm1"}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// attach makes a session that writes into a sink.
func attach(r *Router, s wamp.Serializer, framing transport.Framing) *session {
	everything := wamp.Role{Present: true, Features: ^wamp.Features(0)}
	joined := &session{router: r, realm: r.order[0],
		out: sendqueue.Queue{Conn: &sink{framing: framing, info: transport.Info{Serializer: s}}},
		peer: wamp.Peer{Session: wamp.RandomID(), Realm: "realm1", Serializer: s,
			Roles: wamp.Roles{Publisher: everything, Subscriber: everything, Caller: everything, Callee: everything}}}
	joined.out.SetLimits(&sendqueue.Limits{Bytes: 1 << 20, WriteTimeout: time.Second})
	r.order[0].add(joined)
	return joined
}

// frame encodes a message.
func frame(t testing.TB, s wamp.Serializer, m wamp.Message) []byte {
	t.Helper()
	b, err := codec.Append(nil, s, m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// sealedPublish is a PUBLISH of n opaque bytes.
func sealedPublish(t testing.TB, s wamp.Serializer, n int) []byte {
	return frame(t, s, &wamp.Publish{Request: 1, Topic: "com.example.topic", Payload: codec.BinaryPayload(s, wamp.FormPassthru, make([]byte, n)),
		Options: wamp.PublishOptions{Attributes: wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305"}}})
}

// say routes one message as if it had been read from s.
func say(s *session, body []byte) {
	b := s.router.newBatch()
	s.message(b, body)
	b.end()
}

// fanOut makes a publisher and n subscribers of com.example.topic.
func fanOut(t testing.TB, s wamp.Serializer, n int) (publisher *session) {
	r := silentRouter(t)
	for range n {
		sub := attach(r, s, transport.FramingRaw)
		say(sub, frame(t, s, &wamp.Subscribe{Request: 1, Topic: "com.example.topic"}))
	}
	return attach(r, s, transport.FramingRaw)
}

// rpc makes a caller and a callee and returns a function that brings a call and
// its result through the router.
func rpc(t testing.TB, s wamp.Serializer, size int) func(turn *batch) {
	r := silentRouter(t)
	callee, caller := attach(r, s, transport.FramingRaw), attach(r, s, transport.FramingRaw)
	say(callee, frame(t, s, &wamp.Register{Request: 1, Procedure: "com.example.procedure"}))
	payload := codec.BinaryPayload(s, wamp.FormTransparency, make([]byte, size))
	attributes := wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}
	call := &wamp.Call{Request: 1, Procedure: "com.example.procedure", Payload: payload, Options: wamp.CallOptions{Attributes: attributes}}
	yield := &wamp.Yield{Payload: payload, Options: wamp.ResultDetails{Attributes: attributes}}
	var body []byte
	return func(turn *batch) {
		body, _ = codec.Append(body[:0], s, call)
		caller.message(turn, body)
		yield.Request = callee.lastInvocationID
		body, _ = codec.Append(body[:0], s, yield)
		callee.message(turn, body)
		turn.flush()
		call.Request++
	}
}

// An event is encoded once for each serializer and framing among its receivers,
// however many they are.
func TestEventIsEncodedOnce(t *testing.T) {
	r := silentRouter(t)
	for range 50 {
		for _, framing := range []transport.Framing{transport.FramingRaw, transport.FramingBinary} {
			sub := attach(r, wamp.MsgPack, framing)
			say(sub, frame(t, wamp.MsgPack, &wamp.Subscribe{Request: 1, Topic: "com.example.topic"}))
		}
	}
	publisher := attach(r, wamp.MsgPack, transport.FramingRaw)
	turn := r.newBatch()
	defer turn.end()
	publisher.message(turn, sealedPublish(t, wamp.MsgPack, 1000))
	if len(turn.used) != 2 {
		t.Errorf("encoded %d times", len(turn.used))
	}
}

// BenchmarkFanOut shows what one receiver costs: ns/delivery.
func BenchmarkFanOut(b *testing.B) {
	for _, s := range []wamp.Serializer{wamp.MsgPack, wamp.CBOR, wamp.JSON} {
		for _, size := range []int{256, 4096} {
			for _, subscribers := range []int{1, 16, 100} {
				b.Run(fmt.Sprintf("%s/%dB/%d", s, size, subscribers), func(b *testing.B) {
					publisher := fanOut(b, s, subscribers)
					body := sealedPublish(b, s, size)
					turn := publisher.router.newBatch()
					defer turn.end()
					b.ReportAllocs()
					for b.Loop() {
						publisher.message(turn, body)
						turn.flush()
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*subscribers), "ns/delivery")
				})
			}
		}
	}
}

func BenchmarkCall(b *testing.B) {
	for _, s := range []wamp.Serializer{wamp.MsgPack, wamp.CBOR, wamp.JSON} {
		b.Run(s.String(), func(b *testing.B) {
			call := rpc(b, s, 256)
			turn := batchPool.Get().(*batch)
			turn.router = silentRouter(b)
			defer turn.end()
			b.ReportAllocs()
			for b.Loop() {
				call(turn)
			}
		})
	}
}
