package router

import (
	"slices"
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// concurrency limits how many calls each callee of a registration has to answer
// at a time, where a callee asked for it (REGISTER.Options.concurrency, as
// Crossbar has it). A call that finds no callee free waits, in the order of
// arrival, with its payload as the bytes that came.
type concurrency struct {
	reg   *registration
	limit int // calls that may wait

	mu      sync.Mutex
	callees map[*session]*calleeLoad
	waiting []*waitingCall
}

// calleeLoad is how many calls a callee has, and may have; 0 is any number.
type calleeLoad struct{ used, limit uint64 }

// waitingCall is a call without a callee. It stands in the table of its caller
// as any other.
type waitingCall struct {
	inv       *invocation
	message   wamp.Invocation
	refusedBy []*session // callees that would have to be refused its payload
}

// free reports whether the callee may have one more call. l.mu is held.
func (l *concurrency) free(callee *session) bool {
	load := l.callees[callee]
	return load != nil && (load.limit == 0 || load.used < load.limit)
}

// anyone reports whether the policy lets any callee that is free have a call.
func (l *concurrency) anyone() bool { return l.reg.invoke == "roundrobin" || l.reg.invoke == "random" }

// acquire takes a place at a callee, if there is one.
func (l *concurrency) acquire(callee *session) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.free(callee) {
		return false
	}
	l.callees[callee].used++
	return true
}

// release gives a place back, and to a call that waits.
func (l *concurrency) release(callee *session) {
	l.giveBack(callee)
	l.serve(callee)
}

func (l *concurrency) giveBack(callee *session) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if load := l.callees[callee]; load != nil && load.used > 0 {
		load.used--
	}
}

// invoke offers a call to the callees of the registration, or lets it wait. With
// the policies roundrobin and random any callee that is free gets it; with the
// others it waits for the one that they name.
func (l *concurrency) invoke(d *dealer, t *turn, from *session, m *wamp.Call) *wamp.Refusal {
	callees, first := l.reg.choose()
	anyone := l.anyone()
	refusal, busy := noSuchProcedure, false
	var refusedBy []*session
	for i := range callees {
		callee := callees[(first+i)%len(callees)]
		if !l.acquire(callee) {
			busy = true
			if !anyone {
				break
			}
			continue
		}
		r := d.offer(t, from, m, l.reg, callee)
		if r == nil {
			return nil
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
		return calleesBusy // what follows it would have to wait, too
	}
	return l.wait(d, t, from, m, refusedBy)
}

// wait lets a call wait. The turn has its INVOCATION.
func (l *concurrency) wait(d *dealer, t *turn, from *session, m *wamp.Call, refusedBy []*session) *wamp.Refusal {
	w := &waitingCall{inv: d.invocationFor(from, m, l.reg), message: t.invocation, refusedBy: refusedBy}
	w.message.Payload = m.Payload.Clone()
	w.inv.limit = l
	l.mu.Lock()
	if len(l.waiting) >= l.limit || len(l.callees) == 0 {
		l.mu.Unlock()
		return calleesBusy
	}
	if refusal := w.inv.enter(); refusal != nil {
		l.mu.Unlock()
		return refusal
	}
	l.waiting = append(l.waiting, w)
	var free []*session
	for callee := range l.callees {
		if l.free(callee) && !slices.Contains(refusedBy, callee) {
			free = append(free, callee) // since it was asked
		}
	}
	l.mu.Unlock()
	d.startTimeout(w.inv, m)
	for _, callee := range free {
		l.serve(callee)
	}
	return nil
}

// forget takes a call that has ended out of those that wait.
func (l *concurrency) forget(inv *invocation) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waitingCall) bool { return w.inv == inv })
}

// serve gives a callee calls that wait, as many as it may have, if the policy does
// not name another.
func (l *concurrency) serve(callee *session) {
	if !l.anyone() {
		if callees, first := l.reg.choose(); len(callees) == 0 || callees[first] != callee {
			return
		}
	}
	var t *turn
	for {
		w := l.next(callee)
		if w == nil {
			break
		}
		if t == nil {
			t = callee.router.newTurn()
		}
		l.give(t, w, callee)
	}
	if t != nil {
		t.end()
	}
}

