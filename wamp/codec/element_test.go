package codec

import (
	"bytes"
	"errors"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// An opaque binary becomes a part of another payload, in any serializer.
func TestElements(t *testing.T) {
	data := []byte{0, 1, 2, 0xff}
	for _, from := range wamp.Serializers {
		for _, form := range wamp.Forms {
			p := BinaryPayload(from, form, data)
			for _, to := range wamp.Serializers {
				p.PermitReframing()
				v, err := Elements(&p, to)
				if err != nil || len(v) != 1 {
					t.Fatalf("%s %s to %s: %v, %v", from, form, to, v, err)
				}
				outer, err := EncodePayload(to, []any{"before", v[0], "after"}, nil)
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

// What is no binary stays in its serializer, unless it is clear.
func TestElementsNoBinary(t *testing.T) {
	frame := []byte(`[16,1,{"ppt_scheme":"x_native"},"a.b",[{"a":1}],{}]`)
	m, err := NewDecoder().Decode(wamp.JSON, frame)
	if err != nil {
		t.Fatal(err)
	}
	p := &m.(*wamp.Publish).Payload
	v, err := Elements(p, wamp.JSON)
	if err != nil || len(v) != 2 {
		t.Fatal(v, err)
	}
	outer, err := EncodePayload(wamp.JSON, v[:1], nil)
	if err != nil || string(outer.AppendTail(nil)) != `[[{"a":1}]]` {
		t.Errorf("%s, %v", outer.AppendTail(nil), err)
	}
	var refusal *wamp.Refusal
	if _, err := Elements(p, wamp.CBOR); !errors.As(err, &refusal) || refusal.Reason != wamp.ReasonConversion {
		t.Errorf("to another serializer: %v", err)
	}
	if _, err := EncodePayload(wamp.CBOR, v, nil); err == nil {
		t.Error("an element of JSON was put into CBOR")
	}
	binary := BinaryPayload(wamp.JSON, wamp.FormTransparency, []byte{1})
	if _, err := Elements(&binary, wamp.CBOR); !errors.As(err, &refusal) || refusal.Reason != wamp.ReasonConversion {
		t.Errorf("a binary that must not be reframed: %v", err)
	}
	clear, err := EncodePayload(wamp.MsgPack, []any{int64(1)}, map[string]any{"k": "v"})
	if err != nil {
		t.Fatal(err)
	}
	if v, err = Elements(&clear, wamp.JSON); err != nil || len(v) != 2 {
		t.Fatal(v, err)
	}
	if outer, err = EncodePayload(wamp.JSON, v, nil); err != nil || string(outer.AppendTail(nil)) != `[[1],{"k":"v"}]` {
		t.Errorf("%s, %v", outer.AppendTail(nil), err)
	}
	if v, err := Elements(&wamp.Payload{}, wamp.CBOR); v != nil || err != nil {
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
