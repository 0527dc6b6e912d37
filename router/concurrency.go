package router

import (
	"maps"
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// concurrency limits how many calls each callee of a registration has to answer
// at a time, where a callee asked for it (REGISTER.Options.concurrency, as
// Crossbar has it). A call that finds no callee free waits, with its payload as the
// bytes that came. Callers that have calls waiting take turns, each with its calls in
// the order of arrival, and each may have as many waiting as there is room for more: so
// one that calls a lot neither keeps the others waiting nor shuts them out (Choudhury
// and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).
type concurrency struct {
	reg   *registration
	limit int // calls that may wait

	mu            sync.Mutex
	callees       map[*session]*calleeLoad
	formerCallees map[*session]*calleeLoad // were callees, and have calls to answer still
	waiting       []*waitingCall           // by their turn
	round         uint64                   // of the call that was given to a callee last
	lastRemoval   *wamp.Refusal            // the last callee that left, left so
}

// calleeLoad is how many calls a callee has, and may have; 0 is any number.
type calleeLoad struct{ used, limit uint64 }

// waitingCall is a call without a callee. It stands in the table of its caller
// as any other.
type waitingCall struct {
	inv       *invocation
	round     uint64 // one later for each call of its caller that waits before it
	message   wamp.Invocation
	refusedBy []*session    // callees that would have to be refused its payload
	refusal   *wamp.Refusal // of the last of them
}

// isFreeLocked reports whether the callee may have one more call. l.mu is held.
func (l *concurrency) isFreeLocked(callee *session) bool {
	load := l.callees[callee]
	return load != nil && (load.limit == 0 || load.used < load.limit)
}

// anyCallee reports whether the policy lets any callee that is free have a call.
func (l *concurrency) anyCallee() bool {
	return l.reg.invoke == "roundrobin" || l.reg.invoke == "random"
}

// acquire takes a place at a callee, if there is one.
func (l *concurrency) acquire(callee *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isFreeLocked(callee) {
		return false
	}
	l.callees[callee].used++
	return true
}

// release gives a place back, and to a call that waits.
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

// invoke offers a call to the callees of the registration, or lets it wait. With
// the policies roundrobin and random any callee that is free gets it; with the
// others it waits for the one that they name.
func (l *concurrency) invoke(d *dealer, b *batch, from *session, m *wamp.Call) *wamp.Refusal {
	asked, first := l.reg.selectCallee()
	return l.offer(d, b, from, m, asked, first)
}

// invokeFor is invoke for a call from another node, which has chosen the callee.
func (l *concurrency) invokeFor(d *dealer, b *batch, from *session, m *wamp.Call, callee wamp.ID) *wamp.Refusal {
	asked := l.reg.callees.Load()
	first := max(0, slices.IndexFunc(*asked, func(s *session) bool { return s.peer.Session == callee }))
	return l.offer(d, b, from, m, asked, first)
}

func (l *concurrency) offer(d *dealer, b *batch, from *session, m *wamp.Call, asked *[]*session, first int) *wamp.Refusal {
	callees, anyone := *asked, l.anyCallee()
	refusal, busy := noSuchProcedure, false
	var refusedBy []*session
	for i := range callees {
		callee := callees[(first+i)%len(callees)]
		if from.remote != nil && callee.remote != nil {
			continue // a call is sent to another node once
		}
		if !l.acquire(callee) {
			busy = true
			if !anyone {
				break
			}
			continue
		}
		r := d.tryCallee(b, from, m, l.reg, l, asked, callee)
		if r == nil {
			return nil
		}
		if r == noSuchProcedure {
			continue // it has left
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

// waitingCallOverhead is what a call that waits takes in memory beside what its caller sent.
const waitingCallOverhead = 512

// wait lets a call wait. The batch has its INVOCATION.
func (l *concurrency) wait(d *dealer, b *batch, from *session, m *wamp.Call, refusedBy []*session, refusal *wamp.Refusal) *wamp.Refusal {
	w := &waitingCall{inv: d.newInvocation(from, m, l.reg), message: b.invocation, refusedBy: refusedBy, refusal: refusal}
	w.message.Payload = m.Payload.Clone()
	w.inv.concurrency, w.inv.charged = l, int32(waitingCallOverhead+textSize(&w.message.Details)+m.Payload.WireSize())
	l.mu.Lock()
	switch {
	case len(l.callees) == 0: // they have left since they were asked
		l.mu.Unlock()
		return noSuchProcedure
	case len(l.waiting) >= l.limit:
		l.mu.Unlock()
		return waitingCallsFull
	}
	others := 0 // calls that wait, of this caller
	for _, w := range l.waiting {
		if w.inv.caller == from {
			others++
		}
	}
	if len(l.waiting)+others >= l.limit {
		l.mu.Unlock()
		return callerShareFull
	}
	w.round = l.round + 1 + uint64(others)
	if refusal := w.inv.addToCaller(); refusal != nil {
		l.mu.Unlock()
		return refusal
	}
	l.enqueueLocked(w)
	free := l.freeCalleesLocked(w, nil) // since they were asked
	l.mu.Unlock()
	d.startTimeout(w.inv, m)
	for _, callee := range free {
		l.assignWaiting(callee)
	}
	return nil
}

// enqueueLocked puts a call behind all whose turn is not later. l.mu is held.
func (l *concurrency) enqueueLocked(w *waitingCall) {
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].round > w.round {
		at--
	}
	l.waiting = slices.Insert(l.waiting, at, w)
}

// removeWaiting takes a call that has ended out of those that wait.
func (l *concurrency) removeWaiting(inv *invocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waitingCall) bool { return w.inv == inv })
}

// assignWaiting gives a callee calls that wait, as many as it may have, if the policy does
// not name another for them.
func (l *concurrency) assignWaiting(callee *session) {
	var b *batch
	for on := true; on; {
		w := l.next(callee)
		if w == nil {
			break
		}
		if b == nil {
			b = callee.router.newBatch()
		}
		on = l.assign(b, w, callee)
		b.makeRoom()
	}
	if b != nil {
		b.end()
	}
}

// next takes a place at a callee, and the call that has waited longest for it.
func (l *concurrency) next(callee *session) *waitingCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || !l.isFreeLocked(callee) {
		return nil
	}
	at := slices.IndexFunc(l.waiting, func(w *waitingCall) bool { return l.isEligibleLocked(w, callee) })
	if at < 0 {
		return nil
	}
	w := l.waiting[at]
	l.waiting = slices.Delete(l.waiting, at, at+1)
	l.round = max(l.round, w.round)
	l.callees[callee].used++
	return w
}

