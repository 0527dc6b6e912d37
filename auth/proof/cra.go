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

// Bounds of PBKDF2. Smaller values are too weak to protect a password; larger ones only
// exhaust the side that computes them.
const (
	MaxPBKDF2Iterations = 10_000_000
	MinCRAIterations    = 100
	maxKeyLength        = 1024
)

// DeriveCRA derives the signing key of WAMP-CRA with salted passwords (WAMP, "Password
// Salting"): PBKDF2-HMAC-SHA256 with keyLength bytes. All implementations use the base64
// text of these bytes as the key.
func DeriveCRA(password Secret, salt string, iterations, keyLength int) (Secret, error) {
	if iterations < MinCRAIterations || iterations > MaxPBKDF2Iterations || keyLength < 16 || keyLength > maxKeyLength {
		return Secret{}, errors.New("iterations or keylen of the salted password are out of bounds")
	}
	key, err := pbkdf2.Key(sha256.New, password.Reveal(), []byte(salt), iterations, keyLength)
	if err != nil {
		return Secret{}, err
	}
	return NewSecret(base64.StdEncoding.EncodeToString(key)), nil
}
