package passthrough

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// What an Autobahn client accepts, written down a second time.
var (
	algoPattern       = regexp.MustCompile(`\A(cryptobox|mqtt|xbr|x_([a-z][0-9a-z_]+)?)\z`)
	serializerPattern = regexp.MustCompile(`\A(json|msgpack|cbor|ubjson|flatbuffers|x_([a-z][0-9a-z_]+)?)\z`)
)

// FuzzReceive: whatever a sender declares, a refusal is one of those made in
// advance, so that it repeats nothing, and what is let through is what receivers
// of the form cope with.
func FuzzReceive(f *testing.F) {
	f.Add(uint8(0), uint8(2), uint8(1), uint8(0), uint8(0), uint8(7), "cryptobox", "", "json", "", "", "", "")
	f.Add(uint8(1), uint8(1), uint8(1), uint8(1), uint8(0), uint8(7), "", "", "", "wamp", "cbor", "xsalsa20poly1305", "id")
	f.Add(uint8(2), uint8(1), uint8(2), uint8(2), uint8(1), uint8(0), "", "", "", "", "", "", "")
	f.Add(uint8(3), uint8(2), uint8(2), uint8(0), uint8(1), uint8(2), "x_ab", "k", "x_cd", "x_", "", "", "")
	known := map[*wamp.Refusal]bool{cleartext: true, cleartextElement: true}
	for _, r := range []*wamp.Refusal{
		bothForms, keyWithoutAlgo, serializerWithoutAlgo, badAlgo, badSerializer, algoWithList,
		binaryWithKwargs, schemeWithBinary, withoutScheme, schemeWithKwargs, schemeWithList,
	} {
		known[r] = true
	}
	for form := range unannounced {
		for _, r := range unannounced[form] {
			if r != nil {
				known[r] = true
			}
		}
	}
	plain := newInterceptor(f, Config{})
	required := newInterceptor(f, Config{Require: []Rule{{Match: wamp.MatchPrefix}}})
	f.Fuzz(func(t *testing.T, kind, shape, elements, args, kwargs, features uint8,
		algo, key, serializer, scheme, pptSerializer, cipher, keyID string) {
		a := wamp.Attributes{
			EncAlgo: algo, EncKey: key, EncSerializer: serializer,
			PPTScheme: scheme, PPTSerializer: pptSerializer, PPTCipher: cipher, PPTKeyID: keyID,
		}
		b := body{from: fake{serializer: wamp.CBOR}, tail: "tail", facts: wamp.PayloadFacts{
			Shape: wamp.Shape(shape % 3), Elements: int(elements % 3), Args: int(args % 4), Kwargs: int(kwargs % 3),
		}}
		from := peer()
		for n, feature := range []wamp.Feature{wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox, wamp.PayloadPassthruMode} {
			if features&(1<<n) != 0 {
				for _, r := range []*wamp.Role{&from.Roles.Publisher, &from.Roles.Caller, &from.Roles.Callee} {
					r.Features.Add(feature)
				}
			}
		}
		tr := &wamp.RoutedMessage{From: from, Message: message(t, inbound[kind%4], a, b)}
		for _, i := range []*Interceptor{plain, required} {
			if err := i.Receive(tr); err != nil {
				var r *wamp.Refusal
				if !errors.As(err, &r) || !known[r] {
					t.Fatalf("%v was made on the way", err)
				}
				continue
			}
			p := tr.Payload()
			switch {
			case
				algo != "" && !algoPattern.MatchString(algo),
				serializer != "" && !serializerPattern.MatchString(serializer),
				algo == "" && (key != "" || serializer != ""),
				algo != "" && p.Shape() != wamp.ShapeBinary && p.Args()+p.Kwargs() > 0,
				p.Shape() == wamp.ShapeBinary && p.Elements() == 2,
				p.Shape() == wamp.ShapeBinary && scheme+pptSerializer+cipher+keyID != "",
				scheme == "" && pptSerializer+cipher+keyID != "",
				scheme != "" && (algo != "" || p.Kwargs() > 0 || p.Args() > 1),
				(algo != "" || p.Shape() == wamp.ShapeBinary) && features&3 == 0,
				scheme != "" && features&4 == 0:
				t.Fatalf("let through: %+v with %+v", a, b.facts)
			}
			if i == required && !p.Opaque() && (kind%4 < 2 || p.Args()+p.Kwargs() > 0) {
				t.Fatalf("cleartext was let through: %+v", b.facts)
			}
		}
	})
}

// FuzzValidate: no JSON value makes the validator panic, and what a sender sent
// is not repeated.
func FuzzValidate(f *testing.F) {
	for _, seed := range []string{
		`{"amount": 1e400}`, `{"amount": 5e-324, "note": "a@b.c"}`, `{"amount": 0.1, "lines": [1, 1.0]}`,
		`{"blob": "===="}`, `{"tree": [[[]]], "either": {"x": null}}`, `{"when": "2020-01-01T00:00:60Z", "host": "[::1]", "at": "a b@[1.2.3.4]"}`,
	} {
		f.Add([]byte(seed))
	}
	doc := strings.Replace(orderSchema, `"kind":`, `"when": {"format": "date-time"}, "host": {"format": "uri"}, "re": {"format": "regex"},
		"at": {"format": "email"}, "ptr": {"format": "json-pointer"}, "dur": {"format": "duration"}, "id": {"format": "uuid"},
		"ip": {"format": "ipv6"}, "tpl": {"format": "uri-template"}, "name": {"format": "hostname"},
		"inner": {"contentEncoding": "base64", "contentMediaType": "application/json", "contentSchema": {"type": "object"}},
		"kind":`, 1)
	s, err := CompileSchema("order", []byte(doc))
	if err != nil {
		f.Fatal(err)
	}
	i := newInterceptor(f, Config{Validation: []Validation{{URI: "a", Schema: s}}})
	f.Fuzz(func(t *testing.T, data []byte) {
		var kwargs map[string]any
		if json.Unmarshal(data, &kwargs) != nil {
			return
		}
		keys := []string{}
		for key := range kwargs {
			if len(key) > 8 && !s.names[key] {
				keys = append(keys, key)
			}
		}
		err := i.Receive(&wamp.RoutedMessage{From: peer(), URI: "a", Message: message(t, wamp.TypeCall, wamp.Attributes{}, list(nil, kwargs))})
		if err == nil {
			return
		}
		for _, key := range keys {
			if strings.Contains(strings.TrimPrefix(err.Error(), string(wamp.ErrValidationFailed)+": payload does not match this URI's schema: "), key) {
				t.Fatalf("%q repeats a key", err)
			}
		}
	})
}
