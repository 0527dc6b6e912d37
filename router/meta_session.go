package router

import (
	"maps"
	"slices"

	"github.com/blindfold-wamp/blindfold/wamp"
	"github.com/blindfold-wamp/blindfold/wamp/codec"
)

// sessionProcedures are those of WAMP, "Session Meta API", and modify_details,
// as nexus has it.
var sessionProcedures = map[wamp.URI]metaProcedure{
	"wamp.session.count":            {answer: countSessions, merge: sumOf},
	"wamp.session.list":             {answer: listSessions, merge: unionOf},
	"wamp.session.get":              {answer: getSession, merge: firstAnswer},
	"wamp.session.kill":             {answer: killSession, privileged: true, merge: firstAnswer},
	"wamp.session.kill_by_authid":   {answer: killByAuthID, privileged: true, merge: unionOf},
	"wamp.session.kill_by_authrole": {answer: killByAuthRole, privileged: true, merge: sumOf},
	"wamp.session.kill_all":         {answer: killAll, privileged: true, merge: sumOf},
	"wamp.session.modify_details":   {answer: modifyDetails, privileged: true, merge: firstAnswer},
}

// describe returns what the meta API shows of a session. The client's address is not
// included: it is for the operator only.
func (s *session) describe() map[string]any {
	d := map[string]any{
		"session": uint64(s.peer.Session), "authid": s.peer.AuthID, "authrole": s.peer.AuthRole,
		"authmethod": s.peer.AuthMethod, "authprovider": s.peer.AuthProvider,
		"transport": map[string]any{"type": s.peer.Transport, "serializer": s.peer.Serializer.String()},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, v := range s.details {
		d[key] = v
	}
	return d
}

// joined publishes that a session has joined.
func (api *metaAPI) joined(b *batch, s *session) {
	if e := api.events.ifSubscribed(onJoin); e != nil {
		e.enqueue(onJoin, s.describe())
		e.publish(b, s)
	}
}

// left publishes that a session has left.
func (api *metaAPI) left(b *batch, s *session) {
	if e := api.events.ifSubscribed(onLeave); e != nil {
		e.enqueue(onLeave, uint64(s.peer.Session), s.peer.AuthID, s.peer.AuthRole)
	}
	api.events.publish(b, s)
}

// activeSessions returns the realm's sessions that the router is not ending.
func (c *metaCall) activeSessions() []*session {
	return slices.DeleteFunc(c.realm.allSessions(), func(s *session) bool { return s.ending.Load() })
}

// filtered returns the sessions whose authrole is in the list that is argument 0, or
// all.
func (c *metaCall) filtered() ([]*session, *wamp.Refusal) {
	all := c.activeSessions()
	if len(c.args) == 0 || c.args[0] == nil {
		return all, nil
	}
	list, ok := c.args[0].([]any)
	if !ok {
		return nil, needStrings
	}
	roles := make(map[string]struct{}, len(list))
	for _, v := range list {
		role, ok := v.(string)
		if !ok {
			return nil, needStrings
		}
		roles[role] = struct{}{}
	}
	return slices.DeleteFunc(all, func(s *session) bool { _, in := roles[s.peer.AuthRole]; return !in }), nil
}

func countSessions(c *metaCall) *wamp.Refusal {
	sessions, refusal := c.filtered()
	c.result = []any{len(sessions)}
	return refusal
}

func listSessions(c *metaCall) *wamp.Refusal {
	sessions, refusal := c.filtered()
	c.result = []any{idsOf(sessions)}
	return refusal
}

func idsOf(sessions []*session) []wamp.ID {
	ids := make([]wamp.ID, len(sessions))
	for i, s := range sessions {
		ids[i] = s.peer.Session
	}
	return ids
}

func getSession(c *metaCall) *wamp.Refusal {
	s, refusal := c.session(0)
	if refusal != nil {
		return refusal
	}
	c.result = []any{s.describe()}
	return nil
}

// session returns the session whose id is the i-th argument.
func (c *metaCall) session(i int) (*session, *wamp.Refusal) {
	id, refusal := c.id(i)
	if refusal != nil {
		return nil, refusal
	}
	if s := c.realm.session(id); s != nil && !s.ending.Load() {
		return s, nil
	}
	return nil, noSuchSession
}

func killSession(c *metaCall) *wamp.Refusal {
	s, refusal := c.session(0)
	if refusal != nil {
		return refusal
	}
	if s == c.from {
		return noSuchSession // only other sessions can be killed
	}
	_, refusal = c.kill([]*session{s})
	return refusal
}

func killByAuthID(c *metaCall) *wamp.Refusal {
	authID, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	killed, refusal := c.kill(c.others(func(p *wamp.Peer) bool { return p.AuthID == authID }))
	c.result = []any{idsOf(killed)}
	return refusal
}

func killByAuthRole(c *metaCall) *wamp.Refusal {
	role, refusal := c.text(0)
	if refusal != nil {
		return refusal
	}
	killed, refusal := c.kill(c.others(func(p *wamp.Peer) bool { return p.AuthRole == role }))
	c.result = []any{len(killed)}
	return refusal
}

// killAll ends all other sessions, without meta events.
func killAll(c *metaCall) *wamp.Refusal {
	others := c.others(func(*wamp.Peer) bool { return true })
	if _, _, refusal := c.goodbyeArguments(); refusal != nil {
		return refusal
	}
	for _, s := range others {
		s.noEndEvents.Store(true)
	}
	killed, refusal := c.kill(others)
	c.result = []any{len(killed)}
	return refusal
}

// others returns the sessions that f selects, except the caller's.
func (c *metaCall) others(f func(p *wamp.Peer) bool) []*session {
	return slices.DeleteFunc(c.activeSessions(), func(s *session) bool { return s == c.from || !f(&s.peer) })
}

// kill ends sessions, with the reason and message from the keyword arguments.
func (c *metaCall) kill(sessions []*session) ([]*session, *wamp.Refusal) {
	reason, message, refusal := c.goodbyeArguments()
	if refusal != nil {
		return nil, refusal
	}
	for _, s := range sessions {
		s.sendGoodbye(killed, reason, message)
	}
	return sessions, nil
}

func (c *metaCall) goodbyeArguments() (reason wamp.URI, message string, refusal *wamp.Refusal) {
	text, refusal := c.option("reason")
	if refusal != nil {
		return "", "", invalidURI
	}
	if message, refusal = c.option("message"); refusal != nil {
		return "", "", refusal
	}
	if c.kwargs["reason"] == nil { // null is absent
		return wamp.CloseKilled, message, nil
	}
	if reason = wamp.URI(text); !reason.Valid(wamp.MatchExact) {
		return "", "", invalidURI
	}
	return reason, message, nil
}

const (
	// maxDetails is how many details modify_details may add to a session, and
	// maxDetailBytes their size in all, as CBOR.
	maxDetails     = 64
	maxDetailBytes = 64 << 10
)

// modifyDetails changes the details that the meta API shows of a session: argument 1
// has the details to set; null removes one. The identity can't be changed.
func modifyDetails(c *metaCall) *wamp.Refusal {
	s, refusal := c.session(0)
	if refusal != nil {
		return refusal
	}
	if len(c.args) < 2 {
		return needDict
	}
	changes, ok := c.args[1].(map[string]any)
	if !ok {
		return needDict
	}
	for _, key := range []string{"session", "authid", "authrole", "authmethod", "authprovider", "transport"} {
		if _, there := changes[key]; there {
			return identityIsFixed
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	details := maps.Clone(s.details)
	if details == nil {
		details = make(map[string]any)
	}
	for key, v := range changes {
		if v == nil {
			delete(details, key)
		} else {
			details[key] = v
		}
	}
	if len(details) > maxDetails {
		return tooManyDetails
	}
	encoded, err := codec.EncodePayload(wamp.CBOR, nil, details)
	if err != nil {
		return asRefusal(err)
	}
	if encoded.WireSize() > maxDetailBytes {
		return tooManyDetails
	}
	if _, details, err = encoded.DecodeWithin(s.router.limits().values()); err != nil {
		return tooManyDetails // too deep, or too many values
	}
	s.details = details
	return nil
}

var (
	noSuchSession = &wamp.Refusal{Reason: wamp.ReasonNoTarget, URI: wamp.ErrNoSuchSession,
		Text: "no other session in this realm has this id"}
	tooManyDetails  = limitReached("", "the session's limit of details is reached: at most 64, of 64 KiB in all, within limits.nesting and limits.elements")
	identityIsFixed = invalidArgument("session, authid, authrole, authmethod, authprovider and transport can't be modified")
)
