package router

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// In a cluster, who has registered what is decided by the directory: REGISTER changes
// its entry by compare-and-set, and every node, this one too, changes its own table
// only when it sees the entry (ClusterRealm.Apply). Calls are routed by that table.

// pendingRegister is a REGISTER whose entry is on its way to Apply.
type pendingRegister struct {
	request wamp.ID
	match   wamp.Match
	uri     wamp.URI
	entry   atomic.Uint64 // the id of the entry that the session was put into
	refused *wamp.Refusal // by Apply, before Change returns
}

// registerInCluster is register where there is a directory.
func (d *dealer) registerInCluster(b *batch, s *session, m *wamp.Register, match wamp.Match) *wamp.Refusal {
	link := s.realm.link
	p := &pendingRegister{request: m.Request, match: match, uri: m.Procedure}
	s.mu.Lock()
	refusal := overLimit(len(s.registrations), s.router.limits().Registrations, tooManyRegistrations)
	s.mu.Unlock()
	if refusal == nil {
		s.realm.remote.setRegistering(s, p)
		b.flush() // what follows takes a while
		me := Callee{Node: link.Node(), Session: s.peer.Session, Concurrency: m.Options.Concurrency, Features: s.peer.Roles.Callee.Features}
		refusal = link.Change(match, m.Procedure, func(old *Entry) (*Entry, *wamp.Refusal) {
			entry, refusal := entryWith(old, m, match, me)
			if refusal == nil {
				p.entry.Store(uint64(entry.ID))
			}
			return entry, refusal
		})
	}
	waiting := s.realm.remote.takeRegistering(s) == p
	switch {
	case refusal == nil && p.refused != nil:
		refusal = p.refused
	case refusal == nil && waiting: // Apply has not put it in: the session is gone, or another change came before
		refusal = reRegistered
	}
	if refusal != nil {
		return s.refuse(b, wamp.TypeRegister, m.Request, true, refusal)
	}
	b.routed(s, 0)
	s.realm.meta.events.publish(b, s)
	return nil
}

// entryWith is what becomes of an entry when a session registers: by the rules of
// registration.add.
func entryWith(old *Entry, m *wamp.Register, match wamp.Match, me Callee) (*Entry, *wamp.Refusal) {
	reg := newRegistration(m, match)
	if old == nil || m.Options.ForceReregister == wamp.True {
		return &Entry{ID: reg.id, URI: reg.uri, Match: match, Invoke: reg.invoke, ForwardTimeout: reg.forwardTimeout,
			Created: reg.created, Callees: []Callee{me}}, nil
	}
	there := slices.ContainsFunc(old.Callees, func(c Callee) bool { return c.Node == me.Node && c.Session == me.Session })
	switch {
	case old.Invoke == "single" && reg.invoke == "single", there:
		return nil, procedureExists
	case old.Invoke != reg.invoke:
		return nil, otherPolicy
	}
	entry := *old
	entry.Callees = append(slices.Clone(old.Callees), me)
	return &entry, nil
}

// leaveDirectory takes a session of this node out of an entry of the directory, which
// it has left already in the dealer's own table. If the directory can't be reached,
// Reconcile does it later.
func (d *dealer) leaveDirectory(m *realm, reg *registration, session wamp.ID) {
	_ = m.link.Change(reg.match, reg.uri, func(old *Entry) (*Entry, *wamp.Refusal) {
		return entryWithout(old, reg.id, func(c *Callee) bool { return c.Node == m.link.Node() && c.Session == session })
	})
}

// errUnchanged says that an entry needs no change.
var errUnchanged = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchRegistration, Text: "there is no such registration"}

// entryWithout returns an entry of that id without the callees that gone selects.
func entryWithout(old *Entry, id wamp.ID, gone func(c *Callee) bool) (*Entry, *wamp.Refusal) {
	if old == nil || old.ID != id || !slices.ContainsFunc(old.Callees, func(c Callee) bool { return gone(&c) }) {
		return nil, errUnchanged
	}
	entry := *old
	entry.Callees = slices.DeleteFunc(slices.Clone(old.Callees), func(c Callee) bool { return gone(&c) })
	if len(entry.Callees) == 0 {
		return nil, nil
	}
	return &entry, nil
}

