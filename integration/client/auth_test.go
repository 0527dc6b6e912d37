package client

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const (
	rightSecret, wrongSecret = "a-sharp-red-pencil", "a-blunt-red-pencil"
	rightSeed                = "00000000000000000000000000000000000000000000000000000000000000aa"
	wrongSeed                = "00000000000000000000000000000000000000000000000000000000000000bb"
)

// principals is the part of a configuration that says who may log in, and how:
// Joe by everything, in the one way that a method has; Ann in the other. Realm2
// lets nobody in who is anonymous.
var principals = fmt.Sprintf(`
realms:
  - name: realm1
    anonymous: {role: guest}
    auth: &auth {ticket: {}, wampcra: {}, scram: {}, cryptosign: {}, tls: {}, cookie: {name: login}}
    principals: &principals
      - authid: joe
        role: user
        ticket: {value: %[1]s}
        wampcra: {secret: {value: %[1]s}}
        scram: {password: {value: %[1]s}, kdf: pbkdf2, iterations: 4096, salt: c0ffee00c0ffee00}
        cryptosign: [%[2]s]
        tls: {names: [joe]}
        cookies: [{value: %[1]s}]
      - authid: ann
        role: user
        ticket: {hash: %[3]q}
        wampcra: {password: {value: %[1]s}, salt: pepper, iterations: 1000}
        scram: {password: {value: %[1]s}, kdf: argon2id13, iterations: 1, memory: 4096, salt: c0ffee00c0ffee00}
      - authid: autobahn
        role: user
        scram: {password: {value: %[1]s}, kdf: argon2id-13, iterations: 1, memory: 4096, salt: c0ffee00c0ffee00}
    roles:
      - {name: guest, permissions: [{uri: "", match: prefix, allow: [publish]}]}
      - {name: user, permissions: [{uri: "", match: prefix, allow: [publish, subscribe, call, register]}]}
  - name: realm2
    auth: {ticket: {}}
    principals: [{authid: joe, role: user, ticket: {value: %[1]s}}]
    roles: [{name: user, permissions: []}]
`, rightSecret, hex.EncodeToString(signer(rightSeed).Public().(ed25519.PublicKey)), auth.HashTicket(auth.NewSecret(rightSecret)))

func signer(seed string) ed25519.PrivateKey {
	b, err := hex.DecodeString(seed)
	if err != nil {
		panic(err)
	}
	return ed25519.NewKeyFromSeed(b)
}

// login is a way to log in.
type login struct {
	method, authID string
	// with changes the configuration of a client to log in by a secret, of which
	// there are a right and a wrong one.
	with         func(c *client.Config, secret string)
	right, wrong string
	over         []string // "websocket", "rawsocket"; nil is both
	secure       bool     // only over TLS
}

// by is a method that needs no more than its answer.
func by(a func(secret string) answer.Method) func(*client.Config, string) {
	return func(c *client.Config, secret string) { c.Auth = append(c.Auth, a(secret)) }
}

func password(authID string, a func(string, answer.Secret) answer.Method) func(*client.Config, string) {
	return by(func(secret string) answer.Method { return a(authID, proof.NewSecret(secret)) })
}

func scram(binding string) func(string, answer.Secret) answer.Method {
	return func(authID string, secret answer.Secret) answer.Method { return answer.SCRAM(authID, secret, binding) }
}

func cryptosign(authID, binding string) func(*client.Config, string) {
	return by(func(seed string) answer.Method { return answer.Cryptosign(authID, signer(seed), binding) })
}

// tlsVersion makes a client speak that version at most.
func tlsVersion(version uint16, with func(*client.Config, string)) func(*client.Config, string) {
	return func(c *client.Config, secret string) {
		c.TLS.MaxVersion = version
		with(c, secret)
	}
}

