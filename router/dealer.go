package router

import (
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/uriindex"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// dealer routes the calls of one realm (WAMP, "Remote Procedure Calls"). Registrations
// are in registration.go, calls in flight in invocation.go.
type dealer struct {
	procedures *uriindex.Index[*registration]
	byID       sync.Map // wamp.ID -> *registration
	timeouts   *timeouts
}

func newDealer(t *timeouts) *dealer {
	return &dealer{procedures: uriindex.New[*registration](), timeouts: t}
}

// call routes a CALL to a callee, as an INVOCATION.
func (d *dealer) call(b *batch, from *session, m *wamp.Call) *wamp.Refusal {
	b.begin(from, m.Procedure, m)
	if m.Options.Progress == wamp.True && !from.peer.Roles.Caller.Has(wamp.ProgressiveCallInvocations) {
		return from.refuse(b, wamp.TypeCall, m.Request, false, progressNotAnnounced)
	}
	if m.Request > from.lastCallRequest {
		from.lastCallRequest = m.Request
	} else if inv := from.callInFlight(m.Request); inv != nil {
		return d.callContinued(b, from, inv, m)
	} else if from.endedCalls.contains(m.Request) {
		b.routed(from, 0) // a later part of a progressive call that has ended
		return nil
	}
	if m.Procedure.Reserved() {
		return from.realm.meta.call(b, from, m)
	}
	reg, disclose, refusal := d.admit(b, from, m)
	if refusal == nil {
		refusal = d.invoke(b, from, m, reg, disclose)
	}
	if refusal == noSuchProcedure && from.realm.link != nil {
		refusal = d.invokeLater(b, from, m, disclose)
	}
	if refusal != nil {
		return from.refuseCall(b, m, refusal)
	}
	b.routed(from, 1)
	return nil
}

// refuseCall refuses a CALL that has no invocation yet. Later parts of a progressive
// call must not start a new call.
func (s *session) refuseCall(b *batch, m *wamp.Call, refusal *wamp.Refusal) *wamp.Refusal {
	if m.Options.Progress == wamp.True {
		s.endedCalls.add(m.Request)
	}
	return s.refuse(b, wamp.TypeCall, m.Request, true, refusal)
}

// admit makes all checks of a CALL that precede its delivery, and finds its
// registration, or nil. The result for the batch's previous call is used again if the
// procedure is the same and nothing has changed.
func (d *dealer) admit(b *batch, from *session, m *wamp.Call) (reg *registration, disclose bool, refusal *wamp.Refusal) {
	now := routeKey{from: from, uri: m.Procedure, changes: d.procedures.Changes.Load(), hooks: from.realm.hooks.Load()}
	called := &b.lastCall
	if called.routeKey != now {
		called.routeKey = routeKey{}
		if refusal := from.badURI(m.Procedure, wamp.MatchExact); refusal != nil {
			return nil, false, refusal
		}
		decision, refusal := b.authorized(from, ActionCall, m.Procedure, wamp.MatchExact)
		if refusal != nil {
			return nil, false, refusal
		}
		called.registration = d.find(from.realm.hooks.Load(), m.Procedure)
		if called.disclose = decision.Disclose; decision.Cacheable {
			called.routeKey = now
		}
	}
	if refusal := b.intercepted(from.realm); refusal != nil {
		return nil, false, refusal
	}
	return called.registration, called.disclose || from.internal || m.Options.DiscloseMe == wamp.True, nil
}

// invoke gives the call to a callee of the registration. If all of them have left in
// between, it looks the procedure up again.
func (d *dealer) invoke(b *batch, from *session, m *wamp.Call, reg *registration, disclose bool) *wamp.Refusal {
	refusal := noSuchProcedure
	for reg != nil {
		candidates := reg.callees.Load()
		if refusal = d.tryCallees(b, from, m, reg, disclose); refusal != noSuchProcedure {
			break
		}
		now := d.find(from.realm.hooks.Load(), m.Procedure)
		if now == reg && now.callees.Load() == candidates {
			break // its last callee is being removed
		}
		reg = now
	}
	return refusal
}

// invokeLater is invoke for a procedure that this node knows no registration of: it
// first catches up with the cluster's directory.
func (d *dealer) invokeLater(b *batch, from *session, m *wamp.Call, disclose bool) *wamp.Refusal {
	b.flush() // as CatchUp blocks for a while
	if refusal := from.realm.link.CatchUp(); refusal != nil {
		return refusal
	}
	reg, _ := d.procedures.Best(m.Procedure)
	return d.invoke(b, from, m, reg, disclose)
}

// tryCallees offers the call to the registration's callees, in the order of its
// invocation policy. If the selected callee can't take an opaque payload, the next one
// is tried.
func (d *dealer) tryCallees(b *batch, from *session, m *wamp.Call, reg *registration, disclose bool) *wamp.Refusal {
	d.fillInvocation(b, from, m, reg, disclose)
	if l := reg.concurrency.Load(); l != nil {
		return l.invoke(d, b, from, m)
	}
	candidates, first := reg.selectCallee()
	callees := *candidates
	refusal := noSuchProcedure // all callees have left
	for i := range callees {
		r := d.tryCallee(b, from, m, reg, nil, candidates, callees[(first+i)%len(callees)])
		if r == nil {
			return nil
		}
		if refusal == noSuchProcedure {
			refusal = r
		}
	}
	return refusal
}

// fillInvocation fills the batch's INVOCATION, except for its request id, which is in
// the callee's scope.
func (d *dealer) fillInvocation(b *batch, from *session, m *wamp.Call, reg *registration, disclose bool) {
	b.invocation.Registration = reg.id
	b.invocation.Payload = m.Payload
	b.invocation.Details = wamp.InvocationDetails{
		Progress:        m.Options.Progress == wamp.True,
		TrustLevel:      from.trust,
		TransactionHash: m.Options.TransactionHash,
		Attributes:      m.Options.Attributes,
	}
	details := &b.invocation.Details
	if reg.match != wamp.MatchExact {
		details.Procedure = m.Procedure
	}
	if disclose {
		details.Caller = from.peer.Session
		details.CallerAuthID = from.peer.AuthID
		details.CallerAuthRole = from.peer.AuthRole
	}
	if reg.forwardTimeout {
		details.Timeout = m.Options.Timeout
	}
}

// tryCallee offers the batch's INVOCATION to one of the candidates. If l is not nil,
// the caller has acquired a slot at the callee.
func (d *dealer) tryCallee(b *batch, from *session, m *wamp.Call, reg *registration, l *concurrency, candidates *[]*session, callee *session) *wamp.Refusal {
	inv := d.newInvocation(from, m, reg)
	inv.callee, inv.concurrency = callee, l
	refusal := noSuchProcedure
	reg.mu.RLock()
	if reg.isCallee(callee, candidates) {
		refusal = d.deliverInvocationLocked(b, from, m, inv)
	}
	reg.mu.RUnlock()
	switch {
	case refusal == callEnded:
		return nil
	case refusal == nil:
		d.startTimeout(inv, m)
	case l != nil:
		l.release(callee)
	}
	return refusal
}

// deliverInvocationLocked delivers the batch's INVOCATION to inv.callee. reg.mu is
// read-locked, so that the callee can't unregister. It returns callEnded if the
// callee's session ended at the same time; then the caller has got its ERROR.
func (d *dealer) deliverInvocationLocked(b *batch, from *session, m *wamp.Call, inv *invocation) *wamp.Refusal {
	b.invocation.Details.ReceiveProgress = inv.grantProgress(inv.callee)
	if inv.moreExpected {
		// A callee that supports no progressive invocations, or no canceling,
		// gets none (WAMP, "Progressive Call Invocations").
		if role := inv.callee.peer.Roles.Callee; !role.Has(wamp.ProgressiveCallInvocations) || !role.Has(wamp.CallCanceling) {
			return calleeLacksProgressive
		}
		first := b.invocation.Details
		inv.first, inv.charged = &first, int32(textSize(&first))
	}
	if refusal := inv.start(); refusal != nil {
		return refusal
	}
	b.invocation.Request = inv.id
	b.resetEncodings()
	refusal := b.deliver(&from.peer, m.Procedure, &b.invocation, inv.callee)
	if refusal != nil && !inv.remove((*session).undoInvocation) {
		return callEnded
	}
	return refusal
}

// newInvocation makes the invocation of a CALL, without a callee.
func (d *dealer) newInvocation(from *session, m *wamp.Call, reg *registration) *invocation {
	inv := &invocation{caller: from, request: m.Request, procedure: m.Procedure, registration: reg.id,
		wantsProgress: m.Options.ReceiveProgress == wamp.True, moreExpected: m.Options.Progress == wamp.True}
	if m.Options.Timeout > 0 && !reg.forwardTimeout {
		inv.timer = timer{timeouts: d.timeouts, index: -1}
	}
	return inv
}

// startTimeout starts the call's timeout, if it has one (WAMP, "Call Timeouts").
func (d *dealer) startTimeout(inv *invocation, m *wamp.Call) {
	if inv.timer.timeouts != nil {
		d.timeouts.start(inv, time.Duration(min(m.Options.Timeout, maxTimeout))*time.Millisecond)
	}
}

// maxTimeout is the longest call timeout in milliseconds: a year.
const maxTimeout = 365 * 24 * 3600 * 1000

// callContinued routes a further CALL of a progressive call to the callee of the first
// (WAMP, "Progressive Call Invocations"). The payload attributes of the first CALL stay
// in force.
func (d *dealer) callContinued(b *batch, from *session, inv *invocation, m *wamp.Call) *wamp.Refusal {
	if !inv.moreExpected {
		return from.refuse(b, wamp.TypeCall, m.Request, false, requestInUse)
	}
	b.inbound.URI = inv.procedure
	if first := inv.first.Attributes; m.Options.Attributes == (wamp.Attributes{}) && first.Declared() != wamp.FormNone {
		m.Options.Attributes = first
		m.Payload.DeclareOpaque()
	}
	if refusal := b.intercepted(from.realm); refusal != nil {
		d.endWith(b, inv, refusal)
		return from.refuse(b, wamp.TypeCall, m.Request, false, refusal)
	}
	inv.moreExpected = m.Options.Progress == wamp.True
	b.invocation.Request = inv.id
	b.invocation.Registration = inv.registration
	b.invocation.Payload = m.Payload
	b.invocation.Details = *inv.first // the options of the first CALL stay in force
	b.invocation.Details.Progress = inv.moreExpected
	b.invocation.Details.Attributes = m.Options.Attributes
	b.resetEncodings()
	switch refusal := b.deliverWithin(inv, &from.peer, inv.procedure, &b.invocation, inv.callee); refusal {
	case nil:
		b.routed(from, 1)
	case callEnded:
		b.routed(from, 0)
	default:
		d.endWith(b, inv, refusal)
		return from.refuse(b, wamp.TypeCall, m.Request, false, refusal)
	}
	return nil
}

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

// endWith ends a call before the callee has answered. The caller gets an ERROR. The
// callee gets INTERRUPT before its slot is given to another call. It reports whether
// this call of endWith ended it.
func (d *dealer) endWith(b *batch, inv *invocation, r *wamp.Refusal) bool {
	ended := inv.remove((*session).stopInvocation)
	if ended {
		inv.sendError(b, r)
		inv.interrupt(b, "killnowait", r.URI)
		inv.releaseSlot()
	}
	return ended
}

// cancel handles a CANCEL (WAMP, "Call Canceling").
func (d *dealer) cancel(b *batch, from *session, m *wamp.Cancel) *wamp.Refusal {
	b.begin(from, "", m)
	inv := from.callInFlight(m.Request)
	if inv == nil {
		b.routed(from, 0) // it has ended already
		return nil
	}
	mode := m.Options.Mode
	switch mode {
	case "", "skip", "kill", "killnowait":
	default:
		return from.refuse(b, wamp.TypeCancel, m.Request, true, unknownCancelMode)
	}
	if mode == "" {
		mode = "killnowait"
	}
	if callee := inv.assigned(); callee == nil || !callee.peer.Roles.Callee.Has(wamp.CallCanceling) {
		mode = "skip"
	}
	switch {
	case mode == "kill":
		inv.interrupt(b, "kill", wamp.ErrCanceled) // the callee's answer ends the call
	case mode == "killnowait":
		d.endWith(b, inv, canceled)
	case inv.abandon():
		inv.sendError(b, canceled)
	}
	b.routed(from, 1)
	return nil
}

// expire ends a call whose timeout has passed (WAMP, "Call Timeouts").
func (d *dealer) expire(b *batch, inv *invocation) { d.endWith(b, inv, timedOut) }

// leave removes a session that has ended from its registrations, and ends the calls to
// it.
func (d *dealer) leave(b *batch, s *session) {
	for _, reg := range s.heldRegistrations() {
		if d.removeCallee(reg, s) && s.realm.link != nil {
			d.leaveDirectory(s.realm, reg, s.peer.Session)
		}
		s.realm.meta.events.publish(b, s)
	}
	d.leaveInvocations(b, s)
}

// leaveInvocations ends the calls to a session that has ended.
func (d *dealer) leaveInvocations(b *batch, s *session) {
	for _, inv := range s.openInvocations() {
		if inv.caller == s {
			continue // leaveCalls ends it; there is no caller left to answer
		}
		if inv.finish() {
			inv.sendError(b, calleeLeft)
			b.makeRoom()
		}
	}
	for _, l := range s.endedCalls.takeAllSlots() {
		l.release(s)
	}
}

// leaveCalls ends the calls by a session that has ended. It runs on the reading
// goroutine, so none of them is being started.
func (d *dealer) leaveCalls(b *batch, s *session) {
	for _, inv := range s.openCalls() {
		if inv.remove((*session).stopInvocation) {
			if inv.callee != s {
				inv.interrupt(b, "killnowait", wamp.ErrCanceled)
			}
			inv.releaseSlot()
			b.makeRoom()
		}
	}
}

var (
	noSuchProcedure = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchProcedure,
		Text: "no callee has registered this procedure"}
	canceled = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled,
		Text: "the call was canceled"}
	calleeLeft = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled,
		Text: "the callee left before it answered"}
	timedOut = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrTimeout,
		Text: "the call took longer than its timeout"}
	calleeLacksProgressive = &wamp.Refusal{Reason: wamp.ReasonUnsupported, URI: wamp.ErrFeatureNotSupported,
		Text: "the callee did not announce progressive_call_invocations and call_canceling: call without Options.progress"}
	unknownCancelMode = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "Options.mode must be skip, kill or killnowait"}
	progressNotRequested = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "the caller did not ask for progressive results"}
	progressNotAnnounced = wamp.Violation("CALL.Options.progress, but HELLO did not announce progressive_call_invocations of the caller")
	requestInUse         = wamp.Violation("CALL.Request is the id of a call that is still in flight and not progressive")
	errorOfWrongType     = wamp.Violation("ERROR.REQUEST.Type must be INVOCATION (68) in a client's ERROR")
	errorURI             = wamp.Violation("ERROR.Error is not a URI")
	unknownInvocation    = wamp.Violation("INVOCATION.Request is not the id of an invocation that this session has received")
)
