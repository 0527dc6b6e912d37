package router

import (
	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// RetainedLimits bound what a realm keeps of retained events (WAMP, "Event
// Retention"). A publication that would exceed them is delivered, and not
// retained; what was retained of its topic before is forgotten, for it is no
// longer the last. A zero field stands for its default.
type RetainedLimits struct {
	// Topics that have a retained event. Default 1,024.
	Topics int
	// Bytes of all retained events. Default 16 MiB.
	Bytes int
}

// retained keeps, for each topic, the last event that was published to be
// retained; and where that one is not for everybody, the last one that is.
type retained struct {
	limits RetainedLimits

	// mu is held while retained events are put into the outbox of a new
	// subscriber, too: an event that replaces one of them then comes after it.
	mu     sync.RWMutex
	topics map[wamp.URI]*retainedTopic
	size   int
}

type retainedTopic struct {
	general *eventstore.Event // for everybody who is subscribed, or nil
	special *eventstore.Event // later, and for some, or nil
}

func newRetained(l *RetainedLimits) *retained {
	if l == nil {
		return nil
	}
	limits := *l
	def(&limits.Topics, 1024)
	def(&limits.Bytes, 16<<20)
	return &retained{limits: limits, topics: make(map[wamp.URI]*retainedTopic)}
}

// set retains an event, and reports whether there was room.
func (r *retained) set(event *wamp.Event, m *wamp.Publish, from wamp.ID) bool {
	e := eventstore.New(event, m, from)
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.topics[m.Topic]
	next := retainedTopic{general: e}
	if m.Options.Listed() {
		next = retainedTopic{special: e}
		if old != nil {
			next.general = old.general
		}
	}
	grown := next.bytes() - old.bytes()
	if old == nil && len(r.topics) >= r.limits.Topics || r.size+grown > r.limits.Bytes {
		r.size -= old.bytes()
		delete(r.topics, m.Topic)
		return false
	}
	r.size += grown
	r.topics[m.Topic] = &next
	return true
}

var notRetained = limitReached(wamp.LimitRetained, "the event is delivered, and not retained, nor is one before it: the realm retains as many, or bytes of them, as it may")

func (t *retainedTopic) bytes() (n int) {
	if t == nil {
		return 0
	}
	if t.general != nil {
		n += t.general.Size()
	}
	if t.special != nil {
		n += t.special.Size()
	}
	return n
}

// replay sends a new member of a subscription the retained events of its topics.
func (r *retained) replay(b *batch, s *session, m *wamp.Subscribe, match wamp.Match, id wamp.ID) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if match == wamp.MatchExact {
		r.topics[m.Topic].send(b, s, match, id)
		return
	}
	for topic, retained := range r.topics {
		if m.Topic.Matches(match, topic) {
			retained.send(b, s, match, id)
		}
	}
}

// send sends the most recent event that the session may have.
func (r *retainedTopic) send(b *batch, s *session, match wamp.Match, id wamp.ID) {
	if r == nil {
		return
	}
	for _, e := range [...]*eventstore.Event{r.special, r.general} {
		if e == nil || !mayReceive(e, &s.peer) {
			continue
		}
		topic := e.Event.Details.Topic
		b.event = e.Event
		b.event.Subscription = id
		b.event.Details.Retained = true
		if match == wamp.MatchExact {
			b.event.Details.Topic = ""
		}
		b.resetEncodings()
		if refusal := b.deliver(&s.realm.meta.service.peer, topic, &b.event, s); refusal != nil {
			b.dropped(s, refusal)
		}
		return
	}
}

// mayReceive reports whether a session would have got the event, had it been
// subscribed when the event was published.
func mayReceive(e *eventstore.Event, to *wamp.Peer) bool {
	return !(e.From == to.Session && e.Receivers.ExcludeMe.Or(true)) && admits(&e.Receivers, to)
}

// check looks for contradictions.
func (r *retained) check() bool {
	if r == nil {
		return true
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	n := 0
	for _, topic := range r.topics {
		n += topic.bytes()
	}
	return n == r.size && n <= r.limits.Bytes && len(r.topics) <= r.limits.Topics
}
