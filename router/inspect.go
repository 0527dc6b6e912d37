package router

import (
	"slices"
	"strings"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// SessionInfo is a session at one moment, for the operator.
type SessionInfo struct {
	Session    uint64 `json:"session"`
	Realm      string `json:"realm"`
	AuthID     string `json:"authid"`
	AuthRole   string `json:"authrole"`
	AuthMethod string `json:"authmethod"`
	Transport  string `json:"transport"`
	Serializer string `json:"serializer"`
	Address    string `json:"address"`
	Agent      string `json:"agent,omitempty"`
	// Queued is how many bytes wait for the client to read them.
	Queued        int `json:"queued"`
	Subscriptions int `json:"subscriptions"`
	Registrations int `json:"registrations"`
	Calls         int `json:"calls"`       // by the session, in flight
	Invocations   int `json:"invocations"` // to the session, in flight
}

// Pattern is a subscription or a registration of a session.
type Pattern struct {
	ID    uint64 `json:"id"`
	URI   string `json:"uri"`
	Match string `json:"match"`
}

// SessionDetail is a session and what it holds, ordered by URI.
type SessionDetail struct {
	SessionInfo
	Subscribed []Pattern `json:"subscribed"`
	Registered []Pattern `json:"registered"`
}

// EachSession calls f for each session of this node that clients have opened, in no
// order, until f returns false. Sessions may start and end during the call.
func (r *Router) EachSession(f func(SessionInfo) bool) {
	for _, m := range r.order {
		for _, s := range m.allSessions() {
			if !s.internal && s.remote == nil && !f(s.inspect()) {
				return
			}
		}
	}
}

// InspectSession returns a session of this node, or false if there is none with that id.
// Ids are unique in a realm; realm may be "" for the first one that has it.
func (r *Router) InspectSession(realm string, id wamp.ID) (SessionDetail, bool) {
	for _, m := range r.order {
		s := m.session(id)
		if s == nil || s.internal || s.remote != nil || realm != "" && realm != m.name {
			continue
		}
		d := SessionDetail{SessionInfo: s.inspect(), Subscribed: []Pattern{}, Registered: []Pattern{}}
		s.mu.Lock()
		for _, part := range s.subscriptions {
			d.Subscribed = append(d.Subscribed, Pattern{uint64(part.subscription.id), string(part.subscription.uri), part.subscription.match.String()})
		}
		for _, reg := range s.registrations {
			d.Registered = append(d.Registered, Pattern{uint64(reg.id), string(reg.uri), reg.match.String()})
		}
		s.mu.Unlock()
		for _, list := range [][]Pattern{d.Subscribed, d.Registered} {
			slices.SortFunc(list, func(a, b Pattern) int { return strings.Compare(a.URI, b.URI) })
		}
		return d, true
	}
	return SessionDetail{}, false
}

func (s *session) inspect() SessionInfo {
	i := SessionInfo{Session: uint64(s.peer.Session), Realm: s.peer.Realm, AuthID: s.peer.AuthID, AuthRole: s.peer.AuthRole,
		AuthMethod: s.peer.AuthMethod, Transport: s.peer.Transport, Serializer: s.peer.Serializer.String(),
		Address: s.peer.Address, Agent: short(s.peer.Agent), Queued: s.out.Len()}
	s.mu.Lock()
	defer s.mu.Unlock()
	i.Subscriptions, i.Registrations = len(s.subscriptions), len(s.registrations)
	i.Calls, i.Invocations = len(s.calls), len(s.invocations)
	return i
}
