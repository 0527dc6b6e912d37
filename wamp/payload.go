package wamp

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"unsafe"
)

// Shape is the form of a payload on the wire.
type Shape uint8

// The shapes of a payload.
const (
	// ShapeNone is a message without payload elements.
	ShapeNone Shape = iota
	// ShapeList is Arguments|list, with or without ArgumentsKw|dict.
	ShapeList
	// ShapeBinary is one bare binary in the place of Arguments: payload
	// transparency, as Autobahn and Crossbar speak it.
	ShapeBinary
)

// ErrOpaque is the error of every attempt to decode an opaque payload.
var ErrOpaque = errors.New("payload is opaque: it can be forwarded, not decoded")

// A Transcoder turns the clear payload bytes of one serializer into values.
// Package codec implements it; a Payload carries the one of its own serializer
// so that code that holds the payload need not know the serializer.
type Transcoder interface {
	Serializer() Serializer
	// DecodePayload decodes the elements of a ShapeList payload. What exceeds max is
	// a *Refusal that names the limit.
	DecodePayload(tail []byte, elements int, max ValueLimits) (args []any, kwargs map[string]any, err error)
}

// ValueLimits bound the values that are made of a payload: an encoded value of one byte
// can take some 150 in memory. A zero field stands for no bound but the codec's own.
type ValueLimits struct {
	Nesting  int // containers in each other
	Elements int // values, those in containers and the containers themselves
}

// Payload is everything of a message behind its envelope, as the bytes that
// came off the wire. It is opaque if its sender declared it to be none of the
// router's business: then it has a size and a digest and can be forwarded, and
// Decode refuses. No way of printing or logging a Payload shows its content,
// opaque or clear.
//
// A Payload that a decoder returned refers to the decoder's frame and is valid
// as long as that is; Clone makes a lasting one. The zero Payload is no payload.
// A Payload may be read concurrently.
type Payload struct {
	// data and length are the bytes. They are no slice so that what passes by
	// Format, such as fmt's %p or a dumper of fields, finds an address only.
	data   *byte
	length int
	from   Transcoder
	size   int
	args   int
	kwargs int
	shape  Shape
	// elements of the message array that the bytes are: 0, 1 or 2.
	elements int8
	opaque   bool
	reframe  bool
}

// PayloadFacts is what a codec learnt about a tail while it skipped it.
type PayloadFacts struct {
	Shape    Shape
	Elements int  // elements of the message array in the tail: 0, 1 or 2
	Args     int  // elements of the list; for ShapeBinary 0
	Kwargs   int  // entries of the dict
	Size     int  // content bytes: of the binary if the payload is one, else of the tail
	Opaque   bool // whether the sender declared it opaque
}

// NewPayload is for codecs: tail holds facts.Elements encoded elements of the
// serializer that from decodes, without separators around them. The payload
// refers to tail.
func NewPayload(from Transcoder, tail []byte, facts PayloadFacts) Payload {
	return Payload{
		data: unsafe.SliceData(tail), length: len(tail), from: from, size: facts.Size, args: facts.Args, kwargs: facts.Kwargs,
		shape: facts.Shape, elements: int8(facts.Elements),
		// A bare binary is opaque whether or not a scheme is named beside it.
		opaque: facts.Opaque || facts.Shape == ShapeBinary,
	}
}

// Opaque reports whether the payload refuses to be decoded.
func (p *Payload) Opaque() bool { return p.opaque }

// Shape returns how the payload stands on the wire.
func (p *Payload) Shape() Shape { return p.shape }

// Args returns the number of elements in Arguments.
func (p *Payload) Args() int { return p.args }

// Kwargs returns the number of entries in ArgumentsKw.
func (p *Payload) Kwargs() int { return p.kwargs }

// Size returns the number of content bytes: those of the binary where the
// payload is a single binary in either form, else those of the tail on the wire.
func (p *Payload) Size() int { return p.size }

// WireSize returns the number of bytes that AppendTail appends.
func (p *Payload) WireSize() int { return p.length }

// Elements returns how many elements of the message array the payload is: 0 to 2.
func (p *Payload) Elements() int { return int(p.elements) }

// Serializer returns the serializer of the payload's bytes, or 0 for a payload
// without elements, which is the same in all of them.
func (p *Payload) Serializer() Serializer {
	if p.from == nil || p.elements == 0 {
		return 0
	}
	return p.from.Serializer()
}

// AppendTail appends the payload's bytes, unchanged, to dst. It is how a codec
// splices a payload behind a new envelope, and nothing else calls it: a test
// (TestOnlyTheCodecTouchesPayloadBytes) keeps it so.
func (p *Payload) AppendTail(dst []byte) []byte { return append(dst, p.tail()...) }

func (p *Payload) tail() []byte { return unsafe.Slice(p.data, p.length) }

// DeclareOpaque makes the payload opaque, where what declares it so came with
// another message: the first of a progressive call. There is no way back.
func (p *Payload) DeclareOpaque() { p.opaque = true }

// Decode returns the values of a clear payload: nil, bool, int64, uint64 (only
// above 2^63-1), float64, string, []byte, []any and map[string]any. It returns
// ErrOpaque for an opaque one. It is for the payload's receiver; code that
// decodes payloads of untrusted senders uses DecodeWithin.
func (p *Payload) Decode() (args []any, kwargs map[string]any, err error) {
	return p.DecodeWithin(ValueLimits{})
}

// DecodeWithin is Decode for a payload that must not exceed max. The values take at
// most as much memory as the payload, plus 256 bytes for each of max.Elements.
func (p *Payload) DecodeWithin(max ValueLimits) (args []any, kwargs map[string]any, err error) {
	if p.opaque {
		return nil, nil, ErrOpaque
	}
	if p.elements == 0 {
		return nil, nil, nil
	}
	return p.from.DecodePayload(p.tail(), int(p.elements), max)
}

// PermitReframing lets a codec change the framing of an opaque binary (JSON
// string, MessagePack bin, CBOR byte string) for a receiver with another
// serializer. The binary's own bytes never change. Without it, such a
// conversion is refused.
func (p *Payload) PermitReframing() { p.reframe = true }

// MayReframe reports whether PermitReframing was called.
func (p *Payload) MayReframe() bool { return p.reframe }

// Clone returns a payload that refers to a copy of the bytes. The permission to reframe
// is not copied: it is asked for again when the clone is delivered.
func (p *Payload) Clone() Payload {
	c := *p
	c.reframe = false
	c.data = unsafe.SliceData(append([]byte(nil), p.tail()...))
	return c
}

// Digest returns the SHA-256 of the payload's bytes on the wire.
func (p *Payload) Digest() [sha256.Size]byte { return sha256.Sum256(p.tail()) }

// String describes the payload without showing it.
func (p Payload) String() string {
	if p.elements == 0 {
		return "payload(none)"
	}
	kind := "clear"
	if p.opaque {
		kind = "opaque"
	}
	return fmt.Sprintf("payload(%s, %d B)", kind, p.size)
}

// Format makes every verb of package fmt print String.
func (p Payload) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(p.String())) }

// LogValue makes package log/slog log String.
func (p Payload) LogValue() slog.Value { return slog.StringValue(p.String()) }

// MarshalText makes encoders of text formats, JSON among them, write String.
func (p Payload) MarshalText() ([]byte, error) { return []byte(p.String()), nil }
