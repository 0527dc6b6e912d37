package codec

import (
	"hash/maphash"
	"math"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Decoder decodes messages. It owns the memory of the messages that carry payloads, and
// uses it again: a message is valid until the next Decode, its payload as long as the
// frame is unchanged. Strings and other values outlive both. A Decoder is not for
// concurrent use.
type Decoder struct {
	in decoding
}

// Bound sets how deeply containers may be nested in an envelope, and how many elements
// may be skipped in one of its options. Zero and larger values stand for the maximum:
// 32 and 4,096.
func (d *Decoder) Bound(nesting, elements int) {
	depth, items := maxEnvelopeDepth, maxEnvelopeItems
	if nesting > 0 {
		depth = min(nesting, depth)
	}
	if elements > 0 {
		items = min(elements, items)
	}
	if depth < d.in.maxDepth || items < d.in.maxItems {
		d.in.dicts, d.in.cache = readDicts{}, readCache{} // they may exceed the new bounds
	}
	d.in.maxDepth, d.in.maxItems = depth, items
}

// NewDecoder returns a decoder for messages of any serializer.
func NewDecoder() *Decoder {
	d := new(Decoder)
	d.Bound(0, 0)
	return d
}

// Forget drops all that the decoder has cached. Messages that it returned become
// invalid.
func (d *Decoder) Forget() {
	*d = Decoder{}
	d.Bound(0, 0)
}

// Decode decodes the message in frame. The error is always a *wamp.Refusal made by
// wamp.Violation; it names the field that is wrong.
func (d *Decoder) Decode(s wamp.Serializer, frame []byte) (wamp.Message, error) {
	if m := d.in.message(s, frame); d.in.err == nil {
		return m, nil
	}
	return nil, d.in.err
}

// decoding is the state of a Decoder. It is the wamp.Elements that reads.
type decoding struct {
	readers   readers
	r         reader
	s         wamp.Serializer
	frame     []byte
	remaining remaining // of the message array
	of        wamp.MessageType
	tok       token
	err       *wamp.Refusal // the first
	// maxDepth and maxItems are set by Bound.
	maxDepth, maxItems int

	walker     walker
	builder    builder
	strings    interner
	dicts      readDicts
	cache      readCache
	dictMissed bool // this message's options or URI were not cached
	// payloadAt is where the payload begins, 0 if there can be none, and toPayload how
	// many elements of the message remain there.
	payloadAt int
	toPayload remaining
	key       []byte              // of the option being read: a known one
	seen      [32]any             // fields of the dict being read
	unknown   map[uint64]struct{} // hashes of its other keys
	hash      maphash.Seed
	messages
}

// messages is the storage of messages that carry payloads.
type messages struct {
	publish    wamp.Publish
	event      wamp.Event
	call       wamp.Call
	invocation wamp.Invocation
	yield      wamp.Yield
	result     wamp.Result
	failure    wamp.Error
}

// empty returns an empty message of type t, or nil if there is no such type.
func (s *messages) empty(t wamp.MessageType) wamp.Message {
	switch t {
	case wamp.TypePublish:
		s.publish = wamp.Publish{}
		return &s.publish
	case wamp.TypeEvent:
		s.event = wamp.Event{}
		return &s.event
	case wamp.TypeCall:
		s.call = wamp.Call{}
		return &s.call
	case wamp.TypeInvocation:
		s.invocation = wamp.Invocation{}
		return &s.invocation
	case wamp.TypeYield:
		s.yield = wamp.Yield{}
		return &s.yield
	case wamp.TypeResult:
		s.result = wamp.Result{}
		return &s.result
	case wamp.TypeError:
		s.failure = wamp.Error{}
		return &s.failure
	}
	return wamp.New(t)
}

func (d *decoding) message(s wamp.Serializer, frame []byte) wamp.Message {
	d.s, d.frame, d.payloadAt, d.of, d.err, d.key = s, frame, 0, 0, nil, d.key[:0]
	if d.r = d.readers.of(s); d.r == nil {
		d.fail("serializer", "is unknown")
		return nil
	}
	if m := d.decodeCached(); m != nil {
		return m
	}
	d.dictMissed = false
	d.r.open(frame, 1)
	if !d.read("message") {
		return nil
	}
	if d.tok.kind != kindArray {
		d.fail("message", "must be a list")
		return nil
	}
	d.remaining = d.tok.remaining
	if !d.element("message type") {
		return nil
	}
	if d.tok.kind != kindUint {
		d.fail("message type", "must be an integer")
		return nil
	}
	m := d.empty(wamp.MessageType(d.tok.num))
	if m == nil {
		d.fail("message type", "is unknown")
		return nil
	}
	d.of = m.Type()
	before, toID := d.r.pos(), d.remaining
	m.Elements(d)
	d.finish()
	d.store(m, before, toID)
	return m
}

// finish checks that the message has no more elements than its type has, and that the
// frame ends with it.
func (d *decoding) finish() {
	for d.optional("message") {
		// Arguments of an ABORT are of a later edition than its details.
		if d.of != wamp.TypeAbort {
			d.fail("message", tooManyElements)
			return
		}
		d.pass("message")
	}
	if d.err == nil && !d.r.atEnd() {
		d.fail("message", "must be all that is in the frame")
	}
}

// tooManyElements is about the message itself, which is no limit.
const tooManyElements = "has too many elements"

// fail records the first error. field and what are constant texts of this package.
func (d *decoding) fail(field, what string) {
	if d.err != nil {
		return
	}
	prefix := ""
	if d.of != 0 {
		prefix = d.of.String() + ": "
	}
	if len(d.key) > 0 {
		field += "." + string(d.key)
	}
	d.err = wamp.Violation(prefix + field + " " + what)
	switch {
	case strings.HasSuffix(what, faultDepth):
		d.err.Limit = wamp.LimitNesting
	case strings.HasSuffix(what, faultTooMany) && what != tooManyElements:
		d.err.Limit = wamp.LimitElements
	}
}

func (d *decoding) malformed(field, fault string) {
	d.fail(field, "is malformed "+d.s.String()+": "+fault)
}

// optional steps to the next element, if there is one.
func (d *decoding) optional(field string) bool {
	if d.err != nil {
		return false
	}
	var ok bool
	if d.remaining, ok = step(d.r, d.remaining); !ok && d.r.fault() != "" {
		d.malformed(field, d.r.fault())
	}
	return ok
}

// element reads the next element, or the head of it, into d.tok.
func (d *decoding) element(field string) bool {
	if !d.optional(field) {
		d.fail(field, "is missing")
		return false
	}
	return d.read(field)
}

func (d *decoding) read(field string) bool {
	if !d.r.read(&d.tok, true) {
		d.malformed(field, d.r.fault())
		return false
	}
	return true
}

// pass skips the next value in the envelope.
func (d *decoding) pass(field string) bool {
	if fault := d.walker.skip(d.r, d.maxDepth, d.maxItems); fault != "" {
		d.malformed(field, fault)
		return false
	}
	return true
}

func (d *decoding) ID(name string, id *wamp.ID) {
	if d.element(name) {
		d.id(name, id, 1)
	}
}

func (d *decoding) RevocableID(name string, id *wamp.ID) {
	if d.element(name) {
		d.id(name, id, 0)
	}
}

func (d *decoding) URI(name string, uri *wamp.URI) {
	if !d.optional(name) {
		d.fail(name, "is missing")
		return
	}
	start := d.r.pos()
	if n := d.dicts.uri.lookup(d.s, d.frame[start:], uri); n > 0 {
		d.r.jump(start + n)
		return
	}
	d.dictMissed = true
	if d.read(name) {
		d.text(name, (*string)(uri))
	}
	if d.err == nil {
		d.dicts.uri.store(d.s, d.frame[start:d.r.pos()], uri)
	}
}

func (d *decoding) String(name string, s *string) {
	if d.element(name) {
		d.text(name, s)
	}
}

func (d *decoding) MessageType(name string, t *wamp.MessageType) {
	if !d.element(name) {
		return
	}
	*t = wamp.MessageType(d.tok.num)
	if d.tok.kind != kindUint || t.String() == "UNKNOWN" {
		d.fail(name, "must be a message type")
	}
}

func (d *decoding) Dict(name string, dict wamp.Dict) {
	if !d.optional(name) {
		d.fail(name, "is missing")
		return
	}
	start := d.r.pos()
	if n := d.dicts.lookup(d.s, d.frame[start:], dict); n > 0 {
		d.r.jump(start + n)
		return
	}
	d.dictMissed = true
	if d.read(name) {
		d.dict(name, dict)
	}
	if d.err == nil {
		d.dicts.store(d.s, d.frame[start:d.r.pos()], dict)
	}
}

func (d *decoding) OptionalDict(name string, dict wamp.Dict) {
	if d.optional(name) && d.read(name) && d.tok.kind != kindNull {
		d.dict(name, dict)
	}
}

func (d *decoding) Values(name string, v *map[string]any) {
	*v = map[string]any{}
	if d.optional(name) && d.read(name) && d.tok.kind != kindNull {
		d.value(name, v)
	}
}

// id reads d.tok as an identifier.
func (d *decoding) id(field string, id *wamp.ID, least uint64) {
	n, ok := d.integer()
	if !ok || n < least {
		d.fail(field, "must be an integer from 1 to 2^53")
		return
	}
	*id = wamp.ID(n)
}

// integer reads d.tok as an integer from 0 to 2^53. It may be encoded as a float: 1.0
// or 1e0 in JSON, and in the binary serializers as JavaScript encoders write integers
// above 2^32.
func (d *decoding) integer() (uint64, bool) {
	switch t := &d.tok; t.kind {
	case kindUint:
		return t.num, t.num <= uint64(wamp.MaxID)
	case kindFloat:
		if t.float >= 0 && t.float <= float64(wamp.MaxID) && t.float == math.Trunc(t.float) {
			return uint64(t.float), true
		}
	}
	return 0, false
}

// text takes d.tok for a string. NUL would make it a binary, or a broken one,
// where the message goes on in JSON.
func (d *decoding) text(field string, s *string) {
	switch t := d.tok.text; {
	case d.tok.kind != kindText:
		d.fail(field, "must be a string")
	case len(t) > 0 && t[0] == 0:
		d.fail(field, "must not begin with NUL")
	default:
		*s = d.strings.get(t)
	}
}
