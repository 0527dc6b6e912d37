package spec

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

func withTestaments(l router.TestamentLimits) routertest.Option {
	return routertest.WithRealm(func(c *router.RealmConfig) { c.Testaments = &l })
}

// Bob leaves testaments, and is cut off; Alice gets them, those for "detached"
// first (WAMP, "Session Testament").
func TestTestaments(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, withTestaments(router.TestamentLimits{}))
		alice := w.Join("alice", "rawsocket", s)
		if _, dealer := alice.Announced(wamp.TestamentMetaAPI); !dealer {
			t.Error("not announced")
		}
		alice.Subscribe("com.example.will", wamp.MatchPrefix)
		bob := w.Join("bob", "websocket", s)
		for _, will := range [][3]string{{"com.example.will.1", "one", "destroyed"}, {"com.example.will.2", "two", "detached"},
			{"com.example.will.3", "three", ""}, {"com.example.will.4", "four", "detached"}} {
			bob.AddTestament(wamp.URI(will[0]), form, will[1], will[2])
			if r := routertest.Expect[*wamp.Result](bob); r.Payload.Elements() != 0 {
				t.Errorf("a result: %+v", r)
			}
		}
		alice.ExpectNothing() // nothing before he is gone
		_ = bob.Conn.Close()
		for _, will := range [][2]string{{"com.example.will.2", "two"}, {"com.example.will.4", "four"}, {"com.example.will.1", "one"}, {"com.example.will.3", "three"}} {
			e := routertest.Expect[*wamp.Event](alice)
			if e.Details.Topic != wamp.URI(will[0]) {
				t.Fatalf("testament on %s, not %s", e.Details.Topic, will[0])
			}
			alice.WantPayload(e, form, will[1])
		}
		alice.ExpectNothing()
	})
}

// A testament that is taken back is not published; nor is one that may not be.
func TestTestamentsFlushed(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t), withTestaments(router.TestamentLimits{Count: 2, Bytes: 100}))
	alice := w.Join("alice", "rawsocket", wamp.CBOR)
	alice.Subscribe("com.example.will", wamp.MatchExact)
	bob := w.Join("bob", "websocket", wamp.MsgPack)
	bob.AddTestament("com.example.will", wamp.FormNone, "forget me", "detached")
	routertest.Expect[*wamp.Result](bob)
	bob.AddTestament("com.example.will", wamp.FormNone, "keep me", "destroyed")
	routertest.Expect[*wamp.Result](bob)
	bob.ExpectError(bob.AddTestament("com.example.will", wamp.FormNone, "one too many", ""), wamp.ErrLimitExceeded)
	bob.CallMeta("wamp.session.flush_testaments", map[string]any{"scope": "detached"})
	bob.ExpectError(bob.AddTestament("com.example.will", wamp.FormNone, string(make([]byte, 200)), ""), wamp.ErrLimitExceeded)
	w.WantMetric(`blindfold_limits_total{limit="testaments"} 2`)
	bob.ExpectError(bob.AddTestament("com.example.will", wamp.FormNone, "x", "later"), wamp.ErrInvalidArgument)
	bob.ExpectError(bob.AddTestament("wamp.session.on_join", wamp.FormNone, "x", ""), wamp.ErrInvalidURI)
	bob.ExpectError(bob.SendCallMeta("wamp.session.add_testament", map[string]any{"publish_options": map[string]any{"enc_algo": "cryptobox"}},
		"com.example.will", []any{"in the clear"}, map[string]any{}), wamp.ErrInvalidArgument)
	bob.ExpectError(bob.SendCallMeta("wamp.session.add_testament", map[string]any{"publish_options": map[string]any{"enc_algo": "rot13"}},
		"com.example.will", []any{[]byte("sealed")}, map[string]any{}), wamp.ErrProtocolViolation)
	bob.Leave() // a polite end is an end
	e := routertest.Expect[*wamp.Event](alice)
	if args, _, err := e.Payload.Decode(); err != nil || len(args) != 1 || args[0] != "keep me" {
		t.Errorf("testament: %v, %v", args, err)
	}
	alice.ExpectNothing()
}

// A testament keeps to its publish_options, and an opaque one to those who
// announced its form.
func TestTestamentsOptions(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t), withTestaments(router.TestamentLimits{}))
	ann := w.Join("ann", "rawsocket", wamp.CBOR, routertest.As("ann", "staff"))
	eve := w.Join("eve", "rawsocket", wamp.CBOR)
	old := w.Join("old", "rawsocket", wamp.CBOR, routertest.As("old", "staff"), routertest.NoFeatures)
	for _, p := range []*routertest.Peer{ann, eve, old} {
		p.Subscribe(routertest.Topic, wamp.MatchExact)
	}
	bob := w.Join("bob", "websocket", wamp.CBOR, routertest.As("bob", "staff"))
	bob.CallMeta("wamp.session.add_testament", map[string]any{"publish_options": map[string]any{
		"enc_algo": "cryptobox", "eligible_authrole": []any{"staff"}, "disclose_me": true, "acknowledge": true}}, routertest.Topic, []any{[]byte("sealed")}, map[string]any{})
	bob.Leave()
	e := routertest.Expect[*wamp.Event](ann)
	if e.Details.Publisher != bob.ID || e.Details.EncAlgo != "cryptobox" || e.Payload.Shape() != wamp.ShapeBinary {
		t.Errorf("testament: %+v", e)
	}
	eve.ExpectNothing()
	old.ExpectNothing()
	w.WantMetric(`blindfold_dropped_total{realm="realm1",reason="receiver_lacks_form"} 1`)
}

