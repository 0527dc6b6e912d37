package cryptobox

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/values"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// anySealer is what package client asks of a sealer.
type anySealer interface {
	Keyed(on *wamp.Subject) bool
	Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error)
	Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error)
}

var (
	_ anySealer = (*Box)(nil)
	_ anySealer = (*Passthru)(nil)
	_ anySealer = (*Forms)(nil)
)

// both runs a test on the sealers of both forms.
func both(t *testing.T, run func(t *testing.T, sealer func(ring *KeyRing) anySealer)) {
	t.Run("transparency", func(t *testing.T) {
		run(t, func(ring *KeyRing) anySealer { return &Box{Keys: ring} })
	})
	t.Run("passthru", func(t *testing.T) {
		run(t, func(ring *KeyRing) anySealer { return &Passthru{Keys: ring} })
	})
}

func TestBothDirections(t *testing.T) {
	both(t, func(t *testing.T, sealer func(*KeyRing) anySealer) {
		o, r := sides(t)
		for _, originator := range []bool{true, false} {
			from, to := sealer(ringOf(t, "com.", o)), sealer(ringOf(t, "com.", r))
			if !originator {
				from, to = to, from
			}
			attrs, payload, sealed, err := from.Seal(&wamp.Subject{URI: "com.x", Originator: originator}, []any{"hello", int64(7)}, map[string]any{"k": []byte{0, 1}})
			if err != nil || !sealed {
				t.Fatal(sealed, err)
			}
			if strings.Contains(string(payload), "hello") {
				t.Error("the payload shows its plaintext")
			}
			args, kwargs, err := to.Open(&wamp.Subject{URI: "com.x", Originator: !originator}, &attrs, payload)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(args, []any{"hello", int64(7)}) || !reflect.DeepEqual(kwargs, map[string]any{"k": []byte{0, 1}}) {
				t.Errorf("opened: %v %v", args, kwargs)
			}
			_, again, _, _ := from.Seal(&wamp.Subject{URI: "com.x", Originator: originator}, []any{"hello", int64(7)}, nil)
			if string(again[:nonceSize]) == string(payload[:nonceSize]) {
				t.Error("a nonce was used twice")
			}
		}
	})
}

// TestNeverPlaintext is the promise that Autobahn does not make.
func TestNeverPlaintext(t *testing.T) {
	both(t, func(t *testing.T, sealer func(*KeyRing) anySealer) {
		o, _ := sides(t)
		ring := ringOf(t, "com.secret.", o)
		if err := ring.Add("", sharedKey(t)); err != nil {
			t.Fatal(err)
		}
		cases := []struct {
			name       string
			uri        wamp.URI
			originator bool
			args       []any
			want       error
		}{
			{"private half missing", "com.secret.x", false, nil, ErrNoKey},
			{"no such value", "com.secret.x", true, []any{make(chan int)}, ErrValue},
			{"no such value inside", "com.secret.x", true, []any{[]any{map[string]any{"f": func() {}}}}, ErrValue},
			{"not UTF-8", "com.secret.x", true, []any{"\xff"}, ErrValue},
			{"key not UTF-8", "com.secret.x", true, []any{map[string]any{"\xff": 1}}, ErrValue},
			{"URI not UTF-8", "com.secret.\xff", true, nil, ErrValue},
		}
		for _, c := range cases {
			attrs, payload, sealed, err := sealer(ring).Seal(&wamp.Subject{URI: c.uri, Originator: c.originator}, c.args, nil)
			if !errors.Is(err, c.want) || sealed || payload != nil || attrs != (wamp.Attributes{}) {
				t.Errorf("%s: %v, sealed %t, %d bytes", c.name, err, sealed, len(payload))
			}
		}
	})
}

