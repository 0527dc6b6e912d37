package speed

import (
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/dashboard"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/metrics"
	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// feed is a connection without a socket: it reads batches of messages that the
// benchmark makes, and forgets what is written. What is left to measure is the
// router itself.
type feed struct {
	info    transport.Info
	batches chan [][]byte // nil ends the connection
	done    chan struct{} // after each batch
	batch   [][]byte
	began   bool
	transport.Conn
}

func newFeed(s wamp.Serializer) *feed {
	return &feed{info: transport.Info{Transport: "rawsocket", Serializer: s}, batches: make(chan [][]byte), done: make(chan struct{})}
}

func (f *feed) Info() *transport.Info           { return &f.info }
func (f *feed) Framing() transport.Framing      { return transport.FramingRaw }
func (f *feed) SetReadDeadline(time.Time) error { return nil }
func (f *feed) SetReadLimit(int)                {}
func (f *feed) Buffered() bool                  { return len(f.batch) > 0 }
func (f *feed) Poll() bool                      { return f.Buffered() }
func (f *feed) Close() error                    { return nil }
func (f *feed) CloseWrite() error               { return nil }
func (f *feed) Linger(time.Duration)            {}

func (f *feed) Read() (transport.Frame, error) {
	for len(f.batch) == 0 {
		if f.began {
			f.done <- struct{}{}
		}
		f.began = true
		if f.batch = <-f.batches; f.batch == nil {
			return transport.Frame{}, io.EOF
		}
	}
	next := f.batch[0]
	f.batch = f.batch[1:]
	return transport.Frame{Op: transport.OpMessage, Body: next}, nil
}

func (f *feed) TryWrite(segments [][]byte) (n int, err error) {
	for _, s := range segments {
		n += len(s)
	}
	return n, nil
}

func (f *feed) Write(segments [][]byte, _ time.Duration) (int, error) { return f.TryWrite(segments) }

// say lets the router treat messages as one batch.
func (f *feed) say(batch [][]byte) {
	f.batches <- batch
	<-f.done
}

// served is a router made as cmd/router makes it, and sessions on it.
func served(b *testing.B, s wamp.Serializer, sessions int) []*feed {
	observer, err := metrics.New(prometheus.NewRegistry(), metrics.Options{Realms: []string{routertest.Realm}})
	if err != nil {
		b.Fatal(err)
	}
	permissions, err := auth.NewPermissions([]auth.Role{{Name: "anonymous", Permissions: []auth.Permission{
		{Match: wamp.MatchPrefix, Allow: []router.Action{router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}}}}})
	if err != nil {
		b.Fatal(err)
	}
	interceptor, err := passthrough.New(passthrough.Config{})
	if err != nil {
		b.Fatal(err)
	}
	r, err := router.New(router.Config{
		Realms: []router.RealmConfig{{Name: routertest.Realm, Authenticators: []router.Authenticator{router.Anonymous("anonymous")},
			Interceptors: []router.Interceptor{interceptor}, Authorizers: []router.Authorizer{permissions}}},
		Observers: []router.Observer{observer, router.LogTo(slog.New(slog.DiscardHandler)), new(dashboard.Recorder)},
	})
	if err != nil {
		b.Fatal(err)
	}
	feeds := make([]*feed, sessions)
	for i := range feeds {
		f := newFeed(s)
		feeds[i] = f
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r.Accept(f)
		}()
		b.Cleanup(func() {
			close(f.batches)
			<-ended
		})
		hello := &wamp.Hello{Realm: routertest.Realm}
		routertest.AllFeatures(hello)
		f.say(encoded(b, s, hello))
	}
	return feeds
}

func encoded(b *testing.B, s wamp.Serializer, messages ...wamp.Message) (out [][]byte) {
	for _, m := range messages {
		body, err := codec.Append(nil, s, m)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, body)
	}
	return out
}

// BenchmarkPublish is what a publication to one subscriber costs the whole
// router, but for the sockets: 64 in a batch, 256 opaque bytes each.
func BenchmarkPublish(b *testing.B) {
	for _, s := range wamp.Serializers {
		b.Run(s.String(), func(b *testing.B) {
			feeds := served(b, s, 2)
			feeds[0].say(encoded(b, s, &wamp.Subscribe{Request: 1, Topic: routertest.Topic}))
			var batch [][]byte
			for i := range 64 {
				batch = append(batch, encoded(b, s, &wamp.Publish{Request: wamp.ID(i + 1), Topic: routertest.Topic,
					Payload: codec.BinaryPayload(s, wamp.FormPassthru, make([]byte, 256)),
					Options: wamp.PublishOptions{Attributes: routertest.AttributesOf(wamp.FormPassthru)}})...)
			}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(batch) {
				feeds[1].say(batch)
			}
		})
	}
}

// BenchmarkRoundTrip is what a call and its result cost the whole router, but
// for the sockets: 16 in flight, 256 opaque bytes each way.
func BenchmarkRoundTrip(b *testing.B) {
	for _, s := range wamp.Serializers {
		b.Run(s.String(), func(b *testing.B) {
			feeds := served(b, s, 2)
			feeds[0].say(encoded(b, s, &wamp.Register{Request: 1, Procedure: routertest.Procedure}))
			payload, attributes := codec.BinaryPayload(s, wamp.FormPassthru, make([]byte, 256)), routertest.AttributesOf(wamp.FormPassthru)
			calls, yields := make([][]byte, 16), make([][]byte, 16)
			call := &wamp.Call{Procedure: routertest.Procedure, Payload: payload, Options: wamp.CallOptions{Attributes: attributes}}
			yield := &wamp.Yield{Payload: payload, Options: wamp.ResultDetails{Attributes: attributes}}
			b.ReportAllocs()
			b.ResetTimer()
			for n := 0; n < b.N; n += len(calls) {
				for i := range calls {
					call.Request++
					yield.Request++
					calls[i], _ = codec.Append(calls[i][:0], s, call)
					yields[i], _ = codec.Append(yields[i][:0], s, yield)
				}
				feeds[1].say(calls)
				feeds[0].say(yields)
			}
		})
	}
}
