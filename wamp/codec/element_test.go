package codec

import (
	"bytes"
	"errors"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// An opaque binary becomes a part of another payload, in any serializer.
func TestElement(t *testing.T) {
	data := []byte{0, 1, 2, 0xff}
	for _, from := range wamp.Serializers {
		for _, form := range wamp.Forms {
			p := BinaryPayload(from, form, data)
			for _, to := range wamp.Serializers {
				v, err := Element(&p, to)
				if err != nil {
					t.Fatalf("%s %s to %s: %v", from, form, to, err)
				}
				outer, err := EncodePayload(to, []any{"before", v, "after"}, nil)
				if err != nil {
					t.Fatal(err)
				}
				args, _, err := outer.Decode()
				if err != nil || len(args) != 3 || args[2] != "after" {
					t.Fatalf("%s %s in %s: %v, %v", from, form, to, args, err)
				}
				got := args[1]
				if list, ok := got.([]any); ok && form == wamp.FormPassthru && len(list) == 1 {
					got = list[0]
				}
				if b, ok := got.([]byte); !ok || !bytes.Equal(b, data) {
					t.Errorf("%s %s in %s: %v", from, form, to, args[1])
				}
			}
		}
	}
}

// What is no binary stays in its serializer; what follows the first element stays
// out.
func TestElementNoBinary(t *testing.T) {
	frame := []byte(`[16,1,{"ppt_scheme":"x_native"},"a.b",[{"a":1}],{}]`)
	m, err := NewDecoder().Decode(wamp.JSON, frame)
	if err != nil {
		t.Fatal(err)
	}
	p := &m.(*wamp.Publish).Payload
	v, err := Element(p, wamp.JSON)
	if err != nil {
		t.Fatal(err)
	}
	outer, err := EncodePayload(wamp.JSON, []any{v}, nil)
	if err != nil || string(outer.AppendTail(nil)) != `[[{"a":1}]]` {
		t.Errorf("%s, %v", outer.AppendTail(nil), err)
	}
	var refusal *wamp.Refusal
	if _, err := Element(p, wamp.CBOR); !errors.As(err, &refusal) || refusal.Reason != wamp.ReasonConversion {
		t.Errorf("to another serializer: %v", err)
	}
	if _, err := EncodePayload(wamp.CBOR, []any{v}, nil); err == nil {
		t.Error("an element of JSON was put into CBOR")
	}
	if p.MayReframe() {
		t.Error("the payload itself was changed")
	}
	if v, err := Element(&wamp.Payload{}, wamp.CBOR); v != nil || err != nil {
		t.Errorf("nothing: %v, %v", v, err)
	}
}

// What JavaScript encoders write for undefined is an option that is absent.
func TestUndefinedIsAbsent(t *testing.T) {
	for s, frame := range map[wamp.Serializer]string{
		wamp.MsgPack: "\x94\x20\x01\x81\xacget_retained\xd4\x00\x00\xa3a.b",
		wamp.CBOR:    "\x84\x18\x20\x01\xa1\x6cget_retained\xf7\x63a.b",
	} {
		m, err := NewDecoder().Decode(s, []byte(frame))
		if err != nil {
			t.Fatalf("%s: %v", s, err)
		}
		if o := m.(*wamp.Subscribe).Options; o.GetRetained != wamp.Unset {
			t.Errorf("%s: %+v", s, o)
		}
	}
}
