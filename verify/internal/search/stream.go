package search

import (
	"bytes"
	"encoding/binary"
)

// Stream searches what a router reads from one source. Clients mask what they
// send over WebSocket (RFC 6455, section 5.3): that is unmasked first.
type Stream struct {
	plain  *Window // as it was read
	masked *Window // unmasked
	held   []byte  // not yet taken
	kind   streamKind
}

type streamKind uint8

const (
	streamNew    streamKind = iota
	streamHTTP              // a request, up to its empty line
	streamFrames            // WebSocket frames
	streamOther
)

// NewStream returns a Stream that calls found for every pattern in it.
func NewStream(s *Scanner, found func(*Pattern)) *Stream {
	return &Stream{plain: s.NewWindow(found), masked: s.NewWindow(found)}
}

// Feed searches data, which comes next. It keeps nothing of data.
func (st *Stream) Feed(data []byte) {
	_, _ = st.plain.Write(data)
	if st.kind == streamOther {
		return
	}
	st.held = append(st.held, data...)
	for st.step() {
	}
}

// step takes what it can of held, and reports whether there may be more.
func (st *Stream) step() bool {
	switch st.kind {
	case streamNew:
		switch {
		case len(st.held) < 4:
			return false
		case bytes.HasPrefix(st.held, []byte("GET ")):
			st.kind = streamHTTP
		default:
			st.kind, st.held = streamOther, nil
			return false
		}
		return true
	case streamHTTP:
		_, rest, ok := bytes.Cut(st.held, []byte("\r\n\r\n"))
		if !ok {
			return false
		}
		st.held = bytes.Clone(rest)
		st.kind = streamFrames
		return true
	case streamFrames:
		return st.frame()
	}
	return false
}

// frame takes one WebSocket frame, and reports whether it did.
func (st *Stream) frame() bool {
	b := st.held
	if len(b) < 2 {
		return false
	}
	header, length := 2, uint64(b[1]&0x7f)
	switch length {
	case 126:
		header = 4
	case 127:
		header = 10
	}
	masked := b[1]&0x80 != 0
	if !masked {
		st.kind, st.held = streamOther, nil // no WebSocket: clients have to mask
		return false
	}
	if len(b) < header+4 {
		return false
	}
	switch header {
	case 4:
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 10:
		length = binary.BigEndian.Uint64(b[2:])
	}
	key := [4]byte(b[header:])
	header += 4
	if length > uint64(len(b)-header) {
		return false
	}
	body := bytes.Clone(b[header : header+int(length)])
	for i := range body {
		body[i] ^= key[i&3]
	}
	_, _ = st.masked.Write(body)
	st.held = append(st.held[:0], b[header+int(length):]...)
	return true
}
