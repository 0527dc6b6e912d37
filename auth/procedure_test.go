package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/client"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// callee is a Caller with one procedure behind it.
type callee struct {
	procedure func(args []any) (any, error)
	calls     [][]any
}

func (c *callee) Call(_ context.Context, procedure wamp.URI, args []any, _ map[string]any) ([]any, map[string]any, error) {
	if procedure != "com.example.ask" {
		return nil, nil, errors.New("no such procedure")
	}
	c.calls = append(c.calls, args)
	result, err := c.procedure(args)
	return []any{result}, nil, err
}

func TestProcedureAuthenticates(t *testing.T) {
	scram := must(DeriveSCRAM(NewSecret(password), autobahn))
	salted := must(DeriveCRA(NewSecret(password), "salt123", 1000, 32))
	known := map[string]map[string]any{
		"cra":    {"role": "user", "secret": password},
		"salted": {"role": "user", "secret": salted.Secret.Reveal(), "salt": "salt123", "iterations": uint64(1000), "keylen": int64(32)},
		"scram": {"role": "user", "kdf": scram.KDF, "iterations": int64(scram.Iterations), "memory": float64(scram.Memory),
			"salt": hex.EncodeToString(scram.Salt), "stored-key": hex.EncodeToString(scram.StoredKey), "server-key": hex.EncodeToString(scram.ServerKey)},
		"joe": {"role": "user", "authid": "joseph", "pubkey": hex.EncodeToString(joeKey[32:]), "extra": map[string]any{"team": "blue"}},
	}
	c := &callee{procedure: func(args []any) (any, error) {
		details := args[2].(map[string]any)
		if details["authmethod"] == "ticket" {
			if args[1] == "ticket" && details["ticket"] == password {
				return "user", nil
			}
			return nil, errors.New("com.example.no")
		}
		if principal, ok := known[args[1].(string)]; ok {
			return maps.Clone(principal), nil
		}
		return nil, errors.New("com.example.unknown")
	}}
	principals := ProcedurePrincipals(c, "com.example.ask")
	for _, m := range []struct {
		a            router.Authenticator
		right, wrong answer.Method
		authID       string
	}{
		{Procedure("ticket", c, "com.example.ask"), answer.Ticket("ticket", NewSecret(password)), answer.Ticket("ticket", NewSecret("x")), "ticket"},
		{CRA(principals), answer.CRA("cra", NewSecret(password)), answer.CRA("cra", NewSecret("x")), "cra"},
		{CRA(principals), answer.CRA("salted", NewSecret(password)), answer.CRA("nobody", NewSecret(password)), "salted"},
		{AutobahnSCRAM(principals), answer.AutobahnSCRAM("scram", NewSecret(password)), answer.AutobahnSCRAM("scram", NewSecret("x")), "scram"},
		{Cryptosign(principals), answer.Cryptosign("joe", joeKey, ""), answer.Cryptosign("joe", evesKey, ""), "joseph"},
	} {
		identity, err := attempt(t, m.a, m.right, plain(), nil)
		if err != nil || identity.AuthID != m.authID || identity.AuthRole != "user" || identity.Provider != "dynamic" {
			t.Errorf("%s: %+v, %v", m.a.Method(), identity, err)
		}
		if identity, err := attempt(t, m.a, m.wrong, plain(), nil); err == nil {
			t.Errorf("%s: let in as %+v", m.a.Method(), identity)
		}
	}
	for _, args := range c.calls {
		details := args[2].(map[string]any)
		if args[0] != "realm1" || details["session"] != uint64(3251278072152162) || details["transport"] == nil {
			t.Errorf("called with %v", args)
		}
	}
}

func TestProcedureReturnsNonsense(t *testing.T) {
	for _, result := range []any{nil, "", 5, []any{"user"}, map[string]any{}, map[string]any{"role": 5},
		map[string]any{"role": "user"}, // no secret
		map[string]any{"role": "user", "secret": password, "iterations": "many"}} {
		c := &callee{procedure: func([]any) (any, error) { return result, nil }}
		_, err := attempt(t, CRA(ProcedurePrincipals(c, "com.example.ask")), answer.CRA("cra", NewSecret(password)), plain(), nil)
		refusedWith(t, err, wamp.ErrAuthenticationFailed)
	}
	c := &callee{procedure: func([]any) (any, error) { return nil, nil }}
	if identity, err := attempt(t, Procedure("anonymous", c, "com.example.ask"), answer.Anonymous(), plain(), nil); err == nil {
		t.Errorf("let in as %+v", identity)
	}
}

