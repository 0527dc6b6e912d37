package integration

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Alice watches who comes and goes, and asks who is there (WAMP, "Session Meta
// API").
func TestSessionMeta(t *testing.T) {
	w := newWorld(t, withRoles(t))
	alice := w.join("alice", "websocket", wamp.JSON)
	joins := alice.subscribe("wamp.session.on_join", wamp.MatchExact)
	leaves := alice.subscribe("wamp.session.on_leave", wamp.MatchExact)

	bob := w.join("bob", "rawsocket", wamp.CBOR, as("bob", "staff"))
	want := map[string]any{"session": int64(bob.id), "authid": "bob", "authrole": "staff", "authmethod": "role", "authprovider": "test",
		"transport": map[string]any{"type": "rawsocket", "serializer": "cbor"}}
	if got := alice.event(joins); !reflect.DeepEqual(got, []any{want}) {
		t.Errorf("on_join: %v", got)
	}
	if got := alice.one("wamp.session.get", bob.id); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("get: %v", got)
	}
	if n := alice.one("wamp.session.count"); n != int64(2) {
		t.Errorf("count: %v", n)
	}
	if n := bob.one("wamp.session.count", []string{"staff", "admin"}); n != int64(1) {
		t.Errorf("count of staff: %v", n)
	}
	ids := alice.one("wamp.session.list").([]any)
	if len(ids) != 2 || !slices.Contains(ids, any(int64(alice.id))) || !slices.Contains(ids, any(int64(bob.id))) {
		t.Errorf("list: %v", ids)
	}
	if ids := alice.one("wamp.session.list", []string{"staff"}); !reflect.DeepEqual(ids, []any{int64(bob.id)}) {
		t.Errorf("list of staff: %v", ids)
	}
	bob.leave()
	if got := alice.event(leaves); !reflect.DeepEqual(got, []any{int64(bob.id), "bob", "staff"}) {
		t.Errorf("on_leave: %v", got)
	}
	alice.expectError(alice.asks("wamp.session.get", nil, bob.id), wamp.ErrNoSuchSession)
	alice.expectError(alice.asks("wamp.session.get", nil, "bob"), wamp.ErrInvalidArgument)
	alice.expectError(alice.asks("wamp.session.nonsense", nil), wamp.ErrNoSuchProcedure)
}

// Who was cut off has left, too.
func TestSessionMetaConnectionLost(t *testing.T) {
	w := newWorld(t)
	alice := w.join("alice", "unix", wamp.MsgPack)
	leaves := alice.subscribe("wamp.session.on_leave", wamp.MatchExact)
	bob := w.join("bob", "rawsocket", wamp.CBOR)
	_ = bob.conn.Close()
	if got := alice.event(leaves); got[0] != int64(bob.id) {
		t.Errorf("on_leave: %v", got)
	}
}

