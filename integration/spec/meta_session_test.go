package spec

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Alice watches who comes and goes, and asks who is there (WAMP, "Session Meta
// API").
func TestSessionMeta(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t))
	alice := w.Join("alice", "websocket", wamp.JSON)
	joins := alice.Subscribe("wamp.session.on_join", wamp.MatchExact)
	leaves := alice.Subscribe("wamp.session.on_leave", wamp.MatchExact)

	bob := w.Join("bob", "rawsocket", wamp.CBOR, routertest.As("bob", "staff"))
	want := map[string]any{"session": int64(bob.ID), "authid": "bob", "authrole": "staff", "authmethod": "role", "authprovider": "test",
		"transport": map[string]any{"type": "rawsocket", "serializer": "cbor"}}
	if got := alice.MetaEvent(joins); !reflect.DeepEqual(got, []any{want}) {
		t.Errorf("on_join: %v", got)
	}
	if got := alice.CallMetaOne("wamp.session.get", bob.ID); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("get: %v", got)
	}
	if n := alice.CallMetaOne("wamp.session.count"); n != int64(2) {
		t.Errorf("count: %v", n)
	}
	if n := bob.CallMetaOne("wamp.session.count", []string{"staff", "admin"}); n != int64(1) {
		t.Errorf("count of staff: %v", n)
	}
	ids := alice.CallMetaOne("wamp.session.list").([]any)
	if len(ids) != 2 || !slices.Contains(ids, any(int64(alice.ID))) || !slices.Contains(ids, any(int64(bob.ID))) {
		t.Errorf("list: %v", ids)
	}
	if ids := alice.CallMetaOne("wamp.session.list", []string{"staff"}); !reflect.DeepEqual(ids, []any{int64(bob.ID)}) {
		t.Errorf("list of staff: %v", ids)
	}
	bob.Leave()
	if got := alice.MetaEvent(leaves); !reflect.DeepEqual(got, []any{int64(bob.ID), "bob", "staff"}) {
		t.Errorf("on_leave: %v", got)
	}
	alice.ExpectError(alice.SendCallMeta("wamp.session.get", nil, bob.ID), wamp.ErrNoSuchSession)
	alice.ExpectError(alice.SendCallMeta("wamp.session.get", nil, "bob"), wamp.ErrInvalidArgument)
	alice.ExpectError(alice.SendCallMeta("wamp.session.nonsense", nil), wamp.ErrNoSuchProcedure)
}

// Who was cut off has left, too.
func TestSessionMetaConnectionLost(t *testing.T) {
	w := routertest.NewWorld(t)
	alice := w.Join("alice", "unix", wamp.MsgPack)
	leaves := alice.Subscribe("wamp.session.on_leave", wamp.MatchExact)
	bob := w.Join("bob", "rawsocket", wamp.CBOR)
	_ = bob.Conn.Close()
	if got := alice.MetaEvent(leaves); got[0] != int64(bob.ID) {
		t.Errorf("on_leave: %v", got)
	}
}

