package codec

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader reads JSON (RFC 8259), strictly. A string value that begins with
// the escape \u0000 is a binary in base64 (WAMP, "Binary conversion of JSON
// Strings"); a string that begins so without being one is malformed, because
// it would break a receiver's reader.
type jsonReader struct {
	buf   []byte
	at    int
	bad   string
	key   bool   // the next string is the key of an object
	plain []byte // a string without its escapes, or a binary
}

const (
	faultEscape    = "a bad escape"
	faultControl   = "a control character in a string"
	faultBase64    = "a string that begins with NUL and is no base64"
	faultNumber    = "a bad number"
	faultSeparator = "a separator missing or out of place"
)

func (r *jsonReader) open(buf []byte, n int) left {
	*r = jsonReader{buf: buf, plain: keepSmall(r.plain)}
	r.space()
	return arrayFirst
}

func (r *jsonReader) pos() int      { return r.at }
func (r *jsonReader) fault() string { return r.bad }

func (r *jsonReader) atEnd() bool {
	r.space()
	return r.at == len(r.buf)
}

func (r *jsonReader) fail(what string) bool {
	r.bad = what
	return false
}

func (r *jsonReader) space() {
	for r.at < len(r.buf) {
		switch r.buf[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek returns the byte ahead, or 0 at the end.
func (r *jsonReader) peek() byte {
	if r.at < len(r.buf) {
		return r.buf[r.at]
	}
	return 0
}

func (r *jsonReader) more(l left) (left, bool) {
	r.space()
	c := r.peek()
	next, closing := arrayNext, byte(']')
	switch l {
	case arrayFirst:
		if c == closing {
			r.at++
			return 0, false
		}
		return next, true
	case mapValue:
		if c != ':' {
			return 0, r.misplaced()
		}
		r.at++
		r.space()
		return mapNext, true
	case mapFirst, mapNext:
		next, closing, r.key = mapValue, '}', true
	}
	switch {
	case c == closing:
		r.at++
		r.key = false
		return 0, false
	case l != mapFirst:
		if c != ',' {
			return 0, r.misplaced()
		}
		r.at++
		r.space()
	}
	if r.key && r.peek() != '"' {
		return 0, r.misplaced()
	}
	return next, true
}

func (r *jsonReader) misplaced() bool {
	if r.at >= len(r.buf) {
		return r.fail(faultShort)
	}
	return r.fail(faultSeparator)
}

func (r *jsonReader) read(t *token, contents bool) bool {
	if r.at >= len(r.buf) {
		return r.fail(faultShort)
	}
	switch c := r.buf[r.at]; c {
	case '"':
		r.at++
		key := r.key
		r.key = false
		if rest := r.buf[r.at:]; !key && len(rest) > 6 && string(rest[:6]) == `\u0000` {
			r.at += 6
			return r.binary(t, contents)
		}
		return r.text(t, contents)
	case '[':
		r.at++
		t.kind, t.left = kindArray, arrayFirst
		return true
	case '{':
		r.at++
		t.kind, t.left = kindMap, mapFirst
		return true
	case 't':
		t.kind, t.num = kindBool, 1
		return r.literal("true")
	case 'f':
		t.kind, t.num = kindBool, 0
		return r.literal("false")
	case 'n':
		t.kind = kindNull
		return r.literal("null")
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return r.number(t, contents)
	}
	return r.fail(faultUnknown)
}

func (r *jsonReader) literal(s string) bool {
	if len(r.buf)-r.at < len(s) || string(r.buf[r.at:r.at+len(s)]) != s {
		return r.fail(faultUnknown)
	}
	r.at += len(s)
	return true
}

func (r *jsonReader) digits() bool {
	start := r.at
	for r.at < len(r.buf) && r.buf[r.at]-'0' <= 9 {
		r.at++
	}
	return r.at > start
}

func (r *jsonReader) number(t *token, contents bool) bool {
	start := r.at
	if r.peek() == '-' {
		r.at++
	}
	if r.peek() == '0' {
		r.at++
	} else if !r.digits() {
		return r.fail(faultNumber)
	}
	whole := true
	if r.peek() == '.' {
		whole = false
		r.at++
		if !r.digits() {
			return r.fail(faultNumber)
		}
	}
	if c := r.peek(); c == 'e' || c == 'E' {
		whole = false
		r.at++
		if c := r.peek(); c == '+' || c == '-' {
			r.at++
		}
		if !r.digits() {
			return r.fail(faultNumber)
		}
	}
	if !whole {
		t.kind = kindFloat
	} else {
		t.kind = kindUint
	}
	if contents {
		t.setNumber(r.buf[start:r.at])
	}
	return true
}

// setNumber takes over the value of a number that has been checked.
func (t *token) setNumber(b []byte) {
	var err error
	switch {
	case t.kind == kindFloat:
		t.float, err = strconv.ParseFloat(view(b), 64)
	case b[0] == '-':
		var n int64
		n, err = strconv.ParseInt(view(b), 10, 64)
		if t.num = uint64(n); n < 0 {
			t.kind = kindInt
		}
	default:
		t.num, err = strconv.ParseUint(view(b), 10, 64)
	}
	if err != nil {
		t.kind, t.left, t.what = kindOther, 0, "a number out of range"
	}
}

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
			return r.fail(faultShort)
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
		return 0, r.fail(faultShort)
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
			return r.fail(faultShort)
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
	for ; len(b)-i >= 8; i += 8 {
		c := b[i : i+8 : i+8]
		if notBase64[c[0]]|notBase64[c[1]]|notBase64[c[2]]|notBase64[c[3]]|
			notBase64[c[4]]|notBase64[c[5]]|notBase64[c[6]]|notBase64[c[7]] != 0 {
			break
		}
	}
	for i < len(b) && notBase64[b[i]] == 0 {
		i++
	}
	return i
}
