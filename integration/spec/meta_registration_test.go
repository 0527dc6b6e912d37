package spec

import (
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Alice watches registrations come and go, and asks about them (WAMP,
// "Registration Meta API").
func TestRegistrationMeta(t *testing.T) {
	w := routertest.NewWorld(t)
	alice := w.Join("alice", "websocket", wamp.JSON)
	created := alice.Subscribe("wamp.registration.on_create", wamp.MatchExact)
	added := alice.Subscribe("wamp.registration.on_register", wamp.MatchExact)
	removed := alice.Subscribe("wamp.registration.on_unregister", wamp.MatchExact)
	deleted := alice.Subscribe("wamp.registration.on_delete", wamp.MatchExact)
	bob, carol := w.Join("bob", "rawsocket", wamp.CBOR), w.Join("carol", "unix", wamp.MsgPack)

	shared := bob.Register("com.example.add", wamp.RegisterOptions{Invoke: "roundrobin"})
	details := alice.MetaEvent(created)
	d, _ := details[1].(map[string]any)
	if details[0] != int64(bob.ID) || d["id"] != int64(shared) || d["uri"] != "com.example.add" || d["match"] != "exact" || d["invoke"] != "roundrobin" {
		t.Errorf("on_create: %v", details)
	}
	wantEvent(alice, added, bob.ID, shared)
	carol.Register("com.example.add", wamp.RegisterOptions{Invoke: "roundrobin"})
	wantEvent(alice, added, carol.ID, shared)
	prefix := carol.Register("com.example", wamp.RegisterOptions{Match: "prefix"})
	alice.MetaEvent(created)
	wantEvent(alice, added, carol.ID, prefix)

	if got := alice.CallMetaOne("wamp.registration.get", shared); !reflect.DeepEqual(got, any(d)) {
		t.Errorf("get: %v", got)
	}
	want := map[string]any{"exact": []any{int64(shared)}, "prefix": []any{int64(prefix)}, "wildcard": []any{}}
	if got := alice.CallMetaOne("wamp.registration.list"); !reflect.DeepEqual(got, any(want)) {
		t.Errorf("list: %v", got)
	}
	for procedure, id := range map[string]any{"com.example.add": int64(shared), "com.example.sub": int64(prefix), "org.nothing": nil} {
		if got := alice.CallMetaOne("wamp.registration.match", procedure); got != id {
			t.Errorf("match %s: %v", procedure, got)
		}
	}
	if id := alice.CallMetaOne("wamp.registration.lookup", "com.example", map[string]any{"match": "prefix"}); id != int64(prefix) {
		t.Errorf("lookup: %v", id)
	}
	if id := alice.CallMetaOne("wamp.registration.lookup", "com.example"); id != nil {
		t.Errorf("lookup of nothing: %v", id)
	}
	if ids := alice.CallMetaOne("wamp.registration.list_callees", shared); !reflect.DeepEqual(ids, []any{int64(bob.ID), int64(carol.ID)}) {
		t.Errorf("list_callees: %v", ids)
	}
	if n := alice.CallMetaOne("wamp.registration.count_callees", shared); n != int64(2) {
		t.Errorf("count_callees: %v", n)
	}

	bob.Send(&wamp.Unregister{Request: bob.NextID(), Registration: shared})
	routertest.Expect[*wamp.Unregistered](bob)
	wantEvent(alice, removed, bob.ID, shared)
	carol.Leave()
	gone := map[int64]bool{}
	for range 2 {
		id := alice.MetaEvent(removed)[1].(int64)
		gone[id] = true
		wantEvent(alice, deleted, carol.ID, wamp.ID(id))
	}
	if !gone[int64(shared)] || !gone[int64(prefix)] {
		t.Errorf("on_delete: %v", gone)
	}
	alice.ExpectError(alice.SendCallMeta("wamp.registration.get", nil, shared), wamp.ErrNoSuchRegistration)
	alice.ExpectError(alice.SendCallMeta("wamp.registration.list_callees", nil, shared), wamp.ErrNoSuchRegistration)
	alice.ExpectError(alice.SendCallMeta("wamp.registration.count_callees", nil, shared), wamp.ErrNoSuchRegistration)
}

// Root revokes registrations (WAMP, "Registration Revocation").
func TestRegistrationRevocation(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		root := w.Join("root", "websocket", s, routertest.As("root", "admin"))
		bob := w.Join("bob", "rawsocket", s)
		carol := w.Join("carol", "unix", s, routertest.NoFeatures)
		id := bob.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "first"})
		carol.Register(routertest.Procedure, wamp.RegisterOptions{Invoke: "first"})

		// What Bob has begun he may finish.
		request := root.CallWith(routertest.Procedure, form, "last one", wamp.CallOptions{})
		invocation := routertest.Expect[*wamp.Invocation](bob)
		root.CallMeta("wamp.registration.remove_callee", map[string]any{"reason": "com.example.moved"}, id, bob.ID)
		if u := routertest.Expect[*wamp.Unregistered](bob); u.Request != 0 || u.Details.Registration != id || u.Details.Reason != "com.example.moved" {
			t.Errorf("revocation: %+v", u)
		}
		bob.WantPayload(invocation, form, "last one")
		bob.Yield(invocation, form, "done", false)
		r := routertest.Expect[*wamp.Result](root)
		if r.Request != request {
			t.Errorf("result: %+v", r)
		}
		root.WantPayload(r, form, "done")
		root.CallMeta("wamp.registration.remove_callee", nil, id, carol.ID)
		carol.ExpectNothing() // Carol does not understand, and is not told
		root.ExpectError(root.CallWith(routertest.Procedure, form, "anybody?", wamp.CallOptions{}), wamp.ErrNoSuchProcedure)
		root.ExpectError(root.SendCallMeta("wamp.registration.remove_callee", nil, id, bob.ID), wamp.ErrNoSuchRegistration)
	})
}

// Bob has registered a procedure; Carol takes it over with force_reregister.
func TestForceReregister(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t)
		alice := w.Join("alice", "websocket", s)
		bob, carol := w.Join("bob", "rawsocket", s), w.Join("carol", "unix", s)
		old := bob.Register(routertest.Procedure, wamp.RegisterOptions{})
		request := carol.NextID()
		carol.Send(&wamp.Register{Request: request, Procedure: routertest.Procedure})
		carol.ExpectError(request, wamp.ErrProcedureExists)

		deleted := alice.Subscribe("wamp.registration.on_delete", wamp.MatchExact)
		created := alice.Subscribe("wamp.registration.on_create", wamp.MatchExact)
		id := carol.Register(routertest.Procedure, wamp.RegisterOptions{ForceReregister: wamp.True})
		if u := routertest.Expect[*wamp.Unregistered](bob); u.Request != 0 || u.Details.Registration != old {
			t.Errorf("revocation: %+v", u)
		}
		wantEvent(alice, deleted, bob.ID, old)
		if got := alice.MetaEvent(created); got[0] != int64(carol.ID) {
			t.Errorf("on_create: %v", got)
		}
		alice.CallWith(routertest.Procedure, form, "who?", wamp.CallOptions{})
		i := routertest.Expect[*wamp.Invocation](carol)
		if i.Registration != id {
			t.Errorf("invocation: %+v", i)
		}
		carol.WantPayload(i, form, "who?")
		bob.ExpectNothing()
		unregister := bob.NextID()
		bob.Send(&wamp.Unregister{Request: unregister, Registration: old})
		bob.ExpectError(unregister, wamp.ErrNoSuchRegistration)
	})
}
