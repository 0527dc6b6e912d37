package codec

import "github.com/blindfold-wamp/blindfold/wamp"

// kind is what a token is. The data models of the three serializers meet here.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindUint
	kindInt // a negative integer
	kindFloat
	kindText
	kindBinary
	kindArray
	kindMap
	kindOther // legal, but not representable: a CBOR tag, a MessagePack extension
)

// remaining is how many values of a container are still to come, or, if negative, a
// state of its reader.
type remaining int64

// States of readers for containers that end with a mark instead of a count. JSON
// needs them all, to know which separator is due; CBOR the first and the maps'.
const (
	arrayFirst remaining = -1 - iota
	arrayNext
	mapFirst
	mapValue
	mapNext
)

// token is one scalar, or the head of an array, map or tag.
type token struct {
	kind      kind
	remaining remaining // of an array, of a map (its keys and values counted alike), of a tag
	num       uint64    // kindUint; kindInt as two's complement; kindBool as 0 or 1
	float     float64   // kindFloat
	size      int       // kindBinary: its content bytes
	text      []byte    // kindText, kindBinary: valid until the next read
	what      string    // kindOther: its name, for people
}

// reader reads the tokens of one serializer. Its methods return false once the input is
// malformed; fault says why. No reader allocates by a length that was only claimed.
type reader interface {
	// open starts on buf, which holds n values in a row: a message, or the
	// elements of a payload.
	open(buf []byte, n int) remaining
	// more is for step, where l is negative.
	more(l remaining) (remaining, bool)
	// read reads the next token. Without contents, text and numbers are
	// checked but not returned: t.text, t.num and t.float mean nothing then.
	read(t *token, contents bool) bool
	// pos is the offset of the next token, if step has just returned true, and
	// of the end of the last one, if read has.
	pos() int
	// jump moves to an offset that is the end of the next value, as if that had
	// been read.
	jump(to int)
	// atEnd reports whether nothing is left in buf.
	atEnd() bool
	// fault says what is malformed, or "".
	fault() string
}

// step reports whether another key, value or element comes in a container, and
// steps to it.
func step(r reader, l remaining) (remaining, bool) {
	if l >= 0 {
		return max(l-1, 0), l > 0
	}
	return r.more(l)
}

// What is malformed, in all serializers.
const (
	faultTruncated = "ends too early"
	faultText      = "text that is not UTF-8"
	faultLength    = "a length beyond the end of the frame"
	faultDepth     = "nested too deep"
	faultTooMany   = "too many elements"
	faultUnknown   = "a byte that begins no value"
)

// Limits on what is read or skipped.
const (
	maxPayloadDepth  = 128
	maxEnvelopeDepth = 32
	maxEnvelopeItems = 4096
	noItemLimit      = int(^uint(0) >> 1)
)

// readers is a reader of each serializer.
type readers struct {
	json    jsonReader
	msgpack msgpackReader
	cbor    cborReader
}

func (r *readers) of(s wamp.Serializer) reader {
	switch s {
	case wamp.JSON:
		return &r.json
	case wamp.MsgPack:
		return &r.msgpack
	case wamp.CBOR:
		return &r.cbor
	}
	return nil
}

// walker passes over values without recursion.
type walker struct {
	stack [maxPayloadDepth]remaining
	tok   token
}

// skip passes over the next value whole, and returns what is wrong with it, or
// "". It allows depth containers within each other, and items values in all.
func (w *walker) skip(r reader, depth, items int) string {
	if !r.read(&w.tok, false) {
		return r.fault()
	}
	return w.finish(r, &w.tok, depth, items)
}

// finish passes over what is left of the value that t began.
func (w *walker) finish(r reader, t *token, depth, items int) string {
	if !t.opens() {
		return ""
	}
	open := 0
	for l := t.remaining; ; {
		if open == depth {
			return faultDepth
		}
		w.stack[open] = l
		open++
		for {
			more := false
			if w.stack[open-1], more = step(r, w.stack[open-1]); !more {
				if r.fault() != "" {
					return r.fault()
				}
				if open--; open == 0 {
					return ""
				}
				continue
			}
			if items--; items < 0 {
				return faultTooMany
			}
			if !r.read(&w.tok, false) {
				return r.fault()
			}
			if w.tok.opens() {
				break
			}
		}
		l = w.tok.remaining
	}
}

// opens reports whether values follow that belong to t.
func (t *token) opens() bool {
	return t.kind == kindArray || t.kind == kindMap || t.kind == kindOther && t.remaining != 0
}
