package router

import (
	"sync"

	"github.com/blindfold-wamp/blindfold/internal/uriindex"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// subscriptionProcedures are those of WAMP, "Subscription Meta API", and
// remove_subscriber, as Crossbar has it (WAMP, "Subscription Revocation").
var subscriptionProcedures = map[wamp.URI]metaProcedure{
	"wamp.subscription.list":              {answer: subscriptions.list, merge: listsOf},
	"wamp.subscription.lookup":            {answer: subscriptions.lookup, merge: firstAnswer},
	"wamp.subscription.match":             {answer: subscriptions.matches, merge: unionOf},
	"wamp.subscription.get":               {answer: subscriptions.property(describe), merge: firstAnswer},
	"wamp.subscription.list_subscribers":  {answer: subscriptions.property(listSessionsOf), merge: unionOf},
	"wamp.subscription.count_subscribers": {answer: subscriptions.property(countSessionsOf), merge: sumOf},
	"wamp.subscription.remove_subscriber": {answer: subscriptions.remove, privileged: true, merge: firstAnswer},
}

var subscriptions = metaTable[*subscription]{
	tables: func(m *realm) (*uriindex.Index[*subscription], *sync.Map) { return m.broker.topics, &m.broker.byID },
	ids:    func(m *realm) *idLists { return &m.meta.subscriptionIDs },
	match: func(m *realm, topic wamp.URI) any {
		var ids []any
		for _, sub := range m.broker.topics.All(nil, topic) {
			ids = append(ids, idOf(sub))
		}
		if ids == nil {
			return nil
		}
		return ids
	},
	revoke: func(c *metaCall, sub *subscription, s *session, reason string) bool {
		return s.endSubscription(c.batch, sub, reason)
	},
	unknown: &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchSubscription, Text: "there is no such subscription"},
}

// endSubscription removes a session from a subscription, and notifies it if it
// announced support (WAMP, "Subscription Revocation"). It reports false if the session
// is not subscribed. It queues meta events; the caller publishes them.
func (s *session) endSubscription(b *batch, sub *subscription, reason string) bool {
	s.mu.Lock()
	me := s.subscriptions.get(sub.id)
	s.mu.Unlock()
	if me == nil || !s.realm.broker.remove(me) {
		return false
	}
	if s.peer.Roles.Subscriber.Has(wamp.SubscriptionRevocation) {
		b.send(s, &wamp.Unsubscribed{Details: wamp.Revocation{Subscription: sub.id, Reason: reason}})
	}
	return true
}

func (sub *subscription) key() (wamp.Match, wamp.ID) { return sub.match, sub.id }

func (sub *subscription) describe() map[string]any {
	return map[string]any{"id": uint64(sub.id), "created": timestamp(sub.created),
		"uri": string(sub.uri), "match": sub.match.String()}
}

func (sub *subscription) sessions() []*session {
	sub.mu.RLock()
	defer sub.mu.RUnlock()
	sessions := make([]*session, len(sub.members))
	for i, me := range sub.members {
		sessions[i] = me.session
	}
	return sessions
}
