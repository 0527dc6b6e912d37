package codec

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// payloadOf decodes a PUBLISH with the tail given and returns its payload.
func payloadOf(t testing.TB, s wamp.Serializer, elements int, tail string) wamp.Payload {
	t.Helper()
	m, err := NewDecoder().Decode(s, publish(s, elements, []byte(tail)))
	if err != nil {
		t.Fatal(err)
	}
	return m.(*wamp.Publish).Payload.Clone()
}

func refusal(t testing.TB, err error) *wamp.Refusal {
	t.Helper()
	var r *wamp.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("not a refusal: %v", err)
	}
	return r
}

func TestValuesSurviveEveryConversion(t *testing.T) {
	list := make([]any, 70000) // past every short form of a length
	for i := range list {
		list[i] = int64(i)
	}
	dict := map[string]any{}
	for i := range 300 {
		dict[strings.Repeat("k", i)] = nil
	}
	args := []any{
		nil, true, false, int64(0), int64(1), int64(-1), int64(-32), int64(-33), int64(-129), int64(-32769),
		int64(math.MinInt32) - 1, int64(math.MaxInt64), int64(math.MinInt64), uint64(math.MaxUint64), int64(127), int64(128),
		int64(255), int64(256), int64(65535), int64(65536), int64(1 << 32), 1.0, -0.5, 1e300, 1e21, 5e-324, 1e-7,
		math.MaxFloat64, "", "é😀\u2028\"\\/\n\t\x01\x7f", strings.Repeat("x", 300), strings.Repeat("y", 70000),
		[]byte{}, []byte{0}, []byte("\xff\xfe"), bytes.Repeat([]byte{1}, 300), bytes.Repeat([]byte{2}, 70000),
		[]any{}, []any{[]any{[]any{}}}, list, map[string]any{}, dict,
	}
	kwargs := map[string]any{"": "", "\x00key": []byte("v"), "nested": map[string]any{"a": []any{1.5}}}
	for _, from := range wamp.Serializers {
		p, err := EncodePayload(from, args, kwargs)
		if err != nil {
			t.Fatal(err)
		}
		for _, to := range wamp.Serializers {
			c, err := Convert(&p, to)
			if err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			if c.Serializer() != to || c.Opaque() || c.Args() != len(args) || c.Kwargs() != len(kwargs) || c.Size() != c.WireSize() {
				t.Errorf("%v to %v: %v, %d args, %d kwargs, size %d", from, to, c, c.Args(), c.Kwargs(), c.Size())
			}
			gotArgs, gotKwargs, err := c.Decode()
			if err != nil {
				t.Fatalf("%v to %v: %v", from, to, err)
			}
			for i := range args {
				if !reflect.DeepEqual(gotArgs[i], args[i]) {
					t.Errorf("%v to %v: %.40v (%T) became %.40v (%T)", from, to, args[i], args[i], gotArgs[i], gotArgs[i])
				}
			}
			if !reflect.DeepEqual(gotKwargs, kwargs) {
				t.Errorf("%v to %v: %v became %v", from, to, kwargs, gotKwargs)
			}
		}
	}
}

