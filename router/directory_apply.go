package router

import (
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// Apply takes over the current entry of the directory under (match, uri); nil is none.
// A session of this node that has lost its place in it without leaving keeps its
// registration and is returned in lost, for Rejoin. If another registration has
// replaced it, the session is notified that its registration is revoked instead.
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

// setCalleesLocked makes the registration's callees those of the entry, and returns the
// new ones. Sessions of this node that hold the registration but are missing from the
// entry stay: see missing. reg.mu is write-locked.
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

// setLimits sets the concurrency limits of callees that have joined. Callees on other
// nodes have none here, as their nodes enforce them.
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
// registration or is about to get it: then it gets REGISTERED.
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

func (s *session) holds(reg *registration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.registrations[reg.id] == reg
}

// missing returns the sessions of this node that hold a registration but are missing
// from its entry.
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

// endRegistration ends a registration that is no longer in the directory. If another
// one has replaced it, its callees on this node are revoked; otherwise they are lost,
// and keep it until Rejoin has decided.
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

// Registered is a registration that a session of this node holds.
type Registered struct {
	Entry  Entry // without callees
	Callee Callee
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

// countRemote counts the registrations of a remote callee, which is dropped with the
// last.
func (m *realm) countRemote(s *session, more int) {
	x := m.remote
	x.mu.Lock()
	defer x.mu.Unlock()
	if s.remote.held += more; s.remote.held == 0 {
		delete(x.callees, remoteKey{s.remote.node, s.peer.Session})
	}
}
