package router

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// stale remembers the last progressive calls of a session that have ended. What
// the caller has sent of them meanwhile is ignored, and does not begin a new call
// (WAMP, "Progressive Call Invocations": the race between an error and the
// caller's next part). A session that makes no such calls has nothing here.
type stale struct {
	table atomic.Pointer[staleTable]
}

type staleTable struct {
	mu   sync.Mutex
	ids  [32]wamp.ID
	next int
}

func (s *stale) note(id wamp.ID) {
	table := s.table.Load()
	if table == nil {
		s.table.CompareAndSwap(nil, new(staleTable))
		table = s.table.Load()
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	table.ids[table.next%len(table.ids)] = id
	table.next++
}

func (s *stale) has(id wamp.ID) bool {
	table := s.table.Load()
	if table == nil {
		return false
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	return slices.Contains(table.ids[:], id)
}
