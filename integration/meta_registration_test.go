package integration

import (
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Alice watches registrations come and go, and asks about them (WAMP,
// "Registration Meta API").
func TestRegistrationMeta(t *testing.T) {
	w := newWorld(t)
	alice := w.join("alice", "websocket", wamp.JSON)
	created := alice.subscribe("wamp.registration.on_create", wamp.MatchExact)
	added := alice.subscribe("wamp.registration.on_register", wamp.MatchExact)
	removed := alice.subscribe("wamp.registration.on_unregister", wamp.MatchExact)
	deleted := alice.subscribe("wamp.registration.on_delete", wamp.MatchExact)
	bob, carol := w.join("bob", "rawsocket", wamp.CBOR), w.join("carol", "unix", wamp.MsgPack)

	shared := bob.register("com.example.add", wamp.RegisterOptions{Invoke: "roundrobin"})
	details := alice.event(created)
	d, _ := details[1].(map[string]any)
	if details[0] != int64(bob.id) || d["id"] != int64(shared) || d["uri"] != "com.example.add" || d["match"] != "exact" || d["invoke"] != "roundrobin" {
		t.Errorf("on_create: %v", details)
	}
	alice.wantEvent(added, bob.id, shared)
	carol.register("com.example.add", wamp.RegisterOptions{Invoke: "roundrobin"})
	alice.wantEvent(added, carol.id, shared)
	prefix := carol.register("com.example", wamp.RegisterOptions{Match: "prefix"})
	alice.event(created)
	alice.wantEvent(added, carol.id, prefix)

	if got := alice.one("wamp.registration.get", shared); !reflect.DeepEqual(got, any(d)) {
		t.Errorf("get: %v", got)
	}
	want := map[string]any{"exact": []any{int64(shared)}, "prefix": []any{int64(prefix)}, "wildcard": []any{}}
	if got := alice.one("wamp.registration.list"); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("list: %v", got)
	}
	for procedure, id := range map[string]any{"com.example.add": int64(shared), "com.example.sub": int64(prefix), "org.nothing": nil} {
		if got := alice.one("wamp.registration.match", procedure); got != id {
			t.Errorf("match %s: %v", procedure, got)
		}
	}
	if id := alice.one("wamp.registration.lookup", "com.example", map[string]any{"match": "prefix"}); id != int64(prefix) {
		t.Errorf("lookup: %v", id)
	}
	if id := alice.one("wamp.registration.lookup", "com.example"); id != nil {
		t.Errorf("lookup of nothing: %v", id)
	}
	if ids := alice.one("wamp.registration.list_callees", shared); !reflect.DeepEqual(ids, []any{int64(bob.id), int64(carol.id)}) {
		t.Errorf("list_callees: %v", ids)
	}
	if n := alice.one("wamp.registration.count_callees", shared); n != int64(2) {
		t.Errorf("count_callees: %v", n)
	}

	bob.send(&wamp.Unregister{Request: bob.next(), Registration: shared})
	expect[*wamp.Unregistered](bob)
	alice.wantEvent(removed, bob.id, shared)
	carol.leave()
	gone := map[int64]bool{}
	for range 2 {
		id := alice.event(removed)[1].(int64)
		gone[id] = true
		alice.wantEvent(deleted, carol.id, wamp.ID(id))
	}
	if !gone[int64(shared)] || !gone[int64(prefix)] {
		t.Errorf("on_delete: %v", gone)
	}
	alice.expectError(alice.asks("wamp.registration.get", nil, shared), wamp.ErrNoSuchRegistration)
	alice.expectError(alice.asks("wamp.registration.list_callees", nil, shared), wamp.ErrNoSuchRegistration)
	alice.expectError(alice.asks("wamp.registration.count_callees", nil, shared), wamp.ErrNoSuchRegistration)
}

// Root revokes registrations (WAMP, "Registration Revocation").
func TestRegistrationRevocation(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t))
		root := w.join("root", "websocket", s, as("root", "admin"))
		bob := w.join("bob", "rawsocket", s)
		carol := w.join("carol", "unix", s, noFeatures)
		id := bob.register(procedure, wamp.RegisterOptions{Invoke: "first"})
		carol.register(procedure, wamp.RegisterOptions{Invoke: "first"})

		// What Bob has begun he may finish.
		request := root.callWith(procedure, form, "last one", wamp.CallOptions{})
		invocation := expect[*wamp.Invocation](bob)
		root.ask("wamp.registration.remove_callee", map[string]any{"reason": "com.example.moved"}, id, bob.id)
		if u := expect[*wamp.Unregistered](bob); u.Request != 0 || u.Details.Registration != id || u.Details.Reason != "com.example.moved" {
			t.Errorf("revocation: %+v", u)
		}
		bob.carries(invocation, form, "last one")
		bob.yield(invocation, form, "done", false)
		r := expect[*wamp.Result](root)
		if r.Request != request {
			t.Errorf("result: %+v", r)
		}
		root.carries(r, form, "done")
		root.ask("wamp.registration.remove_callee", nil, id, carol.id)
		carol.expectNothing() // Carol does not understand, and is not told
		root.expectError(root.callWith(procedure, form, "anybody?", wamp.CallOptions{}), wamp.ErrNoSuchProcedure)
		root.expectError(root.asks("wamp.registration.remove_callee", nil, id, bob.id), wamp.ErrNoSuchRegistration)
	})
}

// Bob has registered a procedure; Carol takes it over with force_reregister.
func TestForceReregister(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t)
		alice := w.join("alice", "websocket", s)
		bob, carol := w.join("bob", "rawsocket", s), w.join("carol", "unix", s)
		old := bob.register(procedure, wamp.RegisterOptions{})
		request := carol.next()
		carol.send(&wamp.Register{Request: request, Procedure: procedure})
		carol.expectError(request, wamp.ErrProcedureExists)

		deleted := alice.subscribe("wamp.registration.on_delete", wamp.MatchExact)
		created := alice.subscribe("wamp.registration.on_create", wamp.MatchExact)
		id := carol.register(procedure, wamp.RegisterOptions{ForceReregister: wamp.True})
		if u := expect[*wamp.Unregistered](bob); u.Request != 0 || u.Details.Registration != old {
			t.Errorf("revocation: %+v", u)
		}
		alice.wantEvent(deleted, bob.id, old)
		if got := alice.event(created); got[0] != int64(carol.id) {
			t.Errorf("on_create: %v", got)
		}
		alice.callWith(procedure, form, "who?", wamp.CallOptions{})
		i := expect[*wamp.Invocation](carol)
		if i.Registration != id {
			t.Errorf("invocation: %+v", i)
		}
		carol.carries(i, form, "who?")
		bob.expectNothing()
		unregister := bob.next()
		bob.send(&wamp.Unregister{Request: unregister, Registration: old})
		bob.expectError(unregister, wamp.ErrNoSuchRegistration)
	})
}
