package router

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/uriindex"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// broker routes the events of one realm (WAMP, "Publish and Subscribe").
type broker struct {
	topics *uriindex.Index[*subscription]
	byID   sync.Map // wamp.ID -> *subscription
}

// subscription is one topic or pattern and its subscribers. It exists as long as it has
// members; one with a history exists as long as the realm.
type subscription struct {
	id      wamp.ID
	uri     wamp.URI
	match   wamp.Match
	created time.Time

	// mu is held for reading while an event is put into the members' send queues (which
	// never blocks), and for writing while a member is added or removed. SUBSCRIBED is
	// put under it, too, so it precedes the first EVENT.
	mu      sync.RWMutex
	members []*member

	history *history // of its events; nil if none is configured
}

// newSubscription makes a subscription without members. In a cluster, its id is derived
// from realm, match and URI, so that all nodes give it the same one.
func (m *realm) newSubscription(uri wamp.URI, match wamp.Match) *subscription {
	id := wamp.RandomID()
	if m.link != nil {
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s", m.name, match, uri))
		id = wamp.ID(binary.BigEndian.Uint64(sum[:])%uint64(wamp.MaxID)) + 1
	}
	return &subscription{id: id, uri: uri, match: match, created: time.Now()}
}

// member is one session's membership in a subscription.
type member struct {
	session      *session
	subscription *subscription
	index        int // its index in subscription.members
	// replayed is the last retention that the session got as retained events when it
	// subscribed. It must not get those again as they are published.
	replayed uint64
}

// subscriptionSet is one session's memberships, ordered by subscription id. Most
// sessions have a few, and a map would cost some 200 bytes.
type subscriptionSet []*member

func (h subscriptionSet) search(id wamp.ID) (at int, found bool) {
	return slices.BinarySearchFunc(h, id, func(m *member, id wamp.ID) int { return cmp.Compare(m.subscription.id, id) })
}

func (h subscriptionSet) get(id wamp.ID) *member {
	if at, found := h.search(id); found {
		return h[at]
	}
	return nil
}

func (h *subscriptionSet) add(m *member) {
	at, _ := h.search(m.subscription.id)
	*h = slices.Insert(*h, at, m)
}

func (h *subscriptionSet) remove(m *member) {
	at, _ := h.search(m.subscription.id)
	*h = slices.Delete(*h, at, at+1)
}

func newBroker() *broker { return &broker{topics: uriindex.New[*subscription]()} }

// publish routes a PUBLISH to the subscribers of its topic.
func (br *broker) publish(b *batch, from *session, m *wamp.Publish) *wamp.Refusal {
	b.begin(from, m.Topic, m)
	acknowledge := m.Options.Acknowledge == wamp.True
	disclose, refusal := br.admit(b, from, m)
	if refusal != nil {
		return from.refuse(b, wamp.TypePublish, m.Request, acknowledge, refusal)
	}
	publication := wamp.RandomID()
	br.fillEvent(b, from, m, publication, disclose)
	var keep *retainRequest
	if m.Options.Retain == wamp.True && from.realm.retained != nil {
		k := from.realm.retained.prepare(&b.event, m, from.peer.Session)
		keep = &k
	}
	if refusal := b.publishToCluster(from, m, publication, disclose, keep); refusal != nil {
		if acknowledge { // it has been delivered to nobody
			return from.refuse(b, wamp.TypePublish, m.Request, acknowledge, refusal)
		}
		b.dropped(from, refusal)
		keep = nil // all nodes retain the same
	}
	deliveries := br.deliverEvent(b, from, m, keep)
	if acknowledge {
		b.send(from, &wamp.Published{Request: m.Request, Publication: publication})
	}
	b.routed(from, deliveries)
	return nil
}

// fillEvent fills the batch's EVENT from a PUBLISH.
func (br *broker) fillEvent(b *batch, from *session, m *wamp.Publish, publication wamp.ID, disclose bool) {
	event := &b.event
	event.Publication = publication
	event.Payload = m.Payload
	event.Details = wamp.EventDetails{TrustLevel: from.trust, TransactionHash: m.Options.TransactionHash, Attributes: m.Options.Attributes}
	if disclose {
		event.Details.Publisher = from.peer.Session
		event.Details.PublisherAuthID = from.peer.AuthID
		event.Details.PublisherAuthRole = from.peer.AuthRole
	}
}

