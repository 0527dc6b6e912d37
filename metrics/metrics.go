// Package metrics counts what a router does, for Prometheus. [Metrics] is a
// router.Observer.
//
// All names begin with blindfold_. All values of labels are known beforehand, but
// for the names of realms, which the operator chooses: nothing that a client sends
// becomes one. An idle realm has fewer than 100 series. These appear when they are first
// used: refused_total, sessions, sessions_closed_total for a refusal; opaque_refused_total
// and dropped_total, but for the reasons that alerts watch (cleartext, conversion,
// receiver_lacks_form, queue_full); and opaque_messages_total and
// opaque_payload_bytes_total. All others are there, at zero, from the start.
//
//	opaque_messages_total{realm,type,form,scheme}       messages with an opaque payload that were routed
//	opaque_payload_bytes_total{realm,type,form,scheme}  content bytes of their payloads
//	opaque_payload_size_bytes{realm,type}               histogram of the same
//	clear_messages_total{realm,type}                    messages with a clear payload, or none, that were routed
//	clear_payload_bytes_total{realm,type}               bytes of their payloads, as they stood on the wire
//	deliveries_total{realm,type}                        messages put into receivers' queues
//	route_seconds                                       histogram: from a frame's arrival to the last queue, of a sample: see router.Observation
//	opaque_refused_total{realm,type,reason}             refused messages, and skipped events, whose payload is opaque or had to be
//	refused_total{realm,type,reason}                    all refused messages, opaque or not
//	dropped_total{realm,reason}                         deliveries of events that were skipped, opaque or not
//	turned_away_total{reason}                           connections that were turned away before they became a session
//	authenticator_failures_total{realm}                 logins that failed because the authenticator itself failed
//	limits_total{limit}                                 how often each limit was reached
//	sessions{realm,transport,serializer}                sessions now
//	sessions_opened_total{realm}                        sessions that were welcomed
//	sessions_closed_total{realm,reason}                 sessions that ended: goodbye, connection_lost, killed, shutdown, or the reason of the refusal that ended it
//	subscriptions{realm}                                subscriptions now, each pattern once
//	registrations{realm}                                registrations now, each pattern once
//	invocations_in_flight{realm}                        calls that wait for a result
//	unknown_realm_total                                 observations of a realm that was not added
//	build_info{version,revision,goversion}              1
//
// The label type is a message type as in the WAMP specification. It is the type
// that the sender used: PUBLISH, CALL, YIELD or ERROR; refused_total has SUBSCRIBE,
// REGISTER and other besides (other: all that remains, and frames that could not be
// read). In deliveries_total it is what the receiver gets: EVENT, INVOCATION,
// RESULT or ERROR. In opaque_refused_total it is EVENT for an event that one
// subscriber did not get.
//
// form is transparency or passthru. scheme is cryptobox, mqtt, xbr, wamp, other, or
// none for a bare binary without enc_algo. reason is one of wamp.Reasons, limit of wamp.Limits; a reason
// of an embedding program counts as interceptor.
// transport is websocket, rawsocket, memory or other; serializer is json, msgpack,
// cbor or other.
package metrics

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/blindfold-wamp/blindfold/router"
	"github.com/blindfold-wamp/blindfold/wamp"
)

// Options configure Metrics.
type Options struct {
	// Realms are the names of the router's realms; AddRealm adds more.
	Realms []string
	// Version is the version of the program, for build_info. The default is the version
	// that the Go toolchain recorded.
	Version string
}

// Metrics counts observations. All its methods may be called concurrently.
type Metrics struct {
	vectors    vectors
	route      *histogram
	unknown    prometheus.Counter
	turnedAway [len(wamp.Reasons)]prometheus.Counter
	limits     [len(wamp.Limits)]prometheus.Counter

	// realms is replaced, never changed, so that Observe takes no lock.
	realms atomic.Pointer[map[string]*realm]

	mu      sync.Mutex // for replacing realms, and for sources
	sources []Source
}

var _ router.Observer = (*Metrics)(nil)

