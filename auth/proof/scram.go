package proof

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/xdg-go/stringprep"
	"golang.org/x/crypto/argon2"
)

// The key derivation functions of SCRAM, by their names in CHALLENGE.Extra.kdf.
const (
	Argon2id = "argon2id13"
	PBKDF2   = "pbkdf2"
	// Argon2idText is the kdf that Autobahn and Crossbar use with the method "scram".
	// The salted password is the base64 text of the hash, without padding, and the
	// password is not normalized. Keys made for one kdf cannot be used with the other.
	Argon2idText = "argon2id-13"
)

// SCRAMMethod and AutobahnSCRAMMethod are the two authmethods. The latter comes from an
// early draft, and is the only SCRAM of Autobahn|Python and Crossbar. It
// differs in the kdf (Argon2idText), has no channel binding, an empty "c=" in
// AuthMessage, no Extra in AUTHENTICATE, and the server's signature in
// authextra.scram_server_signature instead of authextra.verifier.
const (
	SCRAMMethod         = "wamp-scram"
	AutobahnSCRAMMethod = "scram"
)

// SCRAMParameters says how a password is salted and hashed.
type SCRAMParameters struct {
	KDF        string
	Salt       []byte
	Iterations int
	Memory     int // KiB, for Argon2 only
}

// Bounds on what SaltedPassword computes: Argon2's work in KiB times iterations.
const (
	maxArgon2Memory = 4 << 20
	maxArgon2Work   = 16 << 20
	minArgon2Work   = 4 << 10
	minSCRAMPBKDF2  = 4096 // RFC 7677, section 4
)

var errSCRAMParameters = errors.New("kdf, salt, iterations or memory of SCRAM are missing, too weak to be safe, or too costly")

// Check returns an error for an unknown KDF, for costs so low that a password would be
// easy to find, and for costs so high that only an attacker would ask for them.
func (p *SCRAMParameters) Check() error {
	ok := false
	switch p.KDF {
	case PBKDF2:
		ok = p.Iterations >= minSCRAMPBKDF2 && p.Iterations <= MaxPBKDF2Iterations
	case Argon2id, Argon2idText:
		ok = p.Memory >= 8 && p.Memory <= maxArgon2Memory && p.Iterations >= 1 && p.Iterations <= maxArgon2Work/p.Memory &&
			p.Iterations*p.Memory >= minArgon2Work
	}
	if !ok || len(p.Salt) < 8 || len(p.Salt) > 1024 {
		return errSCRAMParameters
	}
	return nil
}

// SaltedPassword derives the key from which all others are derived (WAMP, "SCRAM
// Algorithms"). It takes a long time, and as much memory as p says.
func (p *SCRAMParameters) SaltedPassword(password Secret) (Secret, error) {
	if err := p.Check(); err != nil {
		return Secret{}, err
	}
	text := password.Reveal()
	if p.KDF == Argon2idText {
		hash := argon2.IDKey([]byte(text), p.Salt, uint32(p.Iterations), uint32(p.Memory), 1, sha256.Size)
		return NewSecret(base64.RawStdEncoding.EncodeToString(hash)), nil
	}
	text, err := stringprep.SASLprep.Prepare(text)
	if err != nil {
		return Secret{}, errors.New("the password contains characters that SASLprep prohibits")
	}
	if p.KDF == Argon2id {
		return NewSecret(string(argon2.IDKey([]byte(text), p.Salt, uint32(p.Iterations), uint32(p.Memory), 1, sha256.Size))), nil
	}
	key, err := pbkdf2.Key(sha256.New, text, p.Salt, p.Iterations, sha256.Size)
	return NewSecret(string(key)), err
}

// PrepareAuthID returns the form in which SCRAM compares and signs an authid: that
// which SASLprep (RFC 4013) gives it, as RFC 5802, section 5.1, has it for user names.
func PrepareAuthID(authID string) (string, error) {
	prepared, err := stringprep.SASLprep.Prepare(authID)
	if err != nil || prepared == "" {
		return "", errors.New("the authid is empty or contains characters that SASLprep prohibits")
	}
	return prepared, nil
}

// SCRAMKeys derives the keys from a salted password. The router's side stores storedKey
// and serverKey. With clientKey one can log in.
func SCRAMKeys(saltedPassword Secret) (clientKey, storedKey, serverKey []byte) {
	clientKey = mac([]byte(saltedPassword.Reveal()), "Client Key")
	stored := sha256.Sum256(clientKey)
	return clientKey, stored[:], mac([]byte(saltedPassword.Reveal()), "Server Key")
}

// SCRAMExchange is what both sides have exchanged in one authentication.
type SCRAMExchange struct {
	AuthID      string // HELLO.Details.authid, as PrepareAuthID returns it
	ClientNonce string // HELLO.Details.authextra.nonce
	Nonce       string // CHALLENGE.Extra.nonce
	Salt        string // CHALLENGE.Extra.salt
	Iterations  int    // CHALLENGE.Extra.iterations
	Binding     string // the channel binding's type, or ""
	BindingData []byte // what it binds to
	Autobahn    bool   // AutobahnSCRAMMethod
}

var escapeSCRAM = strings.NewReplacer(",", "=2C", "=", "=3D")

// AuthMessage is the text that both sides sign (WAMP, "AuthMessage").
func (x *SCRAMExchange) AuthMessage() string {
	authID, binding := x.AuthID, ""
	if !x.Autobahn {
		authID = escapeSCRAM.Replace(authID)
		flag := "n"
		if x.Binding != "" {
			flag = "p=" + x.Binding
		}
		binding = base64.StdEncoding.EncodeToString(append([]byte(flag+",,"), x.BindingData...))
	}
	return "n=" + authID + ",r=" + x.ClientNonce +
		",r=" + x.Nonce + ",s=" + x.Salt + ",i=" + strconv.Itoa(x.Iterations) +
		",c=" + binding + ",r=" + x.Nonce
}

// ClientProof returns the proof that the client has clientKey.
func ClientProof(clientKey, storedKey []byte, authMessage string) []byte {
	out := make([]byte, sha256.Size)
	subtle.XORBytes(out, clientKey, mac(storedKey, authMessage))
	return out
}

// CheckClientProof reports whether clientProof was made with the clientKey of storedKey.
func CheckClientProof(storedKey, clientProof []byte, authMessage string) bool {
	if len(clientProof) != sha256.Size {
		return false
	}
	clientKey := make([]byte, sha256.Size)
	subtle.XORBytes(clientKey, clientProof, mac(storedKey, authMessage))
	recovered := sha256.Sum256(clientKey)
	return hmac.Equal(recovered[:], storedKey)
}

// ServerSignature returns the proof that the router has serverKey.
func ServerSignature(serverKey []byte, authMessage string) []byte { return mac(serverKey, authMessage) }

func mac(key []byte, text string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(text))
	return m.Sum(nil)
}
