package transport

import (
	"encoding/binary"
	"math/bits"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// All of this file is WAMP, "RawSocket Transport".

const (
	rawMagic = 0x7F

	// The error codes of a handshake's reply.
	rawErrSerializer  = 1
	rawErrReserved    = 3
	rawErrConnections = 4

	// rawPingMax bounds the body of PING and PONG. The specification sets no
	// bound. The answer to a PING is as long as the PING, and this length is
	// enough to measure a path with large packets.
	rawPingMax = 64 << 10
)

// rawExponent returns the LENGTH to announce for a limit of so many bytes: that
// of the largest power of two that is still accepted.
func rawExponent(limit int) byte {
	e := bits.Len(uint(limit)) - 1 - 9
	return byte(max(0, min(15, e)))
}

// rawLength returns the limit that a LENGTH announces.
func rawLength(exponent byte) int {
	// 2^24 needs a bit that many peers do not know: see rawMax.
	return min(1<<(9+exponent&15), rawMax)
}

// rawHello is one side's opening of a RawSocket connection.
type rawHello [4]byte

func newRawHello(limit int, s wamp.Serializer) rawHello {
	return rawHello{rawMagic, rawExponent(limit)<<4 | byte(s), 0, 0}
}

func newRawError(code byte) rawHello { return rawHello{rawMagic, code << 4, 0, 0} }

func (h rawHello) serializer() wamp.Serializer { return wamp.Serializer(h[1] & 0x0F) }
func (h rawHello) maxSend() int                { return rawLength(h[1] >> 4) }
func (h rawHello) reserved() bool              { return h[2] != 0 || h[3] != 0 }

var (
	errRawReserved = &ProtocolError{Text: "RawSocket frame with reserved bits set"}
	errRawType     = &ProtocolError{Text: "RawSocket frame of a reserved type"}
	errRawLength   = &ProtocolError{Text: "RawSocket frame with a malformed length"}
	errRawBig      = &ProtocolError{Text: "RawSocket message over the limit", TooBig: true}
	errRawPingBig  = &ProtocolError{Text: "RawSocket PING or PONG over the limit", TooBig: true}
)

// rawFrames reads RawSocket's frames.
type rawFrames struct{}

func (rawFrames) next(b []byte, limit int) (f Frame, ok bool, n, want int, err *ProtocolError) {
	if len(b) < rawHeader {
		return
	}
	head := binary.BigEndian.Uint32(b)
	if head&0xF000_0000 != 0 {
		err = errRawReserved
		return
	}
	op, length := Op(head>>24&7), int(head&0x00FF_FFFF)
	if op > OpPong {
		err = errRawType
		return
	}
	if head&0x0800_0000 != 0 {
		// The length's 25th bit stands alone, for 16 MiB.
		if length != 0 {
			err = errRawLength
			return
		}
		length = 1 << 24
	}
	switch {
	case length > limit:
		err = errRawBig
		return
	case op != OpMessage && length > rawPingMax:
		err = errRawPingBig
		return
	}
	want = rawHeader + length
	if len(b) < want {
		return
	}
	return Frame{op, b[rawHeader:want:want]}, true, want, want, nil
}

func (r rawFrames) ready(b []byte, limit int) bool {
	_, ok, _, _, err := r.next(b, limit)
	return ok || err != nil
}

func (rawFrames) release() {}
