package router

import "github.com/blindfold-wamp/blindfold/wamp"

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
	canceled = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled,
		Text: "the call was canceled"}
	timedOut = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrTimeout,
		Text: "the call took longer than its timeout"}
	calleeLeft = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrCanceled,
		Text: "the callee left before it answered"}
	unknownCancelMode = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "Options.mode must be skip, kill or killnowait"}
)
