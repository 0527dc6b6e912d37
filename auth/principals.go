package auth

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"slices"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Secret is a text that never prints itself.
type Secret = proof.Secret

// NewSecret, SecretFromFile and SecretFromEnv make a Secret; see package proof.
var (
	NewSecret      = proof.NewSecret
	SecretFromFile = proof.SecretFromFile
	SecretFromEnv  = proof.SecretFromEnv
)

// Principal is somebody who can authenticate, by any of the methods that it has
// credentials for. It is not changed once it is in use.
type Principal struct {
	AuthID string
	// Roles it may have. It gets the first unless HELLO.Details.authrole asks
	// for another of them.
	Roles []string
	// Provider becomes WELCOME.Details.authprovider; "" is "static".
	Provider string
	// Extra becomes WELCOME.Details.authextra.
	Extra map[string]any

	// Ticket and TicketHash (as HashTicket makes it) are alternatives.
	Ticket     Secret
	TicketHash string
	CRA        *CRACredential
	SCRAM      *SCRAMCredential
	// Keys are the public keys for cryptosign.
	Keys []ed25519.PublicKey
	// Certificates are client certificates, by the SHA-256 of their DER form in
	// hex. They are trusted whoever issued them.
	Certificates []string
	// Names are subjects of client certificates: a DNS name, e-mail address or
	// URI of the subject alternative names, or else the common name. They count
	// only in a certificate that the listener has verified.
	Names []string
	// Cookies are values of the cookie.
	Cookies []Secret
}

// CRACredential is what WAMP-CRA checks signatures with.
type CRACredential struct {
	// Secret is the shared secret or, with a Salt, what DeriveCRA made of it.
	Secret Secret
	Salt   string
	// Iterations and KeyLength (bytes) were used with Salt.
	Iterations, KeyLength int
}

// DeriveCRA makes the credential of a password that needn't be stored. 100
// iterations are the least; the specification's example has 1000, and a password
// that people choose wants more than 100,000.
func DeriveCRA(password Secret, salt string, iterations, keyLength int) (*CRACredential, error) {
	if salt == "" {
		return nil, errors.New("auth: a salted password needs a salt")
	}
	key, err := proof.DeriveCRA(password, salt, iterations, keyLength)
	return &CRACredential{Secret: key, Salt: salt, Iterations: iterations, KeyLength: keyLength}, err
}

// SCRAMCredential is what SCRAM checks proofs with. Nobody can log in with it
// who doesn't find the password.
type SCRAMCredential struct {
	proof.SCRAMParameters
	StoredKey, ServerKey []byte
}

// DeriveSCRAM makes the credential of a password.
func DeriveSCRAM(password Secret, parameters proof.SCRAMParameters) (*SCRAMCredential, error) {
	salted, err := parameters.SaltedPassword(password)
	if err != nil {
		return nil, err
	}
	_, stored, server := proof.SCRAMKeys(salted)
	return &SCRAMCredential{SCRAMParameters: parameters, StoredKey: stored, ServerKey: server}, nil
}

// Claim is who a client says it is, before it has proved anything.
type Claim struct {
	// Method is the authmethod.
	Method string
	// AuthID is HELLO.Details.authid, or "" if the client named none and the
	// method can do without.
	AuthID string
	// Key is the public key that the client offers, under cryptosign.
	Key ed25519.PublicKey
	// Certificate is the client's, under tls. It has the private key, and the
	// certificate is not expired; Verified says whether that has been verified, too.
	Certificate *x509.Certificate
	Verified    bool
	// Cookie is the cookie's value, under cookie.
	Cookie Secret
	// Handshake is all the rest. Its Challenge is not to be called.
	Handshake *router.Handshake
}

// Principals knows who can authenticate. Principal returns whom a claim is
// about, or nil if that is nobody; an error says that it could not find out.
// With an AuthID in the claim, that is whom to return, and only with the
// claimed Key, Certificate or Cookie, if the method has such. It is called
// concurrently.
type Principals interface {
	Principal(ctx context.Context, claim *Claim) (*Principal, error)
}

// camouflaged are Principals with decoys for everybody else.
type camouflaged interface {
	Principals
	decoy(claim *Claim) *Principal
}

// withDecoys returns principals with decoys: their own, or ones like those that they return.
func withDecoys(principals Principals) camouflaged {
	if c, ok := principals.(camouflaged); ok {
		return c
	}
	return &learning{principals, newDecoys("static")}
}

// identify looks a claim up. Somebody who doesn't exist, or who has nothing to
// prove the claim with, gets a decoy in their place: the authenticator goes on as
// with anybody, so that neither answers nor times tell who exists.
func identify(ctx context.Context, principals camouflaged, claim *Claim) (p *Principal, known bool, err error) {
	decoy := principals.decoy(claim) // needed or not: that must not tell either
	p, err = principals.Principal(ctx, claim)
	switch {
	case err != nil:
		return nil, false, err
	case p != nil && p.credentials(claim.Method):
		return p, true, nil
	}
	return decoy, false, nil
}

// credentials reports whether the principal can prove itself by the method.
func (p *Principal) credentials(method string) bool {
	switch method {
	case "ticket":
		return !p.Ticket.IsZero() || p.TicketHash != ""
	case "wampcra":
		return p.CRA != nil && !p.CRA.Secret.IsZero()
	case proof.SCRAMMethod:
		return p.SCRAM != nil && p.SCRAM.KDF != proof.Argon2idText
	case proof.AutobahnSCRAMMethod:
		return p.SCRAM != nil && p.SCRAM.KDF != proof.Argon2id
	}
	return true
}

// role returns the role that HELLO asks for, or else the principal's first.
func (p *Principal) role(h *router.Handshake) string {
	if asked := h.Hello.Details.AuthRole; asked != "" || len(p.Roles) == 0 {
		return asked
	}
	return p.Roles[0]
}

func (p *Principal) provider() string {
	if p.Provider != "" {
		return p.Provider
	}
	return "static"
}

// identity is what a principal that has proved itself becomes.
func (p *Principal) identity(h *router.Handshake) (*router.Identity, error) {
	role := p.role(h)
	if !slices.Contains(p.Roles, role) {
		return nil, noSuchRole
	}
	return &router.Identity{AuthID: p.AuthID, AuthRole: role, Provider: p.provider(), Extra: p.Extra}, nil
}

// The refusals. A wrong proof and an unknown principal are the same one.
var (
	authenticationFailed = failed("authentication failed")
	noAuthID             = failed("this method needs HELLO.Details.authid")
	noSuchRole           = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNoSuchRole,
		Text: "this principal doesn't have the role that HELLO.Details.authrole asks for"}
)

func failed(text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthenticationFailed, Text: text}
}
