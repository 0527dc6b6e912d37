package integration

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func withTestaments(l router.TestamentLimits) option {
	return withRealm(func(c *router.RealmConfig) { c.Testaments = &l })
}

// addTestament leaves a testament: a payload of a form is handed over as its
// binary, beside the attributes.
func (p *peer) addTestament(topic wamp.URI, form wamp.Form, data, scope string) wamp.ID {
	p.t.Helper()
	kwargs := map[string]any{"scope": scope}
	var payload any = []any{data}
	switch form {
	case wamp.FormTransparency: // in place of the list
		kwargs["publish_options"] = map[string]any{"enc_algo": "cryptobox", "enc_serializer": "json"}
		payload = []byte(data)
	case wamp.FormPassthru: // alone in the list
		a := attributesOf(form)
		kwargs["publish_options"] = map[string]any{"ppt_scheme": a.PPTScheme, "ppt_serializer": a.PPTSerializer,
			"ppt_cipher": a.PPTCipher, "ppt_keyid": a.PPTKeyID}
		payload = []any{[]byte(data)}
	}
	return p.asks("wamp.session.add_testament", kwargs, topic, payload, map[string]any{})
}

// Bob leaves testaments, and is cut off; Alice gets them, those for "detached"
// first (WAMP, "Session Testament").
func TestTestaments(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withTestaments(router.TestamentLimits{}))
		alice := w.join("alice", "rawsocket", s)
		if _, dealer := alice.announced(wamp.TestamentMetaAPI); !dealer {
			t.Error("not announced")
		}
		alice.subscribe("com.example.will", wamp.MatchPrefix)
		bob := w.join("bob", "websocket", s)
		for _, will := range [][3]string{{"com.example.will.1", "one", "destroyed"}, {"com.example.will.2", "two", "detached"},
			{"com.example.will.3", "three", ""}, {"com.example.will.4", "four", "detached"}} {
			bob.addTestament(wamp.URI(will[0]), form, will[1], will[2])
			if r := expect[*wamp.Result](bob); r.Payload.Elements() != 0 {
				t.Errorf("a result: %+v", r)
			}
		}
		alice.expectNothing() // nothing before he is gone
		_ = bob.conn.Close()
		for _, will := range [][2]string{{"com.example.will.2", "two"}, {"com.example.will.4", "four"}, {"com.example.will.1", "one"}, {"com.example.will.3", "three"}} {
			e := expect[*wamp.Event](alice)
			if e.Details.Topic != wamp.URI(will[0]) {
				t.Fatalf("testament on %s, not %s", e.Details.Topic, will[0])
			}
			alice.carries(e, form, will[1])
		}
		alice.expectNothing()
	})
}

// A testament that is taken back is not published; nor is one that may not be.
func TestTestamentsFlushed(t *testing.T) {
	w := newWorld(t, withRoles(t), withTestaments(router.TestamentLimits{Count: 2, Bytes: 100}))
	alice := w.join("alice", "rawsocket", wamp.CBOR)
	alice.subscribe("com.example.will", wamp.MatchExact)
	bob := w.join("bob", "websocket", wamp.MsgPack)
	bob.addTestament("com.example.will", wamp.FormNone, "forget me", "detached")
	expect[*wamp.Result](bob)
	bob.addTestament("com.example.will", wamp.FormNone, "keep me", "destroyed")
	expect[*wamp.Result](bob)
	bob.expectError(bob.addTestament("com.example.will", wamp.FormNone, "one too many", ""), wamp.ErrLimitExceeded)
	bob.ask("wamp.session.flush_testaments", map[string]any{"scope": "detached"})
	bob.expectError(bob.addTestament("com.example.will", wamp.FormNone, string(make([]byte, 200)), ""), wamp.ErrLimitExceeded)
	w.wantMetric(`blindfold_limits_total{limit="testaments"} 2`)
	bob.expectError(bob.addTestament("com.example.will", wamp.FormNone, "x", "later"), wamp.ErrInvalidArgument)
	bob.expectError(bob.addTestament("wamp.session.on_join", wamp.FormNone, "x", ""), wamp.ErrInvalidURI)
	bob.expectError(bob.asks("wamp.session.add_testament", map[string]any{"publish_options": map[string]any{"enc_algo": "cryptobox"}},
		"com.example.will", []any{"in the clear"}, map[string]any{}), wamp.ErrInvalidArgument)
	bob.expectError(bob.asks("wamp.session.add_testament", map[string]any{"publish_options": map[string]any{"enc_algo": "rot13"}},
		"com.example.will", []any{[]byte("sealed")}, map[string]any{}), wamp.ErrProtocolViolation)
	bob.leave() // a polite end is an end
	e := expect[*wamp.Event](alice)
	if args, _, err := e.Payload.Decode(); err != nil || len(args) != 1 || args[0] != "keep me" {
		t.Errorf("testament: %v, %v", args, err)
	}
	alice.expectNothing()
}

