package codec

import "github.com/blindfold-wamp/blindfold/wamp"

// Elements returns values that stand for the elements of a payload (its list and its
// dict, or its bare binary) in arguments of EncodePayload for serializer s. So a stored
// payload can become part of another one without being decoded: its bytes are copied as
// they are, or converted as Convert does. The error, a *wamp.Refusal, says what can't
// be converted. The values may refer to p's bytes.
func Elements(p *wamp.Payload, s wamp.Serializer) ([]any, error) {
	if p.Elements() == 0 {
		return nil, nil
	}
	converted, err := Convert(p, s)
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
	var all []any
	l := r.open(tail, converted.Elements())
	for range converted.Elements() {
		var ok bool
		if l, ok = step(r, l); !ok {
			return nil, inconvertible("malformed data: " + r.fault())
		}
		start := r.pos()
		if fault := w.skip(r, maxPayloadDepth, noItemLimit); fault != "" {
			return nil, inconvertible("malformed data: " + fault)
		}
		all = append(all, element{tail[start:r.pos()], s})
	}
	return all, nil
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
