package codec

import (
	"math"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Convert returns the payload in serializer to. A payload that is already in it, or has
// no elements, is returned unchanged. An opaque payload is refused unless p.MayReframe:
// then the framing of the binary changes, and its content does not. A clear payload is
// re-encoded token by token. The error is a *wamp.Refusal. It may be called
// concurrently.
func Convert(p *wamp.Payload, to wamp.Serializer) (wamp.Payload, error) {
	from := p.Serializer()
	if from == to || p.Elements() == 0 {
		return *p, nil
	}
	w := writerOf(to)
	if w == nil {
		return wamp.Payload{}, errSerializer
	}
	single := p.Size() != p.WireSize() // only a binary's content is less than its tail
	if p.Opaque() && !(p.MayReframe() && single) {
		return wamp.Payload{}, conversionRefused(from, to, p.MayReframe())
	}
	facts := wamp.PayloadFacts{
		Shape: p.Shape(), Elements: p.Elements(), Args: p.Args(), Kwargs: p.Kwargs(),
		Size: p.Size(), Opaque: p.Opaque(),
	}
	if p.Kwargs() == 0 {
		facts.Elements = 1 // an empty dict is left out
	}
	c := conversions.Get().(*conversion)
	defer conversions.Put(c)
	tail, problem := c.payload(p, facts.Elements, to, w)
	if problem != "" {
		return wamp.Payload{}, inconvertible("converting the payload from " + from.String() +
			" to " + to.String() + ": no counterpart for " + problem)
	}
	if !single {
		facts.Size = len(tail)
	}
	out := wamp.NewPayload(transcoders[to], tail, facts)
	if p.MayReframe() {
		out.PermitReframing()
	}
	return out, nil
}

func conversionRefused(from, to wamp.Serializer, mayReframe bool) *wamp.Refusal {
	wayOut := "use the same serializer on both sides, or set conversion: reframe on the router"
	if mayReframe {
		wayOut = "it is not one binary, which could be reframed, so use the same serializer on both sides"
	}
	return &wamp.Refusal{
		Reason: wamp.ReasonConversion,
		URI:    wamp.ErrConversionRefused,
		Text:   "an opaque payload can't be converted from " + from.String() + " to " + to.String() + ": " + wayOut,
	}
}

var conversions = sync.Pool{New: func() any { return new(conversion) }}

// conversion is the state of one Convert.
type conversion struct {
	readers readers
	r       reader
	e       encoding
	tok     token
	source  []byte
}

const problemNaN = "a float that is not a finite number"

func (c *conversion) payload(p *wamp.Payload, elements int, to wamp.Serializer, w writer) (tail []byte, problem string) {
	c.source = p.AppendTail(keepSmall(c.source))
	c.r = c.readers.of(p.Serializer())
	c.e = encoding{dst: make([]byte, 0, len(c.source)+len(c.source)/4+16), w: w, s: to, in: container{kind: kindArray}}
	defer c.release()
	l := c.r.open(c.source, p.Elements())
	for range elements {
		var ok bool
		if l, ok = step(c.r, l); !ok {
			return nil, c.malformed()
		}
		if problem := c.value(maxPayloadDepth, false); problem != "" {
			return nil, problem
		}
	}
	return c.e.dst, ""
}

// release drops large buffers.
func (c *conversion) release() {
	c.source = keepSmall(c.source)
	c.r.open(nil, 0)
	c.e = encoding{}
}

func (c *conversion) malformed() string { return "malformed data: " + c.r.fault() }

// value reads the next value and writes it, with at most depth containers in
// each other. It returns what has no counterpart, or "".
func (c *conversion) value(depth int, key bool) (problem string) {
	t, e := &c.tok, &c.e
	if !c.r.read(t, true) {
		return c.malformed()
	}
	toJSON := e.s == wamp.JSON
	if key && toJSON && t.kind != kindText {
		return problemKey
	}
	switch t.kind {
	case kindNull:
		e.null()
	case kindBool:
		e.bool(t.num == 1)
	case kindUint:
		e.uint(t.num)
	case kindInt:
		e.int(int64(t.num))
	case kindFloat:
		if toJSON && (math.IsNaN(t.float) || math.IsInf(t.float, 0)) {
			return problemNaN
		}
		e.float(t.float)
	case kindText:
		if !key && toJSON && len(t.text) > 0 && t.text[0] == 0 {
			return problemNUL
		}
		e.key(view(t.text))
	case kindBinary:
		e.binary(t.text)
	case kindArray, kindMap:
		if depth == 0 {
			return "data that is " + faultDepth
		}
		return c.container(t.kind, t.remaining, depth-1)
	default:
		return t.what
	}
	return ""
}

func (c *conversion) container(k kind, l remaining, depth int) (problem string) {
	outer, at := c.e.open(k)
	for i := 0; ; i++ {
		var ok bool
		if l, ok = step(c.r, l); !ok {
			break
		}
		if problem := c.value(depth, k == kindMap && i&1 == 0); problem != "" {
			return problem
		}
	}
	if c.r.fault() != "" {
		return c.malformed()
	}
	c.e.close(outer, at)
	return ""
}

// BinaryPayload makes an opaque payload of one binary: bare for
// wamp.FormTransparency, in a list for wamp.FormPassthru.
func BinaryPayload(s wamp.Serializer, form wamp.Form, data []byte) wamp.Payload {
	e := encoding{w: writerOf(s), s: s, dst: make([]byte, 0, len(data)+16)}
	facts := wamp.PayloadFacts{Shape: wamp.ShapeBinary, Elements: 1, Size: len(data), Opaque: true}
	if form == wamp.FormTransparency {
		e.binary(data)
	} else {
		facts.Shape, facts.Args = wamp.ShapeList, 1
		outer, at := e.open(kindArray)
		e.binary(data)
		e.close(outer, at)
	}
	return wamp.NewPayload(transcoders[s], e.dst, facts)
}
