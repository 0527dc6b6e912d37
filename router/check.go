package router

import (
	"errors"
	"fmt"
	"slices"
)

// Check checks the invariants between the router's tables and returns the first
// violation. It is for tests and diagnosis: on a busy router it may see a change that
// is half done.
func (r *Router) Check() error {
	for _, m := range r.order {
		if err := m.check(); err != nil {
			return fmt.Errorf("realm %s: %w", m.name, err)
		}
	}
	if n := r.timeouts.endedTimers(); n > 0 {
		return fmt.Errorf("%d timeouts of calls that have ended", n)
	}
	return nil
}

func (m *realm) check() (err error) {
	sessions := make(map[*session]bool)
	for _, s := range m.allSessions() {
		sessions[s] = true
		if err := s.check(); err != nil {
			return fmt.Errorf("session %d: %w", s.peer.Session, err)
		}
	}
	m.broker.topics.Each(func(sub *subscription) bool {
		sub.mu.RLock()
		defer sub.mu.RUnlock()
		if len(sub.members) == 0 && sub.history == nil {
			err = fmt.Errorf("subscription %d has no members", sub.id)
		}
		if held, _ := m.broker.byID.Load(sub.id); held != sub {
			err = fmt.Errorf("subscription %d is not found by its id", sub.id)
		}
		for i, me := range sub.members {
			me.session.mu.Lock()
			held := me.session.subscriptions.get(sub.id) == me
			me.session.mu.Unlock()
			if me.index != i || me.subscription != sub || !held || !sessions[me.session] {
				err = fmt.Errorf("subscription %d: a member that does not know of it, or is gone", sub.id)
			}
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	m.dealer.procedures.Each(func(reg *registration) bool {
		callees := *reg.callees.Load()
		if held, _ := m.dealer.byID.Load(reg.id); held != reg {
			err = fmt.Errorf("registration %d is not found by its id", reg.id)
		}
		if l := reg.concurrency.Load(); l != nil && !l.check(callees) {
			err = fmt.Errorf("registration %d: its callees and their concurrency differ", reg.id)
		}
		if len(callees) == 0 {
			err = fmt.Errorf("registration %d has no callees", reg.id)
		}
		for _, s := range callees {
			if s.remote != nil {
				continue // another node's
			}
			if !sessions[s] || !slices.Contains(s.heldRegistrations(), reg) {
				err = fmt.Errorf("registration %d: a callee that does not know of it, or is gone", reg.id)
			}
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	return m.checkStores()
}

// checkStores checks what the realm stores apart from its sessions.
func (m *realm) checkStores() (err error) {
	subscriptions, registrations := 0, 0
	m.broker.topics.Each(func(sub *subscription) bool {
		subscriptions++
		if sub.history != nil {
			err = sub.history.log.Check()
		}
		return err == nil
	})
	m.dealer.procedures.Each(func(*registration) bool { registrations++; return true })
	m.broker.byID.Range(func(any, any) bool { subscriptions--; return true })
	m.dealer.byID.Range(func(any, any) bool { registrations--; return true })
	switch {
	case err != nil:
		return err
	case subscriptions != 0 || registrations != 0:
		return errors.New("ids of subscriptions or registrations that are gone")
	case !m.retained.check():
		return errors.New("the retained events and their size differ, or exceed their limits")
	case !m.meta.events.check():
		return errors.New("events of the meta API that nobody publishes")
	}
	return nil
}

// check compares the session's tables with those of other sessions.
func (s *session) check() error {
	for _, inv := range s.openCalls() {
		callee := inv.assigned()
		if callee == nil {
			continue // it waits
		}
		callee.mu.Lock()
		known := callee.invocations[inv.id] == inv
		callee.mu.Unlock()
		if !known {
			return fmt.Errorf("call %d is unknown to its callee", inv.request)
		}
	}
	for _, inv := range s.openInvocations() {
		if !inv.pending() {
			return fmt.Errorf("invocation %d is unknown to its caller", inv.id)
		}
	}
	return nil
}
