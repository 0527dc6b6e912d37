package router

import "github.com/blindfold-wamp/blindfold/wamp"

// yield routes a YIELD to the caller, as a RESULT.
func (d *dealer) yield(b *batch, from *session, m *wamp.Yield) *wamp.Refusal {
	b.begin(from, "", m)
	inv, refusal := d.findInvocation(b, from, m.Request, !m.Options.Progress)
	if inv == nil || refusal != nil {
		return refusal
	}
	if m.Options.Progress && !inv.receiveProgress {
		b.dropped(inv.caller, progressNotRequested)
		return nil
	}
	b.result.Request = inv.request
	b.result.Details = m.Options
	return d.forwardAnswer(b, from, inv, &b.result, !m.Options.Progress)
}

// calleeError routes an ERROR in answer to an INVOCATION to the caller.
func (d *dealer) calleeError(b *batch, from *session, m *wamp.Error) *wamp.Refusal {
	b.begin(from, "", m)
	if m.RequestType != wamp.TypeInvocation {
		return from.refuse(b, wamp.TypeError, 0, false, errorOfWrongType)
	}
	if !m.Error.Valid(wamp.MatchExact) {
		return from.refuse(b, wamp.TypeError, 0, false, errorURI)
	}
	inv, refusal := d.findInvocation(b, from, m.Request, true)
	if inv == nil || refusal != nil {
		return refusal
	}
	b.callError = *m
	b.callError.RequestType, b.callError.Request = wamp.TypeCall, inv.request
	return d.forwardAnswer(b, from, inv, &b.callError, true)
}

// findInvocation finds the invocation that a callee answers. It returns nil for one
// that has ended; a final answer then frees the slot that it still held. An id that the
// callee was never given is a protocol violation.
func (d *dealer) findInvocation(b *batch, from *session, id wamp.ID, final bool) (*invocation, *wamp.Refusal) {
	from.mu.Lock()
	inv, last := from.invocations[id], from.lastInvocationID
	from.mu.Unlock()
	if inv == nil && id > last || inv != nil && inv.concurrency != nil && inv.assigned() == nil {
		return nil, from.refuse(b, 0, 0, false, unknownInvocation)
	}
	if inv != nil {
		b.inbound.URI = inv.procedure
	} else if final {
		from.invocationAnswered(id)
	}
	return inv, nil
}

// forwardAnswer sends m, made from the callee's answer, to the caller. If the answer is
// refused, the call ends with an ERROR to the caller instead.
func (d *dealer) forwardAnswer(b *batch, from *session, inv *invocation, m wamp.Carrier, final bool) *wamp.Refusal {
	refusal := b.intercepted(from.realm)
	if refusal != nil && refusal.Fatal && from.remote == nil {
		b.refused(from, refusal)
		return refusal // the callee's session ends, and leave answers the caller
	}
	if final && !inv.finish() {
		from.invocationAnswered(inv.id) // it was canceled or timed out before
		return nil
	}
	if refusal == nil {
		in, _ := b.inbound.Message.(wamp.Carrier).Carried()
		out, _ := m.Carried()
		*out = *in // with the changes that Interceptor.Receive made
		b.resetEncodings()
		within := inv
		if final { // finish has ended the call
			within = nil
		}
		refusal = b.deliverWithin(within, &from.peer, inv.procedure, m, inv.caller)
	}
	failure, failed := m.(*wamp.Error)
	switch {
	case refusal == nil:
		if !final {
			inv.timer.restart() // the timeout is between results (WAMP, "Progressive Call Results")
		}
		b.routed(from, 1)
	case failed && refusal.Reason == wamp.ReasonInconvertible:
		b.refused(from, refusal)
		answer := *refusal
		answer.URI = failure.Error // programs decide by the error's URI
		inv.sendError(b, &answer)
	case final:
		b.refused(from, refusal)
		inv.sendError(b, refusal)
	case refusal != callEnded && d.endWith(b, inv, refusal):
		b.refused(from, refusal)
	}
	return nil
}

var (
	progressNotRequested = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "the caller did not ask for progressive results"}
	errorOfWrongType  = wamp.Violation("ERROR.REQUEST.Type must be INVOCATION (68) in a client's ERROR")
	errorURI          = wamp.Violation("ERROR.Error is not a URI")
	unknownInvocation = wamp.Violation("INVOCATION.Request is not the id of an invocation that this session has received")
)
