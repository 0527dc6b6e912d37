package client

import (
	"context"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// SubscribeOptions are the options of a subscription. The zero value is WAMP's
// default.
type SubscribeOptions struct {
	Match       wamp.Match
	GetRetained bool
}

// Event is one event. The handler may keep it.
type Event struct {
	// Topic is the topic of the publication. A sealed payload is bound to it.
	Topic       wamp.URI
	Publication wamp.ID
	Args        []any
	Kwargs      map[string]any
	// Details come from the router. They are not sealed, and have URIs as on the wire.
	Details wamp.EventDetails
	// Sealed is true if the payload was opened by the Sealer.
	Sealed bool
	// Origin says who sealed it, when, and how much is missing before it, if the Sealer
	// knows.
	Origin *wamp.Origin
	// Lost is how many events of this subscription were dropped directly before this
	// one because the queue was full.
	Lost uint64
}

// EventHandler handles the events of one subscription, one after the other in
// the order of their arrival. ctx ends with the session.
type EventHandler func(ctx context.Context, e *Event)

// Subscription is one handler of one topic or pattern.
//
// It has its own queue of events (Limits.Queue, Limits.QueueBytes), so that a slow
// handler delays nothing else. If the queue is full, events are dropped:
// Config.OnError gets an *OverflowError, and the next event says how many were lost.
type Subscription struct {
	s       *Session
	t       *topic
	handler EventHandler
	events  *queue[queuedEvent]

	mu      sync.Mutex
	running bool   // drain is running
	lost    uint64 // since the last event that was queued
	ended   bool
	done    chan struct{}
	err     error
}

// queuedEvent is an event in a queue.
type queuedEvent struct {
	m    *wamp.Event
	lost uint64
}

type topicKey struct {
	uri   wamp.URI
	match wamp.Match
}

// topic is one subscription on the wire with all its handlers. For the router, a
// session subscribes to a topic only once.
type topic struct {
	topicKey
	wire wamp.URI
	// lock holds a token while a goroutine subscribes or unsubscribes, so that these
	// requests do not overtake each other.
	lock chan struct{}

	// Session.mu guards what follows.
	users int // goroutines that use the topic
	subs  []*Subscription
	link  *link // where it is subscribed, as id
	id    wamp.ID
}

// Subscribe subscribes a handler to a topic, or with Match to a pattern of
// topics. No event is lost between the router's answer and the return of Subscribe:
// the handler may be called before Subscribe returns.
func (s *Session) Subscribe(ctx context.Context, uri wamp.URI, handler EventHandler, o SubscribeOptions) (*Subscription, error) {
	l, err := s.current()
	if err != nil {
		return nil, err
	}
	wire, err := s.scramble(uri, o.Match)
	if err != nil {
		return nil, err
	}
	t := s.acquireTopic(topicKey{uri, o.Match}, wire)
	if err := t.acquire(ctx); err != nil {
		s.releaseTopic(t)
		return nil, err
	}
	sub := &Subscription{s: s, t: t, handler: handler, events: newQueue[queuedEvent](&s.config.Limits), done: make(chan struct{})}
	if !o.GetRetained && t.join(l, sub) {
		t.release()
		s.releaseTopic(t)
		return sub, nil
	}
	w, err := l.subscribe(ctx, t, flag(o.GetRetained), sub)
	if err != nil {
		t.release()
		s.releaseTopic(t)
		return nil, err
	}
	select {
	case <-w.done:
		t.release()
		s.releaseTopic(t)
		if w.err != nil {
			return nil, w.err
		}
		return sub, nil
	case <-ctx.Done():
		// The router has not answered yet. The subscription must be removed then.
		sub.stop(ctx.Err())
		go func() {
			<-w.done
			_ = sub.removeHandler()
			s.releaseTopic(t)
		}()
		return nil, ctx.Err()
	}
}

// subscribe sends SUBSCRIBE for t. The caller holds t.lock. sub, if not nil, is added to
// the handlers before the first event is read.
func (l *link) subscribe(ctx context.Context, t *topic, retained wamp.Flag, sub *Subscription) (*pendingAnswer, error) {
	m := &wamp.Subscribe{Topic: t.wire, Options: wamp.SubscribeOptions{GetRetained: retained}}
	if t.match != wamp.MatchExact {
		m.Options.Match = t.match.String()
	}
	return l.startRequest(ctx, m, &m.Request, func(id wamp.ID) {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		t.link, t.id = l, id
		l.topics[id] = t
		if sub != nil {
			t.subs = append(t.subs, sub)
		}
	})
}

func (s *Session) acquireTopic(key topicKey, wire wamp.URI) *topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[key]
	if t == nil {
		t = &topic{topicKey: key, wire: wire, lock: make(chan struct{}, 1)}
		s.topics[key] = t
	}
	t.users++
	return t
}

