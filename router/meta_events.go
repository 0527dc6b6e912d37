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

// metaEvents are events of the router's own that wait to be published. They are noted
// under the lock of the table that changed, so that their order is that of the changes.
// One goroutine publishes them, which exists only while some wait: no session pays with
// its own time for what others do. Where more than Limits.MetaEvents bytes wait, the
// sessions that make the changes wait: whoever watches and reads gets every event. A
// nil *metaEvents notes and publishes nothing.
type metaEvents struct {
	api     *metaAPI
	pending atomic.Int64 // bytes
	running sync.WaitGroup

	mu         sync.Mutex
	queue      []metaEvent
	publishing bool          // the goroutine exists
	room       chan struct{} // closed when there is room again; nil if nobody waits for it
}

type metaEvent struct {
	topic   wamp.URI
	payload wamp.Payload
}

// bytes is what the event takes while it waits, about.
func (e *metaEvent) bytes() int64 { return 128 + int64(e.payload.WireSize()) }

// ifSubscribed returns e, or nil if nobody is subscribed to any of the topics. It must
// not be called under a lock of the broker's index.
func (e *metaEvents) ifSubscribed(topics ...wamp.URI) *metaEvents {
	if e == nil || e.api.realm.link != nil { // who is subscribed on other nodes isn't known here
		return e
	}
	for _, topic := range topics {
		if _, ok := e.api.realm.broker.topics.Best(topic); ok {
			return e
		}
	}
	return nil
}

// forURI is ifSubscribed for events about a URI. Those about the router's own topics
// are left out, or whoever watches subscriptions would see himself watch.
func (e *metaEvents) forURI(uri wamp.URI, topics ...wamp.URI) *metaEvents {
	if uri.Reserved() {
		return nil
	}
	return e.ifSubscribed(topics...)
}

// enqueue adds an event. publish must follow.
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

// publish sees to it that what was noted is published. The session by, whose doing it
// was, waits if too much of that is left to do. No lock is held, and the batch's inbound
// message has been dealt with.
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

// awaitRoom waits until at most limit bytes wait.
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

// run publishes until nothing waits.
func (e *metaEvents) run(r *Router) {
	b := r.newBatch()
	b.mayWait = true
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

// publish delivers one event of the router's own.
func (api *metaAPI) publish(b *batch, e *metaEvent) {
	m := &wamp.Publish{Topic: e.topic, Payload: e.payload}
	b.begin(api.service, e.topic, m)
	b.event = wamp.Event{Publication: wamp.RandomID(), Payload: e.payload}
	b.lastPublish.routeKey = routeKey{}
	api.realm.broker.find(b, e.topic)
	_ = b.publishToCluster(api.service, m, b.event.Publication, false, nil) // what can't be sent is counted by the link
	for _, sub := range b.lastPublish.matched {
		b.makeRoom()
		sub.deliver(b, api.service, m)
	}
}

// check looks for events that nobody publishes.
func (e *metaEvents) check() bool {
	if e == nil {
		return true
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue) == 0 || e.publishing
}

// close waits until nothing is published any more.
func (e *metaEvents) close() {
	if e != nil {
		e.running.Wait()
	}
}

var tooManyChanges = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrLimitExceeded, Limit: wamp.LimitMetaEvents,
	Text: "the session waits: it and others change more than the meta API has told its subscribers of"}

// timestamp is a moment as the meta API writes it: ISO 8601, to the millisecond.
func timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }
