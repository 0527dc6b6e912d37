package router

import (
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// registration is one procedure or pattern and its callees. It exists as long as it has
// callees.
type registration struct {
	id             wamp.ID
	uri            wamp.URI
	match          wamp.Match
	invoke         string // invocation policy, of all its callees
	forwardTimeout bool
	created        time.Time
	callees        atomic.Pointer[[]*session]  // in the order of registration; copied on change
	nextCallee     atomic.Uint64               // for roundrobin
	concurrency    atomic.Pointer[concurrency] // nil: no callee has asked for a limit

	// mu is held for reading while an INVOCATION is put into a callee's send queue, and
	// for writing while a callee is added or removed. REGISTERED is put under it, too,
	// so it precedes the first INVOCATION, and UNREGISTERED follows the last.
	mu sync.RWMutex
}

// selectCallee returns the callees and the index of the one that the invocation policy
// selects (WAMP, "Shared Registration").
func (reg *registration) selectCallee() (callees *[]*session, first int) {
	callees = reg.callees.Load()
	n := len(*callees)
	if n < 2 {
		return callees, 0
	}
	switch reg.invoke {
	case "last":
		first = n - 1
	case "roundrobin":
		first = int((reg.nextCallee.Add(1) - 1) % uint64(n))
	case "random":
		first = rand.IntN(n)
	}
	return callees, first
}

// isCallee reports whether the session is still a callee. candidates is what
// selectCallee returned.
func (reg *registration) isCallee(callee *session, asked *[]*session) bool {
	now := reg.callees.Load()
	return now == asked || slices.Contains(*now, callee)
}

// register adds a session to a registration, which is created if there is none.
func (d *dealer) register(b *batch, s *session, m *wamp.Register) *wamp.Refusal {
	b.begin(s, m.Procedure, m)
	hooks := s.realm.hooks.Load()
	match, refusal := d.registrable(b, s, m)
	if refusal != nil {
		return s.refuse(b, wamp.TypeRegister, m.Request, true, refusal)
	}
	if s.realm.link != nil {
		return d.registerInCluster(b, s, m, match)
	}
	events := s.realm.meta.events.forURI(m.Procedure, onRegistrationCreate, onRegister, onUnregister, onRegistrationDelete)
	var replaced *registration // by force_reregister
	var revoked []*session     // its callees
	var joined *registration
	if !d.procedures.Update(match, m.Procedure, func(reg *registration, ok bool) (*registration, bool) {
		old := reg
		if ok && m.Options.ForceReregister == wamp.True {
			ok, replaced = false, old
		}
		if !ok {
			reg = newRegistration(m, match)
		}
		reg.mu.Lock()
		defer reg.mu.Unlock()
		if refusal = reg.addCallee(s, m); refusal != nil {
			replaced = nil
			return old, old != nil
		}
		if replaced != nil {
			revoked = d.replaceRegistration(replaced, events)
		}
		if !ok {
			d.byID.Store(reg.id, reg)
			if events != nil {
				events.enqueue(onRegistrationCreate, uint64(s.peer.Session), reg.describe())
			}
		}
		events.enqueue(onRegister, uint64(s.peer.Session), uint64(reg.id))
		b.send(s, &wamp.Registered{Request: m.Request, Registration: reg.id})
		joined = reg
		return reg, true
	}) {
		refusal = tooManyShapes
	}
	if refusal != nil {
		return s.refuse(b, wamp.TypeRegister, m.Request, true, refusal)
	}
	b.routed(s, 0)
	if replaced != nil {
		replaced.endReplaced(b, revoked)
	}
	if l := joined.concurrency.Load(); l != nil {
		l.assignWaiting(s)
	}
	s.realm.meta.events.publish(b, s)
	if s.realm.hooks.Load() != hooks { // Reload may have checked the session before it had this
		s.revokeForbidden(b)
	}
	return nil
}

// replaceRegistration removes a registration from all its callees. It returns those
// that did not unregister at the same time; endReplaced notifies them later. The
// index's lock for the URI is held.
func (d *dealer) replaceRegistration(reg *registration, events *metaEvents) (revoked []*session) {
	d.byID.Delete(reg.id)
	callees := *reg.callees.Load()
	for i, s := range callees {
		s.mu.Lock()
		if s.registrations[reg.id] == reg {
			revoked = append(revoked, s)
		}
		delete(s.registrations, reg.id)
		s.mu.Unlock()
		events.enqueue(onUnregister, uint64(s.peer.Session), uint64(reg.id))
		if i == len(callees)-1 {
			events.enqueue(onRegistrationDelete, uint64(s.peer.Session), uint64(reg.id))
		}
	}
	return revoked
}

// endReplaced ends a registration that was replaced, and notifies the callees that lost
// it.
func (reg *registration) endReplaced(b *batch, revoked []*session) {
	reg.mu.Lock()
	callees := *reg.callees.Swap(new([]*session))
	reg.mu.Unlock()
	for _, s := range revoked {
		s.sendRevocation(b, reg, "the procedure was re-registered by another callee (force_reregister)")
	}
	if l := reg.concurrency.Load(); l != nil {
		for _, s := range callees {
			l.remove(s, reRegistered)
		}
	}
}

func newRegistration(m *wamp.Register, match wamp.Match) *registration {
	reg := &registration{id: wamp.RandomID(), uri: m.Procedure, match: match, invoke: m.Options.Invoke,
		forwardTimeout: m.Options.ForwardTimeout == wamp.True, created: time.Now()}
	if reg.invoke == "" {
		reg.invoke = "single"
	}
	reg.callees.Store(new([]*session))
	return reg
}

// registrable makes the checks of a REGISTER that need no registration.
func (d *dealer) registrable(b *batch, s *session, m *wamp.Register) (wamp.Match, *wamp.Refusal) {
	match, ok := wamp.ParseMatch(m.Options.Match)
	if !ok {
		return match, unknownMatch
	}
	if refusal := s.badURI(m.Procedure, match); refusal != nil {
		return match, refusal
	}
	if m.Procedure.Reserved() {
		return match, reservedURI
	}
	switch m.Options.Invoke {
	case "", "single", "first", "last", "roundrobin", "random":
	default:
		return match, unknownInvoke
	}
	_, refusal := b.authorized(s, ActionRegister, m.Procedure, match)
	if refusal == nil && m.Options.ForceReregister == wamp.True && s.realm.hooks.Load().reserved[m.Procedure] {
		refusal = noForceForReserved
	}
	return match, refusal
}

// addCallee adds a callee. The index's lock for the URI is held, so changes of one
// registration come one after the other.
func (reg *registration) addCallee(s *session, m *wamp.Register) *wamp.Refusal {
	callees := *reg.callees.Load()
	if len(callees) > 0 {
		invoke := m.Options.Invoke
		if invoke == "" {
			invoke = "single"
		}
		switch {
		case reg.invoke == "single" && invoke == "single", slices.Contains(callees, s):
			return procedureExists
		case reg.invoke != invoke:
			return otherPolicy
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return sessionEnded
	}
	if refusal := overLimit(len(s.registrations), s.router.limits().Registrations, tooManyRegistrations); refusal != nil {
		return refusal
	}
	if s.registrations == nil {
		s.registrations = make(map[wamp.ID]*registration)
	}
	s.registrations[reg.id] = reg
	reg.setConcurrency(s, m.Options.Concurrency)
	changed := append(slices.Clone(callees), s)
	reg.callees.Store(&changed)
	return nil
}

// unregister removes a session from a registration.
func (d *dealer) unregister(b *batch, s *session, m *wamp.Unregister) *wamp.Refusal {
	b.begin(s, "", m)
	s.mu.Lock()
	reg := s.registrations[m.Registration]
	s.mu.Unlock()
	if reg == nil || !d.removeCallee(reg, s) {
		return s.refuse(b, wamp.TypeUnregister, m.Request, true, noSuchRegistration)
	}
	if s.realm.link != nil {
		b.flush()
		d.leaveDirectory(s.realm, reg, s.peer.Session)
	}
	b.send(s, &wamp.Unregistered{Request: m.Request})
	b.routed(s, 0)
	s.realm.meta.events.publish(b, s)
	return nil
}

// removeCallee removes a callee from a registration, and the registration if it was the
// last. It reports false if it had been removed already.
func (d *dealer) removeCallee(reg *registration, s *session) (removed bool) {
	s.mu.Lock()
	removed = s.registrations[reg.id] == reg
	delete(s.registrations, reg.id)
	s.mu.Unlock()
	if !removed {
		return false
	}
	events := s.realm.meta.events.forURI(reg.uri, onUnregister, onRegistrationDelete)
	why := noSuchProcedure
	d.procedures.Update(reg.match, reg.uri, func(now *registration, there bool) (*registration, bool) {
		reg.mu.Lock()
		defer reg.mu.Unlock()
		changed := slices.DeleteFunc(slices.Clone(*reg.callees.Load()), func(c *session) bool { return c == s })
		reg.callees.Store(&changed)
		if now != reg { // replaced by force_reregister in between
			why = reRegistered
			return now, there
		}
		events.enqueue(onUnregister, uint64(s.peer.Session), uint64(reg.id))
		if len(changed) == 0 {
			d.byID.Delete(reg.id)
			events.enqueue(onRegistrationDelete, uint64(s.peer.Session), uint64(reg.id))
		}
		return reg, len(changed) > 0
	})
	if l := reg.concurrency.Load(); l != nil {
		l.remove(s, why)
	}
	return true
}

// heldRegistrations returns the registrations that the session is a callee of.
func (s *session) heldRegistrations() []*registration {
	s.mu.Lock()
	defer s.mu.Unlock()
	held := make([]*registration, 0, len(s.registrations))
	for _, reg := range s.registrations {
		held = append(held, reg)
	}
	return held
}

var (
	procedureExists = &wamp.Refusal{Reason: wamp.ReasonRegistered, URI: wamp.ErrProcedureExists,
		Text: "the procedure is already registered"}
	otherPolicy = &wamp.Refusal{Reason: wamp.ReasonRegistered, URI: wamp.ErrProcedureExistsPolicy,
		Text: "the procedure is registered with another invocation policy"}
	reRegistered = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrUnavailable,
		Text: "the procedure was re-registered by another callee (force_reregister): retry the call"}
	noSuchRegistration = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchRegistration,
		Text: "the session has no registration with this id"}
	unknownInvoke = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "Options.invoke must be single, first, last, roundrobin or random"}
)
