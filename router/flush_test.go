package router

import (
	"bytes"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// A flush that is worth help reaches everybody, with everything, in order, while more
// is put in between.
func TestFlushTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(4))
	const subscribers, rounds, each = 40, 30, 12
	publisher := fanOut(t, wamp.MsgPack, subscribers)
	conns := make(map[*session]*slowConn)
	for _, s := range publisher.realm.all() {
		if s == publisher {
			continue
		}
		conns[s] = newSlowConn(func() int { return rand.IntN(1 << 20) })
		s.out.conn = struct {
			*slowConn
			framed
		}{conns[s], framed{}}
		s.out.limits = &Limits{Queue: 1 << 30, Stall: time.Minute, SlowDown: time.Minute}
	}
	if len(conns) != subscribers {
		t.Fatalf("%d subscribers", len(conns))
	}
	numbered := func(n int) []byte { return bytes.Repeat([]byte{byte(n), byte(n >> 8)}, 2048) }
	for round := range rounds {
		turn := publisher.router.newTurn()
		for i := range each {
			publisher.message(turn, frame(t, wamp.MsgPack, &wamp.Publish{Request: 1, Topic: "com.example.topic",
				Payload: codec.BinaryPayload(wamp.MsgPack, wamp.FormTransparency, numbered(round*each+i))}))
		}
		if turn.owedSize < 2*worthHelp {
			t.Fatal("this flush is not worth help")
		}
		turn.end()
	}
	for s := range conns {
		deadline := time.Now().Add(20 * time.Second)
		for s.out.queued() > 0 && time.Now().Before(deadline) {
			runtime.Gosched()
		}
		got, n := conns[s].bytes(), 0
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
		{worthPolling, 1 + mostPolls},
		{worthPolling, 100},
		{worthPolling - 1, 1 + mostPolls},
	} {
		publisher := fanOut(t, wamp.CBOR, c.subscribers)
		conn := newSlowConn(func() int { return 1 << 20 })
		for _, s := range publisher.realm.all() {
			if s != publisher {
				s.out.conn = struct {
					*slowConn
					framed
				}{conn, framed{}}
			}
		}
		body := sealedPublish(t, wamp.CBOR, 100)
		from := &polled{left: c.messages, body: body}
		publisher.out.conn = from
		publisher.batch(new(watch), from.next())
		routed := 1 + mostPolls
		if c.subscribers < worthPolling {
			routed = 1
		}
		if got := c.messages - from.left; got != routed || conn.writes != c.subscribers {
			t.Errorf("to %d: %d messages of %d in a batch, %d writes", c.subscribers, got, c.messages, conn.writes)
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