func logins(certificates map[string]tls.Certificate) map[string]login {
	return map[string]login{
		"ticket":          {method: "ticket", authID: "joe", with: password("joe", answer.Ticket)},
		"ticket, hashed":  {method: "ticket", authID: "ann", with: password("ann", answer.Ticket)},
		"wampcra":         {method: "wampcra", authID: "joe", with: password("joe", answer.CRA)},
		"wampcra, salted": {method: "wampcra", authID: "ann", with: password("ann", answer.CRA)},
		"scram, pbkdf2":   {method: "wamp-scram", authID: "joe", with: password("joe", scram(""))},
		"scram, argon2id": {method: "wamp-scram", authID: "ann", with: password("ann", scram(""))},
		"scram, bound":    {method: "wamp-scram", authID: "joe", with: password("joe", scram(proof.TLSExporter)), secure: true},
		"scram, tls-unique": {method: "wamp-scram", authID: "joe", secure: true,
			with: tlsVersion(tls.VersionTLS12, password("joe", scram(proof.TLSUnique)))},
		"scram, Autobahn's":    {method: "scram", authID: "autobahn", with: password("autobahn", answer.AutobahnSCRAM)},
		"cryptosign":           {method: "cryptosign", authID: "joe", with: cryptosign("joe", ""), right: rightSeed, wrong: wrongSeed},
		"cryptosign, no name":  {method: "cryptosign", authID: "joe", with: cryptosign("", ""), right: rightSeed, wrong: wrongSeed},
		"cryptosign, exporter": {method: "cryptosign", authID: "joe", with: cryptosign("joe", proof.TLSExporter), right: rightSeed, wrong: wrongSeed, secure: true},
		"cryptosign, tls-unique": {method: "cryptosign", authID: "joe", right: rightSeed, wrong: wrongSeed, secure: true,
			with: tlsVersion(tls.VersionTLS12, cryptosign("joe", proof.TLSUnique))},
		"tls": {method: "tls", authID: "joe", right: "joe", wrong: "eve", secure: true, with: withCertificate("", certificates)},
		"tls, named": {method: "tls", authID: "joe", right: "joe", wrong: "no certificate", secure: true,
			with: withCertificate("joe", certificates)},
		"cookie": {method: "cookie", authID: "joe", over: []string{"websocket"}, with: withCookie},
	}
}

func withCertificate(authID string, certificates map[string]tls.Certificate) func(*client.Config, string) {
	return func(c *client.Config, name string) {
		c.Auth = append(c.Auth, answer.TLS(authID))
		if cert, ok := certificates[name]; ok {
			c.TLS.Certificates = []tls.Certificate{cert}
		}
	}
}

func withCookie(c *client.Config, value string) {
	c.Auth = append(c.Auth, answer.Cookie())
	c.Header = http.Header{"Cookie": {"login=" + value}}
}

// house is a configured server with and without TLS.
type house struct {
	a        *routertest.Authority
	servers  map[bool]*routertest.Process // by whether they speak TLS
	couldTLS map[string]tls.Certificate
}

func newHouse(t *testing.T) *house {
	a := routertest.NewAuthority(t)
	return &house{a,
		map[bool]*routertest.Process{true: routertest.StartProcess(t, a.Listeners()+principals), false: routertest.StartProcess(t, routertest.Config+principals)},
		map[string]tls.Certificate{"joe": a.Issue("joe"), "eve": a.Issue("eve")},
	}
}

// at is the configuration of a client of the house.
func (h *house) at(over string, secure bool) client.Config {
	return client.Config{URL: h.servers[secure].URLs[over], Realm: routertest.Realm, Serializer: wamp.CBOR, TLS: h.a.Trust()}
}

// The client logs in by every method that the router has, over both wires, with
// and without TLS; a wrong secret is an *Error with the URI of the refusal.
func TestClientAuthenticates(t *testing.T) {
	h := newHouse(t)
	for name, l := range logins(h.couldTLS) {
		if l.right == "" {
			l.right, l.wrong = rightSecret, wrongSecret
		}
		if l.over == nil {
			l.over = []string{"websocket", "rawsocket"}
		}
		for _, over := range l.over {
			for _, secure := range []bool{false, true} {
				if l.secure && !secure {
					continue
				}
				t.Run(fmt.Sprintf("%s/%s/tls=%v", name, over, secure), func(t *testing.T) {
					c := h.at(over, secure)
					l.with(&c, l.right)
					s, err := client.Dial(routertest.Context(t), c)
					routertest.NoError(t, err)
					welcome, _ := s.Welcome()
					if welcome.AuthMethod != l.method || welcome.AuthID != l.authID || welcome.AuthRole != "user" {
						t.Errorf("%s as %s, role %s", welcome.AuthMethod, welcome.AuthID, welcome.AuthRole)
					}
					_, err = s.Subscribe(routertest.Context(t), "com.topic", func(context.Context, *client.Event) {}, client.SubscribeOptions{})
					routertest.NoError(t, err)
					routertest.NoError(t, s.Close())

					c = h.at(over, secure)
					l.with(&c, l.wrong)
					refused(t, c, wamp.ErrAuthenticationFailed)
				})
			}
		}
	}
}

// refused dials, which the router must refuse with that URI.
func refused(t *testing.T, c client.Config, uri wamp.URI) {
	t.Helper()
	s, err := client.Dial(routertest.Context(t), c)
	if err == nil {
		_ = s.Close()
	}
	var told *client.Error
	if !errors.Is(err, client.ErrURI(uri)) || !errors.As(err, &told) || told.URI != uri {
		t.Errorf("want %s, got %v", uri, err)
	}
}

