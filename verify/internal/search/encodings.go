package search

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Encodings returns the patterns by which a secret is found, raw and in the encodings
// in which programs write bytes and texts. name says what the secret is; a text must
// have 40 bytes or more.
func Encodings(name string, b []byte, text bool) []Pattern {
	var out []Pattern
	add := func(encoding string, p []byte) { out = append(out, Pattern{p, name, encoding}) }
	add("raw", b)
	add("hex", []byte(hex.EncodeToString(b)))
	add("hex", bytes.ToUpper([]byte(hex.EncodeToString(b))))
	for _, p := range base64Forms(b) {
		add("base64", p)
		add("UTF-16", toUTF16(string(p), false))
		add("JSON-escaped", []byte(strings.ReplaceAll(string(p), "/", `\/`)))
	}
	add("UTF-16", toUTF16(hex.EncodeToString(b), false))
	if text {
		add("UTF-16", toUTF16(string(b), false))
		add("UTF-16", toUTF16(string(b), true))
		// Each half, so that it does not matter how what is between is written.
		add("raw", b[:20])
		add("raw", b[len(b)-20:])
		add("UTF-16", toUTF16(string(b[:20]), false))
	}
	for _, p := range escapedForms(b, text) {
		add("JSON-escaped", p)
	}
	return out
}

// base64Forms returns what of b is the same wherever it begins in what is
// encoded: three alignments, two alphabets.
func base64Forms(b []byte) (out [][]byte) {
	for shift := range 3 {
		padded := append(make([]byte, shift), b...)
		padded = padded[:len(padded)/3*3]
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := e.EncodeToString(padded)
			if shift > 0 {
				text = text[4:] // mixed with what stands before
			}
			out = append(out, []byte(text))
		}
	}
	return out
}

func toUTF16(s string, bigEndian bool) []byte {
	var out []byte
	for _, u := range utf16.Encode([]rune(s)) {
		if bigEndian {
			out = append(out, byte(u>>8), byte(u))
		} else {
			out = append(out, byte(u), byte(u>>8))
		}
	}
	return out
}

// escapedForms returns b as JSON writers escape it: Go's and those that stay
// within ASCII or escape the solidus; bytes that are no text as \u00xx, and as a
// list of numbers.
func escapedForms(b []byte, text bool) (out [][]byte) {
	if text {
		for _, ascii := range []bool{false, true} {
			for _, html := range []bool{false, true} {
				for _, solidus := range []bool{false, true} {
					out = append(out, escape(string(b), ascii, html, solidus))
				}
			}
		}
		return out
	}
	latin1 := make([]rune, len(b))
	numbers := make([]string, len(b))
	for i, c := range b {
		latin1[i], numbers[i] = rune(c), strconv.Itoa(int(c))
	}
	return append(out, escape(string(latin1), true, false, false), escape(string(latin1), false, false, false),
		[]byte(strings.Join(numbers, ",")), []byte(strings.Join(numbers, ", ")), []byte(strings.Join(numbers, " ")))
}

func escape(s string, ascii, html, solidus bool) []byte {
	var b bytes.Buffer
	for _, r := range s {
		switch {
		case r == '"' || r == '\\' || r == '/' && solidus:
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ', ascii && r >= utf8.RuneSelf, html && (r == '<' || r == '>' || r == '&'):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.Bytes()
}

// Ciphertext returns the patterns of one sealed payload. The first bytes are its
// nonce, the last ones the end of the ciphertext: either tells it apart.
func Ciphertext(payload []byte) []Pattern {
	var out []Pattern
	for _, b := range ends(payload) {
		out = append(out, Pattern{b, CiphertextName, "raw"}, Pattern{[]byte(hex.EncodeToString(b)), CiphertextName, "hex"})
		for _, p := range base64Forms(b) {
			out = append(out, Pattern{p, CiphertextName, "base64"})
		}
	}
	return out
}

// DoubleEncoded returns the patterns of one sealed payload that was taken from JSON, in base64,
// and encoded once more.
func DoubleEncoded(payload []byte) []Pattern {
	var out []Pattern
	for _, b := range ends(payload) {
		for _, p := range base64Forms(b) {
			out = append(out, Pattern{[]byte(hex.EncodeToString(p)), CiphertextName, "base64 in hex"})
			for _, q := range base64Forms(p) {
				out = append(out, Pattern{q, CiphertextName, "base64 in base64"})
			}
		}
	}
	return out
}

func ends(payload []byte) [][]byte {
	if len(payload) > 64 {
		return [][]byte{payload[:32], payload[len(payload)-32:]}
	}
	return [][]byte{payload}
}

// CiphertextName is the name of the patterns of sealed payloads.
const CiphertextName = "ciphertext"
