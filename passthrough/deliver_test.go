package passthrough

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

func TestDeliverAsksForTheReceiversForm(t *testing.T) {
	roleOf := map[wamp.MessageType]string{
		wamp.TypeEvent: "subscriber", wamp.TypeInvocation: "callee", wamp.TypeResult: "caller", wamp.TypeError: "caller",
	}
	cases := []struct {
		name    string
		attrs   wamp.Attributes
		body    body
		feature wamp.Feature
	}{
		{"transparency", wamp.Attributes{EncAlgo: "mqtt"}, bare, wamp.PayloadTransparency},
		{"bare binary", wamp.Attributes{}, bare, wamp.PayloadTransparency},
		{"cryptobox", wamp.Attributes{EncAlgo: "cryptobox"}, bare, wamp.PayloadEncryptionCryptobox},
		{"passthru", wamp.Attributes{PPTScheme: "wamp"}, listed, wamp.PayloadPassthruMode},
	}
	i := newInterceptor(t, Config{})
	for _, mt := range outbound {
		for _, c := range cases {
			t.Run(mt.String()+"/"+c.name, func(t *testing.T) {
				tr := &wamp.RoutedMessage{From: everyForm(), Message: message(t, mt, c.attrs, c.body)}

				able := peer()
				able.Roles.Named(roleOf[mt]).Features = wamp.NewFeatures(c.feature)
				expect(t, i.Deliver(tr, able), "")

				unable := everyForm()
				unable.Roles.Named(roleOf[mt]).Features = 0
				r := expect(t, i.Deliver(tr, unable), wamp.ReasonUnsupported)
				expectText(t, r, "roles."+roleOf[mt]+".features")
			})
		}
		t.Run(mt.String()+"/clear", func(t *testing.T) {
			tr := &wamp.RoutedMessage{Message: message(t, mt, wamp.Attributes{}, argKwargs)}
			expect(t, i.Deliver(tr, peer()), "")
		})
	}
}

func TestDeliverRefusesConversion(t *testing.T) {
	i := newInterceptor(t, Config{})
	for _, mt := range outbound {
		for _, from := range wamp.Serializers {
			for _, to := range wamp.Serializers {
				for name, c := range map[string]struct {
					attrs  wamp.Attributes
					body   body
					differ wamp.Reason // where the serializers do
				}{
					"transparency": {wamp.Attributes{EncAlgo: "cryptobox"}, bare, wamp.ReasonConversion},
					"passthru":     {wamp.Attributes{PPTScheme: "wamp"}, listed, wamp.ReasonConversion},
					"no payload":   {wamp.Attributes{PPTScheme: "wamp"}, none, ""},
					"clear":        {wamp.Attributes{}, argKwargs, ""},
				} {
					t.Run(mt.String()+"/"+from.String()+"/"+to.String()+"/"+name, func(t *testing.T) {
						c.body.from.serializer = from
						tr := &wamp.RoutedMessage{From: everyForm(), Message: message(t, mt, c.attrs, c.body)}
						receiver := everyForm()
						receiver.Serializer = to
						want := c.differ
						if from == to {
							want = ""
						}
						r := expect(t, i.Deliver(tr, receiver), want)
						if r != nil {
							expectText(t, r, "sent in "+from.String(), "uses "+to.String(), "same serializer", "reframe")
						}
						tr.Payload().PermitReframing()
						expect(t, i.Deliver(tr, receiver), "")
					})
				}
			}
		}
	}
}

// Reframing is permitted by the rule at the time of delivery, whatever it was when the
// message came.
func TestDeliverPermitsReframing(t *testing.T) {
	for _, mt := range outbound {
		for _, conversion := range []Conversion{Refuse, Reframe} {
			i := newInterceptor(t, Config{Conversion: conversion})
			for name, c := range map[string]struct {
				attrs  wamp.Attributes
				body   body
				opaque bool
			}{
				"transparency": {wamp.Attributes{EncAlgo: "cryptobox"}, bare, true},
				"passthru":     {wamp.Attributes{PPTScheme: "wamp"}, listed, true},
				"clear":        {wamp.Attributes{}, oneArg, false},
			} {
				tr := &wamp.RoutedMessage{From: everyForm(), Message: message(t, mt, c.attrs, c.body)}
				expect(t, i.Deliver(tr, everyForm()), "")
				if got, want := tr.Payload().MayReframe(), c.opaque && conversion == Reframe; got != want {
					t.Errorf("%s %s: may reframe %t, want %t", mt, name, got, want)
				}
			}
		}
	}
}

// A receiver's peer is made by the embedding program too.
func TestDeliverToAnUnknownSerializer(t *testing.T) {
	i := newInterceptor(t, Config{})
	receiver := everyForm()
	receiver.Serializer = 200
	tr := &wamp.RoutedMessage{Message: message(t, wamp.TypeEvent, wamp.Attributes{EncAlgo: "cryptobox"}, bare)}
	expect(t, i.Deliver(tr, receiver), wamp.ReasonConversion)
}

// A rule may let more values through, up to MaxValues; of several rules, the least
// counts.
func TestReceiveBoundsValues(t *testing.T) {
	anything, err := CompileSchema("anything", []byte("true"))
	if err != nil {
		t.Fatal(err)
	}
	values := func(n int) body { return list(make([]any, n), nil) }
	config := func(elements ...int) (c Config) {
		for _, n := range elements {
			c.Validation = append(c.Validation, Validation{URI: "com.app.order", Schema: anything, Elements: n})
		}
		return c
	}
	for _, c := range []struct {
		config Config
		most   int
	}{
		{config(0), DefaultValues}, {config(10), 10}, {config(MaxValues), MaxValues}, {config(MaxValues, 10), 10}, {config(10, MaxValues), 10},
	} {
		i := newInterceptor(t, c.config)
		receive := func(n int) error {
			return i.Receive(&wamp.RoutedMessage{From: everyForm(), URI: "com.app.order", Message: message(t, wamp.TypeCall, wamp.Attributes{}, values(n))})
		}
		expect(t, receive(c.most), "")
		if r := expect(t, receive(c.most+1), wamp.ReasonInvalid); r == nil || r.Limit != wamp.LimitElements {
			t.Errorf("%d values: %+v", c.most+1, r)
		}
	}
	if _, err := New(config(MaxValues + 1)); err == nil {
		t.Error("more than MaxValues")
	}
}
