package integration

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/passthrough"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// forms runs a story in both forms.
func forms(t *testing.T, story func(t *testing.T, form wamp.Form)) {
	for _, form := range wamp.Forms {
		t.Run(form.String(), func(t *testing.T) { story(t, form) })
	}
}

// Alice speaks MessagePack, Bob JSON: her sealed event would have to be
// converted for him, so he is skipped; Carol, who speaks what Alice speaks,
// gets it.
func TestMixedSerializersEvent(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "rawsocket", wamp.MsgPack)
		bob := w.join("bob", "websocket", wamp.JSON)
		carol := w.join("carol", "unix", wamp.MsgPack)
		bob.subscribe(topic, wamp.MatchExact)
		carol.subscribe(topic, wamp.MatchExact)
		a, p := alice.sealed(form, []byte("sealed"))
		alice.publish(topic, a, p)
		expect[*wamp.Published](alice)
		event := expect[*wamp.Event](carol)
		if event.Payload.Digest() != p.Digest() {
			t.Error("the payload differs")
		}
		bob.expectNothing()
		w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="conversion"} 1`)
		w.wantMetric(`blindfold_deliveries_total{realm="realm1",type="EVENT"} 1`)
	})
}

// Alice's sealed call to Bob, who speaks another serializer, is refused to
// Alice, with both serializers and the way out named; Bob sees nothing.
func TestMixedSerializersCall(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "rawsocket", wamp.CBOR)
		bob := w.join("bob", "websocket", wamp.JSON)
		bob.register(procedure, wamp.RegisterOptions{})
		a, p := alice.sealed(form, []byte("sealed"))
		e := alice.expectError(alice.call(procedure, a, p), wamp.ErrConversionRefused)
		for _, word := range []string{"cbor", "json", "reframe"} {
			if !strings.Contains(strings.ToLower(e.Details.Message), word) {
				t.Errorf("the error does not name %q: %s", word, e.Details.Message)
			}
		}
		bob.expectNothing()
		w.wantMetric(`blindfold_opaque_refused_total{realm="realm1",reason="conversion",type="CALL"} 1`)
	})
}

// The call is clear, so it is converted; the result is sealed, so it is not:
// the call ends with the refusal at Alice.
func TestMixedSerializersResultAndError(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "rawsocket", wamp.CBOR)
		bob := w.join("bob", "websocket", wamp.MsgPack)
		bob.register(procedure, wamp.RegisterOptions{})

		request := alice.call(procedure, wamp.Attributes{}, alice.clear("hello", 7))
		invocation := expect[*wamp.Invocation](bob)
		if args, _, err := invocation.Payload.Decode(); err != nil || len(args) != 2 || args[0] != "hello" || args[1] != int64(7) {
			t.Fatalf("converted arguments: %v, %v", args, err)
		}
		a, p := bob.sealed(form, []byte("sealed"))
		bob.send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
		alice.expectError(request, wamp.ErrConversionRefused)

		request = alice.call(procedure, wamp.Attributes{}, alice.clear())
		invocation = expect[*wamp.Invocation](bob)
		bob.send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation.Request, Error: failure,
			Details: wamp.ErrorDetails{Attributes: a}, Payload: p})
		alice.expectError(request, wamp.ErrConversionRefused)
		bob.expectNothing()
	})
}

// With conversion: reframe the framing of the binary changes between
// serializers; its bytes don't.
func TestReframe(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t, withPassthrough(func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }))
		data := []byte{0, 1, 2, 250, 251, 255}
		for _, from := range wamp.Serializers {
			for _, to := range wamp.Serializers {
				alice, bob := w.join("alice", "rawsocket", from), w.join("bob", "websocket", to)
				bob.subscribe(topic, wamp.MatchExact)
				bob.register(procedure, wamp.RegisterOptions{})
				same := func(got wamp.Carrier) {
					t.Helper()
					payload, attributes := got.Carried()
					opened, ok := codec.Binary(payload)
					if !ok || string(opened) != string(data) || *attributes != attributesOf(form) {
						t.Errorf("%s to %s: %v, %+v", from, to, payload, *attributes)
					}
				}
				a, p := alice.sealed(form, data)
				alice.publish(topic, a, p)
				expect[*wamp.Published](alice)
				same(expect[*wamp.Event](bob))
				alice.call(procedure, a, p)
				invocation := expect[*wamp.Invocation](bob)
				same(invocation)
				a, p = bob.sealed(form, data)
				bob.send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
				same(expect[*wamp.Result](alice))
				for _, p := range []*peer{alice, bob} {
					p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
					expect[*wamp.Goodbye](p)
				}
				w.settle(0)
			}
		}
	})
}

// Bob announced nothing: no opaque payload reaches him.
func TestReceiverAnnouncedNothing(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "rawsocket", wamp.CBOR)
		bob := w.join("bob", "websocket", wamp.CBOR, noFeatures)
		bob.subscribe(topic, wamp.MatchExact)
		bob.register(procedure, wamp.RegisterOptions{})
		a, p := alice.sealed(form, []byte("sealed"))
		alice.publish(topic, a, p)
		expect[*wamp.Published](alice)
		alice.expectError(alice.call(procedure, a, p), wamp.ErrFeatureNotSupported)
		bob.expectNothing()
		w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 1`)

		// Nor can he, as a caller, get one back.
		alice.register("com.example.sealed", wamp.RegisterOptions{})
		request := bob.call("com.example.sealed", wamp.Attributes{}, bob.clear())
		invocation := expect[*wamp.Invocation](alice)
		alice.send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
		bob.expectError(request, wamp.ErrFeatureNotSupported)
		alice.expectNothing() // her session goes on
	})
}