func TestNoKey(t *testing.T) {
	both(t, func(t *testing.T, sealer func(*KeyRing) anySealer) {
		ring := ringOf(t, "com.secret.", sharedKey(t))
		for _, r := range []*KeyRing{ring, nil, new(KeyRing)} {
			attrs, payload, sealed, err := sealer(r).Seal(&wamp.Subject{URI: "com.open", Originator: true}, []any{1}, nil)
			if err != nil || sealed || payload != nil || attrs != (wamp.Attributes{}) {
				t.Errorf("no key: sealed %t, %v", sealed, err)
			}
		}
		attrs, payload, _, err := sealer(ring).Seal(&wamp.Subject{URI: "com.secret.x", Originator: true}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := sealer(ring).Open(&wamp.Subject{URI: "com.open", Originator: false}, &attrs, payload); !errors.Is(err, ErrNoKey) {
			t.Errorf("opening without a key: %v", err)
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	both(t, func(t *testing.T, sealer func(*KeyRing) anySealer) {
		o, r := sides(t)
		from, to := sealer(ringOf(t, "com.", o)), sealer(ringOf(t, "com.", r))
		attrs, payload, _, err := from.Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{"secret"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		refused := func(name string, want *Error, s anySealer, uri wamp.URI, payload []byte) {
			t.Helper()
			args, kwargs, err := s.Open(&wamp.Subject{URI: uri, Originator: false}, &attrs, payload)
			var e *Error
			if !errors.As(err, &e) || e.ErrorURI() != want.URI || !errors.Is(err, want) {
				t.Errorf("%s: %v", name, err)
			}
			if args != nil || kwargs != nil {
				t.Errorf("%s: opened", name)
			}
		}
		refused("another URI", ErrURIMismatch, to, "com.y", payload)
		for i := range payload {
			flipped := append([]byte(nil), payload...)
			flipped[i] ^= 1
			refused("flipped bit", ErrDecrypt, to, "com.x", flipped)
			refused("cut", ErrDecrypt, to, "com.x", payload[:i])
		}
		// Of a key that another prefix has: the payload's own keyid names no key.
		_, stranger := sides(t)
		want := ErrDecrypt
		if attrs.PPTKeyID != "" {
			want = ErrNoKey
		}
		refused("another key", want, sealer(ringOf(t, "com.", stranger)), "com.x", payload)
		attrs.PPTKeyID = ""
		refused("another key, unnamed", ErrDecrypt, sealer(ringOf(t, "com.", stranger)), "com.x", payload)
		refused("the originator's half only", ErrNoKey, from, "com.x", payload)
		for _, change := range []func(*wamp.Attributes){
			func(a *wamp.Attributes) { a.EncAlgo, a.PPTScheme = "x_other", "x_other" },
			func(a *wamp.Attributes) { a.EncSerializer, a.PPTSerializer = "msgpack", "flatbuffers" },
			func(a *wamp.Attributes) { *a = wamp.Attributes{} },
		} {
			good := attrs
			change(&attrs)
			refused("other attributes", ErrNoKey, to, "com.x", payload)
			attrs = good
		}
	})
}

// TestWhatIsInside opens genuine payloads whose plaintext is not what it should be.
func TestWhatIsInside(t *testing.T) {
	key := sharedKey(t)
	ring := ringOf(t, "", key)
	cases := []struct {
		plain string
		want  error
	}{
		{`{"uri":"com.x","args":null,"kwargs":null}`, nil},
		{` { "kwargs" : {} , "args" : [ ] , "other" : {"a":[1]} , "uri" : "com.x" } `, nil},
		{`{"uri":"com.x"}`, nil},
		{``, ErrDecrypt}, {`null`, ErrDecrypt}, {`[]`, ErrDecrypt}, {`{`, ErrDecrypt},
		{`{"uri":"com.x"} x`, ErrDecrypt}, {`{"uri":"com.x"}{}`, ErrDecrypt},
		{`{"uri":"com.x","args":{}}`, ErrDecrypt}, {`{"uri":"com.x","args":"a"}`, ErrDecrypt},
		{`{"uri":"com.x","kwargs":[]}`, ErrDecrypt}, {`{"uri":1}`, ErrDecrypt}, {`{"uri":null}`, ErrDecrypt},
		{`{"uri":"com.x","uri":"com.x"}`, ErrDecrypt},
		{`{"uri":"com.x","args":[{"a":1,"a":2}]}`, ErrDecrypt},
		{"{\"uri\":\"com.x\",\"args\":[\"\xff\"]}", ErrDecrypt},
		{`{"uri":"com.x","args":["\u0000?"]}`, ErrDecrypt},
		{`{"uri":"com.x","args":[18446744073709551616]}`, ErrDecrypt},
		{`{"uri":"com.x","args":[1e400]}`, ErrDecrypt}, {`{"uri":"com.x","args":[NaN]}`, ErrDecrypt},
		{`{"uri":"com.x","args":[` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `]}`, ErrDecrypt},
		{`{"args":[],"kwargs":{}}`, ErrURIMismatch}, {`{"uri":"com.xx"}`, ErrURIMismatch}, {`{"uri":""}`, ErrURIMismatch},
		{"{\"uri\":\"\\u0000Y29tLng=\"}", ErrDecrypt}, // the URI as a binary
	}
	for _, c := range cases {
		payload := seal(key.side(true), newNonce(), []byte(c.plain))
		attrs := boxAttributes
		if _, _, err := (&Box{Keys: ring}).Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload); !errors.Is(err, c.want) {
			t.Errorf("%.60s: %v, want %v", c.plain, err, c.want)
		}
	}
	inCBOR := []struct {
		plain map[any]any
		want  error
	}{
		{map[any]any{"uri": "com.x", "args": []any{}, "kwargs": map[string]any{}}, nil},
		{map[any]any{"uri": "com.x", "args": nil, "more": 1}, nil},
		{map[any]any{"args": []any{}}, ErrURIMismatch},
		{map[any]any{"uri": "com.y"}, ErrURIMismatch},
		{map[any]any{"uri": []byte("com.x")}, ErrDecrypt},
		{map[any]any{"uri": nil}, ErrDecrypt},
		{map[any]any{"uri": "com.x", "args": map[string]any{}}, ErrDecrypt},
		{map[any]any{"uri": "com.x", "kwargs": map[any]any{1: 1}}, ErrDecrypt},
		{map[any]any{1: 1}, ErrDecrypt},
	}
	for _, c := range inCBOR {
		plain, err := values.Encoding.Marshal(c.plain)
		if err != nil {
			t.Fatal(err)
		}
		attrs := passthruAttributes
		payload := seal(key.side(true), newNonce(), plain)
		if _, _, err := (&Passthru{Keys: ring}).Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload); !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.plain, err, c.want)
		}
	}
	for _, plain := range []string{"", "\xf6", "\x80", "\xa1", "\xa0\xa0", "\xa2\x63uri\x65com.x\x63uri\x65com.x", "\xa1\x64args\x81\xc2\x49\x01\x00\x00\x00\x00\x00\x00\x00\x00"} {
		attrs := passthruAttributes
		payload := seal(key.side(true), newNonce(), []byte(plain))
		if _, _, err := (&Passthru{Keys: ring, AllowUnbound: true}).Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload); !errors.Is(err, ErrDecrypt) {
			t.Errorf("%x: %v", plain, err)
		}
	}
}

