package verify

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// opaquePayload is a payload to send, and the binary in it.
type opaquePayload struct {
	attributes wamp.Attributes
	payload    wamp.Payload
	content    []byte
}

// Encodings of the same binary. A router that decodes and encodes again writes
// them all alike.
const (
	shortest = iota // as this project's codec writes it
	long            // legal, and longer than necessary
	spaced          // JSON: with white space; CBOR: in chunks, in lists of indefinite length
	encodingStyles
)

// frame encodes a binary as an opaque payload.
func frame(s wamp.Serializer, form wamp.Form, style int, a wamp.Attributes, content []byte) opaquePayload {
	o := opaquePayload{attributes: a, content: content}
	if style == shortest {
		o.payload = codec.BinaryPayload(s, form, content)
		return o
	}
	var tail []byte
	switch s {
	case wamp.JSON:
		tail = jsonBinary(style, form, content)
	case wamp.MsgPack:
		tail = msgpackBinary(style, form, content)
	case wamp.CBOR:
		tail = cborBinary(style, form, content)
	}
	facts := wamp.PayloadFacts{Shape: wamp.ShapeBinary, Elements: 1, Size: len(content), Opaque: true}
	if form == wamp.FormPassthru {
		facts.Shape, facts.Args = wamp.ShapeList, 1
	}
	o.payload = wamp.NewPayload(noTranscoder(s), tail, facts)
	return o
}

// noTranscoder is the transcoder of payloads made here, which are never decoded.
type noTranscoder wamp.Serializer

func (c noTranscoder) Serializer() wamp.Serializer { return wamp.Serializer(c) }

func (noTranscoder) DecodePayload([]byte, int, wamp.ValueLimits) ([]any, map[string]any, error) {
	return nil, nil, wamp.ErrOpaque
}

func jsonBinary(style int, form wamp.Form, content []byte) []byte {
	text := base64.StdEncoding.EncodeToString(content)
	out := []byte(`"\u0000`)
	for i, c := range []byte(text) {
		switch {
		case i == 0 && style == long: // JSON may escape any character
			out = fmt.Appendf(out, `\u%04x`, c)
		case c == '/' && style == long:
			out = append(out, '\\', c)
		default:
			out = append(out, c)
		}
	}
	out = append(out, '"')
	if form == wamp.FormTransparency {
		return out
	}
	if style == spaced {
		return append(append([]byte("[ \t"), out...), " ]"...)
	}
	return append(append([]byte("["), out...), ']')
}

func msgpackBinary(style int, form wamp.Form, content []byte) []byte {
	var out []byte
	if form == wamp.FormPassthru {
		out = []byte{0xdc, 0, 1} // array 16
		if style == spaced {
			out = []byte{0xdd, 0, 0, 0, 1} // array 32
		}
	}
	if style == long && len(content) <= 0xffff {
		out = binary.BigEndian.AppendUint16(append(out, 0xc5), uint16(len(content))) // bin 16
	} else {
		out = binary.BigEndian.AppendUint32(append(out, 0xc6), uint32(len(content))) // bin 32
	}
	return append(out, content...)
}

func cborBinary(style int, form wamp.Form, content []byte) []byte {
	eightByteLength := func(dst []byte, major byte, n int) []byte {
		return binary.BigEndian.AppendUint64(append(dst, major<<5|27), uint64(n))
	}
	var out []byte
	if form == wamp.FormPassthru {
		if style == spaced {
			out = append(out, 0x9f) // a list of indefinite length
		} else {
			out = eightByteLength(out, 4, 1)
		}
	}
	if style != spaced {
		return append(eightByteLength(out, 2, len(content)), content...)
	}
	half := len(content) / 2
	out = append(out, 0x5f) // a byte string in chunks
	for _, chunk := range [][]byte{content[:half], content[half:]} {
		out = append(eightByteLength(out, 2, len(chunk)), chunk...)
	}
	out = append(out, 0xff)
	if form == wamp.FormPassthru {
		out = append(out, 0xff)
	}
	return out
}
