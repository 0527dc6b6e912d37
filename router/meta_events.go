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

// metaEvents are the router's own events that wait to be published. They are queued
// under the lock of the table that changed, so their order is that of the changes. One
// goroutine publishes them; it exists only while events wait, so no session spends its
// own time on publishing. If more than Limits.MetaEvents bytes wait, the sessions that
// cause the changes wait: a subscriber that keeps reading gets every event. A nil
// *metaEvents queues and publishes nothing.
type metaEvents struct {
	api     *metaAPI
	pending atomic.Int64 // bytes
	running sync.WaitGroup

	mu         sync.Mutex
	queue      []metaEvent
	publishing bool          // the goroutine exists
	budget     waitBudget    // that goroutine's
	room       chan struct{} // closed when there is room again; nil if no session waits
}

type metaEvent struct {
	topic   wamp.URI
	payload wamp.Payload
}

// bytes is about what the event takes while it waits.
func (e *metaEvent) bytes() int64 { return 128 + int64(e.payload.WireSize()) }

// ifSubscribed returns e, or nil if none of the topics has a subscriber. It must not be
// called under a lock of the broker's index.
func (e *metaEvents) ifSubscribed(topics ...wamp.URI) *metaEvents {
	if e == nil || e.api.realm.link != nil { // the subscribers on other nodes are not known here
		return e
	}
	for _, topic := range topics {
		if _, ok := e.api.realm.broker.topics.Best(topic); ok {
			return e
		}
	}
	return nil
}

// forURI is ifSubscribed for events about uri. There are none about the router's own
// topics: otherwise a client that subscribes to subscription events would get events
// about its own subscription.
func (e *metaEvents) forURI(uri wamp.URI, topics ...wamp.URI) *metaEvents {
	if uri.Reserved() {
		return nil
	}
	return e.ifSubscribed(topics...)
}

// enqueue adds an event. The caller must call publish afterwards.
func (e *metaEvents) enqueue(topic wamp.URI, args ...any) {
	if e == nil {
		return
	}
	payload, err := codec.EncodePayload(e.api.service.peer.Serializer, args, nil)
	if err != nil {
		e.api.realm.log.Error("cannot encode an event", "topic", string(topic), "error", err)
		return
	}
	event := metaEvent{topic, payload}
	e.mu.Lock()
	e.queue = append(e.queue, event)
	e.pending.Add(event.bytes())
	e.mu.Unlock()
}

// publish makes sure that queued events are published. by is the session that caused
// them; it waits if too many bytes are queued. The caller holds no lock, and has
// finished with the batch's inbound message.
func (e *metaEvents) publish(b *batch, by *session) {
	if e == nil || e.pending.Load() == 0 {
		return
	}
	e.mu.Lock()
	if len(e.queue) > 0 && !e.publishing {
		e.publishing = true
		r := b.router
		e.running.Go(func() { e.run(r) })
	}
	e.mu.Unlock()
	if e.pending.Load() > int64(b.router.limits().MetaEvents) {
		b.observe(Observation{Kind: Slowed, Realm: by.peer.Realm, Peer: &by.peer, Routed: &b.inbound, Refusal: tooManyChanges})
		b.flush()
		e.awaitRoom(int64(b.router.limits().MetaEvents))
	}
}

// awaitRoom blocks until at most limit bytes wait.
func (e *metaEvents) awaitRoom(limit int64) {
	for {
		e.mu.Lock()
		if e.pending.Load() <= limit {
			e.mu.Unlock()
			return
		}
		if e.room == nil {
			e.room = make(chan struct{})
		}
		room := e.room
		e.mu.Unlock()
		<-room
	}
}

// metaBatch is how many events are published between two flushes.
const metaBatch = 64

// run publishes until the queue is empty.
func (e *metaEvents) run(r *Router) {
	b := r.newBatch()
	b.budget = &e.budget
	defer b.end()
	var events []metaEvent
	for {
		e.mu.Lock()
		n := min(len(e.queue), metaBatch)
		if n == 0 {
			e.queue, e.publishing = nil, false
			e.mu.Unlock()
			return
		}
		events = append(events[:0], e.queue[:n]...)
		clear(e.queue[:n])
		e.queue = e.queue[n:]
		e.mu.Unlock()
		done := int64(0)
		for i := range events {
			e.api.publish(b, &events[i])
			done += events[i].bytes()
		}
		b.flush()
		e.mu.Lock()
		e.pending.Add(-done)
		if e.room != nil {
			close(e.room)
			e.room = nil
		}
		e.mu.Unlock()
	}
}

// publish delivers one event.
func (api *metaAPI) publish(b *batch, e *metaEvent) {
	m := &wamp.Publish{Topic: e.topic, Payload: e.payload}
	b.begin(api.service, e.topic, m)
	b.event = wamp.Event{Publication: wamp.RandomID(), Payload: e.payload}
	b.lastPublish.routeKey = routeKey{}
	api.realm.broker.find(b, e.topic)
	_ = b.publishToCluster(api.service, m, b.event.Publication, false, nil) // the link counts what it can't send
	for _, sub := range b.lastPublish.matched {
		b.makeRoom()
		sub.deliver(b, api.service, m)
	}
}

// check reports whether a goroutine publishes what is queued.
func (e *metaEvents) check() bool {
	if e == nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue) == 0 || e.publishing
}

// close waits until the goroutine has ended.
func (e *metaEvents) close() {
	if e != nil {
		e.running.Wait()
	}
}

var tooManyChanges = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Limit: wamp.LimitMetaEvents,
	Text: "too many meta events are waiting (limits.meta_events): the session waits until subscribers have got them"}

// timestamp formats a time as the meta API does: ISO 8601, in milliseconds.
func timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
