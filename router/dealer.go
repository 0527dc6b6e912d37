package router

import (
	"sync"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// dealer routes the calls of one realm (WAMP, "Remote Procedure Calls").
// registration.go has who can be called, invocation.go what a call in flight is.
type dealer struct {
	procedures *index[*registration]
	byID       sync.Map // wamp.ID -> *registration
	timeouts   *timeouts
}

func newDealer(t *timeouts) *dealer {
	return &dealer{procedures: newIndex[*registration](), timeouts: t}
}

// call routes a CALL to a callee, as an INVOCATION.
func (d *dealer) call(t *turn, from *session, m *wamp.Call) *wamp.Refusal {
	t.begin(from, m.Procedure, m)
	if m.Request > from.lastCalled {
		from.lastCalled = m.Request
	} else if inv := from.callInFlight(m.Request); inv != nil {
		return d.callMore(t, from, inv, m)
	} else if from.stale.has(m.Request) {
		t.routed(from, 0) // the rest of a progressive call that has ended
		return nil
	}
	if m.Procedure.Reserved() {
		return from.realm.meta.call(t, from, m)
	}
	reg, disclose, refusal := d.admit(t, from, m)
	if refusal == nil {
		refusal = d.invoke(t, from, m, reg, disclose)
	}
	if refusal != nil {
		return from.refuseCall(t, m, refusal)
	}
	t.routed(from, 1)
	return nil
}

// refuseCall refuses a call at its beginning. What the caller has sent of a progressive
// one meanwhile begins no other.
func (s *session) refuseCall(t *turn, m *wamp.Call, refusal *wamp.Refusal) *wamp.Refusal {
	if m.Options.Progress == wamp.True {
		s.stale.note(m.Request)
	}
	return s.refuse(t, wamp.TypeCall, m.Request, true, refusal)
}

// admit checks all that a CALL must fulfil, and finds the registration that it is
// for, if there is one. What was found for the call before holds for one of the same procedure,
// unless something has changed.
func (d *dealer) admit(t *turn, from *session, m *wamp.Call) (reg *registration, disclose bool, refusal *wamp.Refusal) {
	now := way{from: from, uri: m.Procedure, changes: d.procedures.changes.Load(), plugins: from.realm.plugins.Load()}
	called := &t.called
	if called.way != now {
		called.way = way{}
		if refusal := from.badURI(m.Procedure, wamp.MatchExact); refusal != nil {
			return nil, false, refusal
		}
		decision, refusal := t.authorized(from, ActionCall, m.Procedure, wamp.MatchExact)
		if refusal != nil {
			return nil, false, refusal
		}
		called.registration, _ = d.procedures.best(m.Procedure)
		if called.disclose = decision.Disclose; decision.Standing {
			called.way = now
		}
	}
	if refusal := t.received(from.realm); refusal != nil {
		return nil, false, refusal
	}
	return called.registration, called.disclose || m.Options.DiscloseMe == wamp.True, nil
}

// invoke finds a callee that takes the call: one of the registration, if there is one,
// or of what has taken its place since it was looked up.
func (d *dealer) invoke(t *turn, from *session, m *wamp.Call, reg *registration, disclose bool) *wamp.Refusal {
	refusal := noSuchProcedure
	for reg != nil {
		asked := reg.callees.Load()
		if refusal = d.ask(t, from, m, reg, disclose); refusal != noSuchProcedure {
			break
		}
		now, _ := d.procedures.best(m.Procedure)
		if now == reg && now.callees.Load() == asked {
			break // its last callee is about to leave
		}
		reg = now
	}
	return refusal
}

// ask offers the call to the callees of the registration. Where the one whose turn it
// is would have to be refused an opaque payload, another one is asked.
func (d *dealer) ask(t *turn, from *session, m *wamp.Call, reg *registration, disclose bool) *wamp.Refusal {
	d.invocationOf(t, from, m, reg, disclose)
	if l := reg.concurrency.Load(); l != nil {
		return l.invoke(d, t, from, m)
	}
	asked, first := reg.choose()
	callees := *asked
	refusal := noSuchProcedure // they have left meanwhile
	for i := range callees {
		r := d.offer(t, from, m, reg, nil, asked, callees[(first+i)%len(callees)])
		if r == nil {
			return nil
		}
		if refusal == noSuchProcedure {
			refusal = r
		}
	}
	return refusal
}

// invocationOf fills the turn's INVOCATION but for its request id, which is the
// callee's.
func (d *dealer) invocationOf(t *turn, from *session, m *wamp.Call, reg *registration, disclose bool) {
	t.invocation.Registration = reg.id
	t.invocation.Payload = m.Payload
	t.invocation.Details = wamp.InvocationDetails{
		ReceiveProgress: m.Options.ReceiveProgress == wamp.True,
		Progress:        m.Options.Progress == wamp.True,
		TrustLevel:      from.trust,
		TransactionHash: m.Options.TransactionHash,
		Attributes:      m.Options.Attributes,
	}
	details := &t.invocation.Details
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

// offer gives the turn's INVOCATION to one of the callees asked, at which it has a
// place if l limits its concurrency.
func (d *dealer) offer(t *turn, from *session, m *wamp.Call, reg *registration, l *concurrency, asked *[]*session, callee *session) *wamp.Refusal {
	inv := d.invocationFor(from, m, reg)
	inv.callee, inv.limit = callee, l
	refusal := noSuchProcedure
	reg.mu.RLock()
	if reg.serves(callee, asked) {
		refusal = d.bring(t, from, m, inv)
	}
	reg.mu.RUnlock()
	switch {
	case refusal == hasEnded:
		return nil
	case refusal == nil:
		d.startTimeout(inv, m)
	case l != nil:
		l.release(callee)
	}
	return refusal
}

// bring is offer's part for which the callee must stay one: reg.mu is held. The call
// has ended if the callee left at the same time; the caller has been told then.
func (d *dealer) bring(t *turn, from *session, m *wamp.Call, inv *invocation) *wamp.Refusal {
	if inv.open {
		// A callee that can't cope with a call in parts, or not be told to stop,
		// is not given one (WAMP, "Progressive Call Invocations").
		if role := inv.callee.peer.Roles.Callee; !role.Has(wamp.ProgressiveCallInvocations) || !role.Has(wamp.CallCanceling) {
			return calleeTakesNoParts
		}
		first := t.invocation.Details
		inv.first = &first
	}
	if refusal := inv.begin(); refusal != nil {
		return refusal
	}
	t.invocation.Request = inv.id
	t.fresh()
	refusal := t.deliver(&from.peer, m.Procedure, &t.invocation, inv.callee)
	if refusal != nil && !inv.take((*session).takeBackInvocation) {
		return hasEnded
	}
	return refusal
}

// invocationFor makes the invocation that a CALL begins, without a callee.
func (d *dealer) invocationFor(from *session, m *wamp.Call, reg *registration) *invocation {
	inv := &invocation{caller: from, request: m.Request, procedure: m.Procedure, registration: reg.id,
		receiveProgress: m.Options.ReceiveProgress == wamp.True, open: m.Options.Progress == wamp.True}
	if m.Options.Timeout > 0 && !reg.forwardTimeout {
		inv.timer = timer{of: d.timeouts, at: -1}
	}
	return inv
}

// startTimeout starts the call's timeout, if it has one (WAMP, "Call Timeouts").
func (d *dealer) startTimeout(inv *invocation, m *wamp.Call) {
	if inv.timer.of != nil {
		d.timeouts.start(inv, time.Duration(min(m.Options.Timeout, maxTimeout))*time.Millisecond)
	}
}

// maxTimeout is the longest call timeout in milliseconds: a year.
const maxTimeout = 365 * 24 * 3600 * 1000

// callMore routes a further CALL of a progressive call to the callee that has
// the first (WAMP, "Progressive Call Invocations"). It keeps the payload
// attributes of the first.
func (d *dealer) callMore(t *turn, from *session, inv *invocation, m *wamp.Call) *wamp.Refusal {
	if !inv.open {
		return from.refuse(t, wamp.TypeCall, m.Request, false, requestInUse)
	}
	t.transit.URI = inv.procedure
	if first := inv.first.Attributes; m.Options.Attributes == (wamp.Attributes{}) && first.Declared() != wamp.FormNone {
		m.Options.Attributes = first
		m.Payload.DeclareOpaque()
	}
	if refusal := t.received(from.realm); refusal != nil {
		d.endWith(t, inv, refusal)
		return from.refuse(t, wamp.TypeCall, m.Request, false, refusal)
	}
	inv.open = m.Options.Progress == wamp.True
	t.invocation.Request = inv.id
	t.invocation.Registration = inv.registration
	t.invocation.Payload = m.Payload
	t.invocation.Details = *inv.first // the options of the first CALL stay in force
	t.invocation.Details.Progress = inv.open
	t.invocation.Details.Attributes = m.Options.Attributes
	t.fresh()
	switch refusal := t.deliverWithin(inv, &from.peer, inv.procedure, &t.invocation, inv.callee); refusal {
	case nil:
		t.routed(from, 1)
	case hasEnded:
		t.routed(from, 0)
	default:
		d.endWith(t, inv, refusal)
		return from.refuse(t, wamp.TypeCall, m.Request, false, refusal)
	}
	return nil
}

// yield routes a YIELD to the caller, as a RESULT.
func (d *dealer) yield(t *turn, from *session, m *wamp.Yield) *wamp.Refusal {
	t.begin(from, "", m)
	inv, refusal := d.answered(t, from, m.Request)
	if inv == nil || refusal != nil {
		return refusal
	}
	if m.Options.Progress && !inv.receiveProgress {
		t.dropped(inv.caller, progressUnasked)
		return nil
	}
	t.result.Request = inv.request
	t.result.Details = m.Options
	return d.answer(t, from, inv, &t.result, !m.Options.Progress)
}

// fail routes an ERROR in answer to an INVOCATION to the caller.
func (d *dealer) fail(t *turn, from *session, m *wamp.Error) *wamp.Refusal {
	t.begin(from, "", m)
	if m.RequestType != wamp.TypeInvocation {
		return from.refuse(t, wamp.TypeError, 0, false, errorOfWrongType)
	}
	if !m.Error.Valid(wamp.MatchExact) {
		return from.refuse(t, wamp.TypeError, 0, false, errorURI)
	}
	inv, refusal := d.answered(t, from, m.Request)
	if inv == nil || refusal != nil {
		return refusal
	}
	t.failure = *m
	t.failure.RequestType, t.failure.Request = wamp.TypeCall, inv.request
	return d.answer(t, from, inv, &t.failure, true)
}

// answered finds the invocation that a callee answers. One that has ended since
// is nil; one that the callee was never given is a violation.
func (d *dealer) answered(t *turn, from *session, id wamp.ID) (*invocation, *wamp.Refusal) {
	from.mu.Lock()
	inv, last := from.invocations[id], from.lastInvoked
	from.mu.Unlock()
	if inv == nil && id > last || inv != nil && inv.limit != nil && inv.assigned() == nil {
		return nil, from.refuse(t, 0, 0, false, neverInvoked)
	}
	if inv != nil {
		t.transit.URI = inv.procedure
	}
	return inv, nil
}

// answer brings the caller what the callee made of the call, as m. If that is
// refused, the call ends with the reason at the caller instead.
func (d *dealer) answer(t *turn, from *session, inv *invocation, m wamp.Carrier, final bool) *wamp.Refusal {
	refusal := t.received(from.realm)
	if refusal != nil && refusal.Fatal {
		t.refused(from, refusal)
		return refusal // what leave does answers the caller
	}
	if final && !inv.end() {
		return nil // canceled or timed out meanwhile
	}
	if refusal == nil {
		in, _ := t.transit.Message.(wamp.Carrier).Carried()
		out, _ := m.Carried()
		*out = *in // as Receive left it
		t.fresh()
		within := inv
		if final { // it has ended, by this
			within = nil
		}
		refusal = t.deliverWithin(within, &from.peer, inv.procedure, m, inv.caller)
	}
	switch {
	case refusal == nil:
		t.routed(from, 1)
	case final:
		t.refused(from, refusal)
		inv.tell(t, refusal)
	case refusal != hasEnded && d.endWith(t, inv, refusal):
		t.refused(from, refusal)
	}
	return nil
}

// endWith ends a call before its callee has answered: the caller gets the reason,
// and the callee is told to stop, before it may be given another call. It reports
// whether it was this that ended the call.
func (d *dealer) endWith(t *turn, inv *invocation, r *wamp.Refusal) bool {
	ended := inv.take((*session).dropInvocation)
	if ended {
		inv.tell(t, r)
		inv.interrupt(t, "killnowait", r.URI)
		inv.free()
	}
	return ended
}

// cancel treats a CANCEL (WAMP, "Call Canceling").
func (d *dealer) cancel(t *turn, from *session, m *wamp.Cancel) *wamp.Refusal {
	t.begin(from, "", m)
	inv := from.callInFlight(m.Request)
	if inv == nil {
		t.routed(from, 0) // it has ended since
		return nil
	}
	mode := m.Options.Mode
	switch mode {
	case "", "skip", "kill", "killnowait":
	default:
		return from.refuse(t, wamp.TypeCancel, m.Request, true, unknownCancelMode)
	}
	if mode == "" {
		mode = "killnowait"
	}
	if callee := inv.assigned(); callee == nil || !callee.peer.Roles.Callee.Has(wamp.CallCanceling) {
		mode = "skip"
	}
	switch {
	case mode == "kill":
		inv.interrupt(t, "kill", wamp.ErrCanceled) // the callee's answer ends the call
	case mode == "killnowait":
		d.endWith(t, inv, canceled)
	case inv.end():
		inv.tell(t, canceled)
	}
	t.routed(from, 1)
	return nil
}

// expire ends a call whose time is over (WAMP, "Call Timeouts").
func (d *dealer) expire(t *turn, inv *invocation) { d.endWith(t, inv, timedOut) }

// leave ends all that a session that is gone has to do with calls: its
// registrations, the calls that it made, and those that it was to answer.
func (d *dealer) leave(t *turn, s *session) {
	for _, reg := range s.heldRegistrations() {
		d.withdraw(reg, s)
	}
	calls, invocations := s.inFlight()
	for _, inv := range calls {
		if inv.take((*session).dropInvocation) {
			if inv.callee != s {
				inv.interrupt(t, "killnowait", wamp.ErrCanceled)
			}
			inv.free()
		}
	}
	for _, inv := range invocations {
		if inv.end() {
			inv.tell(t, calleeLeft)
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
	calleeTakesNoParts = &wamp.Refusal{Reason: wamp.ReasonUnsupported, URI: wamp.ErrFeatureNotSupported,
		Text: "the callee did not announce progressive_call_invocations and call_canceling"}
	unknownCancelMode = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "Options.mode must be skip, kill or killnowait"}
	progressUnasked = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "the caller did not ask for progressive results"}
	requestInUse     = wamp.Violation("CALL.Request is the id of a call that is still in flight and not progressive")
	errorOfWrongType = wamp.Violation("ERROR.REQUEST.Type must be INVOCATION (68) in what a client sends")
	errorURI         = wamp.Violation("ERROR.Error is not a URI")
	neverInvoked     = wamp.Violation("INVOCATION.Request is not the id of an invocation that this session was given")
)
