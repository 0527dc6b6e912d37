package routertest

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// WithRealm changes the configuration of the world's realm.
func WithRealm(f func(*router.RealmConfig)) Option {
	return WithRouter(func(c *router.Config) { f(&c.Realms[0]) })
}

// ByRole is an authenticator that believes what HELLO says of authid and role.
type ByRole struct{}

func (ByRole) Method() string { return "role" }

func (ByRole) Authenticate(_ context.Context, h *router.Handshake) (*router.Identity, error) {
	return &router.Identity{AuthID: h.Hello.Details.AuthID, AuthRole: h.Hello.Details.AuthRole, Provider: "test"}, nil
}

// WithRoles lets peers choose their authid and role, see As. Only role admin may
// call the procedures that act on other sessions; all else is open to all.
func WithRoles(t testing.TB) Option {
	t.Helper()
	all := []router.Action{router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}
	everything := auth.Permission{URI: "", Match: wamp.MatchPrefix, Allow: all}
	permissions, err := auth.NewPermissions([]auth.Role{
		{Name: "anonymous", Permissions: []auth.Permission{everything}},
		{Name: "staff", Permissions: []auth.Permission{everything}},
		{Name: "admin", Permissions: []auth.Permission{everything,
			{URI: "wamp.", Match: wamp.MatchPrefix, Allow: []router.Action{router.ActionCall, router.ActionSubscribe}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return WithRealm(func(c *router.RealmConfig) {
		c.Authenticators = append(c.Authenticators, ByRole{})
		c.Authorizers = append(c.Authorizers, permissions)
	})
}

// As makes a peer join with an authid and a role, see WithRoles.
func As(authID, role string) func(*wamp.Hello) {
	return func(h *wamp.Hello) {
		h.Details.AuthMethods, h.Details.AuthID, h.Details.AuthRole = []string{"role"}, authID, role
	}
}
