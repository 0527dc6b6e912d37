package nexus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"sync"
	"testing"

	nclient "github.com/gammazero/nexus/v3/client"
	nexusrouter "github.com/gammazero/nexus/v3/router"
	nexus "github.com/gammazero/nexus/v3/wamp"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

var nexusClient = nclient.Config{Realm: routertest.Realm, Logger: log.New(io.Discard, "", 0)}

// local connects a nexus client of this process.
func (w *world) local() *nclient.Client {
	w.t.Helper()
	c, err := nclient.ConnectLocal(w.router, nexusClient)
	routertest.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// nexusServer starts a server of nexus's own, and returns its URL.
func (w *world) nexusServer() string {
	w.t.Helper()
	server, err := nexusrouter.NewWebsocketServer(w.router).ListenAndServe("127.0.0.1:0")
	routertest.NoError(w.t, err)
	w.t.Cleanup(func() { _ = server.Close() })
	return "ws://" + server.(net.Listener).Addr().String() + "/"
}

// network connects a nexus client to a server of nexus's own.
func (w *world) network() *nclient.Client {
	w.t.Helper()
	c, err := nclient.ConnectNet(context.Background(), w.nexusServer(), nexusClient)
	routertest.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

func wantBinary(t *testing.T, m wamp.Carrier, a wamp.Attributes, want string) {
	t.Helper()
	p, got := m.Carried()
	b, ok := codec.Binary(p)
	if !ok || string(b) != want || *got != a {
		t.Errorf("%v: %q with %+v, want %q", m.Type(), b, *got, want)
	}
}

// Clients of nexus's own, in this process and over a network, exchange clear payloads
// with those that came by Accept.
func TestNexusClientsExchangeClearPayloads(t *testing.T) {
	for name, connect := range map[string]func(*world) *nclient.Client{"local": (*world).local, "network": (*world).network} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			theirs := connect(w)
			events := make(chan *nexus.Event, 10)
			for topic, match := range map[string]string{"com.t": "exact", "com.": "wildcard", "com.t.": "prefix"} {
				routertest.NoError(t, theirs.Subscribe(topic, func(e *nexus.Event) { events <- e }, nexus.Dict{"match": match}))
			}
			routertest.NoError(t, theirs.Register("com.echo", func(_ context.Context, i *nexus.Invocation) nclient.InvokeResult {
				return nclient.InvokeResult{Args: i.Arguments, Kwargs: i.ArgumentsKw}
			}, nil))
			for _, s := range wamp.Serializers {
				ours := w.join(s.String(), s)
				ours.Publish("com.t", wamp.Attributes{}, ours.Clear("hi", 7))
				routertest.Expect[*wamp.Published](ours)
				topics := 0
				for range 2 { // com.t, and the wildcard
					e := routertest.Receive(t, events)
					if n, _ := nexus.AsInt64(e.Arguments[1]); len(e.Arguments) != 2 || e.Arguments[0] != "hi" || n != 7 {
						t.Errorf("%v", e.Arguments)
					}
					if topic, _ := nexus.AsString(e.Details["topic"]); topic == "com.t" {
						topics++
					}
				}
				if topics != 1 {
					t.Errorf("%d of 2 events have a topic", topics)
				}
				id := ours.Call("com.echo", wamp.Attributes{}, ours.Clear("a", []byte{1}))
				r := routertest.Expect[*wamp.Result](ours)
				if args, _, err := r.Payload.Decode(); r.Request != id || err != nil || args[0] != "a" {
					t.Errorf("%v %v", args, err)
				}
				ours.Subscribe("com.u", wamp.MatchExact)
				pattern := ours.Subscribe("com.u", wamp.MatchPrefix)
				routertest.NoError(t, theirs.Publish("com.u", nexus.Dict{"disclose_me": true}, nexus.List{"from", 1.5}, nexus.Dict{"k": true}))
				for range 2 {
					e := routertest.Expect[*wamp.Event](ours)
					args, kwargs, err := e.Payload.Decode()
					if err != nil || fmt.Sprint(args, kwargs) != "[from 1.5] map[k:true]" {
						t.Errorf("%v %v %v", args, kwargs, err)
					}
					if (e.Subscription == pattern) != (e.Details.Topic == "com.u") || e.Details.Publisher != wamp.ID(theirs.ID()) {
						t.Errorf("%+v", e)
					}
				}
				ours.Register(wamp.URI("com.upper."+s.String()), wamp.RegisterOptions{})
				result := make(chan error, 1)
				go func() {
					r, err := theirs.Call(context.Background(), "com.upper."+s.String(), nil, nexus.List{"x"}, nil, nil)
					if err == nil && fmt.Sprint(r.Arguments...) != "X" {
						err = fmt.Errorf("%v", r.Arguments)
					}
					result <- err
				}()
				inv := routertest.Expect[*wamp.Invocation](ours)
				ours.Send(&wamp.Yield{Request: inv.Request, Payload: ours.Clear("X")})
				routertest.NoError(t, routertest.Receive(t, result))
				ours.Leave()
			}
		})
	}
}

