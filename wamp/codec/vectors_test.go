package codec

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// vector is one message of testdata/vectors.json. The good ones were encoded by
// other people's libraries, or by hand where no library would.
type vector struct {
	Name       string
	Serializer string
	Text, Hex  string // the frame, as one of them
	Envelope   string // good: what is in front of the payload, in JSON
	Payload    *struct {
		Shape        string
		Args, Kwargs int
		Opaque       bool
		Size         *int   // if it is not that of the tail
		Tail         string // as the frame: text for JSON, else hex
	}
	Error string // bad: what the error's text says
}

func (v *vector) serializer() wamp.Serializer {
	for _, s := range wamp.Serializers {
		if s.String() == v.Serializer {
			return s
		}
	}
	return 0
}

func (v *vector) frame(t testing.TB) []byte {
	if v.Text != "" {
		return []byte(v.Text)
	}
	return unhex(t, v.Hex)
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectors(t testing.TB) (good, bad []vector) {
	t.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all struct{ Good, Bad []vector }
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Good) == 0 || len(all.Bad) == 0 {
		t.Fatal("no vectors")
	}
	return all.Good, all.Bad
}

func TestGoodVectors(t *testing.T) {
	good, _ := vectors(t)
	seen := map[wamp.MessageType]int{}
	for _, v := range good {
		t.Run(v.Serializer+"/"+v.Name, func(t *testing.T) {
			s := v.serializer()
			m, err := NewDecoder().Decode(s, v.frame(t))
			if err != nil {
				t.Fatal(err)
			}
			seen[m.Type()] |= 1 << s
			if v.Payload != nil {
				checkPayload(t, &v, m)
			}
			if got := envelopeOf(t, m); got != v.Envelope && !sameJSON(t, got, v.Envelope) {
				t.Errorf("envelope\n got %s\nwant %s", got, v.Envelope)
			}
		})
	}
	for typ := wamp.MessageType(0); typ < 100; typ++ {
		if wamp.New(typ) != nil && seen[typ] != 1<<wamp.JSON|1<<wamp.MsgPack|1<<wamp.CBOR {
			t.Errorf("%v is not there in every serializer", typ)
		}
	}
}

// envelopeOf returns the message without its payload, in JSON.
func envelopeOf(t *testing.T, m wamp.Message) string {
	t.Helper()
	if c, ok := m.(wamp.Carrier); ok {
		p, _ := c.Carried()
		*p = wamp.Payload{}
	}
	b, err := Append(nil, wamp.JSON, m)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sameJSON compares without regard to the order and spelling of keys.
func sameJSON(t *testing.T, a, b string) bool {
	var x, y any
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil {
		t.Errorf("not JSON: %s, %s", a, b)
	}
	p, _ := json.Marshal(x)
	q, _ := json.Marshal(y)
	return string(p) == string(q)
}

func checkPayload(t *testing.T, v *vector, m wamp.Message) {
	t.Helper()
	p, _ := m.(wamp.Carrier).Carried()
	tail := []byte(v.Payload.Tail)
	if v.serializer() != wamp.JSON {
		tail = unhex(t, v.Payload.Tail)
	}
	if got := p.AppendTail(nil); string(got) != string(tail) {
		t.Errorf("tail %q, want %q", got, tail)
	}
	shape := [...]string{wamp.ShapeNone: "none", wamp.ShapeList: "list", wamp.ShapeBinary: "binary"}[p.Shape()]
	size := len(tail)
	if v.Payload.Size != nil {
		size = *v.Payload.Size
	}
	if shape != v.Payload.Shape || p.Args() != v.Payload.Args || p.Kwargs() != v.Payload.Kwargs ||
		p.Opaque() != v.Payload.Opaque || p.Size() != size {
		t.Errorf("payload is %s, %d args, %d kwargs, opaque %v, size %d; want %+v, size %d",
			shape, p.Args(), p.Kwargs(), p.Opaque(), p.Size(), *v.Payload, size)
	}
	if _, _, err := p.Decode(); (err == wamp.ErrOpaque) != p.Opaque() {
		t.Errorf("decoding the payload: %v", err)
	}
	out, err := Append(nil, v.serializer(), m)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), string(tail)) {
		t.Errorf("the tail does not go out as it came in: %q", out)
	}
}

func TestBadVectors(t *testing.T) {
	_, bad := vectors(t)
	d := NewDecoder() // one for all: an error must not stick
	for _, v := range bad {
		t.Run(v.Serializer+"/"+v.Name, func(t *testing.T) {
			m, err := d.Decode(v.serializer(), v.frame(t))
			r, ok := err.(*wamp.Refusal)
			if !ok || m != nil {
				t.Fatalf("got %v, %v", m, err)
			}
			if !r.Fatal || r.URI != wamp.ErrProtocolViolation || r.Reason != wamp.ReasonProtocol {
				t.Errorf("not a violation: %+v", r)
			}
			if !strings.Contains(r.Text, v.Error) {
				t.Errorf("said %q, want %q in it", r.Text, v.Error)
			}
		})
	}
}

// Every good message is refused if it is cut short anywhere.
func TestTruncated(t *testing.T) {
	good, _ := vectors(t)
	d := NewDecoder()
	for _, v := range good {
		frame := []byte(strings.TrimRight(string(v.frame(t)), " \n"))
		if v.serializer() != wamp.JSON {
			frame = v.frame(t)
		}
		for n := range frame {
			if m, err := d.Decode(v.serializer(), frame[:n:n]); err == nil {
				t.Errorf("%s/%s: %d of %d bytes are taken for %T", v.Serializer, v.Name, n, len(frame), m)
			}
		}
	}
}
