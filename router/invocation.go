package router

import (
	"maps"
	"math"
	"slices"

	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// invocation is a call in flight. It is in the tables of both its caller and its
// callee. Removing it from the caller's table ends the call; whichever goroutine does
// that sends what follows.
type invocation struct {
	caller          *session
	request         wamp.ID // CALL.Request
	registration    wamp.ID
	procedure       wamp.URI
	wantsProgress   bool                    // the caller asked for progressive results
	receiveProgress bool                    // and the callee supports them
	slotHeld        bool                    // it has ended and still occupies its slot: see abandonInvocation
	moreExpected    bool                    // a progressive call with further CALLs to come; used by the caller's goroutine only
	charged         int32                   // bytes counted against the queue limits: see chargeLocked
	first           *wamp.InvocationDetails // details of the first INVOCATION of a progressive call
	timer           timer

	// concurrency is nil unless the registration has a concurrency limit. With a limit,
	// callee is nil while the call waits, until its INVOCATION is put; callee is
	// guarded by the caller's mu until the call has ended, and id is 0 until then.
	concurrency *concurrency
	callee      *session
	id          wamp.ID // INVOCATION.Request
}

// grantProgress reports whether the callee is asked for progressive results: only if it
// supports them, and canceling (WAMP, "Progressive Call Results").
func (inv *invocation) grantProgress(callee *session) bool {
	role := &callee.peer.Roles.Callee
	inv.receiveProgress = inv.wantsProgress && role.Has(wamp.ProgressiveCallResults) && role.Has(wamp.CallCanceling)
	return inv.receiveProgress
}

// start adds the invocation to the tables of its caller and callee, and assigns its id.
func (inv *invocation) start() *wamp.Refusal {
	if refusal := inv.addToCaller(); refusal != nil {
		return refusal
	}
	if !inv.callee.addInvocation(inv) {
		inv.remove(nil)
		return noSuchProcedure
	}
	return nil
}

// addToCaller adds the invocation to its caller's table.
func (inv *invocation) addToCaller() *wamp.Refusal {
	caller := inv.caller
	caller.mu.Lock()
	defer caller.mu.Unlock()
	if caller.left {
		return sessionEnded
	}
	if refusal := overLimit(len(caller.calls), caller.router.limits().Calls, tooManyCalls); refusal != nil {
		return refusal
	}
	if refusal := inv.chargeLocked(); refusal != nil {
		return refusal
	}
	if caller.calls == nil {
		caller.calls = make(map[wamp.ID]*invocation)
	}
	caller.calls[inv.request] = inv
	return nil
}

// chargeLocked counts the call's memory against Limits.Queue of its caller, and against
// half of Limits.QueueTotal, so that the other half stays for the send queues. The
// caller's mu is held.
func (inv *invocation) chargeLocked() *wamp.Refusal {
	caller, r := inv.caller, inv.caller.router
	switch {
	case inv.charged == 0:
	case int(caller.callBytes)+int(inv.charged) > min(r.limits().Queue, math.MaxInt32):
		return callBytesExceeded
	case r.queued.Add(int64(inv.charged)) > int64(r.limits().QueueTotal)/2:
		r.queued.Add(-int64(inv.charged))
		return totalCallBytesExceeded
	}
	caller.callBytes += inv.charged
	return nil
}

// textSize returns the bytes of the texts in an INVOCATION's details that a caller
// chooses.
func textSize(d *wamp.InvocationDetails) int {
	return len(d.TransactionHash) + d.Attributes.Size()
}

// refund ends what chargeLocked has counted.
func (inv *invocation) refund() {
	inv.caller.mu.Lock()
	defer inv.caller.mu.Unlock()
	inv.refundLocked()
}

// refundLocked is refund with the caller's mu held.
func (inv *invocation) refundLocked() {
	if inv.charged > 0 {
		inv.caller.callBytes -= inv.charged
		inv.caller.router.queued.Add(-int64(inv.charged))
		inv.charged = 0
	}
}

var (
	callBytesExceeded = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitQueue,
		Text: "the session's calls that wait for a callee have reached the limit in bytes (limits.queue): call again later"}
	totalCallBytesExceeded = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitQueueTotal,
		Text: "calls that wait for a callee have reached the router's limit in bytes (limits.queue_total): call again later"}
)

// addInvocation adds an invocation to its callee's table, under a new id. It reports
// false if the callee has left.
func (s *session) addInvocation(inv *invocation) (there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return false
	}
	if s.invocations == nil {
		s.invocations = make(map[wamp.ID]*invocation)
	}
	if s.remote != nil {
		s.lastInvocationID = s.realm.remote.newRequest(s)
	} else {
		s.lastInvocationID++
	}
	s.invocations[s.lastInvocationID] = inv
	inv.id = s.lastInvocationID
	return true
}

func (s *session) dropInvocation(id wamp.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.invocations, id)
	if s.remote != nil {
		s.realm.remote.endRequest(id)
	}
}

// abandonInvocation is dropInvocation for a callee that has not answered and can't be
// interrupted: it is still working, so the call's slot stays occupied until it answers.
// A session can occupy Limits.Calls slots that way.
func (s *session) abandonInvocation(id wamp.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.invocations[id]
	delete(s.invocations, id)
	if s.remote != nil {
		s.realm.remote.endRequest(id) // its node holds the slot
		return
	}
	if !s.left && inv != nil && inv.concurrency != nil {
		inv.slotHeld = s.endedCalls.holdSlot(id, inv.concurrency, s.router.limits().Calls)
	}
}

