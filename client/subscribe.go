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

// Event is one event. It is the handler's to keep.
type Event struct {
	// Topic is what the event was published to. A sealed payload is bound to it.
	Topic       wamp.URI
	Publication wamp.ID
	Args        []any
	Kwargs      map[string]any
	// Details are those of the router: not sealed, and with URIs as on the wire.
	Details wamp.EventDetails
	// Sealed tells that the payload was opened by the Sealer.
	Sealed bool
	// Origin is who sealed it, when, and what is missing before it, if the Sealer
	// tells.
	Origin *wamp.Origin
	// Lost is how many events of this subscription were dropped directly before
	// this one, because the queue was full.
	Lost uint64
}

// EventHandler handles the events of one subscription, one after the other in
// the order of their arrival. ctx ends with the session.
type EventHandler func(ctx context.Context, e *Event)

// Subscription is one handler of one topic or pattern.
//
// Its events wait in a queue of their own (Limits.Queue, Limits.QueueBytes), so
// that a slow handler holds up nothing else. Events that find it full are
// dropped: Config.OnError gets an *OverflowError, and the next event that is
// handled says how many were lost.
type Subscription struct {
	s       *Session
	t       *topic
	handler EventHandler
	events  *queue[arrival]

	mu      sync.Mutex
	running bool   // drain is at work
	lost    uint64 // since the last event that was queued
	ended   bool
	done    chan struct{}
	err     error
}

// arrival is an event in a queue.
type arrival struct {
	m    *wamp.Event
	lost uint64
}

type topicKey struct {
	uri   wamp.URI
	match wamp.Match
}

// topic is one subscription on the wire, with all its handlers here: to a
// router, a session subscribes to a topic once.
type topic struct {
	topicKey
	wire wamp.URI
	// turn holds a token while someone subscribes or unsubscribes, so that the
	// two don't overtake each other.
	turn chan struct{}

	// Session.mu guards what follows.
	users int // who hold on to the topic, beside its subscriptions
	subs  []*Subscription
	link  *link // where it is subscribed, as id
	id    wamp.ID
}

// Subscribe subscribes a handler to a topic, or with Match to a pattern of
// topics. No event is lost between the router's answer and Subscribe's return:
// the handler may be called before.
func (s *Session) Subscribe(ctx context.Context, uri wamp.URI, handler EventHandler, o SubscribeOptions) (*Subscription, error) {
	l, err := s.current()
	if err != nil {
		return nil, err
	}
	wire, err := s.scramble(uri, o.Match)
	if err != nil {
		return nil, err
	}
	t := s.holdTopic(topicKey{uri, o.Match}, wire)
	if err := t.take(ctx); err != nil {
		s.leaveTopic(t)
		return nil, err
	}
	sub := &Subscription{s: s, t: t, handler: handler, events: newQueue[arrival](&s.config.Limits), done: make(chan struct{})}
	if !o.GetRetained && t.join(l, sub) {
		t.release()
		s.leaveTopic(t)
		return sub, nil
	}
	w, err := l.subscribe(ctx, t, flag(o.GetRetained), sub)
	if err != nil {
		t.release()
		s.leaveTopic(t)
		return nil, err
	}
	select {
	case <-w.done:
		t.release()
		s.leaveTopic(t)
		if w.err != nil {
			return nil, w.err
		}
		return sub, nil
	case <-ctx.Done():
		// The router's answer is still to come, and to be undone.
		sub.stop(ctx.Err())
		go func() {
			<-w.done
			_ = sub.withdraw()
			s.leaveTopic(t)
		}()
		return nil, ctx.Err()
	}
}

// subscribe asks for the subscription of t; whoever calls has t's turn. sub, if
// any, is among its handlers before the first event is read.
func (l *link) subscribe(ctx context.Context, t *topic, retained wamp.Flag, sub *Subscription) (*wait, error) {
	m := &wamp.Subscribe{Topic: t.wire, Options: wamp.SubscribeOptions{GetRetained: retained}}
	if t.match != wamp.MatchExact {
		m.Options.Match = t.match.String()
	}
	return l.ask(ctx, m, &m.Request, func(id wamp.ID) {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		t.link, t.id = l, id
		l.topics[id] = t
		if sub != nil {
			t.subs = append(t.subs, sub)
		}
	})
}

func (s *Session) holdTopic(key topicKey, wire wamp.URI) *topic {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.topics[key]
	if t == nil {
		t = &topic{topicKey: key, wire: wire, turn: make(chan struct{}, 1)}
		s.topics[key] = t
	}
	t.users++
	return t
}

func (s *Session) leaveTopic(t *topic) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.users--; t.users == 0 && len(t.subs) == 0 && s.topics[t.topicKey] == t {
		delete(s.topics, t.topicKey)
	}
}

func (t *topic) take(ctx context.Context) error {
	select {
	case t.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *topic) release() { <-t.turn }

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

// Unsubscribe ends the subscription. The handler is not called any more, even
// for events that have arrived already, except that a call which has begun is
// not waited for. Where an error is returned, the subscription has ended here
// all the same.
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
		_ = t.take(context.Background()) // each holder's wait ends with its connection
		gone <- sub.withdraw()
		s.leaveTopic(t)
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

// withdraw takes sub off its topic, and unsubscribes from the topic if it was
// the last. Whoever calls has the topic's turn, which this gives back.
func (sub *Subscription) withdraw() error {
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
	return l.undo(m, &m.Request, func(wamp.ID) {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(l.topics, id)
	})
}

// undo sends an UNSUBSCRIBE or UNREGISTER and waits for the answer, or for the
// end of the connection, which does as well.
func (l *link) undo(m wamp.Message, id *wamp.ID, then func(wamp.ID)) error {
	w, err := l.ask(l.ctx, m, id, then)
	if err == nil {
		<-w.done
		err = w.err
	}
	if l.over() {
		return nil
	}
	return err
}

// event queues an event for all handlers of its topic. One that belongs to no
// subscription may have been under way while that ended.
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
	if !sub.events.push(arrival{m, sub.lost}, m.Payload.WireSize(), false) {
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
		e, err := sub.opened(a)
		if err != nil {
			sub.s.report(err)
			continue
		}
		sub.handler(sub.s.ctx, e)
	}
}

// opened makes the Event that the handler gets.
func (sub *Subscription) opened(a arrival) (*Event, error) {
	topic, err := sub.s.actual(sub.t.uri, sub.t.wire, sub.t.match, a.m.Details.Topic)
	if err != nil {
		return nil, err
	}
	c, err := sub.s.open(subject{Subject: wamp.Subject{Type: wamp.TypePublish, URI: topic, Stored: a.m.Details.Retained}}, &a.m.Details.Attributes, &a.m.Payload)
	if err != nil {
		return nil, err
	}
	return &Event{Topic: topic, Publication: a.m.Publication, Args: c.args, Kwargs: c.kwargs,
		Details: a.m.Details, Sealed: c.sealed, Origin: c.origin, Lost: a.lost}, nil
}

// actual returns the topic or procedure that a message is about: what was asked
// for, or for a pattern what the details name. The router has no say beyond the
// pattern: it could otherwise choose a URI without a key.
func (s *Session) actual(uri, wire wamp.URI, match wamp.Match, named wamp.URI) (wamp.URI, error) {
	switch {
	case match == wamp.MatchExact && (named == "" || named == wire):
		return uri, nil
	case named == "" || !wire.Matches(match, named):
		return "", violation("the details name no URI that matches the pattern")
	}
	return s.restored(named)
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
