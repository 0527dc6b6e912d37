// Package answer implements the client's side of WAMP's authentication methods. A method
// states the identity in HELLO, answers the router's CHALLENGE, and verifies the router
// by its WELCOME. Package auth implements the router's side.
package answer

import (
	"context"
	"errors"
	"maps"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Method is one authentication method, with the client's credentials for it. It may be
// used concurrently, for any number of handshakes.
type Method interface {
	// Method is the authmethod.
	Method() string
	// Start starts a handshake: it adds the details that the method needs to
	// HELLO.Details, except authmethods, and returns the rest of the handshake.
	Start(d *wamp.HelloDetails) Handshake
}

// Handshake is a method's part of one handshake.
type Handshake interface {
	// Respond answers a CHALLENGE for the method on the connection that info describes.
	// It fails for a challenge that an honest router would not send: the client must
	// then send ABORT.
	Respond(ctx context.Context, c *wamp.Challenge, info *transport.Info) (signature string, extra map[string]any, err error)
	// VerifyRouter checks WELCOME.Details. If it fails, the router has not proved its
	// identity: the client must leave the session.
	VerifyRouter(d *wamp.WelcomeDetails) error
}

// Secret is a password, ticket or key that never prints itself.
type Secret = proof.Secret

// NewSecret returns text as a Secret; "" is the zero Secret.
func NewSecret(text string) Secret { return proof.NewSecret(text) }

// SecretFromFile reads a secret from a file, without the line end after the last line. An
// empty file is an error.
func SecretFromFile(name string) (Secret, error) { return proof.SecretFromFile(name) }

// SecretFromEnv reads a secret from an environment variable, which must not be empty.
func SecretFromEnv(name string) (Secret, error) { return proof.SecretFromEnv(name) }

// Anonymous asks for a session without an identity.
func Anonymous() Method { return withoutChallenge("anonymous") }

// TLS relies on the client certificate of the connection. authID may be "".
func TLS(authID string) Method {
	return withAuthID{authID, withoutChallenge("tls")}
}

// Cookie relies on the cookie sent in the WebSocket handshake.
func Cookie() Method { return withoutChallenge("cookie") }

// withoutChallenge is a method without a CHALLENGE.
type withoutChallenge string

func (s withoutChallenge) Method() string { return string(s) }

func (withoutChallenge) Start(*wamp.HelloDetails) Handshake { return noChallenge{} }

type noChallenge struct{ noRouterProof }

func (noChallenge) Respond(context.Context, *wamp.Challenge, *transport.Info) (string, map[string]any, error) {
	return "", nil, errChallenge
}

// noRouterProof is embedded by methods in which the router does not prove its identity.
type noRouterProof struct{}

func (noRouterProof) VerifyRouter(*wamp.WelcomeDetails) error { return nil }

// withAuthID adds an authid to a method.
type withAuthID struct {
	authID string
	method
}

type method = Method

func (n withAuthID) Start(d *wamp.HelloDetails) Handshake {
	if n.authID != "" {
		d.AuthID = n.authID
	}
	return n.method.Start(d)
}

// Ticket presents a ticket (WAMP, "Ticket-based Authentication"). The ticket is sent as it
// is: use it over TLS only.
func Ticket(authID string, ticket Secret) Method {
	return withAuthID{authID, ticketMethod{ticket: ticket}}
}

type ticketMethod struct {
	noRouterProof
	ticket Secret
}

func (ticketMethod) Method() string { return "ticket" }

func (t ticketMethod) Start(*wamp.HelloDetails) Handshake { return t }

func (t ticketMethod) Respond(context.Context, *wamp.Challenge, *transport.Info) (string, map[string]any, error) {
	return t.ticket.Reveal(), nil, nil
}

// CRA signs with a shared secret, which is salted if the router's challenge has a salt
// (WAMP, "Challenge Response Authentication").
func CRA(authID string, secret Secret) Method { return withAuthID{authID, craMethod{secret: secret}} }

type craMethod struct {
	noRouterProof
	secret Secret
}

func (craMethod) Method() string { return "wampcra" }

func (a craMethod) Start(*wamp.HelloDetails) Handshake { return a }

func (a craMethod) Respond(_ context.Context, c *wamp.Challenge, _ *transport.Info) (string, map[string]any, error) {
	challenge, ok := c.Extra["challenge"].(string)
	if !ok {
		return "", nil, errChallenge
	}
	key := a.secret
	if salt, salted := c.Extra["salt"]; salted && salt != nil {
		text, ok := salt.(string)
		iterations, ok1 := proof.Integer(c.Extra["iterations"])
		length, ok2 := proof.Integer(c.Extra["keylen"])
		if !ok || !ok1 || !ok2 {
			return "", nil, errChallenge
		}
		var err error
		if key, err = proof.DeriveCRA(a.secret, text, iterations, length); err != nil {
			return "", nil, err
		}
	}
	return proof.CRASignature(key, challenge), nil, nil
}

var errChallenge = errors.New("the router's challenge does not have the format of this method")

// addExtra adds entries to HELLO.Details.authextra, in a copy.
func addExtra(d *wamp.HelloDetails, entries map[string]any) {
	extra := maps.Clone(d.AuthExtra)
	if extra == nil {
		extra = map[string]any{}
	}
	maps.Copy(extra, entries)
	d.AuthExtra = extra
}
