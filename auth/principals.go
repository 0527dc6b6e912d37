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

// Secret is a text that redacts itself.
type Secret = proof.Secret

// NewSecret, SecretFromFile and SecretFromEnv return a Secret; see package proof.
var (
	NewSecret      = proof.NewSecret
	SecretFromFile = proof.SecretFromFile
	SecretFromEnv  = proof.SecretFromEnv
)

// Principal is a person or program that can authenticate, by the methods that it has
// credentials for. It must not be changed once it is in use.
type Principal struct {
	AuthID string
	// Roles are the possible roles. A session gets the first one, unless
	// HELLO.Details.authrole asks for another of them.
	Roles []string
	// Provider becomes WELCOME.Details.authprovider; "" is "static".
	Provider string
	// Extra becomes WELCOME.Details.authextra.
	Extra map[string]any

	// Set either Ticket or TicketHash (see HashTicket).
	Ticket     Secret
	TicketHash string
	CRA        *CRACredential
	SCRAM      *SCRAMCredential
	// Keys are the public keys for cryptosign.
	Keys []ed25519.PublicKey
	// Certificates are client certificates, by the SHA-256 of their DER form in
	// hex. They are trusted, whatever their issuer.
	Certificates []string
	// Names are subjects of client certificates: a DNS name, e-mail address or
	// URI of the subject alternative names, or else the common name. They are used only
	// if the listener has verified the certificate.
	Names []string
	// Cookies are values of the cookie.
	Cookies []Secret
}

// CRACredential verifies the signatures of WAMP-CRA.
type CRACredential struct {
	// Secret is the shared secret or, with a Salt, the key that DeriveCRA returned.
	Secret Secret
	Salt   string
	// Iterations and KeyLength (bytes) were used with Salt.
	Iterations, KeyLength int
}

// DeriveCRA returns the credential of a password, which then need not be stored. The
// minimum is 100 iterations. The specification's example has 1000. Passwords that people
// choose need more than 100,000.
func DeriveCRA(password Secret, salt string, iterations, keyLength int) (*CRACredential, error) {
	if salt == "" {
		return nil, errors.New("auth: a salted password needs a salt")
	}
	key, err := proof.DeriveCRA(password, salt, iterations, keyLength)
	return &CRACredential{Secret: key, Salt: salt, Iterations: iterations, KeyLength: keyLength}, err
}

// SCRAMCredential verifies the proofs of SCRAM. It cannot be used to log in without the
// password.
type SCRAMCredential struct {
	proof.SCRAMParameters
	StoredKey, ServerKey []byte
}

// DeriveSCRAM returns the credential of a password.
func DeriveSCRAM(password Secret, parameters proof.SCRAMParameters) (*SCRAMCredential, error) {
	salted, err := parameters.SaltedPassword(password)
	if err != nil {
		return nil, err
	}
	_, stored, server := proof.SCRAMKeys(salted)
	return &SCRAMCredential{SCRAMParameters: parameters, StoredKey: stored, ServerKey: server}, nil
}

// Claim is the identity that a client claims, before it has proved it.
type Claim struct {
	// Method is the authmethod.
	Method string
	// AuthID is HELLO.Details.authid. It is "" if the client sent none and the method
	// does not need one.
	AuthID string
	// Key is the public key that the client offers, under cryptosign.
	Key ed25519.PublicKey
	// Certificate is the client's certificate, under tls. The client has its private key,
	// and it is not expired. Verified says whether the listener has also verified it.
	Certificate *x509.Certificate
	Verified    bool
	// Cookie is the cookie's value, under cookie.
	Cookie Secret
	// Handshake has everything else. Principals must not call its Challenge.
	Handshake *router.Handshake
}

// Principals finds principals. Principal returns the principal of a claim, or nil if there
// is none. An error means that it could not find out. If the claim has an AuthID, the
// principal must have that authid, and the claimed Key, Certificate or Cookie if the
// method has one. It is called concurrently.
type Principals interface {
	Principal(ctx context.Context, claim *Claim) (*Principal, error)
}

// camouflaged are Principals with decoys for unknown ones.
type camouflaged interface {
	Principals
	decoy(claim *Claim) *Principal
}

// withDecoys returns principals with decoys: their own ones, or ones that imitate the
// principals that they return.
func withDecoys(principals Principals) camouflaged {
	if c, ok := principals.(camouflaged); ok {
		return c
	}
	return &learning{principals, newDecoys("static")}
}

// identify looks up a claim. If the principal is unknown or has no credentials for this
// method, identify returns a decoy, and the authenticator continues with that. So neither
// answers nor times reveal which principals exist. denied is the error to return if the
// proof is wrong, or the principal not known.
func identify(ctx context.Context, principals camouflaged, claim *Claim) (p *Principal, known bool, denied error, err error) {
	decoy := principals.decoy(claim) // in any case: the time must not reveal whether it is needed
	p, err = principals.Principal(ctx, claim)
	switch {
	case err != nil:
		return nil, false, nil, err
	case p == nil:
		return decoy, false, &router.Denied{Cause: unnamed(principals), Refusal: authenticationFailed}, nil
	case !p.credentials(claim.Method):
		return decoy, false, &router.Denied{Cause: "the principal has no credentials for this method", AuthID: p.AuthID, Refusal: authenticationFailed}, nil
	}
	return p, true, &router.Denied{Cause: "wrong proof: the secret, key or signature is not the principal's", AuthID: p.AuthID, Refusal: authenticationFailed}, nil
}

// unnamed says why principals do not have somebody.
func unnamed(principals Principals) string {
	if l, ok := principals.(*learning); ok {
		if a, ok := l.Principals.(*asked); ok {
			return "the procedure " + string(a.procedure) + " named no principal"
		}
	}
	return "no such principal"
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

// role returns the role that HELLO asks for, or else the principal's first role.
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

// identity returns the identity of a principal that has authenticated.
func (p *Principal) identity(h *router.Handshake) (*router.Identity, error) {
	role := p.role(h)
	if !slices.Contains(p.Roles, role) {
		return nil, &router.Denied{Cause: "the principal does not have the role that it asked for", AuthID: p.AuthID, Refusal: noSuchRole}
	}
	return &router.Identity{AuthID: p.AuthID, AuthRole: role, Provider: p.provider(), Extra: p.Extra}, nil
}

// ErrDenied says no to a client. An authenticator returns it, or an error that wraps it:
// the client learns only that authentication failed, and the operator's log has the whole
// text of the error as the cause.
//
//	return nil, fmt.Errorf("the account is locked: %w", auth.ErrDenied)
//
// Any other error means that the authenticator itself failed, which raises an alert.
var ErrDenied error = authenticationFailed

// A wrong proof and an unknown principal get the same refusal.
var (
	authenticationFailed = failed("authentication failed")
	noAuthID             = failed("this method needs HELLO.Details.authid")
	noSuchRole           = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNoSuchRole,
		Text: "this principal does not have the role in HELLO.Details.authrole"}
)

func failed(text string) *wamp.Refusal {
	return &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrAuthenticationFailed, Text: text}
}