// deliverEvent delivers the batch's EVENT to all subscriptions of its topic, stores it
// in their histories, retains it (keep may be nil), and returns how many sessions got
// it.
func (br *broker) deliverEvent(b *batch, from *session, m *wamp.Publish, keep *retainRequest) (deliveries int) {
	event := &b.event
	b.retention = 0
	if keep != nil {
		b.retain(from.realm, keep)
		br.find(b, m.Topic) // a session that subscribed too early to get it as a retained event gets it as any other
	}
	if b.listed = m.Options.Listed(); b.listed {
		b.receivers = receiversOf(&m.Options)
		b.receivers.index()
	}
	for i, sub := range b.lastPublish.matched {
		if i > 0 {
			b.makeRoom() // a session gets the event once for each of its subscriptions that match
		}
		if sub.history != nil {
			sub.history.record(event, m, from.peer.Session)
		}
		deliveries += sub.deliver(b, from, m)
	}
	if b.listed {
		b.listed, b.receivers = false, receivers{}
	}
	b.retention = 0
	return deliveries
}

// retain retains an event; observers see it if there was no room.
func (b *batch) retain(m *realm, keep *retainRequest) {
	var room bool
	if b.retention, room = m.retained.set(keep); !room {
		b.dropped(m.meta.service, notRetained)
	}
}

// admit makes all checks of a PUBLISH that precede its delivery, and finds its
// subscriptions. The result for the batch's previous publication is used again if the
// topic is the same and nothing has changed.
func (br *broker) admit(b *batch, from *session, m *wamp.Publish) (disclose bool, refusal *wamp.Refusal) {
	now := routeKey{from: from, uri: m.Topic, changes: br.topics.Changes.Load(), hooks: from.realm.hooks.Load()}
	published := &b.lastPublish
	if published.routeKey != now {
		published.routeKey = routeKey{}
		if refusal := from.badURI(m.Topic, wamp.MatchExact); refusal != nil {
			return false, refusal
		}
		if m.Topic.Reserved() {
			return false, reservedURI
		}
		br.find(b, m.Topic)
		decision, refusal := b.authorized(from, ActionPublish, m.Topic, wamp.MatchExact)
		if refusal != nil {
			return false, refusal
		}
		if published.disclose = decision.Disclose; decision.Cacheable {
			published.routeKey = now
		}
	}
	return published.disclose || m.Options.DiscloseMe == wamp.True, b.intercepted(from.realm)
}

// find looks up the subscriptions of a topic and stores them in the batch.
func (br *broker) find(b *batch, topic wamp.URI) {
	b.lastPublish.matched = br.topics.All(b.lastPublish.matched[:0], topic)
}

// deliver puts the batch's EVENT into the send queues of the members that are to get
// it, and returns how many these are.
func (sub *subscription) deliver(b *batch, from *session, m *wamp.Publish) (deliveries int) {
	b.resetEncodings()
	b.event.Subscription = sub.id
	b.event.Details.Topic = ""
	if sub.match != wamp.MatchExact {
		b.event.Details.Topic = m.Topic
	}
	excludeMe := m.Options.ExcludeMe.Or(true)
	sub.mu.RLock()
	b.maxReceivers = len(sub.members)
	for _, member := range sub.members {
		to := member.session
		if to == from && excludeMe || b.listed && !b.receivers.admits(&to.peer) ||
			b.retention > 0 && b.retention <= member.replayed {
			continue
		}
		if refusal := b.deliver(&from.peer, m.Topic, &b.event, to); refusal != nil {
			b.dropped(to, refusal)
			continue
		}
		deliveries++
	}
	sub.mu.RUnlock()
	return deliveries
}

// subscribe adds a session to a subscription, which is created if there is none.
// Subscribing again returns the same subscription.
func (br *broker) subscribe(b *batch, s *session, m *wamp.Subscribe) *wamp.Refusal {
	b.begin(s, m.Topic, m)
	hooks := s.realm.hooks.Load()
	match, refusal := br.subscribable(b, s, m)
	if refusal != nil {
		return s.refuse(b, wamp.TypeSubscribe, m.Request, true, refusal)
	}
	events := s.realm.meta.events.forURI(m.Topic, onSubscriptionCreate, onSubscribe)
	link := s.realm.link
	if link != nil {
		b.flush() // as Interest may block for a while
		link.Interest(match, m.Topic, true)
	}
	var id wamp.ID
	joined := false
	var retention uint64
	replay := m.Options.GetRetained == wamp.True && s.realm.retained != nil
	if replay {
		retention = s.realm.retained.freeze()
	}
	if !br.topics.Update(match, m.Topic, func(sub *subscription, ok bool) (*subscription, bool) {
		if !ok {
			sub = s.realm.newSubscription(m.Topic, match)
		}
		sub.mu.Lock()
		defer sub.mu.Unlock()
		before := len(sub.members)
		if refusal = sub.addLocked(s, retention); refusal != nil {
			return sub, ok
		}
		id = sub.id
		if !ok {
			br.byID.Store(sub.id, sub)
			if events != nil {
				events.enqueue(onSubscriptionCreate, uint64(s.peer.Session), sub.describe())
			}
		}
		if joined = len(sub.members) > before; joined {
			events.enqueue(onSubscribe, uint64(s.peer.Session), uint64(sub.id))
		}
		b.send(s, &wamp.Subscribed{Request: m.Request, Subscription: sub.id})
		return sub, true
	}) {
		refusal = tooManyShapes
	}
	if link != nil && !joined {
		link.Interest(match, m.Topic, false)
	}
	if replay {
		if refusal == nil {
			s.realm.retained.replay(b, s, m, match, id)
		}
		s.realm.retained.thaw()
	}
	if refusal != nil {
		return s.refuse(b, wamp.TypeSubscribe, m.Request, true, refusal)
	}
	b.routed(s, 0)
	s.realm.meta.events.publish(b, s)
	if s.realm.hooks.Load() != hooks { // Reload may have checked the session before it had this
		s.revokeForbidden(b)
	}
	return nil
}

