package cluster

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Credentials are read here and not by nats.go, whose readers reach all kinds of NKeys,
// among them one that opens boxes: nothing that a router links may do that. An NKey of a
// user is an Ed25519 key.

var (
	userSeed = regexp.MustCompile(`\bSU[A-Z2-7]{56}\b`)

	errSeed = errors.New("there is no seed of a user's NKey (SU…) in it")
)

// NKey returns the option that authenticates with the seed of a user's NKey, which is
// somewhere in text.
func NKey(text []byte) (nats.Option, error) {
	public, sign, err := signer(text)
	if err != nil {
		return nil, err
	}
	return nats.Nkey(public, sign), nil
}

// Credentials returns the option that authenticates with a credentials file: a user's
// JWT, and the seed of its NKey.
func Credentials(text []byte) (nats.Option, error) {
	jwt, err := nkeys.ParseDecoratedJWT(text)
	if err != nil {
		return nil, fmt.Errorf("there is no JWT in it: %w", err)
	}
	_, sign, err := signer(text)
	if err != nil {
		return nil, err
	}
	return nats.UserJWT(func() (string, error) { return jwt, nil }, sign), nil
}

func signer(text []byte) (public string, sign nats.SignatureHandler, err error) {
	seed := userSeed.Find(text)
	if seed == nil {
		return "", nil, errSeed
	}
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		return "", nil, errSeed
	}
	key := ed25519.NewKeyFromSeed(raw)
	encoded, err := nkeys.Encode(nkeys.PrefixByteUser, key.Public().(ed25519.PublicKey))
	if err != nil {
		return "", nil, err
	}
	return string(encoded), func(nonce []byte) ([]byte, error) { return ed25519.Sign(key, nonce), nil }, nil
}