// Without returns what becomes of an entry when a node is gone: nil for an entry
// without callees. unchanged is set if it has none there.
func (e *Entry) Without(node string) (rest *Entry, unchanged bool) {
	rest, refusal := entryWithout(e, e.ID, func(c *Callee) bool { return c.Node == node })
	return rest, refusal != nil
}

// WithoutSession returns what becomes of an entry when one session has left it.
func (e *Entry) WithoutSession(node string, session wamp.ID) (rest *Entry, unchanged bool) {
	rest, refusal := entryWithout(e, e.ID, func(c *Callee) bool { return c.Node == node && c.Session == session })
	return rest, refusal != nil
}

// Apply takes over an entry of the directory as it is now; nil is none under (match,
// uri). A session of this node that is no longer in it, though it has not left, is put
// back (lost has the registration for Rejoin), or told that its registration is revoked
// if another has taken the place.
func (c *ClusterRealm) Apply(match wamp.Match, uri wamp.URI, e *Entry) (lost []Registered) {
	b := c.router.newBatch()
	defer b.end()
	m, d := c.realm, c.realm.dealer
	var replaced *registration
	var revoked []*session
	var joined []*session
	var kept *registration
	d.procedures.Update(match, uri, func(reg *registration, ok bool) (*registration, bool) {
		if ok && (e == nil || reg.id != e.ID) {
			replaced = reg
			ok = false
		}
		if e == nil {
			return nil, false
		}
		if !ok {
			reg = &registration{id: e.ID, uri: e.URI, match: e.Match, invoke: e.Invoke, forwardTimeout: e.ForwardTimeout, created: e.Created}
			reg.callees.Store(new([]*session))
		}
		reg.mu.Lock()
		defer reg.mu.Unlock()
		joined = c.setCalleesLocked(b, reg, e)
		if !ok {
			d.byID.Store(reg.id, reg)
		}
		if len(*reg.callees.Load()) == 0 {
			d.byID.Delete(reg.id)
			return nil, false
		}
		kept = reg
		return reg, true
	})
	if replaced != nil {
		d.byID.Delete(replaced.id)
		revoked, lost = c.endRegistration(replaced, e)
		replaced.endReplaced(b, revoked)
	}
	if kept != nil {
		lost = append(lost, c.missing(kept, e)...)
		if l := kept.concurrency.Load(); l != nil {
			for _, s := range joined {
				l.assignWaiting(s)
			}
		}
	}
	m.meta.events.publish(b, m.meta.service)
	return lost
}

// Registered is a registration that a session of this node holds.
type Registered struct {
	Entry  Entry // without callees
	Callee Callee
}

// setCalleesLocked makes the registration's callees those of the entry, and returns those that
// are new. Sessions of this node that hold the registration and are missing stay: see
// missing. reg.mu is held.
func (c *ClusterRealm) setCalleesLocked(b *batch, reg *registration, e *Entry) (joined []*session) {
	m := c.realm
	before := *reg.callees.Load()
	callees := make([]*session, 0, len(e.Callees))
	for i := range e.Callees {
		callee := &e.Callees[i]
		if callee.Node == m.link.Node() {
			if s := c.localCallee(b, reg, callee); s != nil {
				callees = append(callees, s)
			}
			continue
		}
		callees = append(callees, m.remoteCallee(c.router, callee))
	}
	for _, s := range before {
		if s.remote == nil && !slices.Contains(callees, s) && s.holds(reg) {
			callees = append(callees, s)
		}
	}
	limited := slices.ContainsFunc(e.Callees, func(c Callee) bool { return c.Concurrency > 0 })
	for _, s := range callees {
		if slices.Contains(before, s) {
			continue
		}
		joined = append(joined, s)
		if s.remote != nil {
			m.countRemote(s, 1)
		}
	}
	reg.callees.Store(&callees)
	if limited {
		reg.setLimits(joined, e, c.router.limits().WaitingCalls)
	}
	for _, s := range before {
		if slices.Contains(callees, s) {
			continue
		}
		if l := reg.concurrency.Load(); l != nil {
			l.remove(s, noSuchProcedure)
		}
		if s.remote != nil {
			m.countRemote(s, -1)
		}
	}
	return joined
}

