package auth

import (
	"context"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Func returns an authenticator for method that calls f.
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

// AuthorizerFunc is a function that is an authorizer.
type AuthorizerFunc func(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error)

// Authorize implements router.Authorizer.
func (f AuthorizerFunc) Authorize(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	return f(ctx, who, action, uri, match)
}

// ByRole has an authorizer for each role: for example fixed permissions for most roles and
// a procedure for some. A role without an authorizer may do nothing.
type ByRole map[string]router.Authorizer

// Authorize implements router.Authorizer.
func (b ByRole) Authorize(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	a := b[who.AuthRole]
	if a == nil {
		return router.Decision{}, nil
	}
	return a.Authorize(ctx, who, action, uri, match)
}

// PrincipalsFunc is a function that implements Principals.
type PrincipalsFunc func(ctx context.Context, claim *Claim) (*Principal, error)

// Principal implements Principals.
func (f PrincipalsFunc) Principal(ctx context.Context, claim *Claim) (*Principal, error) {
	return f(ctx, claim)
}
