package cryptobox

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"golang.org/x/crypto/sha3"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Passthru seals in the passthru form, by WAMP's predefined end-to-end scheme
// ("Payload Passthru Mode", "End-to-End Encryption Predefined Scheme"):
// ppt_scheme "wamp", ppt_serializer "cbor", ppt_cipher "xsalsa20poly1305", and
// as ppt_keyid the KeyID of the receiving side's public key.
//
// The specification defines the cipher and the plaintext, but not the layout of nonce
// and ciphertext. The layout here is that of Box, nonce ‖ crypto_box. The plaintext is
// deterministic CBOR (RFC 8949, 4.2.1) of the specification's hash table with an
// additional entry, "uri", which binds the payload to its URI:
//
//	{"uri": …, "args": […], "kwargs": {…}}
//
// A client that knows only args and kwargs can still read it.
//
// Passthru is a client.Sealer. It may be used concurrently.
type Passthru struct {
	Keys *KeyRing
	// AllowUnbound opens payloads without a URI inside, from senders that write only
	// what the specification demands. A router can then move them to another URI of
	// the same key. A payload that has a URI must still have the right one.
	AllowUnbound bool
}

var passthruAttributes = wamp.Attributes{PPTScheme: "wamp", PPTSerializer: "cbor", PPTCipher: "xsalsa20poly1305"}

// Keyed is as in Box.
func (s *Passthru) Keyed(on *wamp.Subject) bool {
	return len(s.Keys.lookup(on.URI)) > 0
}

// Seal is as in Box.
func (s *Passthru) Seal(on *wamp.Subject, args []any, kwargs map[string]any) (attrs wamp.Attributes, payload []byte, sealed bool, err error) {
	k, payload, err := sealContent(s.Keys, on, args, kwargs, (*content).marshalCBOR)
	if k == nil {
		return attrs, nil, false, err
	}
	attrs = passthruAttributes
	attrs.PPTKeyID = k.receiver(!on.Originator).KeyID()
	return attrs, payload, true, nil
}

// Open is as in Box.
func (s *Passthru) Open(on *wamp.Subject, attrs *wamp.Attributes, payload []byte) (args []any, kwargs map[string]any, err error) {
	if attrs.PPTScheme != passthruAttributes.PPTScheme || attrs.PPTSerializer != passthruAttributes.PPTSerializer ||
		attrs.PPTCipher != passthruAttributes.PPTCipher {
		return nil, nil, ErrNoKey.because("not an xsalsa20poly1305 payload of scheme wamp with CBOR inside")
	}
	keys := named(openingKeys(s.Keys, on.URI, on.Originator), on.Originator, attrs.PPTKeyID)
	plaintext, err := open(keys, on.Originator, payload)
	if err != nil {
		return nil, nil, err
	}
	var c content
	if err := c.unmarshalCBOR(plaintext); err != nil {
		return nil, nil, err
	}
	if c.uri == nil && !s.AllowUnbound {
		return nil, nil, ErrURIMismatch.because("it contains none")
	}
	if c.uri != nil && *c.uri != string(on.URI) {
		return nil, nil, ErrURIMismatch
	}
	return c.args, c.kwargs, nil
}

// receiver returns the public key of the side that opens the payload.
func (k *Key) receiver(originator bool) PublicKey {
	if originator {
		return k.Originator()
	}
	return k.Responder()
}

// named returns the keys whose receiving public key has that id: its KeyID in any letter
// case, or the key itself in base64 as in the specification's examples. An empty id
// selects all keys.
func named(keys []*Key, originator bool, id string) (out []*Key) {
	if id == "" {
		return keys
	}
	for _, k := range keys {
		public := k.receiver(originator)
		if id == public.String() || strings.EqualFold(id, public.KeyID()) {
			out = append(out, k)
		}
	}
	return out
}

// KeyID returns the identifier of k in the passthru form: "0x" and the last 20
// bytes of the SHA-256 of k in hexadecimal, with the letter case as the checksum
// of EIP-55 (WAMP, "End-to-End Encryption Predefined Scheme").
func (k PublicKey) KeyID() string {
	sum := sha256.Sum256(k[:])
	return "0x" + eip55(hex.EncodeToString(sum[len(sum)-20:]))
}

// eip55 sets the case of the letters in 40 lower-case hexadecimal digits by the
// Keccak-256 of these digits.
func eip55(digits string) string {
	h := sha3.NewLegacyKeccak256()
	h.Write([]byte(digits))
	sum := hex.EncodeToString(h.Sum(nil))
	out := []byte(digits)
	for i, c := range out {
		if c >= 'a' && sum[i] >= '8' {
			out[i] = c - 'a' + 'A'
		}
	}
	return string(out)
}
