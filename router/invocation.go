package router

import (
	"maps"
	"math"
	"slices"

	"github.com/blindfold-wamp/blindfold/transport/sendqueue"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// invocation is a call in flight. It stands in the tables of both its caller
// and its callee; whoever takes it out of the caller's has ended it.
type invocation struct {
	caller          *session
	request         wamp.ID // CALL.Request
	registration    wamp.ID
	procedure       wamp.URI
	wantsProgress   bool                    // the caller asks for progressive results
	receiveProgress bool                    // and the callee can send them
	slotHeld        bool                    // its callee keeps its place: see abandonInvocation
	moreExpected    bool                    // it is a progressive call invocation with more to come; only the caller's goroutine uses it
	charged         int32                   // bytes that are kept for it: see keep
	first           *wamp.InvocationDetails // of a progressive call invocation: the details of its first INVOCATION
	timer           timer

	// concurrency is nil unless the registration's callees have limited concurrency.
	// Then callee is nil while the call waits, until its INVOCATION is put; it is
	// guarded by the caller's mu until the call has ended. id means nothing before.
	concurrency *concurrency
	callee      *session
	id          wamp.ID // INVOCATION.Request
}

// grantProgress reports whether the callee is asked for progressive results: a callee
// that can't send them, or not be told to stop, is not (WAMP, "Progressive Call
// Results").
func (inv *invocation) grantProgress(callee *session) bool {
	role := &callee.peer.Roles.Callee
	inv.receiveProgress = inv.wantsProgress && role.Has(wamp.ProgressiveCallResults) && role.Has(wamp.CallCanceling)
	return inv.receiveProgress
}

// start enters the invocation into the tables of its caller and its callee, and
// draws its id.
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

// addToCaller enters the invocation into the table of its caller.
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

// chargeLocked counts what is kept for the call against what the caller, and all sessions, may
// have waiting: half of the latter, so that the rest stays for the queues. caller.mu is
// held.
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

// textSize returns the bytes of the texts in an INVOCATION's details that a caller chooses.
func textSize(d *wamp.InvocationDetails) int {
	return len(d.TransactionHash) + d.Attributes.Size()
}

// refund says that nothing is kept for the call any more.
func (inv *invocation) refund() {
	inv.caller.mu.Lock()
	defer inv.caller.mu.Unlock()
	inv.refundLocked()
}

// refundLocked is forgetKept where caller.mu is held.
func (inv *invocation) refundLocked() {
	if inv.charged > 0 {
		inv.caller.callBytes -= inv.charged
		inv.caller.router.queued.Add(-int64(inv.charged))
		inv.charged = 0
	}
}

var (
	callBytesExceeded = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitQueue,
		Text: "this session's calls that wait for a callee hold as many bytes as they may (limits.queue): call again later"}
	totalCallBytesExceeded = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitQueueTotal,
		Text: "calls that wait for a callee hold as many bytes of the router as they may (limits.queue_total): call again later"}
)

// addInvocation enters an invocation into the table of its callee, under a new
// id, unless the callee is gone.
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

// abandonInvocation is dropInvocation where the callee has not answered, and is not told
// that it need not: it is at work, and keeps its place among those that its registration
// allows until it answers. It keeps as many places as a session may have calls.
func (s *session) abandonInvocation(id wamp.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	inv := s.invocations[id]
	delete(s.invocations, id)
	if s.remote != nil {
		s.realm.remote.endRequest(id) // its node keeps the place
		return
	}
	if !s.left && inv != nil && inv.concurrency != nil {
		inv.slotHeld = s.endedCalls.holdSlot(id, inv.concurrency, s.router.limits().Calls)
	}
}

// stopInvocation is dropInvocation where the callee has not answered, and will be told to
// stop if it can be.
func (s *session) stopInvocation(id wamp.ID) {
	if s.peer.Roles.Callee.Has(wamp.CallCanceling) {
		s.dropInvocation(id)
	} else {
		s.abandonInvocation(id)
	}
}

// invocationAnswered says that the callee has answered an invocation that has ended before: its
// place is free, if it has kept it.
func (s *session) invocationAnswered(id wamp.ID) {
	s.mu.Lock()
	l := s.endedCalls.takeSlot(id)
	delete(s.invocations, id) // whoever has just ended it finds that it is answered
	s.mu.Unlock()
	if l != nil {
		l.release(s)
	}
}

// undoInvocation drops an invocation that the callee was never sent: its id is
// the next one's, if none has been drawn since (WAMP, "IDs": session scope).
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

// enqueue queues a frame of the call for one of its parties, unless the call has ended.
// The INVOCATION of a call that has waited makes its receiver the callee.
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

// finish takes the invocation out of all tables, as its callee has answered or left, and
// reports whether it was this call that ended it.
func (inv *invocation) finish() bool {
	ended := inv.remove((*session).dropInvocation)
	if ended {
		inv.releaseSlot()
	}
	return ended
}

// abandon ends the invocation without a word to its callee, and reports whether it was
// this call that ended it.
func (inv *invocation) abandon() bool {
	ended := inv.remove((*session).abandonInvocation)
	if ended {
		inv.releaseSlot()
	}
	return ended
}

// remove is end for who has something to tell the callee first; free must follow, if
// it reports true. drop takes it out of its callee's table.
func (inv *invocation) remove(drop func(callee *session, id wamp.ID)) bool {
	inv.caller.mu.Lock()
	ended := inv.caller.calls[inv.request] == inv
	if ended {
		delete(inv.caller.calls, inv.request)
		inv.refundLocked()
		if inv.first != nil {
			// Under the lock: the caller's next part finds the call, or this.
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

// releaseSlot gives the place that the invocation had among those that its registration
// allows, or waited for, to another call.
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

// interrupt asks the callee to stop, if it can.
func (inv *invocation) interrupt(b *batch, mode string, reason wamp.URI) {
	if inv.callee != nil && inv.callee.peer.Roles.Callee.Has(wamp.CallCanceling) {
		b.send(inv.callee, &wamp.Interrupt{Request: inv.id, Options: wamp.CancelOptions{Mode: mode, Reason: string(reason)}})
	}
}

// callInFlight returns the session's call of that request id, or nil.
func (s *session) callInFlight(request wamp.ID) *invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[request]
}

// openCalls returns the session's calls in flight.
func (s *session) openCalls() []*invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.calls))
}

// openInvocations returns the invocations that the session is to answer.
func (s *session) openInvocations() []*invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.invocations))
}
