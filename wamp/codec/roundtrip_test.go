package codec

import (
	"bytes"
	"fmt"
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// allTypes returns an empty message of each type.
func allTypes() (all []wamp.Message) {
	for t := wamp.MessageType(0); t < 100; t++ {
		if m := wamp.New(t); m != nil {
			all = append(all, m)
		}
	}
	return all
}

func allFeatures() (set wamp.Features) {
	for f := wamp.Feature(0); f.String() != "unknown"; f++ {
		set.Add(f)
	}
	return set
}

// fill sets every field of a message to a value of its own.
func fill(t *testing.T, v reflect.Value, s wamp.Serializer, n *uint64) {
	t.Helper()
	*n++
	switch x := v.Addr().Interface().(type) {
	case *wamp.Payload:
		*x = BinaryPayload(s, wamp.FormPassthru, []byte("content"))
		return
	case *wamp.Features:
		*x = allFeatures()
		return
	case *wamp.MessageType:
		*x = wamp.TypeCall
		return
	case *wamp.Flag:
		*x = wamp.False
		return
	case *[]any:
		*x = []any{int64(-1), "x", nil, []byte{1}, map[string]any{"k": 1.5}}
		return
	case *map[string]any:
		*x = map[string]any{"a": []any{true}, "b": map[string]any{}}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), s, n)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("text \"%d\" é😀\n\x01", *n))
	case reflect.Uint64:
		v.SetUint(*n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(t, v.Index(0), s, n)
		fill(t, v.Index(1), s, n)
	default:
		t.Fatalf("a field of type %v", v.Type())
	}
}

// Every field of every message is written, and read back to where it came
// from. It is what keeps each Dict's Field and Write in step.
func TestRoundTripFull(t *testing.T) {
	for _, s := range wamp.Serializers {
		for _, m := range allTypes() {
			t.Run(s.String()+"/"+m.Type().String(), func(t *testing.T) {
				n := uint64(0)
				fill(t, reflect.ValueOf(m).Elem(), s, &n)
				checkRoundTrip(t, s, m)
			})
		}
	}
}

// What is unset stays unset: no nulls, no empty strings, no empty dicts.
func TestRoundTripEmpty(t *testing.T) {
	want := map[wamp.MessageType]string{
		wamp.TypePublish:      `[16,1,{},""]`,
		wamp.TypeResult:       `[50,1,{}]`,
		wamp.TypeUnsubscribed: `[35,0]`,
		wamp.TypeUnregistered: `[67,0]`,
		wamp.TypeHello:        `[1,"",{}]`,
		wamp.TypeChallenge:    `[4,"",{}]`,
	}
	for _, s := range wamp.Serializers {
		for _, m := range allTypes() {
			switch m := m.(type) {
			case *wamp.Challenge:
				m.Extra = map[string]any{}
			case *wamp.Authenticate:
				m.Extra = map[string]any{}
			}
			ids := reflect.ValueOf(m).Elem()
			for i := range ids.NumField() {
				switch f := ids.Field(i).Addr().Interface().(type) {
				case *wamp.ID:
					if m.Type() != wamp.TypeUnsubscribed && m.Type() != wamp.TypeUnregistered {
						*f = 1
					}
				case *wamp.MessageType:
					*f = wamp.TypeCall
				}
			}
			out := checkRoundTrip(t, s, m)
			if text, ok := want[m.Type()]; ok && s == wamp.JSON && string(out) != text {
				t.Errorf("got %s, want %s", out, text)
			}
		}
	}
}

func checkRoundTrip(t *testing.T, s wamp.Serializer, m wamp.Message) []byte {
	t.Helper()
	dst := []byte("before")
	out, err := Append(dst, s, m)
	if err != nil {
		t.Fatal(err)
	}
	if string(out[:6]) != "before" {
		t.Fatalf("dst is overwritten: %q", out)
	}
	out = out[6:]
	back, err := NewDecoder().Decode(s, out)
	if err != nil {
		t.Fatalf("%v\n%q", err, out)
	}
	if !same(back, m) {
		t.Fatalf("%q\n got %+v\nwant %+v", out, back, m)
	}
	return out
}

// same compares messages whole. A payload keeps its bytes from reflection, so
// they are compared apart.
func same(a, b wamp.Message) bool {
	c, ok := a.(wamp.Carrier)
	d, too := b.(wamp.Carrier)
	if ok && too {
		p, _ := c.Carried()
		q, _ := d.Carried()
		if !samePayload(p, q) {
			return false
		}
	}
	return reflect.DeepEqual(a, b)
}

func samePayload(p, q *wamp.Payload) bool {
	return reflect.DeepEqual(p, q) && bytes.Equal(p.AppendTail(nil), q.AppendTail(nil))
}

// A decoder's message must show nothing of the message before.
func TestDecoderReuse(t *testing.T) {
	good, _ := vectors(t)
	d := NewDecoder()
	for range 2 {
		for _, v := range good {
			got, err := d.Decode(v.serializer(), v.frame(t))
			if err != nil {
				t.Fatal(err)
			}
			want, err := NewDecoder().Decode(v.serializer(), v.frame(t))
			if err != nil {
				t.Fatal(err)
			}
			if !same(got, want) {
				t.Errorf("%s: got %+v, want %+v", v.Name, got, want)
			}
		}
	}
}

func TestAppendRefuses(t *testing.T) {
	p, err := EncodePayload(wamp.JSON, []any{1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]wamp.Message{
		"payload of another serializer": &wamp.Publish{Request: 1, Payload: p},
		"value without counterpart":     &wamp.Challenge{Extra: map[string]any{"k": make(chan int)}},
	} {
		dst := []byte("before")
		if out, err := Append(dst, wamp.CBOR, m); err == nil || string(out) != "before" {
			t.Errorf("%s: %q, %v", name, out, err)
		}
	}
	nul := &wamp.Goodbye{Details: wamp.Closing{Message: "\x00"}}
	if _, err := Append(nil, wamp.JSON, nul); err == nil {
		t.Error("JSON took a text that begins with NUL")
	}
	if _, err := Append(nil, wamp.MsgPack, nul); err != nil {
		t.Error(err)
	}
	if _, err := Append(nil, 0, nul); err == nil {
		t.Error("encoded without a serializer")
	}
	if _, err := NewDecoder().Decode(0, []byte("[]")); err == nil {
		t.Error("decoded without a serializer")
	}
}
