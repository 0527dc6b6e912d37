package router

import (
	"cmp"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
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

	// mu is held, from before a new subscriber can be found until the retained
	// events are in its queue, so that every event comes either as a retained one or
	// after these.
	mu     sync.RWMutex
	topics map[wamp.URI]*retainedTopic
	size   int
	last   uint64 // retention: they are numbered from 1
}

type retainedTopic struct {
	unrestricted retainedEvent // for everybody who is subscribed
	restricted   retainedEvent // later, and for some
}

type retainedEvent struct {
	event     *eventstore.Event // nil: none
	retention uint64
}

func newRetained(l *RetainedLimits) *retained {
	if l == nil {
		return nil
	}
	limits := *l
	setDefault(&limits.Topics, 1024)
	setDefault(&limits.Bytes, 16<<20)
	return &retained{limits: limits, topics: make(map[wamp.URI]*retainedTopic)}
}

// set retains an event, and returns the number of the retention, or 0 if there was no
// room.
func (r *retained) set(event *wamp.Event, m *wamp.Publish, from wamp.ID) (retention uint64) {
	e := retainedEvent{event: eventstore.New(event, m, from)}
	r.mu.Lock()
	defer r.mu.Unlock()
	e.retention = r.last + 1
	old := r.topics[m.Topic]
	next := retainedTopic{unrestricted: e}
	if m.Options.Listed() {
		next = retainedTopic{restricted: e}
		if old != nil {
			next.unrestricted = old.unrestricted
		}
	}
	grown := next.bytes() - old.bytes()
	if old == nil && len(r.topics) >= r.limits.Topics || r.size+grown > r.limits.Bytes {
		r.size -= old.bytes()
		delete(r.topics, m.Topic)
		return 0
	}
	r.size += grown
	r.topics[m.Topic] = &next
	r.last = e.retention
	return r.last
}

var notRetained = limitReached(wamp.LimitRetained, "the event is delivered, and not retained, nor is one before it: the realm retains as many, or bytes of them, as it may")

func (t *retainedTopic) bytes() (n int) {
	if t == nil {
		return 0
	}
	for _, e := range [...]*eventstore.Event{t.unrestricted.event, t.restricted.event} {
		if e != nil {
			n += e.Size()
		}
	}
	return n
}

// freeze keeps what is retained as it is until thaw, and returns the last retention.
func (r *retained) freeze() (retention uint64) {
	r.mu.RLock()
	return r.last
}

func (r *retained) thaw() { r.mu.RUnlock() }

// replay sends a subscriber the retained events of its topics, in the order in which
// they were retained. It is called between freeze and thaw.
func (r *retained) replay(b *batch, s *session, m *wamp.Subscribe, match wamp.Match, id wamp.ID) {
	if match == wamp.MatchExact {
		if e := r.topics[m.Topic].latest(&s.peer); e.event != nil {
			replay(b, s, e.event, match, id)
		}
		return
	}
	var events []retainedEvent
	for topic, retained := range r.topics {
		if !m.Topic.Matches(match, topic) {
			continue
		}
		if e := retained.latest(&s.peer); e.event != nil {
			events = append(events, e)
		}
	}
	slices.SortFunc(events, func(a, b retainedEvent) int { return cmp.Compare(a.retention, b.retention) })
	for _, e := range events {
		replay(b, s, e.event, match, id)
	}
}

// latest returns the last event that a session may have.
func (t *retainedTopic) latest(to *wamp.Peer) retainedEvent {
	if t == nil {
		return retainedEvent{}
	}
	for _, e := range [...]retainedEvent{t.restricted, t.unrestricted} {
		if e.event != nil && mayReceive(e.event, to) {
			return e
		}
	}
	return retainedEvent{}
}

// replay sends one retained event.
func replay(b *batch, s *session, e *eventstore.Event, match wamp.Match, id wamp.ID) {
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
}

// mayReceive reports whether a session would have got the event, had it been
// subscribed when the event was published.
func mayReceive(e *eventstore.Event, to *wamp.Peer) bool {
	return !(e.From == to.Session && e.Receivers.ExcludeMe.Or(true)) && e.Admits(to)
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
