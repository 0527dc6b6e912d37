// Package answer is the client's side of WAMP's authentication methods: it says
// in HELLO who one claims to be, answers the router's CHALLENGE, and checks what
// WELCOME proves of the router. It knows nothing of routers.
package answer

import (
	"context"
	"errors"
	"maps"

	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Method is one authentication method, with what one needs to prove oneself by it.
// It may be used concurrently, for any number of handshakes.
type Method interface {
	// Method is the authmethod.
	Method() string
	// Begin begins a handshake: it adds what the method needs to HELLO.Details,
	// besides authmethods, and returns what answers for it from then on.
	Begin(d *wamp.HelloDetails) Answer
}

// Answer is a method's part in one handshake.
type Answer interface {
	// Answer answers a CHALLENGE for the method on the connection that info
	// describes. A challenge that an honest router would not send is an error:
	// send ABORT.
	Answer(ctx context.Context, c *wamp.Challenge, info *transport.Info) (signature string, extra map[string]any, err error)
	// Welcome checks WELCOME.Details. An error means that the router has not
	// proved what it should have: leave the session.
	Welcome(d *wamp.WelcomeDetails) error
}

// Secret is a password, ticket or key that never prints itself.
type Secret = proof.Secret

// Anonymous asks to be let in as nobody in particular.
func Anonymous() Method { return silent("anonymous") }

// TLS relies on the client certificate of the connection. authID may be "".
func TLS(authID string) Method {
	return named{authID, silent("tls")}
}

// Cookie relies on the cookie sent in the WebSocket handshake.
func Cookie() Method { return silent("cookie") }

// silent is a method without a challenge.
type silent string

func (s silent) Method() string { return string(s) }

func (silent) Begin(*wamp.HelloDetails) Answer { return unasked{} }

type unasked struct{ unproved }

func (unasked) Answer(context.Context, *wamp.Challenge, *transport.Info) (string, map[string]any, error) {
	return "", nil, errChallenge
}

// unproved is of the methods by which routers prove nothing of themselves.
type unproved struct{}

func (unproved) Welcome(*wamp.WelcomeDetails) error { return nil }

// named is a method by which one claims an authid.
type named struct {
	authID string
	method
}

type method = Method

func (n named) Begin(d *wamp.HelloDetails) Answer {
	if n.authID != "" {
		d.AuthID = n.authID
	}
	return n.method.Begin(d)
}

// Ticket presents a ticket (WAMP, "Ticket-based Authentication"). It crosses the
// wire as it is: use it over TLS.
func Ticket(authID string, ticket Secret) Method { return named{authID, ticketAnswer{ticket: ticket}} }

type ticketAnswer struct {
	unproved
	ticket Secret
}

func (ticketAnswer) Method() string { return "ticket" }

func (t ticketAnswer) Begin(*wamp.HelloDetails) Answer { return t }

func (t ticketAnswer) Answer(context.Context, *wamp.Challenge, *transport.Info) (string, map[string]any, error) {
	return t.ticket.Reveal(), nil, nil
}

// CRA signs with a shared secret, salted or not as the router says (WAMP,
// "Challenge Response Authentication").
func CRA(authID string, secret Secret) Method { return named{authID, craAnswer{secret: secret}} }

type craAnswer struct {
	unproved
	secret Secret
}

func (craAnswer) Method() string { return "wampcra" }

func (a craAnswer) Begin(*wamp.HelloDetails) Answer { return a }

func (a craAnswer) Answer(_ context.Context, c *wamp.Challenge, _ *transport.Info) (string, map[string]any, error) {
	challenge, ok := c.Extra["challenge"].(string)
	if !ok {
		return "", nil, errChallenge
	}
	key := a.secret
	if salt, salted := c.Extra["salt"]; salted && salt != nil {
		text, ok := salt.(string)
		iterations, ok1 := integer(c.Extra["iterations"])
		length, ok2 := integer(c.Extra["keylen"])
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

var errChallenge = errors.New("the router's challenge doesn't fit the method")

// addExtra adds entries to HELLO.Details.authextra, in a copy.
func addExtra(d *wamp.HelloDetails, entries map[string]any) {
	extra := maps.Clone(d.AuthExtra)
	if extra == nil {
		extra = map[string]any{}
	}
	maps.Copy(extra, entries)
	d.AuthExtra = extra
}

// integer returns a decoded number as an int, whichever type the codec chose.
func integer(v any) (int, bool) {
	var n int64
	switch v := v.(type) {
	case int:
		n = int64(v)
	case int64:
		n = v
	case uint64:
		if v > 1<<53 {
			return 0, false
		}
		n = int64(v)
	case float64:
		if n = int64(v); float64(n) != v {
			return 0, false
		}
	default:
		return 0, false
	}
	return int(n), n >= 0 && n <= 1<<31-1
}