// isEligibleLocked reports whether a call that waits may go to the callee: unless the policy lets
// anyone have it, to the first by the policy that has not refused it.
func (l *concurrency) isEligibleLocked(w *waitingCall, callee *session) bool {
	if slices.Contains(w.refusedBy, callee) || w.inv.caller.remote != nil && callee.remote != nil {
		return false
	}
	if l.anyCallee() {
		return true
	}
	callees, first := l.reg.selectCallee()
	for i := range *callees {
		c := (*callees)[(first+i)%len(*callees)]
		if w.inv.caller.remote != nil && c.remote != nil {
			continue
		}
		if !slices.Contains(w.refusedBy, c) {
			return c == callee
		}
	}
	return false
}

// assign brings a call that has waited to a callee, and reports whether the callee may
// be given another one.
func (l *concurrency) assign(b *batch, w *waitingCall, callee *session) bool {
	l.reg.mu.RLock()
	refusal := l.deliverLocked(b, w, callee)
	l.reg.mu.RUnlock()
	if refusal == nil {
		w.inv.refund()
		return true
	}
	l.releaseSlot(callee)
	if refusal == callEnded {
		return true
	}
	there := refusal != noSuchProcedure
	if there {
		w.refusedBy, w.refusal = append(w.refusedBy, callee), refusal
	}
	others, hopeless := l.requeue(w, callee)
	if hopeless != nil && w.inv.finish() {
		b.refused(w.inv.caller, hopeless)
		w.inv.sendError(b, hopeless)
	}
	for _, other := range others {
		l.assignWaiting(other)
	}
	return there
}

