package verify

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/crypto/nacl/box"

	"github.com/blindfold-wamp/blindfold/cryptobox"
)

// secrets is what the router must never see: canaries, which are only ever sent
// sealed, and the keys that they are sealed with. The values never leave this
// package; reports name them by what they are.
type secrets struct {
	ring *cryptobox.KeyRing
	keys []pattern // of the keys

	args, kwargs, failure, progress string
	binary                          []byte

	// clear is sent in the clear: finding it shows that a search works.
	clear string
}

// newSecrets draws the canaries and, unless a keyring file is given, the keys.
func newSecrets(keyring string) (*secrets, error) {
	s := &secrets{
		ring: new(cryptobox.KeyRing),
		args: newCanary(), kwargs: newCanary(), failure: newCanary(), progress: newCanary(), clear: newCanary(),
		binary: random(32),
	}
	if keyring != "" {
		return s, s.load(keyring)
	}
	a, b := cryptobox.GenerateKey(), cryptobox.GenerateKey()
	return s, s.use(cryptobox.Half{Private: a}, cryptobox.Half{Private: b})
}

// load takes the keys of a keyring file, of which the first that has both
// private halves seals.
func (s *secrets) load(file string) error {
	if _, err := cryptobox.LoadKeyRing(file); err != nil { // its checks, and its words
		return err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	type half struct{ Private, Public string }
	var ring struct {
		Keys []struct{ Originator, Responder half }
	}
	if err := json.Unmarshal(content, &ring); err != nil {
		return err
	}
	parse := func(h half) (out cryptobox.Half) {
		out.Private, _ = cryptobox.ParsePrivateKey(h.Private) // checked by LoadKeyRing
		out.Public, _ = cryptobox.ParsePublicKey(h.Public)
		return out
	}
	for _, k := range ring.Keys {
		if k.Originator.Private != "" && k.Responder.Private != "" {
			return s.use(parse(k.Originator), parse(k.Responder))
		}
	}
	return fmt.Errorf("%s has no key with the private halves of both sides", file)
}

func (s *secrets) use(originator, responder cryptobox.Half) error {
	key, err := cryptobox.NewKey(originator, responder)
	if err != nil {
		return err
	}
	a, b := rawKey(originator.Private.Encode()), rawKey(responder.Private.Encode())
	public := [32]byte(key.Responder())
	var shared [32]byte
	box.Precompute(&shared, &public, a)
	s.keys = append(encodings("the originator's private key", a[:], false), encodings("the responder's private key", b[:], false)...)
	s.keys = append(s.keys, encodings("the shared secret of the two keys", shared[:], false)...)
	return s.ring.Set("", key)
}

func rawKey(text string) *[32]byte {
	b, _ := base64.StdEncoding.DecodeString(text) // Encode wrote it
	return (*[32]byte)(b)
}

// sealed returns the patterns that must be found nowhere: canaries and keys.
func (s *secrets) sealed() []pattern {
	out := append([]pattern(nil), s.keys...)
	out = append(out, encodings("the canary of the arguments", []byte(s.args), true)...)
	out = append(out, encodings("the canary of the keyword arguments", []byte(s.kwargs), true)...)
	out = append(out, encodings("the canary of the errors", []byte(s.failure), true)...)
	out = append(out, encodings("the canary of the progressive results", []byte(s.progress), true)...)
	return append(out, encodings("the canary of the binaries", s.binary, false)...)
}

func (s *secrets) inClear() []pattern { return encodings(clearCanary, []byte(s.clear), true) }

const clearCanary = "the canary sent in the clear"

// values are arguments that hold every canary, and something that differs each
// time.
func (s *secrets) values(n, size int) (args []any, kwargs map[string]any) {
	args = []any{s.args, s.binary, n, strings.Repeat("x", size)}
	return args, map[string]any{"canary": s.kwargs, "error": s.failure, "progress": s.progress}
}

// random returns n random bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: the program crashes first (crypto/rand)
	return b
}

// newCanary returns a text that nobody else sends, and that JSON writers escape
// in their different ways.
func newCanary() string {
	half := func() string { return strings.ToLower(rand.Text())[:20] }
	return half() + "é\"</" + half()
}

// encodings returns the forms in which a secret could turn up.
func encodings(what string, b []byte, text bool) []pattern {
	var out []pattern
	add := func(encoding string, p []byte) { out = append(out, pattern{p, what, encoding}) }
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

// ciphertext returns the patterns of one sealed payload. The first bytes are its
// nonce, the last ones the end of the ciphertext: either tells it apart.
func ciphertext(payload []byte) []pattern {
	var out []pattern
	for _, b := range ends(payload) {
		out = append(out, pattern{b, ciphertexts, "raw"}, pattern{[]byte(hex.EncodeToString(b)), ciphertexts, "hex"})
		for _, p := range base64Forms(b) {
			out = append(out, pattern{p, ciphertexts, "base64"})
		}
	}
	return out
}

// twice returns the patterns of one sealed payload that somebody encodes who has
// it as JSON has it, in base64 already.
func twice(payload []byte) []pattern {
	var out []pattern
	for _, b := range ends(payload) {
		for _, p := range base64Forms(b) {
			out = append(out, pattern{[]byte(hex.EncodeToString(p)), ciphertexts, "base64 in hex"})
			for _, q := range base64Forms(p) {
				out = append(out, pattern{q, ciphertexts, "base64 in base64"})
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

const ciphertexts = "ciphertext"
