package auth

import (
	"context"
	"net/http"
	"slices"

	"github.com/blindfold-wamp/blindfold/router"
)

// Cookie authenticates by a cookie of the WebSocket handshake (WAMP,
// "Cookie-based Authentication"). The router does not issue the cookie. The web site
// under the same host name does, with Set-Cookie and the attributes Secure, HttpOnly and
// SameSite. Your implementation of Principals looks up the value in that site's session
// store.
//
// Browsers send cookies with connections that any page opens, so the page's origin must
// be among origins ("https://example.com"). A client that sends no Origin is not a
// browser; its cookie is checked without an origin.
func Cookie(name string, origins []string, principals Principals) router.Authenticator {
	return &cookie{name, origins, principals}
}

type cookie struct {
	name       string
	origins    []string
	principals Principals
}

func (*cookie) Method() string { return "cookie" }

func (a *cookie) Authenticate(ctx context.Context, h *router.Handshake) (*router.Identity, error) {
	if origin := h.Connection.Origin; origin != "" && !slices.Contains(a.origins, origin) {
		return nil, badOrigin
	}
	c, err := (&http.Request{Header: h.Connection.Header}).Cookie(a.name)
	if err != nil || c.Value == "" {
		return nil, noCookie
	}
	p, err := a.principals.Principal(ctx, &Claim{
		Method: a.Method(), AuthID: h.Hello.Details.AuthID, Handshake: h, Cookie: NewSecret(c.Value),
	})
	switch {
	case err != nil:
		return nil, err
	case p == nil:
		return nil, &router.Denied{Cause: "no principal has this cookie", Refusal: authenticationFailed}
	}
	return p.identity(h)
}

var (
	badOrigin = failed("pages of this origin may not use the cookie")
	noCookie  = failed("the WebSocket handshake has no cookie of the configured name")
)
