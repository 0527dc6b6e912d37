package router

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// endedCalls remembers calls that have ended before one side could know it. It is
// empty, and takes no memory, for most sessions.
//
// As a caller: the ids of the last 32 progressive calls. What the caller has still sent
// of them is ignored, and does not start a new call (WAMP, "Progressive Call
// Invocations": the race between an error and the caller's next part).
//
// As a callee: invocations that it has not answered and that could not be interrupted;
// they still occupy slots.
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

// holdSlot lets an ended invocation occupy its slot, unless limit do already.
func (s *endedCalls) holdSlot(id wamp.ID, l *concurrency, limit int) bool {
	table := s.getOrCreate()
	table.mu.Lock()
	defer table.mu.Unlock()
	if len(table.heldSlots) >= limit {
		return false
	}
	if table.heldSlots == nil {
		table.heldSlots = make(map[wamp.ID]*concurrency)
	}
	table.heldSlots[id] = l
	return true
}

// takeSlot returns where the invocation occupies a slot, for the caller to release, or
// nil.
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

// takeAllSlots is takeSlot for all invocations.
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
