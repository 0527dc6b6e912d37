package codec

import (
	"bytes"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// A session that publishes, calls or yields mostly sends the message before
// once more, but for the request id and the payload. So the last message of each
// of these types is kept with the bytes on both sides of its request id: a frame
// that has the same ones is the same message, because an encoding says itself
// where it ends. What is left to read is the id and the payload.

// repeats are the messages that may be sent again. What they refer to is shared
// with those that are, as it is with memos.
type repeats struct {
	publish repeat[wamp.Publish]
	call    repeat[wamp.Call]
	yield   repeat[wamp.Yield]
}

type repeat[M any] struct {
	envelope
	message M // without its payload
}

// envelope is the bytes of a message that are neither its request id nor its
// payload.
type envelope struct {
	s         wamp.Serializer
	before    []byte // to the end of the message type
	after     []byte // from the end of the request id to the end of what the payload follows
	toID      left   // of the message array, after before
	toPayload left   // the same, after after
}

// again decodes the frame if it is one of the messages kept, sent again.
// Otherwise it returns nil, and nothing is lost but a moment.
func (d *decoding) again() wamp.Message {
	switch k := &d.kept; {
	case d.follows(&k.publish.envelope):
		m := &d.publish
		*m, d.of = k.publish.message, wamp.TypePublish
		d.rest(&m.Request, &m.Payload, &m.Options.Attributes)
		return m
	case d.follows(&k.call.envelope):
		m := &d.call
		*m, d.of = k.call.message, wamp.TypeCall
		d.rest(&m.Request, &m.Payload, &m.Options.Attributes)
		return m
	case d.follows(&k.yield.envelope):
		m := &d.yield
		*m, d.of = k.yield.message, wamp.TypeYield
		d.rest(&m.Request, &m.Payload, &m.Options.Attributes)
		return m
	}
	return nil
}

// follows reads the frame as far as the payload, if it has the envelope e; d.tok
// is the request id then.
func (d *decoding) follows(e *envelope) bool {
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
	d.left = e.toPayload
	return true
}

func (d *decoding) rest(id *wamp.ID, p *wamp.Payload, a *wamp.Attributes) {
	n, _ := d.integer()
	*id = wamp.ID(n)
	d.Payload(p, a)
	d.finish()
}

// keep keeps the message that was decoded, of which before bytes came before the
// request id, if its options and URI were known already: then it may well come
// again.
func (d *decoding) keep(m wamp.Message, before int, toID left) {
	if d.err != nil || d.news {
		return
	}
	e := (*envelope)(nil)
	switch m := m.(type) {
	case *wamp.Publish:
		e, d.kept.publish.message = &d.kept.publish.envelope, *m
		d.kept.publish.message.Payload = wamp.Payload{}
	case *wamp.Call:
		e, d.kept.call.message = &d.kept.call.envelope, *m
		d.kept.call.message.Payload = wamp.Payload{}
	case *wamp.Yield:
		e, d.kept.yield.message = &d.kept.yield.envelope, *m
		d.kept.yield.message.Payload = wamp.Payload{}
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