// A procedure that goes by the authid, as it may where the method is to have looked at
// the certificate, isn't asked about a client that has none, or one that is over.
func TestProcedureIsNotAskedWithoutACertificate(t *testing.T) {
	c := &callee{procedure: func([]any) (any, error) { return "user", nil }}
	a := Procedure("tls", c, "com.example.ask")
	good := certificate(t, x509.Certificate{})
	expired := certificate(t, x509.Certificate{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	for name, over := range map[string]link{
		"without TLS":         plain(),
		"without certificate": overTLS(t, tls.VersionTLS13, tls.Certificate{}, tls.RequestClientCert),
		"expired":             overTLS(t, tls.VersionTLS13, expired, tls.RequireAnyClientCert),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := attempt(t, a, answer.TLS("joe"), over, nil)
			refusedWith(t, err, wamp.ErrAuthenticationFailed)
		})
	}
	if len(c.calls) != 0 {
		t.Errorf("asked %v", c.calls)
	}
	identity, err := attempt(t, a, answer.TLS("joe"), overTLS(t, tls.VersionTLS13, good, tls.RequireAnyClientCert), nil)
	if err != nil || identity.AuthID != "joe" {
		t.Errorf("%+v, %v", identity, err)
	}
}

// An authid that can't be read doesn't make the client whom it claims to be.
func TestProcedureReturnsNoString(t *testing.T) {
	c := &callee{procedure: func([]any) (any, error) { return map[string]any{"role": "user", "authid": 5}, nil }}
	if identity, err := attempt(t, Procedure("ticket", c, "com.example.ask"), answer.Ticket("joe", NewSecret(password)), plain(), nil); !errors.Is(err, errAuthIDForm) {
		t.Errorf("%+v, %v", identity, err)
	}
}

// A procedure that says no with an error is a failed authentication like any other
// to whoever counts them; what the router itself says of the call is for the log.
func TestProcedureDenies(t *testing.T) {
	for uri, told := range map[wamp.URI]wamp.URI{"com.example.no": "com.example.no", wamp.ErrNoSuchProcedure: ""} {
		c := &callee{procedure: func([]any) (any, error) {
			return nil, &wamp.Refusal{Reason: wamp.ReasonInterceptor, URI: uri, Text: "what the callee said"}
		}}
		_, err := attempt(t, Procedure("ticket", c, "com.example.ask"), answer.Ticket("ticket", NewSecret(password)), plain(), nil)
		var refusal *wamp.Refusal
		switch {
		case err == nil:
			t.Errorf("%s: let in", uri)
		case told == "":
			if errors.As(err, &refusal) {
				t.Errorf("%s: the client is told %v", uri, refusal)
			}
		case !errors.As(err, &refusal) || refusal.URI != told || refusal.Reason != wamp.ReasonUnauthorized || refusal.Text != "authentication failed":
			t.Errorf("%s: %v", uri, err)
		}
	}
}

