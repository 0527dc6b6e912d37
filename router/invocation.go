package router

import (
	"github.com/blindfold-wamp/blindfold/wamp"
)

// invocation is a call in flight. It stands in the tables of both its caller
// and its callee; whoever takes it out of the caller's has ended it.
type invocation struct {
	caller          *session
	request         wamp.ID // CALL.Request
	callee          *session
	id              wamp.ID // INVOCATION.Request
	registration    wamp.ID
	procedure       wamp.URI
	receiveProgress bool
	// open and attributes belong to progressive call invocations: whether more
	// is to come, and what the first CALL said of its payload. Only the
	// caller's goroutine uses them.
	open       bool
	attributes wamp.Attributes
	timer      timer
}

// begin enters the invocation into the tables of its caller and its callee, and
// draws its id.
func (inv *invocation) begin() *wamp.Refusal {
	caller, callee := inv.caller, inv.callee
	caller.mu.Lock()
	refusal := overLimit(len(caller.calls), caller.router.limits.Calls)
	if refusal == nil {
		if caller.calls == nil {
			caller.calls = make(map[wamp.ID]*invocation)
		}
		caller.calls[inv.request] = inv
	}
	caller.mu.Unlock()
	if refusal != nil {
		return refusal
	}
	callee.mu.Lock()
	gone := callee.gone
	if !gone {
		if callee.invocations == nil {
			callee.invocations = make(map[wamp.ID]*invocation)
		}
		callee.lastInvoked++
		inv.id = callee.lastInvoked
		callee.invocations[inv.id] = inv
	}
	callee.mu.Unlock()
	if gone {
		inv.end()
		return noSuchProcedure
	}
	return nil
}

// end takes the invocation out of all tables, and reports whether it was this
// call that ended it.
func (inv *invocation) end() bool {
	inv.caller.mu.Lock()
	ended := inv.caller.calls[inv.request] == inv
	if ended {
		delete(inv.caller.calls, inv.request)
	}
	inv.caller.mu.Unlock()
	if !ended {
		return false
	}
	inv.callee.mu.Lock()
	delete(inv.callee.invocations, inv.id)
	inv.callee.mu.Unlock()
	inv.timer.stop(inv)
	return true
}

// pending reports whether the invocation has not ended.
func (inv *invocation) pending() bool { return inv.caller.callInFlight(inv.request) == inv }

// tell sends the caller the ERROR that ends its call.
func (inv *invocation) tell(t *turn, r *wamp.Refusal) {
	t.send(inv.caller, &wamp.Error{RequestType: wamp.TypeCall, Request: inv.request, Error: r.URI,
		Details: wamp.ErrorDetails{Message: r.Text}, Payload: t.router.textPayload(inv.caller.peer.Serializer, r.Text)})
}

// interrupt asks the callee to stop, if it can.
func (inv *invocation) interrupt(t *turn, mode string, reason wamp.URI) {
	if inv.callee.peer.Roles.Callee.Has(wamp.CallCanceling) {
		t.send(inv.callee, &wamp.Interrupt{Request: inv.id, Options: wamp.CancelOptions{Mode: mode, Reason: string(reason)}})
	}
}

// callInFlight returns the session's call of that request id, or nil.
func (s *session) callInFlight(request wamp.ID) *invocation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[request]
}

// inFlight returns the calls that the session has made, and those that it is to
// answer.
func (s *session) inFlight() (calls, invocations []*invocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, inv := range s.calls {
		calls = append(calls, inv)
	}
	for _, inv := range s.invocations {
		invocations = append(invocations, inv)
	}
	return calls, invocations
}
