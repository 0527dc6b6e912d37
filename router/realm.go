package router

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/blindfold-wamp/blindfold/router/eventstore"
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
	// ReservedProcedures are those that the authenticators and authorizers call (see
	// Local). Registering and calling them needs an explicit permission
	// (Decision.Explicit), force_reregister is refused, and calls of them go to exact
	// registrations only.
	ReservedProcedures []wamp.URI

	// NoMeta turns the meta API off: procedures that tell about sessions,
	// subscriptions and registrations, and their events. What the fields below
	// configure keeps the procedures that it needs.
	NoMeta bool
	// TrustLevels are the levels of trust in what sessions of a role publish and
	// call (WAMP, "Publication Trust Levels", "Call Trust Levels"). Roles that are
	// not named have none.
	TrustLevels map[string]uint64
	// History are the events to remember, and HistoryStore is where: in memory if it
	// is nil. The router closes the store with itself, or if New fails.
	History      []HistoryRule
	HistoryStore eventstore.Store
	// Retained allows events to be retained, up to its limits; nil doesn't.
	Retained *RetainedLimits
	// Testaments allows sessions to leave some, up to its limits; nil doesn't.
	Testaments *TestamentLimits
}

// realm is a routing domain at work.
type realm struct {
	name         string
	hooks        atomic.Pointer[hooks]
	features     wamp.Roles // announced in WELCOME, beside those of plugins
	broker       *broker
	dealer       *dealer
	meta         *metaAPI
	trust        map[string]uint64
	retained     *retained // nil: not allowed
	testaments   TestamentLimits
	historyStore eventstore.Store
	link         ClusterLink  // nil: this router is alone
	remote       *remoteTable // nil: the same
	log          *slog.Logger

	mu       sync.Mutex
	sessions map[wamp.ID]*session
	left     sync.Cond // signalled when a session has been withdrawn; its L is mu
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
	add(true, broker, wamp.SubscriptionRevocation) // by a reload, at least
	add(!c.NoMeta, dealer, wamp.RegistrationMetaAPI)
	add(true, dealer, wamp.RegistrationRevocation) // by force_reregister, at least
	add(len(c.TrustLevels) > 0, broker, wamp.PublicationTrustlevels)
	add(len(c.TrustLevels) > 0, dealer, wamp.CallTrustlevels)
	add(len(c.History) > 0, broker, wamp.EventHistory)
	add(c.Retained != nil, broker, wamp.EventRetention)
	add(c.Testaments != nil, dealer, wamp.TestamentMetaAPI)
}

// trustIn is the level of trust in sessions of a role.
func (m *realm) trustIn(role string) wamp.Trust {
	if level, ok := m.trust[role]; ok {
		return wamp.TrustLevel(level)
	}
	return 0
}

// session returns the session of that id, or nil.
func (m *realm) session(id wamp.ID) *session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sessions[id]
}

// addenters a session, under an id that no other has.
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

// markRemoved says that a session has been withdrawn from everything.
func (m *realm) markRemoved(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.removed.Store(true)
	m.left.Broadcast()
}

// awaitRemoval waits for withdrawn.
func (m *realm) awaitRemoval(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for !s.removed.Load() {
		m.left.Wait()
	}
}

// allSessions returns the sessions of this moment.
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