// For cryptosign a procedure has to say whose key is right: one that was written
// for another method, and looks at authids only, lets nobody in.
func TestProcedureMustNameTheKey(t *testing.T) {
	key := hex.EncodeToString(joeKey[32:])
	for _, c := range []struct {
		name   string
		result any
		in     bool
		failed bool // and not only a no
	}{
		{"the key", map[string]any{"role": "user", "authid": "joe", "pubkey": key}, true, false},
		{"a role only", "user", false, true},
		{"a dict without it", map[string]any{"role": "user", "authid": "joe"}, false, true},
		{"none", map[string]any{"role": "user", "pubkey": nil}, false, true},
		{"an empty one", map[string]any{"role": "user", "pubkey": ""}, false, true},
		{"half of it", map[string]any{"role": "user", "pubkey": key[:32]}, false, true},
		{"no hex", map[string]any{"role": "user", "pubkey": "z" + key[1:]}, false, true},
		{"another's", map[string]any{"role": "user", "pubkey": hex.EncodeToString(evesKey[32:])}, false, false},
	} {
		for _, a := range []func(*callee) router.Authenticator{
			func(q *callee) router.Authenticator { return Cryptosign(ProcedurePrincipals(q, "com.example.ask")) },
			func(q *callee) router.Authenticator { return Procedure("cryptosign", q, "com.example.ask") },
		} {
			q := &callee{procedure: func([]any) (any, error) { return c.result, nil }}
			log := new(failures)
			_, err := overRouter(t, a(q), answer.Cryptosign("joe", joeKey, ""), log)
			if (err == nil) != c.in || (log.text() != "") != c.failed {
				t.Errorf("%s: %v, log %q", c.name, err, log.text())
			}
		}
	}
}

// A procedure that is missing, fails, makes no sense or hangs is told to the
// operator, and the client gets the same challenge and refusal as from one that
// says no.
func TestProcedureFailures(t *testing.T) {
	refusal := func(uri wamp.URI) error { return &wamp.Refusal{URI: uri, Text: "no"} }
	methods := map[string]answer.Method{
		"wampcra": answer.CRA("joe", NewSecret(password)), "wamp-scram": answer.SCRAM("joe", NewSecret(password), ""),
		"scram": answer.AutobahnSCRAM("joe", NewSecret(password)), "cryptosign": answer.Cryptosign("joe", joeKey, ""),
	}
	for method, by := range methods {
		for _, c := range []struct {
			name   string
			result any
			err    error
			told   string
		}{
			{"says no", nil, refusal("com.example.no"), ""},
			{"says no as WAMP does", nil, refusal(wamp.ErrNoSuchPrincipal), ""},
			{"is missing", nil, refusal(wamp.ErrNoSuchProcedure), string(wamp.ErrNoSuchProcedure)},
			{"throws", nil, refusal("wamp.error.runtime_error"), "runtime_error"},
			{"can't be asked", nil, errors.New("the router is closed"), "the router is closed"},
			{"returns nothing", nil, nil, "neither a role nor a dict"},
			{"returns no credential", map[string]any{"role": "user"}, nil, "the procedure "},
		} {
			q := &callee{procedure: func([]any) (any, error) { return c.result, c.err }}
			log := new(failures)
			_, err := overRouter(t, Procedure(method, q, "com.example.ask"), by, log)
			var aborted *client.Error
			if !errors.As(err, &aborted) || aborted.URI != wamp.ErrAuthenticationFailed || !log.challenged {
				t.Errorf("%s, %s: the client sees %v", method, c.name, err)
			}
			if got := log.text(); (got != "") != (c.told != "") || !strings.Contains(got, c.told) ||
				c.told != "" && !strings.Contains(got, "com.example.ask") {
				t.Errorf("%s, %s: the operator sees %q", method, c.name, got)
			}
		}
	}
}

// hanging is a Caller whose procedure never answers.
type hanging struct{}

func (hanging) Call(ctx context.Context, _ wamp.URI, _ []any, _ map[string]any) ([]any, map[string]any, error) {
	<-ctx.Done()
	return nil, nil, ctx.Err()
}

func TestProcedureHangs(t *testing.T) {
	for _, by := range []answer.Method{answer.CRA("joe", NewSecret(password)), answer.Ticket("joe", NewSecret(password))} {
		log := &failures{hello: 50 * time.Millisecond}
		_, err := overRouter(t, Procedure(by.Method(), hanging{}, "com.example.ask"), by, log)
		var aborted *client.Error
		if !errors.As(err, &aborted) || aborted.URI != wamp.ErrAuthenticationFailed {
			t.Errorf("%s: the client sees %v", by.Method(), err)
		}
		if got := log.text(); !strings.Contains(got, "com.example.ask: context deadline exceeded") {
			t.Errorf("%s: the operator sees %q", by.Method(), got)
		}
	}
}

