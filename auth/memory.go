package auth

import (
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// memory is a cache of decisions with a time to live. It has two generations of half its
// size. An entry that is used moves to the younger one. When that is full, the older
// one is dropped. So frequent entries stay, without a sorted list. It may be used
// concurrently.
type memory struct {
	mu         sync.Mutex
	young, old map[question]remembered
	half       int
	lasting    time.Duration
	now        func() time.Time
}

type question struct {
	realm   string
	session wamp.ID
	action  router.Action
	uri     wamp.URI
	match   wamp.Match
}

type remembered struct {
	decision router.Decision
	until    time.Time
}

func newMemory(size int, lasting time.Duration) *memory {
	return &memory{young: map[question]remembered{}, half: max(1, size/2), lasting: lasting, now: time.Now}
}

func (m *memory) get(q question) (router.Decision, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.young[q]
	if !ok {
		if r, ok = m.old[q]; ok {
			m.keep(q, r)
		}
	}
	if !ok || !m.now().Before(r.until) {
		return router.Decision{}, false
	}
	return r.decision, true
}

func (m *memory) put(q question, d router.Decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keep(q, remembered{d, m.now().Add(m.lasting)})
}

func (m *memory) keep(q question, r remembered) {
	if _, there := m.young[q]; !there && len(m.young) >= m.half {
		m.young, m.old = make(map[question]remembered, m.half), m.young
	}
	m.young[q] = r
}
