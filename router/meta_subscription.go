package router

import (
	"github.com/blindfold-wamp/blindfold/wamp"
)

// subscriptionProcedures are those of WAMP, "Subscription Meta API", and
// remove_subscriber, as Crossbar has it (WAMP, "Subscription Revocation").
var subscriptionProcedures = map[wamp.URI]metaProcedure{
	"wamp.subscription.list":              {answer: listSubscriptions},
	"wamp.subscription.lookup":            {answer: lookupSubscription},
	"wamp.subscription.match":             {answer: matchSubscriptions},
	"wamp.subscription.get":               {answer: getSubscription},
	"wamp.subscription.list_subscribers":  {answer: listSubscribers},
	"wamp.subscription.count_subscribers": {answer: countSubscribers},
	"wamp.subscription.remove_subscriber": {answer: removeSubscriber, privileged: true},
}

func (sub *subscription) describe() map[string]any {
	return map[string]any{"id": uint64(sub.id), "created": timestamp(sub.created),
		"uri": string(sub.uri), "match": sub.match.String()}
}

// subscription returns the subscription whose id is argument i.
func (c *metaCall) subscription(i int) (*subscription, *wamp.Refusal) {
	id, refusal := c.id(i)
	if refusal != nil {
		return nil, refusal
	}
	if v, ok := c.realm.broker.byID.Load(id); ok {
		return v.(*subscription), nil
	}
	return nil, subscriptionUnknown
}

// byMatch is the dict of lists that list answers.
type byMatch map[string]any

func newByMatch() byMatch {
	return byMatch{"exact": []any{}, "prefix": []any{}, "wildcard": []any{}}
}

func (l byMatch) add(m wamp.Match, id wamp.ID) {
	l[m.String()] = append(l[m.String()].([]any), uint64(id))
}

func listSubscriptions(c *metaCall) *wamp.Refusal {
	lists := newByMatch()
	c.realm.broker.topics.each(func(sub *subscription) bool {
		lists.add(sub.match, sub.id)
		return true
	})
	c.result = []any{map[string]any(lists)}
	return nil
}

func lookupSubscription(c *metaCall) *wamp.Refusal {
	topic, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	match, refusal := c.match(1)
	if refusal != nil {
		return refusal
	}
	c.result = []any{nil}
	if sub, ok := c.realm.broker.topics.get(match, wamp.URI(topic)); ok {
		c.result[0] = uint64(sub.id)
	}
	return nil
}

func matchSubscriptions(c *metaCall) *wamp.Refusal {
	topic, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	var ids []any
	for _, sub := range c.realm.broker.topics.all(nil, wamp.URI(topic)) {
		ids = append(ids, uint64(sub.id))
	}
	c.result = []any{nil}
	if ids != nil {
		c.result[0] = ids
	}
	return nil
}

func getSubscription(c *metaCall) *wamp.Refusal {
	sub, refusal := c.subscription(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{sub.describe()}
	return nil
}

func listSubscribers(c *metaCall) *wamp.Refusal {
	sub, refusal := c.subscription(0)
	if refusal != nil {
		return refusal
	}
	sub.mu.RLock()
	defer sub.mu.RUnlock()
	ids := make([]any, len(sub.members))
	for i, me := range sub.members {
		ids[i] = uint64(me.session.peer.Session)
	}
	c.result = []any{ids}
	return nil
}

func countSubscribers(c *metaCall) *wamp.Refusal {
	sub, refusal := c.subscription(0)
	if refusal != nil {
		return refusal
	}
	sub.mu.RLock()
	defer sub.mu.RUnlock()
	c.result = []any{len(sub.members)}
	return nil
}

// removeSubscriber revokes a subscription of one session: its arguments are the
// subscription, the session, and, by keyword, a reason. The subscriber is told
// if it announced that it understands (WAMP, "Subscription Revocation").
func removeSubscriber(c *metaCall) *wamp.Refusal {
	sub, refusal := c.subscription(0)
	if refusal != nil {
		return refusal
	}
	s, refusal := c.session(1)
	if refusal != nil {
		return refusal
	}
	reason, refusal := c.option("reason")
	if refusal != nil {
		return refusal
	}
	s.mu.Lock()
	me := s.subscriptions[sub.id]
	s.mu.Unlock()
	if me == nil || !c.realm.broker.remove(me) {
		return subscriptionUnknown
	}
	if s.peer.Roles.Subscriber.Has(wamp.SubscriptionRevocation) {
		c.t.send(s, &wamp.Unsubscribed{Details: wamp.Revocation{Subscription: sub.id, Reason: reason}})
	}
	return nil
}

var subscriptionUnknown = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchSubscription,
	Text: "there is no such subscription"}