// A local client gets an opaque payload as an error, unless it asks for the bytes, and
// can send one.
func TestLocalClientsSealAndOpen(t *testing.T) {
	w := newWorld(t)
	local := w.local()
	got := make(chan nexus.List, 10)
	routertest.NoError(t, local.Subscribe("com.t", func(e *nexus.Event) { got <- e.Arguments }, nil))
	routertest.NoError(t, local.Register("com.p", func(_ context.Context, i *nexus.Invocation) nclient.InvokeResult {
		p, _ := PayloadOf(i.Arguments)
		b, _ := p.Binary()
		return nclient.InvokeResult{Args: Seal(box, append([]byte("re "), b...))}
	}, nil))
	routertest.NoError(t, local.Register("com.echo", func(_ context.Context, i *nexus.Invocation) nclient.InvokeResult {
		return nclient.InvokeResult{Args: i.Arguments}
	}, nil))
	j, c := w.join("JSON", wamp.JSON), w.join("CBOR", wamp.CBOR)
	sendWith(j, &wamp.Publish{Request: 1, Topic: "com.t", Options: wamp.PublishOptions{Attributes: box}}, `"\u0000QUJD"`, 1)
	args := routertest.Receive(t, got)
	if _, isError := args[0].(error); len(args) != 1 || !isError {
		t.Fatalf("%v", args)
	}
	if _, ok := nexus.AsString(args[0]); ok {
		t.Error("an opaque payload passes for a string")
	}
	if s := fmt.Sprintf("%v %+v %s", args[0], args, args[0]); s != "payload(opaque, 3 B) [payload(opaque, 3 B)] payload(opaque, 3 B)" {
		t.Errorf("printed: %s", s)
	}
	p, ok := PayloadOf(args)
	if b, isBinary := p.Binary(); !ok || !isBinary || string(b) != "ABC" || p.Attributes() != box {
		t.Errorf("%q %+v", b, p.Attributes())
	}
	j.Subscribe("com.u", wamp.MatchExact)
	c.Subscribe("com.u", wamp.MatchExact)
	sealed := Seal(box, []byte("XYZ"))
	for range 2 { // the same Arguments again
		routertest.NoError(t, local.Publish("com.u", nil, sealed, nil))
		wantBinary(t, routertest.Expect[*wamp.Event](j), box, "XYZ")
		wantBinary(t, routertest.Expect[*wamp.Event](c), box, "XYZ")
	}
	c.CallWith("com.p", wamp.FormTransparency, "ABC", wamp.CallOptions{Attributes: box})
	wantBinary(t, routertest.Expect[*wamp.Result](c), box, "re ABC")
	c.CallWith("com.echo", wamp.FormTransparency, "ABC", wamp.CallOptions{Attributes: box})
	wantBinary(t, routertest.Expect[*wamp.Result](c), routertest.AttributesOf(wamp.FormTransparency), "ABC")
	w.wantMetric(`blindfold_opaque_messages_total{form="transparency",realm="realm1",scheme="cryptobox",type="YIELD"} 2`)
}

// What rules say holds for clients of nexus's own, too.
func TestRulesHoldForNexusClients(t *testing.T) {
	for name, connect := range map[string]func(*world) *nclient.Client{"local": (*world).local, "network": (*world).network} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, rules(t))
			theirs := connect(w)
			ours := w.join("Alice", wamp.CBOR)
			ours.Subscribe("com.secret.", wamp.MatchPrefix)
			ours.Register("com.valid", wamp.RegisterOptions{})
			var failed nclient.RPCError
			_, err := theirs.Call(context.Background(), "com.valid", nil, nexus.List{5}, nil, nil)
			if !errors.As(err, &failed) || failed.Err.Error != nexus.URI(wamp.ErrValidationFailed) {
				t.Errorf("a call that its schema forbids: %v", err)
			}
			if err := theirs.Publish("com.secret.t", nexus.Dict{"acknowledge": true}, nexus.List{"plain"}, nil); err == nil {
				t.Error("a clear publication where opaque ones are required is accepted")
			}
			if err := theirs.Publish("com.t", nexus.Dict{"acknowledge": true, "enc_algo": 5}, nexus.List{"plain"}, nil); err == nil {
				t.Error("a number for enc_algo is accepted")
			}
			expectNothing(ours)
		})
	}
}

