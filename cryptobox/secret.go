package cryptobox

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
)

const keySize = 32

var errKeyText = errors.New("cryptobox: a key must be 32 bytes in standard base64 with padding")

// hidden holds key bytes in a closure, where code that uses reflection cannot find them.
// Methods that redact are not enough: package fmt calls no methods of an unexported
// struct field, and follows pointers for some verbs.
type hidden func() *[keySize]byte

func hide(b [keySize]byte) hidden { return func() *[keySize]byte { return &b } }

// secret is a key that redacts itself; nil bytes are no key.
type secret struct{ bytes hidden }

func newSecret() secret {
	var b [keySize]byte
	rand.Read(b[:]) // never fails: the program crashes first (crypto/rand)
	return secret{hide(b)}
}

func parseSecret(text string) (secret, error) {
	b, err := parseKeyText(text)
	if err != nil {
		return secret{}, err
	}
	return secret{hide(b)}, nil
}

func parseKeyText(text string) (key [keySize]byte, err error) {
	// Strict: each key has exactly one text.
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != keySize || base64.StdEncoding.EncodeToString(b) != text {
		return key, errKeyText // not err, which quotes the position in the key
	}
	copy(key[:], b)
	return key, nil
}

// IsZero reports whether there is no key.
func (s secret) IsZero() bool { return s.bytes == nil }

func (s secret) encode() string {
	if s.bytes == nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(s.bytes()[:])
}

func (s secret) equal(t secret) bool {
	if s.bytes == nil || t.bytes == nil {
		return s.IsZero() && t.IsZero()
	}
	return subtle.ConstantTimeCompare(s.bytes()[:], t.bytes()[:]) == 1
}

const redacted = "[redacted key]"

// String redacts the key.
func (s secret) String() string { return redacted }

// Format redacts the key under every verb of package fmt.
func (s secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue redacts the key in package log/slog.
func (s secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText redacts the key in JSON and other text formats. To write a key on
// purpose, call Encode.
func (s secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// PrivateKey is a Curve25519 private key. It redacts itself when it is printed, logged or
// marshalled. The zero PrivateKey is no key.
type PrivateKey struct{ secret }

// PublicKey is a Curve25519 public key. The zero PublicKey is no key.
type PublicKey [keySize]byte

// ScrambleKey is a secret key of a Scrambler. It redacts itself when it is printed,
// logged or marshalled. The zero ScrambleKey is no key.
type ScrambleKey struct{ secret }

// GenerateKey returns a new private key.
func GenerateKey() PrivateKey { return PrivateKey{newSecret()} }

// GenerateScrambleKey returns a new key for a Scrambler.
func GenerateScrambleKey() ScrambleKey { return ScrambleKey{newSecret()} }

// ParsePrivateKey parses the output of Encode, or of Autobahn|Python's generate_key:
// standard base64 with padding.
func ParsePrivateKey(text string) (PrivateKey, error) {
	s, err := parseSecret(text)
	return PrivateKey{s}, err
}

// ParseScrambleKey parses the output of Encode.
func ParseScrambleKey(text string) (ScrambleKey, error) {
	s, err := parseSecret(text)
	return ScrambleKey{s}, err
}

// ParsePublicKey parses the output of PublicKey.String, or of Autobahn|Python's
// generate_key: standard base64 with padding.
func ParsePublicKey(text string) (PublicKey, error) {
	k, err := parseKeyText(text)
	return PublicKey(k), err
}

// Encode returns the secret key itself, in base64.
func (k PrivateKey) Encode() string { return k.encode() }

// Encode returns the secret key itself, in base64.
func (k ScrambleKey) Encode() string { return k.encode() }

// Equal reports, in constant time, whether k and other are the same key.
func (k PrivateKey) Equal(other PrivateKey) bool { return k.equal(other.secret) }

// IsZero reports whether there is no key.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// String returns the key in base64, and "" for the zero key.
func (k PublicKey) String() string {
	if k.IsZero() {
		return ""
	}
	return base64.StdEncoding.EncodeToString(k[:])
}

// MarshalText returns String.
func (k PublicKey) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
