package auth

import (
	"context"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
)

// RequireChannelBinding is a, which SCRAM or Cryptosign has made, for clients that
// bind their proof to the TLS connection: all others are refused before they show
// one. With any other authenticator, AutobahnSCRAM among them, nobody gets in.
//
// The TLS connection has to end at the router: behind a proxy that ends it nobody
// gets in either. See Cryptosign for what its binding is worth.
func RequireChannelBinding(a router.Authenticator) router.Authenticator { return &bound{a} }

type bound struct{ router.Authenticator }

func (b *bound) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	binds := false
	switch a := b.Authenticator.(type) {
	case *scram:
		binds = !a.autobahn
	case *cryptosign:
		binds = true
	}
	// With that in HELLO, both authenticators accept no proof without it.
	binding, _ := h.Hello.Details.AuthExtra["channel_binding"].(string)
	if _, ok := proof.Binding(binding, h.Connection.TLS); !ok || !binds {
		return nil, bindingRequired
	}
	return b.Authenticator.Authenticate(ctx, h)
}

var bindingRequired = failed("this realm requires a channel binding: HELLO.Details.authextra.channel_binding must name one that the connection has")
