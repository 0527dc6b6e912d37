package client

import "github.com/blindfold-wamp/blindfold/wamp"

// Sealer makes opaque payloads and opens them. The sealers of package cryptobox
// are Sealers. Both methods may be called concurrently, and keep nothing of what
// they are given.
//
// uri is the topic, the procedure (for CALL and its RESULT alike), or the error
// URI of an ERROR; it selects the key. originator tells the side that the
// sealing or opening peer is on: true for a caller or publisher, which seals
// CALL and PUBLISH and opens RESULT and ERROR; false for a callee or subscriber,
// which seals YIELD and ERROR and opens INVOCATION and EVENT.
//
// An error has the WAMP error URI to report: it is, or wraps, one with a method
// ErrorURI() wamp.URI.
type Sealer interface {
	// Seal encodes and encrypts args and kwargs for uri. attrs declares the form
	// in which payload goes out: as a bare binary (enc_*) or as the one element
	// of the arguments (ppt_*). sealed is false, without an error, only if uri is
	// none of the sealer's business; the payload then goes out in the clear. On
	// an error nothing may be sent. It is also called with no args and no kwargs
	// to learn whether uri has a key, and what it returns is then thrown away.
	Seal(uri wamp.URI, originator bool, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error)
	// Open decrypts and decodes payload, which came with attrs on a message about
	// uri. The values are of the types that wamp.Payload.Decode returns.
	Open(uri wamp.URI, originator bool, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error)
}
