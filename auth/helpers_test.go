package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/auth/proof"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// link is a connection as both of its ends see it.
type link struct{ client, server *transport.Info }

func plain() link {
	info := &transport.Info{Transport: "memory", Network: "memory"}
	return link{info, info}
}

// attempt runs one handshake between an authenticator and an answer. change, if
// not nil, gets the AUTHENTICATE before the authenticator does.
func attempt(t *testing.T, a router.Authenticator, by answer.Method, over link, change func(*wamp.Authenticate)) (*router.Identity, error) {
	t.Helper()
	hello := &wamp.Hello{Realm: "realm1"}
	begun := by.Start(&hello.Details)
	identity, err := authenticate(t, a, hello, by.Method(), begun, over, change)
	if err != nil {
		return nil, err
	}
	return identity, begun.VerifyRouter(&wamp.WelcomeDetails{AuthExtra: identity.Extra})
}

func authenticate(t *testing.T, a router.Authenticator, hello *wamp.Hello, method string, by answer.Handshake, over link, change func(*wamp.Authenticate)) (*router.Identity, error) {
	t.Helper()
	if a.Method() != method {
		t.Fatalf("the authenticator serves %q, the answer is for %q", a.Method(), method)
	}
	hello.Details.AuthMethods = []string{method}
	return a.Authenticate(t.Context(), &router.Handshake{
		Hello: hello, Connection: over.server, Session: 3251278072152162,
		Challenge: func(extra map[string]any) (*wamp.Authenticate, error) {
			signature, back, err := by.Respond(t.Context(), &wamp.Challenge{AuthMethod: a.Method(), Extra: extra}, over.client)
			reply := &wamp.Authenticate{Signature: signature, Extra: back}
			if change != nil && err == nil {
				change(reply)
			}
			return reply, err
		},
	})
}

// refusedWith asserts that err is a refusal with that URI, and returns its text.
func refusedWith(t *testing.T, err error, uri wamp.URI) string {
	t.Helper()
	var refusal *wamp.Refusal
	if !errors.As(err, &refusal) || refusal.URI != uri {
		t.Fatalf("got %v, want a refusal with %s", err, uri)
	}
	return refusal.Text
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The principals of the tests: the authid says which method is theirs.
const password = "correct horse battery staple"

var (
	joeKey  = ed25519.NewKeyFromSeed([]byte("joe's seed: 32 bytes, no more..."))
	evesKey = ed25519.NewKeyFromSeed([]byte("eve's seed: 32 bytes, no less..."))

	argon    = proof.SCRAMParameters{KDF: proof.Argon2id, Salt: []byte("16 bytes of salt"), Iterations: 4, Memory: 1024}
	pbkdf    = proof.SCRAMParameters{KDF: proof.PBKDF2, Salt: []byte("16 bytes of salt"), Iterations: 4096}
	autobahn = proof.SCRAMParameters{KDF: proof.Argon2idText, Salt: []byte("16 bytes of salt"), Iterations: 16, Memory: 512}
)

func principals() *Static {
	secret := NewSecret(password)
	return must(NewStatic([]Principal{
		{AuthID: "ticket", Roles: []string{"user", "admin"}, Ticket: secret, Extra: map[string]any{"team": "blue"}},
		{AuthID: "hashed", Roles: []string{"user"}, TicketHash: HashTicket(secret)},
		{AuthID: "cra", Roles: []string{"user", "admin"}, CRA: &CRACredential{Secret: secret}},
		{AuthID: "salted", Roles: []string{"user"}, CRA: must(DeriveCRA(secret, "salt123", 1000, 32))},
		{AuthID: "argon2", Roles: []string{"user"}, SCRAM: must(DeriveSCRAM(secret, argon)), Extra: map[string]any{"team": "blue"}},
		{AuthID: "pbkdf2,=", Roles: []string{"user"}, SCRAM: must(DeriveSCRAM(secret, pbkdf))},
		{AuthID: "autobahn", Roles: []string{"user"}, SCRAM: must(DeriveSCRAM(secret, autobahn))},
		{AuthID: "joe", Roles: []string{"user"}, Keys: []ed25519.PublicKey{joeKey.Public().(ed25519.PublicKey)}},
	}))
}

// certificate returns a self-signed certificate for a client or for a server.
func certificate(t *testing.T, template x509.Certificate) tls.Certificate {
	t.Helper()
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template.SerialNumber = big.NewInt(1)
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	der := must(x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: must(x509.ParseCertificate(der))}
}

// overTLS makes a TLS connection of one version and returns what its ends know.
func overTLS(t *testing.T, version uint16, client tls.Certificate, ask tls.ClientAuthType) link {
	t.Helper()
	serverCertificate := certificate(t, x509.Certificate{Subject: pkix.Name{CommonName: "router"}, DNSNames: []string{"router"}})
	known := x509.NewCertPool()
	known.AddCert(serverCertificate.Leaf)
	clients := x509.NewCertPool()
	if client.Leaf != nil {
		clients.AddCert(client.Leaf)
	}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	server := tls.Server(far, &tls.Config{
		Certificates: []tls.Certificate{serverCertificate}, MinVersion: version, MaxVersion: version,
		ClientAuth: ask, ClientCAs: clients, SessionTicketsDisabled: true,
	})
	config := &tls.Config{RootCAs: known, ServerName: "router", MinVersion: version, MaxVersion: version}
	if client.Leaf != nil {
		config.Certificates = []tls.Certificate{client}
	}
	end := tls.Client(near, config)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(ctx) }()
	if err := errors.Join(end.HandshakeContext(ctx), <-done); err != nil {
		t.Fatal(err)
	}
	a, b := end.ConnectionState(), server.ConnectionState()
	return link{
		&transport.Info{Transport: "rawsocket", Network: "tls", TLS: &a},
		&transport.Info{Transport: "rawsocket", Network: "tls", TLS: &b},
	}
}