// Mallory announced nothing, and sends an opaque payload all the same.
func TestSenderAnnouncedNothing(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		bob := w.join("bob", "rawsocket", wamp.CBOR)
		bob.subscribe(topic, wamp.MatchExact)
		mallory := w.join("mallory", "websocket", wamp.CBOR, noFeatures)
		a, p := mallory.sealed(form, []byte("sealed"))
		mallory.publish(topic, a, p)
		abort := mallory.expectAbort(wamp.ErrProtocolViolation)
		if !strings.Contains(abort.Details.Message, "payload_") {
			t.Errorf("the ABORT does not name the feature: %s", abort.Details.Message)
		}
		bob.expectNothing()
	})
}

const orderSchema = `{"type":"object","properties":{"kwargs":{"type":"object","required":["amount"],
	"properties":{"amount":{"type":"integer","minimum":1}}}}}`

// A rule asks for orders with an amount. It can't be escaped by declaring the
// order opaque, unless that is the configuration's will.
func TestValidation(t *testing.T) {
	schema, err := passthrough.CompileSchema("order.schema.json", []byte(orderSchema))
	if err != nil {
		t.Fatal(err)
	}
	rules := func(c *passthrough.Config) {
		c.Validation = []passthrough.Validation{
			{URI: "com.app.order", Match: wamp.MatchExact, Schema: schema},
			{URI: "com.app.draft", Match: wamp.MatchExact, Schema: schema, Opaque: passthrough.Pass},
		}
	}
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t, withPassthrough(rules))
		alice := w.join("alice", "websocket", wamp.JSON)
		bob := w.join("bob", "rawsocket", wamp.JSON)
		bob.subscribe("com.app.", wamp.MatchPrefix)
		a, p := alice.sealed(form, []byte("sealed"))
		alice.expectError(alice.publish("com.app.order", a, p), wamp.ErrValidationRefused)
		alice.publish("com.app.draft", a, p)
		expect[*wamp.Published](alice)
		if e := expect[*wamp.Event](bob); e.Details.Topic != "com.app.draft" || e.Payload.Digest() != p.Digest() {
			t.Errorf("the sealed draft: %+v", e)
		}
		for amount, good := range map[int]bool{3: true, 0: false} {
			payload, err := codec.EncodePayload(wamp.JSON, []any{}, map[string]any{"amount": amount})
			if err != nil {
				t.Fatal(err)
			}
			request := alice.publish("com.app.order", wamp.Attributes{}, payload)
			if good {
				expect[*wamp.Published](alice)
				expect[*wamp.Event](bob)
			} else {
				alice.expectError(request, wamp.ErrValidationFailed)
			}
		}
		bob.expectNothing()
	})
}

// Only opaque payloads are allowed below com.app.secret.
func TestRequired(t *testing.T) {
	w := newWorld(t, withPassthrough(func(c *passthrough.Config) {
		c.Require = []passthrough.Rule{{URI: "com.app.secret.", Match: wamp.MatchPrefix}}
	}))
	alice, bob := w.join("alice", "websocket", wamp.JSON), w.join("bob", "rawsocket", wamp.JSON)
	const secret = "com.app.secret.plan"
	bob.subscribe(secret, wamp.MatchExact)
	bob.register(secret, wamp.RegisterOptions{})
	alice.expectError(alice.publish(secret, wamp.Attributes{}, alice.clear("psst")), wamp.ErrCleartextRefused)
	alice.expectError(alice.call(secret, wamp.Attributes{}, alice.clear("psst")), wamp.ErrCleartextRefused)
	bob.expectNothing()
	// Without asking for an acknowledgement she is told nothing; it is counted.
	alice.send(&wamp.Publish{Request: alice.next(), Topic: secret, Payload: alice.clear("psst")})
	alice.expectNothing()
	w.wantMetric(`blindfold_refused_total{realm="realm1",reason="cleartext",type="PUBLISH"} 2`)

	// A sealed call with a clear answer ends with the refusal at Alice.
	a, p := alice.sealed(wamp.FormPassthru, []byte("sealed"))
	request := alice.call(secret, a, p)
	invocation := expect[*wamp.Invocation](bob)
	bob.send(&wamp.Yield{Request: invocation.Request, Payload: bob.clear("aloud")})
	alice.expectError(request, wamp.ErrCleartextRefused)
	// And a sealed answer passes.
	request = alice.call(secret, a, p)
	invocation = expect[*wamp.Invocation](bob)
	bob.send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
	if got := expect[*wamp.Result](alice); got.Request != request || got.Payload.Digest() != p.Digest() {
		t.Errorf("result: %+v", got)
	}
}

// wantMetric looks for a line in what Prometheus would scrape.
func (w *world) wantMetric(line string) {
	w.t.Helper()
	text := w.scrape()
	if !strings.Contains(text, line+"\n") {
		name, _, _ := strings.Cut(line, "{")
		for l := range strings.Lines(text) {
			if strings.HasPrefix(l, name+"{") && !strings.HasSuffix(l, " 0\n") {
				w.t.Log(l)
			}
		}
		w.t.Errorf("metrics lack %q", line)
	}
}
