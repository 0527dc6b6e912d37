package router

import (
	"errors"
	"slices"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// In a cluster, the directory decides on registrations: REGISTER changes
// its entry by compare-and-set, and every node, including this one, changes its own table
// once it sees the entry (ClusterRealm.Apply). Calls are routed by that table.

// pendingRegister is a REGISTER whose entry has not reached Apply yet.
type pendingRegister struct {
	request wamp.ID
	match   wamp.Match
	uri     wamp.URI
	entry   atomic.Uint64 // id of the entry that the session was added to
	refused *wamp.Refusal // set by Apply, before Change returns
}

// registerInCluster is register with a directory.
func (d *dealer) registerInCluster(b *batch, s *session, m *wamp.Register, match wamp.Match) *wamp.Refusal {
	link := s.realm.link
	p := &pendingRegister{request: m.Request, match: match, uri: m.Procedure}
	s.mu.Lock()
	refusal := overLimit(len(s.registrations), s.router.limits().Registrations, tooManyRegistrations)
	s.mu.Unlock()
	if refusal == nil {
		s.realm.remote.setRegistering(s, p)
		b.flush() // as Change blocks for a while
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
	case refusal == nil && waiting: // Apply did not add it: the session has left, or another change came first
		refusal = reRegistered
	}
	if refusal != nil {
		return s.refuse(b, wamp.TypeRegister, m.Request, true, refusal)
	}
	b.routed(s, 0)
	s.realm.meta.events.publish(b, s)
	return nil
}

// entryWith returns the entry after a session has registered, by the rules of
// registration.addCallee.
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

// leaveDirectory removes a session of this node from an entry of the directory; the
// dealer's table has lost it already. If the directory can't be reached, package
// cluster does it later.
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

// Without returns the entry without the callees of a node that has failed: nil if none
// is left. unchanged is set if it has none there.
func (e *Entry) Without(node string) (rest *Entry, unchanged bool) {
	rest, refusal := entryWithout(e, e.ID, func(c *Callee) bool { return c.Node == node })
	return rest, refusal != nil
}

// WithoutSession returns the entry without one session: nil if no callee is left.
func (e *Entry) WithoutSession(node string, session wamp.ID) (rest *Entry, unchanged bool) {
	rest, refusal := entryWithout(e, e.ID, func(c *Callee) bool { return c.Node == node && c.Session == session })
	return rest, refusal != nil
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

// Rejoin adds a session of this node to the directory again, with a registration that
// it holds. If another callee has taken the registration's place, the session is
// notified that its registration is revoked.
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

// revoke removes a session of this node from a registration, and notifies it.
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
	s.sendRevocation(b, reg, "the procedure was registered by another callee while this node was disconnected from the cluster")
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

// Holds reports whether a session of this node holds the registration of that id, or is
// about to get it.
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
