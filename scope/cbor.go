package scope

import (
	"encoding/binary"
	"unicode/utf8"
)

// The major types of CBOR that the formats use (RFC 8949, 3.1).
const (
	majorUint  = 0
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
)

// appendHead appends the shortest head of that type and argument.
func appendHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major<<5|byte(n))
	case n < 1<<8:
		return append(b, major<<5|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(b, major<<5|25), uint16(n))
	case n < 1<<32:
		return binary.BigEndian.AppendUint32(append(b, major<<5|26), uint32(n))
	}
	return binary.BigEndian.AppendUint64(append(b, major<<5|27), n)
}

func appendUint(b []byte, n uint64) []byte { return appendHead(b, majorUint, n) }

func appendBytes(b, data []byte) []byte {
	return append(appendHead(b, majorBytes, uint64(len(data))), data...)
}

func appendText(b []byte, s string) []byte {
	return append(appendHead(b, majorText, uint64(len(s))), s...)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 0xf5)
	}
	return append(b, 0xf4)
}

// reader reads the fixed structures of the formats. After the first thing that
// is not what it should be it is broken, and reads zeros.
type reader struct {
	rest   []byte
	broken bool
}

func (r *reader) fail() { r.rest, r.broken = nil, true }

// take returns the next n bytes of the input.
func (r *reader) take(n uint64) []byte {
	if uint64(len(r.rest)) < n {
		r.fail()
		return nil
	}
	out := r.rest[:n:n]
	r.rest = r.rest[n:]
	return out
}

// head reads a head of that type and returns its argument.
func (r *reader) head(major byte) uint64 {
	b := r.take(1)
	if r.broken || b[0]>>5 != major {
		r.fail()
		return 0
	}
	switch n := b[0] & 31; {
	case n < 24:
		return uint64(n)
	case n > 27:
		r.fail()
		return 0
	default:
		var n64 uint64
		for _, c := range r.take(1 << (n - 24)) {
			n64 = n64<<8 | uint64(c)
		}
		return n64
	}
}

func (r *reader) uint() uint64  { return r.head(majorUint) }
func (r *reader) bytes() []byte { return r.take(r.head(majorBytes)) }

// fixed reads a byte string of n bytes.
func (r *reader) fixed(n int) []byte {
	b := r.bytes()
	if len(b) != n {
		r.fail()
		return make([]byte, n)
	}
	return b
}

func (r *reader) text() string {
	b := r.take(r.head(majorText))
	if !utf8.Valid(b) {
		r.fail()
		return ""
	}
	return string(b)
}

// array reads the head of an array of n elements.
func (r *reader) array(n uint64) {
	if r.head(majorArray) != n {
		r.fail()
	}
}

// list reads the head of an array, whose elements take at least one byte each.
func (r *reader) list() int {
	n := r.head(majorArray)
	if n > uint64(len(r.rest)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) bool() bool {
	b := r.take(1)
	if r.broken || b[0] != 0xf4 && b[0] != 0xf5 {
		r.fail()
		return false
	}
	return b[0] == 0xf5
}

// version reads a version that has to be 1.
func (r *reader) version() {
	if r.uint() != 1 {
		r.fail()
	}
}

// done reports whether all was read, and as it should be.
func (r *reader) done() bool { return !r.broken && len(r.rest) == 0 }
