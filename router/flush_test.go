package router

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/transport/transporttest"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// A parallel flush writes everything to every receiver, in order, while more
// is put in between.
func TestFlushParallel(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	const subscribers, rounds, each = 40, 30, 12
	publisher := fanOut(t, wamp.MsgPack, subscribers)
	conns := make(map[*session]*transporttest.SlowConn)
	for _, s := range publisher.realm.allSessions() {
		if s == publisher {
			continue
		}
		conns[s] = transporttest.NewSlowConn(func() int { return rand.IntN(1 << 20) })
		s.out.Conn = struct {
			*transporttest.SlowConn
			framed
		}{conns[s], framed{}}
		s.out.SetLimits(&sendqueue.Limits{Bytes: 1 << 30, WriteTimeout: time.Minute, BackpressureTimeout: time.Minute})
	}
	if len(conns) != subscribers {
		t.Fatalf("%d subscribers", len(conns))
	}
	numbered := func(n int) []byte { return bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 2048) }
	for round := range rounds {
		b := publisher.router.newBatch()
		for i := range each {
			publisher.message(b, frame(t, wamp.MsgPack, &wamp.Publish{Request: 1, Topic: "com.example.topic",
				Payload: codec.BinaryPayload(wamp.MsgPack, wamp.FormTransparency, numbered(round*each+i))}))
		}
		if b.pendingBytes < 2*parallelFlushBytes {
			t.Fatal("this flush is not worth help")
		}
		b.end()
	}
	for s := range conns {
		deadline := time.Now().Add(20 * time.Second)
		for s.out.Len() > 0 && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		got, n := conns[s].Bytes(), 0
		for len(got) >= 4 {
			size := 4 + (int(got[1])<<16 | int(got[2])<<8 | int(got[3]))
			if size > len(got) || !bytes.HasSuffix(got[:size], numbered(n)) {
				t.Fatalf("frame %d is broken, or another", n)
			}
			got = got[size:]
			n++
		}
		if n != rounds*each || len(got) > 0 {
			t.Fatalf("%d events of %d, and %d bytes", n, rounds*each, len(got))
		}
	}
}

// framed is the part of a Conn that frames are built by.
type framed struct{}

func (framed) Framing() transport.Framing { return transport.FramingRaw }

// What comes while a batch is routed to many goes out with it: but to those many, not
// to one; and not for ever.
func TestMoreIsLookedForBeforeFlush(t *testing.T) {
	for _, c := range []struct{ subscribers, messages int }{
		{pollMinReceivers, 1 + maxPolls},
		{pollMinReceivers, 100},
		{pollMinReceivers - 1, 1 + maxPolls},
	} {
		publisher := fanOut(t, wamp.CBOR, c.subscribers)
		conn := transporttest.NewSlowConn(func() int { return 1 << 20 })
		for _, s := range publisher.realm.allSessions() {
			if s != publisher {
				s.out.Conn = struct {
					*transporttest.SlowConn
					framed
				}{conn, framed{}}
			}
		}
		body := sealedPublish(t, wamp.CBOR, 100)
		from := &polled{left: c.messages, body: body}
		publisher.out.Conn = from
		publisher.routeBatch(new(keepalive), from.next())
		routed := 1 + maxPolls
		if c.subscribers < pollMinReceivers {
			routed = 1
		}
		if got := c.messages - from.left; got != routed || conn.Writes != c.subscribers {
			t.Errorf("to %d: %d messages of %d in a batch, %d writes", c.subscribers, got, c.messages, conn.Writes)
		}
	}
}

// polled is a connection on which one more message has come whenever it is looked for.
type polled struct {
	sink
	left int
	body []byte
}

func (p *polled) next() transport.Frame {
	p.left--
	return transport.Frame{Op: transport.OpMessage, Body: p.body}
}

func (p *polled) Buffered() bool                 { return false }
func (p *polled) Poll() bool                     { return p.left > 0 }
func (p *polled) Read() (transport.Frame, error) { return p.next(), nil }

// What is looked for ends with the batch's bytes and tries, not with its flushes; and
// what was routed before is not looked at any more.
func TestMoreEnds(t *testing.T) {
	r := silentRouter(t)
	conn := &polled{left: 1 << 30}
	fresh := func() *batch {
		b := r.newBatch()
		b.inbound.Message = new(wamp.Publish)
		for range pollMinReceivers {
			b.dirty = append(b.dirty, attach(r, wamp.CBOR, transport.FramingRaw))
		}
		return b
	}
	b := fresh()
	arrived := b.arrived
	if !b.hasMore(conn) || b.inbound.Message != nil || b.arrived == arrived {
		t.Error("what was found is not new")
	}
	owed := b.dirty
	for range maxPolls - 1 {
		b.dirty = nil
		b.flush()
		if b.dirty = owed; !b.hasMore(conn) {
			t.Error("it is not looked for as often as it may")
		}
	}
	if b.hasMore(conn) {
		t.Error("it is looked for without end")
	}
	b = fresh()
	if b.readBytes = r.limits().Queue / pollReadDivisor; b.hasMore(conn) {
		t.Error("it is looked for however much there is already")
	}
}

// An envelope longer than was thought moves the frame to a chunk that says how large
// it is.
func TestLongEnvelopeIsCountedInFull(t *testing.T) {
	publisher := fanOut(t, wamp.CBOR, manyReceivers)
	b := publisher.router.newBatch()
	for _, key := range []int{10, 30_000, 10, 700_000, 10} {
		publisher.message(b, frame(t, wamp.CBOR, &wamp.Publish{Request: 1, Topic: "com.example.topic",
			Options: wamp.PublishOptions{Attributes: wamp.Attributes{EncAlgo: "cryptobox", EncKey: strings.Repeat("k", key)}},
			Payload: codec.BinaryPayload(wamp.CBOR, wamp.FormTransparency, make([]byte, 10))}))
	}
	for _, s := range b.dirty {
		if held, waits := s.out.Held(), s.out.Len(); held < waits {
			t.Errorf("%d bytes wait, and chunks of %d are counted", waits, held)
		}
	}
	if len(b.dirty) != manyReceivers {
		t.Errorf("%d receivers", len(b.dirty))
	}
	b.end()
}
