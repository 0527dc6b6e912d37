package hostile

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// claim sends a HELLO for a ticket and waits for the CHALLENGE.
func claim(p *routertest.Peer, authID string) {
	p.T.Helper()
	h := &wamp.Hello{Realm: routertest.Realm}
	routertest.AllFeatures(h)
	h.Details.AuthMethods, h.Details.AuthID = []string{"ticket"}, authID
	p.Send(h)
	routertest.Expect[*wamp.Challenge](p)
}

// A client whose login is under way when its credential is taken away does not get in
// by it: an operator who then ends its sessions would not find this one.
func TestLoginAcrossAReload(t *testing.T) {
	config := func(principals ...auth.Principal) []router.RealmConfig {
		static, err := auth.NewStatic(principals)
		routertest.NoError(t, err)
		return []router.RealmConfig{{Name: routertest.Realm, Authenticators: []router.Authenticator{auth.Ticket(static)}}}
	}
	mallory := auth.Principal{AuthID: "mallory", Roles: []string{"user"}, Ticket: auth.NewSecret("a stolen ticket")}
	alice := auth.Principal{AuthID: "alice", Roles: []string{"user"}, Ticket: auth.NewSecret("another ticket")}
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) { c.Realms = config(mallory, alice) }))
	waiting := &routertest.Peer{T: t, Name: "mallory", Conn: w.Dial("rawsocket", wamp.JSON)}
	claim(waiting, "mallory")
	routertest.NoError(t, w.Router.Reload(router.Config{Realms: config(alice)}))
	waiting.Send(&wamp.Authenticate{Signature: "a stolen ticket"})
	waiting.ExpectAbort(wamp.ErrUnavailable)
	again := &routertest.Peer{T: t, Name: "alice", Conn: w.Dial("rawsocket", wamp.JSON)}
	claim(again, "alice")
	again.Send(&wamp.Authenticate{Signature: "another ticket"})
	routertest.Expect[*wamp.Welcome](again)
}

// Logins that wait for their procedure, as many as the router's own session may have
// calls in flight, don't keep the procedure that authorizes from answering; and questions
// that wait for that one don't keep anybody from logging in.
func TestLoginsAndPermissionsDoNotShareALimit(t *testing.T) {
	const calls = 5
	p := routertest.StartProcess(t, `
listeners: [{rawsocket: "127.0.0.1:0"}]
admin: 127.0.0.1:0
limits: {calls: 5}
realms:
  - name: realm1
    anonymous: {role: asked}
    auth:
      ticket: {procedure: com.example.authenticate}
      wampcra: {}
    principals:
      - {authid: backend, role: backend, wampcra: {secret: {value: backend's secret}}}
    roles:
      - {name: asked, authorizer: com.example.authorize}
      - {name: user, permissions: [{uri: "", match: prefix, allow: [publish]}]}
      - name: backend
        permissions: [{uri: com.example.authenticate, allow: [register]}, {uri: com.example.authorize, allow: [register]}]
`)
	serve := func(procedure wamp.URI) *routertest.Peer {
		b := dial(t, p, "backend")
		loginCRA(b, "backend", "backend's secret")
		b.Register(procedure, wamp.RegisterOptions{})
		return b
	}
	authenticator, authorizer := serve("com.example.authenticate"), serve("com.example.authorize")
	asked := routertest.JoinProcess(t, p, "asked", wamp.JSON)
	publish := func() {
		t.Helper()
		asked.Publish("com.topic", wamp.Attributes{}, asked.Clear())
		i := routertest.Expect[*wamp.Invocation](authorizer)
		authorizer.Send(&wamp.Yield{Request: i.Request, Payload: authorizer.Clear(true)})
		routertest.Expect[*wamp.Published](asked)
	}
	login := func() *routertest.Peer {
		t.Helper()
		c := dial(t, p, "client")
		claim(c, "alice")
		c.Send(&wamp.Authenticate{Signature: "a ticket"})
		return c
	}
	// Logins fill their limit: the next one fails at once.
	var waiting []*wamp.Invocation
	for range calls {
		login()
		waiting = append(waiting, routertest.Expect[*wamp.Invocation](authenticator))
	}
	login().ExpectAbort(wamp.ErrAuthenticationFailed)
	if n := p.Metric(`blindfold_authenticator_failures_total{realm="realm1"}`); n != 1 {
		t.Errorf("%v failures of the authenticator are counted, want 1: the operator has to learn of it", n)
	}
	publish()
	for _, i := range waiting {
		authenticator.Send(&wamp.Yield{Request: i.Request, Payload: authenticator.Clear("user")})
	}
	// Questions fill theirs: one session asks one at a time.
	for range calls {
		other := routertest.JoinProcess(t, p, "another", wamp.JSON)
		other.Publish("com.topic", wamp.Attributes{}, other.Clear())
		routertest.Expect[*wamp.Invocation](authorizer)
	}
	asked.ExpectError(asked.Publish("com.topic", wamp.Attributes{}, asked.Clear()), wamp.ErrAuthorizationFailed)
	client := login()
	i := routertest.Expect[*wamp.Invocation](authenticator)
	authenticator.Send(&wamp.Yield{Request: i.Request, Payload: authenticator.Clear("user")})
	routertest.Expect[*wamp.Welcome](client)
}

func dial(t *testing.T, p *routertest.Process, name string) *routertest.Peer {
	t.Helper()
	conn, err := transport.Dial(routertest.Context(t), p.URLs["rawsocket"], transport.DialOptions{})
	routertest.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &routertest.Peer{T: t, Name: name, Conn: conn}
}

func loginCRA(p *routertest.Peer, authID, secret string) {
	p.T.Helper()
	h := &wamp.Hello{Realm: routertest.Realm}
	routertest.AllFeatures(h)
	h.Details.AuthMethods, h.Details.AuthID = []string{"wampcra"}, authID
	p.Send(h)
	challenge := routertest.Expect[*wamp.Challenge](p)
	signature, _, err := answer.CRA(authID, auth.NewSecret(secret)).Start(&h.Details).Respond(context.Background(), challenge, nil)
	routertest.NoError(p.T, err)
	p.Send(&wamp.Authenticate{Signature: signature})
	routertest.Expect[*wamp.Welcome](p)
}
