package spec

import (
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/internal/routertest"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Alice watches subscriptions come and go, and asks about them (WAMP,
// "Subscription Meta API").
func TestSubscriptionMeta(t *testing.T) {
	w := routertest.NewWorld(t)
	alice := w.Join("alice", "websocket", wamp.JSON)
	created := alice.Subscribe("wamp.subscription.on_create", wamp.MatchExact)
	added := alice.Subscribe("wamp.subscription.on_subscribe", wamp.MatchExact)
	removed := alice.Subscribe("wamp.subscription.on_unsubscribe", wamp.MatchExact)
	deleted := alice.Subscribe("wamp.subscription.on_delete", wamp.MatchExact)
	bob, carol := w.Join("bob", "rawsocket", wamp.CBOR), w.Join("carol", "unix", wamp.MsgPack)

	exact := bob.Subscribe("com.example.topic", wamp.MatchExact)
	details := alice.MetaEvent(created)
	d, _ := details[1].(map[string]any)
	if details[0] != int64(bob.ID) || d["id"] != int64(exact) || d["uri"] != "com.example.topic" || d["match"] != "exact" || d["created"] == "" {
		t.Errorf("on_create: %v", details)
	}
	wantEvent(alice, added, bob.ID, exact)
	if carol.Subscribe("com.example.topic", wamp.MatchExact) != exact {
		t.Error("another subscription of the same topic")
	}
	wantEvent(alice, added, carol.ID, exact)
	prefix := carol.Subscribe("com.example", wamp.MatchPrefix)
	alice.MetaEvent(created)
	wantEvent(alice, added, carol.ID, prefix)
	wildcard := bob.Subscribe("com..topic", wamp.MatchWildcard)
	alice.MetaEvent(created)
	wantEvent(alice, added, bob.ID, wildcard)

	if got := alice.CallMetaOne("wamp.subscription.get", exact); !reflect.DeepEqual(got, any(d)) {
		t.Errorf("get: %v", got)
	}
	lists := alice.CallMetaOne("wamp.subscription.list").(map[string]any)
	if len(lists["exact"].([]any)) != 5 || !reflect.DeepEqual(lists["prefix"], []any{int64(prefix)}) || !reflect.DeepEqual(lists["wildcard"], []any{int64(wildcard)}) {
		t.Errorf("list: %v", lists)
	}
	if id := alice.CallMetaOne("wamp.subscription.lookup", "com.example.topic"); id != int64(exact) {
		t.Errorf("lookup: %v", id)
	}
	if id := alice.CallMetaOne("wamp.subscription.lookup", "com.example", map[string]any{"match": "prefix"}); id != int64(prefix) {
		t.Errorf("lookup of a prefix: %v", id)
	}
	if id := alice.CallMetaOne("wamp.subscription.lookup", "com.example"); id != nil {
		t.Errorf("lookup of nothing: %v", id)
	}
	if ids := alice.CallMetaOne("wamp.subscription.match", "com.example.topic"); !reflect.DeepEqual(ids, []any{int64(exact), int64(prefix), int64(wildcard)}) {
		t.Errorf("match: %v", ids)
	}
	if ids := alice.CallMetaOne("wamp.subscription.match", "org.nothing"); ids != nil {
		t.Errorf("match of nothing: %v", ids)
	}
	if ids := alice.CallMetaOne("wamp.subscription.list_subscribers", exact); !reflect.DeepEqual(ids, []any{int64(bob.ID), int64(carol.ID)}) {
		t.Errorf("list_subscribers: %v", ids)
	}
	if n := alice.CallMetaOne("wamp.subscription.count_subscribers", exact); n != int64(2) {
		t.Errorf("count_subscribers: %v", n)
	}

	bob.Send(&wamp.Unsubscribe{Request: bob.NextID(), Subscription: exact})
	routertest.Expect[*wamp.Unsubscribed](bob)
	wantEvent(alice, removed, bob.ID, exact)
	carol.Leave()
	gone := map[int64]bool{}
	for range 2 { // its two subscriptions, in any order
		id := alice.MetaEvent(removed)[1].(int64)
		gone[id] = true
		wantEvent(alice, deleted, carol.ID, wamp.ID(id))
	}
	if !gone[int64(exact)] || !gone[int64(prefix)] {
		t.Errorf("on_delete: %v", gone)
	}
	alice.ExpectError(alice.SendCallMeta("wamp.subscription.get", nil, exact), wamp.ErrNoSuchSubscription)
	alice.ExpectError(alice.SendCallMeta("wamp.subscription.list_subscribers", nil, exact), wamp.ErrNoSuchSubscription)
	alice.ExpectError(alice.SendCallMeta("wamp.subscription.count_subscribers", nil, exact), wamp.ErrNoSuchSubscription)
}

// wantEvent expects an event of the router's own about a session and an id.
func wantEvent(p *routertest.Peer, subscription, session, id wamp.ID) {
	p.T.Helper()
	if got := p.MetaEvent(subscription); !reflect.DeepEqual(got, []any{int64(session), int64(id)}) {
		p.T.Errorf("%s: want an event about %d and %d, got %v", p.Name, session, id, got)
	}
}

// Root revokes subscriptions: Bob, who understands, is told; Carol, who doesn't,
// is not; neither gets events any more (WAMP, "Subscription Revocation").
func TestSubscriptionRevocation(t *testing.T) {
	routertest.EachPayload(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := routertest.NewWorld(t, routertest.WithRoles(t))
		root := w.Join("root", "websocket", s, routertest.As("root", "admin"))
		dave := w.Join("dave", "websocket", s) // stays
		dave.Subscribe(routertest.Topic, wamp.MatchExact)
		removed := root.Subscribe("wamp.subscription.on_unsubscribe", wamp.MatchExact)
		bob := w.Join("bob", "rawsocket", s)
		carol := w.Join("carol", "unix", s, routertest.NoFeatures, announcing(form))
		id := bob.Subscribe(routertest.Topic, wamp.MatchExact)
		carol.Subscribe(routertest.Topic, wamp.MatchExact)

		root.CallMeta("wamp.subscription.remove_subscriber", map[string]any{"reason": "com.example.moved"}, id, bob.ID)
		if u := routertest.Expect[*wamp.Unsubscribed](bob); u.Request != 0 || u.Details.Subscription != id || u.Details.Reason != "com.example.moved" {
			t.Errorf("revocation: %+v", u)
		}
		wantEvent(root, removed, bob.ID, id)
		root.CallMeta("wamp.subscription.remove_subscriber", nil, id, carol.ID)
		wantEvent(root, removed, carol.ID, id)
		say(root, routertest.Topic, form, "anybody?")
		dave.WantPayload(routertest.Expect[*wamp.Event](dave), form, "anybody?")
		bob.ExpectNothing()
		carol.ExpectNothing()
		root.ExpectError(root.SendCallMeta("wamp.subscription.remove_subscriber", nil, id, bob.ID), wamp.ErrNoSuchSubscription)
		root.ExpectError(root.SendCallMeta("wamp.subscription.remove_subscriber", nil, id, 1), wamp.ErrNoSuchSession)
		dave.Leave()
		wantEvent(root, removed, dave.ID, id)
		root.ExpectError(root.SendCallMeta("wamp.subscription.remove_subscriber", nil, id, 1), wamp.ErrNoSuchSubscription)
	})
}
