package transport

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/gobwas/ws"
)

// All of this file is RFC 6455; sections are named beside each rule.

const (
	// A message may have this many fragments, and one more for each KiB of it. More
	// would only cost processor time.
	wsFragments    = 1024
	wsFragmentSize = 1 << 10
)

func wsError(code ws.StatusCode, text string) *ProtocolError {
	return &ProtocolError{Text: text, CloseCode: uint16(code), TooBig: code == ws.StatusMessageTooBig}
}

var (
	errWSReserved    = wsError(ws.StatusProtocolError, "WebSocket frame with reserved bits set")
	errWSOpcode      = wsError(ws.StatusProtocolError, "WebSocket frame with a reserved opcode")
	errWSUnmasked    = wsError(ws.StatusProtocolError, "WebSocket frame of a client without a mask")
	errWSMasked      = wsError(ws.StatusProtocolError, "WebSocket frame of a server with a mask")
	errWSControl     = wsError(ws.StatusProtocolError, "WebSocket control frame fragmented or too long")
	errWSLength      = wsError(ws.StatusProtocolError, "WebSocket frame with a malformed length")
	errWSStray       = wsError(ws.StatusProtocolError, "WebSocket continuation of nothing")
	errWSInterleaved = wsError(ws.StatusProtocolError, "WebSocket message within a fragmented one")
	errWSClose       = wsError(ws.StatusProtocolError, "WebSocket close frame with a malformed status")
	errWSCloseText   = wsError(ws.StatusInvalidFramePayloadData, "WebSocket close frame with a reason that isn't UTF-8")
	errWSKind        = wsError(ws.StatusUnsupportedData, "WebSocket message of the kind (text or binary) that the subprotocol does not use")
	errWSText        = wsError(ws.StatusInvalidFramePayloadData, "WebSocket text message that isn't UTF-8")
	errWSBig         = wsError(ws.StatusMessageTooBig, "WebSocket message over the limit")
	errWSFragments   = wsError(ws.StatusPolicyViolation, "WebSocket message in too many fragments")
)

// wsFrames reads WebSocket's frames, and puts fragmented messages together.
type wsFrames struct {
	masked    bool      // the peer is a client
	data      ws.OpCode // the opcode of this subprotocol's messages
	handed    bool      // message has been returned
	fragments int       // of the message being put together; 0 if there is none
	message   buffer    // its bytes so far
}

func newWSFrames(f Framing) *wsFrames {
	w := &wsFrames{data: ws.OpBinary}
	if f == FramingText || f == FramingMaskedText {
		w.data = ws.OpText
	}
	// What we send unmasked goes to a client.
	w.masked = f == FramingText || f == FramingBinary
	return w
}

// wsHead is a frame's header.
type wsHead struct {
	op   ws.OpCode
	fin  bool
	key  [maskSize]byte
	size int // of the header
	n    int // of the body
}

// head reads the header at the start of b. ok is false if it is not complete yet. have
// and fragments are the size and the fragments of the message so far. Errors that the
// first two bytes show are returned at once.
func (w *wsFrames) head(b []byte, limit, fragments, have int) (h wsHead, ok bool, err *ProtocolError) {
	if len(b) < 2 {
		return
	}
	h.op, h.fin = ws.OpCode(b[0]&0x0F), b[0]&0x80 != 0
	length := uint64(b[1] & 0x7F)
	switch {
	case b[0]&0x70 != 0: // 5.2: no extension was negotiated
		err = errWSReserved
	case h.op > ws.OpBinary && h.op < ws.OpClose || h.op > ws.OpPong: // 5.2
		err = errWSOpcode
	case w.masked && b[1]&0x80 == 0: // 5.1
		err = errWSUnmasked
	case !w.masked && b[1]&0x80 != 0: // 5.1
		err = errWSMasked
	case h.op >= ws.OpClose:
		if !h.fin || length > wsControlMax { // 5.5
			err = errWSControl
		}
	case h.op == ws.OpContinuation:
		if fragments == 0 { // 5.4
			err = errWSStray
		}
	case fragments > 0: // 5.4
		err = errWSInterleaved
	case h.op != w.data: // 7.4.1; WAMP, "WebSocket Transport"
		err = errWSKind
	}
	if err != nil {
		return
	}
	h.size = 2
	switch length {
	case 126:
		if len(b) < 4 {
			return
		}
		h.size = 4
		length = uint64(binary.BigEndian.Uint16(b[2:]))
		if length < 126 { // 5.2: the minimal number of bytes must be used
			err = errWSLength
		}
	case 127:
		if len(b) < 10 {
			return
		}
		h.size = 10
		length = binary.BigEndian.Uint64(b[2:])
		if length>>63 != 0 || length <= 0xFFFF { // 5.2
			err = errWSLength
		}
	}
	if err != nil {
		return
	}
	if h.op < ws.OpClose && (have > limit || length > uint64(limit-have)) { // 7.4.1, 10.4
		err = errWSBig
		return
	}
	h.n = int(length)
	if w.masked {
		if len(b) < h.size+maskSize {
			return
		}
		copy(h.key[:], b[h.size:])
		h.size += maskSize
	}
	return h, true, nil
}

func (w *wsFrames) next(b []byte, limit int) (f Frame, ok bool, n, want int, err *ProtocolError) {
	h, whole, err := w.head(b, limit, w.fragments, len(w.message.bytes()))
	if err != nil || !whole {
		return
	}
	want = h.size + h.n
	if len(b) < want {
		return
	}
	n = want
	body := b[h.size:want:want]
	if w.masked {
		ws.Cipher(body, h.key, 0)
	}
	switch h.op {
	case ws.OpPing:
		return Frame{OpPing, body}, true, n, want, nil
	case ws.OpPong:
		return Frame{OpPong, body}, true, n, want, nil
	case ws.OpClose:
		return Frame{OpClose, body}, true, n, want, checkClose(body)
	}
	if w.fragments > 0 || !h.fin {
		w.fragments++
		w.message.put(body)
		body = w.message.bytes()
		if tooManyFragments(w.fragments, len(body)) {
			err = errWSFragments
			return
		}
		if !h.fin {
			return
		}
		w.fragments, w.handed = 0, true
	}
	if w.data == ws.OpText && !utf8.Valid(body) { // 8.1
		err = errWSText
		return
	}
	return Frame{OpMessage, body}, true, n, want, nil
}

func tooManyFragments(fragments, bytes int) bool {
	return fragments > wsFragments+bytes/wsFragmentSize
}

// checkClose returns the error in the body of a close frame (5.5.1, 7.4), if any.
func checkClose(body []byte) *ProtocolError {
	if len(body) == 0 {
		return nil
	}
	if len(body) == 1 {
		return errWSClose
	}
	switch code := binary.BigEndian.Uint16(body); {
	case code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006:
	case code >= 3000 && code <= 4999:
	default:
		return errWSClose
	}
	if !utf8.Valid(body[2:]) {
		return errWSCloseText
	}
	return nil
}

// ready goes through the frames in b as next would, without changing anything.
func (w *wsFrames) ready(b []byte, limit int) bool {
	fragments, have := w.fragments, 0
	if !w.handed {
		have = len(w.message.bytes())
	}
	for {
		h, whole, err := w.head(b, limit, fragments, have)
		switch {
		case err != nil:
			return true
		case !whole || len(b) < h.size+h.n:
			return false
		case h.fin:
			return true
		}
		fragments++
		have += h.n
		if tooManyFragments(fragments, have) {
			return true
		}
		b = b[h.size+h.n:]
	}
}

func (w *wsFrames) release() {
	if w.handed {
		w.handed = false
		w.message.release()
	}
}
