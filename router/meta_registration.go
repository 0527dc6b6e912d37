package router

import (
	"github.com/blindfold-wamp/blindfold/wamp"
)

// registrationProcedures are those of WAMP, "Registration Meta API", and
// remove_callee, as Crossbar has it (WAMP, "Registration Revocation").
var registrationProcedures = map[wamp.URI]metaProcedure{
	"wamp.registration.list":          {answer: listRegistrations},
	"wamp.registration.lookup":        {answer: lookupRegistration},
	"wamp.registration.match":         {answer: matchRegistration},
	"wamp.registration.get":           {answer: getRegistration},
	"wamp.registration.list_callees":  {answer: listCallees},
	"wamp.registration.count_callees": {answer: countCallees},
	"wamp.registration.remove_callee": {answer: removeCallee, privileged: true},
}

func (reg *registration) describe() map[string]any {
	return map[string]any{"id": uint64(reg.id), "created": timestamp(reg.created),
		"uri": string(reg.uri), "match": reg.match.String(), "invoke": reg.invoke}
}

// registration returns the registration whose id is argument i.
func (c *metaCall) registration(i int) (*registration, *wamp.Refusal) {
	id, refusal := c.id(i)
	if refusal != nil {
		return nil, refusal
	}
	if v, ok := c.realm.dealer.byID.Load(id); ok {
		return v.(*registration), nil
	}
	return nil, registrationUnknown
}

func listRegistrations(c *metaCall) *wamp.Refusal {
	lists := newByMatch()
	c.realm.dealer.procedures.each(func(reg *registration) bool {
		lists.add(reg.match, reg.id)
		return true
	})
	c.result = []any{map[string]any(lists)}
	return nil
}

func lookupRegistration(c *metaCall) *wamp.Refusal {
	procedure, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	match, refusal := c.match(1)
	if refusal != nil {
		return refusal
	}
	c.result = []any{nil}
	if reg, ok := c.realm.dealer.procedures.get(match, wamp.URI(procedure)); ok {
		c.result[0] = uint64(reg.id)
	}
	return nil
}

func matchRegistration(c *metaCall) *wamp.Refusal {
	procedure, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{nil}
	if reg, ok := c.realm.dealer.procedures.best(wamp.URI(procedure)); ok {
		c.result[0] = uint64(reg.id)
	}
	return nil
}

func getRegistration(c *metaCall) *wamp.Refusal {
	reg, refusal := c.registration(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{reg.describe()}
	return nil
}

func listCallees(c *metaCall) *wamp.Refusal {
	reg, refusal := c.registration(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{idsOf(*reg.callees.Load())}
	return nil
}

func countCallees(c *metaCall) *wamp.Refusal {
	reg, refusal := c.registration(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{len(*reg.callees.Load())}
	return nil
}

// removeCallee revokes a registration of one session: its arguments are the
// registration, the session, and, by keyword, a reason. Invocations that the
// callee has already got go on.
func removeCallee(c *metaCall) *wamp.Refusal {
	reg, refusal := c.registration(0)
	if refusal != nil {
		return refusal
	}
	s, refusal := c.session(1)
	if refusal != nil {
		return refusal
	}
	reason, refusal := c.option("reason")
	if refusal != nil {
		return refusal
	}
	if !c.realm.dealer.withdraw(reg, s) {
		return registrationUnknown
	}
	s.revoked(c.t, reg, reason)
	return nil
}

// revoked tells a callee that it is none any more, if it announced that it
// understands (WAMP, "Registration Revocation").
func (s *session) revoked(t *turn, reg *registration, reason string) {
	if s.peer.Roles.Callee.Has(wamp.RegistrationRevocation) {
		t.send(s, &wamp.Unregistered{Details: wamp.Revocation{Registration: reg.id, Reason: reason}})
	}
}

var registrationUnknown = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchRegistration,
	Text: "there is no such registration"}
