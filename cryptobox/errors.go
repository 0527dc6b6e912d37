package cryptobox

import "github.com/blindfold-wamp/blindfold/wamp"

// Error says why something was not sealed, opened or scrambled. Its text never repeats
// what a peer sent, and contains no part of a key or a payload.
//
// errors.Is(err, ErrDecrypt) and so on distinguish the kinds. errors.As gives the URI to
// report to the peer.
type Error struct {
	// URI is the WAMP error URI of this kind of failure.
	URI wamp.URI
	// Text is for people.
	Text string
}

// The kinds of failure, by their URI.
var (
	// ErrNoKey: there is no key for the URI, or the private key of this side is missing,
	// or the sealer does not support the payload's algorithm.
	ErrNoKey = &Error{wamp.ErrNoPayloadCodec, "no key for this URI"}
	// ErrDecrypt: no key of the URI opens the payload, or its content does not have the
	// format of this form.
	ErrDecrypt = &Error{wamp.ErrDecryptError, "payload cannot be decrypted"}
	// ErrURIMismatch: the payload is genuine, but was sealed for another URI.
	ErrURIMismatch = &Error{wamp.ErrTrustedURIMismatch, "payload was sealed for another URI"}
	// ErrValue: a value cannot be represented in the form's plaintext. Nothing was
	// sealed.
	ErrValue = &Error{wamp.ErrInvalidArgument, "value cannot be sealed"}
	// ErrURI: a URI or pattern cannot be scrambled.
	ErrURI = &Error{wamp.ErrInvalidURI, "URI cannot be scrambled"}
)

// Error returns the URI and the text.
func (e *Error) Error() string { return string(e.URI) + ": " + e.Text }

// ErrorURI returns the WAMP error URI to report.
func (e *Error) ErrorURI() wamp.URI { return e.URI }

// Is reports whether target is an *Error of the same kind.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.URI == e.URI
}

func (e *Error) because(text string) *Error {
	return &Error{URI: e.URI, Text: e.Text + ": " + text}
}
