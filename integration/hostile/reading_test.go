package hostile

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// Mallory sends in MessagePack, at once, what takes six times the bytes in JSON. Bob and
// the backend read it, and are not disconnected.
func TestWhoReadsGetsEverything(t *testing.T) {
	for name, story := range map[string]struct {
		listen  func(p *routertest.Peer)
		message func(id wamp.ID, p wamp.Payload) wamp.Message
	}{
		"events": {
			func(bob *routertest.Peer) { bob.Subscribe(routertest.Topic, wamp.MatchExact) },
			func(id wamp.ID, p wamp.Payload) wamp.Message {
				return &wamp.Publish{Request: id, Topic: routertest.Topic, Payload: p}
			}},
		"invocations": {
			func(backend *routertest.Peer) { backend.Register(routertest.Procedure, wamp.RegisterOptions{}) },
			func(id wamp.ID, p wamp.Payload) wamp.Message {
				return &wamp.Call{Request: id, Procedure: routertest.Procedure, Payload: p}
			}},
	} {
		t.Run(name, func(t *testing.T) {
			p := routertest.StartProcess(t, `
listeners:
  - rawsocket: 127.0.0.1:0
admin: 127.0.0.1:0
limits: {backpressure_timeout: 20s} # this is about batches, not about a slow machine
realms:
  - name: realm1
    anonymous: {role: anonymous}
    roles:
      - name: anonymous
        permissions:
          - {uri: "", match: prefix, allow: [publish, subscribe, call, register]}
`)
			reader, mallory := routertest.JoinProcess(t, p, "reader", wamp.JSON), routertest.JoinProcess(t, p, "mallory", wamp.MsgPack)
			story.listen(reader)
			const messages = 201
			var all []byte
			for i := range messages {
				size := 16_000
				if i == 0 {
					size = 700_000 // which makes the router read as much at once
				}
				payload, err := codec.EncodePayload(wamp.MsgPack, []any{strings.Repeat("\x01", size)}, nil)
				routertest.NoError(t, err)
				body, err := codec.Append(nil, wamp.MsgPack, story.message(mallory.NextID(), payload))
				routertest.NoError(t, err)
				all = mallory.Conn.Framing().AppendFrame(all, transport.OpMessage, body)
			}
			sent := make(chan error, 1)
			go func() {
				_, err := mallory.Conn.Write([][]byte{all}, routertest.Timeout)
				sent <- err
			}()
			for range messages {
				switch m := reader.Receive().(type) {
				case *wamp.Event, *wamp.Invocation:
				default:
					t.Fatalf("the reader got %+v", m)
				}
			}
			routertest.NoError(t, <-sent)
		})
	}
}
