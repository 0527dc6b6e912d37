package codec

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"
)

// jsonWriter appends compact JSON (RFC 8259).
type jsonWriter struct{}

func (jsonWriter) null(dst []byte) []byte           { return append(dst, "null"...) }
func (jsonWriter) bool(dst []byte, v bool) []byte   { return strconv.AppendBool(dst, v) }
func (jsonWriter) uint(dst []byte, v uint64) []byte { return strconv.AppendUint(dst, v, 10) }
func (jsonWriter) int(dst []byte, v int64) []byte   { return strconv.AppendInt(dst, v, 10) }

// float appends a finite number so that it stays one with a fraction or an
// exponent: readers that tell integers from floats see the kind that was sent.
func (jsonWriter) float(dst []byte, v float64) []byte {
	if abs := math.Abs(v); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		return strconv.AppendFloat(dst, v, 'e', -1, 64)
	}
	dst = strconv.AppendFloat(dst, v, 'f', -1, 64)
	if v == math.Trunc(v) {
		dst = append(dst, ".0"...)
	}
	return dst
}

// binary appends WAMP's form of a binary in JSON: NUL and base64 in a string.
func (jsonWriter) binary(dst, v []byte) []byte {
	dst = append(dst, `"\u0000`...)
	dst = base64.StdEncoding.AppendEncode(dst, v)
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// text appends a string. What is not UTF-8, which no reader of this package
// lets through, becomes U+FFFD.
func (jsonWriter) text(dst []byte, s string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			_, size := utf8.DecodeRuneInString(s[i:])
			if size > 1 {
				i += size
				continue
			}
			dst = append(append(dst, s[start:i]...), "\uFFFD"...)
			i++
			start = i
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	dst = append(dst, s[start:]...)
	return append(dst, '"')
}

func (jsonWriter) open(dst []byte, k kind) []byte {
	if k == kindMap {
		return append(dst, '{')
	}
	return append(dst, '[')
}

// jsonBefore separates what comes next, the i-th element of an array, or key or
// value of a map, from what came before it.
func jsonBefore(dst []byte, k kind, i int) []byte {
	switch {
	case i == 0:
		return dst
	case k == kindMap && i&1 == 1:
		return append(dst, ':')
	}
	return append(dst, ',')
}

func (jsonWriter) close(dst []byte, k kind, _, _ int) []byte {
	if k == kindMap {
		return append(dst, '}')
	}
	return append(dst, ']')
}
