package router

import (
	"cmp"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// RetainedLimits bound the retained events of a realm (WAMP, "Event Retention"). A
// publication that would exceed them is delivered and not retained; the event of its
// topic that was retained before is dropped, as it is no longer the last. A zero field
// stands for its default.
type RetainedLimits struct {
	// Topics is how many topics may have a retained event. Default 1,024.
	Topics int
	// Bytes is the size of all retained events. Default 16 MiB.
	Bytes int
}

// retained holds, for each topic, the last event to be retained; and if that has lists
// of receivers, also the last one without.
type retained struct {
	limits RetainedLimits

	// mu is held, from before a new subscriber can be found until the retained
	// events are in its queue, so that every event comes either as a retained one or
	// after these.
	mu     sync.RWMutex
	topics map[wamp.URI]*retainedTopic
	size   int
	last   uint64 // the last retention; they are numbered from 1
	stamp  uint64 // the highest stamp made or seen
}

type retainedTopic struct {
	unrestricted retainedEvent // without lists of receivers
	restricted   retainedEvent // a later one, with lists of receivers
}

type retainedEvent struct {
	event     *eventstore.Event // nil: none
	stamp     uint64
	retention uint64
}

// after reports whether an event was published after another one. Nodes that see the
// same events in another order agree on it.
func (e *retainedEvent) after(other *retainedEvent) bool {
	if e.stamp != other.stamp || other.event == nil {
		return e.stamp > other.stamp || other.event == nil
	}
	return e.event.Event.Publication > other.event.Event.Publication
}

// Retention is what a publication does to the retained event of its topic.
type Retention uint8

const (
	// RetainNothing leaves it unchanged.
	RetainNothing Retention = iota
	// RetainThis replaces it by the publication.
	RetainThis
	// RetainNoMore removes it: the publication should have taken its place, and the
	// publisher's node had no room.
	RetainNoMore
)

// retainRequest is a publication that is to be retained.
type retainRequest struct {
	action Retention
	retainedEvent
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

// prepare makes the retainRequest of a publication of this node. Its stamp is higher
// than all that this node has seen, as the publisher may know of these.
func (r *retained) prepare(event *wamp.Event, m *wamp.Publish, from wamp.ID) retainRequest {
	k := retainRequest{RetainThis, retainedEvent{event: eventstore.New(event, m, from)}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamp = max(r.stamp+1, uint64(k.event.At.UnixMilli())<<stampBits)
	k.stamp = r.stamp
	next, old := r.withLocked(&k)
	switch {
	case r.hasRoomLocked(next, old):
	case old == nil:
		k.action = RetainNothing
	default:
		k.action = RetainNoMore
	}
	return k
}

// stampBits is how many bits of a stamp follow the milliseconds.
const stampBits = 16

// withLocked returns a topic as it is after an event has been retained, and as it is
// now.
func (r *retained) withLocked(k *retainRequest) (next, old *retainedTopic) {
	old = r.topics[k.event.Event.Details.Topic]
	next = new(retainedTopic)
	if old != nil {
		*next = *old
	}
	switch unrestricted := !k.event.Receivers.Listed(); {
	case !k.after(&next.unrestricted):
	case unrestricted && k.after(&next.restricted):
		*next = retainedTopic{unrestricted: k.retainedEvent}
	case unrestricted:
		next.unrestricted = k.retainedEvent
	case k.after(&next.restricted):
		next.restricted = k.retainedEvent
	}
	return next, old
}

// hasRoomLocked reports whether next may replace old within the limits.
func (r *retained) hasRoomLocked(next, old *retainedTopic) bool {
	return (old != nil || len(r.topics) < r.limits.Topics) && r.size+next.bytes()-old.bytes() <= r.limits.Bytes
}

// set retains an event, or drops the retained event of its topic. It returns the number
// of the retention; 0 if the event is not retained, because another node has published
// a later one or there is no room.
func (r *retained) set(k *retainRequest) (retention uint64, room bool) {
	topic := k.event.Event.Details.Topic
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stamp = max(r.stamp, k.stamp)
	k.retention = r.last + 1
	next, old := r.withLocked(k)
	switch {
	case k.action == RetainNothing:
		return 0, false
	case next.unrestricted.retention != k.retention && next.restricted.retention != k.retention:
		return 0, true
	case k.action == RetainNoMore, !r.hasRoomLocked(next, old):
		r.size -= old.bytes()
		delete(r.topics, topic)
		return 0, false
	}
	r.size += next.bytes() - old.bytes()
	r.topics[topic] = next
	r.last = k.retention
	return r.last, true
}

var notRetained = limitReached(wamp.LimitRetained, "event delivered but not retained: the realm's limit of retained events is reached (retained), and the previous event of this topic was dropped")

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

// freeze prevents changes until thaw, and returns the last retention.
func (r *retained) freeze() (retention uint64) {
	r.mu.RLock()
	return r.last
}

func (r *retained) thaw() { r.mu.RUnlock() }

// replay sends a subscriber the retained events of its topics, in the order of their
// retention. It is called between freeze and thaw.
func (r *retained) replay(b *batch, s *session, m *wamp.Subscribe, match wamp.Match, id wamp.ID) {
	if match == wamp.MatchExact {
		if e := r.topics[m.Topic].latest(&s.peer); e.event != nil {
			deliverRetained(b, s, e.event, match, id)
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
		deliverRetained(b, s, e.event, match, id)
	}
}

// latest returns the last event that a session may receive.
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

// deliverRetained sends one retained event.
func deliverRetained(b *batch, s *session, e *eventstore.Event, match wamp.Match, id wamp.ID) {
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

// check checks the invariants.
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
