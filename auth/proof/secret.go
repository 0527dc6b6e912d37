package proof

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Secret is a text that redacts itself in package fmt, slog and encoders of text. The
// zero Secret is no secret. It may be used concurrently.
type Secret struct {
	// A closure, because package fmt prints unexported struct fields without calling
	// their methods.
	reveal func() string
}

const redacted = "[redacted]"

// NewSecret returns text as a Secret; "" is the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{func() string { return text }}
}

// SecretFromFile reads a secret from a file, without the line end after the last line. An
// empty file is an error.
func SecretFromFile(name string) (Secret, error) {
	f, err := os.Open(name)
	if err != nil {
		return Secret{}, err
	}
	defer f.Close()
	const limit = 64 << 10
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	switch {
	case err != nil:
		return Secret{}, err
	case len(text) > limit:
		return Secret{}, errors.New("the file of a secret is too large")
	}
	s := NewSecret(strings.TrimSuffix(strings.TrimSuffix(string(text), "\n"), "\r"))
	if s.IsZero() {
		return Secret{}, errors.New("the file of a secret is empty")
	}
	return s, nil
}

// SecretFromEnv reads a secret from an environment variable. If the variable is not set
// or empty, the error names it.
func SecretFromEnv(name string) (Secret, error) {
	s := NewSecret(os.Getenv(name))
	if s.IsZero() {
		return Secret{}, fmt.Errorf("the environment variable %s is not set or empty", name)
	}
	return s, nil
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal compares the secret with text in constant time: the time depends neither on how
// much of text is right nor on the length of the secret. The zero Secret is equal to
// nothing, not even to "".
func (s Secret) Equal(text string) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(text))
	return hmac.Equal(a[:], b[:]) && !s.IsZero()
}

// String, Format, GoString, MarshalText and LogValue redact.
func (s Secret) String() string               { return redacted }
func (s Secret) GoString() string             { return redacted }
func (s Secret) Format(f fmt.State, _ rune)   { _, _ = io.WriteString(f, redacted) }
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
func (s Secret) LogValue() slog.Value         { return slog.StringValue(redacted) }
