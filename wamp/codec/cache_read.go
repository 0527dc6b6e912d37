package codec

import (
	"bytes"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session that publishes, calls or yields mostly sends its previous message
// again, with another request id and payload. So the last message of each
// of these types is cached with the bytes on both sides of its request id: a frame
// with the same bytes is the same message, because an encoding is
// self-delimiting. Only the id and the payload remain to be read.

// readCache holds the last messages. Decoded messages share the lists in its options,
// as they do with readDicts.
type readCache struct {
	publish cachedRead[wamp.Publish]
	call    cachedRead[wamp.Call]
	yield   cachedRead[wamp.Yield]
}

type cachedRead[M any] struct {
	envelope
	message M // without its payload
}

// envelope is the bytes of a message that are neither its request id nor its
// payload.
type envelope struct {
	s         wamp.Serializer
	before    []byte    // to the end of the message type
	after     []byte    // from the end of the request id to the end of what the payload follows
	toID      remaining // of the message array, after before
	toPayload remaining // the same, after after
}

// decodeCached decodes the frame if it is a cached message with another request id and
// payload. Otherwise it returns nil, and the frame has to be decoded in full.
func (d *decoding) decodeCached() wamp.Message {
	switch k := &d.cache; {
	case d.matchesEnvelope(&k.publish.envelope):
		m := &d.publish
		*m, d.of = k.publish.message, wamp.TypePublish
		d.rest(&m.Request, &m.Payload, &m.Options.Attributes)
		return m
	case d.matchesEnvelope(&k.call.envelope):
		m := &d.call
		*m, d.of = k.call.message, wamp.TypeCall
		d.rest(&m.Request, &m.Payload, &m.Options.Attributes)
		return m
	case d.matchesEnvelope(&k.yield.envelope):
		m := &d.yield
		*m, d.of = k.yield.message, wamp.TypeYield
		d.rest(&m.Request, &m.Payload, &m.Options.Attributes)
		return m
	}
	return nil
}

// matchesEnvelope reads the frame up to the payload, if it has the envelope e; d.tok is
// the request id then.
func (d *decoding) matchesEnvelope(e *envelope) bool {
	if e.s != d.s || !bytes.HasPrefix(d.frame, e.before) {
		return false
	}
	d.r.open(d.frame, 1)
	d.r.jump(len(e.before))
	if _, ok := step(d.r, e.toID); !ok || !d.r.read(&d.tok, true) {
		return false
	}
	at := d.r.pos()
	if id, ok := d.integer(); !ok || id == 0 || !bytes.HasPrefix(d.frame[at:], e.after) {
		return false
	}
	d.r.jump(at + len(e.after))
	d.remaining = e.toPayload
	return true
}

func (d *decoding) rest(id *wamp.ID, p *wamp.Payload, a *wamp.Attributes) {
	n, _ := d.integer()
	*id = wamp.ID(n)
	d.Payload(p, a)
	d.finish()
}

// store caches the message that was decoded, if its options and URI were in the cache
// of dicts: then it is likely to come again. before is the number of bytes in front of
// its request id.
func (d *decoding) store(m wamp.Message, before int, toID remaining) {
	if d.err != nil || d.dictMissed {
		return
	}
	e := (*envelope)(nil)
	switch m := m.(type) {
	case *wamp.Publish:
		e, d.cache.publish.message = &d.cache.publish.envelope, *m
		d.cache.publish.message.Payload = wamp.Payload{}
	case *wamp.Call:
		e, d.cache.call.message = &d.cache.call.envelope, *m
		d.cache.call.message.Payload = wamp.Payload{}
	case *wamp.Yield:
		e, d.cache.yield.message = &d.cache.yield.envelope, *m
		d.cache.yield.message.Payload = wamp.Payload{}
	default:
		return
	}
	d.r.open(d.frame, 1)
	d.r.jump(before)
	step(d.r, toID)
	d.r.read(&d.tok, false)
	e.s, e.toID, e.toPayload = d.s, toID, d.toPayload
	e.before = append(e.before[:0], d.frame[:before]...)
	e.after = append(e.after[:0], d.frame[d.r.pos():d.payloadAt]...)
}
