package codec

import "github.com/blindfold-wamp/blindfold/wamp"

// Binary returns a copy of the binary that an opaque payload is, bare or alone
// in its list, and false if the payload is anything else.
//
// It is for clients that are about to open it. A router has no use for it: a
// test of this project forbids it to the packages that the router is made of.
func Binary(p *wamp.Payload) (data []byte, ok bool) {
	if !p.Opaque() || p.Elements() == 0 || p.Kwargs() != 0 {
		return nil, false
	}
	var rs readers
	var t token
	r := rs.of(p.Serializer())
	l := r.open(p.AppendTail(nil), p.Elements())
	if !first(r, &t, l) {
		return nil, false
	}
	if p.Shape() == wamp.ShapeList && (p.Args() != 1 || !first(r, &t, t.remaining)) {
		return nil, false
	}
	return t.text, t.kind == kindBinary
}

// first reads the first value of a container.
func first(r reader, t *token, l remaining) bool {
	_, ok := step(r, l)
	return ok && r.read(t, true)
}
