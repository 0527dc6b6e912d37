package router

import "github.com/blindfold-wamp/blindfold/wamp"

// The procedures that the router itself calls (RealmConfig.ReservedProcedures) decide
// who comes in and who may do what, and are told tickets. So only what was allowed on
// purpose answers for them: an exact registration, by an explicit permission.

// reserve returns the set of procedures.
func reserve(procedures []wamp.URI) map[wamp.URI]bool {
	reserved := make(map[wamp.URI]bool, len(procedures))
	for _, uri := range procedures {
		reserved[uri] = true
	}
	return reserved
}

// needsExplicit reports whether a permission for everything doesn't include the
// action: to register the procedure, or to call it and be answered like the router.
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
		Text: "the router asks this procedure who comes in or who may do what: it needs a permission for exactly this URI"}
	noForceForReserved = &wamp.Refusal{Reason: wamp.ReasonOption, URI: wamp.ErrOptionNotAllowed,
		Text: "the router asks this procedure who comes in or who may do what: force_reregister can't take it from who serves it"}
)
