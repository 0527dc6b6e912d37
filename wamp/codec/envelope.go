package codec

import "github.com/blindfold-wamp/blindfold/wamp"

// AppendEnvelope appends the message that was decoded last to dst, without its payload if
// it is a wamp.Carrier: what precedes the payload is there as it came, options that are
// not known among it. The frame must not have changed since. It is for programs that give
// the envelope to a codec that is not this one.
func (d *Decoder) AppendEnvelope(dst []byte) []byte {
	in := &d.in
	if in.payloadAt == 0 {
		return append(dst, in.frame...)
	}
	step(in.r, in.r.open(in.frame, 1))
	in.r.read(&in.tok, false)
	head, elements := in.r.pos(), in.tok.remaining
	switch {
	case in.s == wamp.JSON:
		return append(append(dst, in.frame[:in.payloadAt]...), ']')
	case elements < 0:
		return append(append(dst, in.frame[:in.payloadAt]...), cborBreak)
	case in.s == wamp.CBOR:
		dst = append(dst, cborArray<<5|byte(elements-in.toPayload))
	default:
		dst = append(dst, 0x90|byte(elements-in.toPayload)) // MessagePack's fixarray
	}
	return append(dst, in.frame[head:in.payloadAt]...)
}
