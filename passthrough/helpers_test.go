package passthrough

import (
	"errors"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// fake is a codec's side of a payload: it decodes to what it holds.
type fake struct {
	serializer wamp.Serializer
	args       []any
	kwargs     map[string]any
	err        error
}

func (f fake) Serializer() wamp.Serializer { return f.serializer }

func (f fake) DecodePayload(_ []byte, _ int, most wamp.ValueLimits) ([]any, map[string]any, error) {
	values, depth := measure(map[string]any{"args": f.args, "kwargs": f.kwargs})
	switch {
	case most.Elements > 0 && values-3 > most.Elements: // but for args, kwargs and what holds them here
		return nil, nil, &wamp.Refusal{Limit: wamp.LimitElements}
	case most.Nesting > 0 && depth-1 > most.Nesting:
		return nil, nil, &wamp.Refusal{Limit: wamp.LimitNesting}
	}
	return f.args, f.kwargs, f.err
}

func measure(v any) (values, depth int) {
	add := func(v any) {
		n, d := measure(v)
		values, depth = values+n, max(depth, d+1)
	}
	values = 1
	switch v := v.(type) {
	case []any:
		depth = 1
		for _, item := range v {
			add(item)
		}
	case map[string]any:
		depth = 1
		for _, item := range v {
			add(item)
		}
	}
	return values, depth
}

// body is a payload before the attributes beside it decide whether it is opaque.
type body struct {
	from  fake
	tail  string
	facts wamp.PayloadFacts
}

func (b body) payload(a *wamp.Attributes) wamp.Payload {
	b.facts.Opaque = a.Declared() != wamp.FormNone
	if b.facts.Size == 0 {
		b.facts.Size = len(b.tail)
	}
	return wamp.NewPayload(b.from, []byte(b.tail), b.facts)
}

// The bodies of the tables, in MessagePack.
var (
	none       = body{}
	emptyList  = body{from: fake{serializer: wamp.MsgPack}, tail: "\x90", facts: wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1}}
	oneArg     = list([]any{"a"}, nil)
	twoArgs    = list([]any{"a", "b"}, nil)
	kwargsOnly = list(nil, map[string]any{"a": "b"})
	argKwargs  = list([]any{"a"}, map[string]any{"a": "b"})
	bare       = body{from: fake{serializer: wamp.MsgPack}, tail: "\xc4\x03xyz", facts: wamp.PayloadFacts{Shape: wamp.ShapeBinary, Elements: 1, Size: 3}}
	bareAndMap = body{from: fake{serializer: wamp.MsgPack}, tail: "\xc4\x03xyz\x80", facts: wamp.PayloadFacts{Shape: wamp.ShapeBinary, Elements: 2, Size: 3}}
	listed     = body{from: fake{serializer: wamp.MsgPack}, tail: "\x91\xc4\x03xyz", facts: wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1, Args: 1, Size: 3}}
	dict       = body{from: fake{serializer: wamp.MsgPack}, tail: "\x91\x81\xa4args\x90", facts: wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1, Args: 1}}
)

func list(args []any, kwargs map[string]any) body {
	b := body{
		from: fake{serializer: wamp.MsgPack, args: args, kwargs: kwargs}, tail: "tail",
		facts: wamp.PayloadFacts{Shape: wamp.ShapeList, Elements: 1, Args: len(args), Kwargs: len(kwargs)},
	}
	if kwargs != nil {
		b.facts.Elements = 2
	}
	return b
}

// The messages of the tables.
var (
	inbound  = []wamp.MessageType{wamp.TypePublish, wamp.TypeCall, wamp.TypeYield, wamp.TypeError}
	outbound = []wamp.MessageType{wamp.TypeEvent, wamp.TypeInvocation, wamp.TypeResult, wamp.TypeError}
)

func message(t *testing.T, mt wamp.MessageType, a wamp.Attributes, b body) wamp.Message {
	t.Helper()
	m := wamp.New(mt)
	c, ok := m.(wamp.Carrier)
	if !ok {
		t.Fatalf("%s carries no payload", mt)
	}
	p, attributes := c.Carried()
	*attributes = a
	*p = b.payload(&a)
	return m
}

// peer announced the features in every role of a client.
func peer(features ...wamp.Feature) *wamp.Peer {
	p := &wamp.Peer{Serializer: wamp.MsgPack}
	for _, r := range []*wamp.Role{&p.Roles.Publisher, &p.Roles.Subscriber, &p.Roles.Caller, &p.Roles.Callee} {
		*r = wamp.Role{Present: true, Features: wamp.NewFeatures(features...)}
	}
	return p
}

// everyForm is a peer that announced all there is.
func everyForm() *wamp.Peer {
	return peer(wamp.PayloadPassthruMode, wamp.PayloadTransparency, wamp.PayloadEncryptionCryptobox)
}

func newInterceptor(t testing.TB, c Config) *Interceptor {
	t.Helper()
	i, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// expect checks a refusal's reason, "" for none, and what must be true of each.
func expect(t *testing.T, err error, want wamp.Reason) *wamp.Refusal {
	t.Helper()
	if err == nil {
		if want != "" {
			t.Fatalf("let through, want a refusal for %s", want)
		}
		return nil
	}
	var r *wamp.Refusal
	if !errors.As(err, &r) {
		t.Fatalf("%v is no refusal", err)
	}
	if r.Reason != want {
		t.Fatalf("refused for %q (%s), want %q", r.Reason, r.Text, want)
	}
	wantURI, wantFatal := wamp.ErrProtocolViolation, true
	switch want {
	case wamp.ReasonCleartext:
		wantURI, wantFatal = wamp.ErrCleartextRefused, false
	case wamp.ReasonValidation:
		wantURI, wantFatal = wamp.ErrValidationRefused, false
	case wamp.ReasonInvalid:
		wantURI, wantFatal = wamp.ErrValidationFailed, false
	case wamp.ReasonConversion:
		wantURI, wantFatal = wamp.ErrConversionRefused, false
	case wamp.ReasonUnsupported:
		wantURI, wantFatal = wamp.ErrFeatureNotSupported, false
	}
	if r.URI != wantURI || r.Fatal != wantFatal {
		t.Errorf("refused with %s, fatal %t, want %s, %t", r.URI, r.Fatal, wantURI, wantFatal)
	}
	return r
}

func expectText(t *testing.T, r *wamp.Refusal, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(r.Text, part) {
			t.Errorf("text %q does not name %q", r.Text, part)
		}
	}
}
