package spec

import (
	"context"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/auth/answer"
	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/transport"
	"github.com/blindfold-wamp/blindfold/wamp"
)

const askingConfig = `
listeners: [{rawsocket: "127.0.0.1:0"}]
admin: 127.0.0.1:0
realms:
  - name: realm1
    anonymous: {role: anonymous}
    auth:
      ticket: {procedure: com.example.authenticate}
      wampcra: {}
    principals:
      - {authid: backend, role: backend, wampcra: {secret: {value: backend's secret}}}
    roles:
      - name: anonymous
        permissions:
          - {uri: "", match: prefix, allow: [publish, subscribe, call, register]}
      - name: admin
      - name: backend
        permissions:
          - {uri: "", match: prefix, allow: [publish, subscribe, call, register]}
          - {uri: com.example.authenticate, allow: [register]}
`

// Who may register everything can't put itself in the place of the authenticator: not
// before the genuine one is there, not by a pattern, and not by force. Nor can it ask
// the genuine one.
func TestReservedProcedures(t *testing.T) {
	p := routertest.StartProcess(t, askingConfig)
	const authenticate = "com.example.authenticate"
	mallory := routertest.JoinProcess(t, p, "mallory", wamp.JSON)
	register := func(from *routertest.Peer, o wamp.RegisterOptions, procedure wamp.URI) wamp.ID {
		id := from.NextID()
		from.Send(&wamp.Register{Request: id, Options: o, Procedure: procedure})
		return id
	}
	refused := func(force wamp.Flag) {
		t.Helper()
		mallory.ExpectError(register(mallory, wamp.RegisterOptions{ForceReregister: force}, authenticate), wamp.ErrNotAuthorized)
	}
	refused(wamp.Unset)
	for match, pattern := range map[string]wamp.URI{"prefix": "com.example", "wildcard": "com..authenticate"} {
		register(mallory, wamp.RegisterOptions{Match: match}, pattern)
		routertest.Expect[*wamp.Registered](mallory)
	}
	login := func(serve *routertest.Peer, role string) wamp.Message {
		t.Helper()
		alice := dial(t, p, "alice")
		h := &wamp.Hello{Realm: routertest.Realm}
		routertest.AllFeatures(h)
		h.Details.AuthMethods, h.Details.AuthID = []string{"ticket"}, "alice"
		alice.Send(h)
		routertest.Expect[*wamp.Challenge](alice)
		alice.Send(&wamp.Authenticate{Signature: "alice's ticket"})
		if serve != nil {
			asked := routertest.Expect[*wamp.Invocation](serve)
			serve.Send(&wamp.Yield{Request: asked.Request, Payload: serve.Clear(role)})
		}
		return alice.Receive()
	}
	if m := login(nil, ""); m.Type() != wamp.TypeAbort {
		t.Errorf("without an authenticator: %v", m.Type())
	}
	mallory.ExpectNothing() // in particular not alice's ticket

	backend := dial(t, p, "backend")
	loginCRA(backend, "backend", "backend's secret")
	backend.Register(authenticate, wamp.RegisterOptions{})
	backend.ExpectError(register(backend, wamp.RegisterOptions{ForceReregister: wamp.True}, authenticate), wamp.ErrOptionNotAllowed)
	refused(wamp.True)
	mallory.ExpectError(mallory.Call(authenticate, wamp.Attributes{}, mallory.Clear("realm1", "alice")), wamp.ErrNotAuthorized)
	if m := login(backend, "admin"); m.Type() != wamp.TypeWelcome {
		t.Errorf("alice is not let in: %+v", m)
	}
	// A role that the realm lacks lets nobody in, and is counted.
	const failures = `blindfold_authenticator_failures_total{realm="realm1"}`
	before := p.Metric(failures)
	if m, ok := login(backend, "amdin").(*wamp.Abort); !ok || m.Reason != wamp.ErrNoSuchRole {
		t.Errorf("a role that the realm lacks: %+v", m)
	}
	if after := p.Metric(failures); after != before+1 {
		t.Errorf("counted %v, before %v", after, before)
	}
	mallory.ExpectNothing()
}

