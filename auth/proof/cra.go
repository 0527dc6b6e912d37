package proof

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// CRASignature signs a challenge of WAMP-CRA: HMAC-SHA256 in base64 (WAMP,
// "Challenge Response Authentication").
func CRASignature(key Secret, challenge string) string {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte(challenge))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Bounds on PBKDF2: what is below is too weak to let a password depend on, and
// what is above is only good for wearing out the one who computes it.
const (
	MaxPBKDF2Iterations = 10_000_000
	MinCRAIterations    = 100
	maxKeyLength        = 1024
)

// DeriveCRA derives the key that WAMP-CRA with salted passwords signs with
// (WAMP, "Password Salting"): PBKDF2-HMAC-SHA256, and of the keyLength bytes
// their base64 text, which is what all implementations use as the key.
func DeriveCRA(password Secret, salt string, iterations, keyLength int) (Secret, error) {
	if iterations < MinCRAIterations || iterations > MaxPBKDF2Iterations || keyLength < 16 || keyLength > maxKeyLength {
		return Secret{}, errors.New("the iterations or the keylen of the salted password are out of bounds")
	}
	key, err := pbkdf2.Key(sha256.New, password.Reveal(), []byte(salt), iterations, keyLength)
	if err != nil {
		return Secret{}, err
	}
	return NewSecret(base64.StdEncoding.EncodeToString(key)), nil
}
