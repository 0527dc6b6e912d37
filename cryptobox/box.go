package cryptobox

import (
	"crypto/rand"

	"golang.org/x/crypto/nacl/box"

	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	nonceSize = 24
	// Overhead is the size of nonce and authenticator: how many bytes a payload is
	// longer than its plaintext.
	Overhead = nonceSize + box.Overhead
)

// Box seals in the transparency form, as Autobahn|Python's KeyRing does:
// enc_algo "cryptobox", enc_serializer "json". The payload is
//
//	nonce (24 random bytes) ‖ crypto_box(plaintext)
//
// and the plaintext is compact UTF-8 JSON, {"uri":…,"args":…,"kwargs":…}, with
// binaries as in WAMP's JSON serializer (U+0000 and base64). A string that begins with
// U+0000 cannot be represented and is refused.
//
// Box is a client.Sealer. It may be used concurrently.
type Box struct {
	Keys *KeyRing
}

// Keyed reports whether on.URI has a key.
func (s *Box) Keyed(on *wamp.Subject) bool { return len(s.Keys.lookup(on.URI)) > 0 }

// Seal returns the sealed args and kwargs. sealed is false, with a nil error, if
// and only if the URI has no key: what then happens to args and kwargs is the
// caller's to decide, and package client refuses to send them unless its
// Config.AllowClear lists the URI. If the URI has a key, the payload is sealed or
// the call fails.
func (s *Box) Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error) {
	k, payload, err := sealContent(s.Keys, on, args, kwargs, (*content).marshalJSON)
	if k == nil {
		return attrs, nil, false, err
	}
	return boxAttributes, payload, true, nil
}

// sealContent seals args and kwargs with the key of on, as the plaintext that marshal
// returns. k is nil after an error, and if on has no key.
func sealContent(ring *KeyRing, on *wamp.Subject, args []any, kwargs map[string]any,
	marshal func(*content) ([]byte, error)) (k *Key, payload []byte, err error) {
	k, err = sealingKey(ring, on.URI, on.Originator)
	if k == nil {
		return nil, nil, err
	}
	c, err := normalContent(string(on.URI), args, kwargs)
	if err != nil {
		return nil, nil, err
	}
	plaintext, err := marshal(&c)
	if err != nil {
		return nil, nil, err
	}
	return k, seal(k.side(on.Originator), newNonce(), plaintext), nil
}

var boxAttributes = wamp.Attributes{EncAlgo: "cryptobox", EncSerializer: "json"}

// Open returns the args and kwargs of a payload that was sealed for its URI. Its
// errors are ErrNoKey, ErrDecrypt and ErrURIMismatch. The results share no memory with
// payload.
func (s *Box) Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error) {
	if attrs.EncAlgo != boxAttributes.EncAlgo || attrs.EncSerializer != boxAttributes.EncSerializer {
		return nil, nil, ErrNoKey.because("not a cryptobox payload with JSON inside")
	}
	plaintext, err := open(openingKeys(s.Keys, on.URI, on.Originator), on.Originator, payload)
	if err != nil {
		return nil, nil, err
	}
	var c content
	if err := c.unmarshalJSON(plaintext); err != nil {
		return nil, nil, err
	}
	// Without this check the router could move a payload to another URI.
	if c.uri == nil || *c.uri != string(on.URI) {
		return nil, nil, ErrURIMismatch
	}
	return c.args, c.kwargs, nil
}

// sealingKey returns the newest key of uri that has the private half of that
// side. Both results are nil if uri has no key.
func sealingKey(ring *KeyRing, uri wamp.URI, originator bool) (*Key, error) {
	keys := ring.lookup(uri)
	for _, k := range keys {
		if k.CanSeal(originator) {
			return k, nil
		}
	}
	if len(keys) > 0 {
		return nil, ErrNoKey.because("the private key of this side is missing (the originator publishes and calls, the responder subscribes and registers)")
	}
	return nil, nil
}

// openingKeys returns the keys of uri that open on that side, newest first.
func openingKeys(ring *KeyRing, uri wamp.URI, originator bool) (keys []*Key) {
	for _, k := range ring.lookup(uri) {
		if k.CanSeal(originator) {
			keys = append(keys, k)
		}
	}
	return keys
}

func newNonce() (nonce [nonceSize]byte) {
	rand.Read(nonce[:]) // never fails: the program crashes first (crypto/rand)
	return nonce
}

func seal(shared *[keySize]byte, nonce [nonceSize]byte, plaintext []byte) []byte {
	payload := make([]byte, nonceSize, Overhead+len(plaintext))
	copy(payload, nonce[:])
	return box.SealAfterPrecomputation(payload, plaintext, &nonce, shared)
}

// open returns the plaintext, decrypted with the first key that fits.
func open(keys []*Key, originator bool, payload []byte) ([]byte, error) {
	if len(keys) == 0 {
		return nil, ErrNoKey
	}
	if len(payload) < Overhead {
		return nil, ErrDecrypt.because("too short")
	}
	nonce := [nonceSize]byte(payload)
	for _, k := range keys {
		if plaintext, ok := box.OpenAfterPrecomputation(nil, payload[nonceSize:], &nonce, k.side(originator)); ok {
			return plaintext, nil
		}
	}
	return nil, ErrDecrypt
}