func TestConvertClear(t *testing.T) {
	for _, c := range []struct {
		name     string
		from     wamp.Serializer
		elements int
		tail     string
		to       wamp.Serializer
		want     string // the tail
		problem  string // or what the refusal's text says
	}{
		{"float stays one", wamp.MsgPack, 1, "\x91\xca\x3f\x80\x00\x00", wamp.JSON, `[1.0]`, ""},
		{"half float", wamp.CBOR, 1, "\x82\xf9\x3c\x00\xf9\x80\x01", wamp.JSON, `[1.0,-5.960464477539063e-08]`, ""},
		{"undefined", wamp.CBOR, 1, "\x81\xf7", wamp.JSON, `[null]`, ""},
		{"indefinite lengths", wamp.CBOR, 2, "\x9f\x5f\x41\x01\x41\x02\xff\x7f\x61a\xff\xff\xbf\x61k\x9f\xff\xff", wamp.MsgPack, "\x92\xc4\x02\x01\x02\xa1a\x81\xa1k\x90", ""},
		{"tag 64", wamp.CBOR, 1, "\x82\x01\xd8\x40\x41\x01", wamp.JSON, `[1,"\u0000AQ=="]`, ""},
		{"JSON with spaces", wamp.JSON, 2, `[ 1 , "\u0000AQ==" ] , { "k" : -1 }`, wamp.CBOR, "\x82\x01\x41\x01\xa1\x61k\x20", ""},
		{"JSON with escaped slashes", wamp.JSON, 1, `[1,"\u0000\/\/\/\/"]`, wamp.MsgPack, "\x92\x01\xc4\x03\xff\xff\xff", ""},
		{"empty keywords are left out", wamp.JSON, 2, `[],{}`, wamp.MsgPack, "\x90", ""},
		{"signed positive", wamp.MsgPack, 1, "\x91\xd3\x00\x00\x00\x00\x00\x00\x00\x05", wamp.CBOR, "\x81\x05", ""},
		{"keys that are no strings", wamp.MsgPack, 1, "\x91\x81\x01\xc0", wamp.CBOR, "\x81\xa1\x01\xf6", ""},
		{"NaN to CBOR", wamp.MsgPack, 1, "\x91\xca\x7f\xc0\x00\x00", wamp.CBOR, "\x81\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00", ""},

		{"text that begins with NUL", wamp.MsgPack, 1, "\x91\xa2\x00a", wamp.JSON, "", problemNUL},
		{"NaN", wamp.MsgPack, 1, "\x91\xca\x7f\xc0\x00\x00", wamp.JSON, "", problemNaN},
		{"infinity", wamp.CBOR, 1, "\x81\xf9\x7c\x00", wamp.JSON, "", problemNaN},
		{"key that is no string", wamp.MsgPack, 1, "\x91\x81\x01\xc0", wamp.JSON, "", problemKey},
		{"key that is a binary", wamp.CBOR, 1, "\x81\xa1\x41\x01\xf6", wamp.JSON, "", problemKey},
		{"tag", wamp.CBOR, 1, "\x81\xc0\x61a", wamp.MsgPack, "", "a CBOR tag"},
		{"tag of a binary", wamp.CBOR, 1, "\x81\xc2\x41\x01", wamp.JSON, "", "a CBOR tag"},
		{"simple value", wamp.CBOR, 1, "\x81\xe0", wamp.MsgPack, "", "a CBOR simple value"},
		{"integer below -2^63", wamp.CBOR, 1, "\x81\x3b\xff\xff\xff\xff\xff\xff\xff\xff", wamp.JSON, "", "an integer below"},
		{"extension", wamp.MsgPack, 1, "\x91\xd4\x01\x02", wamp.CBOR, "", "a MessagePack extension"},
		{"1e400", wamp.JSON, 1, `[1e400]`, wamp.CBOR, "", "a number out of range"},
		{"2^64", wamp.JSON, 1, `[18446744073709551616]`, wamp.CBOR, "", "a number out of range"},
		{"-2^63-1", wamp.JSON, 1, `[-9223372036854775809]`, wamp.MsgPack, "", "a number out of range"},
	} {
		p := payloadOf(t, c.from, c.elements, c.tail)
		out, err := Convert(&p, c.to)
		if c.problem != "" {
			if r := refusal(t, err); r.Reason != wamp.ReasonInconvertible || r.URI != wamp.ErrInvalidArgument || r.Fatal || !strings.Contains(r.Text, c.problem) {
				t.Errorf("%s: %+v", c.name, r)
			}
			// A receiver with its serializer gets it unchanged.
			if same, err := Convert(&p, c.from); err != nil || string(same.AppendTail(nil)) != c.tail {
				t.Errorf("%s: the same serializer: %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := string(out.AppendTail(nil)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
		if back := payloadOf(t, c.to, out.Elements(), c.want); !samePayload(&back, &out) {
			t.Errorf("%s: the facts are %#v, decoded %#v", c.name, out, back)
		}
	}
}

func TestConvertOpaque(t *testing.T) {
	data := []byte("\x00\xff sealed")
	for _, from := range wamp.Serializers {
		for _, form := range wamp.Forms {
			for _, to := range wamp.Serializers {
				p := BinaryPayload(from, form, data)
				out, err := Convert(&p, to)
				if from == to {
					if err != nil || !samePayload(&out, &p) {
						t.Errorf("%v to itself: %v, %v", from, out, err)
					}
					continue
				}
				r := refusal(t, err)
				if r.Reason != wamp.ReasonConversion || r.URI != wamp.ErrConversionRefused || r.Fatal ||
					!strings.Contains(r.Text, from.String()) || !strings.Contains(r.Text, to.String()) || !strings.Contains(r.Text, "conversion: reframe") {
					t.Errorf("%v to %v: %+v", from, to, r)
				}
				p.PermitReframing()
				out, err = Convert(&p, to)
				if err != nil {
					t.Fatal(err)
				}
				want := BinaryPayload(to, form, data)
				want.PermitReframing()
				if !samePayload(&out, &want) {
					t.Errorf("%v to %v: got %q, want %q", from, to, out.AppendTail(nil), want.AppendTail(nil))
				}
			}
		}
	}
}

// Permission to reframe a binary is none to look into anything else.
func TestReframingIsForBinaries(t *testing.T) {
	for _, tail := range []string{`[{"secret":1}]`, `["text"]`, `[]`, `["\u0000AA==","\u0000AA=="]`, `["\u0000AA=="],{"k":1}`} {
		elements := 1 + strings.Count(tail, `],{`)
		frame := `[16,1,{"ppt_scheme":"x"},"com.a",` + tail + `]`
		m, err := NewDecoder().Decode(wamp.JSON, []byte(frame))
		if err != nil {
			t.Fatal(err)
		}
		p := &m.(*wamp.Publish).Payload
		if p.Elements() != elements || !p.Opaque() {
			t.Fatalf("%s: %d elements, opaque %v", tail, p.Elements(), p.Opaque())
		}
		p.PermitReframing()
		if _, err := Convert(p, wamp.CBOR); err == nil || refusal(t, err).Reason != wamp.ReasonConversion {
			t.Errorf("%s: %v", tail, err)
		}
		if data, ok := Binary(p); ok {
			t.Errorf("%s is taken for the binary %q", tail, data)
		}
	}
	none := wamp.NewPayload(nil, nil, wamp.PayloadFacts{Opaque: true})
	if out, err := Convert(&none, wamp.CBOR); err != nil || !out.Opaque() {
		t.Error("an opaque payload without elements is the same in every serializer:", err)
	}
}

func TestBinary(t *testing.T) {
	for _, s := range wamp.Serializers {
		for _, form := range wamp.Forms {
			for _, data := range [][]byte{{}, {0}, bytes.Repeat([]byte("abc"), 30000)} {
				p := BinaryPayload(s, form, data)
				if got, ok := Binary(&p); !ok || !bytes.Equal(got, data) || !p.Opaque() || p.Size() != len(data) {
					t.Errorf("%v %v: %v %.20q", s, form, ok, got)
				}
			}
		}
		clear, err := EncodePayload(s, []any{[]byte("clear")}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Binary(&clear); ok {
			t.Errorf("%v: a clear payload is none of Binary's business", s)
		}
	}
	p := payloadOf(t, wamp.CBOR, 1, "\xd8\x40\x5f\x41a\x41b\xff")
	if got, ok := Binary(&p); !ok || string(got) != "ab" {
		t.Errorf("tagged, of indefinite length: %q, %v", got, ok)
	}
}

func TestEncodePayload(t *testing.T) {
	type word string
	n := 7
	var nothing *int
	args := []any{
		int8(-1), int16(-2), int32(-3), uint(4), uint8(5), uint16(6), uint32(7), float32(0.5), wamp.URI("com.a"), wamp.ID(9), &n, nothing,
		[]string{"a"}, []int{1}, [2]bool{true, false}, []map[string]any{{"k": 1}}, map[string]string{"a": "b"}, map[word]int{"w": 1}, [3]byte{1, 2, 3},
		word("x"),
	}
	want := []any{
		int64(-1), int64(-2), int64(-3), int64(4), int64(5), int64(6), int64(7), 0.5, "com.a", int64(9), int64(7), nil,
		[]any{"a"}, []any{int64(1)}, []any{true, false}, []any{map[string]any{"k": int64(1)}}, map[string]any{"a": "b"}, map[string]any{"w": int64(1)}, []byte{1, 2, 3},
		"x",
	}
	loop := []any{nil}
	loop[0] = loop
	var ring any
	ring = &ring
	for _, s := range wamp.Serializers {
		p, err := EncodePayload(s, args, nil)
		if err != nil {
			t.Fatal(err)
		}
		got, kwargs, err := p.Decode()
		if err != nil || kwargs != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: got %v, want %v, %v", s, got, want, err)
		}
		for name, bad := range map[string]any{
			"struct": struct{}{}, "channel": make(chan int), "a list in itself": loop, "a pointer to itself": ring,
			"not UTF-8": "\xff", "key not UTF-8": map[string]any{"\xff": 1}, "key of a map": map[int]int{1: 1}, "complex": 1i,
		} {
			if _, err := EncodePayload(s, []any{bad}, nil); err == nil || refusal(t, err).Reason != wamp.ReasonInconvertible {
				t.Errorf("%v: %s: %v", s, name, err)
			}
		}
		if p, err := EncodePayload(s, []any{}, map[string]any{}); err != nil || p.Elements() != 0 {
			t.Errorf("%v: nothing is encoded as %d elements, %v", s, p.Elements(), err)
		}
		p, err = EncodePayload(s, nil, map[string]any{"b": 1, "a": 2})
		if err != nil {
			t.Fatal(err)
		}
		if args, kwargs, err := p.Decode(); err != nil || len(args) != 0 || len(kwargs) != 2 {
			t.Errorf("%v: got %v, %v, %v", s, args, kwargs, err)
		}
	}
	for _, bad := range []any{math.NaN(), math.Inf(-1), "\x00"} {
		if _, err := EncodePayload(wamp.JSON, []any{bad}, nil); err == nil {
			t.Errorf("JSON took %v", bad)
		}
		if _, err := EncodePayload(wamp.CBOR, []any{bad}, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestDecodePayloadRefuses(t *testing.T) {
	for _, c := range []struct {
		s       wamp.Serializer
		tail    string
		problem string
	}{
		{wamp.JSON, `[{"a":1,"\u0061":2}]`, "a key twice"},
		{wamp.JSON, `[1e999]`, "a number out of range"},
		{wamp.MsgPack, "\x91\x81\x01\x02", problemKey},
		{wamp.MsgPack, "\x91\xd4\x01\x02", "extension"},
		{wamp.CBOR, "\x81\xc1\x01", "a CBOR tag"},
	} {
		p := payloadOf(t, c.s, 1, c.tail)
		if _, _, err := p.Decode(); err == nil || !strings.Contains(refusal(t, err).Text, c.problem) {
			t.Errorf("%q: %v", c.tail, err)
		}
	}
}
