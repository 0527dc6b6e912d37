package codec

import (
	"errors"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Append appends the encoded message to dst. The payload must be in serializer s
// already, or without elements (see Convert). If it is not, or if the options hold
// values that s can't represent, it returns an error and dst unchanged. Unset options
// are left out. It may be called concurrently.
func Append(dst []byte, s wamp.Serializer, m wamp.Message) ([]byte, error) {
	e := encoders.Get().(*Encoder)
	dst, err := e.Append(dst, s, m)
	encoders.Put(e)
	return dst, err
}

var encoders = sync.Pool{New: func() any { return NewEncoder() }}

// Encoder encodes messages one after the other. It is faster if successive messages are
// similar. It is not for concurrent use.
type Encoder struct{ e encoding }

// NewEncoder returns an encoder for messages of any serializer.
func NewEncoder() *Encoder { return &Encoder{encoding{dicts: new([4]writeDicts)}} }

// Append does what the function Append does.
func (x *Encoder) Append(dst []byte, s wamp.Serializer, m wamp.Message) ([]byte, error) {
	e := &x.e
	if e.w == nil || e.s != s {
		e.w, e.s = writerOf(s), s
		if e.w == nil {
			return dst, errSerializer
		}
	}
	e.dst, e.in, e.err = dst, container{}, nil
	if !e.appendCached(m) {
		e.whole(m)
	}
	out, err := e.dst, e.err
	e.dst, e.err = nil, nil
	if err != nil {
		return dst, err
	}
	return out, nil
}

// whole appends a message element by element.
func (e *encoding) whole(m wamp.Message) {
	e.news, e.idCount = false, 0
	outer, at := e.open(kindArray)
	e.uint(uint64(m.Type()))
	m.Elements(e)
	e.close(outer, at)
	e.store(m, at)
}

var (
	errSerializer = errors.New("codec: unknown serializer")
	errPayload    = errors.New("codec: the payload is of another serializer than the message; Convert comes first")
)

// encoding is the state of encoding one message or payload. It is the
// wamp.Elements that writes.
type encoding struct {
	dst []byte
	w   writer
	s   wamp.Serializer
	in  container
	err error // the first

	dicts *[4]writeDicts // by serializer; nil: no cache

	// What keep asks for: where in dst the first ids begin and end, where the
	// payload begins, and whether there were details that no memo knew.
	ids       [2][2]int
	idCount   int
	payloadAt int
	news      bool
}

// container is the container that is being written.
type container struct {
	kind kind
	n    int // elements, or keys and values, so far
}

// before precedes each element, key and value.
func (e *encoding) before() {
	if e.s == wamp.JSON {
		e.dst = jsonBefore(e.dst, e.in.kind, e.in.n)
	}
	e.in.n++
}

// open begins a container at offset at, within outer.
func (e *encoding) open(k kind) (outer container, at int) {
	e.before()
	outer, at = e.in, len(e.dst)
	e.dst = e.w.open(e.dst, k)
	e.in = container{kind: k}
	return outer, at
}

// close ends the container at offset at, and goes back to outer.
func (e *encoding) close(outer container, at int) {
	e.dst = e.w.close(e.dst, e.in.kind, at, e.in.n)
	e.in = outer
}

func (e *encoding) bool(v bool) {
	e.before()
	e.dst = e.w.bool(e.dst, v)
}

func (e *encoding) uint(v uint64) {
	e.before()
	e.dst = e.w.uint(e.dst, v)
}

// text appends a string that is no key. NUL at its beginning would make it a
// binary in JSON, or a broken one.
func (e *encoding) text(s string) {
	if e.s == wamp.JSON && isNUL(s) {
		e.fail(inconvertible("JSON has no counterpart for " + problemNUL))
	}
	e.key(s)
}

func (e *encoding) key(s string) {
	e.before()
	e.dst = e.w.text(e.dst, s)
}

func (e *encoding) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoding) RevocableID(_ string, id *wamp.ID)         { e.uint(uint64(*id)) }
func (e *encoding) URI(_ string, uri *wamp.URI)               { e.text(string(*uri)) }
func (e *encoding) String(_ string, s *string)                { e.text(*s) }
func (e *encoding) MessageType(_ string, t *wamp.MessageType) { e.uint(uint64(*t)) }
func (e *encoding) Values(_ string, v *map[string]any)        { e.dict(*v, maxEnvelopeDepth) }

