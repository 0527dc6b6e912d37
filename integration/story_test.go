package integration

import (
	"context"
	"testing"

	"github.com/blindfold-wamp/blindfold/auth"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// What the stories of the advanced profile have in common.

// withRealm changes the configuration of the world's realm.
func withRealm(f func(*router.RealmConfig)) option {
	return withRouter(func(c *router.Config) { f(&c.Realms[0]) })
}

// byRole lets everybody in as who he says he is. It is for tests.
type byRole struct{}

func (byRole) Method() string { return "role" }

func (byRole) Authenticate(_ context.Context, h *router.Handshake) (*router.Identity, error) {
	return &router.Identity{AuthID: h.Hello.Details.AuthID, AuthRole: h.Hello.Details.AuthRole, Provider: "test"}, nil
}

// withRoles lets peers join as somebody, see as. Role admin may call what acts on
// other sessions; everybody may do all else.
func withRoles(t testing.TB) option {
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
	return withRealm(func(c *router.RealmConfig) {
		c.Authenticators = append(c.Authenticators, byRole{})
		c.Authorizers = append(c.Authorizers, permissions)
	})
}

// as makes a peer join as somebody.
func as(authID, role string) func(*wamp.Hello) {
	return func(h *wamp.Hello) {
		h.Details.AuthMethods, h.Details.AuthID, h.Details.AuthRole = []string{"role"}, authID, role
	}
}

// payloads tells a story for each serializer, with a clear payload and with an
// opaque one of each form.
func payloads(t *testing.T, story func(t *testing.T, s wamp.Serializer, form wamp.Form)) {
	for _, s := range wamp.Serializers {
		for _, form := range []wamp.Form{wamp.FormNone, wamp.FormTransparency, wamp.FormPassthru} {
			t.Run(s.String()+"/"+form.String(), func(t *testing.T) { story(t, s, form) })
		}
	}
}

// payload makes a payload that carries data: in a form, or clear.
func (p *peer) payload(form wamp.Form, data string) (wamp.Attributes, wamp.Payload) {
	p.t.Helper()
	if form == wamp.FormNone {
		return wamp.Attributes{}, p.clear(data)
	}
	return p.sealed(form, []byte(data))
}

// carries checks that a message carries data as it was sent.
func (p *peer) carries(m wamp.Carrier, form wamp.Form, data string) {
	p.t.Helper()
	got, attributes := m.Carried()
	wantAttributes, want := p.payload(form, data)
	if *attributes != wantAttributes || got.Digest() != want.Digest() || got.Opaque() != want.Opaque() {
		p.t.Fatalf("%s: %v carries %v %+v, not what was sent", p.name, m.Type(), got, *attributes)
	}
}

// ask calls a procedure of the router's own and returns what it answers.
func (p *peer) ask(procedure wamp.URI, kwargs map[string]any, args ...any) ([]any, map[string]any) {
	p.t.Helper()
	request := p.asks(procedure, kwargs, args...)
	r := expect[*wamp.Result](p)
	if r.Request != request {
		p.t.Fatalf("%s: a result of another call", p.name)
	}
	values, kw, err := r.Payload.Decode()
	if err != nil {
		p.t.Fatal(err)
	}
	return values, kw
}

// asks calls, and leaves the answer to the caller.
func (p *peer) asks(procedure wamp.URI, kwargs map[string]any, args ...any) wamp.ID {
	p.t.Helper()
	payload, err := codec.EncodePayload(p.serializer(), args, kwargs)
	if err != nil {
		p.t.Fatal(err)
	}
	m := &wamp.Call{Request: p.next(), Procedure: procedure, Payload: payload}
	p.send(m)
	return m.Request
}

// one is ask for procedures that answer with one value.
func (p *peer) one(procedure wamp.URI, args ...any) any {
	p.t.Helper()
	values, _ := p.ask(procedure, nil, args...)
	if len(values) != 1 {
		p.t.Fatalf("%s: %s answers %v", p.name, procedure, values)
	}
	return values[0]
}

// event receives an event of the router's own on a subscription, and returns its
// arguments.
func (p *peer) event(subscription wamp.ID) []any {
	p.t.Helper()
	e := expect[*wamp.Event](p)
	if e.Subscription != subscription {
		p.t.Fatalf("%s: an event of another subscription: %+v", p.name, e)
	}
	args, _, err := e.Payload.Decode()
	if err != nil {
		p.t.Fatal(err)
	}
	return args
}

// leave closes a peer's session, politely.
func (p *peer) leave() {
	p.t.Helper()
	p.send(&wamp.Goodbye{Reason: wamp.CloseNormal})
	expect[*wamp.Goodbye](p)
	if m, err := p.tryReceive(); err == nil {
		p.t.Fatalf("%s: %v after GOODBYE", p.name, m.Type())
	}
}

// features returns what the router announced.
func (p *peer) announced(f wamp.Feature) (broker, dealer bool) {
	return p.welcome.Roles.Broker.Has(f), p.welcome.Roles.Dealer.Has(f)
}
