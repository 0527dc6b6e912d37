package codec

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/fxamacker/cbor/v2"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/tinylib/msgp/msgp"
)

func FuzzDecodeJSON(f *testing.F)    { fuzzDecode(f, wamp.JSON) }
func FuzzDecodeMsgpack(f *testing.F) { fuzzDecode(f, wamp.MsgPack) }
func FuzzDecodeCBOR(f *testing.F)    { fuzzDecode(f, wamp.CBOR) }

func seed(f *testing.F, s wamp.Serializer, add func([]byte)) {
	good, bad := vectors(f)
	for _, v := range append(good, bad...) {
		if v.serializer() == s {
			add(v.frame(f))
		}
	}
}

func fuzzDecode(f *testing.F, s wamp.Serializer) {
	seed(f, s, func(b []byte) { f.Add(b) })
	f.Fuzz(func(t *testing.T, frame []byte) {
		checkWellFormed(t, s, frame)
		whole := bytes.Clone(frame)
		m, err := NewDecoder().Decode(s, frame)
		if err != nil {
			var r *wamp.Refusal
			if !errors.As(err, &r) || !r.Fatal {
				t.Fatalf("not a violation: %v", err)
			}
			return
		}
		if problem := foreign(s, frame); problem != nil {
			t.Fatalf("taken for %T, but: %v", m, problem)
		}
		tail := checkTail(t, frame, m)
		once, err := Append(nil, s, m)
		if err != nil {
			t.Fatalf("decoded, not encoded: %v", err)
		}
		again, err := NewDecoder().Decode(s, once)
		if err != nil {
			t.Fatalf("%q: encoded, not decoded: %v", once, err)
		}
		if other := checkTail(t, once, again); !bytes.Equal(other, tail) {
			t.Fatalf("tail %q became %q", tail, other)
		}
		if twice, err := Append(nil, s, again); err != nil || !bytes.Equal(twice, once) {
			t.Fatalf("%q, then %q, %v", once, twice, err)
		}
		if !bytes.Equal(frame, whole) {
			t.Fatal("the frame was changed")
		}
	})
}

// checkTail returns the bytes of the message's payload, which are the frame's.
func checkTail(t *testing.T, frame []byte, m wamp.Message) []byte {
	c, ok := m.(wamp.Carrier)
	if !ok {
		return nil
	}
	p, _ := c.Carried()
	tail := p.AppendTail(nil)
	if !bytes.Contains(frame, tail) {
		t.Fatalf("the tail %q is not of the frame", tail)
	}
	if _, _, err := p.Decode(); (err == wamp.ErrOpaque) != p.Opaque() {
		t.Fatalf("decoding the payload: %v", err)
	}
	return tail
}

// foreign returns what the serializer's library has against data.
func foreign(s wamp.Serializer, data []byte) error {
	switch s {
	case wamp.JSON:
		if !jsontext.Value(data).IsValid(jsontext.AllowDuplicateNames(true)) {
			return errors.New("not JSON")
		}
		return nil
	case wamp.MsgPack:
		rest, err := msgp.Skip(data)
		if err == nil && len(rest) > 0 {
			err = errors.New("bytes behind the value")
		}
		return err
	}
	return cborMode.Wellformed(data)
}

var cborMode = func() cbor.DecMode {
	mode, err := cbor.DecOptions{MaxNestedLevels: 65535, MaxArrayElements: 1 << 30, MaxMapPairs: 1 << 30}.DecMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

// checkWellFormed compares skipping with the library, on data as one value.
func checkWellFormed(t *testing.T, s wamp.Serializer, data []byte) {
	var rs readers
	var w walker
	r := rs.of(s)
	r.open(data, 1)
	fault := w.skip(r, maxPayloadDepth, noItemLimit)
	if fault == "" && !r.atEnd() {
		fault = "bytes behind the value"
	}
	theirs := foreign(s, data)
	if fault == "" && theirs != nil {
		t.Fatalf("%q: passes, but: %v", data, theirs)
	}
	switch fault {
	case "", faultDepth, faultBase64:
	case faultText:
		if s == wamp.JSON && theirs == nil {
			t.Fatalf("%q: %s", data, fault)
		}
	default:
		if theirs == nil {
			t.Fatalf("%q: %s, but the library takes it", data, fault)
		}
	}
}

func FuzzConvert(f *testing.F) {
	for _, s := range wamp.Serializers {
		seed(f, s, func(b []byte) { f.Add(byte(s), b) })
	}
	f.Fuzz(func(t *testing.T, from byte, frame []byte) {
		s := wamp.Serializer(from)
		if !s.Valid() {
			return
		}
		m, err := NewDecoder().Decode(s, frame)
		if err != nil {
			return
		}
		c, ok := m.(wamp.Carrier)
		if !ok {
			return
		}
		p, a := c.Carried()
		original := *p
		if original.Opaque() {
			original.PermitReframing()
		}
		for _, to := range wamp.Serializers {
			converted, err := Convert(&original, to)
			if err != nil {
				if r := refusal(t, err); r.Fatal || r.Reason != wamp.ReasonConversion && r.Reason != wamp.ReasonInconvertible ||
					strings.Contains(r.Text, "malformed") {
					t.Fatalf("%+v", r)
				}
				continue
			}
			carrier := &wamp.Publish{Request: 1, Options: wamp.PublishOptions{Attributes: *a}, Topic: "com.a", Payload: converted}
			out, err := Append(nil, to, carrier)
			if err != nil {
				if _, isRefusal := err.(*wamp.Refusal); isRefusal {
					continue // an attribute without counterpart
				}
				t.Fatal(err)
			}
			back, err := NewDecoder().Decode(to, out)
			if err != nil {
				t.Fatalf("%v to %v: %v: %q", s, to, err, out)
			}
			got := &back.(*wamp.Publish).Payload
			if got.Args() != converted.Args() || got.Kwargs() != converted.Kwargs() || got.Size() != converted.Size() ||
				got.Opaque() != converted.Opaque() || got.Shape() != converted.Shape() || got.Elements() != converted.Elements() ||
				got.Args() != original.Args() || got.Kwargs() != original.Kwargs() || got.Opaque() != original.Opaque() {
				t.Fatalf("%v to %v: %#v, %#v, %#v", s, to, original, converted, *got)
			}
			if want, ok := canonical(t, &original); ok {
				if have, ok := canonical(t, got); !ok || !bytes.Equal(have, want) {
					t.Fatalf("%v to %v: %x became %x", s, to, want, have)
				}
			}
			if want, ok := Binary(&original); ok {
				if have, ok := Binary(got); !ok || !bytes.Equal(have, want) {
					t.Fatalf("%v to %v: the binary changed", s, to)
				}
			}
		}
	})
}

// canonical returns the values of a clear payload, as CBOR with ordered keys.
func canonical(t *testing.T, p *wamp.Payload) ([]byte, bool) {
	args, kwargs, err := p.Decode()
	if err != nil {
		return nil, false
	}
	c, err := EncodePayload(wamp.CBOR, args, kwargs)
	if err != nil {
		t.Fatal(err)
	}
	return c.AppendTail(nil), true
}
