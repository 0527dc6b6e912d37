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
//
// A page of another host in the same domain can set a cookie of the same name, and with a
// longer path the browser sends that one first: the user would be logged in as somebody
// else. So several cookies of the name with different values are refused. Browsers refuse
// such cookies if the name begins with "__Host-".
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
	cookies := (&http.Request{Header: h.Connection.Header}).CookiesNamed(a.name)
	if len(cookies) == 0 || cookies[0].Value == "" {
		return nil, noCookie
	}
	c := cookies[0]
	if slices.ContainsFunc(cookies, func(other *http.Cookie) bool { return other.Value != c.Value }) {
		return nil, severalCookies
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
	severalCookies = failed("the WebSocket handshake has several cookies of the configured name with different values")

	badOrigin = failed("pages of this origin may not use the cookie")
	noCookie  = failed("the WebSocket handshake has no cookie of the configured name")
)