// Servers of nexus's own give their clients no opaque payloads, and tell the caller.
func TestNetworkClientsOfNexusGetNoOpaquePayloads(t *testing.T) {
	w := newWorld(t)
	theirs := w.network()
	got := make(chan string, 10)
	routertest.NoError(t, theirs.Subscribe("com.t", func(e *nexus.Event) { got <- fmt.Sprint(e.Arguments...) }, nil))
	routertest.NoError(t, theirs.Register("com.p", func(_ context.Context, i *nexus.Invocation) nclient.InvokeResult {
		got <- "called"
		return nclient.InvokeResult{Args: i.Arguments}
	}, nil))
	ours := w.join("Alice", wamp.CBOR)
	ours.Register("com.sealed", wamp.RegisterOptions{})
	a, payload := ours.Opaque(wamp.FormTransparency, []byte{1})
	ours.Publish("com.t", a, payload)
	routertest.Expect[*wamp.Published](ours)
	ours.Publish("com.t", wamp.Attributes{}, ours.Clear(7))
	routertest.Expect[*wamp.Published](ours)
	if s := routertest.Receive(t, got); s != "7" {
		t.Errorf("%q", s)
	}
	ours.ExpectError(ours.Call("com.p", a, payload), wamp.ErrFeatureNotSupported)
	w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 1`)
	w.wantMetric(`blindfold_opaque_refused_total{realm="realm1",reason="receiver_lacks_form",type="CALL"} 1`)
	result := make(chan error, 1)
	go func() {
		_, err := theirs.Call(context.Background(), "com.sealed", nil, nil, nil, nil)
		result <- err
	}()
	inv := routertest.Expect[*wamp.Invocation](ours)
	ours.Send(&wamp.Yield{Request: inv.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: payload})
	var failed nclient.RPCError
	if err := routertest.Receive(t, result); !errors.As(err, &failed) || failed.Err.Error != nexus.URI(wamp.ErrFeatureNotSupported) {
		t.Errorf("an opaque result: %v", err)
	}
}

// Nexus's codec gets an error for a payload that it must not write.
func TestNexusCannotSerializeAPayload(t *testing.T) {
	for s := range serializers {
		if b, err := serialized(s, &nexus.Event{Subscription: 1, Publication: 2, Details: nexus.Dict{}, Arguments: Seal(box, []byte("ABC"))}); err == nil {
			t.Errorf("%v: %q", s, b)
		}
	}
}

// Many publish to subscribers by patterns, of both kinds, at a time: nexus writes one map
// of details for all of them.
func TestDetailsAreNotShared(t *testing.T) {
	w := newWorld(t)
	theirs := w.network()
	seen := make(chan string, 10000)
	for topic, match := range map[string]string{"com.": "prefix", "com..x": "wildcard", "com.a.x": "exact"} {
		routertest.NoError(t, theirs.Subscribe(topic, func(e *nexus.Event) { seen <- text(e.Details, "topic") }, nexus.Dict{"match": match}))
	}
	bob := w.join("Bob", wamp.CBOR)
	bob.Subscribe("com.", wamp.MatchPrefix)
	bob.Subscribe("com..x", wamp.MatchWildcard)
	exact := bob.Subscribe("com.a.x", wamp.MatchExact)
	local := w.local()
	var all sync.WaitGroup
	const each = 50
	for n := range 3 {
		p := w.join(fmt.Sprint("Publisher ", n), wamp.CBOR)
		all.Go(func() {
			for range each {
				p.Publish("com.a.x", wamp.Attributes{}, p.Clear(1))
				routertest.Expect[*wamp.Published](p)
			}
		})
	}
	for range each {
		routertest.NoError(t, local.Publish("com.a.x", nexus.Dict{"disclose_me": true, "acknowledge": true}, nexus.List{1}, nil))
	}
	for range 4 * each * 3 {
		if e := routertest.Expect[*wamp.Event](bob); (e.Subscription == exact) != (e.Details.Topic == "") {
			t.Fatalf("%+v", e.Details)
		}
	}
	all.Wait()
}
