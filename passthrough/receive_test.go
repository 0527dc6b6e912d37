package passthrough

import (
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// forms are what a sender that announced everything may and may not declare.
var forms = []struct {
	name   string
	attrs  wamp.Attributes
	body   body
	reason wamp.Reason
	text   string // the field that the refusal names
}{
	{name: "no payload", body: none},
	{name: "clear", body: argKwargs},
	{name: "clear, empty list", body: emptyList},

	{name: "bare binary alone", body: bare},
	{name: "cryptobox", attrs: wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}, body: bare},
	{name: "cryptobox with a key", attrs: wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json", EncKey: "any key"}, body: bare},
	{name: "mqtt", attrs: wamp.Attributes{EncAlgo: "mqtt"}, body: bare},
	{name: "xbr in cbor", attrs: wamp.Attributes{EncAlgo: "xbr", EncSerializer: "cbor"}, body: bare},
	{name: "msgpack within", attrs: wamp.Attributes{EncAlgo: "xbr", EncSerializer: "msgpack"}, body: bare},
	{name: "ubjson within", attrs: wamp.Attributes{EncAlgo: "xbr", EncSerializer: "ubjson"}, body: bare},
	{name: "flatbuffers within", attrs: wamp.Attributes{EncAlgo: "xbr", EncSerializer: "flatbuffers"}, body: bare},
	{name: "custom algo", attrs: wamp.Attributes{EncAlgo: "x_my_algo2", EncSerializer: "x_own"}, body: bare},
	{name: "shortest custom algo", attrs: wamp.Attributes{EncAlgo: "x_"}, body: bare},
	{name: "enc_algo without payload", attrs: wamp.Attributes{EncAlgo: "cryptobox"}, body: none},
	{name: "enc_algo with an empty list", attrs: wamp.Attributes{EncAlgo: "cryptobox"}, body: emptyList},

	{name: "unknown algo", attrs: wamp.Attributes{EncAlgo: "rot13"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "custom algo of one letter", attrs: wamp.Attributes{EncAlgo: "x_a"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "custom algo from a digit", attrs: wamp.Attributes{EncAlgo: "x_2ab"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "custom algo in capitals", attrs: wamp.Attributes{EncAlgo: "x_Algo"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "custom algo with capitals within", attrs: wamp.Attributes{EncAlgo: "x_aLGO"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "custom algo and a newline", attrs: wamp.Attributes{EncAlgo: "x_algo\n"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "unknown serializer", attrs: wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "xml"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_serializer"},
	{name: "key without algo", attrs: wamp.Attributes{EncKey: "k"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_key"},
	{name: "serializer without algo", attrs: wamp.Attributes{EncSerializer: "json"}, body: bare, reason: wamp.ReasonAttributes, text: "enc_serializer"},
	{name: "key without algo, on a list", attrs: wamp.Attributes{EncKey: "k"}, body: oneArg, reason: wamp.ReasonAttributes, text: "enc_key"},
	{name: "algo with arguments", attrs: wamp.Attributes{EncAlgo: "cryptobox"}, body: oneArg, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "algo with a binary in a list", attrs: wamp.Attributes{EncAlgo: "cryptobox"}, body: listed, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "algo with kwargs", attrs: wamp.Attributes{EncAlgo: "cryptobox"}, body: kwargsOnly, reason: wamp.ReasonAttributes, text: "enc_algo"},
	{name: "binary and kwargs", attrs: wamp.Attributes{EncAlgo: "cryptobox"}, body: bareAndMap, reason: wamp.ReasonAttributes, text: "last element"},
	{name: "binary and kwargs without algo", body: bareAndMap, reason: wamp.ReasonAttributes, text: "last element"},
	{name: "both forms", attrs: wamp.Attributes{EncAlgo: "cryptobox", PPTScheme: "wamp"}, body: bare, reason: wamp.ReasonAttributes, text: "one form"},
	{name: "both forms, on a list", attrs: wamp.Attributes{EncAlgo: "cryptobox", PPTScheme: "wamp"}, body: listed, reason: wamp.ReasonAttributes, text: "one form"},
	{name: "remains of both forms", attrs: wamp.Attributes{EncKey: "k", PPTKeyID: "k"}, body: none, reason: wamp.ReasonAttributes, text: "one form"},

	{name: "passthru", attrs: wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305", PPTKeyID: "id"}, body: listed},
	{name: "passthru, scheme alone", attrs: wamp.Attributes{PPTScheme: "x_mine"}, body: listed},
	{name: "passthru, native dict", attrs: wamp.Attributes{PPTScheme: "mqtt", PPTSerializer: "native"}, body: dict},
	{name: "passthru, empty list", attrs: wamp.Attributes{PPTScheme: "wamp"}, body: emptyList},
	{name: "passthru, no payload", attrs: wamp.Attributes{PPTScheme: "wamp"}, body: none},

	{name: "passthru, bare binary", attrs: wamp.Attributes{PPTScheme: "wamp"}, body: bare, reason: wamp.ReasonAttributes, text: "ppt_*"},
	{name: "cipher without scheme", attrs: wamp.Attributes{PPTCipher: "aes256gcm"}, body: listed, reason: wamp.ReasonAttributes, text: "ppt_scheme"},
	{name: "serializer without scheme", attrs: wamp.Attributes{PPTSerializer: "cbor"}, body: listed, reason: wamp.ReasonAttributes, text: "ppt_scheme"},
	{name: "keyid without scheme", attrs: wamp.Attributes{PPTKeyID: "id"}, body: listed, reason: wamp.ReasonAttributes, text: "ppt_scheme"},
	{name: "passthru, kwargs", attrs: wamp.Attributes{PPTScheme: "wamp"}, body: argKwargs, reason: wamp.ReasonAttributes, text: "ArgumentsKw"},
	{name: "passthru, kwargs alone", attrs: wamp.Attributes{PPTScheme: "wamp"}, body: kwargsOnly, reason: wamp.ReasonAttributes, text: "ArgumentsKw"},
	{name: "passthru, two elements", attrs: wamp.Attributes{PPTScheme: "wamp"}, body: twoArgs, reason: wamp.ReasonAttributes, text: "ppt_scheme"},
}

func TestReceivePolicesForms(t *testing.T) {
	i := newInterceptor(t, Config{})
	for _, mt := range inbound {
		for _, c := range forms {
			t.Run(mt.String()+"/"+c.name, func(t *testing.T) {
				m := message(t, mt, c.attrs, c.body)
				r := expect(t, i.Receive(&wamp.RoutedMessage{From: everyForm(), Message: m}), c.reason)
				if r != nil {
					expectText(t, r, c.text)
				}
			})
		}
	}
}

func TestReceiveAsksForAnnouncement(t *testing.T) {
	transparency := wamp.Attributes{EncAlgo: "mqtt"}
	cryptobox := wamp.Attributes{EncAlgo: "cryptobox"}
	passthru := wamp.Attributes{PPTScheme: "wamp"}
	roleOf := map[wamp.MessageType]string{
		wamp.TypePublish: "publisher", wamp.TypeCall: "caller", wamp.TypeYield: "callee", wamp.TypeError: "callee",
	}
	cases := []struct {
		name      string
		attrs     wamp.Attributes
		body      body
		announced []wamp.Feature
		feature   string // that the refusal names; "" is let through
	}{
		{name: "clear, nothing announced", body: argKwargs},
		{name: "transparency", attrs: transparency, body: bare, announced: []wamp.Feature{wamp.PayloadTransparency}},
		{name: "transparency, nothing announced", attrs: transparency, body: bare, feature: "payload_transparency"},
		{name: "transparency, other form announced", attrs: transparency, body: bare, announced: []wamp.Feature{wamp.PayloadPassthruMode}, feature: "payload_transparency"},
		{name: "bare binary, nothing announced", body: bare, feature: "payload_transparency"},
		{name: "cryptobox, cryptobox announced", attrs: cryptobox, body: bare, announced: []wamp.Feature{wamp.PayloadEncryptionCryptobox}},
		{name: "mqtt, cryptobox announced", attrs: transparency, body: bare, announced: []wamp.Feature{wamp.PayloadEncryptionCryptobox}, feature: "payload_transparency"},
		{name: "passthru", attrs: passthru, body: listed, announced: []wamp.Feature{wamp.PayloadPassthruMode}},
		{name: "passthru, nothing announced", attrs: passthru, body: listed, feature: "payload_passthru_mode"},
		{name: "passthru, other form announced", attrs: passthru, body: listed, announced: []wamp.Feature{wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox}, feature: "payload_passthru_mode"},
	}
	i := newInterceptor(t, Config{})
	for _, mt := range inbound {
		for _, c := range cases {
			t.Run(mt.String()+"/"+c.name, func(t *testing.T) {
				// Only the role that sends this message announced it.
				from := peer()
				from.Roles.Named(roleOf[mt]).Features = wamp.NewFeatures(c.announced...)
				err := i.Receive(&wamp.RoutedMessage{From: from, Message: message(t, mt, c.attrs, c.body)})
				if c.feature == "" {
					expect(t, err, "")
					return
				}
				expectText(t, expect(t, err, wamp.ReasonUnannounced), c.feature, "roles."+roleOf[mt]+".features")

				others := everyForm()
				others.Roles.Named(roleOf[mt]).Features = wamp.NewFeatures(c.announced...)
				expect(t, i.Receive(&wamp.RoutedMessage{From: others, Message: message(t, mt, c.attrs, c.body)}), wamp.ReasonUnannounced)
			})
		}
	}
}

func TestReceiveRequiresOpaque(t *testing.T) {
	i := newInterceptor(t, Config{Require: []Rule{{URI: "com.app.secret.", Match: wamp.MatchPrefix}}})
	cases := []struct {
		name           string
		attrs          wamp.Attributes
		body           body
		request, reply wamp.Reason
	}{
		{"clear", wamp.Attributes{}, oneArg, wamp.ReasonCleartext, wamp.ReasonCleartext},
		{"clear kwargs", wamp.Attributes{}, kwargsOnly, wamp.ReasonCleartext, wamp.ReasonCleartext},
		{"a binary in a list, undeclared", wamp.Attributes{}, listed, wamp.ReasonCleartext, wamp.ReasonCleartext},
		{"no payload", wamp.Attributes{}, none, wamp.ReasonCleartext, ""},
		{"empty list", wamp.Attributes{}, emptyList, wamp.ReasonCleartext, ""},
		{"transparency", wamp.Attributes{EncAlgo: "cryptobox"}, bare, "", ""},
		{"bare binary", wamp.Attributes{}, bare, "", ""},
		{"transparency, no payload", wamp.Attributes{EncAlgo: "cryptobox"}, none, "", ""},
		{"passthru", wamp.Attributes{PPTScheme: "wamp"}, listed, "", ""},
		{"passthru, no payload", wamp.Attributes{PPTScheme: "wamp"}, none, "", ""},
		{"passthru, empty list", wamp.Attributes{PPTScheme: "wamp"}, emptyList, "", ""},
		{"passthru, native dict", wamp.Attributes{PPTScheme: "wamp"}, dict, wamp.ReasonCleartext, wamp.ReasonCleartext},
	}
	for _, mt := range inbound {
		for _, c := range cases {
			t.Run(mt.String()+"/"+c.name, func(t *testing.T) {
				want := c.request
				if mt == wamp.TypeYield || mt == wamp.TypeError {
					want = c.reply
				}
				m := message(t, mt, c.attrs, c.body)
				expect(t, i.Receive(&wamp.RoutedMessage{From: everyForm(), URI: "com.app.secret.diary", Message: m}), want)
				expect(t, i.Receive(&wamp.RoutedMessage{From: everyForm(), URI: "com.app.open", Message: m}), "")
			})
		}
	}
}

func TestReceiveLeavesOtherMessagesAlone(t *testing.T) {
	i := newInterceptor(t, Config{Require: []Rule{{Match: wamp.MatchPrefix}}})
	for _, m := range []wamp.Message{new(wamp.Subscribe), new(wamp.Register), new(wamp.Cancel)} {
		expect(t, i.Receive(&wamp.RoutedMessage{From: peer(), Message: m}), "")
		expect(t, i.Deliver(&wamp.RoutedMessage{From: peer(), Message: m}, peer()), "")
	}
}