// Only a role that is granted so may end other sessions; a permission for
// everything is not enough.
func TestSessionKill(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t))
	root := w.Join("root", "websocket", wamp.JSON, routertest.As("root", "admin"))
	leaves := root.Subscribe("wamp.session.on_leave", wamp.MatchExact)
	staff := make([]*routertest.Peer, 5)
	for i, name := range []string{"ann", "ben", "ben", "cat", "dan"} {
		staff[i] = w.Join(name, "rawsocket", wamp.Serializers[i%3], routertest.As(name, "staff"))
	}
	for _, procedure := range []wamp.URI{"wamp.session.kill", "wamp.session.kill_by_authid", "wamp.session.kill_by_authrole",
		"wamp.session.kill_all", "wamp.session.modify_details", "wamp.subscription.remove_subscriber", "wamp.registration.remove_callee"} {
		staff[0].ExpectError(staff[0].SendCallMeta(procedure, nil, root.ID), wamp.ErrNotAuthorized)
	}
	killed := func(p *routertest.Peer, reason wamp.URI, message string) {
		t.Helper()
		if bye := routertest.Expect[*wamp.Goodbye](p); bye.Reason != reason || bye.Details.Message != message {
			t.Errorf("%s: %+v", p.Name, bye)
		}
		p.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		if got := root.MetaEvent(leaves); got[0] != int64(p.ID) {
			t.Errorf("on_leave: %v", got)
		}
	}
	if got, _ := root.CallMeta("wamp.session.kill", map[string]any{"reason": "com.example.tired", "message": "go home"}, staff[0].ID); len(got) != 0 {
		t.Errorf("kill: %v", got)
	}
	killed(staff[0], "com.example.tired", "go home")
	root.ExpectError(root.SendCallMeta("wamp.session.kill", nil, root.ID), wamp.ErrNoSuchSession)
	root.ExpectError(root.SendCallMeta("wamp.session.kill", map[string]any{"reason": "not a uri"}, staff[1].ID), wamp.ErrInvalidURI)
	ids, _ := root.CallMeta("wamp.session.kill_by_authid", map[string]any{"reason": nil, "message": nil}, "ben") // null is absent
	if len(ids) != 1 || len(ids[0].([]any)) != 2 {
		t.Errorf("kill_by_authid: %v", ids)
	}
	killed(staff[1], wamp.CloseKilled, "")
	killed(staff[2], wamp.CloseKilled, "")
	if n := root.CallMetaOne("wamp.session.kill_by_authrole", "staff"); n != int64(2) {
		t.Errorf("kill_by_authrole: %v", n)
	}
	// Who has been told is none any more, though it has not answered.
	if n := root.CallMetaOne("wamp.session.count"); n != int64(1) {
		t.Errorf("count: %v", n)
	}
	if ids := root.CallMetaOne("wamp.session.list"); !reflect.DeepEqual(ids, []any{int64(root.ID)}) {
		t.Errorf("list: %v", ids)
	}
	root.ExpectError(root.SendCallMeta("wamp.session.get", nil, staff[3].ID), wamp.ErrNoSuchSession)
	if n := root.CallMetaOne("wamp.session.kill_by_authrole", "staff"); n != int64(0) {
		t.Errorf("kill_by_authrole, again: %v", n)
	}
	killed(staff[3], wamp.CloseKilled, "")
	killed(staff[4], wamp.CloseKilled, "")

	eve := w.Join("eve", "unix", wamp.CBOR)
	if n := root.CallMetaOne("wamp.session.kill_all"); n != int64(1) {
		t.Errorf("kill_all: %v", n)
	}
	routertest.Expect[*wamp.Goodbye](eve)
	eve.Send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
	w.WaitSessions(1)
	root.ExpectNothing() // no event of it
}

// Without any authorizer nobody is granted what acts on others.
func TestSessionKillWithoutAuthorizer(t *testing.T) {
	w := routertest.NewWorld(t)
	alice, bob := w.Join("alice", "websocket", wamp.JSON), w.Join("bob", "rawsocket", wamp.CBOR)
	alice.ExpectError(alice.SendCallMeta("wamp.session.kill", nil, bob.ID), wamp.ErrNotAuthorized)
	bob.ExpectNothing()
}

// modify_details adds to what is told of a session, and can't change who it is.
func TestSessionModifyDetails(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRoles(t))
	root := w.Join("root", "websocket", wamp.MsgPack, routertest.As("root", "admin"))
	bob := w.Join("bob", "rawsocket", wamp.CBOR)
	root.CallMeta("wamp.session.modify_details", nil, bob.ID, map[string]any{"team": "blue", "level": 3})
	root.CallMeta("wamp.session.modify_details", nil, bob.ID, map[string]any{"level": nil})
	got := root.CallMetaOne("wamp.session.get", bob.ID).(map[string]any)
	if _, there := got["level"]; got["team"] != "blue" || there {
		t.Errorf("details: %v", got)
	}
	root.ExpectError(root.SendCallMeta("wamp.session.modify_details", nil, bob.ID, map[string]any{"authrole": "admin"}), wamp.ErrInvalidArgument)
}

