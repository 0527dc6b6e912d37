package codec

import "github.com/blindfold-wamp/blindfold/wamp"

// Payload finds where the payload ends and how it is shaped, and leaves it as
// the bytes that it is.
func (d *decoding) Payload(p *wamp.Payload, a *wamp.Attributes) {
	facts := wamp.PayloadFacts{Opaque: a.Declared() != wamp.FormNone}
	d.payloadAt, d.toPayload = d.r.pos(), d.remaining
	if !d.optional("Arguments") {
		*p = wamp.NewPayload(nil, nil, facts)
		return
	}
	start := d.r.pos()
	single := d.arguments(&facts)
	end := d.r.pos()
	if d.optional("ArgumentsKw") {
		if d.keywords(&facts) {
			end = d.r.pos()
		}
	}
	if d.err != nil {
		return
	}
	if facts.Elements == 0 {
		*p = wamp.NewPayload(nil, nil, facts)
		return
	}
	tail := d.frame[start:end:end]
	facts.Size = len(tail)
	if single >= 0 && facts.Kwargs == 0 {
		facts.Size = single
	}
	*p = wamp.NewPayload(transcoders[d.s], tail, facts)
}

// arguments passes over Arguments: a list, one bare binary, or null for none.
// It returns the size of the binary, if the payload is a single one, or -1.
func (d *decoding) arguments(facts *wamp.PayloadFacts) int {
	const name = "Arguments"
	if !d.r.read(&d.tok, false) {
		d.malformed(name, d.r.fault())
		return -1
	}
	switch d.tok.kind {
	case kindNull:
		return -1
	case kindBinary:
		facts.Shape, facts.Elements = wamp.ShapeBinary, 1
		return d.tok.size
	case kindArray:
	default:
		d.fail(name, "must be a list or one binary")
		return -1
	}
	facts.Shape, facts.Elements = wamp.ShapeList, 1
	single := -1
	for l := d.tok.remaining; d.inTail(name, &l); {
		if !d.r.read(&d.tok, false) {
			d.malformed(name, d.r.fault())
			return -1
		}
		if single = -1; d.tok.kind == kindBinary && facts.Args == 0 {
			single = d.tok.size
		}
		facts.Args++
		if d.tok.opens() && !d.finishInTail(name) {
			return -1
		}
	}
	return single
}

// keywords passes over ArgumentsKw: a dict, or null for none. It reports
// whether there is one.
func (d *decoding) keywords(facts *wamp.PayloadFacts) bool {
	const name = "ArgumentsKw"
	switch {
	case d.err != nil:
		return false
	case !d.r.read(&d.tok, false):
		d.malformed(name, d.r.fault())
		return false
	case d.tok.kind == kindNull:
		return false
	case facts.Shape == wamp.ShapeBinary:
		d.fail(name, "must not follow a binary")
		return false
	case facts.Shape == wamp.ShapeNone:
		d.fail(name, "must follow a list")
		return false
	case d.tok.kind != kindMap:
		d.fail(name, "must be a dict")
		return false
	}
	facts.Elements = 2
	for l := d.tok.remaining; d.inTail(name, &l); {
		if !d.r.read(&d.tok, false) {
			d.malformed(name, d.r.fault())
			return false
		}
		if d.tok.kind != kindText {
			d.fail(name, "has a key that is not a string")
			return false
		}
		if !d.inTail(name, &l) || !d.r.read(&d.tok, false) {
			d.malformed(name, d.r.fault())
			return false
		}
		facts.Kwargs++
		if !d.finishInTail(name) {
			return false
		}
	}
	return d.err == nil
}

// inTail steps to the next element, key or value of a container in the payload.
func (d *decoding) inTail(name string, l *remaining) bool {
	next, ok := step(d.r, *l)
	*l = next
	if !ok && d.r.fault() != "" {
		d.malformed(name, d.r.fault())
	}
	return ok
}

func (d *decoding) finishInTail(name string) bool {
	fault := d.walker.finish(d.r, &d.tok, maxPayloadDepth-1, noItemLimit)
	if fault != "" {
		d.malformed(name, fault)
	}
	return fault == ""
}
