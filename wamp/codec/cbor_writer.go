package codec

import (
	"encoding/binary"
	"math"
)

// cborWriter appends CBOR, integers and lengths in their preferred encoding
// (RFC 8949, section 4.1).
type cborWriter struct{}

func (cborWriter) null(dst []byte) []byte { return append(dst, 0xf6) }

func (cborWriter) bool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xf5)
	}
	return append(dst, 0xf4)
}

func (cborWriter) uint(dst []byte, v uint64) []byte { return cborHead(dst, cborUint, v) }

func (cborWriter) int(dst []byte, v int64) []byte {
	if v >= 0 {
		return cborHead(dst, cborUint, uint64(v))
	}
	return cborHead(dst, cborNegative, ^uint64(v))
}

func (cborWriter) float(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xfb), math.Float64bits(v))
}

func (cborWriter) text(dst []byte, v string) []byte {
	return append(cborHead(dst, cborText, uint64(len(v))), v...)
}

func (cborWriter) binary(dst, v []byte) []byte {
	return append(cborHead(dst, cborBytes, uint64(len(v))), v...)
}

func (cborWriter) open(dst []byte, _ kind) []byte { return append(dst, 0) }

func (cborWriter) close(dst []byte, k kind, at, n int) []byte {
	major := byte(cborArray)
	if k == kindMap {
		major, n = cborMap, n/2
	}
	var room [9]byte
	head := cborHead(room[:0], major, uint64(n))
	dst = widen(dst, at, len(head))
	copy(dst[at:], head)
	return dst
}

func cborHead(dst []byte, major byte, n uint64) []byte {
	major <<= 5
	switch {
	case n < 24:
		return append(dst, major|byte(n))
	case n <= math.MaxUint8:
		return append(dst, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, major|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, major|27), n)
}
