package codec

import "strconv"

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

func (r *jsonReader) open(buf []byte, n int) remaining {
	*r = jsonReader{buf: buf, plain: keepSmall(r.plain)}
	r.space()
	return arrayFirst
}

func (r *jsonReader) jump(to int)   { r.at = to }
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

func (r *jsonReader) more(l remaining) (remaining, bool) {
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
		return r.fail(faultTruncated)
	}
	return r.fail(faultSeparator)
}

func (r *jsonReader) read(t *token, contents bool) bool {
	if r.at >= len(r.buf) {
		return r.fail(faultTruncated)
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
		t.kind, t.remaining = kindArray, arrayFirst
		return true
	case '{':
		r.at++
		t.kind, t.remaining = kindMap, mapFirst
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
		t.kind, t.remaining, t.what = kindOther, 0, "a number out of range"
	}
}
