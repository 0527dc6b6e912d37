package auth

import (
	"context"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Func is an authenticator for method that asks f.
func Func(method string, f func(context.Context, *router.Handshake) (*router.Identity, error)) router.Authenticator {
	return &function{method, f}
}

type function struct {
	method string
	ask    func(context.Context, *router.Handshake) (*router.Identity, error)
}

func (f *function) Method() string { return f.method }

func (f *function) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	return f.ask(ctx, h)
}

// AuthorizerFunc is an authorizer that asks itself.
type AuthorizerFunc func(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error)

// Authorize implements router.Authorizer.
func (f AuthorizerFunc) Authorize(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	return f(ctx, who, action, uri, match)
}

// ByRole asks one authorizer for each role: permissions for most, say, and a
// procedure for some. A role that isn't there may do nothing.
type ByRole map[string]router.Authorizer

// Authorize implements router.Authorizer.
func (b ByRole) Authorize(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	a := b[who.AuthRole]
	if a == nil {
		return router.Decision{}, nil
	}
	return a.Authorize(ctx, who, action, uri, match)
}

// PrincipalsFunc are Principals that are asked by calling it.
type PrincipalsFunc func(ctx context.Context, claim *Claim) (*Principal, error)

// Principal implements Principals.
func (f PrincipalsFunc) Principal(ctx context.Context, claim *Claim) (*Principal, error) {
	return f(ctx, claim)
}
