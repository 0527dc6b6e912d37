package integration

import (
	"reflect"
	"testing"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Alice watches subscriptions come and go, and asks about them (WAMP,
// "Subscription Meta API").
func TestSubscriptionMeta(t *testing.T) {
	w := newWorld(t)
	alice := w.join("alice", "websocket", wamp.JSON)
	created := alice.subscribe("wamp.subscription.on_create", wamp.MatchExact)
	added := alice.subscribe("wamp.subscription.on_subscribe", wamp.MatchExact)
	removed := alice.subscribe("wamp.subscription.on_unsubscribe", wamp.MatchExact)
	deleted := alice.subscribe("wamp.subscription.on_delete", wamp.MatchExact)
	bob, carol := w.join("bob", "rawsocket", wamp.CBOR), w.join("carol", "unix", wamp.MsgPack)

	exact := bob.subscribe("com.example.topic", wamp.MatchExact)
	details := alice.event(created)
	d, _ := details[1].(map[string]any)
	if details[0] != int64(bob.id) || d["id"] != int64(exact) || d["uri"] != "com.example.topic" || d["match"] != "exact" || d["created"] == "" {
		t.Errorf("on_create: %v", details)
	}
	alice.wantEvent(added, bob.id, exact)
	if carol.subscribe("com.example.topic", wamp.MatchExact) != exact {
		t.Error("another subscription of the same topic")
	}
	alice.wantEvent(added, carol.id, exact)
	prefix := carol.subscribe("com.example", wamp.MatchPrefix)
	alice.event(created)
	alice.wantEvent(added, carol.id, prefix)
	wildcard := bob.subscribe("com..topic", wamp.MatchWildcard)
	alice.event(created)
	alice.wantEvent(added, bob.id, wildcard)

	if got := alice.one("wamp.subscription.get", exact); !reflect.DeepEqual(got, any(d)) {
		t.Errorf("get: %v", got)
	}
	lists := alice.one("wamp.subscription.list").(map[string]any)
	if len(lists["exact"].([]any)) != 5 || !reflect.DeepEqual(lists["prefix"], []any{int64(prefix)}) || !reflect.DeepEqual(lists["wildcard"], []any{int64(wildcard)}) {
		t.Errorf("list: %v", lists)
	}
	if id := alice.one("wamp.subscription.lookup", "com.example.topic"); id != int64(exact) {
		t.Errorf("lookup: %v", id)
	}
	if id := alice.one("wamp.subscription.lookup", "com.example", map[string]any{"match": "prefix"}); id != int64(prefix) {
		t.Errorf("lookup of a prefix: %v", id)
	}
	if id := alice.one("wamp.subscription.lookup", "com.example"); id != nil {
		t.Errorf("lookup of nothing: %v", id)
	}
	if ids := alice.one("wamp.subscription.match", "com.example.topic"); !reflect.DeepEqual(ids, []any{int64(exact), int64(prefix), int64(wildcard)}) {
		t.Errorf("match: %v", ids)
	}
	if ids := alice.one("wamp.subscription.match", "org.nothing"); ids != nil {
		t.Errorf("match of nothing: %v", ids)
	}
	if ids := alice.one("wamp.subscription.list_subscribers", exact); !reflect.DeepEqual(ids, []any{int64(bob.id), int64(carol.id)}) {
		t.Errorf("list_subscribers: %v", ids)
	}
	if n := alice.one("wamp.subscription.count_subscribers", exact); n != int64(2) {
		t.Errorf("count_subscribers: %v", n)
	}

	bob.send(&wamp.Unsubscribe{Request: bob.next(), Subscription: exact})
	expect[*wamp.Unsubscribed](bob)
	alice.wantEvent(removed, bob.id, exact)
	carol.leave()
	gone := map[int64]bool{}
	for range 2 { // its two subscriptions, in any order
		id := alice.event(removed)[1].(int64)
		gone[id] = true
		alice.wantEvent(deleted, carol.id, wamp.ID(id))
	}
	if !gone[int64(exact)] || !gone[int64(prefix)] {
		t.Errorf("on_delete: %v", gone)
	}
	alice.expectError(alice.asks("wamp.subscription.get", nil, exact), wamp.ErrNoSuchSubscription)
	alice.expectError(alice.asks("wamp.subscription.list_subscribers", nil, exact), wamp.ErrNoSuchSubscription)
	alice.expectError(alice.asks("wamp.subscription.count_subscribers", nil, exact), wamp.ErrNoSuchSubscription)
}

// wantEvent expects an event of the router's own about a session and an id.
func (p *peer) wantEvent(subscription, session, id wamp.ID) {
	p.t.Helper()
	if got := p.event(subscription); !reflect.DeepEqual(got, []any{int64(session), int64(id)}) {
		p.t.Errorf("%s: want an event about %d and %d, got %v", p.name, session, id, got)
	}
}

// Root revokes subscriptions: Bob, who understands, is told; Carol, who doesn't,
// is not; neither gets events any more (WAMP, "Subscription Revocation").
func TestSubscriptionRevocation(t *testing.T) {
	payloads(t, func(t *testing.T, s wamp.Serializer, form wamp.Form) {
		w := newWorld(t, withRoles(t))
		root := w.join("root", "websocket", s, as("root", "admin"))
		dave := w.join("dave", "websocket", s) // stays
		dave.subscribe(topic, wamp.MatchExact)
		removed := root.subscribe("wamp.subscription.on_unsubscribe", wamp.MatchExact)
		bob := w.join("bob", "rawsocket", s)
		carol := w.join("carol", "unix", s, noFeatures, announcing(form))
		id := bob.subscribe(topic, wamp.MatchExact)
		carol.subscribe(topic, wamp.MatchExact)

		root.ask("wamp.subscription.remove_subscriber", map[string]any{"reason": "com.example.moved"}, id, bob.id)
		if u := expect[*wamp.Unsubscribed](bob); u.Request != 0 || u.Details.Subscription != id || u.Details.Reason != "com.example.moved" {
			t.Errorf("revocation: %+v", u)
		}
		root.wantEvent(removed, bob.id, id)
		root.ask("wamp.subscription.remove_subscriber", nil, id, carol.id)
		root.wantEvent(removed, carol.id, id)
		root.say(topic, form, "anybody?")
		dave.carries(expect[*wamp.Event](dave), form, "anybody?")
		bob.expectNothing()
		carol.expectNothing()
		root.expectError(root.asks("wamp.subscription.remove_subscriber", nil, id, bob.id), wamp.ErrNoSuchSubscription)
		root.expectError(root.asks("wamp.subscription.remove_subscriber", nil, id, 1), wamp.ErrNoSuchSession)
		dave.leave()
		root.wantEvent(removed, dave.id, id)
		root.expectError(root.asks("wamp.subscription.remove_subscriber", nil, id, 1), wamp.ErrNoSuchSubscription)
	})
}
