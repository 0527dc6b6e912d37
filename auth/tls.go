package auth

import (
	"context"

	"github.com/blindfold-wamp/blindfold/router"
)

// TLS authenticates by the client certificate of the connection (WAMP, "TLS
// Certificate Authentication"). The listener must ask for one (tls.Config's
// ClientAuth): RequireAnyClientCert is enough for principals that are known by
// certificate; those known by name need one that verifies against ClientCAs.
func TLS(principals Principals) router.Authenticator { return &byTLS{principals} }

type byTLS struct{ principals Principals }

func (*byTLS) Method() string { return "tls" }

func (a *byTLS) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	state := h.Connection.TLS
	if state == nil || len(state.PeerCertificates) == 0 {
		return nil, noCertificate
	}
	p, err := a.principals.Principal(ctx, &Claim{
		Method: a.Method(), AuthID: h.Hello.Details.AuthID, Handshake: h,
		Certificate: state.PeerCertificates[0], Verified: len(state.VerifiedChains) > 0,
	})
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, authenticationFailed
	}
	return p.identity(h)
}

var noCertificate = failed("the connection has no client certificate")
