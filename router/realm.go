package router

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// RealmConfig configures one realm: a routing domain of its own.
type RealmConfig struct {
	Name string
	// Authenticators identify clients. The first method in the client's list that an
	// authenticator here serves is used. Without authenticators, nobody can join; see
	// Anonymous.
	Authenticators []Authenticator
	// Authorizers decide what a session may do; all must agree. Without any,
	// everything is allowed.
	Authorizers []Authorizer
	// Interceptors see every message that is routed, in this order.
	Interceptors []Interceptor
	// ReservedProcedures are the procedures that the authenticators and authorizers
	// call (see Local). Registering and calling them needs an explicit permission
	// (Decision.Explicit), force_reregister is refused, and only exact registrations
	// answer them.
	ReservedProcedures []wamp.URI

	// NoMeta turns the meta API off: procedures about sessions, subscriptions and
	// registrations, and their events. Procedures of the features that the fields below
	// configure stay.
	NoMeta bool
	// TrustLevels are the trust levels of publications and calls, by authrole (WAMP,
	// "Publication Trust Levels", "Call Trust Levels"). Other roles have none.
	TrustLevels map[string]uint64
	// History says which events to store, and HistoryStore where; nil is memory. The
	// router closes the store when it is closed, or if New fails.
	History      []HistoryRule
	HistoryStore eventstore.Store
	// Retained enables event retention, within these limits; nil disables it.
	Retained *RetainedLimits
	// Testaments enables testaments, within these limits; nil disables them.
	Testaments *TestamentLimits
}

// realm is the routing domain that a RealmConfig describes.
type realm struct {
	name         string
	hooks        atomic.Pointer[hooks]
	features     wamp.Roles // announced in WELCOME, together with those of interceptors
	broker       *broker
	dealer       *dealer
	meta         *metaAPI
	trust        map[string]uint64
	retained     *retained // nil: not allowed
	testaments   TestamentLimits
	historyStore eventstore.Store
	link         ClusterLink  // nil: a single node
	remote       *remoteTable // nil: the same
	log          *slog.Logger

	mu       sync.Mutex
	sessions map[wamp.ID]*session
	left     sync.Cond // signalled by markRemoved; its L is mu
}

func newRealm(c RealmConfig, r *Router, cluster Cluster) (*realm, error) {
	m := &realm{
		name:         c.Name,
		broker:       newBroker(),
		dealer:       newDealer(r.timeouts),
		sessions:     make(map[wamp.ID]*session),
		trust:        c.TrustLevels,
		retained:     newRetained(c.Retained),
		log:          r.log,
		historyStore: c.HistoryStore,
	}
	m.left.L = &m.mu
	m.meta = newMetaAPI(m, &c)
	if m.historyStore == nil {
		m.historyStore = eventstore.Memory{}
	}
	if c.Testaments != nil {
		m.testaments = *c.Testaments
	}
	setDefault(&m.testaments.Count, 16)
	setDefault(&m.testaments.Bytes, 64<<10)
	m.features.Broker = wamp.Role{Present: true, Features: wamp.NewFeatures(
		wamp.PublisherIdentification, wamp.PublisherExclusion,
		wamp.SubscriberBlackwhiteListing, wamp.PatternBasedSubscription)}
	m.features.Dealer = wamp.Role{Present: true, Features: wamp.NewFeatures(
		wamp.ProgressiveCallResults, wamp.ProgressiveCallInvocations, wamp.CallCanceling, wamp.CallTimeout,
		wamp.CallerIdentification, wamp.PatternBasedRegistration, wamp.SharedRegistration)}
	m.addFeatures(&c)
	m.setHooks(&c)
	if cluster != nil {
		m.remote = newRemoteTable()
		m.link = cluster.Join(&ClusterRealm{realm: m, router: r})
	}
	if err := m.openHistories(c.History); err != nil {
		_ = m.historyStore.Close()
		return nil, fmt.Errorf("router: realm %q: %w", c.Name, err)
	}
	return m, nil
}

// addFeatures adds the features that the configuration turns on.
func (m *realm) addFeatures(c *RealmConfig) {
	broker, dealer := &m.features.Broker.Features, &m.features.Dealer.Features
	add := func(on bool, role *wamp.Features, f wamp.Feature) {
		if on {
			role.Add(f)
		}
	}
	add(!c.NoMeta, broker, wamp.SessionMetaAPI)
	add(!c.NoMeta, dealer, wamp.SessionMetaAPI)
	add(!c.NoMeta, broker, wamp.SubscriptionMetaAPI)
	add(true, broker, wamp.SubscriptionRevocation) // at least by a reload
	add(!c.NoMeta, dealer, wamp.RegistrationMetaAPI)
	add(true, dealer, wamp.RegistrationRevocation) // at least by force_reregister
	add(len(c.TrustLevels) > 0, broker, wamp.PublicationTrustlevels)
	add(len(c.TrustLevels) > 0, dealer, wamp.CallTrustlevels)
	add(len(c.History) > 0, broker, wamp.EventHistory)
	add(c.Retained != nil, broker, wamp.EventRetention)
	add(c.Testaments != nil, dealer, wamp.TestamentMetaAPI)
}

// trustIn returns the trust level of a role.
func (m *realm) trustIn(role string) wamp.Trust {
	if level, ok := m.trust[role]; ok {
		return wamp.TrustLevel(level)
	}
	return 0
}

// session returns the session with that id, or nil.
func (m *realm) session(id wamp.ID) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[id]
}

// add adds a session. If its id is taken, the session gets another one.
func (m *realm) add(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for m.sessions[s.peer.Session] != nil {
		s.peer.Session = wamp.RandomID()
	}
	m.sessions[s.peer.Session] = s
}

func (m *realm) remove(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sessions, s.peer.Session)
}

// markRemoved records that a session has been removed from all tables.
func (m *realm) markRemoved(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.removed.Store(true)
	m.left.Broadcast()
}

// awaitRemoval waits until markRemoved has been called for s.
func (m *realm) awaitRemoval(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !s.removed.Load() {
		m.left.Wait()
	}
}

// allSessions returns the current sessions.
func (m *realm) allSessions() []*session {
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
	m.broker.topics.Each(func(*subscription) bool { st.Subscriptions++; return true })
	m.dealer.procedures.Each(func(*registration) bool { st.Registrations++; return true })
	for _, s := range m.allSessions() {
		s.mu.Lock()
		st.Invocations += len(s.calls)
		s.mu.Unlock()
	}
	return st
}
