package codec

import (
	"math"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// builder makes Go values from tokens, of the types that wamp.Payload.Decode documents.
// Duplicate keys are refused: readers disagree on which one counts.
type builder struct {
	r     reader
	tok   token
	items int // how many more values there may be
}

// next makes a value of what comes next.
func (b *builder) next(depth int) (v any, problem string) {
	if !b.r.read(&b.tok, true) {
		return nil, "malformed data: " + b.r.fault()
	}
	return b.value(b.tok, depth)
}

// value makes a value of what t begins.
func (b *builder) value(t token, depth int) (v any, problem string) {
	if b.items--; b.items < 0 {
		return nil, faultTooMany
	}
	switch t.kind {
	case kindNull:
		return nil, ""
	case kindBool:
		return t.num == 1, ""
	case kindUint:
		if t.num > math.MaxInt64 {
			return t.num, ""
		}
		return int64(t.num), ""
	case kindInt:
		return int64(t.num), ""
	case kindFloat:
		return t.float, ""
	case kindText:
		return string(t.text), ""
	case kindBinary:
		return append([]byte{}, t.text...), ""
	case kindArray, kindMap:
		if depth == 0 {
			return nil, "data that is " + faultDepth
		}
		if t.kind == kindArray {
			return b.list(t.remaining, depth-1)
		}
		return b.dict(t.remaining, depth-1)
	}
	return nil, t.what
}

func (b *builder) list(l remaining, depth int) (any, string) {
	list := []any{}
	for {
		var ok bool
		if l, ok = step(b.r, l); !ok {
			return list, b.malformed()
		}
		v, problem := b.next(depth)
		if problem != "" {
			return nil, problem
		}
		list = append(list, v)
	}
}

func (b *builder) dict(l remaining, depth int) (any, string) {
	dict := map[string]any{}
	for {
		var ok bool
		if l, ok = step(b.r, l); !ok {
			return dict, b.malformed()
		}
		if !b.r.read(&b.tok, true) {
			return nil, b.malformed()
		}
		if b.tok.kind != kindText {
			return nil, problemKey
		}
		key := string(b.tok.text)
		if l, ok = step(b.r, l); !ok {
			return nil, b.malformed()
		}
		v, problem := b.next(depth)
		if problem != "" {
			return nil, problem
		}
		if _, twice := dict[key]; twice {
			return nil, "a key twice"
		}
		dict[key] = v
	}
}

func (b *builder) malformed() string {
	if b.r.fault() == "" {
		return ""
	}
	return "malformed data: " + b.r.fault()
}

const (
	problemKey = "a key that is not a string"
	problemNUL = "a text that begins with NUL"
)

// inconvertible is what is said of clear data without counterpart. what is of
// this package's own words.
func inconvertible(what string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonInconvertible, URI: wamp.ErrInvalidArgument, Text: what}
}

// transcoder is the wamp.Transcoder of a serializer.
type transcoder wamp.Serializer

var transcoders = [...]wamp.Transcoder{
	wamp.JSON:    transcoder(wamp.JSON),
	wamp.MsgPack: transcoder(wamp.MsgPack),
	wamp.CBOR:    transcoder(wamp.CBOR),
}

func (t transcoder) Serializer() wamp.Serializer { return wamp.Serializer(t) }

func (t transcoder) DecodePayload(tail []byte, elements int, max wamp.ValueLimits) (args []any, kwargs map[string]any, err error) {
	depth, items := maxPayloadDepth, noItemLimit
	if max.Nesting > 0 {
		depth = min(depth, max.Nesting)
	}
	if max.Elements > 0 {
		items = max.Elements + elements // what holds the values is none of them
	}
	var rs readers
	b := builder{r: rs.of(wamp.Serializer(t)), items: items}
	l := b.r.open(tail, elements)
	for i := range elements {
		var v any
		problem := ""
		var ok bool
		if l, ok = step(b.r, l); ok {
			v, problem = b.next(depth)
		} else {
			problem = b.malformed()
		}
		if problem != "" {
			return nil, nil, notWithin(problem)
		}
		if i == 0 {
			args, _ = v.([]any)
		} else {
			kwargs, _ = v.(map[string]any)
		}
	}
	return args, kwargs, nil
}

// notWithin is the refusal of a payload that isn't turned into values.
func notWithin(problem string) *wamp.Refusal {
	refusal := inconvertible("the payload holds " + problem)
	switch {
	case strings.HasSuffix(problem, faultDepth):
		refusal.Reason, refusal.Limit = wamp.ReasonLimit, wamp.LimitNesting
	case problem == faultTooMany:
		refusal.Reason, refusal.Limit = wamp.ReasonLimit, wamp.LimitElements
	}
	return refusal
}

// isNUL reports whether s would be a binary, or a broken one, as a string of JSON.
func isNUL(s string) bool { return s != "" && s[0] == 0 }
