package codec

import (
	"encoding/binary"
	"math"
)

// msgpackReader reads MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md).
type msgpackReader struct {
	buf []byte
	at  int
	bad string
}

func (r *msgpackReader) open(buf []byte, n int) remaining {
	*r = msgpackReader{buf: buf}
	return remaining(n)
}

func (r *msgpackReader) jump(to int)   { r.at = to }
func (r *msgpackReader) pos() int      { return r.at }
func (r *msgpackReader) atEnd() bool   { return r.at == len(r.buf) }
func (r *msgpackReader) fault() string { return r.bad }

func (r *msgpackReader) fail(what string) bool {
	r.bad = what
	return false
}

// more has nothing to do: every container of MessagePack is counted.
func (r *msgpackReader) more(remaining) (remaining, bool) { return 0, false }

func (r *msgpackReader) read(t *token, _ bool) bool {
	if r.at >= len(r.buf) {
		return r.fail(faultTruncated)
	}
	c := r.buf[r.at]
	r.at++
	switch {
	case c < 0x80:
		t.kind, t.num = kindUint, uint64(c)
		return true
	case c < 0x90:
		return r.container(t, kindMap, uint64(c&0x0f))
	case c < 0xa0:
		return r.container(t, kindArray, uint64(c&0x0f))
	case c < 0xc0:
		return r.text(t, uint64(c&0x1f))
	case c >= 0xe0:
		t.kind, t.num = kindInt, uint64(int64(int8(c)))
		return true
	}
	switch c {
	case 0xc0:
		t.kind = kindNull
		return true
	case 0xc2, 0xc3:
		t.kind, t.num = kindBool, uint64(c&1)
		return true
	case 0xc4, 0xc5, 0xc6:
		n, ok := r.number(1 << (c - 0xc4))
		return ok && r.bytes(t, kindBinary, n)
	case 0xc7, 0xc8, 0xc9:
		n, ok := r.number(1 << (c - 0xc7))
		return ok && r.extension(t, n)
	case 0xca:
		n, ok := r.number(4)
		t.kind, t.float = kindFloat, float64(math.Float32frombits(uint32(n)))
		return ok
	case 0xcb:
		n, ok := r.number(8)
		t.kind, t.float = kindFloat, math.Float64frombits(n)
		return ok
	case 0xcc, 0xcd, 0xce, 0xcf:
		n, ok := r.number(1 << (c - 0xcc))
		t.kind, t.num = kindUint, n
		return ok
	case 0xd0, 0xd1, 0xd2, 0xd3:
		size := 1 << (c - 0xd0)
		n, ok := r.number(size)
		shift := 64 - 8*size
		t.kind, t.num = kindUint, uint64(int64(n<<shift)>>shift)
		if int64(t.num) < 0 {
			t.kind = kindInt
		}
		return ok
	case 0xd4, 0xd5, 0xd6, 0xd7, 0xd8:
		return r.extension(t, 1<<(c-0xd4))
	case 0xd9, 0xda, 0xdb:
		n, ok := r.number(1 << (c - 0xd9))
		return ok && r.text(t, n)
	case 0xdc, 0xdd:
		n, ok := r.number(2 << (c - 0xdc))
		return ok && r.container(t, kindArray, n)
	case 0xde, 0xdf:
		n, ok := r.number(2 << (c - 0xde))
		return ok && r.container(t, kindMap, n)
	}
	return r.fail(faultUnknown) // 0xc1, never used
}

// number reads a big-endian number of size bytes.
func (r *msgpackReader) number(size int) (uint64, bool) {
	if len(r.buf)-r.at < size {
		return 0, r.fail(faultTruncated)
	}
	b := r.buf[r.at:]
	r.at += size
	return bigEndian(b, size), true
}

func bigEndian(b []byte, size int) uint64 {
	switch size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// container opens an array or map of n elements or entries. Each takes a byte
// at least, so a count beyond the frame is known for a lie at once.
func (r *msgpackReader) container(t *token, k kind, n uint64) bool {
	if k == kindMap {
		n *= 2 // of at most 2^32-1 entries
	}
	if n > uint64(len(r.buf)-r.at) {
		return r.fail(faultLength)
	}
	t.kind, t.remaining = k, remaining(n)
	return true
}

func (r *msgpackReader) text(t *token, n uint64) bool {
	if !r.bytes(t, kindText, n) {
		return false
	}
	if !isUTF8(t.text) {
		return r.fail(faultText)
	}
	return true
}

func (r *msgpackReader) bytes(t *token, k kind, n uint64) bool {
	if n > uint64(len(r.buf)-r.at) {
		return r.fail(faultLength)
	}
	end := r.at + int(n)
	t.kind, t.text, t.size = k, r.buf[r.at:end:end], int(n)
	r.at = end
	return true
}

func (r *msgpackReader) extension(t *token, n uint64) bool {
	if !r.bytes(t, kindOther, n+1) { // its type, its data
		return false
	}
	t.remaining, t.what = 0, "a MessagePack extension"
	if n == 1 && t.text[0] == 0 && t.text[1] == 0 {
		t.kind = kindNull // what JavaScript encoders write for undefined
	}
	return true
}
