package codec

import (
	"unsafe"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// This is to writing what cache_read.go is to reading: the last EVENT, INVOCATION or
// RESULT is often sent again with another id and payload. The bytes on both
// sides of that id are cached.

// writeCache holds the last messages in one serializer.
type writeCache struct {
	event      cachedWrite[wamp.EventDetails]
	invocation cachedWrite[wamp.InvocationDetails]
	result     cachedWrite[wamp.ResultDetails]
}

// cachedWrite is the last message of one type. The id that changes is an EVENT's
// publication and an INVOCATION's request; fixed is the other.
type cachedWrite[D comparable] struct {
	details  D
	fixed    wamp.ID
	elements int    // of the payload; 0 also if nothing is cached
	before   []byte // up to the id that changes
	after    []byte // from that id to the payload
	end      []byte // after the payload
}

// appendCached appends the message, if only its id and payload differ from the cached
// one.
func (r *cachedWrite[D]) appendCached(e *encoding, fixed, id wamp.ID, details *D, p *wamp.Payload) bool {
	if r.elements == 0 || r.elements != p.Elements() || r.fixed != fixed || !equal(&r.details, details) || p.Serializer() != e.s {
		return false
	}
	e.dst = append(e.dst, r.before...)
	e.dst = e.w.uint(e.dst, uint64(id))
	e.dst = append(e.dst, r.after...)
	e.dst = p.AppendTail(e.dst)
	e.dst = append(e.dst, r.end...)
	return true
}

// equal reports whether a == b. It is faster than == if the strings in them share
// memory, as those from a decoder's cache do. It compares the memory first; if that
// differs, it compares with ==.
func equal[D comparable](a, b *D) bool {
	return string(bytesOf(a)) == string(bytesOf(b)) || *a == *b
}

// bytesOf returns the memory of v itself. Padding in it may differ between equal
// values.
func bytesOf[D any](v *D) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// store caches a message that was appended in full, at start, if the one before had the
// same details and the same fixed id.
func (r *cachedWrite[D]) store(e *encoding, start int, fixed wamp.ID, changing int, details *D, p *wamp.Payload) {
	before := r.fixed
	r.fixed, r.elements = fixed, 0
	if e.news || e.err != nil || before != fixed || p.Elements() == 0 {
		return
	}
	at := e.ids[changing]
	r.details, r.elements = *details, p.Elements()
	r.before = append(r.before[:0], e.dst[start:at[0]]...)
	r.after = append(r.after[:0], e.dst[at[1]:e.payloadAt]...)
	r.end = append(r.end[:0], e.dst[e.payloadAt+p.WireSize():]...)
}

// appendCached appends m if only its id and payload differ from a cached message.
func (e *encoding) appendCached(m wamp.Message) bool {
	if e.dicts == nil {
		return false
	}
	switch r := &e.dicts[e.s].messages; m := m.(type) {
	case *wamp.Event:
		return r.event.appendCached(e, m.Subscription, m.Publication, &m.Details, &m.Payload)
	case *wamp.Invocation:
		return r.invocation.appendCached(e, m.Registration, m.Request, &m.Details, &m.Payload)
	case *wamp.Result:
		return r.result.appendCached(e, 0, m.Request, &m.Details, &m.Payload)
	}
	return false
}

// store caches m, which was appended at start.
func (e *encoding) store(m wamp.Message, start int) {
	if e.dicts == nil {
		return
	}
	switch r := &e.dicts[e.s].messages; m := m.(type) {
	case *wamp.Event:
		r.event.store(e, start, m.Subscription, 1, &m.Details, &m.Payload)
	case *wamp.Invocation:
		r.invocation.store(e, start, m.Registration, 0, &m.Details, &m.Payload)
	case *wamp.Result:
		r.result.store(e, start, 0, 0, &m.Details, &m.Payload)
	}
}