// deliverLocked is give's part for which the callee must stay one: reg.mu is held.
func (l *concurrency) deliverLocked(b *batch, w *waitingCall, callee *session) *wamp.Refusal {
	if !l.reg.isCallee(callee, nil) || !callee.addInvocation(w.inv) {
		return noSuchProcedure
	}
	m := &w.message
	m.Request = w.inv.id
	m.Details.ReceiveProgress = w.inv.grantProgress(callee)
	b.begin(w.inv.caller, w.inv.procedure, m)
	b.resetEncodings()
	refusal := b.deliverWithin(w.inv, &w.inv.caller.peer, w.inv.procedure, m, callee)
	if refusal != nil {
		callee.undoInvocation(m.Request)
	}
	return refusal
}

// requeue lets a call wait for another callee than the one that could not be given it,
// and returns those that are free; or it returns why there is none to wait for.
func (l *concurrency) requeue(w *waitingCall, callee *session) (others []*session, hopeless *wamp.Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if hopeless = l.noCalleeLeftLocked(w); hopeless == nil {
		l.waiting = slices.Insert(l.waiting, 0, w)
		others = l.freeCalleesLocked(w, callee)
	}
	return others, hopeless
}

// noCalleeLeftLocked says why a call has no callee to wait for, or returns nil. l.mu is held.
func (l *concurrency) noCalleeLeftLocked(w *waitingCall) *wamp.Refusal {
	for callee := range l.callees {
		if !slices.Contains(w.refusedBy, callee) {
			return nil
		}
	}
	if len(l.callees) > 0 {
		return w.refusal
	}
	return l.lastRemoval
}

// freeCalleesLocked returns the callees that are free and may have the call, but for one.
// l.mu is held.
func (l *concurrency) freeCalleesLocked(w *waitingCall, but *session) (free []*session) {
	for callee := range l.callees {
		if callee != but && l.isFreeLocked(callee) && !slices.Contains(w.refusedBy, callee) {
			free = append(free, callee)
		}
	}
	return free
}

// addadds a callee. One that had left has the calls still that it has not answered.
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

// removeve removes a callee, which the registration has lost already, and says why. Calls
// that nobody is left for end; others may have waited for this callee only, and are
// given to whom the policy names now.
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
	var over []ending
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waitingCall) bool {
		why := l.noCalleeLeftLocked(w)
		if why != nil {
			over = append(over, ending{w, why})
		}
		return why != nil
	})
	var left []*session
	if len(l.waiting) > 0 {
		left = slices.Collect(maps.Keys(l.callees))
	}
	l.mu.Unlock()
	if len(over) > 0 {
		b := callee.router.newBatch()
		for _, o := range over {
			if o.call.inv.finish() {
				o.call.inv.sendError(b, o.why)
			}
		}
		b.end()
	}
	for _, callee := range left {
		l.assignWaiting(callee)
	}
}

// limitOf returns how many calls a callee may have at a time; 0 is any number.
func (l *concurrency) limitOf(callee *session) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if load := l.callees[callee]; load != nil {
		return load.limit
	}
	return 0
}

// check looks for contradictions.
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

// setConcurrency makes the registration's concurrency, if the callee that joins asks
// for one or another did, and enters the callee.
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
	waitingCallsFull = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitWaitingCalls,
		Text: "all callees have as many calls as they may, and no more can wait"}
	callerShareFull = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitWaitingCalls,
		Text: "all callees have as many calls as they may, and of this caller no more can wait, as others want to call, too"}
	progressiveCannotWait = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrUnavailable,
		Text: "all callees have as many calls as they may, and a call in parts can't wait: what follows would have to, too"}
)