// next takes a place at a callee, and the call that has waited longest for it.
func (l *concurrency) next(callee *session) *waitingCall {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.waiting) == 0 || !l.free(callee) {
		return nil
	}
	at := slices.IndexFunc(l.waiting, func(w *waitingCall) bool { return !slices.Contains(w.refusedBy, callee) })
	if at < 0 {
		return nil
	}
	w := l.waiting[at]
	l.waiting = slices.Delete(l.waiting, at, at+1)
	l.callees[callee].used++
	return w
}

// give brings a call that has waited to a callee.
func (l *concurrency) give(t *turn, w *waitingCall, callee *session) {
	refusal := noSuchProcedure
	id, there := callee.nextInvocation(w.inv, false)
	if there {
		if !w.inv.assign(callee, id) { // it has ended meanwhile
			callee.takeBackInvocation(id)
			l.giveBack(callee)
			return
		}
		from, m := &w.inv.caller.peer, &w.message
		m.Request = id
		t.begin(w.inv.caller, w.inv.procedure, m)
		t.fresh()
		if refusal = t.deliver(from, w.inv.procedure, m, callee); refusal == nil {
			return
		}
		callee.dropInvocation(id)
		if !w.inv.assign(nil, 0) {
			return // it has ended, and given its place back
		}
		callee.takeBackInvocation(id)
	}
	l.giveBack(callee)
	w.refusedBy = append(w.refusedBy, callee)
	if !l.again(w) && w.inv.end() {
		t.refused(w.inv.caller, refusal)
		w.inv.tell(t, refusal)
	}
}

// again lets a call wait for another callee, if there is one left to ask.
func (l *concurrency) again(w *waitingCall) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for callee := range l.callees {
		if !slices.Contains(w.refusedBy, callee) {
			l.waiting = slices.Insert(l.waiting, 0, w)
			return true
		}
	}
	return false
}

// join adds a callee.
func (l *concurrency) join(callee *session, limit uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.callees[callee] = &calleeLoad{limit: limit}
}

// part removes a callee, which the registration has lost already. Calls that
// nobody is left for end; others may have waited for this callee only, and are
// given to whom the policy names now.
func (l *concurrency) part(callee *session) {
	defer func() {
		if callees, first := l.reg.choose(); len(callees) > 0 && !l.anyone() {
			l.serve(callees[first])
		}
	}()
	l.mu.Lock()
	delete(l.callees, callee)
	var hopeless []*waitingCall
	l.waiting = slices.DeleteFunc(l.waiting, func(w *waitingCall) bool {
		for callee := range l.callees {
			if !slices.Contains(w.refusedBy, callee) {
				return false
			}
		}
		hopeless = append(hopeless, w)
		return true
	})
	l.mu.Unlock()
	if len(hopeless) == 0 {
		return
	}
	t := callee.router.newTurn()
	defer t.end()
	for _, w := range hopeless {
		if w.inv.end() {
			w.inv.tell(t, noSuchProcedure)
		}
	}
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

// limited makes the registration's concurrency, if the callee that joins asks
// for one or another did, and enters the callee.
func (reg *registration) limited(s *session, limit uint64) {
	l := reg.concurrency.Load()
	if l == nil {
		if limit == 0 {
			return
		}
		l = &concurrency{reg: reg, limit: s.router.limits().WaitingCalls, callees: make(map[*session]*calleeLoad)}
		for _, callee := range *reg.callees.Load() {
			l.join(callee, 0)
		}
		l.join(s, limit)
		reg.concurrency.Store(l)
		return
	}
	l.join(s, limit)
}

var calleesBusy = &wamp.Refusal{Reason: wamp.ReasonLimit, URI: wamp.ErrUnavailable, Limit: wamp.LimitWaitingCalls,
	Text: "all callees have as many calls as they may, and no more can wait"}
