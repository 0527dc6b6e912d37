package client

import "github.com/blindfold-wamp/blindfold/wamp"

// Sealer encrypts and decrypts payloads. The packages cryptobox and scope implement it.
// All methods must be safe for concurrent use. They keep none of their arguments; what
// they need later is in Subject.Call.State.
//
// An error has a method ErrorURI() wamp.URI, or wraps an error that has it: the WAMP
// error URI to report.
type Sealer interface {
	// Keyed reports whether the sealer has a key for the subject.
	Keyed(on *wamp.Subject) bool
	// Seal encodes and encrypts args and kwargs. attrs declares the form of payload: a
	// bare binary (enc_*), or the only element of the arguments (ppt_*). sealed is
	// false without an error only if the sealer has no key for the subject: then
	// Config.AllowClear decides. After an error nothing may be sent.
	Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error)
	// Open decrypts and decodes payload, which came with attrs. It sets on.Origin if it
	// knows it. The values are of the types that wamp.Payload.Decode returns.
	Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error)
}
