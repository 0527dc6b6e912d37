package spec

import (
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
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
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "rawsocket", wamp.MsgPack)
		bob := w.Join("bob", "websocket", wamp.JSON)
		carol := w.Join("carol", "unix", wamp.MsgPack)
		bob.Subscribe(routertest.Topic, wamp.MatchExact)
		carol.Subscribe(routertest.Topic, wamp.MatchExact)
		a, p := alice.Opaque(form, []byte("sealed"))
		alice.Publish(routertest.Topic, a, p)
		routertest.Expect[*wamp.Published](alice)
		event := routertest.Expect[*wamp.Event](carol)
		if event.Payload.Digest() != p.Digest() {
			t.Error("the payload differs")
		}
		bob.ExpectNothing()
		w.WantMetric(`blindfold_dropped_total{realm="realm1",reason="conversion"} 1`)
		w.WantMetric(`blindfold_deliveries_total{realm="realm1",type="EVENT"} 1`)
	})
}

// Alice's sealed call to Bob, who speaks another serializer, is refused to
// Alice, with both serializers and the way out named; Bob sees nothing.
func TestMixedSerializersCall(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "rawsocket", wamp.CBOR)
		bob := w.Join("bob", "websocket", wamp.JSON)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		a, p := alice.Opaque(form, []byte("sealed"))
		e := alice.ExpectError(alice.Call(routertest.Procedure, a, p), wamp.ErrConversionRefused)
		for _, word := range []string{"cbor", "json", "reframe"} {
			if !strings.Contains(strings.ToLower(e.Details.Message), word) {
				t.Errorf("the error does not name %q: %s", word, e.Details.Message)
			}
		}
		bob.ExpectNothing()
		w.WantMetric(`blindfold_opaque_refused_total{realm="realm1",reason="conversion",type="CALL"} 1`)
	})
}

// The call is clear, so it is converted; the result is sealed, so it is not:
// the call ends with the refusal at Alice.
func TestMixedSerializersResultAndError(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "rawsocket", wamp.CBOR)
		bob := w.Join("bob", "websocket", wamp.MsgPack)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})

		request := alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear("hello", 7))
		invocation := routertest.Expect[*wamp.Invocation](bob)
		if args, _, err := invocation.Payload.Decode(); err != nil || len(args) != 2 || args[0] != "hello" || args[1] != int64(7) {
			t.Fatalf("converted arguments: %v, %v", args, err)
		}
		a, p := bob.Opaque(form, []byte("sealed"))
		bob.Send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
		alice.ExpectError(request, wamp.ErrConversionRefused)

		request = alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear())
		invocation = routertest.Expect[*wamp.Invocation](bob)
		bob.Send(&wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation.Request, Error: routertest.Failure,
			Details: wamp.ErrorDetails{Attributes: a}, Payload: p})
		alice.ExpectError(request, wamp.ErrConversionRefused)
		bob.ExpectNothing()
	})
}

// With conversion: reframe the framing of the binary changes between
// serializers; its bytes don't.
func TestReframe(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithPassthrough(func(c *passthrough.Config) { c.Conversion = passthrough.Reframe }))
		data := []byte{0, 1, 2, 250, 251, 255}
		for _, from := range wamp.Serializers {
			for _, to := range wamp.Serializers {
				alice, bob := w.Join("alice", "rawsocket", from), w.Join("bob", "websocket", to)
				bob.Subscribe(routertest.Topic, wamp.MatchExact)
				bob.Register(routertest.Procedure, wamp.RegisterOptions{})
				same := func(got wamp.Carrier) {
					t.Helper()
					payload, attributes := got.Carried()
					opened, ok := codec.Binary(payload)
					if !ok || string(opened) != string(data) || *attributes != routertest.AttributesOf(form) {
						t.Errorf("%s to %s: %v, %+v", from, to, payload, *attributes)
					}
				}
				a, p := alice.Opaque(form, data)
				alice.Publish(routertest.Topic, a, p)
				routertest.Expect[*wamp.Published](alice)
				same(routertest.Expect[*wamp.Event](bob))
				alice.Call(routertest.Procedure, a, p)
				invocation := routertest.Expect[*wamp.Invocation](bob)
				same(invocation)
				a, p = bob.Opaque(form, data)
				bob.Send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
				same(routertest.Expect[*wamp.Result](alice))
				for _, p := range []*routertest.Peer{alice, bob} {
					p.Send(&wamp.Goodbye{Reason: wamp.CloseNormal})
					routertest.Expect[*wamp.Goodbye](p)
				}
				w.WaitSessions(0)
			}
		}
	})
}