func (e *encoding) ID(_ string, id *wamp.ID) {
	e.before()
	start := len(e.dst)
	e.dst = e.w.uint(e.dst, uint64(*id))
	if e.idCount < len(e.ids) {
		e.ids[e.idCount] = [2]int{start, len(e.dst)}
		e.idCount++
	}
}

func (e *encoding) Dict(_ string, d wamp.Dict) {
	if e.dicts != nil {
		if b := e.dicts[e.s].lookup(d); b != nil {
			e.before()
			e.dst = append(e.dst, b...)
			return
		}
	}
	e.news = true
	outer, at := e.open(kindMap)
	d.Write(options{e})
	e.close(outer, at)
	if e.dicts != nil && e.err == nil {
		e.dicts[e.s].store(e.s, e.dst[at:], d)
	}
}

func (e *encoding) OptionalDict(_ string, d wamp.Dict) {
	dst, in := e.dst, e.in
	outer, at := e.open(kindMap)
	d.Write(options{e})
	if e.in.n == 0 {
		e.dst, e.in = dst, in
		return
	}
	e.close(outer, at)
}

func (e *encoding) Payload(p *wamp.Payload, _ *wamp.Attributes) {
	if p.Elements() == 0 {
		return
	}
	if p.Serializer() != e.s {
		e.fail(errPayload)
		return
	}
	e.before()
	e.payloadAt = len(e.dst)
	e.dst = p.AppendTail(e.dst)
	e.in.n += p.Elements() - 1
}

// options is the wamp.DictWriter that writes: it leaves out what is unset.
type options struct{ e *encoding }

func (o options) Bool(key string, v bool) {
	if v {
		o.e.key(key)
		o.e.bool(true)
	}
}

func (o options) Flag(key string, v wamp.Flag) {
	if v != wamp.Unset {
		o.e.key(key)
		o.e.bool(v == wamp.True)
	}
}

func (o options) String(key, v string) {
	if v != "" {
		o.e.key(key)
		o.e.text(v)
	}
}

func (o options) ID(key string, v wamp.ID) { o.Uint(key, uint64(v)) }

func (o options) Uint(key string, v uint64) {
	if v != 0 {
		o.e.key(key)
		o.e.uint(v)
	}
}

func (o options) Trust(key string, v wamp.Trust) {
	if level, ok := v.Level(); ok {
		o.e.key(key)
		o.e.uint(level)
	}
}

func (o options) IDs(key string, v []wamp.ID) {
	if v == nil {
		return
	}
	o.e.key(key)
	outer, at := o.e.open(kindArray)
	for _, id := range v {
		o.e.uint(uint64(id))
	}
	o.e.close(outer, at)
}

func (o options) Strings(key string, v []string) {
	if v == nil {
		return
	}
	o.e.key(key)
	outer, at := o.e.open(kindArray)
	for _, s := range v {
		o.e.text(s)
	}
	o.e.close(outer, at)
}

func (o options) Value(key string, v any) {
	if v != nil {
		o.e.key(key)
		o.e.any(v, maxEnvelopeDepth)
	}
}

func (o options) Roles(key string, v *wamp.Roles) {
	if !v.Any() {
		return
	}
	o.e.key(key)
	outer, at := o.e.open(kindMap)
	for _, name := range wamp.RoleNames {
		if role := v.Named(name); role.Present {
			o.e.key(name)
			o.role(role)
		}
	}
	o.e.close(outer, at)
}

func (o options) role(role *wamp.Role) {
	outer, at := o.e.open(kindMap)
	if role.Features != 0 {
		o.e.key("features")
		outer, at := o.e.open(kindMap)
		for _, f := range role.Features.List() {
			o.Bool(f.String(), true)
		}
		o.e.close(outer, at)
	}
	o.e.close(outer, at)
}