// New creates Metrics and registers them with reg. If that fails, nothing is registered.
func New(reg prometheus.Registerer, o Options) (*Metrics, error) {
	m := &Metrics{
		vectors: newVectors(),
		route:   newRoute(),
		unknown: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "blindfold_unknown_realm_total", Help: "Observations of realms that were not added to the metrics. They are counted nowhere else.",
		}),
	}
	m.realms.Store(&map[string]*realm{})
	for n, reason := range wamp.Reasons {
		m.turnedAway[n] = m.vectors.turnedAway.WithLabelValues(string(reason))
	}
	for n, limit := range wamp.Limits {
		m.limits[n] = m.vectors.limits.WithLabelValues(string(limit))
	}
	for _, name := range o.Realms {
		m.AddRealm(name)
	}
	all := append(m.vectors.collectors(), m.route, opaqueSizes{m}, m.unknown, stats{m}, buildInfo(o.Version))
	for n, c := range all {
		if err := reg.Register(c); err != nil {
			for _, done := range all[:n] {
				reg.Unregister(done)
			}
			return nil, fmt.Errorf("metrics: %w", err)
		}
	}
	return m, nil
}

// AddRealm creates the series of a realm. The name must come from the operator, never from
// a client, and must be UTF-8. Adding a realm again has no effect.
func (m *Metrics) AddRealm(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old := *m.realms.Load()
	if old[name] != nil {
		return
	}
	next := maps.Clone(old)
	next[name] = m.vectors.realm(name)
	m.realms.Store(&next)
}

// Observe counts one observation. It takes no lock and does not allocate.
func (m *Metrics) Observe(e *router.Observation) {
	if e.Refusal != nil && e.Refusal.Limit != "" && e.Kind != router.SessionClosed { // which was counted before
		if n, ok := limitIndices[e.Refusal.Limit]; ok {
			m.limits[n].Inc()
		}
	}
	if e.Kind == router.Rejected {
		m.turnedAway[reasonIndex(e.Refusal)].Inc()
		return
	}
	if e.Kind == router.Routed && e.Elapsed > 0 {
		m.route.observe(uint64(e.Elapsed))
	}
	r := (*m.realms.Load())[e.Realm]
	if r == nil {
		m.unknown.Inc()
		return
	}
	switch e.Kind {
	case router.SessionOpened:
		r.opened.Inc()
		r.session(e.Peer).Inc()
	case router.SessionClosed:
		if n := slices.Index(router.Ends[:], e.End); n >= 0 && e.End != router.EndRefused {
			r.ended[n].Inc()
		} else {
			r.closed[reasonIndex(e.Refusal)].get().Inc()
		}
		r.session(e.Peer).Dec()
	case router.Routed:
		r.routed(e)
	case router.AuthenticatorFailed:
		r.authenticatorFailures.Inc()
	case router.Refused:
		r.refuse(e)
	case router.Dropped:
		reason := reasonIndex(e.Refusal)
		r.dropped[reason].get().Inc()
		if _, _, form := carried(e.Routed); form != wamp.FormNone {
			r.opaqueRefused[skippedEvent][reason].get().Inc()
		}
	}
}

// Source provides states, which are read at each scrape. A router is a Source.
type Source interface {
	Stats() []router.RealmStats
}

// Watch adds s to the sources of the gauges of subscriptions, registrations and
// invocations, which show the sum of all sources.
func (m *Metrics) Watch(s Source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources = append(m.sources, s)
}

// stats is the collector of the sources.
type stats struct{ m *Metrics }

var (
	subscriptions = prometheus.NewDesc("blindfold_subscriptions", "Subscriptions of a realm, each pattern once.", []string{"realm"}, nil)
	registrations = prometheus.NewDesc("blindfold_registrations", "Registrations of a realm, each pattern once.", []string{"realm"}, nil)
	invocations   = prometheus.NewDesc("blindfold_invocations_in_flight", "Calls that wait for a result.", []string{"realm"}, nil)
)

// Describe implements prometheus.Collector.
func (stats) Describe(c chan<- *prometheus.Desc) {
	c <- subscriptions
	c <- registrations
	c <- invocations
}

// Collect implements prometheus.Collector.
func (s stats) Collect(c chan<- prometheus.Metric) {
	s.m.mu.Lock()
	sources := s.m.sources
	s.m.mu.Unlock()
	sums := map[string]router.RealmStats{}
	for _, source := range sources {
		for _, r := range source.Stats() {
			sum := sums[r.Realm]
			sum.Subscriptions += r.Subscriptions
			sum.Registrations += r.Registrations
			sum.Invocations += r.Invocations
			sums[r.Realm] = sum
		}
	}
	for name := range *s.m.realms.Load() {
		sum := sums[name]
		c <- prometheus.MustNewConstMetric(subscriptions, prometheus.GaugeValue, float64(sum.Subscriptions), name)
		c <- prometheus.MustNewConstMetric(registrations, prometheus.GaugeValue, float64(sum.Registrations), name)
		c <- prometheus.MustNewConstMetric(invocations, prometheus.GaugeValue, float64(sum.Invocations), name)
	}
}