func (br *broker) subscribable(b *batch, s *session, m *wamp.Subscribe) (wamp.Match, *wamp.Refusal) {
	match, ok := wamp.ParseMatch(m.Options.Match)
	if !ok {
		return match, unknownMatch
	}
	if refusal := s.badURI(m.Topic, match); refusal != nil {
		return match, refusal
	}
	_, refusal := b.authorized(s, ActionSubscribe, m.Topic, match)
	return match, refusal
}

// addLocked adds a session as a member, if it is not one already. retention is the last
// retention that the session gets as retained events. sub.mu is held.
func (sub *subscription) addLocked(s *session, retention uint64) *wamp.Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.left:
		return sessionEnded
	case s.subscriptions.get(sub.id) != nil:
		return nil
	}
	if refusal := overLimit(len(s.subscriptions), s.router.limits().Subscriptions, tooManySubscriptions); refusal != nil {
		return refusal
	}
	me := &member{session: s, subscription: sub, index: len(sub.members), replayed: retention}
	s.subscriptions.add(me)
	sub.members = append(sub.members, me)
	return nil
}

// unsubscribe removes a session from a subscription.
func (br *broker) unsubscribe(b *batch, s *session, m *wamp.Unsubscribe) *wamp.Refusal {
	b.begin(s, "", m)
	s.mu.Lock()
	me := s.subscriptions.get(m.Subscription)
	s.mu.Unlock()
	if me == nil {
		return s.refuse(b, wamp.TypeUnsubscribe, m.Request, true, noSuchSubscription)
	}
	br.remove(me)
	b.send(s, &wamp.Unsubscribed{Request: m.Request})
	b.routed(s, 0)
	s.realm.meta.events.publish(b, s)
	return nil
}

var noSuchSubscription = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchSubscription,
	Text: "the session has no subscription with this id"}

// remove removes a member from its subscription, and the subscription if it was the
// last. It reports false if it had been removed already. It queues meta events; the
// caller publishes them.
func (br *broker) remove(me *member) (removed bool) {
	sub, s := me.subscription, me.session
	s.mu.Lock()
	removed = s.subscriptions.get(sub.id) == me
	if removed {
		s.subscriptions.remove(me)
	}
	s.mu.Unlock()
	if !removed {
		return false
	}
	events := s.realm.meta.events.forURI(sub.uri, onUnsubscribe, onSubscriptionDelete)
	br.topics.Update(sub.match, sub.uri, func(*subscription, bool) (*subscription, bool) {
		sub.mu.Lock()
		defer sub.mu.Unlock()
		last := len(sub.members) - 1
		moved := sub.members[last]
		sub.members[me.index], moved.index = moved, me.index
		sub.members[last] = nil
		sub.members = sub.members[:last]
		keep := last > 0 || sub.history != nil
		events.enqueue(onUnsubscribe, uint64(s.peer.Session), uint64(sub.id))
		if !keep {
			br.byID.Delete(sub.id)
			events.enqueue(onSubscriptionDelete, uint64(s.peer.Session), uint64(sub.id))
		}
		return sub, keep
	})
	if link := s.realm.link; link != nil {
		link.Interest(sub.match, sub.uri, false)
	}
	return true
}

// leave removes a session that has ended from all its subscriptions.
func (br *broker) leave(b *batch, s *session) {
	s.mu.Lock()
	members := slices.Clone(s.subscriptions)
	s.mu.Unlock()
	for _, me := range members {
		br.remove(me)
		s.realm.meta.events.publish(b, s)
	}
}