// setLimits enters callees that have joined with their limits of concurrency. Those of
// other nodes have none here: their nodes see to it.
func (reg *registration) setLimits(joined []*session, e *Entry, waiting int) {
	l := reg.concurrency.Load()
	if l == nil {
		l = &concurrency{reg: reg, limit: waiting, callees: make(map[*session]*calleeLoad)}
		for _, s := range *reg.callees.Load() {
			l.add(s, 0)
		}
	}
	for _, s := range joined {
		limit := uint64(0)
		if i := slices.IndexFunc(e.Callees, func(c Callee) bool { return c.Session == s.peer.Session }); s.remote == nil && i >= 0 {
			limit = e.Callees[i].Concurrency
		}
		l.add(s, limit)
	}
	reg.concurrency.Store(l)
}

// localCallee returns the session of this node that an entry names, if it holds the
// registration, or has just asked for it: then it is told.
func (c *ClusterRealm) localCallee(b *batch, reg *registration, callee *Callee) *session {
	s := c.realm.session(callee.Session)
	if s == nil {
		return nil
	}
	p, holds := c.hold(s, reg)
	if p == nil {
		if !holds {
			return nil
		}
		return s
	}
	events := c.realm.meta.events
	if len(*reg.callees.Load()) == 0 {
		events.enqueue(onRegistrationCreate, uint64(s.peer.Session), reg.describe())
	}
	events.enqueue(onRegister, uint64(s.peer.Session), uint64(reg.id))
	b.send(s, &wamp.Registered{Request: p.request, Registration: reg.id})
	return s
}

// hold enters a registration into the table of a session that has asked for it, and
// returns what it asked for. Without that, holds is whether the session has it already.
func (c *ClusterRealm) hold(s *session, reg *registration) (asked *pendingRegister, holds bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.registrations[reg.id] != nil {
		s.registrations[reg.id] = reg // another one, if the entry was gone in between
		return nil, true
	}
	p := c.realm.remote.registeringOf(s)
	if s.left || p == nil || wamp.ID(p.entry.Load()) != reg.id {
		return nil, false
	}
	if p.refused = overLimit(len(s.registrations), s.router.limits().Registrations, tooManyRegistrations); p.refused != nil {
		return nil, false
	}
	c.realm.remote.takeRegistering(s)
	if s.registrations == nil {
		s.registrations = make(map[wamp.ID]*registration)
	}
	s.registrations[reg.id] = reg
	return p, true
}

func (s *session) holds(reg *registration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registrations[reg.id] == reg
}

// missing returns the sessions of this node that hold a registration and are not in its
// entry.
func (c *ClusterRealm) missing(reg *registration, e *Entry) (lost []Registered) {
	for _, s := range *reg.callees.Load() {
		there := slices.ContainsFunc(e.Callees, func(callee Callee) bool {
			return callee.Session == s.peer.Session && callee.Node == c.realm.link.Node()
		})
		if s.remote == nil && !there {
			lost = append(lost, c.registered(reg, s))
		}
	}
	return lost
}

func (c *ClusterRealm) registered(reg *registration, s *session) Registered {
	limit := uint64(0)
	if l := reg.concurrency.Load(); l != nil {
		limit = l.limitOf(s)
	}
	return Registered{
		Entry: Entry{ID: reg.id, URI: reg.uri, Match: reg.match, Invoke: reg.invoke, ForwardTimeout: reg.forwardTimeout, Created: reg.created},
		Callee: Callee{Node: c.realm.link.Node(), Session: s.peer.Session, Concurrency: limit,
			Features: s.peer.Roles.Callee.Features},
	}
}

