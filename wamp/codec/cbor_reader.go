package codec

import "math"

// cborReader reads CBOR (RFC 8949).
type cborReader struct {
	buf   []byte
	at    int
	bad   string
	joint []byte // the chunks of a string of indefinite length, joined
}

// Major types of RFC 8949, section 3.1.
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

const (
	cborIndefinite = 31
	cborBreak      = 0xff
	// cborTagUint8 is "uint8 Typed Array" (RFC 8746, section 2.1): what some
	// JavaScript encoders make of a Uint8Array.
	cborTagUint8 = 64
)

func (r *cborReader) open(buf []byte, n int) remaining {
	r.buf, r.at, r.bad, r.joint = buf, 0, "", keepSmall(r.joint)
	return remaining(n)
}

func (r *cborReader) jump(to int)   { r.at = to }
func (r *cborReader) pos() int      { return r.at }
func (r *cborReader) atEnd() bool   { return r.at == len(r.buf) }
func (r *cborReader) fault() string { return r.bad }

func (r *cborReader) fail(what string) bool {
	r.bad = what
	return false
}

func (r *cborReader) more(l remaining) (remaining, bool) {
	if l == mapValue { // no break between a key and its value
		return mapFirst, true
	}
	if r.at >= len(r.buf) {
		return 0, r.fail(faultTruncated)
	}
	if r.buf[r.at] == cborBreak {
		r.at++
		return 0, false
	}
	if l == mapFirst {
		return mapValue, true
	}
	return l, true
}

func (r *cborReader) read(t *token, contents bool) bool {
	major, info, n, ok := r.head()
	if !ok {
		return false
	}
	if info == cborIndefinite {
		return r.indefinite(t, major, contents)
	}
	switch major {
	case cborUint:
		t.kind, t.num = kindUint, n
	case cborNegative:
		t.kind, t.num = kindInt, ^n
		if n > math.MaxInt64 {
			t.kind, t.remaining, t.what = kindOther, 0, "an integer below -2^63"
		}
	case cborBytes, cborText:
		return r.bytes(t, major, n)
	case cborArray, cborMap:
		// Each element takes a byte at least, so a count beyond the frame is
		// known for a lie at once.
		rest := uint64(len(r.buf) - r.at)
		if n > rest || major == cborMap && 2*n > rest {
			return r.fail(faultLength)
		}
		t.kind, t.remaining = kindArray, remaining(n)
		if major == cborMap {
			t.kind, t.remaining = kindMap, remaining(2*n)
		}
	case cborTag:
		if n == cborTagUint8 && r.at < len(r.buf) && r.buf[r.at]>>5 == cborBytes {
			return r.read(t, contents)
		}
		t.kind, t.remaining, t.what = kindOther, 1, "a CBOR tag"
	default:
		return r.simple(t, info, n)
	}
	return true
}

// head reads an initial byte and its argument. An argument longer than need be
// is legal, as RFC 8949 leaves preferred serialization to encoders.
func (r *cborReader) head() (major, info byte, n uint64, ok bool) {
	if r.at >= len(r.buf) {
		return 0, 0, 0, r.fail(faultTruncated)
	}
	c := r.buf[r.at]
	r.at++
	major, info = c>>5, c&31
	switch {
	case info < 24:
		return major, info, uint64(info), true
	case info < 28:
		size := 1 << (info - 24)
		if len(r.buf)-r.at < size {
			return 0, 0, 0, r.fail(faultTruncated)
		}
		n = bigEndian(r.buf[r.at:], size)
		r.at += size
		return major, info, n, true
	case info == cborIndefinite && major >= cborBytes && major <= cborMap:
		return major, info, 0, true
	}
	return 0, 0, 0, r.fail(faultUnknown)
}

func (r *cborReader) bytes(t *token, major byte, n uint64) bool {
	if n > uint64(len(r.buf)-r.at) {
		return r.fail(faultLength)
	}
	end := r.at + int(n)
	t.kind, t.text, t.size = kindBinary, r.buf[r.at:end:end], int(n)
	r.at = end
	if major == cborText {
		t.kind = kindText
		if !isUTF8(t.text) {
			return r.fail(faultText)
		}
	}
	return true
}

// indefinite reads a string of chunks, or opens a container that ends with a
// break (RFC 8949, section 3.2).
func (r *cborReader) indefinite(t *token, major byte, contents bool) bool {
	switch major {
	case cborArray:
		t.kind, t.remaining = kindArray, arrayFirst
		return true
	case cborMap:
		t.kind, t.remaining = kindMap, mapFirst
		return true
	}
	r.joint = r.joint[:0]
	size := 0
	for {
		if r.at < len(r.buf) && r.buf[r.at] == cborBreak {
			r.at++
			break
		}
		m, info, n, ok := r.head()
		if !ok {
			return false
		}
		if m != major || info == cborIndefinite {
			return r.fail("a chunk of another type")
		}
		if !r.bytes(t, m, n) {
			return false
		}
		size += t.size
		if contents {
			r.joint = append(r.joint, t.text...)
		}
	}
	t.kind, t.text, t.size = kindBinary, r.joint, size
	if major == cborText {
		t.kind = kindText
	}
	return true
}

func (r *cborReader) simple(t *token, info byte, n uint64) bool {
	switch info {
	case 20, 21:
		t.kind, t.num = kindBool, n-20
	case 22, 23: // null, undefined
		t.kind = kindNull
	case 25:
		t.kind, t.float = kindFloat, halfFloat(uint16(n))
	case 26:
		t.kind, t.float = kindFloat, float64(math.Float32frombits(uint32(n)))
	case 27:
		t.kind, t.float = kindFloat, math.Float64frombits(n)
	case 24:
		if n < 32 {
			return r.fail(faultUnknown)
		}
		fallthrough
	default:
		t.kind, t.remaining, t.what = kindOther, 0, "a CBOR simple value"
	}
	return true
}

// halfFloat converts an IEEE 754 binary16 (RFC 8949, appendix D).
func halfFloat(h uint16) float64 {
	exp, mant := int(h>>10)&0x1f, float64(h&0x3ff)
	var f float64
	switch exp {
	case 0:
		f = math.Ldexp(mant, -24)
	case 31:
		if f = math.Inf(1); mant != 0 {
			f = math.NaN()
		}
	default:
		f = math.Ldexp(mant+1024, exp-25)
	}
	if h&0x8000 != 0 {
		f = -f
	}
	return f
}

// keepSmall returns an empty buffer for reuse, unless one large message has
// blown it up.
func keepSmall(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b[:0]
}
