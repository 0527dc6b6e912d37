package codec

import "github.com/blindfold-wamp/blindfold/wamp"

// Element returns a value that stands, in what EncodePayload is given for
// serializer s, for the first element of an opaque payload: its list, or its
// bare binary. So a payload that was kept can be handed out as part of another
// one, and nobody in between reads it. Its bytes are spliced as they are; in
// another serializer than its own, the framing of a binary changes and its
// content does not. The error, a *wamp.Refusal, says that the element is no
// binary and would have to be converted. A payload without elements is nil. The
// value refers to p's bytes.
func Element(p *wamp.Payload, s wamp.Serializer) (any, error) {
	if p.Elements() == 0 {
		return nil, nil
	}
	in := *p
	in.PermitReframing()
	converted, err := Convert(&in, s)
	if err != nil {
		return nil, err
	}
	tail := converted.AppendTail(nil)
	var rs readers
	var w walker
	r := rs.of(s)
	if r == nil {
		return nil, errSerializer
	}
	if _, ok := step(r, r.open(tail, converted.Elements())); !ok {
		return nil, inconvertible("malformed data: " + r.fault())
	}
	start := r.pos()
	if fault := w.skip(r, maxPayloadDepth, noItemLimit); fault != "" {
		return nil, inconvertible("malformed data: " + fault)
	}
	return element{tail[start:r.pos()], s}, nil
}

// element is one encoded value.
type element struct {
	encoded []byte
	s       wamp.Serializer
}

func (e *encoding) element(v element) {
	if v.s != e.s {
		e.fail(errPayload)
		return
	}
	e.before()
	e.dst = append(e.dst, v.encoded...)
}
