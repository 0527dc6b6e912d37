package router

import (
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/internal/uriindex"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// dealer routes the calls of one realm (WAMP, "Remote Procedure Calls"). Registrations
// are in registration.go, calls in flight in invocation.go, the callee's answers in
// answer.go, and what ends a call before its answer in cancel.go.
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

var (
	noSuchProcedure = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchProcedure,
		Text: "no callee has registered this procedure"}
	calleeLacksProgressive = &wamp.Refusal{Reason: wamp.ReasonUnsupported, URI: wamp.ErrFeatureNotSupported,
		Text: "the callee did not announce progressive_call_invocations and call_canceling: call without Options.progress"}
	progressNotAnnounced = wamp.Violation("CALL.Options.progress, but HELLO did not announce progressive_call_invocations of the caller")
	requestInUse         = wamp.Violation("CALL.Request is the id of a call that is still in flight and not progressive")
)
