package router

import (
	"sync"

	"github.com/blindfold-wamp/blindfold/internal/uriindex"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// registrationProcedures are those of WAMP, "Registration Meta API", and
// remove_callee, as Crossbar has it (WAMP, "Registration Revocation").
var registrationProcedures = map[wamp.URI]metaProcedure{
	"wamp.registration.list":          {answer: registrations.list},
	"wamp.registration.lookup":        {answer: registrations.lookup},
	"wamp.registration.match":         {answer: registrations.matches},
	"wamp.registration.get":           {answer: registrations.property(describe)},
	"wamp.registration.list_callees":  {answer: registrations.property(listSessionsOf)},
	"wamp.registration.count_callees": {answer: registrations.property(countSessionsOf)},
	"wamp.registration.remove_callee": {answer: registrations.remove, privileged: true, merge: firstAnswer},
}

var registrations = metaTable[*registration]{
	tables: func(m *realm) (*uriindex.Index[*registration], *sync.Map) { return m.dealer.procedures, &m.dealer.byID },
	ids:    func(m *realm) *idLists { return &m.meta.registrationIDs },
	match: func(m *realm, procedure wamp.URI) any {
		if reg := m.dealer.find(m.hooks.Load(), procedure); reg != nil {
			return idOf(reg)
		}
		return nil
	},
	// Invocations that the callee has received go on.
	revoke: func(c *metaCall, reg *registration, s *session, reason string) bool {
		return s.endRegistration(c.batch, reg, reason)
	},
	unknown: &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchRegistration, Text: "there is no such registration"},
}

// endRegistration is endSubscription for a registration.
func (s *session) endRegistration(b *batch, reg *registration, reason string) bool {
	if !s.realm.dealer.removeCallee(reg, s) {
		return false
	}
	s.sendRevocation(b, reg, reason)
	return true
}

func (reg *registration) key() (wamp.Match, wamp.ID) { return reg.match, reg.id }

func (reg *registration) describe() map[string]any {
	return map[string]any{"id": uint64(reg.id), "created": timestamp(reg.created),
		"uri": string(reg.uri), "match": reg.match.String(), "invoke": reg.invoke}
}

func (reg *registration) sessions() []*session { return *reg.callees.Load() }

// sendRevocation notifies a callee that it has lost its registration, if it announced
// support (WAMP, "Registration Revocation").
func (s *session) sendRevocation(b *batch, reg *registration, reason string) {
	if s.peer.Roles.Callee.Has(wamp.RegistrationRevocation) {
		b.send(s, &wamp.Unregistered{Details: wamp.Revocation{Registration: reg.id, Reason: reason}})
	}
}
