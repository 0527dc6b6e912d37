package hostile

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// killers are frames that have brought down routers: each must end with an
// ABORT for its sender, and nothing for anybody else.
var killers = []struct {
	name       string
	serializer wamp.Serializer
	body       []byte
}{
	{"ppt_serializer is a number", wamp.JSON, []byte(`[16,1,{"ppt_scheme":"wamp","ppt_serializer":5},"com.example.topic",["\u0000AA=="]]`)},
	{"empty array", wamp.JSON, []byte(`[]`)},
	{"empty object", wamp.JSON, []byte(`{}`)},
	{"empty array", wamp.MsgPack, []byte{0x90}},
	{"empty array", wamp.CBOR, []byte{0x80}},
	{"no bytes", wamp.JSON, nil},
	{"array of 2^32-1", wamp.MsgPack, []byte{0xdd, 0xff, 0xff, 0xff, 0xff}},
	{"map of 2^32-1", wamp.MsgPack, []byte{0xdf, 0xff, 0xff, 0xff, 0xff}},
	{"binary of 2^32-1", wamp.MsgPack, []byte{0xc6, 0xff, 0xff, 0xff, 0xff}},
	{"array of 2^64-1", wamp.CBOR, []byte{0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
	{"10 MB of [", wamp.JSON, bytes.Repeat([]byte("["), 10<<20)},
	{"10 MB of 0x91", wamp.MsgPack, bytes.Repeat([]byte{0x91}, 10<<20)},
	{"10 MB of 0x81", wamp.CBOR, bytes.Repeat([]byte{0x81}, 10<<20)},
	{"10 MB of 0x9f", wamp.CBOR, bytes.Repeat([]byte{0x9f}, 10<<20)},
	{"10 MB of [ in the payload", wamp.JSON, append([]byte(`[16,1,{},"com.example.topic",`), bytes.Repeat([]byte("["), 10<<20)...)},
	{"a bare string that is no binary", wamp.JSON, []byte(`[16,1,{},"com.example.topic","hello"]`)},
	{"a bare string that is no base64", wamp.JSON, []byte(`[16,1,{},"com.example.topic","\u0000!!!"]`)},
	{"binary and kwargs", wamp.JSON, []byte(`[16,1,{"enc_algo":"cryptobox"},"com.example.topic","\u0000AA==",{}]`)},
	{"bad enc_algo", wamp.JSON, []byte(`[16,1,{"enc_algo":"rot13"},"com.example.topic","\u0000AA=="]`)},
	{"enc_key without enc_algo", wamp.JSON, []byte(`[16,1,{"enc_key":"k"},"com.example.topic","\u0000AA=="]`)},
	{"enc_algo beside a list", wamp.JSON, []byte(`[16,1,{"enc_algo":"cryptobox"},"com.example.topic",["clear"]]`)},
	{"unknown type", wamp.JSON, []byte(`[9999]`)},
	{"type 16.5", wamp.JSON, []byte(`[16.5]`)},
	{"EVENT to the router", wamp.JSON, []byte(`[36,1,1,{}]`)},
	{"second HELLO", wamp.JSON, []byte(`[1,"realm1",{"roles":{"caller":{}}}]`)},
	{"YIELD for an invocation never given", wamp.JSON, []byte(`[70,1,{}]`)},
}

// One anonymous client can't break another's session, nor the process, with
// any message. Alice and Bob talk on, before, between and after.
func TestCrashInputs(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob := w.Join("alice", "rawsocket", wamp.JSON), w.Join("bob", "websocket", wamp.JSON)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	bob.Subscribe("com.", wamp.MatchPrefix)
	bob.Subscribe("com..topic", wamp.MatchWildcard)
	talk := func(t *testing.T) {
		t.Helper()
		alice.Publish(routertest.Topic, wamp.Attributes{}, alice.Clear("still here"))
		routertest.Expect[*wamp.Published](alice)
		for range 3 {
			routertest.Expect[*wamp.Event](bob)
		}
	}
	talk(t)
	for _, k := range killers {
		t.Run(k.serializer.String()+" "+k.name, func(t *testing.T) {
			for _, over := range []string{"rawsocket", "websocket"} {
				mallory := w.Join("mallory", over, k.serializer)
				mallory.T = t
				mallory.SendRaw(k.body)
				abort := mallory.ExpectAbort(wamp.ErrProtocolViolation)
				if abort.Details.Message == "" {
					t.Error("the ABORT does not say what was wrong")
				}
			}
			talk(t)
		})
	}
}

// RawSocket frames of the reserved types 3 to 7 end the connection.
func TestRawSocketFrameTypes(t *testing.T) {
	w := routertest.NewWorld(t)
	bob := w.Join("bob", "rawsocket", wamp.JSON)
	for kind := byte(3); kind <= 7; kind++ {
		mallory := w.Join("mallory", "rawsocket", wamp.JSON)
		if _, err := mallory.Conn.Write([][]byte{{kind, 0, 0, 4, 'a', 'b', 'c', 'd'}}, routertest.Timeout); err != nil {
			t.Fatal(err)
		}
		if m, err := mallory.TryReceive(); err == nil {
			t.Errorf("frame type %d is answered with %v", kind, m.Type())
		}
	}
	bob.ExpectNothing()
	w.WaitSessions(1)
}

// Mallory publishes as hard as she can to a topic that exact, prefix and
// wildcard subscribers want, while sessions come and go.
func TestPublisherFlood(t *testing.T) {
	w := routertest.NewWorld(t)
	const publishers, each = 4, 500
	bob := w.Join("bob", "rawsocket", wamp.MsgPack)
	bob.Subscribe(routertest.Topic, wamp.MatchExact)
	bob.Subscribe("com.example.", wamp.MatchPrefix)
	bob.Subscribe("com..topic", wamp.MatchWildcard)
	var all sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range publishers {
		mallory := w.Join("mallory", "websocket", wamp.MsgPack)
		all.Go(func() {
			for range each {
				mallory.Send(&wamp.Publish{Request: mallory.NextID(), Topic: routertest.Topic, Payload: mallory.Clear("x")})
			}
		})
	}
	churn := make(chan struct{})
	go func() {
		defer close(churn)
		for range 50 {
			conn, err := transport.Dial(ctx, w.URLs["rawsocket"], transport.DialOptions{Serializer: wamp.MsgPack})
			if err != nil {
				t.Error(err)
				return
			}
			carol := &routertest.Peer{T: t, Name: "carol", Conn: conn}
			carol.Hello()
			for _, match := range []wamp.Match{wamp.MatchExact, wamp.MatchPrefix, wamp.MatchWildcard} {
				carol.Send(&wamp.Subscribe{Request: carol.NextID(), Topic: routertest.Topic, Options: wamp.SubscribeOptions{Match: match.String()}})
			}
			_ = conn.Close() // in the middle of it
		}
	}()
	for range publishers * each * 3 {
		routertest.Expect[*wamp.Event](bob)
	}
	all.Wait()
	<-churn
	bob.ExpectNothing()
	w.WaitSessions(1 + publishers)
}