// A testament keeps to its publish_options, and an opaque one to those who
// announced its form.
func TestTestamentsOptions(t *testing.T) {
	w := newWorld(t, withRoles(t), withTestaments(router.TestamentLimits{}))
	ann := w.join("ann", "rawsocket", wamp.CBOR, as("ann", "staff"))
	eve := w.join("eve", "rawsocket", wamp.CBOR)
	old := w.join("old", "rawsocket", wamp.CBOR, as("old", "staff"), noFeatures)
	for _, p := range []*peer{ann, eve, old} {
		p.subscribe(topic, wamp.MatchExact)
	}
	bob := w.join("bob", "websocket", wamp.CBOR, as("bob", "staff"))
	bob.ask("wamp.session.add_testament", map[string]any{"publish_options": map[string]any{
		"enc_algo": "cryptobox", "eligible_authrole": []any{"staff"}, "disclose_me": true, "acknowledge": true}}, topic, []any{[]byte("sealed")}, map[string]any{})
	bob.leave()
	e := expect[*wamp.Event](ann)
	if e.Details.Publisher != bob.id || e.Details.EncAlgo != "cryptobox" || e.Payload.Shape() != wamp.ShapeBinary {
		t.Errorf("testament: %+v", e)
	}
	eve.expectNothing()
	old.expectNothing()
	w.wantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 1`)
}

// What kill_all ends leaves no testaments; what is killed by name does.
func TestTestamentsOfTheKilled(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t), withTestaments(router.TestamentLimits{}))
		root := w.join("root", "websocket", s, as("root", "admin"))
		root.subscribe(topic, wamp.MatchExact)
		killed := func(procedure wamp.URI, args ...any) {
			bob := w.join("bob", "rawsocket", s)
			bob.addTestament(topic, form, "will", "")
			expect[*wamp.Result](bob)
			if len(args) > 0 {
				args[0] = bob.id
			}
			root.ask(procedure, nil, args...)
			expect[*wamp.Goodbye](bob)
			bob.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			w.settle(1)
		}
		killed("wamp.session.kill_all")
		root.expectNothing()
		killed("wamp.session.kill", nil)
		root.carries(expect[*wamp.Event](root), form, "will")
		root.expectNothing()
	})
}

// fickle is an authorizer that forbids everything to Bob once it is told to.
type fickle struct{ forbids atomic.Bool }

func (f *fickle) Authorize(_ context.Context, p *wamp.Peer, _ router.Action, _ wamp.URI, _ wamp.Match) (router.Decision, error) {
	return router.Decision{Allow: p.AuthID != "bob" || !f.forbids.Load()}, nil
}

// A testament that may not be published any more when its time comes is not.
func TestTestamentsForbiddenSince(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		authorizer := new(fickle)
		w := newWorld(t, withRoles(t), withTestaments(router.TestamentLimits{}),
			withRealm(func(c *router.RealmConfig) { c.Authorizers = append(c.Authorizers, authorizer) }))
		alice := w.join("alice", "rawsocket", s)
		alice.subscribe(topic, wamp.MatchExact)
		for _, forbidden := range []bool{false, true} {
			authorizer.forbids.Store(false)
			bob := w.join("bob", "websocket", s, as("bob", "staff"))
			bob.addTestament(topic, form, "will", "")
			expect[*wamp.Result](bob)
			authorizer.forbids.Store(forbidden)
			bob.leave()
			w.settle(1)
			if !forbidden {
				alice.carries(expect[*wamp.Event](alice), form, "will")
			}
			alice.expectNothing()
		}
	})
}

// Testaments don't exist unless configured.
func TestTestamentsNotConfigured(t *testing.T) {
	w := newWorld(t)
	bob := w.join("bob", "websocket", wamp.JSON)
	if broker, dealer := bob.announced(wamp.TestamentMetaAPI); broker || dealer {
		t.Error("announced")
	}
	bob.expectError(bob.addTestament(topic, wamp.FormNone, "will", ""), wamp.ErrNoSuchProcedure)
	bob.expectError(bob.asks("wamp.session.flush_testaments", nil), wamp.ErrNoSuchProcedure)
}
