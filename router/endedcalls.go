package router

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// endedCallsCalls remembers the last progressive calls of a session that have ended. What
// the caller has sent of them meanwhile is ignored, and does not begin a new call
// (WAMP, "Progressive Call Invocations": the race between an error and the
// caller's next part). A session that makes no such calls has nothing here.
type endedCalls struct {
	table atomic.Pointer[endedCallsTable]
}

type endedCallsTable struct {
	mu   sync.Mutex
	ids  [32]wamp.ID
	next int
}

func (s *endedCalls) add(id wamp.ID) {
	table := s.table.Load()
	if table == nil {
		s.table.CompareAndSwap(nil, new(endedCallsTable))
		table = s.table.Load()
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	table.ids[table.next%len(table.ids)] = id
	table.next++
}

func (s *endedCalls) contains(id wamp.ID) bool {
	table := s.table.Load()
	if table == nil {
		return false
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	return slices.Contains(table.ids[:], id)
}
