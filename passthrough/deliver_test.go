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
							expectText(t, r, "sent as "+from.String(), "uses "+to.String(), "same serializer", "reframe")
						}
						tr.Payload().PermitReframing()
						expect(t, i.Deliver(tr, receiver), "")
					})
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
