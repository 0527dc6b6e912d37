package router

import (
	"sync"

	"github.com/blindfold-wamp/blindfold/wamp"
)

// RealmConfig is one realm: a routing domain of its own.
type RealmConfig struct {
	Name string
	// Authenticators decide who comes in. A client is asked for the first
	// method of its own list that is served here. Without any, nobody comes in;
	// see Anonymous.
	Authenticators []Authenticator
	// Authorizers decide what a session may do; all must agree. Without any,
	// everything is allowed.
	Authorizers []Authorizer
	// Interceptors see every message that is routed, in this order.
	Interceptors []Interceptor
}

// realm is a routing domain at work.
type realm struct {
	name           string
	authenticators []Authenticator
	authorizers    []Authorizer
	interceptors   []Interceptor
	features       wamp.Roles // announced in WELCOME
	broker         *broker
	dealer         *dealer

	mu       sync.Mutex
	sessions map[wamp.ID]*session
}

func newRealm(c RealmConfig, t *timeouts) *realm {
	m := &realm{
		name:           c.Name,
		authenticators: c.Authenticators,
		authorizers:    c.Authorizers,
		interceptors:   c.Interceptors,
		broker:         newBroker(),
		dealer:         newDealer(t),
		sessions:       make(map[wamp.ID]*session),
	}
	m.features.Broker = wamp.Role{Present: true, Features: wamp.NewFeatures(
		wamp.PublisherIdentification, wamp.PublisherExclusion,
		wamp.SubscriberBlackwhiteListing, wamp.PatternBasedSubscription)}
	m.features.Dealer = wamp.Role{Present: true, Features: wamp.NewFeatures(
		wamp.ProgressiveCallResults, wamp.ProgressiveCallInvocations, wamp.CallCanceling, wamp.CallTimeout,
		wamp.CallerIdentification, wamp.PatternBasedRegistration, wamp.SharedRegistration)}
	for _, i := range c.Interceptors {
		if a, ok := i.(Announcer); ok {
			for _, f := range a.Features() {
				m.features.Broker.Features.Add(f)
				m.features.Dealer.Features.Add(f)
			}
		}
	}
	return m
}

// join enters a session, under an id that no other has.
func (m *realm) join(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.sessions[s.peer.Session] != nil {
		s.peer.Session = wamp.RandomID()
	}
	m.sessions[s.peer.Session] = s
}

func (m *realm) part(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, s.peer.Session)
}

// all returns the sessions of this moment.
func (m *realm) all() []*session {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]*session, 0, len(m.sessions))
	for _, s := range m.sessions {
		out = append(out, s)
	}
	return out
}

// stats counts what the realm holds.
func (m *realm) stats() RealmStats {
	st := RealmStats{Realm: m.name}
	m.broker.topics.each(func(*subscription) bool { st.Subscriptions++; return true })
	m.dealer.procedures.each(func(*registration) bool { st.Registrations++; return true })
	for _, s := range m.all() {
		s.mu.Lock()
		st.Invocations += len(s.calls)
		s.mu.Unlock()
	}
	return st
}
