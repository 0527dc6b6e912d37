package auth

import (
	"context"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
)

// TLS authenticates by the client certificate of the connection (WAMP, "TLS
// Certificate Authentication"). The listener must ask for one (tls.Config's
// ClientAuth). RequireAnyClientCert is enough for principals that list certificates.
// Principals that list names need certificates that verify against ClientCAs.
func TLS(principals Principals) router.Authenticator { return &byTLS{principals} }

type byTLS struct{ principals Principals }

func (*byTLS) Method() string { return "tls" }

func (a *byTLS) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	claim := &Claim{Method: a.Method(), AuthID: h.Hello.Details.AuthID, Handshake: h}
	if refusal := claim.certify(); refusal != nil {
		return nil, refusal
	}
	p, err := a.principals.Principal(ctx, claim)
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, &router.Denied{Cause: "no principal has this certificate, or a name in it that can be believed", Refusal: authenticationFailed}
	}
	return p.identity(h)
}

// certify adds the connection's client certificate to the claim. It checks the period of
// validity, because a listener that accepts any certificate does not.
func (c *Claim) certify() error {
	state := c.Handshake.Connection.TLS
	if state == nil || len(state.PeerCertificates) == 0 {
		return noCertificate
	}
	c.Certificate, c.Verified = state.PeerCertificates[0], len(state.VerifiedChains) > 0
	if now := time.Now(); now.Before(c.Certificate.NotBefore) || now.After(c.Certificate.NotAfter) {
		return &router.Denied{Cause: "the client certificate has expired, or is not valid yet", Refusal: authenticationFailed}
	}
	return nil
}

var noCertificate = failed("the connection has no client certificate")
