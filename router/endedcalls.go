package router

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// endedCalls remembers calls that have ended before one side could know it. A session
// that has none has nothing here.
//
// As a caller: the last progressive calls. What the caller has sent of them since is
// ignored, and does not begin a new call (WAMP, "Progressive Call Invocations": the race
// between an error and the caller's next part).
//
// As a callee: invocations that it has not answered and was not told to stop, and where
// they still take a place.
type endedCalls struct {
	table atomic.Pointer[endedCallsTable]
}

type endedCallsTable struct {
	mu        sync.Mutex
	ids       [32]wamp.ID // CALL.Request
	next      int
	heldSlots map[wamp.ID]*concurrency // by INVOCATION.Request
}

// getOrCreate returns the table, a new one if there is none.
func (s *endedCalls) getOrCreate() *endedCallsTable {
	if table := s.table.Load(); table != nil {
		return table
	}
	s.table.CompareAndSwap(nil, new(endedCallsTable))
	return s.table.Load()
}

// holdSlot lets an invocation keep its place, unless most do already.
func (s *endedCalls) holdSlot(id wamp.ID, l *concurrency, most int) bool {
	table := s.getOrCreate()
	table.mu.Lock()
	defer table.mu.Unlock()
	if len(table.heldSlots) >= most {
		return false
	}
	if table.heldSlots == nil {
		table.heldSlots = make(map[wamp.ID]*concurrency)
	}
	table.heldSlots[id] = l
	return true
}

// takeSlot returns where the invocation has a place, which is the caller's to release,
// or nil.
func (s *endedCalls) takeSlot(id wamp.ID) *concurrency {
	table := s.table.Load()
	if table == nil {
		return nil
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	l := table.heldSlots[id]
	delete(table.heldSlots, id)
	return l
}

// takeAllSlots is takePlace for all invocations.
func (s *endedCalls) takeAllSlots() map[wamp.ID]*concurrency {
	table := s.table.Load()
	if table == nil {
		return nil
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	places := table.heldSlots
	table.heldSlots = nil
	return places
}

func (s *endedCalls) add(id wamp.ID) {
	table := s.getOrCreate()
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
