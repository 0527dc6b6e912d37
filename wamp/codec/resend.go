package codec

import (
	"unsafe"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// What repeat.go is for reading, this is for writing: the EVENT, INVOCATION or
// RESULT before, once more, but for one id and the payload. The bytes on both
// sides of that id are kept.

// resends are the messages that may be sent again, in one serializer.
type resends struct {
	event      resend[wamp.EventDetails]
	invocation resend[wamp.InvocationDetails]
	result     resend[wamp.ResultDetails]
}

// resend is a message of one type. Of the ids of an EVENT it is the publication
// that changes, and of an INVOCATION the request; fixed is the other.
type resend[D comparable] struct {
	details  D
	fixed    wamp.ID
	elements int    // of the payload; 0 also if nothing is kept
	before   []byte // the id that changes
	after    []byte // it, to the payload
	end      []byte // behind the payload
}

// again appends the message, if it is the one kept but for its id and payload.
func (r *resend[D]) again(e *encoding, fixed, id wamp.ID, details *D, p *wamp.Payload) bool {
	if r.elements == 0 || r.elements != p.Elements() || r.fixed != fixed || !alike(&r.details, details) || p.Serializer() != e.s {
		return false
	}
	e.dst = append(e.dst, r.before...)
	e.dst = e.w.uint(e.dst, uint64(id))
	e.dst = append(e.dst, r.after...)
	e.dst = p.AppendTail(e.dst)
	e.dst = append(e.dst, r.end...)
	return true
}

// alike reports whether a == b, and is quick where the strings in them are not only
// equal but the same, as those are that a decoder remembers.
func alike[D comparable](a, b *D) bool {
	return string(memory(a)) == string(memory(b)) || *a == *b
}

// memory is the bytes that a value takes itself. What of them is padding may differ
// between equal values.
func memory[D any](v *D) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// keep keeps a message that was appended whole, at start, if the one before had
// the same details and the same fixed id.
func (r *resend[D]) keep(e *encoding, start int, fixed wamp.ID, changing int, details *D, p *wamp.Payload) {
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

// again appends m if it is one of those kept.
func (e *encoding) again(m wamp.Message) bool {
	if e.memos == nil {
		return false
	}
	switch r := &e.memos[e.s].resends; m := m.(type) {
	case *wamp.Event:
		return r.event.again(e, m.Subscription, m.Publication, &m.Details, &m.Payload)
	case *wamp.Invocation:
		return r.invocation.again(e, m.Registration, m.Request, &m.Details, &m.Payload)
	case *wamp.Result:
		return r.result.again(e, 0, m.Request, &m.Details, &m.Payload)
	}
	return false
}

// keep keeps m, which was appended at start.
func (e *encoding) keep(m wamp.Message, start int) {
	if e.memos == nil {
		return
	}
	switch r := &e.memos[e.s].resends; m := m.(type) {
	case *wamp.Event:
		r.event.keep(e, start, m.Subscription, 1, &m.Details, &m.Payload)
	case *wamp.Invocation:
		r.invocation.keep(e, start, m.Registration, 0, &m.Details, &m.Payload)
	case *wamp.Result:
		r.result.keep(e, start, 0, 0, &m.Details, &m.Payload)
	}
}
