package transport

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Framing says how a frame is put on the wire. Connections with equal Framing
// can share the bytes of one frame, as long as it isn't a masked one.
type Framing uint8

// The framings.
const (
	FramingRaw          Framing = iota // RawSocket
	FramingText                        // WebSocket, server to client, messages in text frames
	FramingBinary                      // the same, in binary frames
	FramingMemory                      // Pipe
	FramingMaskedText                  // WebSocket, client to server
	FramingMaskedBinary                // the same, in binary frames
	Framings                           // how many there are
)

const (
	rawHeader    = 4
	wsHeader     = 10
	memoryHeader = 5
	maskSize     = 4

	// rawMax is what a RawSocket length of 3 bytes can say. The specification
	// has an extra bit for exactly one byte more. That is understood when read,
	// but never sent: peers in the wild take the bit for nothing.
	rawMax = 1<<24 - 1
	// wsControlMax is the largest body of a control frame (RFC 6455, section 5.5).
	wsControlMax = 125
)

// headerSpace returns the size of the largest header.
func (f Framing) headerSpace() int {
	switch f {
	case FramingRaw:
		return rawHeader
	case FramingMemory:
		return memoryHeader
	case FramingText, FramingBinary:
		return wsHeader
	}
	return wsHeader + maskSize
}

// MaxMessage returns the size of the largest message that the framing can
// carry, in bytes. The peer may accept less: see Info.MaxSend.
func (f Framing) MaxMessage() int {
	switch f {
	case FramingRaw:
		return rawMax
	case FramingMemory:
		return math.MaxInt32
	}
	return math.MaxInt
}

// carries reports whether the framing has frames for op with a body of n bytes.
func (f Framing) carries(op Op, n int) bool {
	switch {
	case op == OpMessage || f == FramingMemory:
		return n <= f.MaxMessage()
	case f == FramingRaw:
		return op != OpClose && n <= rawPingMax
	}
	return n <= wsControlMax
}

// AppendFrame appends the frame of body to dst, and returns the longer slice.
// What the framing can't carry (a message over MaxMessage, a control frame over
// 125 bytes on WebSocket or 64 KiB on RawSocket, OpClose on RawSocket) appends
// nothing.
func (f Framing) AppendFrame(dst []byte, op Op, body []byte) []byte {
	if !f.carries(op, len(body)) {
		return dst
	}
	start := len(dst)
	dst = f.Begin(dst)
	bodyStart := len(dst)
	dst = append(dst, body...)
	frame := f.Finish(dst, bodyStart, op)
	// The header may be shorter than the room for it: close the gap.
	n := copy(dst[start:], frame)
	return dst[:start+n]
}

// Begin makes room in dst for the largest header. The body is to be appended to
// what it returns, and then be framed by Finish.
func (f Framing) Begin(dst []byte) []byte {
	var room [wsHeader + maskSize]byte
	return append(dst, room[:f.headerSpace()]...)
}

// Finish frames the body dst[bodyStart:], which must follow the room that Begin
// made. It writes the header directly before the body (and masks the body, if
// it is the framing's way), and returns the frame, which is a part of dst; the
// room in front of it, if any is left, is not part of it. What the framing
// can't carry gives nil.
func (f Framing) Finish(dst []byte, bodyStart int, op Op) []byte {
	body := dst[bodyStart:]
	n := len(body)
	if !f.carries(op, n) {
		return nil
	}
	switch f {
	case FramingRaw:
		start := bodyStart - rawHeader
		binary.BigEndian.PutUint32(dst[start:], uint32(n))
		dst[start] = byte(op) // message, PING and PONG are numbered as in Op
		return dst[start:]
	case FramingMemory:
		start := bodyStart - memoryHeader
		dst[start] = byte(op)
		binary.BigEndian.PutUint32(dst[start+1:], uint32(n))
		return dst[start:]
	}

	var masked byte
	end := bodyStart
	if f == FramingMaskedText || f == FramingMaskedBinary {
		// The masking key must not be foreseen by what the client sends (RFC
		// 6455, section 5.3); the runtime's generator is ChaCha8.
		masked = 0x80
		var key [maskSize]byte
		binary.NativeEndian.PutUint32(key[:], rand.Uint32())
		end -= maskSize
		copy(dst[end:], key[:])
		ws.Cipher(body, key, 0)
	}
	var start int
	switch {
	case n <= 125:
		start = end - 2
		dst[start+1] = masked | byte(n)
	case n <= math.MaxUint16:
		start = end - 4
		dst[start+1] = masked | 126
		binary.BigEndian.PutUint16(dst[start+2:], uint16(n))
	default:
		start = end - 10
		dst[start+1] = masked | 127
		binary.BigEndian.PutUint64(dst[start+2:], uint64(n))
	}
	dst[start] = 0x80 | f.opcode(op)
	return dst[start:]
}

// opcode returns WebSocket's opcode for op.
func (f Framing) opcode(op Op) byte {
	switch op {
	case OpPing:
		return byte(ws.OpPing)
	case OpPong:
		return byte(ws.OpPong)
	case OpClose:
		return byte(ws.OpClose)
	}
	if f == FramingText || f == FramingMaskedText {
		return byte(ws.OpText)
	}
	return byte(ws.OpBinary)
}

// CloseBody returns the body of an OpClose frame with that status code (RFC
// 6455, section 7.4). The reason is cut to the 123 bytes that fit.
func CloseBody(code uint16, reason string) []byte {
	const most = wsControlMax - 2
	if len(reason) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	return append(binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(reason)), code), reason...)
}
