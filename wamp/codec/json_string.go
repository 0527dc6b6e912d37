package codec

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// text reads a string behind its opening quote.
func (r *jsonReader) text(t *token, contents bool) bool {
	t.kind = kindText
	start := r.at
	if !r.run() {
		return false
	}
	if r.buf[r.at] == '"' {
		t.text = r.buf[start:r.at:r.at]
		r.at++
		return true
	}
	r.plain = r.plain[:0]
	for {
		if contents {
			r.plain = append(r.plain, r.buf[start:r.at]...)
		}
		if r.buf[r.at] == '"' {
			r.at++
			t.text = r.plain
			return true
		}
		c, ok := r.escape()
		if !ok {
			return false
		}
		if contents {
			r.plain = utf8.AppendRune(r.plain, c)
		}
		start = r.at
		if !r.run() {
			return false
		}
	}
}

// run passes over the characters of a string up to a quote or a backslash.
func (r *jsonReader) run() bool {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	b, i := r.buf, r.at
	for {
		for len(b)-i >= 8 {
			x := binary.LittleEndian.Uint64(b[i:])
			quote, slash := x^('"'*ones), x^('\\'*ones)
			// The lowest byte marked is one of: control, quote, backslash,
			// not ASCII. Marks above it may be a borrow's.
			if m := ((x - ' '*ones) | (quote - ones) | (slash - ones) | x) & highs; m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(b) {
			return r.fail(faultTruncated)
		}
		switch c := b[i]; {
		case c == '"', c == '\\':
			r.at = i
			return true
		case c < ' ':
			return r.fail(faultControl)
		case c < utf8.RuneSelf:
			i++
		default:
			_, size := utf8.DecodeRune(b[i:])
			if size == 1 {
				return r.fail(faultText)
			}
			i += size
		}
	}
}

// escape reads one escape, both halves if it is a surrogate pair.
func (r *jsonReader) escape() (rune, bool) {
	b := r.buf[r.at:]
	if len(b) < 2 {
		return 0, r.fail(faultTruncated)
	}
	r.at += 2
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		c, ok := hex4(b[2:])
		if !ok {
			return 0, r.fail(faultEscape)
		}
		r.at += 4
		if !utf16.IsSurrogate(c) {
			return c, true
		}
		if len(b) < 12 || b[6] != '\\' || b[7] != 'u' {
			return 0, r.fail(faultEscape)
		}
		low, ok := hex4(b[8:])
		if c = utf16.DecodeRune(c, low); !ok || c == utf8.RuneError {
			return 0, r.fail(faultEscape)
		}
		r.at += 6
		return c, true
	}
	return 0, r.fail(faultEscape)
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 4 {
		return 0, false
	}
	var n rune
	for _, c := range b[:4] {
		switch {
		case c-'0' <= 9:
			n = n<<4 | rune(c-'0')
		case (c|0x20)-'a' <= 5:
			n = n<<4 | rune((c|0x20)-'a'+10)
		default:
			return 0, false
		}
	}
	return n, true
}

// notBase64 marks the bytes outside base64's standard alphabet.
var notBase64 = func() (t [256]byte) {
	for i := range t {
		t[i] = 1
	}
	for c := byte('0'); c <= '9'; c++ {
		t[c] = 0
	}
	for c := byte('a'); c <= 'z'; c++ {
		t[c], t[c-0x20] = 0, 0
	}
	t['+'], t['/'] = 0, 0
	return t
}()

// notBase64Pair is notBase64 for two bytes at once. Of its 64 KiB, what is looked at
// for real base64 is some 10.
var notBase64Pair = func() (t [1 << 16]byte) {
	for i := range t {
		t[i] = notBase64[byte(i)] | notBase64[i>>8]
	}
	return t
}()

// binary reads a string behind its opening quote and NUL: standard base64 with
// padding (RFC 4648, section 4), some of it perhaps escaped, as PHP escapes '/'.
func (r *jsonReader) binary(t *token, contents bool) bool {
	t.kind = kindBinary
	digits, pads, escaped := 0, 0, false
	r.plain = r.plain[:0]
	start := r.at
	for {
		n := base64Run(r.buf[r.at:])
		if pads > 0 && n > 0 {
			return r.fail(faultBase64)
		}
		digits += n
		r.at += n
		if r.at >= len(r.buf) {
			return r.fail(faultTruncated)
		}
		switch c := r.buf[r.at]; c {
		case '=':
			pads++
			r.at++
		case '"':
			if pads > 2 || (digits+pads)%4 != 0 {
				return r.fail(faultBase64)
			}
			t.size = (digits+pads)/4*3 - pads
			r.at++
			if contents {
				return r.unbase64(t, r.buf[start:r.at-1], escaped)
			}
			return true
		case '\\':
			escaped = true
			if contents {
				r.plain = append(r.plain, r.buf[start:r.at]...)
			}
			e, ok := r.escape()
			switch {
			case !ok:
				return false
			case e == '=':
				pads++
			case e >= utf8.RuneSelf || notBase64[byte(e)] != 0 || pads > 0:
				return r.fail(faultBase64)
			default:
				digits++
			}
			if contents {
				r.plain = append(r.plain, byte(e))
			}
			start = r.at
		default:
			return r.fail(faultBase64)
		}
	}
}

// unbase64 decodes what binary has checked: tail, behind what plain holds
// already if there were escapes.
func (r *jsonReader) unbase64(t *token, tail []byte, escaped bool) bool {
	src := tail
	if escaped {
		r.plain = append(r.plain, tail...)
		src = r.plain
	}
	from := len(r.plain)
	out, err := base64.StdEncoding.AppendDecode(r.plain, src)
	if err != nil {
		return r.fail(faultBase64)
	}
	r.plain, t.text = out, out[from:]
	return true
}

// base64Run returns how many bytes b begins with are in base64's alphabet.
func base64Run(b []byte) int {
	i := 0
	for ; len(b)-i >= 16; i += 16 {
		x, y := binary.LittleEndian.Uint64(b[i:]), binary.LittleEndian.Uint64(b[i+8:])
		if notBase64Pair[uint16(x)]|notBase64Pair[uint16(x>>16)]|notBase64Pair[uint16(x>>32)]|notBase64Pair[uint16(x>>48)]|
			notBase64Pair[uint16(y)]|notBase64Pair[uint16(y>>16)]|notBase64Pair[uint16(y>>32)]|notBase64Pair[uint16(y>>48)] != 0 {
			break
		}
	}
	for i < len(b) && notBase64[b[i]] == 0 {
		i++
	}
	return i
}
