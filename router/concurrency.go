package router

import (
	"maps"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// concurrency limits how many calls each callee of a registration has at a time, where
// a callee asks for it (REGISTER.Options.concurrency, as in Crossbar). A call waits if
// all callees are at their limits; its payload stays the bytes that came off the wire.
// Waiting calls of several callers are served round-robin, those of one caller in the
// order of arrival. A caller may have at most as many calls waiting as there is room
// left for others. So a caller that calls a lot neither delays the others nor shuts
// them out (Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory
// Packet Switches", 1998).
type concurrency struct {
	reg   *registration
	limit int // calls that may wait

	mu            sync.Mutex
	callees       map[*session]*calleeLoad
	formerCallees map[*session]*calleeLoad // removed callees that still have calls to answer
	waiting       []*waitingCall           // ordered by round
	round         uint64                   // of the last call that was assigned
	lastRemoval   *wamp.Refusal            // why the last callee was removed
}

// calleeLoad is how many calls a callee has, and its limit; 0 is no limit.
type calleeLoad struct{ used, limit uint64 }

// isFreeLocked reports whether the callee is below its limit.
func (l *concurrency) isFreeLocked(callee *session) bool {
	load := l.callees[callee]
	return load != nil && (load.limit == 0 || load.used < load.limit)
}

// anyCallee reports whether the policy lets a call go to any callee that is free.
func (l *concurrency) anyCallee() bool {
	return l.reg.invoke == "roundrobin" || l.reg.invoke == "random"
}

// acquire takes a slot at a callee, if one is free.
func (l *concurrency) acquire(callee *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isFreeLocked(callee) {
		return false
	}
	l.callees[callee].used++
	return true
}

// release gives a slot back, and then to a waiting call.
func (l *concurrency) release(callee *session) {
	l.releaseSlot(callee)
	l.assignWaiting(callee)
}

func (l *concurrency) releaseSlot(callee *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if load := l.callees[callee]; load != nil {
		load.used--
	} else if load = l.formerCallees[callee]; load != nil {
		if load.used--; load.used == 0 {
			delete(l.formerCallees, callee)
		}
	}
}

// invoke offers a call to the registration's callees, or lets it wait. With the
// policies roundrobin and random, any free callee gets it; with the others, it waits
// for the callee that the policy selects.
func (l *concurrency) invoke(d *dealer, b *batch, from *session, m *wamp.Call) *wamp.Refusal {
	candidates, first := l.reg.selectCallee()
	return l.offer(d, b, from, m, candidates, first)
}

// invokeFor is invoke for a call from another node, which has selected the callee.
func (l *concurrency) invokeFor(d *dealer, b *batch, from *session, m *wamp.Call, callee wamp.ID) *wamp.Refusal {
	candidates := l.reg.callees.Load()
	first := max(0, slices.IndexFunc(*candidates, func(s *session) bool { return s.peer.Session == callee }))
	return l.offer(d, b, from, m, candidates, first)
}

func (l *concurrency) offer(d *dealer, b *batch, from *session, m *wamp.Call, candidates *[]*session, first int) *wamp.Refusal {
	callees, anyCallee := *candidates, l.anyCallee()
	refusal, busy := noSuchProcedure, false
	var refusedBy []*session
	for i := range callees {
		callee := callees[(first+i)%len(callees)]
		if from.remote != nil && callee.remote != nil {
			continue // a call is passed on to another node only once
		}
		if !l.acquire(callee) {
			busy = true
			if !anyCallee {
				break
			}
			continue
		}
		r := d.tryCallee(b, from, m, l.reg, l, candidates, callee)
		if r == nil {
			return nil
		}
		if r == noSuchProcedure {
			continue // the callee has left
		}
		refusedBy = append(refusedBy, callee)
		if refusal == noSuchProcedure {
			refusal = r
		}
	}
	if !busy {
		return refusal
	}
	if m.Options.Progress == wamp.True {
		return progressiveCannotWait
	}
	return l.wait(d, b, from, m, refusedBy, refusal)
}

// add adds a callee. One that was removed before still has the calls that it has not
// answered.
func (l *concurrency) add(callee *session, limit uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	load := l.formerCallees[callee]
	if load == nil {
		load = new(calleeLoad)
	}
	load.limit = limit
	delete(l.formerCallees, callee)
	l.callees[callee] = load
}

// remove removes a callee that the registration has lost, and records why. Waiting
// calls that no other callee can take end. The rest is assigned again, as the policy
// may now select another callee.
func (l *concurrency) remove(callee *session, why *wamp.Refusal) {
	l.mu.Lock()
	if load := l.callees[callee]; load != nil && load.used > 0 {
		if l.formerCallees == nil {
			l.formerCallees = make(map[*session]*calleeLoad)
		}
		l.formerCallees[callee] = load
	}
	delete(l.callees, callee)
	l.lastRemoval = why
	type ending struct {
		call *waitingCall
		why  *wamp.Refusal
	}
	var ended []ending
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waitingCall) bool {
		why := l.noCalleeLeftLocked(w)
		if why != nil {
			ended = append(ended, ending{w, why})
		}
		return why != nil
	})
	var rest []*session
	if len(l.waiting) > 0 {
		rest = slices.Collect(maps.Keys(l.callees))
	}
	l.mu.Unlock()
	if len(ended) > 0 {
		b := callee.router.newBatch()
		for _, o := range ended {
			if o.call.inv.finish() {
				o.call.inv.sendError(b, o.why)
			}
		}
		b.end()
	}
	for _, callee := range rest {
		l.assignWaiting(callee)
	}
}

// limitOf returns a callee's limit; 0 is no limit.
func (l *concurrency) limitOf(callee *session) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if load := l.callees[callee]; load != nil {
		return load.limit
	}
	return 0
}

// check checks the invariants.
func (l *concurrency) check(callees []*session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.callees) != len(callees) || len(l.waiting) > l.limit {
		return false
	}
	for _, callee := range callees {
		load := l.callees[callee]
		if load == nil || load.limit > 0 && load.used > load.limit {
			return false
		}
	}
	return true
}

// setConcurrency adds a callee to the registration's concurrency, which is created with
// the first callee that asks for a limit.
func (reg *registration) setConcurrency(s *session, limit uint64) {
	l := reg.concurrency.Load()
	if l == nil {
		if limit == 0 {
			return
		}
		l = &concurrency{reg: reg, limit: s.router.limits().WaitingCalls, callees: make(map[*session]*calleeLoad)}
		for _, callee := range *reg.callees.Load() {
			l.add(callee, 0)
		}
		l.add(s, limit)
		reg.concurrency.Store(l)
		return
	}
	l.add(s, limit)
}

var (
	progressiveCannotWait = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrUnavailable,
		Text: "all callees are at their concurrency limit, and a progressive call can't wait: call again later"}
)
