package codec

import (
	"encoding/binary"
	"math"
)

// msgpackWriter appends MessagePack, everything in its shortest encoding.
type msgpackWriter struct{}

func (msgpackWriter) null(dst []byte) []byte { return append(dst, 0xc0) }

func (msgpackWriter) bool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 0xc3)
	}
	return append(dst, 0xc2)
}

func (msgpackWriter) uint(dst []byte, v uint64) []byte {
	switch {
	case v < 0x80:
		return append(dst, byte(v))
	case v <= math.MaxUint8:
		return append(dst, 0xcc, byte(v))
	case v <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(dst, 0xcd), uint16(v))
	case v <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(dst, 0xce), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xcf), v)
}

func (w msgpackWriter) int(dst []byte, v int64) []byte {
	switch {
	case v >= 0:
		return w.uint(dst, uint64(v))
	case v >= -32:
		return append(dst, byte(v))
	case v >= math.MinInt8:
		return append(dst, 0xd0, byte(v))
	case v >= math.MinInt16:
		return binary.BigEndian.AppendUint16(append(dst, 0xd1), uint16(v))
	case v >= math.MinInt32:
		return binary.BigEndian.AppendUint32(append(dst, 0xd2), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(dst, 0xd3), uint64(v))
}

func (msgpackWriter) float(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, 0xcb), math.Float64bits(v))
}

func (msgpackWriter) text(dst []byte, v string) []byte {
	if n := len(v); n < 32 {
		dst = append(dst, 0xa0|byte(n))
	} else {
		dst = msgpackLength(dst, 0xd9, n)
	}
	return append(dst, v...)
}

func (msgpackWriter) binary(dst, v []byte) []byte {
	return append(msgpackLength(dst, 0xc4, len(v)), v...)
}

// msgpackLength appends the type byte and length of a string or binary in one, two
// or four bytes, whose type bytes follow each other.
func msgpackLength(dst []byte, first byte, n int) []byte {
	switch {
	case n <= math.MaxUint8:
		return append(dst, first, byte(n))
	case n <= math.MaxUint16:
		return append(dst, first+1, byte(n>>8), byte(n))
	default:
		return binary.BigEndian.AppendUint32(append(dst, first+2), uint32(n))
	}
}

func (msgpackWriter) open(dst []byte, _ kind) []byte { return append(dst, 0) }

func (msgpackWriter) close(dst []byte, k kind, at, n int) []byte {
	short, long := byte(0x90), byte(0xdc)
	if k == kindMap {
		short, long, n = 0x80, 0xde, n/2
	}
	switch {
	case n < 16:
		dst[at] = short | byte(n)
	case n <= math.MaxUint16:
		dst = widen(dst, at, 3)
		dst[at] = long
		binary.BigEndian.PutUint16(dst[at+1:], uint16(n))
	default:
		dst = widen(dst, at, 5)
		dst[at] = long + 1
		binary.BigEndian.PutUint32(dst[at+1:], uint32(n))
	}
	return dst
}
