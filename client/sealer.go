package client

import "github.com/blindfold-wamp/blindfold/wamp"

// Sealer makes opaque payloads and opens them. Those of the packages cryptobox and
// scope are Sealers. All methods may be called concurrently, and keep nothing of
// what they are given, but for what they put into Subject.Call.State.
//
// An error has the WAMP error URI to report: it is, or wraps, one with a method
// ErrorURI() wamp.URI.
type Sealer interface {
	// Keyed reports whether what belongs to the subject must be sealed: then it is
	// neither sent nor accepted in the clear.
	Keyed(on *wamp.Subject) bool
	// Seal encodes and encrypts args and kwargs. attrs declares the form
	// in which payload goes out: as a bare binary (enc_*) or as the one element
	// of the arguments (ppt_*). sealed is false, without an error, only if the subject is
	// none of the sealer's business; the payload then goes out in the clear. On
	// an error nothing may be sent.
	Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error)
	// Open decrypts and decodes payload, which came with attrs. It sets on.Origin if it
	// knows it. The values are of the types that wamp.Payload.Decode returns.
	Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error)
}