func dial(t *testing.T, p *routertest.Process, name string) *routertest.Peer {
	t.Helper()
	conn, err := transport.Dial(routertest.Context(t), p.URLs["rawsocket"], transport.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
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

// What a session holds and the new permissions refuse ends with the reload: it is told
// if it understands that, it is counted, and nothing comes of it any more.
func TestReloadRevokes(t *testing.T) {
	allowing := func(actions ...router.Action) []router.RealmConfig {
		permissions, err := auth.NewPermissions([]auth.Role{{Name: "anonymous", Permissions: []auth.Permission{
			{URI: "com.kept.", Match: wamp.MatchPrefix, Allow: []router.Action{
				router.ActionPublish, router.ActionSubscribe, router.ActionCall, router.ActionRegister}},
			{URI: "com.", Match: wamp.MatchPrefix, Allow: append(actions, router.ActionPublish, router.ActionCall)},
			{URI: "wamp.", Match: wamp.MatchPrefix, Allow: []router.Action{router.ActionSubscribe}},
		}}})
		routertest.NoError(t, err)
		return []router.RealmConfig{{Name: routertest.Realm, Authenticators: []router.Authenticator{router.Anonymous("anonymous")},
			Authorizers: []router.Authorizer{permissions}}}
	}
	w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) { c.Realms = allowing(router.ActionSubscribe, router.ActionRegister) }))
	alice, bob := w.Join("Alice", "websocket", wamp.JSON), w.Join("Bob", "rawsocket", wamp.CBOR)
	carol := w.Join("Carol", "memory", wamp.MsgPack, routertest.NoFeatures)
	watcher := w.Join("Watcher", "memory", wamp.CBOR)
	gone := []wamp.ID{watcher.Subscribe("wamp.subscription.on_unsubscribe", wamp.MatchExact), watcher.Subscribe("wamp.registration.on_unregister", wamp.MatchExact)}

	topic := bob.Subscribe("com.topic", wamp.MatchExact)
	pattern := bob.Subscribe("com.", wamp.MatchPrefix)
	kept := bob.Subscribe("com.kept.topic", wamp.MatchExact)
	procedure := bob.Register("com.procedure", wamp.RegisterOptions{})
	bob.Register("com.kept.procedure", wamp.RegisterOptions{})
	carol.Subscribe("com.topic", wamp.MatchExact)

	reload := func(actions ...router.Action) {
		t.Helper()
		routertest.NoError(t, w.Router.Reload(router.Config{Realms: allowing(actions...)}))
	}
	reload(router.ActionSubscribe, router.ActionRegister)
	bob.ExpectNothing() // nothing has changed
	reload(router.ActionRegister)
	told := map[wamp.ID]bool{}
	for range 2 {
		m := routertest.Expect[*wamp.Unsubscribed](bob)
		if m.Request != 0 || m.Details.Reason != string(wamp.ErrNotAuthorized) {
			t.Errorf("told %+v", m)
		}
		told[m.Details.Subscription] = true
	}
	if !told[topic] || !told[pattern] {
		t.Errorf("told of %v, want %d and %d", told, topic, pattern)
	}
	for range 3 {
		watcher.MetaEvent(gone[0])
	}
	w.WantMetric(`blindfold_refused_total{realm="realm1",reason="not_authorized",type="SUBSCRIBE"} 3`)
	for _, to := range []wamp.URI{"com.topic", "com.kept.topic"} {
		alice.Publish(to, wamp.Attributes{}, alice.Clear(1))
		routertest.Expect[*wamp.Published](alice)
	}
	if m := routertest.Expect[*wamp.Event](bob); m.Subscription != kept {
		t.Errorf("got %+v", m)
	}
	bob.ExpectNothing()
	carol.ExpectNothing() // she did not announce that she would understand

	reload()
	if m := routertest.Expect[*wamp.Unregistered](bob); m.Request != 0 || m.Details.Registration != procedure || m.Details.Reason != string(wamp.ErrNotAuthorized) {
		t.Errorf("told %+v", m)
	}
	watcher.MetaEvent(gone[1])
	w.WantMetric(`blindfold_refused_total{realm="realm1",reason="not_authorized",type="REGISTER"} 1`)
	alice.ExpectError(alice.Call("com.procedure", wamp.Attributes{}, alice.Clear(1)), wamp.ErrNoSuchProcedure)
	alice.Call("com.kept.procedure", wamp.Attributes{}, alice.Clear(1))
	routertest.Expect[*wamp.Invocation](bob)
}

// A procedure that is reserved by a reload is taken from whom no explicit permission
// allows it, also if the authorizer cannot answer at once.
func TestReloadReserves(t *testing.T) {
	permissions, err := auth.NewPermissions([]auth.Role{{Name: "anonymous", Permissions: []auth.Permission{
		{URI: "", Match: wamp.MatchPrefix, Allow: []router.Action{router.ActionCall, router.ActionRegister}}}}})
	routertest.NoError(t, err)
	for name, authorizer := range map[string]router.Authorizer{"static": permissions, "dynamic": waits{permissions}} {
		t.Run(name, func(t *testing.T) {
			config := func(reserved ...wamp.URI) []router.RealmConfig {
				return []router.RealmConfig{{Name: routertest.Realm, Authenticators: []router.Authenticator{router.Anonymous("anonymous")},
					Authorizers: []router.Authorizer{authorizer}, ReservedProcedures: reserved}}
			}
			w := routertest.NewWorld(t, routertest.WithRouter(func(c *router.Config) { c.Realms = config() }))
			bob := w.Join("Bob", "websocket", wamp.JSON)
			registration := bob.Register("com.asked", wamp.RegisterOptions{})
			routertest.NoError(t, w.Router.Reload(router.Config{Realms: config("com.asked")}))
			if m := routertest.Expect[*wamp.Unregistered](bob); m.Details.Registration != registration {
				t.Errorf("told %+v", m)
			}
			if text := w.Scrape(); strings.Contains(text, `blindfold_registrations{realm="realm1"} 1`) {
				t.Error("it is registered still")
			}
		})
	}
}

// waits is an authorizer that needs time, as one that asks a procedure.
type waits struct{ router.Authorizer }

func (a waits) Authorize(ctx context.Context, who *wamp.Peer, action router.Action, uri wamp.URI, match wamp.Match) (router.Decision, error) {
	if err := ctx.Err(); err != nil {
		return router.Decision{}, err
	}
	return a.Authorizer.Authorize(ctx, who, action, uri, match)
}