func TestAllowUnbound(t *testing.T) {
	key := sharedKey(t)
	s := &Passthru{Keys: ringOf(t, "", key), AllowUnbound: true}
	attrs := passthruAttributes
	// {"args": [64(h'0102')], "kwargs": {}}
	args, _, err := s.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, seal(key.side(true), newNonce(), []byte("\xa2\x64args\x81\xd8\x40\x42\x01\x02\x66kwargs\xa0")))
	if err != nil || !reflect.DeepEqual(args, []any{[]byte{1, 2}}) {
		t.Errorf("%v, %v", args, err)
	}
	if _, _, err = s.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, seal(key.side(true), newNonce(), []byte("\xa1\x63uri\x65com.y"))); !errors.Is(err, ErrURIMismatch) {
		t.Errorf("bound to another URI: %v", err)
	}
}

type textType string

func TestValues(t *testing.T) {
	text := "x"
	var none *string
	in := []any{
		nil, true, 1, int8(-1), uint16(2), uint64(math.MaxInt64), uint64(math.MaxUint64), int64(math.MinInt64),
		float32(0.5), 1.0, -0.25, 1e16, 1e-5, 1e300, 5e-324, 123456789012345.0, math.Copysign(0, -1),
		"", "ünï € 𝄞 <&>\u2028 \"\\/\b\f\n\r\t\x01\x7f", "a\x00b", textType("n"), &text, none,
		[]byte{}, []byte{0, 255}, [2]byte{1, 2}, []byte(nil), []int{1}, []string(nil), [1]bool{true},
		map[string]int{"b": 1, "a": 2}, map[textType]any{"\x00": nil}, map[string]any(nil), []any{[]any{}},
	}
	want := []any{
		nil, true, int64(1), int64(-1), int64(2), int64(math.MaxInt64), uint64(math.MaxUint64), int64(math.MinInt64),
		0.5, 1.0, -0.25, 1e16, 1e-5, 1e300, 5e-324, 123456789012345.0, math.Copysign(0, -1),
		"", "ünï € 𝄞 <&>\u2028 \"\\/\b\f\n\r\t\x01\x7f", "a\x00b", "n", "x", nil,
		[]byte{}, []byte{0, 255}, []byte{1, 2}, []byte{}, []any{int64(1)}, []any{}, []any{true},
		map[string]any{"b": int64(1), "a": int64(2)}, map[string]any{"\x00": nil}, map[string]any{}, []any{[]any{}},
	}
	both(t, func(t *testing.T, sealer func(*KeyRing) anySealer) {
		s := sealer(ringOf(t, "", sharedKey(t)))
		for i := range in {
			attrs, payload, _, err := s.Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{in[i]}, map[string]any{"k": in[i]})
			if err != nil {
				t.Errorf("%T %v: %v", in[i], in[i], err)
				continue
			}
			args, kwargs, err := s.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload)
			if err != nil || !reflect.DeepEqual(args, []any{want[i]}) || !reflect.DeepEqual(kwargs, map[string]any{"k": want[i]}) {
				t.Errorf("%T %v: got %#v %#v, %v", in[i], in[i], args, kwargs, err)
			}
		}
		deep := []any{}
		for range values.MaxDepth {
			deep = []any{deep}
		}
		cyclic := make([]any, 1)
		cyclic[0] = cyclic
		for name, v := range map[string]any{"deep": deep, "cyclic": cyclic, "struct": struct{ A chan int }{}, "int keys": map[int]int{1: 1}, "complex": 1i} {
			if _, _, _, err := s.Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{v}, nil); !errors.Is(err, ErrValue) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	s := &Box{Keys: ringOf(t, "", sharedKey(t))}
	for _, v := range []any{math.NaN(), math.Inf(-1), "\x00AAAA"} {
		if _, _, _, err := s.Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{v}, nil); !errors.Is(err, ErrValue) {
			t.Errorf("%v has no JSON: %v", v, err)
		}
	}
}

