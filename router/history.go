package router

import (
	"fmt"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// HistoryRule says which events a realm remembers (WAMP, "Event History"): those
// of the topics that URI selects under Match. Events published to sessions by
// their ids (exclude, eligible) are never remembered.
type HistoryRule struct {
	URI   wamp.URI
	Match wamp.Match
	// Limit is how many events are kept; the oldest goes first. Default 1,000.
	Limit int
	// Bytes is how many bytes they may take. Default 16 MiB.
	Bytes int
}

// history is the events of one rule. It belongs to the subscription of the same
// URI and match, which exists as long as the realm does, members or not.
type history struct {
	rule HistoryRule
	log  eventLog
}

// eventLog keeps the events of one rule, the oldest first. Its methods may be
// called concurrently.
type eventLog interface {
	// append adds an event. It may wait for others to be stored.
	append(k *kept)
	// scan calls f with each event, the oldest first or last, until f returns
	// false. Events appended before the call are among them.
	scan(reverse bool, f func(k *kept) bool) error
	// check looks for contradictions.
	check() error
}

// newHistories makes the subscriptions that the rules are about.
func (m *realm) newHistories(rules []HistoryRule, file string) error {
	if len(rules) == 0 {
		return nil
	}
	if file != "" {
		var err error
		if m.historyFile, err = openHistoryFile(file, m.log); err != nil {
			return err
		}
	}
	for i, rule := range rules {
		if !rule.URI.Valid(rule.Match) {
			return fmt.Errorf("history[%d]: %q is not a URI to match by %s", i, string(rule.URI), rule.Match)
		}
		def(&rule.Limit, 1000)
		def(&rule.Bytes, 16<<20)
		if _, twice := m.broker.topics.Get(rule.Match, rule.URI); twice {
			return fmt.Errorf("history[%d]: %q is there twice", i, string(rule.URI))
		}
		h := &history{rule: rule}
		if m.historyFile == nil {
			h.log = &memoryLog{rule: rule}
		} else {
			log, err := m.historyFile.log(rule)
			if err != nil {
				return err
			}
			h.log = log
		}
		sub := newSubscription(rule.URI, rule.Match)
		sub.history = h
		m.broker.byID.Store(sub.id, sub)
		m.broker.topics.Update(rule.Match, rule.URI, func(*subscription, bool) (*subscription, bool) { return sub, true })
	}
	return nil
}

// record keeps an event.
func (h *history) record(event *wamp.Event, m *wamp.Publish, from wamp.ID) {
	if m.Options.Exclude == nil && m.Options.Eligible == nil {
		h.log.append(keep(event, m, from))
	}
}

// memoryLog is an eventLog in memory: a ring.
type memoryLog struct {
	rule HistoryRule

	mu    sync.RWMutex
	ring  []*kept
	first int // the oldest
	n     int
	size  int
}

func (l *memoryLog) append(k *kept) {
	if k.size > l.rule.Bytes {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.n > 0 && (l.n >= l.rule.Limit || l.size+k.size > l.rule.Bytes) {
		l.size -= l.ring[l.first].size
		l.ring[l.first] = nil
		l.first = (l.first + 1) % len(l.ring)
		l.n--
	}
	if l.n == len(l.ring) { // full, and below the limit
		grown := make([]*kept, min(max(16, 2*l.n), l.rule.Limit))
		for i := range l.n {
			grown[i] = l.ring[(l.first+i)%len(l.ring)]
		}
		l.ring, l.first = grown, 0
	}
	l.ring[(l.first+l.n)%len(l.ring)] = k
	l.n++
	l.size += k.size
}

func (l *memoryLog) scan(reverse bool, f func(*kept) bool) error {
	l.mu.RLock()
	events := make([]*kept, l.n)
	for i := range events {
		events[i] = l.ring[(l.first+i)%len(l.ring)]
	}
	l.mu.RUnlock()
	if reverse {
		slices.Reverse(events)
	}
	for _, k := range events {
		if !f(k) {
			break
		}
	}
	return nil
}

func (l *memoryLog) check() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	size, there := 0, 0
	for _, k := range l.ring {
		if k != nil {
			size += k.size
			there++
		}
	}
	if there != l.n || size != l.size || l.n > l.rule.Limit || l.size > l.rule.Bytes {
		return fmt.Errorf("history of %q: %d events, %d bytes; %d, %d counted", string(l.rule.URI), there, size, l.n, l.size)
	}
	return nil
}
