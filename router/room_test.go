package router

import (
	"fmt"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// scripted is a connection on which some messages have come at once. What is written to
// it is taken at once.
type scripted struct {
	sink
	frames [][]byte
}

func (c *scripted) Buffered() bool { return len(c.frames) > 0 }
func (c *scripted) Poll() bool     { return false }
func (c *scripted) Read() (transport.Frame, error) {
	f := transport.Frame{Op: transport.OpMessage, Body: c.frames[0]}
	c.frames = c.frames[1:]
	return f, nil
}

// sendAtOnce lets the session send messages that are one batch.
func sendAtOnce(t *testing.T, s *session, messages ...wamp.Message) {
	t.Helper()
	conn := &scripted{sink: sink{info: *s.out.Conn.Info()}}
	for _, m := range messages {
		conn.frames = append(conn.frames, frame(t, s.peer.Serializer, m))
	}
	was := s.out.Conn
	s.out.Conn = conn
	first, _ := conn.Read()
	if on, err := s.routeBatch(new(keepalive), first); !on || err != nil || len(conn.frames) > 0 {
		t.Errorf("the batch ended: %v, %v, %d messages are left", on, err, len(conn.frames))
	}
	s.out.Conn = was
}

// growing is text that takes six times the bytes in JSON.
func growing(t *testing.T, n int) wamp.Payload {
	p, err := codec.EncodePayload(wamp.MsgPack, []any{strings.Repeat("\x01", n)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// However much one batch brings a session that takes all it is sent, it is not cut off:
// neither for what waits for it, nor for what waits for all.
func TestWhoReadsIsNotCutOff(t *testing.T) {
	const megabyte = 1 << 20
	subscribe := func(s *session, topics ...string) {
		for i, topic := range topics {
			say(s, frame(t, s.peer.Serializer, &wamp.Subscribe{Request: wamp.ID(i + 1), Topic: wamp.URI(topic), Options: wamp.SubscribeOptions{Match: "prefix"}}))
		}
	}
	publish := func(p wamp.Payload) *wamp.Publish {
		return &wamp.Publish{Request: 1, Topic: "com.example.topic", Payload: p}
	}
	call := func(id int, p wamp.Payload) *wamp.Call {
		return &wamp.Call{Request: wamp.ID(id), Procedure: "com.example.procedure", Payload: p}
	}
	for name, story := range map[string]func(t *testing.T, r *Router, reader, sender *session){
		"events that grow when they are converted": func(t *testing.T, r *Router, reader, sender *session) {
			subscribe(reader, "com.")
			batch := []wamp.Message{publish(growing(t, 700_000))}
			for range 200 {
				batch = append(batch, publish(growing(t, 16_000)))
			}
			sendAtOnce(t, sender, batch...)
		},
		"one event for each of many subscriptions": func(t *testing.T, r *Router, reader, sender *session) {
			var topics []string
			for i := range len("com.example.topic") {
				topics = append(topics, "com.example.topic"[:i])
			}
			subscribe(reader, topics...)
			sendAtOnce(t, sender, publish(growing(t, 700_000)))
		},
		"invocations": func(t *testing.T, r *Router, reader, sender *session) {
			say(reader, frame(t, wamp.JSON, &wamp.Register{Request: 1, Procedure: "com.example.procedure"}))
			batch := []wamp.Message{call(1, growing(t, 700_000))}
			for i := range 200 {
				batch = append(batch, call(i+2, growing(t, 16_000)))
			}
			sendAtOnce(t, sender, batch...)
		},
		"results": func(t *testing.T, r *Router, reader, sender *session) {
			say(sender, frame(t, wamp.MsgPack, &wamp.Register{Request: 1, Procedure: "com.example.procedure"}))
			say(reader, frame(t, wamp.JSON, &wamp.Call{Request: 1, Procedure: "com.example.procedure", Options: wamp.CallOptions{ReceiveProgress: wamp.True}}))
			var batch []wamp.Message
			for range 20 {
				batch = append(batch, &wamp.Yield{Request: 1, Options: wamp.ResultDetails{Progress: true}, Payload: growing(t, 100_000)})
			}
			sendAtOnce(t, sender, batch...)
		},
		"answers of the router's own": func(t *testing.T, r *Router, reader, _ *session) {
			subscribe(reader, "com.")
			for range 2000 {
				say(attach(r, wamp.CBOR, transport.FramingRaw), frame(t, wamp.CBOR, &wamp.Subscribe{Request: 1, Topic: "com.", Options: wamp.SubscribeOptions{Match: "prefix"}}))
			}
			var batch []wamp.Message
			for i := range 400 {
				batch = append(batch, &wamp.Call{Request: wamp.ID(i + 1), Procedure: "wamp.session.list"})
			}
			sendAtOnce(t, reader, batch...)
		},
		"calls that have waited": func(t *testing.T, r *Router, reader, sender *session) {
			busy := attach(r, wamp.CBOR, transport.FramingRaw)
			register := &wamp.Register{Request: 1, Procedure: "com.example.procedure", Options: wamp.RegisterOptions{Invoke: "roundrobin", Concurrency: 1}}
			say(busy, frame(t, wamp.CBOR, register))
			for i := range 30 {
				say(sender, frame(t, wamp.MsgPack, call(i+1, growing(t, 50_000))))
			}
			register.Options.Concurrency = 100
			say(reader, frame(t, wamp.JSON, register))
			reader.mu.Lock()
			defer reader.mu.Unlock()
			if len(reader.invocations) != 29 {
				t.Errorf("%d calls were assigned", len(reader.invocations))
			}
		},
		"retained events": func(t *testing.T, r *Router, reader, sender *session) {
			r.order[0].retained = newRetained(&RetainedLimits{})
			for i := range 20 {
				m := publish(growing(t, 300_000))
				m.Topic, m.Options.Retain = wamp.URI(fmt.Sprintf("com.t%d", i)), wamp.True
				say(sender, frame(t, wamp.MsgPack, m))
			}
			say(reader, frame(t, wamp.JSON, &wamp.Subscribe{Request: 1, Topic: "com.", Options: wamp.SubscribeOptions{Match: "prefix", GetRetained: wamp.True}}))
		},
		"a large event for many": func(t *testing.T, r *Router, reader, sender *session) {
			limits := DefaultLimits()
			limits.QueueTotal = 64 * megabyte
			r.currentLimits.Store(newLimits(limits))
			subscribe(reader, "com.")
			for range 100 {
				s := attach(r, wamp.JSON, transport.FramingRaw)
				s.out.Total = &r.queued
				subscribe(s, "com.")
			}
			sendAtOnce(t, sender, publish(growing(t, megabyte-100)))
			for _, s := range r.order[0].allSessions() {
				if s.ending.Load() {
					t.Error("a session was cut off")
					break
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := silentRouter(t)
			reader, sender := attach(r, wamp.JSON, transport.FramingRaw), attach(r, wamp.MsgPack, transport.FramingRaw)
			for _, s := range []*session{reader, sender} {
				s.out.Total = &r.queued
				s.out.SetLimits(&r.limits().queue)
			}
			story(t, r, reader, sender)
			if reader.ending.Load() || sender.ending.Load() {
				t.Error("a session was cut off that takes all it is sent")
			}
			if n := reader.out.Len(); n > 0 {
				t.Errorf("%d bytes were not flushed", n)
			}
		})
	}
}