func TestSealLeavesArgumentsAlone(t *testing.T) {
	data := []byte{1, 2, 3}
	args := []any{data, map[string]any{"x": []any{uint8(1)}}}
	s := &Passthru{Keys: ringOf(t, "", sharedKey(t))}
	attrs, payload, _, err := s.Seal(&wamp.Subject{URI: "com.x", Originator: true}, args, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(args, []any{[]byte{1, 2, 3}, map[string]any{"x": []any{uint8(1)}}}) {
		t.Errorf("Seal changed its arguments: %v", args)
	}
	before := string(payload)
	got, _, err := s.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload)
	if err != nil {
		t.Fatal(err)
	}
	got[0].([]byte)[0] = 99
	if string(payload) != before {
		t.Error("Open returned memory of the payload, or changed it")
	}
}

func TestPassthruAttributes(t *testing.T) {
	o, r := sides(t)
	for _, originator := range []bool{true, false} {
		key, receiver := o, r.Responder()
		if !originator {
			key, receiver = r, o.Originator()
		}
		attrs, _, _, err := (&Passthru{Keys: ringOf(t, "", key)}).Seal(&wamp.Subject{URI: "com.x", Originator: originator}, nil, nil)
		want := wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305", PPTKeyID: receiver.KeyID()}
		if err != nil || attrs != want {
			t.Errorf("%+v, %v", attrs, err)
		}
	}
	attrs, payload, _, err := (&Passthru{Keys: ringOf(t, "", o)}).Seal(&wamp.Subject{URI: "com.x", Originator: true}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	to := &Passthru{Keys: ringOf(t, "", r)}
	for _, id := range []string{"", r.Responder().String(), "0X" + strings.ToUpper(attrs.PPTKeyID[2:]), strings.ToLower(attrs.PPTKeyID)} {
		attrs.PPTKeyID = id
		if _, _, err := to.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload); err != nil {
			t.Errorf("keyid of %d characters: %v", len(id), err)
		}
	}
}

// TestEIP55 has the examples of EIP-55 itself.
func TestEIP55(t *testing.T) {
	for _, want := range []string{
		"52908400098527886E0F7030069857D2E4169EE7", "8617E340B3D01FA5F11F306F4090FD50E238070D",
		"de709f2102306220921060314715629080e2fb77", "27b1fdb04752bbc536007a920d24acb045561c26",
		"5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "fB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
		"dbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB", "D1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
	} {
		if got := eip55(strings.ToLower(want)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestForms(t *testing.T) {
	ring := ringOf(t, "", sharedKey(t))
	for _, form := range wamp.Forms {
		s := &Forms{Form: form, Box: Box{Keys: ring}, Passthru: Passthru{Keys: ring}}
		attrs, payload, sealed, err := s.Seal(&wamp.Subject{URI: "com.x", Originator: true}, []any{"hi"}, nil)
		if err != nil || !sealed || attrs.Declared() != form {
			t.Fatalf("%v: sealed %t as %v, %v", form, sealed, attrs.Declared(), err)
		}
		s.Form = wamp.FormNone
		if args, _, err := s.Open(&wamp.Subject{URI: "com.x", Originator: false}, &attrs, payload); err != nil || !reflect.DeepEqual(args, []any{"hi"}) {
			t.Errorf("%v: %v, %v", form, args, err)
		}
	}
}
