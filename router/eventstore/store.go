// Package eventstore keeps events after their delivery: for the event history, and
// as retained events (WAMP, "Event History" and "Event Retention"). It has the stores
// that a realm's history can be put into; a payload is kept as the bytes that came.
package eventstore

import (
	"fmt"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Rule says which events a realm remembers: those of the topics that URI selects under
// Match. Events published to sessions by their ids (exclude, eligible) are never
// remembered.
type Rule struct {
	URI   wamp.URI
	Match wamp.Match
	// Limit is how many events are kept; the oldest goes first. Default 1,000.
	Limit int
	// Bytes is how many bytes they may take. Default 16 MiB.
	Bytes int
}

// Store is where histories are kept. A store belongs to one realm.
type Store interface {
	// Open opens the log of each rule, in their order. It is called once.
	Open(rules []Rule) ([]Log, error)
	// Close closes all logs, after what was appended has been stored. It is called
	// after Open, whether that succeeded or not.
	Close() error
}

// Log keeps the events of one rule, the oldest first. Its methods may be called
// concurrently.
type Log interface {
	// Append adds an event. It may wait for others to be stored.
	Append(e *Event)
	// Scan calls f with each event, the oldest first or last, until f returns
	// false. Events appended before the call are among them.
	Scan(reverse bool, f func(e *Event) bool) error
	// Check looks for contradictions between what is stored and the rule's bounds.
	Check() error
}

// Memory is a Store in memory: what it keeps ends with the process.
type Memory struct{}

// Open implements Store.
func (Memory) Open(rules []Rule) ([]Log, error) {
	logs := make([]Log, len(rules))
	for i, rule := range rules {
		logs[i] = &memoryLog{rule: rule}
	}
	return logs, nil
}

// Close implements Store.
func (Memory) Close() error { return nil }

// memoryLog is a Log in memory: a ring.
type memoryLog struct {
	rule Rule

	mu    sync.RWMutex
	ring  []*Event
	first int // the oldest
	n     int
	size  int
}

// Append implements Log.
func (l *memoryLog) Append(e *Event) {
	if e.size > l.rule.Bytes {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.n > 0 && (l.n >= l.rule.Limit || l.size+e.size > l.rule.Bytes) {
		l.size -= l.ring[l.first].size
		l.ring[l.first] = nil
		l.first = (l.first + 1) % len(l.ring)
		l.n--
	}
	if l.n == len(l.ring) { // full, and below the limit
		grown := make([]*Event, min(max(16, 2*l.n), l.rule.Limit))
		for i := range l.n {
			grown[i] = l.ring[(l.first+i)%len(l.ring)]
		}
		l.ring, l.first = grown, 0
	}
	l.ring[(l.first+l.n)%len(l.ring)] = e
	l.n++
	l.size += e.size
}

// Scan implements Log.
func (l *memoryLog) Scan(reverse bool, f func(*Event) bool) error {
	l.mu.RLock()
	events := make([]*Event, l.n)
	for i := range events {
		events[i] = l.ring[(l.first+i)%len(l.ring)]
	}
	l.mu.RUnlock()
	if reverse {
		slices.Reverse(events)
	}
	for _, e := range events {
		if !f(e) {
			break
		}
	}
	return nil
}

// Check implements Log.
func (l *memoryLog) Check() error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	size, there := 0, 0
	for _, e := range l.ring {
		if e != nil {
			size += e.size
			there++
		}
	}
	if there != l.n || size != l.size || l.n > l.rule.Limit || l.size > l.rule.Bytes {
		return fmt.Errorf("history of %q: %d events, %d bytes; %d, %d counted", string(l.rule.URI), there, size, l.n, l.size)
	}
	return nil
}
