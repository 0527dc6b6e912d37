package router

import "github.com/blindfold-wamp/blindfold/wamp"

// The procedures that the router itself calls (RealmConfig.ReservedProcedures) decide who
// may join and who may do what, and are sent tickets. So a wildcard permission does not
// suffice to answer for them: only an exact registration by an explicit permission does.

// reserve returns the set of procedures.
func reserve(procedures []wamp.URI) map[wamp.URI]bool {
	reserved := make(map[wamp.URI]bool, len(procedures))
	for _, uri := range procedures {
		reserved[uri] = true
	}
	return reserved
}

// needsExplicit reports whether the action needs an explicit permission: to register a
// reserved procedure, or to call it and get the answer that the router would get.
func (h *hooks) needsExplicit(action Action, uri wamp.URI) bool {
	return (action == ActionRegister || action == ActionCall) && h.reserved[uri]
}

// find returns the registration that answers calls of a procedure, or nil.
func (d *dealer) find(h *hooks, procedure wamp.URI) *registration {
	if h.reserved[procedure] {
		reg, _ := d.procedures.Exact(procedure)
		return reg
	}
	reg, _ := d.procedures.Best(procedure)
	return reg
}

var (
	needsExplicitPermission = &wamp.Refusal{Reason: wamp.ReasonUnauthorized, URI: wamp.ErrNotAuthorized,
		Text: "the router uses this procedure to authenticate or authorize: add a permission for exactly this URI"}
	noForceForReserved = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "the router uses this procedure to authenticate or authorize: force_reregister is not allowed for it"}
)
