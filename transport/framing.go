package transport

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// Framing is the form of a frame on the wire. Connections with equal Framing
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

	// rawMax is the largest RawSocket length in 3 bytes. The specification has an
	// extra bit for exactly one byte more. It is accepted when read but never sent,
	// because some peers ignore it.
	rawMax = 1<<24 - 1
	// wsControlMax is the largest body of a control frame (RFC 6455, section 5.5).
	wsControlMax = 125
)

// header returns the size of the header of a frame with a body of n bytes.
func (f Framing) header(n int) int {
	switch f {
	case FramingRaw:
		return rawHeader
	case FramingMemory:
		return memoryHeader
	}
	size := wsHeader
	switch {
	case n <= 125:
		size = 2
	case n <= math.MaxUint16:
		size = 4
	}
	if f.masks() {
		size += maskSize
	}
	return size
}

func (f Framing) masks() bool { return f == FramingMaskedText || f == FramingMaskedBinary }

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
// It appends nothing for a frame that the framing cannot carry: a message over
// MaxMessage, a control frame over 125 bytes on WebSocket or 64 KiB on RawSocket,
// OpClose on RawSocket.
func (f Framing) AppendFrame(dst []byte, op Op, body []byte) []byte {
	if !f.carries(op, len(body)) {
		return dst
	}
	start := len(dst)
	dst = f.Begin(dst, len(body))
	bodyStart := len(dst)
	dst = append(dst, body...)
	return f.Finish(dst, start, bodyStart, op)
}

// Begin appends room for a header to dst, for a body of about n bytes. The caller appends
// the body to the result, and then calls Finish.
func (f Framing) Begin(dst []byte, n int) []byte {
	var room [wsHeader + maskSize]byte
	return append(dst, room[:f.header(n)]...)
}

// Finish frames the body dst[bodyStart:], which must follow the room that Begin made
// at dst[start:]. It returns dst with the frame at its end, from start on. A body of
// another size than n of Begin may have to be moved, and dst may grow. The body is masked
// if the framing masks. Finish returns nil for a frame that the framing cannot carry.
func (f Framing) Finish(dst []byte, start, bodyStart int, op Op) []byte {
	n := len(dst) - bodyStart
	if !f.carries(op, n) {
		return nil
	}
	if header := f.header(n); header != bodyStart-start {
		dst = slices.Grow(dst, header)[:start+header+n]
		copy(dst[start+header:], dst[bodyStart:bodyStart+n])
		bodyStart = start + header
	}
	switch f {
	case FramingRaw:
		binary.BigEndian.PutUint32(dst[start:], uint32(n))
		dst[start] = byte(op) // message, PING and PONG are numbered as in Op
		return dst
	case FramingMemory:
		dst[start] = byte(op)
		binary.BigEndian.PutUint32(dst[start+1:], uint32(n))
		return dst
	}

	var masked byte
	if f.masks() {
		// The masking key must not be predictable (RFC 6455, section 5.3). The
		// runtime's generator is ChaCha8.
		masked = 0x80
		var key [maskSize]byte
		binary.NativeEndian.PutUint32(key[:], rand.Uint32())
		copy(dst[bodyStart-maskSize:], key[:])
		ws.Cipher(dst[bodyStart:], key, 0)
	}
	dst[start] = 0x80 | f.opcode(op)
	switch {
	case n <= 125:
		dst[start+1] = masked | byte(n)
	case n <= math.MaxUint16:
		dst[start+1] = masked | 126
		binary.BigEndian.PutUint16(dst[start+2:], uint16(n))
	default:
		dst[start+1] = masked | 127
		binary.BigEndian.PutUint64(dst[start+2:], uint64(n))
	}
	return dst
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