func (s *Session) releaseTopic(t *topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users == 0 && len(t.subs) == 0 && s.topics[t.topicKey] == t {
		delete(s.topics, t.topicKey)
	}
}

func (t *topic) acquire(ctx context.Context) error {
	select {
	case t.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *topic) release() { <-t.lock }

// join adds a handler to a topic that is subscribed already.
func (t *topic) join(l *link, sub *Subscription) bool {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	if l.down || t.link != l || len(t.subs) == 0 {
		return false
	}
	t.subs = append(t.subs, sub)
	return true
}

// Topic returns the topic or pattern.
func (sub *Subscription) Topic() wamp.URI { return sub.t.uri }

// Done is closed when the subscription has ended, by Unsubscribe or by the
// router. It does not end with the session.
func (sub *Subscription) Done() <-chan struct{} { return sub.done }

// Err returns why the subscription ended: nil if it has not, or by Unsubscribe.
func (sub *Subscription) Err() error {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	return sub.err
}

// Unsubscribe ends the subscription. The handler is not called any more, not even for
// events that have arrived already; a call that has started is not waited for. If an
// error is returned, the subscription has still ended on this side.
func (sub *Subscription) Unsubscribe(ctx context.Context) error {
	if !sub.stop(nil) {
		return nil
	}
	s, t := sub.s, sub.t
	s.mu.Lock()
	t.users++
	s.mu.Unlock()
	gone := make(chan error, 1)
	go func() {
		_ = t.acquire(context.Background()) // its holder releases it when its connection ends
		gone <- sub.removeHandler()
		s.releaseTopic(t)
	}()
	select {
	case err := <-gone:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// stop ends the subscription here, and reports whether it had not ended before.
func (sub *Subscription) stop(reason error) bool {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.ended {
		return false
	}
	sub.ended, sub.err = true, reason
	close(sub.done)
	return true
}

// removeHandler removes sub from its topic, and unsubscribes from the topic if it was the last
// handler. The caller holds the topic's lock, which this releases.
func (sub *Subscription) removeHandler() error {
	s, t := sub.s, sub.t
	defer t.release()
	s.mu.Lock()
	t.subs = slices.DeleteFunc(t.subs, func(other *Subscription) bool { return other == sub })
	l, id := t.link, t.id
	last := len(t.subs) == 0 && l != nil && !l.down
	if last {
		t.link = nil
	}
	s.mu.Unlock()
	if !last {
		return nil
	}
	m := &wamp.Unsubscribe{Subscription: id}
	return l.remove(m, &m.Request, func(wamp.ID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(l.topics, id)
	})
}

// remove sends an UNSUBSCRIBE or UNREGISTER, and waits for the answer or for the end of
// the connection, which has the same effect.
func (l *link) remove(m wamp.Message, id *wamp.ID, then func(wamp.ID)) error {
	w, err := l.startRequest(l.ctx, m, id, then)
	if err == nil {
		<-w.done
		err = w.err
	}
	if l.isClosed() {
		return nil
	}
	return err
}

// event queues an event for all handlers of its topic. If there is no subscription, the
// event was in flight when the subscription ended.
func (l *link) event(m *wamp.Event) error {
	l.s.mu.Lock()
	defer l.s.mu.Unlock()
	t := l.topics[m.Subscription]
	if t == nil || len(t.subs) == 0 {
		return nil
	}
	kept := *m
	kept.Payload = m.Payload.Clone()
	for _, sub := range t.subs {
		sub.push(&kept)
	}
	return nil
}

// push queues an event. It does not wait.
func (sub *Subscription) push(m *wamp.Event) {
	sub.mu.Lock()
	defer sub.mu.Unlock()
	if sub.ended {
		return
	}
	if !sub.events.push(queuedEvent{m, sub.lost}, m.Payload.WireSize(), false) {
		if sub.lost++; sub.lost == 1 {
			go sub.s.report(&OverflowError{URI: sub.t.uri})
		}
		return
	}
	sub.lost = 0
	if !sub.running {
		sub.running = true
		go sub.drain()
	}
}

// drain handles events until none is left.
func (sub *Subscription) drain() {
	for {
		sub.mu.Lock()
		a, ok := sub.events.pop()
		if !ok || sub.ended || context.Cause(sub.s.ctx) == ErrClosed {
			sub.running = false
			sub.mu.Unlock()
			return
		}
		sub.mu.Unlock()
		e, err := sub.openEvent(a)
		if err != nil {
			sub.s.report(err)
			continue
		}
		sub.handle(e)
	}
}

// handle calls the handler. If it panics, that is reported, and the next event comes.
func (sub *Subscription) handle(e *Event) {
	defer func() {
		if v := recover(); v != nil {
			sub.s.report(panicked(e.Topic, v))
		}
	}()
	sub.handler(sub.s.ctx, e)
}

// openEvent returns the Event for the handler.
func (sub *Subscription) openEvent(a queuedEvent) (*Event, error) {
	topic, err := sub.s.resolveURI(sub.t.uri, sub.t.wire, sub.t.match, a.m.Details.Topic)
	if err != nil {
		return nil, err
	}
	c, err := sub.s.open(sealContext{Subject: wamp.Subject{Type: wamp.TypePublish, URI: topic, Stored: a.m.Details.Retained}}, &a.m.Details.Attributes, &a.m.Payload)
	if err != nil {
		return nil, err
	}
	return &Event{Topic: topic, Publication: a.m.Publication, Args: c.args, Kwargs: c.kwargs,
		Details: a.m.Details, Sealed: c.sealed, Origin: c.origin, Lost: a.lost}, nil
}

// resolveURI returns the topic or procedure of a message: the URI that was subscribed or
// registered, or, for a pattern, the URI in the details. That must match the pattern:
// otherwise the router could choose a URI without a key.
func (s *Session) resolveURI(uri, wire wamp.URI, match wamp.Match, named wamp.URI) (wamp.URI, error) {
	switch {
	case match == wamp.MatchExact && (named == "" || named == wire):
		return uri, nil
	case named == "" || !wire.Matches(match, named):
		return "", violation("the details contain no URI that matches the pattern")
	}
	return s.restoreURI(named)
}

// revokeSubscription ends a subscription that the router took away (WAMP,
// "Subscription Revocation").
func (l *link) revokeSubscription(d wamp.Revocation) {
	l.s.mu.Lock()
	t := l.topics[d.Subscription]
	var subs []*Subscription
	if t != nil {
		delete(l.topics, d.Subscription)
		subs, t.subs = t.subs, nil
		if t.link == l {
			t.link = nil
		}
		if t.users == 0 && l.s.topics[t.topicKey] == t {
			delete(l.s.topics, t.topicKey)
		}
	}
	l.s.mu.Unlock()
	for _, sub := range subs {
		if err := revoked(d.Reason); sub.stop(err) {
			l.s.report(err)
		}
	}
}

func revoked(reason string) *Error {
	uri := wamp.URI(reason)
	if !uri.Valid(wamp.MatchExact) {
		uri = wamp.ErrUnavailable
	}
	return &Error{URI: uri, Message: "revoked by the router"}
}
