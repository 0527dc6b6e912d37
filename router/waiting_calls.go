package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// waitingCall is a call without a callee. It is in its caller's table, as any call.
type waitingCall struct {
	inv       *invocation
	round     uint64 // the next round, plus one for each waiting call of the same caller
	message   wamp.Invocation
	refusedBy []*session    // callees that can't take its payload
	refusal   *wamp.Refusal // by the last of them
}

// waitingCallOverhead is the memory that a waiting call takes beside what its caller
// sent.
const waitingCallOverhead = 512

// wait adds a call to those that wait. The batch holds its INVOCATION.
func (l *concurrency) wait(d *dealer, b *batch, from *session, m *wamp.Call, refusedBy []*session, refusal *wamp.Refusal) *wamp.Refusal {
	w := &waitingCall{inv: d.newInvocation(from, m, l.reg), message: b.invocation, refusedBy: refusedBy, refusal: refusal}
	w.message.Payload = m.Payload.Clone()
	w.inv.concurrency, w.inv.charged = l, int32(waitingCallOverhead+textSize(&w.message.Details)+m.Payload.WireSize())
	l.mu.Lock()
	switch {
	case len(l.callees) == 0: // they have left in between
		l.mu.Unlock()
		return noSuchProcedure
	case len(l.waiting) >= l.limit:
		l.mu.Unlock()
		return waitingCallsFull
	}
	others := 0 // waiting calls of the same caller
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
	free := l.freeCalleesLocked(w, nil) // which have become free in between
	l.mu.Unlock()
	d.startTimeout(w.inv, m)
	for _, callee := range free {
		l.assignWaiting(callee)
	}
	return nil
}

// enqueueLocked inserts a call behind all of its round and of earlier ones.
func (l *concurrency) enqueueLocked(w *waitingCall) {
	at := len(l.waiting)
	for at > 0 && l.waiting[at-1].round > w.round {
		at--
	}
	l.waiting = slices.Insert(l.waiting, at, w)
}

// removeWaiting removes a call that has ended.
func (l *concurrency) removeWaiting(inv *invocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waitingCall) bool { return w.inv == inv })
}

// assignWaiting assigns waiting calls to a callee, as far as its limit and the policy
// allow.
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

// next acquires a slot at a callee for the first waiting call that may go there, and
// removes that call from those that wait.
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

// isEligibleLocked reports whether a waiting call may go to the callee: if the policy
// allows any callee, or if the callee is the first by the policy that has not refused
// it.
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

// assign delivers a waiting call to a callee, and reports whether the callee may get
// another one.
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
	isCallee := refusal != noSuchProcedure
	if isCallee {
		w.refusedBy, w.refusal = append(w.refusedBy, callee), refusal
	}
	others, final := l.requeue(w, callee)
	if final != nil && w.inv.finish() {
		b.refused(w.inv.caller, final)
		w.inv.sendError(b, final)
	}
	for _, other := range others {
		l.assignWaiting(other)
	}
	return isCallee
}

// deliverLocked delivers a waiting call to a callee. reg.mu is read-locked, so that the
// callee can't unregister.
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

// requeue lets a call wait again after a callee could not take it. It returns the other
// callees that are free, or, if no callee is left that could take it, why.
func (l *concurrency) requeue(w *waitingCall, callee *session) (others []*session, final *wamp.Refusal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if final = l.noCalleeLeftLocked(w); final == nil {
		l.waiting = slices.Insert(l.waiting, 0, w)
		others = l.freeCalleesLocked(w, callee)
	}
	return others, final
}

// noCalleeLeftLocked returns why no callee is left that could take the call, or nil.
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

// freeCalleesLocked returns the free callees that could take the call, without except.
func (l *concurrency) freeCalleesLocked(w *waitingCall, except *session) (free []*session) {
	for callee := range l.callees {
		if callee != except && l.isFreeLocked(callee) && !slices.Contains(w.refusedBy, callee) {
			free = append(free, callee)
		}
	}
	return free
}

var (
	waitingCallsFull = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitWaitingCalls,
		Text: "all callees are at their concurrency limit, and the queue of waiting calls is full (limits.waiting_calls): call again later"}
	callerShareFull = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitWaitingCalls,
		Text: "all callees are at their concurrency limit, and this caller's share of the waiting calls is used up (limits.waiting_calls): call again later"}
)
