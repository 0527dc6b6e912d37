package auth

import (
	"context"
	"fmt"
	"slices"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// KnownRoles returns a, but refuses sessions to which it gives a role that is not in
// roles: otherwise such a session would get no permissions and no reason. The failure is
// reported to the operator (router.Handshake.Failed). It keeps roles.
func KnownRoles(a router.Authenticator, roles []string) router.Authenticator {
	return &knownRoles{a, roles}
}

type knownRoles struct {
	router.Authenticator
	roles []string
}

func (k *knownRoles) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	identity, err := k.Authenticator.Authenticate(ctx, h)
	if err != nil || slices.Contains(k.roles, identity.AuthRole) {
		return identity, err
	}
	h.Failed(fmt.Errorf("it gave the role %q, which the realm does not have", identity.AuthRole))
	return nil, unknownRole
}

var unknownRole = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNoSuchRole,
	Text: "the realm does not have the role that this client was given"}