// Only a role that is granted so may end other sessions; a permission for
// everything is not enough.
func TestSessionKill(t *testing.T) {
	w := newWorld(t, withRoles(t))
	root := w.join("root", "websocket", wamp.JSON, as("root", "admin"))
	leaves := root.subscribe("wamp.session.on_leave", wamp.MatchExact)
	staff := make([]*peer, 5)
	for i, name := range []string{"ann", "ben", "ben", "cat", "dan"} {
		staff[i] = w.join(name, "rawsocket", wamp.Serializers[i%3], as(name, "staff"))
	}
	for _, procedure := range []wamp.URI{"wamp.session.kill", "wamp.session.kill_by_authid", "wamp.session.kill_by_authrole",
		"wamp.session.kill_all", "wamp.session.modify_details", "wamp.subscription.remove_subscriber", "wamp.registration.remove_callee"} {
		staff[0].expectError(staff[0].asks(procedure, nil, root.id), wamp.ErrNotAuthorized)
	}
	killed := func(p *peer, reason wamp.URI, message string) {
		t.Helper()
		if bye := expect[*wamp.Goodbye](p); bye.Reason != reason || bye.Details.Message != message {
			t.Errorf("%s: %+v", p.name, bye)
		}
		p.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
		if got := root.event(leaves); got[0] != int64(p.id) {
			t.Errorf("on_leave: %v", got)
		}
	}
	if got, _ := root.ask("wamp.session.kill", map[string]any{"reason": "com.example.tired", "message": "go home"}, staff[0].id); len(got) != 0 {
		t.Errorf("kill: %v", got)
	}
	killed(staff[0], "com.example.tired", "go home")
	root.expectError(root.asks("wamp.session.kill", nil, root.id), wamp.ErrNoSuchSession)
	root.expectError(root.asks("wamp.session.kill", map[string]any{"reason": "not a uri"}, staff[1].id), wamp.ErrInvalidURI)
	ids, _ := root.ask("wamp.session.kill_by_authid", map[string]any{"reason": nil, "message": nil}, "ben") // null is absent
	if len(ids) != 1 || len(ids[0].([]any)) != 2 {
		t.Errorf("kill_by_authid: %v", ids)
	}
	killed(staff[1], wamp.CloseKilled, "")
	killed(staff[2], wamp.CloseKilled, "")
	if n := root.one("wamp.session.kill_by_authrole", "staff"); n != int64(2) {
		t.Errorf("kill_by_authrole: %v", n)
	}
	// Who has been told is none any more, though it has not answered.
	if n := root.one("wamp.session.count"); n != int64(1) {
		t.Errorf("count: %v", n)
	}
	if ids := root.one("wamp.session.list"); !reflect.DeepEqual(ids, []any{int64(root.id)}) {
		t.Errorf("list: %v", ids)
	}
	root.expectError(root.asks("wamp.session.get", nil, staff[3].id), wamp.ErrNoSuchSession)
	if n := root.one("wamp.session.kill_by_authrole", "staff"); n != int64(0) {
		t.Errorf("kill_by_authrole, again: %v", n)
	}
	killed(staff[3], wamp.CloseKilled, "")
	killed(staff[4], wamp.CloseKilled, "")

	eve := w.join("eve", "unix", wamp.CBOR)
	if n := root.one("wamp.session.kill_all"); n != int64(1) {
		t.Errorf("kill_all: %v", n)
	}
	expect[*wamp.Goodbye](eve)
	eve.send(&wamp.Goodbye{Reason: wamp.CloseGoodbyeAndOut})
	w.settle(1)
	root.expectNothing() // no event of it
}

// Without any authorizer nobody is granted what acts on others.
func TestSessionKillWithoutAuthorizer(t *testing.T) {
	w := newWorld(t)
	alice, bob := w.join("alice", "websocket", wamp.JSON), w.join("bob", "rawsocket", wamp.CBOR)
	alice.expectError(alice.asks("wamp.session.kill", nil, bob.id), wamp.ErrNotAuthorized)
	bob.expectNothing()
}

// modify_details adds to what is told of a session, and can't change who it is.
func TestSessionModifyDetails(t *testing.T) {
	w := newWorld(t, withRoles(t))
	root := w.join("root", "websocket", wamp.MsgPack, as("root", "admin"))
	bob := w.join("bob", "rawsocket", wamp.CBOR)
	root.ask("wamp.session.modify_details", nil, bob.id, map[string]any{"team": "blue", "level": 3})
	root.ask("wamp.session.modify_details", nil, bob.id, map[string]any{"level": nil})
	got := root.one("wamp.session.get", bob.id).(map[string]any)
	if _, there := got["level"]; got["team"] != "blue" || there {
		t.Errorf("details: %v", got)
	}
	root.expectError(root.asks("wamp.session.modify_details", nil, bob.id, map[string]any{"authrole": "admin"}), wamp.ErrInvalidArgument)
}

// The router can't read opaque arguments, and says so.
func TestMetaRefusesOpaqueArguments(t *testing.T) {
	forms(t, func(t *testing.T, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "websocket", wamp.CBOR)
		a, p := alice.sealed(form, []byte("sealed"))
		e := alice.expectError(alice.call("wamp.session.count", a, p), wamp.ErrInvalidArgument)
		if !strings.Contains(e.Details.Message, "opaque") {
			t.Errorf("the error does not say why: %s", e.Details.Message)
		}
		if n := alice.one("wamp.session.count"); n != int64(1) {
			t.Errorf("count: %v", n)
		}
	})
}

// Where the meta API is turned off, it is not announced, and not there.
func TestMetaTurnedOff(t *testing.T) {
	w := newWorld(t, withRealm(func(c *router.RealmConfig) { c.NoMeta = true }))
	alice := w.join("alice", "websocket", wamp.CBOR)
	for _, f := range []wamp.Feature{wamp.SessionMetaAPI, wamp.SubscriptionMetaAPI, wamp.RegistrationMetaAPI} {
		if broker, dealer := alice.announced(f); broker || dealer {
			t.Errorf("%s is announced", f)
		}
	}
	alice.subscribe("wamp.session.on_join", wamp.MatchExact)
	alice.expectError(alice.asks("wamp.session.count", nil), wamp.ErrNoSuchProcedure)
	w.join("bob", "rawsocket", wamp.CBOR)
	alice.expectNothing()
}