// The limits on elements and nesting hold for arguments of the router's own procedures,
// in every serializer; and a filter counts whoever has one of the roles, once.
func TestMetaArgumentsAreBounded(t *testing.T) {
	for _, s := range wamp.Serializers {
		t.Run(s.String(), func(t *testing.T) {
			w := routertest.NewWorld(t, routertest.WithRoles(t), withTestaments(router.TestamentLimits{}))
			alice := w.Join("alice", "websocket", s, routertest.As("alice", "staff"))
			w.Join("bob", "rawsocket", s, routertest.As("bob", "anonymous"))
			list := func(n int) []any {
				list := make([]any, n)
				for i := range list {
					list[i] = "staff"
				}
				return list
			}
			if n := alice.CallMetaOne("wamp.session.count", list(4095)); n != int64(1) {
				t.Errorf("count: %v", n)
			}
			if n := alice.CallMetaOne("wamp.session.count", []any{"anonymous", "other", "staff"}); n != int64(2) {
				t.Errorf("count: %v", n)
			}
			for _, call := range []struct {
				procedure wamp.URI
				kwargs    map[string]any
				args      []any
			}{
				{"wamp.session.count", nil, []any{list(4096)}},
				{"wamp.session.list", map[string]any{"x": list(4096)}, nil},
				{"wamp.session.add_testament", map[string]any{"publish_options": map[string]any{"exclude_authid": list(5000)}}, []any{"com.example.will", []any{}}},
			} {
				alice.ExpectError(alice.SendCallMeta(call.procedure, call.kwargs, call.args...), wamp.ErrInvalidArgument)
			}
			w.WantMetric(`blindfold_limits_total{limit="elements"} 3`)
			var deep any = "staff"
			for range 32 {
				deep = []any{deep}
			}
			alice.ExpectError(alice.SendCallMeta("wamp.session.count", nil, deep), wamp.ErrInvalidArgument)
			w.WantMetric(`blindfold_limits_total{limit="nesting"} 1`)
			w.WantMetric(`blindfold_refused_total{realm="realm1",reason="limit",type="CALL"} 4`)
			alice.ExpectError(alice.SendCallMeta("wamp.session.count", nil, []any{1}), wamp.ErrInvalidArgument)
		})
	}
}

// The router can't read opaque arguments, and says so.
func TestMetaRefusesOpaqueArguments(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "websocket", wamp.CBOR)
		a, p := alice.Opaque(form, []byte("sealed"))
		e := alice.ExpectError(alice.Call("wamp.session.count", a, p), wamp.ErrInvalidArgument)
		if !strings.Contains(e.Details.Message, "opaque") {
			t.Errorf("the error does not say why: %s", e.Details.Message)
		}
		if n := alice.CallMetaOne("wamp.session.count"); n != int64(1) {
			t.Errorf("count: %v", n)
		}
	})
}

// Where the meta API is turned off, it is not announced, and not there.
func TestMetaTurnedOff(t *testing.T) {
	w := routertest.NewWorld(t, routertest.WithRealm(func(c *router.RealmConfig) { c.NoMeta = true }))
	alice := w.Join("alice", "websocket", wamp.CBOR)
	for _, f := range []wamp.Feature{wamp.SessionMetaAPI, wamp.SubscriptionMetaAPI, wamp.RegistrationMetaAPI} {
		if broker, dealer := alice.Announced(f); broker || dealer {
			t.Errorf("%s is announced", f)
		}
	}
	alice.Subscribe("wamp.session.on_join", wamp.MatchExact)
	alice.ExpectError(alice.SendCallMeta("wamp.session.count", nil), wamp.ErrNoSuchProcedure)
	w.Join("bob", "rawsocket", wamp.CBOR)
	alice.ExpectNothing()
}
