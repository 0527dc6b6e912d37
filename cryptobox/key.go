package cryptobox

import (
	"errors"
	"fmt"
	"log/slog"

	"golang.org/x/crypto/curve25519"
	"golang.org/x/crypto/nacl/box"
)

// Half is the key pair of one side: the private key, or only the public key. If Private
// is set, Public may be left out.
type Half struct {
	Private PrivateKey
	Public  PublicKey
}

// Key seals and opens payloads. It has two halves: that of the originator (caller,
// publisher) and that of the responder (callee, subscriber). The originator's side needs
// the originator's private key and the responder's public key, the responder's side the
// opposite. A Key with both private keys serves both sides.
//
// A Key is immutable. If it is printed, logged or marshalled, it shows its public keys
// only.
type Key struct {
	originator, responder Half
	// The shared secrets (crypto_box_beforenm) of the sides whose private key is known.
	// Both are equal.
	originatorBox, responderBox hidden
}

// NewKey returns the key of these halves. It needs the public key of both and the private
// key of at least one.
func NewKey(originator, responder Half) (*Key, error) {
	k := &Key{originator: originator, responder: responder}
	for _, h := range []*Half{&k.originator, &k.responder} {
		if err := h.complete(); err != nil {
			return nil, err
		}
	}
	var err error
	if k.originatorBox, err = precompute(k.originator.Private, k.responder.Public); err != nil {
		return nil, err
	}
	if k.responderBox, err = precompute(k.responder.Private, k.originator.Public); err != nil {
		return nil, err
	}
	if k.originatorBox == nil && k.responderBox == nil {
		return nil, errors.New("cryptobox: a key needs the private key of the originator or of the responder")
	}
	return k, nil
}

// NewSharedKey returns a key with the same key pair for originator and responder, as
// Autobahn|Python makes it from a single private key. Everyone who has it can act as
// either side.
func NewSharedKey(private PrivateKey) (*Key, error) {
	return NewKey(Half{Private: private}, Half{Private: private})
}

// complete derives the public key, or checks the given one.
func (h *Half) complete() error {
	if h.Private.IsZero() {
		if h.Public.IsZero() {
			return errors.New("cryptobox: a key needs at least the public key of both originator and responder")
		}
		return nil
	}
	derived := h.Private.Public()
	if !h.Public.IsZero() && h.Public != derived {
		return errors.New("cryptobox: the public key does not belong to the private key")
	}
	h.Public = derived
	return nil
}

// Public returns the public key of k. For the zero PrivateKey it is zero.
func (k PrivateKey) Public() (public PublicKey) {
	if k.IsZero() {
		return public
	}
	curve25519.ScalarBaseMult((*[keySize]byte)(&public), k.bytes())
	return public
}

func precompute(private PrivateKey, peer PublicKey) (hidden, error) {
	if private.IsZero() {
		return nil, nil
	}
	// A point of low order gives a shared secret that everyone knows. box.Precompute
	// accepts it; libsodium, and therefore Autobahn, does not.
	if _, err := curve25519.X25519(private.bytes()[:], peer[:]); err != nil {
		return nil, errors.New("cryptobox: a public key is not secure (a point of low order)")
	}
	var shared [keySize]byte
	box.Precompute(&shared, (*[keySize]byte)(&peer), private.bytes())
	return hide(shared), nil
}

// Originator returns the public key of the originator's half.
func (k *Key) Originator() PublicKey { return k.originator.Public }

// Responder returns the public key of the responder's half.
func (k *Key) Responder() PublicKey { return k.responder.Public }

// CanSeal reports whether k can seal and open on that side.
func (k *Key) CanSeal(originator bool) bool { return k.shared(originator) != nil }

// shared returns the shared secret of that side, or nil.
func (k *Key) shared(originator bool) hidden {
	if originator {
		return k.originatorBox
	}
	return k.responderBox
}

// side returns the shared secret of that side; CanSeal must be true.
func (k *Key) side(originator bool) *[keySize]byte { return k.shared(originator)() }

func (k *Key) samePublic(other *Key) bool {
	return k.Originator() == other.Originator() && k.Responder() == other.Responder()
}

// same reports whether both keys have the same halves and serve the same sides.
func (k *Key) same(other *Key) bool {
	return k.samePublic(other) && k.CanSeal(true) == other.CanSeal(true) && k.CanSeal(false) == other.CanSeal(false)
}

// String shows the public keys, and which private keys are known.
func (k *Key) String() string {
	if k == nil {
		return "key(none)"
	}
	return "key(originator " + k.originator.describe() + ", responder " + k.responder.describe() + ")"
}

func (h Half) describe() string {
	if h.Private.IsZero() {
		return h.Public.String()
	}
	return h.Public.String() + " with private key"
}

// Format makes every verb of package fmt print String.
func (k *Key) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue makes package log/slog log String.
func (k *Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText makes encoders of text formats, JSON among them, write String.
func (k *Key) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