// Nobody in particular is let in where that is allowed, and may do what guests may.
func TestClientIsAnonymous(t *testing.T) {
	h := newHouse(t)
	for _, over := range []string{"websocket", "rawsocket"} {
		for _, methods := range [][]client.Authenticator{nil, {answer.Anonymous()}} {
			c := h.at(over, false)
			c.Auth = methods
			s, err := client.Dial(routertest.Context(t), c)
			routertest.NoError(t, err)
			if welcome, _ := s.Welcome(); welcome.AuthMethod != "anonymous" || welcome.AuthRole != "guest" {
				t.Errorf("%s, role %s", welcome.AuthMethod, welcome.AuthRole)
			}
			_, err = s.Publish(routertest.Context(t), "com.topic", nil, nil, client.PublishOptions{Acknowledge: true})
			routertest.NoError(t, err)
			_, err = s.Call(routertest.Context(t), "com.procedure", nil, nil, client.CallOptions{})
			if !errors.Is(err, client.ErrURI(wamp.ErrNotAuthorized)) {
				t.Errorf("a guest calls: %v", err)
			}
			routertest.NoError(t, s.Close())
			c.Realm = "realm2"
			refused(t, c, wamp.ErrNoMatchingAuthMethod)
			c.Realm = "realm3"
			refused(t, c, wamp.ErrNoSuchRealm)
		}
	}
}

// Of several methods the router takes the client's first that it has; where
// that fails, the others are not tried.
func TestClientPrefersAMethod(t *testing.T) {
	h := newHouse(t)
	all := logins(h.couldTLS)
	joes := []string{"anonymous", "ticket", "wampcra", "scram, bound", "cryptosign, exporter", "tls, named", "cookie"}
	for i := range joes {
		order := slices.Concat(joes[i:], joes[:i])
		for range 2 {
			t.Run(strings.Join(order, ", then "), func(t *testing.T) {
				c := h.at("websocket", true)
				want := "anonymous"
				for j, name := range order {
					l, known := all[name]
					switch {
					case !known:
						c.Auth = append(c.Auth, answer.Anonymous())
						continue
					case l.right == "":
						l.right = rightSecret
					}
					if l.with(&c, l.right); j == 0 {
						want = l.method
					}
				}
				s, err := client.Dial(routertest.Context(t), c)
				routertest.NoError(t, err)
				defer s.Close()
				if welcome, _ := s.Welcome(); welcome.AuthMethod != want {
					t.Errorf("%s, not %s", welcome.AuthMethod, want)
				}
			})
			slices.Reverse(order[1:])
		}
	}
	c := h.at("rawsocket", false)
	c.Auth = []client.Authenticator{method{"telepathy"}, answer.CRA("joe", proof.NewSecret(rightSecret))}
	s, err := client.Dial(routertest.Context(t), c)
	routertest.NoError(t, err)
	if welcome, _ := s.Welcome(); welcome.AuthMethod != "wampcra" {
		t.Error(welcome.AuthMethod)
	}
	routertest.NoError(t, s.Close())
	c.Auth = []client.Authenticator{answer.CRA("joe", proof.NewSecret(wrongSecret)), answer.Ticket("joe", proof.NewSecret(rightSecret))}
	refused(t, c, wamp.ErrAuthenticationFailed)
	c.Auth = []client.Authenticator{method{"telepathy"}}
	refused(t, c, wamp.ErrNoMatchingAuthMethod)
}

// method is a method that the router has not.
type method struct{ name string }

func (m method) Method() string { return m.name }

func (m method) Start(*wamp.HelloDetails) answer.Handshake { return m }

func (method) Respond(context.Context, *wamp.Challenge, *transport.Info) (string, map[string]any, error) {
	panic("nobody asked for it")
}

func (method) VerifyRouter(*wamp.WelcomeDetails) error { return nil }

// A client that wants its proof bound to the connection gives none where the
// connection has no such binding.
func TestClientInsistsOnChannelBinding(t *testing.T) {
	h := newHouse(t)
	for _, c := range []struct {
		binding string
		secure  bool
	}{{proof.TLSExporter, false}, {proof.TLSUnique, true}} { // TLS 1.3 has no tls-unique
		for _, with := range []func(*client.Config, string){cryptosign("joe", c.binding), password("joe", scram(c.binding))} {
			config := h.at("websocket", c.secure)
			with(&config, rightSeed)
			refused(t, config, wamp.ErrAuthenticationFailed)
		}
	}
}