func TestProcedureAuthorizes(t *testing.T) {
	c := &callee{}
	a := NewProcedureAuthorizer(c, "com.example.ask", AuthorizerOptions{})
	now := time.Unix(0, 0)
	a.decisions.now = func() time.Time { return now }
	who := &wamp.Peer{Realm: "realm1", Session: 7, AuthID: "joe", AuthRole: "user"}
	ask := func(uri wamp.URI, match wamp.Match) (router.Decision, error) {
		return a.Authorize(t.Context(), who, router.ActionSubscribe, uri, match)
	}
	for _, r := range []struct {
		result any
		want   router.Decision
		fails  bool
	}{
		{true, router.Decision{Allow: true}, false},
		{false, router.Decision{}, false},
		{map[string]any{"allow": true, "disclose": true}, router.Decision{Allow: true, Disclose: true}, false},
		{map[string]any{"allow": true, "explicit": true}, router.Decision{Allow: true, Explicit: true}, false},
		{map[string]any{"allow": false, "disclose": true, "explicit": true}, router.Decision{}, false},
		{map[string]any{"disclose": true}, router.Decision{}, true},
		{"yes", router.Decision{}, true},
		{nil, router.Decision{}, true},
		{1, router.Decision{}, true},
	} {
		c.procedure = func([]any) (any, error) { return r.result, nil }
		if d, err := ask("com.app", wamp.MatchPrefix); d != r.want || (err != nil) != r.fails {
			t.Errorf("%v: %+v, %v", r.result, d, err)
		}
	}
	args := c.calls[0]
	session := args[0].(map[string]any)
	if session["authid"] != "joe" || session["session"] != uint64(7) || args[1] != "com.app" || args[2] != "subscribe" ||
		!reflect.DeepEqual(args[3], map[string]any{"match": "prefix"}) {
		t.Errorf("called with %v", args)
	}
	if len(c.calls) != 9 {
		t.Errorf("answers without cache were remembered: %d calls", len(c.calls))
	}

	c.procedure = func([]any) (any, error) { return nil, errors.New("gone") }
	if d, err := ask("com.app", wamp.MatchExact); err == nil || d.Allow {
		t.Errorf("a call that fails: %+v", d)
	}

	c.procedure = func([]any) (any, error) { return map[string]any{"allow": true, "cache": true}, nil }
	before := len(c.calls)
	for range 3 {
		if d, err := ask("com.app", wamp.MatchExact); err != nil || !d.Allow {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if n := len(c.calls) - before; n != 1 {
		t.Errorf("%d calls for an answer that may be remembered", n)
	}
	who = &wamp.Peer{Realm: "realm1", Session: 8}
	_, _ = ask("com.app", wamp.MatchExact)
	if n := len(c.calls) - before; n != 2 {
		t.Errorf("another session got the first one's answer")
	}
	now = now.Add(time.Minute)
	_, _ = ask("com.app", wamp.MatchExact)
	if n := len(c.calls) - before; n != 3 {
		t.Errorf("an answer was remembered for too long")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := newMemory(100, time.Minute)
	often := question{uri: "com.often"}
	m.put(often, router.Decision{Allow: true})
	for i := range 10_000 {
		m.put(question{uri: wamp.URI(fmt.Sprintf("com.seldom%d", i))}, router.Decision{Allow: true})
		if n := len(m.young) + len(m.old); n > 100 {
			t.Fatalf("%d answers are remembered", n)
		}
		if _, ok := m.get(often); !ok {
			t.Fatalf("what is asked for all the time was forgotten after %d others", i)
		}
	}
	if _, ok := m.get(question{uri: "com.seldom0"}); ok {
		t.Error("nothing was forgotten")
	}
}

func TestByRole(t *testing.T) {
	yes := AuthorizerFunc(func(context.Context, *wamp.Peer, router.Action, wamp.URI, wamp.Match) (router.Decision, error) {
		return router.Decision{Allow: true}, nil
	})
	a := ByRole{"user": yes}
	for role, want := range map[string]bool{"user": true, "guest": false} {
		if d, err := a.Authorize(t.Context(), &wamp.Peer{AuthRole: role}, router.ActionCall, "com.app", wamp.MatchExact); err != nil || d.Allow != want {
			t.Errorf("%s: %+v, %v", role, d, err)
		}
	}
}