// stopInvocation is dropInvocation for a callee that has not answered. Its slot stays
// occupied if it can't be interrupted.
func (s *session) stopInvocation(id wamp.ID) {
	if s.peer.Roles.Callee.Has(wamp.CallCanceling) {
		s.dropInvocation(id)
	} else {
		s.abandonInvocation(id)
	}
}

// invocationAnswered handles an answer to an invocation that has ended before: a slot
// that it still occupied is released.
func (s *session) invocationAnswered(id wamp.ID) {
	s.mu.Lock()
	l := s.endedCalls.takeSlot(id)
	delete(s.invocations, id) // so that a goroutine that ends it now occupies no slot
	s.mu.Unlock()
	if l != nil {
		l.release(s)
	}
}

// undoInvocation drops an invocation that the callee was never sent. Its id is used
// again, if it is the last one assigned (WAMP, "IDs": session scope).
func (s *session) undoInvocation(id wamp.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.invocations, id)
	if s.remote != nil {
		s.realm.remote.endRequest(id)
	} else if s.lastInvocationID == id {
		s.lastInvocationID--
	}
}

// enqueue queues a frame of the call for its caller or callee, unless the call has
// ended. The INVOCATION of a call that has waited makes its receiver the callee.
func (inv *invocation) enqueue(to *session, frame []byte, of *sendqueue.Chunk) (put sendqueue.PutResult, pending bool) {
	inv.caller.mu.Lock()
	defer inv.caller.mu.Unlock()
	if inv.caller.calls[inv.request] != inv {
		return 0, false
	}
	if inv.callee == nil {
		inv.callee = to
	}
	return to.out.Put(frame, of), true
}

// assigned returns the callee, or nil if the call waits for one.
func (inv *invocation) assigned() *session {
	inv.caller.mu.Lock()
	defer inv.caller.mu.Unlock()
	return inv.callee
}

// finish ends the invocation because its callee has answered or left. It reports
// whether this call of finish ended it.
func (inv *invocation) finish() bool {
	ended := inv.remove((*session).dropInvocation)
	if ended {
		inv.releaseSlot()
	}
	return ended
}

// abandon ends the invocation without notifying its callee. It reports whether this
// call of abandon ended it.
func (inv *invocation) abandon() bool {
	ended := inv.remove((*session).abandonInvocation)
	if ended {
		inv.releaseSlot()
	}
	return ended
}

// remove ends the invocation without releasing its slot. It reports whether this call
// of remove ended it; then the caller must call releaseSlot afterwards. drop removes it
// from its callee's table.
func (inv *invocation) remove(drop func(callee *session, id wamp.ID)) bool {
	inv.caller.mu.Lock()
	ended := inv.caller.calls[inv.request] == inv
	if ended {
		delete(inv.caller.calls, inv.request)
		inv.refundLocked()
		if inv.first != nil {
			// Under the lock, so that the caller's next part finds either the call or this.
			inv.caller.endedCalls.add(inv.request)
		}
	}
	inv.caller.mu.Unlock()
	if !ended {
		return false
	}
	if inv.caller.remote != nil {
		inv.caller.realm.remote.endCall(inv.caller, inv.request)
	}
	inv.timer.stop(inv)
	if inv.callee != nil && drop != nil {
		drop(inv.callee, inv.id)
	}
	return true
}

// releaseSlot gives the invocation's slot at its callee to a waiting call, or removes
// the invocation from the waiting calls.
func (inv *invocation) releaseSlot() {
	switch {
	case inv.concurrency == nil, inv.slotHeld:
	case inv.callee != nil:
		inv.concurrency.release(inv.callee)
	default:
		inv.concurrency.removeWaiting(inv)
	}
}

// pending reports whether the invocation has not ended.
func (inv *invocation) pending() bool { return inv.caller.callInFlight(inv.request) == inv }

// sendError sends the caller the ERROR that ends its call.
func (inv *invocation) sendError(b *batch, r *wamp.Refusal) {
	sendCallError(b, inv.caller, inv.request, r)
}

// sendCallError sends a caller the ERROR that answers its CALL.
func sendCallError(b *batch, to *session, request wamp.ID, r *wamp.Refusal) {
	b.send(to, &wamp.Error{RequestType: wamp.TypeCall, Request: request, Error: r.URI,
		Details: wamp.ErrorDetails{Message: r.Text}, Payload: b.router.textPayload(to.peer.Serializer, r.Text)})
}

// interrupt sends the callee INTERRUPT, if it supports that.
func (inv *invocation) interrupt(b *batch, mode string, reason wamp.URI) {
	if inv.callee != nil && inv.callee.peer.Roles.Callee.Has(wamp.CallCanceling) {
		b.send(inv.callee, &wamp.Interrupt{Request: inv.id, Options: wamp.CancelOptions{Mode: mode, Reason: string(reason)}})
	}
}

// callInFlight returns the session's call with that request id, or nil.
func (s *session) callInFlight(request wamp.ID) *invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[request]
}

// openCalls returns the calls in flight by the session.
func (s *session) openCalls() []*invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.calls))
}

// openInvocations returns the calls in flight to the session.
func (s *session) openInvocations() []*invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.invocations))
}
