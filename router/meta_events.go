package router

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// The topics of the router's own events.
const (
	onJoin  wamp.URI = "wamp.session.on_join"
	onLeave wamp.URI = "wamp.session.on_leave"

	onSubscriptionCreate wamp.URI = "wamp.subscription.on_create"
	onSubscribe          wamp.URI = "wamp.subscription.on_subscribe"
	onUnsubscribe        wamp.URI = "wamp.subscription.on_unsubscribe"
	onSubscriptionDelete wamp.URI = "wamp.subscription.on_delete"

	onRegistrationCreate wamp.URI = "wamp.registration.on_create"
	onRegister           wamp.URI = "wamp.registration.on_register"
	onUnregister         wamp.URI = "wamp.registration.on_unregister"
	onRegistrationDelete wamp.URI = "wamp.registration.on_delete"
)

// metaEvents are events of the router's own on their way. They are noted under
// the lock of the table that changed, so that their order is that of the
// changes, and published after it is released, by whoever made a change: by one
// goroutine at a time. A nil *metaEvents notes and publishes nothing.
type metaEvents struct {
	api     *metaAPI
	pending atomic.Int32 // len(waiting)

	mu         sync.Mutex
	waiting    []metaEvent
	publishing bool // somebody publishes
}

type metaEvent struct {
	topic wamp.URI
	args  []any
}

// ifSubscribed returns e, or nil if nobody is subscribed to any of the topics. It must
// not be called under a lock of the broker's index.
func (e *metaEvents) ifSubscribed(topics ...wamp.URI) *metaEvents {
	if e == nil {
		return nil
	}
	for _, topic := range topics {
		if _, ok := e.api.realm.broker.topics.Best(topic); ok {
			return e
		}
	}
	return nil
}

// forURI is wanted for events about a URI. Those about the router's own topics
// are left out, or whoever watches subscriptions would see himself watch.
func (e *metaEvents) forURI(uri wamp.URI, topics ...wamp.URI) *metaEvents {
	if uri.Reserved() {
		return nil
	}
	return e.ifSubscribed(topics...)
}

// note adds an event. publish must follow.
func (e *metaEvents) note(topic wamp.URI, args ...any) {
	if e == nil {
		return
	}
	e.mu.Lock()
	e.waiting = append(e.waiting, metaEvent{topic, args})
	e.pending.Store(int32(len(e.waiting)))
	e.mu.Unlock()
}

// publish delivers what was noted, unless somebody else is at it, who then
// delivers this too. The batch's inbound message has been dealt with before.
func (e *metaEvents) publish(b *batch) {
	if e == nil || e.pending.Load() == 0 {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.publishing {
		return
	}
	e.publishing = true
	for len(e.waiting) > 0 {
		batch := e.waiting
		e.waiting = nil
		e.pending.Store(0)
		e.mu.Unlock()
		for i := range batch {
			e.api.publish(b, &batch[i])
		}
		e.mu.Lock()
	}
	e.publishing = false
}

// publish delivers one event of the router's own.
func (api *metaAPI) publish(b *batch, e *metaEvent) {
	payload, err := codec.EncodePayload(api.service.peer.Serializer, e.args, nil)
	if err != nil {
		b.router.log.Error("cannot encode an event", "topic", string(e.topic), "error", err)
		return
	}
	m := &wamp.Publish{Topic: e.topic, Payload: payload}
	b.begin(api.service, e.topic, m)
	b.event = wamp.Event{Publication: wamp.RandomID(), Payload: payload}
	b.lastPublish.routeKey = routeKey{}
	api.realm.broker.find(b, e.topic)
	for _, sub := range b.lastPublish.matched {
		sub.deliver(b, api.service, m)
	}
}

// timestamp is a moment as the meta API writes it: ISO 8601, to the millisecond.
func timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