// Bob announced nothing: no opaque payload reaches him.
func TestReceiverAnnouncedNothing(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "rawsocket", wamp.CBOR)
		bob := w.Join("bob", "websocket", wamp.CBOR, routertest.NoFeatures)
		bob.Subscribe(routertest.Topic, wamp.MatchExact)
		bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		a, p := alice.Opaque(form, []byte("sealed"))
		alice.Publish(routertest.Topic, a, p)
		routertest.Expect[*wamp.Published](alice)
		alice.ExpectError(alice.Call(routertest.Procedure, a, p), wamp.ErrFeatureNotSupported)
		bob.ExpectNothing()
		w.WantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 1`)

		// Nor can he, as a caller, get one back.
		alice.Register("com.example.sealed", wamp.RegisterOptions{})
		request := bob.Call("com.example.sealed", wamp.Attributes{}, bob.Clear())
		invocation := routertest.Expect[*wamp.Invocation](alice)
		alice.Send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
		bob.ExpectError(request, wamp.ErrFeatureNotSupported)
		alice.ExpectNothing() // her session goes on
	})
}

// Mallory announced nothing, and sends an opaque payload all the same.
func TestSenderAnnouncedNothing(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		bob := w.Join("bob", "rawsocket", wamp.CBOR)
		bob.Subscribe(routertest.Topic, wamp.MatchExact)
		mallory := w.Join("mallory", "websocket", wamp.CBOR, routertest.NoFeatures)
		a, p := mallory.Opaque(form, []byte("sealed"))
		mallory.Publish(routertest.Topic, a, p)
		abort := mallory.ExpectAbort(wamp.ErrProtocolViolation)
		if !strings.Contains(abort.Details.Message, "payload_") {
			t.Errorf("the ABORT does not name the feature: %s", abort.Details.Message)
		}
		bob.ExpectNothing()
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
		w := routertest.NewWorld(t, routertest.WithPassthrough(rules))
		alice := w.Join("alice", "websocket", wamp.JSON)
		bob := w.Join("bob", "rawsocket", wamp.JSON)
		bob.Subscribe("com.app.", wamp.MatchPrefix)
		a, p := alice.Opaque(form, []byte("sealed"))
		alice.ExpectError(alice.Publish("com.app.order", a, p), wamp.ErrValidationRefused)
		alice.Publish("com.app.draft", a, p)
		routertest.Expect[*wamp.Published](alice)
		if e := routertest.Expect[*wamp.Event](bob); e.Details.Topic != "com.app.draft" || e.Payload.Digest() != p.Digest() {
			t.Errorf("the sealed draft: %+v", e)
		}
		for amount, good := range map[int]bool{3: true, 0: false} {
			payload, err := codec.EncodePayload(wamp.JSON, []any{}, map[string]any{"amount": amount})
			if err != nil {
				t.Fatal(err)
			}
			request := alice.Publish("com.app.order", wamp.Attributes{}, payload)
			if good {
				routertest.Expect[*wamp.Published](alice)
				routertest.Expect[*wamp.Event](bob)
			} else {
				alice.ExpectError(request, wamp.ErrValidationFailed)
			}
		}
		bob.ExpectNothing()
	})
}

// Only opaque payloads are allowed below com.app.secret.
func TestRequired(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithPassthrough(func(c *passthrough.Config) {
		c.Require = []passthrough.Rule{{URI: "com.app.secret.", Match: wamp.MatchPrefix}}
	}))
	alice, bob := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.JSON)
	const secret = "com.app.secret.plan"
	bob.Subscribe(secret, wamp.MatchExact)
	bob.Register(secret, wamp.RegisterOptions{})
	alice.ExpectError(alice.Publish(secret, wamp.Attributes{}, alice.Clear("psst")), wamp.ErrCleartextRefused)
	alice.ExpectError(alice.Call(secret, wamp.Attributes{}, alice.Clear("psst")), wamp.ErrCleartextRefused)
	bob.ExpectNothing()
	// Without asking for an acknowledgement she is told nothing; it is counted.
	alice.Send(&wamp.Publish{Request: alice.NextID(), Topic: secret, Payload: alice.Clear("psst")})
	alice.ExpectNothing()
	w.WantMetric(`blindfold_refused_total{realm="realm1",reason="cleartext",type="PUBLISH"} 2`)

	// A sealed call with a clear answer ends with the refusal at Alice.
	a, p := alice.Opaque(wamp.FormPassthru, []byte("sealed"))
	request := alice.Call(secret, a, p)
	invocation := routertest.Expect[*wamp.Invocation](bob)
	bob.Send(&wamp.Yield{Request: invocation.Request, Payload: bob.Clear("aloud")})
	alice.ExpectError(request, wamp.ErrCleartextRefused)
	// And a sealed answer passes.
	request = alice.Call(secret, a, p)
	invocation = routertest.Expect[*wamp.Invocation](bob)
	bob.Send(&wamp.Yield{Request: invocation.Request, Options: wamp.ResultDetails{Attributes: a}, Payload: p})
	if got := routertest.Expect[*wamp.Result](alice); got.Request != request || got.Payload.Digest() != p.Digest() {
		t.Errorf("result: %+v", got)
	}
}

// Bob's ERROR has arguments without counterpart in Alice's serializer. What she goes by
// is its URI, and that she gets; the message says what became of the arguments.
func TestErrorKeepsItsURI(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.MsgPack)
	bob.Register(routertest.Procedure, wamp.RegisterOptions{})
	request := alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear())
	invocation := routertest.Expect[*wamp.Invocation](bob)
	body, err := codec.Append(nil, wamp.MsgPack, &wamp.Error{RequestType: wamp.TypeInvocation, Request: invocation.Request, Error: routertest.Failure})
	routertest.NoError(t, err)
	body[0]++ // one element more: a list of NaN
	bob.SendRaw(append(body, 0x91, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1))
	e := alice.ExpectError(request, routertest.Failure)
	if !strings.Contains(e.Details.Message, "no counterpart") {
		t.Errorf("message %q", e.Details.Message)
	}
	w.WantMetric(`blindfold_refused_total{realm="realm1",reason="inconvertible",type="ERROR"} 1`)

	request = alice.Call(routertest.Procedure, wamp.Attributes{}, alice.Clear()) // a RESULT has no URI of its own
	invocation = routertest.Expect[*wamp.Invocation](bob)
	body, err = codec.Append(nil, wamp.MsgPack, &wamp.Yield{Request: invocation.Request})
	routertest.NoError(t, err)
	body[0]++
	bob.SendRaw(append(body, 0x91, 0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 1))
	alice.ExpectError(request, wamp.ErrInvalidArgument)
}