// endRegistration takes a registration that is no longer in the directory from its
// callees. If another one has its place, those of this node are revoked; otherwise they
// are lost, and keep it until Rejoin has decided.
func (c *ClusterRealm) endRegistration(reg *registration, by *Entry) (revoked []*session, lost []Registered) {
	for _, s := range *reg.callees.Load() {
		if s.remote != nil {
			c.realm.countRemote(s, -1)
			continue
		}
		if !s.holds(reg) {
			continue
		}
		if by == nil {
			lost = append(lost, c.registered(reg, s))
			continue
		}
		s.mu.Lock()
		delete(s.registrations, reg.id)
		s.mu.Unlock()
		c.realm.meta.events.enqueue(onUnregister, uint64(s.peer.Session), uint64(reg.id))
		revoked = append(revoked, s)
	}
	return revoked, lost
}

// Rejoin puts a session of this node back into the directory, with the registration
// that it holds. If another has its place, the session is told that its registration is
// revoked.
func (c *ClusterRealm) Rejoin(r *Registered) error {
	s := c.realm.session(r.Callee.Session)
	if s == nil {
		return nil
	}
	refusal := c.realm.link.Change(r.Entry.Match, r.Entry.URI, func(old *Entry) (*Entry, *wamp.Refusal) {
		s.mu.Lock()
		_, held := s.registrations[r.Entry.ID]
		s.mu.Unlock()
		switch {
		case !held || s.ending.Load():
			return nil, errUnchanged
		case old == nil:
			entry := r.Entry
			entry.Callees = []Callee{r.Callee}
			return &entry, nil
		case old.ID != r.Entry.ID:
			return nil, procedureExists
		case slices.ContainsFunc(old.Callees, func(c Callee) bool { return c.Node == r.Callee.Node && c.Session == r.Callee.Session }):
			return nil, errUnchanged
		}
		entry := *old
		entry.Callees = append(slices.Clone(old.Callees), r.Callee)
		return &entry, nil
	})
	switch {
	case refusal == nil || errors.Is(refusal, errUnchanged):
		return nil
	case errors.Is(refusal, procedureExists):
		c.revoke(s, r.Entry.ID)
		return nil
	}
	return refusal
}

// revoke takes a registration from a session of this node, and tells it.
func (c *ClusterRealm) revoke(s *session, id wamp.ID) {
	s.mu.Lock()
	reg := s.registrations[id]
	delete(s.registrations, id)
	s.mu.Unlock()
	if reg == nil {
		return
	}
	b := c.router.newBatch()
	defer b.end()
	reg.mu.Lock()
	callees := slices.DeleteFunc(slices.Clone(*reg.callees.Load()), func(other *session) bool { return other == s })
	reg.callees.Store(&callees)
	reg.mu.Unlock()
	s.sendRevocation(b, reg, "registered by another callee while this node was cut off")
}

// Held returns the registrations that the sessions of this node hold.
func (c *ClusterRealm) Held() (held []Registered) {
	for _, s := range c.realm.allSessions() {
		for _, reg := range s.heldRegistrations() {
			held = append(held, c.registered(reg, s))
		}
	}
	return held
}

// Holds reports whether a session of this node holds the registration of that id, or
// has just asked for it.
func (c *ClusterRealm) Holds(session, registration wamp.ID) bool {
	s := c.realm.session(session)
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p := c.realm.remote.registeringOf(s)
	return s.registrations[registration] != nil || p != nil && wamp.ID(p.entry.Load()) == registration
}

// remoteCallee returns the session that stands for a callee on another node.
func (m *realm) remoteCallee(r *Router, callee *Callee) *session {
	x := m.remote
	key := remoteKey{callee.Node, callee.Session}
	x.mu.Lock()
	defer x.mu.Unlock()
	s := x.callees[key]
	if s == nil {
		s = m.newRemote(r, callee.Node, wamp.Peer{Session: callee.Session,
			Roles: wamp.Roles{Callee: wamp.Role{Present: true, Features: callee.Features}}})
		x.callees[key] = s
	}
	return s
}

// countRemote counts the registrations of a remote callee, which is forgotten with the
// last.
func (m *realm) countRemote(s *session, more int) {
	x := m.remote
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.remote.held += more; s.remote.held == 0 {
		delete(x.callees, remoteKey{s.remote.node, s.peer.Session})
	}
}