// What kill_all ends leaves no testaments; what is killed by name does.
func TestTestamentsOfTheKilled(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t), withTestaments(router.TestamentLimits{}))
		root := w.Join("root", "websocket", s, routertest.As("root", "admin"))
		root.Subscribe(routertest.Topic, wamp.MatchExact)
		killed := func(procedure wamp.URI, args ...any) {
			bob := w.Join("bob", "rawsocket", s)
			bob.AddTestament(routertest.Topic, form, "will", "")
			routertest.Expect[*wamp.Result](bob)
			if len(args) > 0 {
				args[0] = bob.ID
			}
			root.CallMeta(procedure, nil, args...)
			routertest.Expect[*wamp.Goodbye](bob)
			bob.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
			w.WaitSessions(1)
		}
		killed("wamp.session.kill_all")
		root.ExpectNothing()
		killed("wamp.session.kill", nil)
		root.WantPayload(routertest.Expect[*wamp.Event](root), form, "will")
		root.ExpectNothing()
	})
}

// fickle is an authorizer that forbids everything to Bob once it is told to.
type fickle struct{ forbids atomic.Bool }

func (f *fickle) Authorize(_ context.Context, p *wamp.Peer, _ router.Action, _ wamp.URI, _ wamp.Match) (router.Decision, error) {
	return router.Decision{Allow: p.AuthID != "bob" || !f.forbids.Load()}, nil
}

// A testament that may not be published any more when its time comes is not.
func TestTestamentsForbiddenSince(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		authorizer := new(fickle)
		w := routertest.NewWorld(t, routertest.WithRoles(t), withTestaments(router.TestamentLimits{}),
			routertest.WithRealm(func(c *router.RealmConfig) { c.Authorizers = append(c.Authorizers, authorizer) }))
		alice := w.Join("alice", "rawsocket", s)
		alice.Subscribe(routertest.Topic, wamp.MatchExact)
		for _, forbidden := range []bool{false, true} {
			authorizer.forbids.Store(false)
			bob := w.Join("bob", "websocket", s, routertest.As("bob", "staff"))
			bob.AddTestament(routertest.Topic, form, "will", "")
			routertest.Expect[*wamp.Result](bob)
			authorizer.forbids.Store(forbidden)
			bob.Leave()
			w.WaitSessions(1)
			if !forbidden {
				alice.WantPayload(routertest.Expect[*wamp.Event](alice), form, "will")
			}
			alice.ExpectNothing()
		}
	})
}

// Testaments don't exist unless configured.
func TestTestamentsNotConfigured(t *testing.T) {
	w := routertest.NewWorld(t)
	bob := w.Join("bob", "websocket", wamp.JSON)
	if broker, dealer := bob.Announced(wamp.TestamentMetaAPI); broker || dealer {
		t.Error("announced")
	}
	bob.ExpectError(bob.AddTestament(routertest.Topic, wamp.FormNone, "will", ""), wamp.ErrNoSuchProcedure)
	bob.ExpectError(bob.SendCallMeta("wamp.session.flush_testaments", nil), wamp.ErrNoSuchProcedure)
}

// The bytes of a testament are all that it takes: its topic, payload, attributes and
// lists of receivers.
func TestTestamentsCountAllBytes(t *testing.T) {
	texts := make([]any, 1000)
	ids := make([]any, 1000)
	for i := range texts {
		texts[i], ids[i] = "", 1+i
	}
	for name, options := range map[string]map[string]any{
		"exclude":         {"exclude": ids},
		"eligible":        {"eligible": ids},
		"exclude_authid":  {"exclude_authid": texts},
		"eligible_authid": {"eligible_authid": texts},
		"exclude_role":    {"exclude_authrole": texts},
		"eligible_role":   {"eligible_authrole": texts},
		"ppt_keyid":       {"ppt_scheme": "wamp", "ppt_keyid": strings.Repeat("k", 8000)},
		"transaction":     {"transaction_hash": strings.Repeat("h", 8000)},
	} {
		w := routertest.NewWorld(t, withTestaments(router.TestamentLimits{Count: 100, Bytes: 20_000}))
		bob := w.Join("bob", "rawsocket", wamp.CBOR)
		args := []any{"com.example.will", []any{}}
		kwargs := map[string]any{"publish_options": options}
		taken := 0
		for refused := false; !refused; taken++ {
			bob.SendCallMeta("wamp.session.add_testament", kwargs, args...)
			e, isError := bob.Receive().(*wamp.Error)
			if refused = isError; refused && e.Error != wamp.ErrLimitExceeded {
				t.Fatalf("%s: %s: %s", name, e.Error, e.Details.Message)
			}
		}
		if taken--; taken == 0 || taken > 2 {
			t.Errorf("%s: %d testaments of 8,000 bytes or more are taken", name, taken)
		}
		w.WantMetric(`blindfold_limits_total{limit="testaments"} 1`)
	}
}
