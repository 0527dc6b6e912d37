package cryptobox

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/blindfold-wamp/blindfold/internal/values"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// FuzzOpen opens any bytes, as a payload and as the plaintext of a genuine one:
// an error of ours, or values that seal and open to themselves.
func FuzzOpen(f *testing.F) {
	for _, v := range readVectors(f).Sealed {
		f.Add(v.Payload)
		f.Add(v.Plaintext)
	}
	f.Add([]byte("\xa2\x64args\x81\xd8\x40\x42\x01\x02\x66kwargs\xa0"))
	key := sharedKey(f)
	ring := ringOf(f, "", key)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, s := range []struct {
			sealer anySealer
			attrs  wamp.Attributes
		}{
			{&Box{Keys: ring}, boxAttributes},
			{&Passthru{Keys: ring, AllowUnbound: true}, passthruAttributes},
		} {
			if _, _, err := s.sealer.Open(&wamp.Subject{URI: "com.app.x", Originator: false}, &s.attrs, data); err == nil {
				t.Fatal("a payload of a key that did not seal it opened")
			}
			args, kwargs, err := s.sealer.Open(&wamp.Subject{URI: "com.app.x", Originator: false}, &s.attrs, seal(key.side(true), newNonce(), data))
			if err != nil {
				if !errors.Is(err, ErrDecrypt) && !errors.Is(err, ErrURIMismatch) {
					t.Fatal(err)
				}
				continue
			}
			attrs, payload, sealed, err := s.sealer.Seal(&wamp.Subject{URI: "com.app.x", Originator: true}, args, kwargs)
			if err != nil || !sealed {
				t.Fatalf("what opened does not seal: %v", err)
			}
			again, kwagain, err := s.sealer.Open(&wamp.Subject{URI: "com.app.x", Originator: false}, &attrs, payload)
			if err != nil {
				t.Fatalf("what was sealed again does not open: %v", err)
			}
			// A missing list comes back as an empty one from CBOR, and NaN equals
			// nothing: compare what would be sent.
			if a, b := plaintextOf(t, s.attrs, args, kwargs), plaintextOf(t, s.attrs, again, kwagain); !bytes.Equal(a, b) {
				t.Fatalf("%q became %q", a, b)
			}
		}
	})
}

func plaintextOf(t *testing.T, attrs wamp.Attributes, args []any, kwargs map[string]any) []byte {
	c, err := normalContent("com.app.x", args, kwargs)
	if err != nil {
		t.Fatal(err)
	}
	marshal := c.marshalJSON
	if attrs.Declared() == wamp.FormPassthru {
		marshal = c.marshalCBOR
	}
	b, err := marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// FuzzSealOpen seals values and opens them on the other side.
func FuzzSealOpen(f *testing.F) {
	f.Add("com.app.x", "text", []byte{1}, int64(-1), uint64(1<<63), 1.5, true)
	f.Add("com.app.x", "\x00AA==", []byte{}, int64(0), uint64(0), math.Inf(1), false)
	f.Add("com.app.\xff", "\xff", []byte{0}, int64(math.MinInt64), uint64(math.MaxUint64), 0.0, false)
	f.Add("\x00", "", []byte{0}, int64(0), uint64(0), 0.0, false)
	o, r := sides(f)
	from, to := ringOf(f, "", o), ringOf(f, "", r)
	f.Fuzz(func(t *testing.T, uri, text string, data []byte, i int64, u uint64, x float64, originator bool) {
		if data == nil {
			data = []byte{}
		}
		args := []any{text, data, i, x, []any{originator, nil}}
		kwargs := map[string]any{"u": values.Uint(u), "in": map[string]any{text: data}}
		legal := utf8.ValidString(uri) && utf8.ValidString(text)
		inJSON := legal && !math.IsNaN(x) && !math.IsInf(x, 0) && !strings.HasPrefix(text, "\x00") && !strings.HasPrefix(uri, "\x00")
		for _, s := range []struct {
			from, to anySealer
			legal    bool
		}{
			{&Box{Keys: from}, &Box{Keys: to}, inJSON},
			{&Passthru{Keys: from}, &Passthru{Keys: to}, legal},
		} {
			a, b := s.from, s.to
			if !originator {
				a, b = b, a
			}
			attrs, payload, sealed, err := a.Seal(&wamp.Subject{URI: wamp.URI(uri), Originator: originator}, args, kwargs)
			if sealed != s.legal || sealed != (err == nil) || err != nil && !errors.Is(err, ErrValue) {
				t.Fatalf("sealed %t, want %t: %v", sealed, s.legal, err)
			}
			if !sealed {
				continue
			}
			gotArgs, gotKwargs, err := b.Open(&wamp.Subject{URI: wamp.URI(uri), Originator: !originator}, &attrs, payload)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(gotKwargs, kwargs) || !math.IsNaN(x) && !reflect.DeepEqual(gotArgs, args) {
				t.Fatalf("%#v %#v became %#v %#v", args, kwargs, gotArgs, gotKwargs)
			}
		}
	})
}

// FuzzParseKeyRing: what is accepted is written, read and written again alike.
func FuzzParseKeyRing(f *testing.F) {
	o, r := sides(f)
	f.Add(ringOf(f, "com.app.", sharedKey(f), o, r).Encode())
	f.Add(new(KeyRing).Encode())
	compact, err := json.Marshal(json.RawMessage(ringOf(f, "", r).Encode()))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(compact)
	f.Add([]byte(`{"format":"blindfold-keyring","version":1,"keys":[],"scramble":[{"prefix":"com.","key":"AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ring, err := ParseKeyRing(data)
		if err != nil {
			return
		}
		once := ring.Encode()
		again, err := ParseKeyRing(once)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(again.Encode(), once) || again.String() != ring.String() {
			t.Fatalf("%s became %s", ring, again)
		}
	})
}

// FuzzScramble: what is scrambled is a URI of the same pattern, and is restored.
func FuzzScramble(f *testing.F) {
	f.Add("com.app.x", uint8(wamp.MatchExact))
	f.Add("com.app.", uint8(wamp.MatchPrefix))
	f.Add("com..x", uint8(wamp.MatchWildcard))
	f.Add("wamp.x", uint8(wamp.MatchExact))
	s := scramblerOf(f, "com.", "com.app.secret")
	f.Fuzz(func(t *testing.T, uri string, match uint8) {
		m := wamp.Match(match % 3)
		out, err := s.Scramble(wamp.URI(uri), m)
		if err != nil {
			if !errors.Is(err, ErrURI) {
				t.Fatal(err)
			}
			return
		}
		if !out.Valid(m) {
			t.Fatalf("%q scrambled is %q", uri, out)
		}
		if m != wamp.MatchExact || looksScrambled(wamp.URI(uri)) {
			return
		}
		if back, ok := s.Restore(out); !ok || back != wamp.URI(uri) {
			t.Fatalf("%q came back as %q, %t", uri, back, ok)
		}
	})
}
